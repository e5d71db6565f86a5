//! Proxying to the sites' upstreams.
//!
//! Bodies stream both ways. The target's path and query are passed on byte for byte: what was
//! authorised is what is asked for. Header fields cross by the rules of [`headers`].

use std::{error::Error as _, io, pin::pin, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, Uri, Version,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
    uri::{PathAndQuery, Scheme},
};
use http_body::Body as HttpBody;
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

use crate::{
    edge::{
        body::{self, Body, BodyError, Progress},
        headers::{self, SignedIn, Visit},
    },
    gate::{denial::Denial, site::Upstream},
};

/// How long an upstream may take.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For the connection: 5 s unless said otherwise.
    pub connect: Duration,
    /// For the head of the answer, since the request's body last moved: 60 s unless said
    /// otherwise. The answer's body may then take any time: it may be a stream of events.
    pub answer: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), answer: Duration::from_secs(60) }
    }
}

/// An idle connection is given up before the shortest keep-alive in common use (5 s) ends, so
/// that requests rarely meet a connection the upstream is about to close.
const IDLE: Duration = Duration::from_secs(4);
/// Idle connections kept for one upstream.
const IDLE_PER_UPSTREAM: usize = 64;

/// The connections to all upstreams. Cheap to clone; clones share the pool.
#[derive(Debug, Clone)]
pub struct Upstreams {
    client: Client<HttpConnector, Body>,
    answer: Duration,
}

impl Default for Upstreams {
    fn default() -> Self {
        Self::new(Timeouts::default())
    }
}

impl Upstreams {
    /// A pool with nothing in it. No proxy is used, whatever the environment says.
    pub fn new(timeouts: Timeouts) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(timeouts.connect));
        connector.set_nodelay(true);
        connector.set_keepalive(Some(Duration::from_secs(60)));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_PER_UPSTREAM)
            .set_host(false)
            .build(connector);
        Self { client, answer: timeouts.answer }
    }

    /// Passes a request on, and hands back the upstream's answer as soon as its head is there.
    ///
    /// Upgrades are not made: the request goes on without `Upgrade`.
    ///
    /// # Errors
    /// [`Denial::BadGateway`] and [`Denial::GatewayTimeout`] when the upstream fails,
    /// [`Denial::MethodNotAllowed`] for CONNECT and TRACE, [`Denial::Unreadable`] for a target
    /// that is not a path, and when the client's own body breaks off.
    pub async fn forward<B>(
        &self,
        request: Request<B>,
        upstream: &Upstream,
        visit: &Visit<'_>,
        signed_in: Option<&SignedIn<'_>>,
    ) -> Result<Response<Body>, Denial>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BodyError>,
    {
        let (parts, incoming) = request.into_parts();
        // TRACE would echo the assertion to whoever sent it (RFC 9110, 9.3.8).
        if matches!(parts.method, Method::CONNECT | Method::TRACE) {
            return Err(Denial::MethodNotAllowed("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
        }
        let uri = target(upstream, parts.uri.path_and_query(), &parts.method)?;
        let mut fields = parts.headers;
        let length_given = fields.contains_key(CONTENT_LENGTH);
        headers::to_upstream(&mut fields, visit, signed_in);
        frame(&mut fields, &incoming, length_given);

        // RFC 9110, 9.2.2: a safe request without a body may be sent again; one that met a
        // connection the upstream was just closing deserves it.
        let again = (parts.method.is_safe() && incoming.is_end_stream()).then(|| fields.clone());
        let progress = Progress::default();
        let body = body::relay_counted(incoming, &progress);
        let sent = request_to(parts.method.clone(), uri.clone(), fields, body);
        let mut answer = self.answer(sent, upstream, &progress).await;
        if matches!(answer, Err(Failure::Closed(_)))
            && let Some(fields) = again
        {
            let sent = request_to(parts.method, uri, fields, body::empty());
            answer = self.answer(sent, upstream, &progress).await;
        }
        let mut response = answer.map_err(Failure::into_denial)?;
        headers::to_client(response.headers_mut(), visit.cookie, signed_in.is_some());
        Ok(response)
    }

    /// Sends the visit that redeemed a link to the upstream's `callback` path, as a GET with the
    /// login assertion; the upstream's answer is the visitor's.
    ///
    /// `visitor` is the headers of the request that redeemed. Sent once: the upstream may have
    /// accepted the assertion before its connection broke.
    ///
    /// # Errors
    /// [`Denial::BadGateway`], [`Denial::GatewayTimeout`].
    pub async fn callback(
        &self,
        visitor: &HeaderMap,
        upstream: &Upstream,
        callback: &str,
        visit: &Visit<'_>,
        login_assertion: &str,
    ) -> Result<Response<Body>, Denial> {
        let path = PathAndQuery::try_from(callback)
            .map_err(|error| Denial::Internal(format!("callback {callback:?}: {error}")))?;
        let uri = target(upstream, Some(&path), &Method::GET)?;
        let fields = headers::to_callback(visitor, visit, login_assertion);
        let sent = request_to(Method::GET, uri, fields, body::empty());
        let mut response = self
            .answer(sent, upstream, &Progress::default())
            .await
            .map_err(Failure::into_denial)?;
        headers::from_callback(response.headers_mut(), visit.cookie);
        Ok(response)
    }

    async fn answer(
        &self,
        request: Request<Body>,
        upstream: &Upstream,
        progress: &Progress,
    ) -> Result<Response<Body>, Failure> {
        let mut pending = pin!(self.client.request(request));
        let answer = loop {
            let frames = progress.frames();
            match tokio::time::timeout(self.answer, pending.as_mut()).await {
                Ok(answer) => break answer,
                // A long upload is no silent upstream.
                Err(_) if progress.frames() != frames => {}
                Err(_) => return Err(Failure::Slow),
            }
        };
        let response = answer.map_err(|error| Failure::of(&error, upstream))?;
        if response.status().is_informational() {
            let why = format!("{}: switches protocols unasked", upstream.authority);
            return Err(Failure::Broken(why));
        }
        Ok(response_from(response))
    }
}

/// Why there is no answer.
enum Failure {
    /// The connection closed, or broke, before an answer began.
    Closed(String),
    /// Anything else of the upstream's.
    Broken(String),
    /// No connection or no answer in time.
    Slow,
    /// The client's body broke off.
    Client,
}

impl Failure {
    fn of(error: &hyper_util::client::legacy::Error, upstream: &Upstream) -> Self {
        let mut why = format!("{}: {error}", upstream.authority);
        let (mut closed, mut slow, mut client) = (false, false, false);
        let mut source = error.source();
        while let Some(cause) = source {
            why = format!("{why}: {cause}");
            if let Some(hyper) = cause.downcast_ref::<hyper::Error>() {
                closed |= hyper.is_incomplete_message() || hyper.is_closed() || hyper.is_canceled();
                client |= hyper.is_user();
            }
            if let Some(io) = cause.downcast_ref::<io::Error>() {
                slow |= io.kind() == io::ErrorKind::TimedOut;
                closed |=
                    matches!(io.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe);
            }
            source = cause.source();
        }
        match () {
            () if client => Self::Client,
            () if slow => Self::Slow,
            () if closed => Self::Closed(why),
            () => Self::Broken(why),
        }
    }

    fn into_denial(self) -> Denial {
        match self {
            Self::Closed(why) | Self::Broken(why) => Denial::BadGateway(why),
            Self::Slow => Denial::GatewayTimeout,
            Self::Client => Denial::Unreadable("the body broke off".to_owned()),
        }
    }
}

/// Where to send it: the upstream's authority, the target's own bytes.
fn target(
    upstream: &Upstream,
    path: Option<&PathAndQuery>,
    method: &Method,
) -> Result<Uri, Denial> {
    let path = path
        .filter(|path| {
            path.as_str().starts_with('/') || (path == &"*" && method == Method::OPTIONS)
        })
        .ok_or_else(|| Denial::Unreadable("the request's target is not a path".to_owned()))?;
    Uri::builder()
        .scheme(Scheme::HTTP)
        .authority(upstream.authority.as_str())
        .path_and_query(path.clone())
        .build()
        .map_err(|error| Denial::Internal(format!("upstream {}: {error}", upstream.authority)))
}

/// Frames the body as it is, not as the client said it would be (RFC 9112, 6).
fn frame(fields: &mut HeaderMap, body: &impl HttpBody, length_given: bool) {
    if body.is_end_stream() {
        if length_given {
            fields.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
    } else if let Some(length) = body.size_hint().exact() {
        fields.insert(CONTENT_LENGTH, HeaderValue::from(length));
    } else {
        // Said outright: hyper would send a GET of unknown length without its body.
        fields.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

fn request_to(method: Method, uri: Uri, fields: HeaderMap, body: Body) -> Request<Body> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_11;
    *request.headers_mut() = fields;
    request
}

/// The answer as the gate's own server sends it: without the upstream connection's version and
/// extensions, which are of the other hop.
fn response_from(response: Response<Incoming>) -> Response<Body> {
    let (parts, incoming) = response.into_parts();
    let mut response = Response::new(body::relay(incoming));
    *response.status_mut() = parts.status;
    *response.headers_mut() = parts.headers;
    response
}
