//! Connections to upstreams: in the clear, or by TLS, verified as the site says.

use std::{io, time::Duration};

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

use crate::{
    edge::body::Body,
    gate::site::{Trust, Upstream},
    store::outgoing::{self, Roots},
};

/// An idle connection is given up before the shortest keep-alive in common use (5 s) ends, so
/// that requests rarely meet a connection the upstream is about to close.
const IDLE: Duration = Duration::from_secs(4);
/// Idle connections kept for one upstream.
const IDLE_PER_UPSTREAM: usize = 64;
/// A connection on which nothing moves for so long is asked whether anybody is there.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Connections of one trust.
pub(super) type Pool = Client<HttpsConnector<HttpConnector>, Body>;

/// A pool for each trust: what one site trusts, another at the same address need not.
#[derive(Debug, Clone)]
pub(super) struct Pools(Vec<(Option<Trust>, Pool)>);

impl Pools {
    /// Pools with nothing in them. No proxy is used, whatever the environment says.
    pub(super) fn open<'a>(
        upstreams: impl IntoIterator<Item = &'a Upstream>,
        connect: Duration,
    ) -> io::Result<Self> {
        let mut pools = Vec::new();
        for Upstream { tls, .. } in upstreams {
            if !pools.iter().any(|(known, _)| known == tls) {
                pools.push((tls.clone(), pool(tls.as_ref(), connect)?));
            }
        }
        Ok(Self(pools))
    }

    /// The pool of an upstream that was named at the opening.
    pub(super) fn to(&self, upstream: &Upstream) -> Option<&Pool> {
        self.0.iter().find(|(trust, _)| *trust == upstream.tls).map(|(_, pool)| pool)
    }
}

fn pool(trust: Option<&Trust>, connect: Duration) -> io::Result<Pool> {
    let roots = match trust {
        None => Roots::Nobody,
        Some(Trust::System) => Roots::System,
        Some(Trust::Own(pem)) => Roots::Pem(pem.as_bytes()),
    };
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_connect_timeout(Some(connect));
    http.set_nodelay(true);
    http.set_keepalive(Some(KEEPALIVE));
    // HTTP/1.1 over TLS too: the authority of HTTP/2 would be the upstream's, not the site's.
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(outgoing::tls(roots)?)
        .https_or_http()
        .enable_http1()
        .wrap_connector(http);
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_PER_UPSTREAM)
        .set_host(false)
        .build(connector))
}
