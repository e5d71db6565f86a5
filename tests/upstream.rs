//! Proxying, from a client's bytes through a real server to an upstream's bytes and back.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails where it stands")]

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use oncegate::{
    edge::{
        body::{self, Body},
        headers::{Introduction, SignedIn, Visit},
        upstream::{Timeouts, Upstreams},
    },
    gate::{
        denial::Denial,
        id::TokenId,
        site::{Identity, Upstream},
    },
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

const COOKIE: &str = "__Host-oncegate";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

// ---------------------------------------------------------------- the identity and the headers

#[tokio::test]
async fn the_upstream_is_told_who_is_there() {
    let (mut upstream, gate) = Gate::start(true).await;
    let answer = ask(&gate, "GET /a%2fb/../c?x=%00&y=;//\\z HTTP/1.1\r\nHost: h\r\n\r\n");
    let (head, _) = upstream.request(OK).await;
    assert_eq!(first_line(&head), "GET /a%2fb/../c?x=%00&y=;//\\z HTTP/1.1");
    assert_eq!(values(&head, "host"), ["panel.example.com"]);
    assert_eq!(values(&head, "x-forwarded-host"), ["panel.example.com"]);
    assert_eq!(values(&head, "x-forwarded-proto"), ["https"]);
    assert_eq!(values(&head, "x-forwarded-for"), ["203.0.113.7"]);
    assert_eq!(values(&head, "x-oncegate-user"), ["J%C3%B6 100%25"].map(|v| v.replace(' ', "%20")));
    assert_eq!(values(&head, "x-oncegate-caller"), ["billing"]);
    assert_eq!(values(&head, "x-oncegate-assertion"), ["a.b.c"]);
    assert_eq!(values(&head, "remote-user"), ["J%C3%B6%20100%25"]);
    assert_eq!(values(&head, "x-site"), ["panel"]);
    assert_eq!(values(&head, "x-link"), ["AAAAAAAAAAAAAAAAAAAAAA"]);
    assert_eq!(values(&head, "x-role"), ["admin%0D%0AX-Evil:%201"]);
    assert_eq!(values(&head, "x-age"), ["41"]);
    assert_eq!(values(&head, "x-staff"), ["true"]);
    assert!(values(&head, "x-list").is_empty() && values(&head, "x-missing").is_empty());
    assert!(answer.await.starts_with("HTTP/1.1 200 OK\r\n"));
}

/// Every line is a field a client may not send; its value names it.
const FORGED: [&str; 30] = [
    "X-Oncegate-User",
    "x_oncegate_user",
    "X.Oncegate.User",
    "X-oncegate_User",
    "X!Oncegate~User",
    "X-Oncegate-Assertion",
    "X_ONCEGATE_ASSERTION",
    "X-Oncegate-Caller",
    "X-Oncegate-Later-Version",
    "Remote-User",
    "remote_user",
    "Remote.User",
    "X_Role",
    "X-Missing",
    "x.list",
    "X-Forwarded-For",
    "X_Forwarded_For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-Prefix",
    "X-Forwarded-Client-Cert",
    "Forwarded",
    "X-Real-IP",
    "True-Client-IP",
    "X-Original-URL",
    "X-Rewrite-URL",
    "Proxy",
    "Proxy-Authorization",
    "Keep-Alive",
    "Content_Length",
];

#[tokio::test]
async fn forged_headers_do_not_arrive_in_any_spelling() {
    for signed_in in [true, false] {
        let (mut upstream, gate) = Gate::start(signed_in).await;
        let mut request = "GET / HTTP/1.1\r\nHost: h\r\nX-Kept: 1\r\n".to_owned();
        for name in FORGED {
            // Twice: removing the first alone would not do.
            request += &[name, ": forged\r\n"].concat().repeat(2);
        }
        let answer = ask(&gate, &(request + "\r\n"));
        let (head, _) = upstream.request(OK).await;
        assert!(!head.contains("forged"), "{head}");
        assert_eq!(values(&head, "x-kept"), ["1"]);
        assert_eq!(values(&head, "x-oncegate-user").len(), usize::from(signed_in));
        assert_eq!(values(&head, "remote-user").len(), usize::from(signed_in));
        answer.await;
    }
}

#[tokio::test]
async fn connection_removes_what_it_lists_but_nothing_the_gate_sets() {
    let (mut upstream, gate) = Gate::start(true).await;
    let answer = ask(
        &gate,
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: X-Oncegate-User, x-oncegate-assertion, remote-user\r\n\
         Connection: X-Forwarded-For,Host , X-Hop, , (\r\nX-Hop: 1\r\nTE: trailers\r\n\
         Upgrade: websocket\r\nTrailer: x\r\nX-Kept: 1\r\n\r\n",
    );
    let (head, _) = upstream.request(OK).await;
    for kept in ["x-oncegate-user", "x-oncegate-assertion", "remote-user", "x-forwarded-for"] {
        assert_eq!(values(&head, kept).len(), 1, "{kept}");
    }
    assert_eq!(values(&head, "host"), ["panel.example.com"]);
    assert_eq!(values(&head, "x-kept"), ["1"]);
    for gone in ["x-hop", "upgrade", "trailer"] {
        assert!(values(&head, gone).is_empty(), "{gone}");
    }
    // The gate's own, of its own hop.
    assert_eq!((values(&head, "connection"), values(&head, "te")), (vec!["te"], vec!["trailers"]));
    answer.await;
}

#[tokio::test]
async fn the_session_cookie_stays_behind_and_the_others_arrive() {
    let (mut upstream, gate) = Gate::start(true).await;
    let answer = ask(
        &gate,
        "GET / HTTP/1.1\r\nHost: h\r\nCookie: a=1; __Host-oncegate=secret\r\nCookie: b=\"2\"\r\n\r\n",
    );
    let (head, _) = upstream.request(OK).await;
    assert_eq!(values(&head, "cookie"), ["a=1; b=\"2\""]);
    answer.await;
}

// --------------------------------------------------------------------------------- the framing

#[tokio::test]
async fn a_body_is_framed_one_way_only() {
    for (request, expected) in [
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody", ("4", "", "body")),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", ("0", "", "")),
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", ("", "", "")),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\nbody\r\n0\r\n\r\n",
            ("", "chunked", "4\r\nbody\r\n0\r\n\r\n"),
        ),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbody",
            ("4", "", "body"),
        ),
        // The gate's intake refuses this; were it let in, only one length would go on.
        (
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
            ("", "chunked", "4\r\nbody\r\n0\r\n\r\n"),
        ),
    ] {
        let (mut upstream, gate) = Gate::start(false).await;
        let answer = ask(&gate, request);
        let (head, body) = upstream.request(OK).await;
        let found = (values(&head, "content-length"), values(&head, "transfer-encoding"));
        assert_eq!(found.0.join("|"), expected.0, "{request}");
        assert_eq!(found.1.join("|"), expected.1, "{request}");
        assert_eq!(body, expected.2, "{request}");
        assert!(values(&head, "expect").is_empty());
        assert!(answer.await.contains("200 OK"));
    }
}

#[tokio::test]
async fn an_answer_is_framed_one_way_only() {
    let (mut upstream, gate) = Gate::start(false).await;
    let answer = ask(&gate, CLOSING);
    upstream
        .request_then_close(
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n\
             4\r\nbody\r\n0\r\nSet-Cookie: oncegate=x\r\n\r\n",
        )
        .await;
    let answer = answer.await;
    assert!(values(&answer, "content-length").is_empty());
    assert_eq!(values(&answer, "transfer-encoding"), ["chunked"]);
    assert!(answer.ends_with("\r\n\r\n4\r\nbody\r\n0\r\n\r\n"), "{answer}");
    assert!(!answer.contains("oncegate=x"));
}

#[tokio::test]
async fn the_target_goes_on_in_origin_form_byte_for_byte() {
    for (sent, arrives) in [
        ("GET http://evil.example/a//b?c#", "GET /a//b?c"),
        ("GET /%2e%2E/;a=b/\\x?%zz&&", "GET /%2e%2E/;a=b/\\x?%zz&&"),
        ("GET //evil.example/x", "GET //evil.example/x"),
        ("GET /?", "GET /?"),
        ("OPTIONS *", "OPTIONS *"),
        ("PROPFIND /dav", "PROPFIND /dav"),
    ] {
        let (mut upstream, gate) = Gate::start(false).await;
        let answer = ask(&gate, &format!("{sent} HTTP/1.1\r\nHost: h\r\n\r\n"));
        let (head, _) = upstream.request(OK).await;
        assert_eq!(first_line(&head), format!("{arrives} HTTP/1.1"));
        answer.await;
    }
}

#[tokio::test]
async fn answers_without_a_body_pass_with_their_length() {
    let (mut upstream, gate) = Gate::start(false).await;
    let answer = ask(&gate, "HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    upstream.request("HTTP/1.1 200 OK\r\nContent-Length: 4711\r\n\r\n").await;
    let answer = answer.await;
    assert_eq!(values(&answer, "content-length"), ["4711"]);
    assert!(answer.ends_with("\r\n\r\n"));

    let answer =
        ask(&gate, "GET / HTTP/1.1\r\nHost: h\r\nIf-None-Match: x\r\nConnection: close\r\n\r\n");
    let (head, _) = upstream
        .request("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n")
        .await;
    assert_eq!(values(&head, "if-none-match"), ["x"]);
    assert!(answer.await.starts_with("HTTP/1.1 304 Not Modified\r\n"));
}

#[tokio::test]
async fn an_answer_streams_before_it_ends() {
    let (mut upstream, gate) = Gate::start(false).await;
    let mut client = TcpStream::connect(gate.address).await.unwrap();
    client.write_all(b"GET /events HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    let mut stream = upstream.accept().await;
    read_request(&mut stream).await;
    // The upstream never ends this; the client sees each part as it comes.
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        .await
        .unwrap();
    read_until(&mut client, "first").await;
    stream.write_all(b"6\r\nsecond\r\n").await.unwrap();
    read_until(&mut client, "second").await;
}

#[tokio::test]
async fn an_upload_streams_before_it_ends() {
    let (mut upstream, gate) = Gate::start(false).await;
    let mut client = TcpStream::connect(gate.address).await.unwrap();
    // Far more than anyone would buffer is announced; a first part is sent.
    let head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000000\r\n\r\nfirst";
    client.write_all(head.as_bytes()).await.unwrap();
    let mut stream = upstream.accept().await;
    read_until(&mut stream, "first").await;
    client.write_all(b"second").await.unwrap();
    read_until(&mut stream, "second").await;
}

/// 256 MiB in blocks of 64 KiB; counts the blocks taken.
struct Flood(Arc<AtomicUsize>);

const FLOOD: usize = 4096;

impl http_body::Body for Flood {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let block = Bytes::from(vec![b'x'; 1 << 16]);
        let taken = self.0.fetch_add(1, Ordering::Relaxed);
        Poll::Ready((taken < FLOOD).then_some(Ok(Frame::data(block))))
    }
}

#[tokio::test]
async fn an_upload_nobody_reads_is_not_taken_in() {
    let (mut upstream, address) = Fake::listen().await;
    // The time counts since the body last moved: it is over once the buffers are full.
    let timeouts = Timeouts { answer: Duration::from_millis(100), ..Timeouts::default() };
    let taken = Arc::new(AtomicUsize::new(0));
    let request = Request::post("/").body(Flood(taken.clone())).unwrap();
    let to = Upstream { authority: address.to_string(), tls: None };
    let visit = Visit { host: "h", scheme: "http", client: None, cookie: COOKIE, mapping: &[] };
    let upstreams = Upstreams::new([&to], timeouts).unwrap();
    let (answer, _unread) =
        tokio::join!(upstreams.forward(request, &to, &visit, None, None), upstream.accept());
    assert_eq!(answer.err(), Some(Denial::GatewayTimeout));
    assert!(taken.load(Ordering::Relaxed) < FLOOD / 2);
}

// --------------------------------------------------------------------------------- the answers

#[tokio::test]
async fn an_answer_loses_what_is_not_the_upstreams_to_say() {
    let (mut upstream, gate) = Gate::start(true).await;
    let answer = ask(&gate, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    upstream
        .request(
            "HTTP/1.1 200 OK\r\nSet-Cookie: __Host-oncegate=evil; Path=/\r\nSet-Cookie: a=1\r\n\
             Set-Cookie: oncegate=evil\r\nSet-Cookie: b=2; HttpOnly\r\nConnection: X-Hop\r\n\
             X-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-Kept: 1\r\nContent-Length: 2\r\n\r\nok",
        )
        .await;
    let answer = answer.await;
    assert_eq!(values(&answer, "set-cookie"), ["a=1", "b=2; HttpOnly"]);
    assert_eq!(values(&answer, "cache-control"), ["private"]);
    assert_eq!(values(&answer, "x-kept"), ["1"]);
    assert!(values(&answer, "x-hop").is_empty() && values(&answer, "keep-alive").is_empty());
}

#[tokio::test]
async fn cache_control_is_added_only_where_it_is_missing_and_somebody_is_signed_in() {
    for (signed_in, said, expected) in [
        (true, "", vec!["private"]),
        (true, "Cache-Control: public, max-age=60\r\n", vec!["public, max-age=60"]),
        (false, "", vec![]),
    ] {
        let (mut upstream, gate) = Gate::start(signed_in).await;
        let answer = ask(&gate, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        upstream.request(&format!("HTTP/1.1 200 OK\r\n{said}Content-Length: 0\r\n\r\n")).await;
        assert_eq!(values(&answer.await, "cache-control"), expected);
    }
}

#[tokio::test]
async fn the_callback_gets_the_login_assertion_and_the_visitors_browser() {
    let (mut upstream, gate) = Gate::start(true).await;
    let answer = ask(
        &gate,
        "POST /callback-test HTTP/1.1\r\nHost: h\r\nCookie: a=1; __Host-oncegate=s\r\n\
         User-Agent: Browser\r\nAccept-Language: de\r\nOrigin: https://panel.example.com\r\n\
         X-Oncegate-Assertion: forged\r\nX-Oncegate-User: forged\r\nContent-Length: 4\r\n\
         Connection: close\r\n\r\nbody",
    );
    let (head, body) = upstream
        .request(
            "HTTP/1.1 302 Found\r\nLocation: /in\r\nSet-Cookie: app=1\r\nContent-Length: 0\r\n\r\n",
        )
        .await;
    assert_eq!(first_line(&head), "GET /sso?from=gate HTTP/1.1");
    assert_eq!(values(&head, "x-oncegate-assertion"), ["login.assertion.x"]);
    assert_eq!(values(&head, "cookie"), ["a=1"]);
    assert_eq!(values(&head, "user-agent"), ["Browser"]);
    assert_eq!(values(&head, "accept-language"), ["de"]);
    assert_eq!(values(&head, "x-forwarded-for"), ["203.0.113.7"]);
    assert!(values(&head, "origin").is_empty() && values(&head, "content-length").is_empty());
    assert!(!head.contains("forged") && body.is_empty());
    let answer = answer.await;
    assert!(answer.starts_with("HTTP/1.1 302 Found\r\n"));
    assert_eq!(values(&answer, "location"), ["/in"]);
    assert_eq!(values(&answer, "set-cookie"), ["app=1"]);
    assert_eq!(values(&answer, "cache-control"), ["no-store"]);
    assert_eq!(values(&answer, "referrer-policy"), ["strict-origin"]);
}

// -------------------------------------------------------------------------------- the failures

#[tokio::test]
async fn an_upstream_that_is_not_there_is_a_bad_gateway() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let gate = Gate::before(address, true, Timeouts::default()).await;
    assert!(ask(&gate, CLOSING).await.starts_with("HTTP/1.1 502"));
}

const CLOSING: &str = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn an_upstream_that_closes_or_talks_nonsense_is_a_bad_gateway() {
    for said in [
        "",
        "HTTP/1.1 20",
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ] {
        // A POST is never sent twice.
        let (mut upstream, gate) = Gate::start(true).await;
        let answer = ask(
            &gate,
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        );
        upstream.request_then_close(said).await;
        assert!(answer.await.starts_with("HTTP/1.1 502"), "{said:?}");
        assert!(upstream.connections.try_recv().is_err(), "{said:?}");
    }
}

#[tokio::test]
async fn a_get_that_met_a_closing_connection_is_sent_once_more() {
    let (mut upstream, gate) = Gate::start(true).await;
    let answer = ask(
        &gate,
        "GET /a?b=c HTTP/1.1\r\nHost: h\r\nCookie: __Host-oncegate=s; a=1\r\n\
         X-Oncegate-User: forged\r\nX-Hop: 1\r\nTE: trailers\r\n\
         Connection: close, x-hop\r\n\r\n",
    );
    let (first, _) = upstream.request_then_close("").await;
    let (head, _) = upstream.request(OK).await;
    assert_eq!(head, first, "as it was sent before");
    assert_eq!(values(&head, "x-oncegate-user").len(), 1);
    assert!(!head.contains("forged") && !head.contains("x-hop"), "{head}");
    assert_eq!(values(&head, "cookie"), ["a=1"]);
    assert!(answer.await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_silent_upstream_is_a_gateway_timeout() {
    let (mut upstream, address) = Fake::listen().await;
    let timeouts = Timeouts { answer: Duration::from_millis(50), ..Timeouts::default() };
    let gate = Gate::before(address, true, timeouts).await;
    let answer = ask(&gate, CLOSING);
    let _silent = upstream.accept().await;
    assert!(answer.await.starts_with("HTTP/1.1 504"));
}

#[tokio::test]
async fn connect_and_trace_are_not_passed_on() {
    let (mut upstream, gate) = Gate::start(true).await;
    for method in ["TRACE / HTTP/1.1", "CONNECT panel.example.com:443 HTTP/1.1"] {
        let request = format!("{method}\r\nHost: h\r\nConnection: close\r\n\r\n");
        assert!(ask(&gate, &request).await.starts_with("HTTP/1.1 405"), "{method}");
    }
    assert!(upstream.connections.try_recv().is_err());
}

// ------------------------------------------------------------------------------- the two ends

/// An upstream whose every byte the test says itself.
struct Fake {
    connections: mpsc::UnboundedReceiver<TcpStream>,
    kept: Option<TcpStream>,
}

impl Fake {
    async fn listen() -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, connections) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if sender.send(stream).is_err() {
                    break;
                }
            }
        });
        (Self { connections, kept: None }, address)
    }

    async fn accept(&mut self) -> TcpStream {
        self.connections.recv().await.unwrap()
    }

    /// Reads one request, on the connection kept from before if there is one, and answers it.
    async fn request(&mut self, answer: &str) -> (String, String) {
        let mut stream = match self.kept.take() {
            Some(stream) => stream,
            None => self.accept().await,
        };
        let request = read_request(&mut stream).await;
        stream.write_all(answer.as_bytes()).await.unwrap();
        self.kept = Some(stream);
        request
    }

    async fn request_then_close(&mut self, answer: &str) -> (String, String) {
        let request = self.request(answer).await;
        self.kept = None;
        request
    }
}

/// The gate's proxying alone, behind a real server.
struct Gate {
    address: SocketAddr,
}

impl Gate {
    async fn start(signed_in: bool) -> (Fake, Self) {
        let (fake, address) = Fake::listen().await;
        (fake, Self::before(address, signed_in, Timeouts::default()).await)
    }

    async fn before(upstream: SocketAddr, signed_in: bool, timeouts: Timeouts) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let upstream = Arc::new(Upstream { authority: upstream.to_string(), tls: None });
        let upstreams = Upstreams::new([&*upstream], timeouts).unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (upstreams, upstream) = (upstreams.clone(), upstream.clone());
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let (upstreams, upstream) = (upstreams.clone(), upstream.clone());
                        async move { serve(request, &upstreams, &upstream, signed_in).await }
                    });
                    let mut server = http1::Builder::new();
                    server.timer(TokioTimer::new());
                    drop(server.serve_connection(TokioIo::new(stream), service).await);
                });
            }
        });
        Self { address }
    }
}

async fn serve(
    request: Request<Incoming>,
    upstreams: &Upstreams,
    upstream: &Upstream,
    signed_in: bool,
) -> Result<Response<Body>, Infallible> {
    let mapping: Vec<(String, Identity)> = [
        ("Remote-User", Identity::User),
        ("X-Site", Identity::Site),
        ("X-Link", Identity::Id),
        ("X-Role", Identity::Claim("role".to_owned())),
        ("X-Age", Identity::Claim("age".to_owned())),
        ("X-Staff", Identity::Claim("staff".to_owned())),
        ("X-List", Identity::Claim("list".to_owned())),
        ("X-Missing", Identity::Claim("missing".to_owned())),
    ]
    .map(|(name, identity)| (name.to_owned(), identity))
    .into();
    let ctx = json!({"role": "admin\r\nX-Evil: 1", "age": 41, "staff": true, "list": [1]});
    let visit = Visit {
        host: "panel.example.com",
        scheme: "https",
        client: Some("::ffff:203.0.113.7".parse().unwrap()),
        cookie: COOKIE,
        mapping: &mapping,
    };
    let who = SignedIn {
        user: "Jö 100%",
        caller: "billing",
        site: "panel",
        link: TokenId::from_bytes([0; 16]),
        ctx: ctx.as_object(),
        assertion: "a.b.c",
    };
    let answer = if request.uri().path() == "/callback-test" {
        let login = "login.assertion.x";
        upstreams.callback(request.headers(), upstream, "/sso?from=gate", &visit, login).await
    } else {
        let who = Introduction::of(&mapping, &who);
        upstreams.forward(request, upstream, &visit, signed_in.then_some(&who), None).await
    };
    Ok(answer.unwrap_or_else(|denial: Denial| {
        let mut response = Response::new(body::full(denial.to_string()));
        *response.status_mut() = denial.public().status.try_into().unwrap();
        response
    }))
}

/// Sends a request's bytes; the future is the whole answer, or its head and what came with it.
fn ask(gate: &Gate, request: &str) -> impl Future<Output = String> + use<> {
    let (address, request) = (gate.address, request.to_owned());
    let task = tokio::spawn(async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        if request.contains("Connection: close") {
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            String::from_utf8(answer).unwrap()
        } else {
            read_until(&mut stream, "ok").await
        }
    });
    async move { task.await.unwrap() }
}

async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.contains(end) {
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).await.unwrap();
        assert_ne!(read, 0, "closed after {text:?}");
        text += std::str::from_utf8(&buffer[..read]).unwrap();
    }
    text
}

/// The head, and the body as its framing says, chunk signs and all.
async fn read_request(stream: &mut TcpStream) -> (String, String) {
    let text = read_until(stream, "\r\n\r\n").await;
    let (head, rest) = text.split_once("\r\n\r\n").unwrap();
    let mut body = rest.to_owned();
    let length: usize =
        values(head, "content-length").first().map_or(0, |length| length.parse().unwrap());
    let chunked = !values(head, "transfer-encoding").is_empty();
    while body.len() < length || (chunked && !body.ends_with("0\r\n\r\n")) {
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).await.unwrap();
        assert_ne!(read, 0, "closed after {body:?}");
        body += std::str::from_utf8(&buffer[..read]).unwrap();
    }
    (head.to_owned(), body)
}

fn first_line(head: &str) -> &str {
    head.lines().next().unwrap()
}

fn values<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    head.split("\r\n\r\n")
        .next()
        .unwrap()
        .lines()
        .filter_map(|line| line.split_once(": "))
        .filter(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
        .collect()
}
