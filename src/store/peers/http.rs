//! The way to the other gates over HTTP: on kept connections, to their public listeners.

use std::{collections::BTreeMap, fmt, io, time::Duration};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{
    HeaderValue, Method, Request, StatusCode, Uri,
    header::{CONTENT_TYPE, HeaderName},
};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::sync::Semaphore;

use super::{
    outgoing::{self, reason},
    pinned::TIMEOUT,
    road::{Road, Sealed, Unanswered},
};
use crate::gate::{origin::Origin, peer::PROOF_HEADER};

/// Questions under way to one gate at most; the others wait for their turn.
const AT_ONCE: usize = 128;
/// Before the shortest keep-alive in common use (5 s) ends.
const IDLE: Duration = Duration::from_secs(4);
/// The most bytes of an answer.
const LARGEST: usize = 1 << 20;

/// The way to the other gates over HTTP.
pub struct HttpRoad {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    peers: BTreeMap<String, Address>,
}

struct Address {
    origin: Origin,
    under_way: Semaphore,
}

impl HttpRoad {
    /// The way to the gates of these names at these origins. Connects to none yet.
    ///
    /// # Errors
    /// An origin is https, and there are no roots to verify it with.
    pub fn new(peers: impl IntoIterator<Item = (String, Origin)>) -> io::Result<Self> {
        let address = |origin| Address { origin, under_way: Semaphore::new(AT_ONCE) };
        let peers: BTreeMap<_, _> =
            peers.into_iter().map(|(name, origin)| (name, address(origin))).collect();
        let secure = peers.values().any(|address| address.origin.is_secure());
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(AT_ONCE)
            .build(outgoing::connector(secure, TIMEOUT)?);
        Ok(Self { client, peers })
    }

    async fn carry(
        &self,
        peer: &str,
        path: &'static str,
        question: Sealed,
    ) -> Result<Sealed, Unanswered> {
        let unasked = |why: &str| Unanswered { unasked: true, why: why.to_owned() };
        let address = self.peers.get(peer).ok_or_else(|| unasked("it has no address"))?;
        let request = request(&address.origin, path, question)
            .ok_or_else(|| unasked("its address makes no request"))?;
        let _place = address.under_way.acquire().await.map_err(|_| unasked("the gate ends"))?;
        let answer = self.client.request(request).await.map_err(|error| Unanswered {
            // Without a connection nothing was sent.
            unasked: error.is_connect(),
            why: reason(&error),
        })?;
        let lost = |why: String| Unanswered { unasked: false, why };
        let status = answer.status();
        let proof = answer.headers().get(PROOF_HEADER).and_then(|proof| proof.to_str().ok());
        let proof = proof.unwrap_or_default().to_owned();
        // Read in any case: what is left of it would cost the connection.
        let body = Limited::new(answer.into_body(), LARGEST).collect().await;
        if status != StatusCode::OK {
            let why = format!(
                "it answers {}; both need the same session keys, each the other's name and \
                 address, and the same version",
                status.as_u16()
            );
            return Err(lost(why));
        }
        let body = body.map_err(|error| lost(format!("its answer broke off: {error}")))?.to_bytes();
        Ok(Sealed { proof, body })
    }
}

impl Road for HttpRoad {
    fn send<'a>(
        &'a self,
        peer: &'a str,
        path: &'static str,
        question: Sealed,
    ) -> BoxFuture<'a, Result<Sealed, Unanswered>> {
        Box::pin(self.carry(peer, path, question))
    }
}

impl fmt::Debug for HttpRoad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origins = self.peers.iter().map(|(name, address)| (name, &address.origin));
        f.debug_map().entries(origins).finish()
    }
}

fn request(origin: &Origin, path: &str, question: Sealed) -> Option<Request<Full<Bytes>>> {
    let uri: Uri = [origin.as_str(), path].concat().parse().ok()?;
    let mut request = Request::new(Full::new(question.body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    let fields = request.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    fields
        .insert(HeaderName::from_static(PROOF_HEADER), HeaderValue::try_from(question.proof).ok()?);
    Some(request)
}
