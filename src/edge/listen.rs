//! Accepting connections, and letting go of them.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use http::{
    HeaderValue, StatusCode,
    header::{CONNECTION, HeaderMap},
};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::{
    edge::{body::Body, connection::Connection},
    ops::shutdown::Shutdown,
};

/// The most bytes of a request's head.
const MAX_HEAD: usize = 64 * 1024;

/// How long to wait before accepting again when the system has no more files to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long after it was accepted a connection's first request is waited for at the end: who has
/// just connected is about to ask.
const FIRST_REQUEST: Duration = Duration::from_millis(500);

/// What a listener grants its connections.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How long a request's head may take, an idle connection's next one too.
    pub header_timeout: Duration,
    /// How many connections at once.
    pub max_connections: usize,
}

/// How a listener ends, and who is still there then.
#[derive(Debug, Clone)]
pub struct End {
    /// From here on every answer closes its connection: a client that keeps one learns that it
    /// must not ask there again, and loses no request to the closing.
    pub near: Shutdown,
    /// From here on nothing is accepted and what is idle is closed.
    pub here: Shutdown,
    /// The connections that are open.
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
pub async fn serve<S, F>(listener: TcpListener, limits: Limits, open: Gauge, end: End, answer: S)
where
    S: Fn(Connection, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(limits.max_connections));
    let mut here = end.here.clone();
    loop {
        let (stream, peer, place) = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            () = here.wait() => return,
        };
        // Small answers leave at once. Failing to say so costs latency, nothing else.
        let _ = stream.set_nodelay(true);
        let serving = converse(stream, peer, limits.header_timeout, end.clone(), answer.clone());
        let open = open.clone();
        open.inc();
        end.connections.spawn(async move {
            if let Err(error) = serving.await {
                debug!(%peer, %error, "connection ended");
            }
            open.dec();
            drop(place);
        });
    }
}

/// Serves one connection, to its end or the listener's.
fn converse<S, F>(
    stream: TcpStream,
    peer: SocketAddr,
    header_timeout: Duration,
    end: End,
    answer: S,
) -> impl Future<Output = hyper::Result<()>> + Send
where
    S: Fn(Connection, Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let End { near, mut here, asking, .. } = end;
    // Before anybody can wait for those that may ask: the listener has not yet accepted again.
    let may_ask = asking.token();
    let first_request = Instant::now() + FIRST_REQUEST;
    let asked = Arc::new(AtomicBool::new(false));
    let heard = asked.clone();
    let reached = Connection::plain(peer);
    let service = service_fn(move |request| {
        heard.store(true, Ordering::Relaxed);
        let (answer, near) = (answer(reached.clone(), request), near.clone());
        async move {
            let mut response = answer.await;
            if near.is_triggered() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                say_that_it_is_the_last(response.headers_mut());
            }
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(MAX_HEAD)
        .half_close(false)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    async move {
        let mut connection = pin!(connection);
        tokio::select! {
            // What has arrived is read before anything is closed.
            biased;
            ended = &mut connection => return ended,
            () = here.wait() => {}
        }
        let ended_or_asked = poll_fn(|context| match connection.as_mut().poll(context) {
            Poll::Ready(ended) => Poll::Ready(Some(ended)),
            Poll::Pending if asked.load(Ordering::Relaxed) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        if let Ok(Some(ended)) = tokio::time::timeout_at(first_request, ended_or_asked).await {
            return ended;
        }
        // Closes it now if it is idle, after its answer if not.
        connection.as_mut().graceful_shutdown();
        drop(may_ask);
        connection.await
    }
}

/// RFC 9112, 9.6.
fn say_that_it_is_the_last(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed; without a place the backlog holds the rest.
    let place = Arc::clone(places).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, place),
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
