//! What is said on one connection, to its end or the listener's.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderValue, Method, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, HeaderMap},
};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::{
    Request, Response,
    body::Incoming,
    server::conn::{
        http1::{self, UpgradeableConnection},
        http2,
    },
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::{
    edge::{
        arrival::{Arrived, HttpVersion},
        body::{self, Body, BodyError},
        connection::Connection,
        places::{Activity, UnderWay},
        stream::Holding,
    },
    ops::shutdown::Shutdown,
};

/// The most bytes of a request's head.
const MAX_HEAD: u32 = 64 * 1024;
/// How long after it was accepted a connection's first request is waited for at the end: who has
/// just connected is about to ask.
pub(super) const FIRST_REQUEST: Duration = Duration::from_millis(500);
/// How long a client of HTTP/2 that has nothing under way may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// Requests at once on one connection.
const MAX_STREAMS: u32 = 100;
/// Streams that a client reset before they were looked at, and that it may have at once.
const MAX_RESET_STREAMS: usize = 20;
/// Streams reset here for the client's mistakes, before it has made too many.
const MAX_WRONG_STREAMS: usize = 256;
/// The most bytes of answers that wait for the client, for each stream.
const MAX_UNSENT: usize = 64 * 1024;
/// The most bytes of a body that wait to be read here, for each stream and for all of them.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 512 * 1024;
/// How often a client with something under way is asked whether it is still there, and how long
/// its answer may take.
const PING: Duration = Duration::from_secs(20);

/// What a conversation must know of its place, its time and its end.
pub(super) struct Terms {
    /// How long a request's head may take, an idle connection's next one too.
    pub(super) header_timeout: Duration,
    /// From here on every answer is the last.
    pub(super) near: Shutdown,
    /// From here on nothing new is listened to.
    pub(super) here: Shutdown,
    /// Held while anything may be asked for.
    pub(super) may_ask: TaskTrackerToken,
    /// What is going on.
    pub(super) activity: Arc<Activity>,
}

/// Answers everything that is asked on a connection. `held` is dropped with the connection itself,
/// which may outlive this where it was upgraded.
pub(super) async fn converse<S, F, H>(
    arrived: Arrived,
    held: H,
    terms: Terms,
    answer: S,
) -> hyper::Result<()>
where
    S: Fn(Connection, Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
    H: Send + Unpin + 'static,
{
    let Arrived { stream, version, connection: reached } = arrived;
    let (near, activity) = (terms.near.clone(), terms.activity.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        let (under_way, near) = (activity.begin(), near.clone());
        let only_head = version == HttpVersion::Two && request.method() == Method::HEAD;
        let answer = answer(reached.clone(), request);
        async move {
            let mut response = answer.await;
            if version == HttpVersion::One
                && near.is_triggered()
                && response.status() != StatusCode::SWITCHING_PROTOCOLS
            {
                say_that_it_is_the_last(response.headers_mut());
            }
            if only_head {
                without_its_body(&mut response);
            }
            Ok::<_, Infallible>(response.map(|body| Answering { body, _under_way: under_way }))
        }
    });
    let io = TokioIo::new(Holding { stream, _held: held });
    match version {
        HttpVersion::One => {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(terms.header_timeout)
                .max_buf_size(MAX_HEAD as usize)
                .half_close(false)
                .serve_connection(io, service)
                .with_upgrades();
            to_its_end(connection, UpgradeableConnection::graceful_shutdown, version, terms).await
        }
        HttpVersion::Two => {
            let connection = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_concurrent_streams(MAX_STREAMS)
                .max_header_list_size(MAX_HEAD)
                .max_pending_accept_reset_streams(MAX_RESET_STREAMS)
                .max_local_error_reset_streams(MAX_WRONG_STREAMS)
                .max_send_buf_size(MAX_UNSENT)
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .keep_alive_interval(PING)
                .keep_alive_timeout(PING)
                .serve_connection(io, service);
            to_its_end(connection, http2::Connection::graceful_shutdown, version, terms).await
        }
    }
}

/// Drives a connection until it ends, is idle for too long, gives way, or the listener's end is
/// here; `close` closes it now if it is idle, after its answers if not.
async fn to_its_end<C>(
    connection: C,
    close: impl Fn(Pin<&mut C>),
    version: HttpVersion,
    terms: Terms,
) -> hyper::Result<()>
where
    C: Future<Output = hyper::Result<()>>,
{
    let mut connection = pin!(connection);
    let Terms { header_timeout, mut near, mut here, may_ask, activity } = terms;
    let multiplexed = version == HttpVersion::Two;
    let (mut is_near, mut closing) = (false, false);
    loop {
        let talk = poll_fn(|cx| {
            // Here no answer is the last one: whoever has asked is told to ask elsewhere.
            if multiplexed && is_near && !closing && activity.has_asked() {
                close(connection.as_mut());
                closing = true;
            }
            connection.as_mut().poll(cx)
        });
        tokio::select! {
            // What has arrived is read before anything is closed.
            biased;
            ended = talk => return ended,
            () = near.wait(), if !is_near => is_near = true,
            () = here.wait() => break,
            () = activity.gives_way() => {
                close(connection.as_mut());
                // What is to be said of it is said at once, or not at all.
                return poll_fn(|cx| Poll::Ready(at_once(connection.as_mut().poll(cx)))).await;
            }
            // Of HTTP/1.1 the server sees to it.
            () = activity.idle_for(header_timeout), if multiplexed => {
                close(connection.as_mut());
                return goodbye(connection, &activity).await;
            }
        }
    }
    let ended_or_asked = poll_fn(|cx| match connection.as_mut().poll(cx) {
        Poll::Ready(ended) => Poll::Ready(Some(ended)),
        Poll::Pending if activity.has_asked() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    });
    let first_request = activity.began() + FIRST_REQUEST;
    if let Ok(Some(ended)) = tokio::time::timeout_at(first_request, ended_or_asked).await {
        return ended;
    }
    close(connection.as_mut());
    drop(may_ask);
    if multiplexed { goodbye(connection, &activity).await } else { connection.await }
}

/// Waits for the end of a connection that was closed, as long as something is under way on it.
async fn goodbye<C>(connection: Pin<&mut C>, activity: &Activity) -> hyper::Result<()>
where
    C: Future<Output = hyper::Result<()>>,
{
    tokio::select! {
        biased;
        ended = connection => ended,
        () = activity.idle_for(GOODBYE) => Ok(()),
    }
}

fn at_once(polled: Poll<hyper::Result<()>>) -> hyper::Result<()> {
    match polled {
        Poll::Ready(ended) => ended,
        Poll::Pending => Ok(()),
    }
}

/// RFC 9112, 9.6.
fn say_that_it_is_the_last(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
}

/// Of HTTP/1.1 the server sees to it; here a body would break the stream (RFC 9113, 8.1.1).
fn without_its_body(response: &mut Response<Body>) {
    let body = std::mem::replace(response.body_mut(), body::empty());
    if let Some(length) = body.size_hint().exact().filter(|length| *length > 0) {
        response.headers_mut().entry(CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(length));
    }
}

/// The body of an answer, which is under way until all of it is written.
struct Answering {
    body: Body,
    _under_way: UnderWay,
}

impl HttpBody for Answering {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
