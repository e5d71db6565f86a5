//! What a request is, before anybody acts on it.
//!
//! The authority is read once and the target once; what is authorised and what is proxied are the
//! same bytes. hyper takes more than HTTP allows (two `Host` lines, an absolute target under
//! another `Host`, a backslash in a path): what does not read one way only is refused here.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderMap, Method, Request, Uri, Version, header,
    uri::{Authority, PathAndQuery},
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Body as HttpBody, Incoming};

use crate::{
    edge::{
        Gate,
        connection::Connection,
        respond::{self, REQUEST_ID},
    },
    gate::{
        client_ip::{self, ClientIp, ClientIpSource, Unreadable},
        denial::Denial,
        path,
    },
    ops::{audit, entropy},
};

/// What a browser says that it takes.
const HTML: &[u8] = b"text/html";
/// How long the rest of a body is waited for that nobody wants.
const A_MOMENT: Duration = Duration::from_secs(1);

/// One request, read.
#[derive(Debug)]
pub struct Intake {
    /// The authority it is for, as the client spelled it.
    pub authority: String,
    /// The path, as received.
    pub path: String,
    /// The query, as received.
    pub query: Option<String>,
    /// The client's address; an error where a trusted proxy's word on it cannot be read.
    pub client: Result<ClientIp, Unreadable>,
    /// Names the request in logs and answers.
    pub id: String,
    /// Whether a person reads the answer.
    pub wants_page: bool,
}

impl Intake {
    /// Reads a request's head.
    ///
    /// # Errors
    /// [`Denial::Unreadable`] for what does not read one way only.
    pub fn read<B>(
        gate: &Gate,
        connection: &Connection,
        source: ClientIpSource,
        request: &Request<B>,
    ) -> (Self, Result<(), Denial>) {
        let (listen, headers) = (&gate.config.listen, request.headers());
        let client = client(source, connection, headers, &listen.trusted_proxies);
        let mut intake = Self {
            authority: String::new(),
            path: String::new(),
            query: None,
            id: request_id(headers, || connection.is_from(&listen.trusted_proxies)),
            wants_page: wants_page(headers),
            client,
        };
        let read = intake.read_target(request);
        (intake, read)
    }

    /// How the audit names this request.
    pub fn audit(&self) -> audit::Request<'_> {
        audit::Request { id: &self.id, client: &self.client }
    }

    fn read_target<B>(&mut self, request: &Request<B>) -> Result<(), Denial> {
        self.authority = authority(request)?;
        if request.method() == Method::CONNECT {
            return Err(unreadable("this is not a proxy for CONNECT"));
        }
        let (path, query) = path::of_target(target(request.uri())).map_err(unreadable)?;
        path.clone_into(&mut self.path);
        self.query = query.map(str::to_owned);
        Ok(())
    }
}

/// Path and query of what is asked for, as received.
pub fn target(uri: &Uri) -> &str {
    uri.path_and_query().map_or("", PathAndQuery::as_str)
}

/// The one authority that a request names (RFC 9112, 3.2; RFC 9113, 8.3.1).
fn authority<B>(request: &Request<B>) -> Result<String, Denial> {
    let asked = request.uri().authority().map(Authority::as_str);
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => {
            host.to_str().map_err(|_| unreadable("the Host header is not ASCII"))?
        }
        // `:authority` takes its place; an absolute target of HTTP/1.1 does not.
        (None, _) if request.version() == Version::HTTP_2 => asked.unwrap_or_default(),
        (None, _) => return Err(unreadable("there is no Host header")),
        (Some(_), Some(_)) => return Err(unreadable("there are two Host headers")),
    };
    let authority = match asked {
        Some(target) if target.eq_ignore_ascii_case(host) => target,
        Some(_) => return Err(unreadable("the target and the Host header disagree")),
        None => host,
    };
    if authority.is_empty() || authority.contains(['@', '/', '?', '#', '\\', ',', ' ', '\t']) {
        return Err(unreadable("the Host header is not a host"));
    }
    Ok(authority.to_owned())
}

fn client(
    source: ClientIpSource,
    connection: &Connection,
    headers: &HeaderMap,
    trusted: &client_ip::Networks,
) -> Result<ClientIp, Unreadable> {
    // Nobody but a trusted proxy was asked for a PROXY header.
    let Some(name) = source.header() else { return connection.client() };
    let lines: Vec<&[u8]> = headers.get_all(name).iter().map(http::HeaderValue::as_bytes).collect();
    client_ip::resolve(source, connection.peer_ip(), &lines, trusted)
}

/// A trusted proxy's own id for the request, or a new one: 16 hex digits.
fn request_id(headers: &HeaderMap, is_trusted: impl FnOnce() -> bool) -> String {
    let given = headers.get(REQUEST_ID).filter(|_| is_trusted()).and_then(|id| id.to_str().ok());
    match given {
        Some(id) if is_request_id(id) => id.to_owned(),
        _ => {
            let [id @ .., _, _, _, _, _, _, _, _] = entropy::id();
            respond::hex(&id)
        }
    }
}

fn is_request_id(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// A browser says that it takes HTML; programs take what comes.
fn wants_page(headers: &HeaderMap) -> bool {
    headers.get_all(header::ACCEPT).iter().any(|accept| {
        accept.as_bytes().windows(HTML.len()).any(|part| part.eq_ignore_ascii_case(HTML))
    })
}

fn unreadable(why: &str) -> Denial {
    Denial::Unreadable(why.to_owned())
}

/// Whether the body is of this media type, whatever its parameters.
pub fn has_type(headers: &HeaderMap, media_type: &str) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case(media_type)
}

/// Takes what is left of a body on HTTP/2: clients there take an answer that comes before they
/// have sent all for a broken stream. No more than the gate reads of any, and for a moment only.
pub async fn let_pass(gate: &Gate, version: Version, body: &mut Incoming) {
    if version == Version::HTTP_2 && !body.is_end_stream() {
        let rest =
            Limited::new(body, usize::try_from(gate.config.limits.max_body).unwrap_or(usize::MAX));
        let _ = tokio::time::timeout(A_MOMENT, rest.collect()).await;
    }
}

/// Reads a whole body of at most `most` bytes, in at most the time that bodies may take.
///
/// # Errors
/// [`Denial::PayloadTooLarge`]; [`Denial::Unreadable`] when it breaks off or takes too long.
pub async fn read_body<B>(gate: &Gate, body: B, most: u64) -> Result<Vec<u8>, Denial>
where
    B: HttpBody<Data = Bytes, Error = hyper::Error>,
{
    // By its length alone, before the first byte: who waits for `100 Continue` need not send it.
    if body.size_hint().lower() > most {
        return Err(Denial::PayloadTooLarge(most));
    }
    let limit = usize::try_from(most).unwrap_or(usize::MAX);
    let collected = Limited::new(body, limit).collect();
    match tokio::time::timeout(gate.config.limits.body_timeout, collected).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes().to_vec()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Denial::PayloadTooLarge(most)),
        Ok(Err(_)) => Err(Denial::Unreadable("the body broke off".to_owned())),
        Err(_) => Err(Denial::Unreadable("the body took too long".to_owned())),
    }
}
