//! Accepting connections, and letting go of them.

use std::{future::Future, io, net::SocketAddr, os::fd::AsFd, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use hyper::{Request, Response, body::Incoming};
use prometheus_client::metrics::gauge::Gauge;
use rustix::{io::Errno, net::sockopt};
use tokio::{
    net::{TcpListener, TcpStream},
    time::Instant,
};
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::{
    edge::{
        arrival::{NotArrived, arrive},
        body::Body,
        connection::Connection,
        converse::{FIRST_REQUEST, GONE, Terms, converse},
        places::Places,
    },
    gate::client_ip::Networks,
    ops::{metrics::Unserved, shutdown::Shutdown},
    store::certificates::Server,
};

/// How long to wait before accepting again when the system has no more files to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The same where a connection was asked to give its own back.
const GIVEN_BACK: Duration = Duration::from_millis(5);
/// How often it is said that nothing can be accepted.
const AGAIN: Duration = Duration::from_secs(10);
/// [`GONE`] in milliseconds.
#[expect(clippy::cast_possible_truncation, reason = "two minutes")]
const USER_TIMEOUT: u32 = GONE.as_millis() as u32;

/// What a listener grants its connections.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How long a request's head may take, an idle connection's next one too; and all that comes
    /// before the first.
    pub header_timeout: Duration,
    /// How many connections at once.
    pub max_connections: usize,
}

/// How connections begin, and what is counted of them.
#[derive(Debug, Clone, Default)]
pub struct Front {
    /// With what TLS begins; none: in the clear. New connections take what is there now.
    pub tls: Option<Arc<ArcSwap<Server>>>,
    /// Who must begin with a PROXY header. From others none is taken.
    pub proxies: Option<Networks>,
    /// Open connections.
    pub open: Gauge,
    /// Connections that came to nothing.
    pub unserved: Unserved,
}

/// How a listener ends, and who is still there then.
#[derive(Debug, Clone)]
pub struct End {
    /// From here on every answer closes its connection: a client that keeps one learns that it
    /// must not ask there again, and loses no request to the closing.
    pub near: Shutdown,
    /// From here on nothing is accepted and what is idle is closed.
    pub here: Shutdown,
    /// The connections that are open, upgraded ones too.
    pub connections: TaskTracker,
    /// Those of them that may still ask for something.
    pub asking: TaskTracker,
}

impl End {
    /// An end that is near when it is here.
    pub fn at(shutdown: &Shutdown) -> Self {
        Self {
            near: shutdown.clone(),
            here: shutdown.clone(),
            connections: TaskTracker::new(),
            asking: TaskTracker::new(),
        }
    }
}

/// Serves `listener` with `answer` until its end is here.
///
/// Returns when it no longer accepts; the connections still busy go on until they are answered.
pub async fn serve<S, F>(listener: TcpListener, limits: Limits, front: Front, end: End, answer: S)
where
    S: Fn(Connection, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let places = Places::new(limits.max_connections, front.open.clone());
    let mut here = end.here.clone();
    let mut options = Options::on(&listener);
    let front = Arc::new(front);
    let mut said = None;
    loop {
        let (stream, peer) = tokio::select! {
            accepted = accept(&listener, &places, &mut said) => accepted,
            () = here.wait() => return,
        };
        // It was accepted, so it is served, even if there is no place until the end is here.
        let place = tokio::select! {
            place = places.take() => place,
            () = here.wait() => places.another(),
        };
        options.see_to(&stream);
        let listed = places.list();
        let terms = Terms {
            header_timeout: limits.header_timeout,
            near: end.near.clone(),
            here: end.here.clone(),
            // Before anybody can wait for those that may ask: the next is not yet accepted.
            may_ask: end.asking.token(),
            activity: listed.activity.clone(),
        };
        let held = (place, end.connections.token());
        let (front, answer) = (front.clone(), answer.clone());
        tokio::spawn(async move {
            serve_one(stream, peer, front, held, terms, answer).await;
            drop(listed);
        });
    }
}

/// Serves one connection.
async fn serve_one<S, F, H>(
    stream: TcpStream,
    peer: SocketAddr,
    front: Arc<Front>,
    held: H,
    mut terms: Terms,
    answer: S,
) where
    S: Fn(Connection, Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
    H: Send + Unpin + 'static,
{
    let arriving = arrive(stream, peer, front.proxies.as_ref(), front.tls.as_ref());
    let began = terms.activity.began();
    let arrived = tokio::select! {
        biased;
        arrived = tokio::time::timeout(terms.header_timeout, arriving) => arrived,
        () = terms.activity.gives_way() => return,
        () = async {
            terms.here.wait().await;
            tokio::time::sleep_until(began + FIRST_REQUEST).await;
        } => return,
    };
    let why = match arrived {
        Ok(Ok(arrived)) => {
            if let Err(error) = converse(arrived, held, terms, answer).await {
                debug!(%peer, %error, "connection ended");
            }
            return;
        }
        // Who looks whether anybody is there says nothing.
        Ok(Err(NotArrived::Closed(error))) => return debug!(%peer, %error, "connection ended"),
        Ok(Err(not_arrived)) => {
            debug!(%peer, error = %not_arrived, "connection not served");
            match not_arrived {
                NotArrived::ProxyHeader(_) => "proxy_header",
                _ => "tls",
            }
        }
        Err(_) => {
            debug!(%peer, "connection not served: it began nothing in time");
            "too_slow"
        }
    };
    front.unserved.count(why);
}

/// Small answers leave at once. Who has vanished, or does not read, gives the place back: what
/// waits in this process then are a few buffers, but nobody would ever take them away.
///
/// A connection begins with the options of the socket that it came to, so they are set there;
/// those that waited before have to be given their own. Failing to set them costs latency, or a
/// place for longer than it is worth.
struct Options {
    /// Whether the last connection began with them: who came after it does, too.
    begun_with: bool,
}

impl Options {
    /// Sets them on the socket that listens: what comes from here on begins with them.
    fn on(listener: &TcpListener) -> Self {
        let _ = set_options(listener);
        Self { begun_with: false }
    }

    /// Sees to it that a connection has them. They are asked for in the order in which they came.
    fn see_to(&mut self, stream: &TcpStream) {
        if self.begun_with {
            return;
        }
        // The last that is set.
        self.begun_with = sockopt::tcp_user_timeout(stream).is_ok_and(|time| time == USER_TIMEOUT);
        if !self.begun_with {
            let _ = set_options(stream);
        }
    }
}

fn set_options(socket: &impl AsFd) -> io::Result<()> {
    sockopt::set_tcp_nodelay(socket, true)?;
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, GONE / 2)?;
    sockopt::set_tcp_keepintvl(socket, GONE / 8)?;
    sockopt::set_tcp_user_timeout(socket, USER_TIMEOUT)?;
    Ok(())
}

/// The next connection. Where there are no more files for it, the one that is idle the longest
/// gives way. `said` is when it was last said that none can be accepted.
async fn accept(
    listener: &TcpListener,
    places: &Places,
    said: &mut Option<Instant>,
) -> (TcpStream, SocketAddr) {
    loop {
        let error = match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => error,
        };
        if said.is_none_or(|said| said.elapsed() >= AGAIN) {
            *said = Some(Instant::now());
            warn!(%error, "cannot accept a connection");
        }
        let no_file = matches!(Errno::from_io_error(&error), Some(Errno::MFILE | Errno::NFILE));
        let pause = if no_file && places.make_room() { GIVEN_BACK } else { ACCEPT_PAUSE };
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Has them all.
    fn is_watched(stream: &TcpStream) -> bool {
        stream.nodelay().unwrap()
            && sockopt::socket_keepalive(stream).unwrap()
            && sockopt::tcp_keepidle(stream).unwrap() == Duration::from_secs(60)
            && sockopt::tcp_keepintvl(stream).unwrap() == Duration::from_secs(15)
            && sockopt::tcp_user_timeout(stream).unwrap() == 120_000
    }

    #[tokio::test]
    async fn who_vanishes_or_does_not_read_is_noticed_by_the_kernel_whenever_they_came() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        // Two that wait before the gate is there, as at a socket that is handed over.
        let mut clients = Vec::new();
        for _ in 0..2 {
            clients.push(TcpStream::connect(at).await.unwrap());
        }
        let mut options = Options::on(&listener);
        for _ in 0..3 {
            clients.push(TcpStream::connect(at).await.unwrap());
        }
        for begins_with in [false, false, true, true, true] {
            let (stream, _) = listener.accept().await.unwrap();
            assert_eq!(is_watched(&stream), begins_with);
            options.see_to(&stream);
            assert_eq!(options.begun_with, begins_with);
            assert!(is_watched(&stream));
        }
    }
}
