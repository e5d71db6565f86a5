//! What is said on one connection, to its end or the listener's.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use http::{
    HeaderValue, Method, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, HeaderMap},
};
use http_body::Body as _;
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
        answering::Answering,
        arrival::{Arrived, HttpVersion},
        body::{self, Body},
        connection::Connection,
        places::Activity,
        seldom::Seldom,
        stream::Holding,
    },
    ops::{shutdown::Shutdown, telemetry},
};

/// The most bytes of a request's head.
const MAX_HEAD: u32 = 64 * 1024;
/// How long after it was accepted a connection's first request is waited for at the end: who has
/// just connected is about to ask.
pub(super) const FIRST_REQUEST: Duration = Duration::from_millis(500);
/// How long a client of HTTP/2 that has nothing under way may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);
/// The same where another connection waits for its place.
const GIVING_WAY: Duration = Duration::from_millis(100);
/// How long a client may take nothing of what is sent to it, or be silent when the kernel asks
/// whether it is still there.
pub(super) const GONE: Duration = Duration::from_secs(120);

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
    let Arrived { stream, version, connection, shown } = arrived;
    let (near, activity) = (terms.near.clone(), terms.activity.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        let (under_way, near) = (activity.begin(), near.clone());
        let only_head = version == HttpVersion::Two && request.method() == Method::HEAD;
        let mut reached = connection.clone();
        let is_over = shown.as_ref().is_some_and(|shown| !shown.counts());
        if is_over {
            reached.names = Arc::from([]);
        }
        let answer = answer(reached, request);
        async move {
            // It is in the log before anybody knows of it; and it leaves with others' answers.
            let mut response = telemetry::together(answer).await;
            if version == HttpVersion::One
                && (is_over || near.is_triggered())
                && response.status() != StatusCode::SWITCHING_PROTOCOLS
            {
                say_that_it_is_the_last(response.headers_mut());
            }
            if only_head {
                without_its_body(&mut response);
            }
            Ok::<_, Infallible>(response.map(|body| Answering::new(body, under_way)))
        }
    });
    let activity = terms.activity.clone();
    let io = TokioIo::new(Holding { stream, activity, _held: held });
    match version {
        HttpVersion::One => {
            // The time for a head is that for which nothing is under way: see `to_its_end`.
            let connection = http1::Builder::new()
                .header_read_timeout(None)
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

/// What a connection may come to beside what is said on it.
enum Turn {
    /// The end is near: its answers are the last.
    Near,
    /// The end is here.
    Here,
    /// Another connection wants its place.
    GivesWay,
    /// Nothing was asked in time, or not to its end.
    Idle,
    /// The client takes nothing of what it asked for.
    Gone,
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
        let is_far = !is_near;
        let turn = pin!(async {
            tokio::select! {
                biased;
                () = near.wait(), if is_far => Turn::Near,
                () = here.wait() => Turn::Here,
                () = activity.gives_way() => Turn::GivesWay,
                () = activity.idle_for(header_timeout) => Turn::Idle,
                () = activity.untaken_for(GONE) => Turn::Gone,
            }
        });
        let turn = tokio::select! {
            // What has arrived is read before anything is closed.
            biased;
            ended = talk => return ended,
            turn = Seldom::new(turn) => turn,
        };
        match turn {
            Turn::Near => is_near = true,
            Turn::Here => break,
            Turn::GivesWay => {
                // It was idle when it was chosen; what it has asked for since is answered.
                close(connection.as_mut());
                drop(may_ask);
                return goodbye(connection, &activity, GIVING_WAY).await;
            }
            Turn::Idle if multiplexed => {
                close(connection.as_mut());
                return goodbye(connection, &activity, GOODBYE).await;
            }
            // Of HTTP/1.1 the client knows by the end of the connection.
            Turn::Idle | Turn::Gone => return Ok(()),
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
    if multiplexed { goodbye(connection, &activity, GOODBYE).await } else { connection.await }
}

/// Waits for the end of a connection that was closed, as long as something is under way on it, and
/// for so long when nothing is.
async fn goodbye<C>(
    connection: Pin<&mut C>,
    activity: &Activity,
    time: Duration,
) -> hyper::Result<()>
where
    C: Future<Output = hyper::Result<()>>,
{
    tokio::select! {
        biased;
        ended = connection => ended,
        () = activity.idle_for(time) => Ok(()),
        () = activity.untaken_for(GONE) => Ok(()),
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

#[cfg(test)]
mod tests {
    use std::task::Context;

    use bytes::Bytes;
    use http_body::Frame;
    use http_body_util::BodyExt as _;
    use prometheus_client::metrics::gauge::Gauge;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
        sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
        task::JoinHandle,
    };
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::{
        edge::{
            body::BodyError,
            places::{Listed, Places},
            stream::{FirstBytes, Stream},
        },
        ops::shutdown::{self, Trigger},
    };

    /// Longer than anything may take.
    const LONG: Duration = Duration::from_secs(300);
    const ASKS: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    /// One conversation, whose answers the test gives.
    struct Conversation {
        client: TcpStream,
        first: FirstBytes,
        listed: Listed,
        terms: Terms,
        _triggers: [Trigger; 2],
        _still: std::sync::mpsc::Sender<()>,
    }

    /// A conversation that goes on.
    struct GoesOn {
        listed: Listed,
        ended: JoinHandle<hyper::Result<()>>,
        asked: UnboundedReceiver<()>,
        answers: UnboundedSender<Body>,
        _triggers: [Trigger; 2],
        _still: std::sync::mpsc::Sender<()>,
    }

    /// Lets time pass, second by second; in each everybody does what there is to do.
    async fn pass(time: Duration) {
        for _ in 0..time.as_secs() {
            tokio::time::advance(Duration::from_secs(1)).await;
            for _ in 0..4 {
                // Long enough for all others to be polled, however many steps that takes them.
                let (_still, over) = std::sync::mpsc::channel::<()>();
                let pause = move || over.recv_timeout(Duration::from_micros(200));
                let _ = tokio::task::spawn_blocking(pause).await.unwrap();
            }
        }
    }

    impl Conversation {
        async fn new() -> Self {
            // As long as a thread has something to do, time that stands does not move of itself.
            let (still, over) = std::sync::mpsc::channel::<()>();
            tokio::task::spawn_blocking(move || over.recv());
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            let listed = Places::new(1, Gauge::default()).list();
            let ((near_trigger, near), (here_trigger, here)) =
                (shutdown::channel(), shutdown::channel());
            let terms = Terms {
                header_timeout: Duration::from_secs(10),
                near,
                here,
                may_ask: TaskTracker::new().token(),
                activity: listed.activity.clone(),
            };
            let first = FirstBytes::new(stream);
            Self {
                client,
                first,
                listed,
                terms,
                _triggers: [near_trigger, here_trigger],
                _still: still,
            }
        }

        fn goes_on(self, version: HttpVersion) -> (TcpStream, GoesOn) {
            let Self { client, first, listed, terms, _triggers: triggers, _still: still } = self;
            let connection = Connection::plain(client.local_addr().unwrap());
            let stream = Stream::Plain(first);
            let arrived = Arrived { stream, version, connection, shown: None };
            let ((told, asked), (answers, given)) = (unbounded_channel(), unbounded_channel());
            let given = Arc::new(tokio::sync::Mutex::new(given));
            let answer = move |_, _| {
                told.send(()).unwrap();
                let given = given.clone();
                async move { Response::new(given.lock().await.recv().await.unwrap()) }
            };
            let ended = tokio::spawn(converse(arrived, (), terms, answer));
            let goes_on =
                GoesOn { listed, ended, asked, answers, _triggers: triggers, _still: still };
            (client, goes_on)
        }
    }

    /// A client of HTTP/2 whose streams begin with so large a window, and the head of its answer.
    async fn asks_by_two(client: TcpStream, window: u32) -> h2::client::ResponseFuture {
        let mut builder = h2::client::Builder::new();
        let builder = builder.initial_window_size(window);
        let (send, connection) = builder.handshake::<_, Bytes>(client).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get("http://x/").body(()).unwrap();
        let mut send = send.ready().await.unwrap();
        let (answer, _) = send.send_request(request, true).unwrap();
        // Without this the client says goodbye.
        tokio::spawn(async move {
            let _send = send;
            std::future::pending::<()>().await;
        });
        answer
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_came_before_the_connection_gave_way_is_answered() {
        let mut conversation = Conversation::new().await;
        conversation.client.write_all(ASKS).await.unwrap();
        // Read with the first turn, in which it is also told to leave: it was chosen as idle.
        conversation.first.more().await.unwrap();
        conversation.listed.activity.is_to_leave();
        let (mut client, mut goes_on) = conversation.goes_on(HttpVersion::One);
        goes_on.asked.recv().await.unwrap();
        pass(LONG).await;
        goes_on.answers.send(body::full("spent")).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("spent"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }

    #[tokio::test(start_paused = true)]
    async fn so_is_one_of_http_2() {
        let (client, mut goes_on) = Conversation::new().await.goes_on(HttpVersion::Two);
        let answer = asks_by_two(client, 65_535).await;
        goes_on.asked.recv().await.unwrap();
        goes_on.listed.activity.is_to_leave();
        pass(LONG).await;
        goes_on.answers.send(body::full("spent")).unwrap();
        let mut body = answer.await.unwrap().into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), "spent");
        pass(Duration::from_secs(2)).await;
        assert!(goes_on.ended.is_finished(), "it gives way when that is done");
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_nothing_or_not_to_the_end_is_let_go_in_time() {
        for part in [&b""[..], &ASKS[..20]] {
            let (mut client, mut goes_on) = Conversation::new().await.goes_on(HttpVersion::One);
            client.write_all(part).await.unwrap();
            pass(Duration::from_secs(8)).await;
            // What is being answered takes the time that it takes, and the time begins anew.
            client.write_all(&ASKS[part.len()..]).await.unwrap();
            goes_on.asked.recv().await.unwrap();
            pass(Duration::from_secs(30)).await;
            assert!(!goes_on.ended.is_finished());
            goes_on.answers.send(body::full("good")).unwrap();
            pass(Duration::from_secs(1)).await;
            client.write_all(part).await.unwrap();
            pass(Duration::from_secs(7)).await;
            assert!(!goes_on.ended.is_finished());
            pass(Duration::from_secs(4)).await;
            assert!(goes_on.ended.is_finished());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_gives_way_though_the_client_says_nothing() {
        for version in [HttpVersion::One, HttpVersion::Two] {
            let (_client, goes_on) = Conversation::new().await.goes_on(version);
            pass(Duration::from_secs(1)).await;
            assert!(!goes_on.ended.is_finished(), "{version:?}");
            goes_on.listed.activity.is_to_leave();
            pass(Duration::from_secs(2)).await;
            assert!(goes_on.ended.is_finished(), "{version:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_slow_client_has_not_read_is_not_cut_off() {
        // More than the system takes of what nobody reads.
        const LARGE: usize = 32 << 20;
        let (mut client, mut goes_on) = Conversation::new().await.goes_on(HttpVersion::One);
        client.write_all(ASKS).await.unwrap();
        goes_on.asked.recv().await.unwrap();
        goes_on.answers.send(body::full(vec![b'x'; LARGE])).unwrap();
        pass(Duration::from_secs(1)).await;
        goes_on.listed.activity.is_to_leave();
        pass(LONG).await;
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert!(answer.len() > LARGE, "{}", answer.len());
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_no_room_for_an_answer_is_let_go() {
        let (client, goes_on) = Conversation::new().await.goes_on(HttpVersion::Two);
        // The rest of it answers every PING.
        let answer = asks_by_two(client, 1).await;
        goes_on.answers.send(body::full("more than one byte")).unwrap();
        let _answer = answer.await.unwrap();
        pass(GONE / 12 * 11).await;
        assert!(!goes_on.ended.is_finished());
        pass(GONE).await;
        assert!(goes_on.ended.is_finished());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_an_answer_that_is_silent_is_not() {
        let (client, goes_on) = Conversation::new().await.goes_on(HttpVersion::Two);
        let answer = asks_by_two(client, 65_535).await;
        goes_on.answers.send(Silent.boxed_unsync()).unwrap();
        let _answer = answer.await.unwrap();
        pass(LONG).await;
        assert!(!goes_on.ended.is_finished());
    }

    /// The body of an answer that has begun, and of which nothing comes.
    struct Silent;

    impl http_body::Body for Silent {
        type Data = Bytes;
        type Error = BodyError;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
            Poll::Pending
        }
    }
}
