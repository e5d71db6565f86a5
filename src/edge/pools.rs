//! Connections to upstreams: in the clear, or by TLS, verified as the site says; kept while idle.
//!
//! One pool for each upstream, so that taking a connection out of it and giving it back asks for
//! nothing but a lock held for a moment.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt, io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use http::{Request, Response, Uri};
use hyper::{
    body::Incoming,
    client::conn::{
        TrySendError,
        http1::{self, SendRequest},
    },
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use tokio::time::{Instant, Sleep};
use tower_service::Service as _;
use tracing::debug;

use crate::{
    edge::body::{Body, BodyError},
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

/// A pool for each upstream and trust: what one site trusts, another at the same address need not.
#[derive(Debug)]
pub(super) struct Pools(BTreeMap<String, Vec<(Option<Trust>, Pool)>>);

/// The connections to one upstream. Cheap to clone; clones share them.
#[derive(Clone)]
pub(super) struct Pool(Arc<Shared>);

struct Shared {
    to: Uri,
    connector: HttpsConnector<HttpConnector>,
    idle: Mutex<Idle>,
}

/// Those that wait for their next request, the longest idle first.
#[derive(Default)]
struct Idle {
    since: VecDeque<(Instant, Link)>,
    /// Whether somebody looks after them.
    is_swept: bool,
}

/// A connection, ready for a request or soon.
struct Link {
    send: SendRequest<Body>,
    /// Runs as long as the connection: to move a timer is cheaper than to set one up.
    clock: Pin<Box<Sleep>>,
}

/// What came of a request: the head of its answer, or what went wrong, with the request where
/// nothing of it was sent.
pub(super) type Answered = Result<Response<Incoming>, TrySendError<Request<Body>>>;

/// A connection in use, which goes back to its pool or ends.
pub(super) struct Lease {
    link: Link,
    /// Whether it has answered before.
    pub(super) is_reused: bool,
    pool: Pool,
}

impl Pools {
    /// Pools with nothing in them. No proxy is used, whatever the environment says.
    pub(super) fn open<'a>(
        upstreams: impl IntoIterator<Item = &'a Upstream>,
        connect: Duration,
    ) -> io::Result<Self> {
        let mut connectors: Vec<(Option<Trust>, HttpsConnector<HttpConnector>)> = Vec::new();
        let mut pools: BTreeMap<String, Vec<(Option<Trust>, Pool)>> = BTreeMap::new();
        for upstream in upstreams {
            let Upstream { authority, tls } = upstream;
            let known = connectors.iter().find(|(known, _)| known == tls);
            let connector = if let Some((_, connector)) = known {
                connector.clone()
            } else {
                let connector = connector(tls.as_ref(), connect)?;
                connectors.push((tls.clone(), connector.clone()));
                connector
            };
            let there = pools.entry(authority.clone()).or_default();
            if !there.iter().any(|(known, _)| known == tls) {
                there.push((tls.clone(), Pool::open(upstream, connector)?));
            }
        }
        Ok(Self(pools))
    }

    /// The pool of an upstream that was named at the opening.
    pub(super) fn to(&self, upstream: &Upstream) -> Option<&Pool> {
        let there = self.0.get(&upstream.authority)?;
        there.iter().find(|(trust, _)| *trust == upstream.tls).map(|(_, pool)| pool)
    }
}

impl Pool {
    fn open(upstream: &Upstream, connector: HttpsConnector<HttpConnector>) -> io::Result<Self> {
        let to = Uri::builder()
            .scheme(if upstream.tls.is_some() { "https" } else { "http" })
            .authority(upstream.authority.as_str())
            .path_and_query("/")
            .build()
            .map_err(io::Error::other)?;
        Ok(Self(Arc::new(Shared { to, connector, idle: Mutex::default() })))
    }

    /// A connection that was used before, if one is idle.
    pub(super) fn idle(&self) -> Option<Lease> {
        let link = self.locked(|idle| {
            let now = Instant::now();
            // One that has just been given back may yet have to notice that.
            let is_good = |(since, link): &(_, Link)| link.send.is_ready() && now < *since + IDLE;
            let last = idle.since.iter().rposition(is_good)?;
            idle.since.remove(last).map(|(_, link)| link)
        });
        link.map(|link| Lease { link, is_reused: true, pool: self.clone() })
    }

    /// A new connection.
    ///
    /// # Errors
    /// What the system, or TLS, says.
    pub(super) async fn connect(&self) -> Result<Lease, BodyError> {
        let io = self.0.connector.clone().call(self.0.to.clone()).await?;
        let (mut send, connection) = http1::handshake(io).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                debug!(%error, "an upstream's connection ended");
            }
        });
        send.ready().await?;
        let clock = Box::pin(tokio::time::sleep(Duration::ZERO));
        Ok(Lease { link: Link { send, clock }, is_reused: false, pool: self.clone() })
    }

    fn keep(&self, link: Link) {
        if link.send.is_closed() {
            return;
        }
        let begins = self.locked(|idle| {
            if idle.since.len() >= IDLE_PER_UPSTREAM {
                // Those that the upstream has closed since make room first.
                idle.since.retain(|(_, link)| !link.send.is_closed());
            }
            if idle.since.len() >= IDLE_PER_UPSTREAM {
                idle.since.pop_front();
            }
            idle.since.push_back((Instant::now(), link));
            !std::mem::replace(&mut idle.is_swept, true)
        });
        if begins {
            tokio::spawn(sweep(Arc::downgrade(&self.0)));
        }
    }

    fn locked<T>(&self, act: impl FnOnce(&mut Idle) -> T) -> T {
        act(&mut self.0.idle.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Lets go of what is idle for too long, as long as there is anything.
async fn sweep(pool: Weak<Shared>) {
    loop {
        tokio::time::sleep(IDLE).await;
        let Some(pool) = pool.upgrade() else { return };
        let over = Pool(pool).locked(|idle| {
            let now = Instant::now();
            idle.since.retain(|(since, link)| now < *since + IDLE && !link.send.is_closed());
            idle.is_swept = !idle.since.is_empty();
            !idle.is_swept
        });
        if over {
            return;
        }
    }
}

impl Lease {
    /// Sends a request, and waits for the head of its answer.
    pub(super) fn send(
        &mut self,
        request: Request<Body>,
    ) -> impl Future<Output = Answered> + use<> {
        self.link.send.try_send_request(request)
    }

    /// Waits until `over`, beside what was sent.
    pub(super) fn until(&mut self, over: Instant) -> Pin<&mut Sleep> {
        let mut clock = self.link.clock.as_mut();
        clock.as_mut().reset(over);
        clock
    }

    /// Gives it back, once its answer was read to the end.
    pub(super) fn give_back(self) {
        self.pool.keep(self.link);
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({})", self.0.to)
    }
}

fn connector(
    trust: Option<&Trust>,
    connect: Duration,
) -> io::Result<HttpsConnector<HttpConnector>> {
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
    Ok(HttpsConnectorBuilder::new()
        .with_tls_config(outgoing::tls(roots)?)
        .https_or_http()
        .enable_http1()
        .wrap_connector(http))
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::AsyncReadExt as _,
        net::{TcpListener, TcpStream},
        task::yield_now,
        time::{advance, pause, timeout},
    };

    use super::*;

    /// Longer than anything may take.
    const LONG: Duration = Duration::from_secs(60);

    /// A pool, and where its connections end.
    struct Ends {
        pool: Pool,
        upstream: TcpListener,
    }

    impl Ends {
        async fn open() -> Self {
            let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let authority = upstream.local_addr().unwrap().to_string();
            let connector = connector(None, LONG).unwrap();
            let pool = Pool::open(&Upstream { authority, tls: None }, connector).unwrap();
            Self { pool, upstream }
        }

        /// A new connection, and its other end.
        async fn connect(&self) -> (Lease, TcpStream) {
            let lease = self.pool.connect().await.unwrap();
            (lease, self.upstream.accept().await.unwrap().0)
        }

        fn kept(&self) -> usize {
            self.pool.locked(|idle| idle.since.len())
        }
    }

    async fn is_closed(end: &mut TcpStream) {
        let read = timeout(LONG, end.read(&mut [0; 1])).await;
        assert_eq!(read.unwrap().unwrap(), 0);
    }

    #[tokio::test]
    async fn what_the_upstream_closed_while_it_was_idle_is_used_for_nothing() {
        let ends = Ends::open().await;
        let (lease, end) = ends.connect().await;
        assert!(!lease.is_reused);
        lease.give_back();
        let lease = ends.pool.idle().unwrap();
        assert!(lease.is_reused);
        lease.give_back();
        drop(end);
        // As soon as the system has told of it.
        let noticed = async {
            while let Some(lease) = ends.pool.idle() {
                lease.give_back();
                yield_now().await;
            }
        };
        timeout(LONG, noticed).await.unwrap();
    }

    #[tokio::test]
    async fn what_was_idle_for_too_long_is_used_for_nothing_and_closed() {
        let ends = Ends::open().await;
        let (lease, mut end) = ends.connect().await;
        pause();
        lease.give_back();
        advance(IDLE / 2).await;
        ends.pool.idle().unwrap().give_back();
        advance(IDLE).await;
        assert!(ends.pool.idle().is_none());
        is_closed(&mut end).await;
        assert_eq!(ends.kept(), 0);
    }

    #[tokio::test]
    async fn of_too_many_idle_ones_the_longest_idle_is_closed() {
        let ends = Ends::open().await;
        let (mut leases, mut others) = (Vec::new(), Vec::new());
        for _ in 0..=IDLE_PER_UPSTREAM {
            let (lease, end) = ends.connect().await;
            leases.push(lease);
            others.push(end);
        }
        leases.into_iter().for_each(Lease::give_back);
        assert_eq!(ends.kept(), IDLE_PER_UPSTREAM);
        is_closed(&mut others[0]).await;
        let lease = ends.pool.idle().unwrap();
        assert_eq!(ends.kept(), IDLE_PER_UPSTREAM - 1);
        lease.give_back();
    }
}
