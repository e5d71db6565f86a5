//! Proxying to the sites' upstreams.
//!
//! Bodies stream both ways. The target's path and query are passed on byte for byte: what was
//! authorised is what is asked for. Header fields cross by the rules of [`headers`].

use std::{
    error::Error,
    io,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{
    Extensions, HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
    request::Parts,
    uri::PathAndQuery,
};
use http_body::Body as HttpBody;
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::{
    edge::{
        body::{self, Body, BodyError, Progress, Stalled},
        headers::{self, Introduction, Visit},
        pools::{Answered, Lease, Pool, Pools},
        trailers::Announced,
        upgrade::Upgrade,
    },
    gate::{denial::Denial, site::Upstream},
    sync::yielding::yield_to_the_ready,
};

/// How long an upstream may take.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For the connection: 5 s unless said otherwise.
    pub connect: Duration,
    /// For the head of the answer, since the request's body last moved: 60 s unless said
    /// otherwise. The answer's body may then take any time: it may be a stream of events.
    pub answer: Duration,
    /// For a request's body to move, until the answer begins: 30 s unless said otherwise.
    pub body: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let (connect, answer) = (Duration::from_secs(5), Duration::from_secs(60));
        Self { connect, answer, body: Duration::from_secs(30) }
    }
}

/// The connections to all upstreams. Cheap to clone; clones share them.
#[derive(Debug, Clone)]
pub struct Upstreams {
    pools: Arc<Pools>,
    timeouts: Timeouts,
}

impl Upstreams {
    /// No connections yet, to these upstreams.
    ///
    /// # Errors
    /// One is to be verified, and there is nothing to verify it with.
    pub fn new<'a>(
        upstreams: impl IntoIterator<Item = &'a Upstream>,
        timeouts: Timeouts,
    ) -> io::Result<Self> {
        let pools = Arc::new(Pools::open(upstreams, timeouts.connect)?);
        Ok(Self { pools, timeouts })
    }

    /// Passes a request on, and hands back the upstream's answer as soon as its head is there.
    ///
    /// With an `upgrade` that the upstream agrees to, the answer is 101, and what the client then
    /// sends is the upstream's.
    ///
    /// # Errors
    /// [`Denial::BadGateway`] and [`Denial::GatewayTimeout`] when the upstream fails,
    /// [`Denial::MethodNotAllowed`] for CONNECT and TRACE, [`Denial::Unreadable`] for a target
    /// that is not a path, and when the client's own body breaks off or stands still.
    pub async fn forward<B>(
        &self,
        request: Request<B>,
        upstream: &Upstream,
        visit: &Visit<'_>,
        introduction: Option<&Introduction>,
        upgrade: Option<Upgrade>,
    ) -> Result<Response<Body>, Denial>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BodyError>,
    {
        let (mut parts, incoming) = request.into_parts();
        // TRACE would echo the assertion to whoever sent it (RFC 9110, 9.3.8).
        if matches!(parts.method, Method::CONNECT | Method::TRACE) {
            return Err(Denial::MethodNotAllowed("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
        }
        parts.uri = target(parts.uri, &parts.method)?;
        let said = Said { visit, introduction, upgrade: upgrade.as_ref() };
        // RFC 9110, 9.2.2: a safe request without a body may be sent again; one that met a
        // connection the upstream was just closing deserves it. What the client sent is less to
        // keep for that than what the upstream is sent.
        let again = (parts.method.is_safe() && incoming.is_end_stream()).then(|| parts.clone());
        let progress = (!incoming.is_end_stream()).then(Progress::default);
        let (body, announced) = match &progress {
            Some(progress) => {
                let announced = Announced::of(&parts.headers, visit.mapping);
                let patience = self.timeouts.body;
                (body::relay_upload(incoming, announced.clone(), progress, patience), announced)
            }
            None => (body::empty(), Announced::default()),
        };
        let sent = said.in_request(parts, body, &announced);
        let mut answer = self.answer(sent, upstream, progress.as_ref(), upgrade.as_ref()).await;
        if matches!(answer, Err(Failure::Closed(_)))
            && let Some(parts) = again
        {
            let sent = said.in_request(parts, body::empty(), &announced);
            answer = self.answer(sent, upstream, None, upgrade.as_ref()).await;
        }
        let (mut answer, lease) = answer.map_err(Failure::into_denial)?;
        if let Some(progress) = progress {
            progress.answered();
        }
        let switched = hyper::upgrade::on(&mut answer);
        let (mut response, announced) = passed(answer, lease, visit);
        headers::to_client(response.headers_mut(), visit.cookie, introduction.is_some());
        announced.announce(response.headers_mut());
        if let Some(upgrade) = upgrade
            && response.status() == StatusCode::SWITCHING_PROTOCOLS
        {
            upgrade.agree(switched, &mut response);
        }
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
        let uri = target(path.into(), &Method::GET)?;
        let mut sent = Request::new(body::empty());
        *sent.uri_mut() = uri;
        *sent.headers_mut() = headers::to_callback(visitor, visit, login_assertion);
        let answer = self.answer(sent, upstream, None, None).await;
        let (answer, lease) = answer.map_err(Failure::into_denial)?;
        let (mut response, announced) = passed(answer, lease, visit);
        headers::from_callback(response.headers_mut(), visit.cookie);
        announced.announce(response.headers_mut());
        Ok(response)
    }

    /// The head of the upstream's answer, and the connection that it came by. The `progress` is
    /// that of the request's body, where it has one.
    async fn answer(
        &self,
        mut request: Request<Body>,
        upstream: &Upstream,
        progress: Option<&Progress>,
        upgrade: Option<&Upgrade>,
    ) -> Result<(Response<Incoming>, Lease), Failure> {
        let unknown = || Failure::Broken(format!("{} is not open", upstream.authority));
        let pool = self.pools.to(upstream).ok_or_else(unknown)?;
        // Those who are as far ask the upstream one right after the other.
        yield_to_the_ready().await;
        let (response, lease) = loop {
            let mut lease = match pool.idle() {
                Some(lease) => lease,
                None => self.connected(pool, upstream).await?,
            };
            let pending = pin!(lease.send(request));
            match self.head(&mut lease, pending, progress).await {
                Some(Ok(response)) => break (response, lease),
                None => return Err(Failure::Slow),
                Some(Err(mut error)) => match error.take_message() {
                    // Closed while it was idle: nobody has seen any of it.
                    Some(unsent) if lease.is_reused => request = unsent,
                    _ => return Err(Failure::of(error.error(), upstream)),
                },
            }
        };
        // hyper passes over all others of 1xx: this one is 101.
        let switches = response.status().is_informational();
        if switches && !upgrade.is_some_and(|upgrade| upgrade.is_agreed(response.headers())) {
            let why = format!("{}: switches protocols unasked", upstream.authority);
            return Err(Failure::Broken(why));
        }
        Ok((response, lease))
    }

    async fn connected(&self, pool: &Pool, upstream: &Upstream) -> Result<Lease, Failure> {
        // Most requests find a connection, and carry no room for making one.
        let connecting = Box::pin(pool.connect());
        match tokio::time::timeout(self.timeouts.answer, connecting).await {
            Ok(connected) => connected.map_err(|error| Failure::of(error.as_ref(), upstream)),
            Err(_) => Err(Failure::Slow),
        }
    }

    /// The head of an answer; none where it does not come in time.
    async fn head(
        &self,
        lease: &mut Lease,
        mut pending: Pin<&mut impl Future<Output = Answered>>,
        progress: Option<&Progress>,
    ) -> Option<Answered> {
        loop {
            let frames = progress.map(Progress::frames);
            tokio::select! {
                biased;
                answer = &mut pending => return Some(answer),
                () = lease.until(Instant::now() + self.timeouts.answer) => {}
            }
            // A long upload is no silent upstream.
            if progress.map(Progress::frames) == frames {
                return None;
            }
        }
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
    /// The client's body stood still.
    Stalled(Stalled),
}

impl Failure {
    fn of(error: &(dyn Error + 'static), upstream: &Upstream) -> Self {
        let mut why = upstream.authority.clone();
        let (mut closed, mut slow, mut client, mut stalled) = (false, false, false, None);
        let mut source = Some(error);
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
            stalled = stalled.or(cause.downcast_ref().copied());
            source = cause.source();
        }
        if let Some(stalled) = stalled {
            return Self::Stalled(stalled);
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
            Self::Stalled(stalled) => Denial::Unreadable(stalled.to_string()),
        }
    }
}

/// What is said of a client's request to the upstream.
struct Said<'a> {
    visit: &'a Visit<'a>,
    introduction: Option<&'a Introduction>,
    upgrade: Option<&'a Upgrade>,
}

impl Said<'_> {
    /// The request to the upstream: `parts` are as the client sent them, `body` is what goes on.
    fn in_request(&self, mut parts: Parts, body: Body, announced: &Announced) -> Request<Body> {
        let fields = &mut parts.headers;
        let length_given = fields.contains_key(CONTENT_LENGTH);
        headers::to_upstream(fields, self.visit, self.introduction);
        // Frames the body as it is, not as the client said it would be (RFC 9112, 6). Of HTTP/2 it
        // has both a length and trailers; of HTTP/1.1 it is then in chunks.
        let trails = parts.version == Version::HTTP_2 && !announced.is_empty();
        if body.is_end_stream() {
            if length_given {
                fields.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
            }
        } else if let Some(length) = body.size_hint().exact().filter(|_| !trails) {
            fields.insert(CONTENT_LENGTH, HeaderValue::from(length));
        } else {
            // Said outright: hyper would send a GET of unknown length without its body.
            fields.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            announced.announce(fields);
        }
        if let Some(upgrade) = self.upgrade {
            upgrade.ask(fields);
        }
        // These are of the other hop.
        (parts.version, parts.extensions) = (Version::HTTP_11, Extensions::new());
        Request::from_parts(parts, body)
    }
}

/// What to ask for: the target's own bytes.
fn target(uri: Uri, method: &Method) -> Result<Uri, Denial> {
    let path = uri.into_parts().path_and_query.filter(|path| {
        path.as_str().starts_with('/') || (path.as_str() == "*" && method == Method::OPTIONS)
    });
    path.map(Uri::from)
        .ok_or_else(|| Denial::Unreadable("the request's target is not a path".to_owned()))
}

/// The answer as the gate's own server sends it: without the upstream connection's version and
/// extensions, which are of the other hop; and which trailers may follow.
fn passed(
    answer: Response<Incoming>,
    lease: Lease,
    visit: &Visit<'_>,
) -> (Response<Body>, Announced) {
    let (mut parts, incoming) = answer.into_parts();
    let announced = if parts.headers.contains_key(TRANSFER_ENCODING) {
        Announced::of(&parts.headers, visit.mapping)
    } else {
        Announced::default()
    };
    // What was switched to another protocol is never HTTP's again.
    let lease = Some(lease).filter(|_| parts.status != StatusCode::SWITCHING_PROTOCOLS);
    (parts.version, parts.extensions) = (Version::HTTP_11, Extensions::new());
    let body = body::relay_answer(incoming, announced.clone(), lease);
    (Response::from_parts(parts, body), announced)
}
