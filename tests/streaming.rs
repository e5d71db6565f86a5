//! Bodies of any length pass without being kept: what one end has not taken, the other has not
//! sent; and what breaks off on one side breaks off on the other.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::{
    body::{Frame, Incoming},
    client::conn::http2::{SendRequest, handshake},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use support::{
    gate::{Gate, PANEL, cookie_of},
    http::Connection,
    process::Home,
    wire::{Wire, read_until, upstream_at, values},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(20);
const BLOCK: usize = 64 << 10;
const MIB: u64 = 1 << 20;
/// What may be resident beyond what was before anything passed.
const SLACK: u64 = 32 * MIB;

type Body = http_body_util::combinators::BoxBody<Bytes, Infallible>;

fn none() -> Body {
    Empty::new().boxed()
}

/// A connection that speaks HTTP/2 from its first byte.
async fn http2(addr: SocketAddr) -> SendRequest<Body> {
    let stream = TokioIo::new(TcpStream::connect(addr).await.unwrap());
    let (sender, connection) = handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn request(method: &str, path: &str, cookie: &str) -> http::request::Builder {
    Request::builder().method(method).uri(format!("http://{PANEL}{path}")).header("cookie", cookie)
}

fn ask(path: &str, cookie: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {PANEL}\r\nCookie: {cookie}\r\n\r\n")
}

/// Whether the other end is gone; waits for it.
async fn gone(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut rest)).await.is_ok()
}

// ------------------------------------------------------------------------------------ long bodies

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gigabyte_passes_down_and_a_quarter_up_in_flat_memory() {
    let mut upstream = Wire::listen().await;
    let home = Home::new(|text| upstream_at(&text, upstream.addr)).await;
    let (gate, at) = home.start().await;
    let cookie = cookie_of(&at.open(&at.link().await).await);
    let before = gate.resident();
    let block = vec![b'x'; BLOCK];

    let length = 1024 * MIB;
    let mut client = TcpStream::connect(at.public).await.unwrap();
    client.write_all(ask("/big", &cookie).as_bytes()).await.unwrap();
    let mut stream = upstream.accept().await;
    read_until(&mut stream, "\r\n\r\n").await;
    let sending = tokio::spawn(send(stream, length));
    let taken = take(&mut client, length, || assert_flat(before, gate.resident())).await;
    assert_eq!(taken, length);
    sending.await.unwrap();

    let length = 256 * MIB;
    let mut client = http2(at.public).await;
    let answer = client.send_request(request("GET", "/big", &cookie).body(none()).unwrap());
    let answer = tokio::spawn(answer);
    let mut stream = upstream.accept().await;
    read_until(&mut stream, "\r\n\r\n").await;
    let sending = tokio::spawn(send(stream, length));
    let mut body = answer.await.unwrap().unwrap().into_body();
    let mut taken = 0;
    while let Some(frame) = body.frame().await {
        taken += frame.unwrap().into_data().map_or(0, |data| data.len() as u64);
        assert_flat(before, gate.resident());
    }
    assert_eq!(taken, length);
    sending.await.unwrap();

    let mut client = TcpStream::connect(at.public).await.unwrap();
    let head = ask("/up", &cookie).replace("GET", "POST");
    let head = head.replace("\r\n\r\n", &format!("\r\nContent-Length: {length}\r\n\r\n"));
    client.write_all(head.as_bytes()).await.unwrap();
    let mut stream = upstream.accept().await;
    let sending = tokio::spawn(async move {
        for _ in 0..length / BLOCK as u64 {
            client.write_all(&block).await.unwrap();
        }
        client
    });
    let taken = take(&mut stream, length, || assert_flat(before, gate.resident())).await;
    assert_eq!(taken, length);
    sending.await.unwrap();
    gate.kill();
}

/// What nobody takes stays where it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_has_nothing_kept_for_it() {
    let mut upstream = Wire::listen().await;
    let home = Home::new(|text| upstream_at(&text, upstream.addr)).await;
    let (gate, at) = home.start().await;
    let cookie = cookie_of(&at.open(&at.link().await).await);
    let before = gate.resident();
    let mut one = TcpStream::connect(at.public).await.unwrap();
    one.write_all(ask("/big", &cookie).as_bytes()).await.unwrap();
    let mut multiplexed = http2(at.public).await;
    let mut unread = Vec::new();
    for _ in 0..4 {
        let asked = request("GET", "/big", &cookie).body(none()).unwrap();
        unread.push(tokio::spawn(multiplexed.send_request(asked)));
    }
    for _ in 0..5 {
        let mut stream = upstream.accept().await;
        read_until(&mut stream, "\r\n\r\n").await;
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let (mut sent, block) = (0, vec![b'x'; BLOCK]);
        // A machine that is slow only stops it earlier.
        while let Ok(written) = timeout(Duration::from_millis(300), stream.write_all(&block)).await
        {
            written.unwrap();
            sent += BLOCK as u64;
            assert!(sent < 64 * MIB, "it is all taken in");
        }
    }
    assert_flat(before, gate.resident());
    gate.kill();
}

fn assert_flat(before: u64, now: u64) {
    let more = now.saturating_sub(before);
    assert!(more <= SLACK, "{} KiB more are resident", more / 1024);
}

/// Answers with so many bytes.
async fn send(mut stream: TcpStream, length: u64) {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let block = vec![b'x'; BLOCK];
    for _ in 0..length / BLOCK as u64 {
        stream.write_all(&block).await.unwrap();
    }
}

/// Reads a head and `length` bytes, and says how many of them came.
async fn take(stream: &mut TcpStream, length: u64, mut look: impl FnMut()) -> u64 {
    let head = read_head(stream).await;
    assert_eq!(values(&head, "content-length"), [length.to_string()]);
    let (mut taken, mut buffer, mut next) = (0, vec![0; 1 << 20], 0);
    while taken < length {
        let read = timeout(PATIENCE, stream.read(&mut buffer)).await.unwrap().unwrap();
        assert_ne!(read, 0, "closed after {taken}");
        taken += read as u64;
        if taken >= next {
            look();
            next += 16 * MIB;
        }
    }
    taken
}

/// Reads a head and nothing behind it.
async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap());
    }
    String::from_utf8(head).unwrap()
}

// --------------------------------------------------------------------------------- what breaks off

/// Answers that end before their time, each with the bytes that pass for its end.
const BROKEN: [(&str, &str); 3] = [
    ("Transfer-Encoding: chunked", "5\r\nfirst\r\n"),
    ("Transfer-Encoding: chunked", "5\r\nfirst\r\n8\r\nsec"),
    ("Content-Length: 100", "first"),
];

#[tokio::test]
async fn an_answer_that_breaks_off_looks_whole_to_nobody() {
    for (framing, body) in BROKEN {
        let mut upstream = Wire::listen().await;
        let gate = upstream.gate(|text| text).await;
        let cookie = gate.sign_in().await;
        let said = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n{body}");

        let mut client = TcpStream::connect(gate.public_at()).await.unwrap();
        client.write_all(ask("/x", &cookie).as_bytes()).await.unwrap();
        upstream.answer(&said).await;
        let mut answer = String::new();
        timeout(PATIENCE, client.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.contains("first") && !answer.ends_with("0\r\n\r\n"), "{answer}");

        let mut client = http2(gate.public_at()).await;
        let asked = client.send_request(request("GET", "/x", &cookie).body(none()).unwrap());
        let (_, answer) = tokio::join!(upstream.answer(&said), asked);
        assert!(answer.unwrap().into_body().collect().await.is_err(), "{framing}");
    }
}

#[tokio::test]
async fn a_client_that_is_gone_takes_the_upstreams_answer_along() {
    let mut upstream = Wire::listen().await;
    let gate = upstream.gate(|text| text).await;
    let cookie = gate.sign_in().await;
    let events = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                  Transfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n";
    // Before its answer began, and while it waits for the next event.
    for said in ["", events] {
        let mut client = TcpStream::connect(gate.public_at()).await.unwrap();
        client.write_all(ask("/events", &cookie).as_bytes()).await.unwrap();
        let mut stream = upstream.accept().await;
        read_until(&mut stream, "\r\n\r\n").await;
        stream.write_all(said.as_bytes()).await.unwrap();
        if !said.is_empty() {
            read_until(&mut client, "data: 1\n\n").await;
        }
        drop(client);
        assert!(gone(&mut stream).await);

        let mut client = http2(gate.public_at()).await;
        let asked = client.send_request(request("GET", "/events", &cookie).body(none()).unwrap());
        let asked = tokio::spawn(asked);
        let mut stream = upstream.accept().await;
        read_until(&mut stream, "\r\n\r\n").await;
        stream.write_all(said.as_bytes()).await.unwrap();
        if said.is_empty() {
            asked.abort();
        } else {
            let mut body = asked.await.unwrap().unwrap().into_body();
            let event = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(event, "data: 1\n\n");
        }
        assert!(gone(&mut stream).await);
    }
}

#[tokio::test]
async fn a_client_that_breaks_its_upload_off_ends_it_for_the_upstream_too() {
    let mut upstream = Wire::listen().await;
    let gate = upstream.gate(|text| text).await;
    let cookie = gate.sign_in().await;
    for framing in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
        let mut client = TcpStream::connect(gate.public_at()).await.unwrap();
        let head = ask("/up", &cookie).replace("GET", "POST");
        let head = head.replace("\r\n\r\n", &format!("\r\n{framing}\r\n\r\n5\r\nfirst\r\n"));
        client.write_all(head.as_bytes()).await.unwrap();
        let mut stream = upstream.accept().await;
        read_until(&mut stream, "first").await;
        drop(client);
        let mut rest = String::new();
        // It may be reset, which is as clear.
        let _ = timeout(PATIENCE, stream.read_to_string(&mut rest)).await.expect("it goes on");
        assert!(!rest.contains("0\r\n\r\n"), "{rest:?} looks like an end");
    }
}

#[tokio::test]
async fn an_upload_that_stands_still_is_refused_and_lets_go_of_the_upstream() {
    let mut upstream = Wire::listen().await;
    let change = |text: String| text.replace("[links]", "[limits]\nbody_timeout = \"2s\"\n[links]");
    let gate = upstream.gate(change).await;
    let cookie = gate.sign_in().await;
    let mut connection = Connection::open(gate.public_at()).await.unwrap();
    let head = ask("/up", &cookie).replace("GET", "POST");
    let head = head.replace("\r\n\r\n", "\r\nContent-Length: 100\r\n\r\nfirst");
    connection.send(head).await.unwrap();
    let mut stream = upstream.accept().await;
    read_until(&mut stream, "first").await;
    let answer = connection.answer().await.unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_request"));
    assert!(answer.text().contains("too long"), "{}", answer.text());
    assert!(gone(&mut stream).await);
    assert!(connection.closed().await);

    let mut client = http2(gate.public_at()).await;
    let asked = request("POST", "/up", &cookie).body(Silent.boxed());
    let answer = client.send_request(asked.unwrap()).await.unwrap();
    assert_eq!(answer.status(), 400);
}

/// A body that never begins.
struct Silent;

impl hyper::body::Body for Silent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

// ------------------------------------------------------------------------- who is told to go on

#[tokio::test]
async fn who_waits_for_100_is_told_to_go_on_only_where_somebody_takes_the_body() {
    let mut upstream = Wire::listen().await;
    let gate = upstream.gate(|text| text).await;
    let cookie = gate.sign_in().await;
    let upload = |cookie: &str, path: &str| {
        let head = ask(path, cookie).replace("GET", "POST");
        head.replace("\r\n\r\n", "\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    };
    for (cookie, path, status) in
        [("a=1", "/up", 401), (&cookie, "/_once/none", 404), (&cookie, "/up?_once=x", 400)]
    {
        let mut client = TcpStream::connect(gate.public_at()).await.unwrap();
        client.write_all(upload(cookie, path).as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(PATIENCE, client.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
    }
    let mut connection = Connection::open(gate.public_at()).await.unwrap();
    connection.send(upload(&cookie, "/up")).await.unwrap();
    assert_eq!(connection.interim().await.unwrap().status, 100);
    connection.send("body").await.unwrap();
    let head = upstream.answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    assert!(values(&head, "expect").is_empty() && values(&head, "content-length") == ["4"]);
    assert_eq!(connection.answer().await.unwrap().text(), "ok");
}

// ------------------------------------------------------------------ HTTP/2 before an HTTP/1.1 upstream

/// Asks by HTTP/2; the head that the upstream got, and the answer.
async fn by_http2(
    upstream: &mut Wire,
    gate: &Gate,
    asked: http::request::Builder,
    said: &str,
) -> (String, Response<Incoming>) {
    let mut client = http2(gate.public_at()).await;
    let asked = client.send_request(asked.body(none()).unwrap());
    let (head, answer) = tokio::join!(upstream.answer(said), asked);
    (head, answer.unwrap())
}

#[tokio::test]
async fn what_is_of_one_hop_stays_there_whatever_the_hops_speak() {
    let mut upstream = Wire::listen().await;
    let gate = upstream.gate(|text| text).await;
    let cookie = gate.sign_in().await;
    // RFC 9113, 8.2.3: cookies come in crumbs.
    let asked = request("GET", "/x?y", "a=1")
        .header(header::COOKIE, &cookie)
        .header(header::COOKIE, "b=2; c=3")
        .header(header::TE, "trailers")
        .header("range", "bytes=0-1")
        .header("x_oncegate_user", "mallory");
    let said = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/9\r\nConnection: X-Hop\r\n\
                X-Hop: 1\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nok";
    let (head, answer) = by_http2(&mut upstream, &gate, asked, said).await;
    assert!(head.starts_with("GET /x?y HTTP/1.1\r\n"), "{head}");
    assert_eq!(values(&head, "cookie"), ["a=1; b=2; c=3"]);
    assert_eq!(values(&head, "host"), [PANEL]);
    assert_eq!((values(&head, "te"), values(&head, "connection")), (vec!["trailers"], vec!["te"]));
    assert_eq!(
        (values(&head, "range"), values(&head, "x-oncegate-user")),
        (vec!["bytes=0-1"], vec!["joe"])
    );
    assert!(!head.contains("mallory") && values(&head, "transfer-encoding").is_empty(), "{head}");
    assert_eq!(answer.status(), 206);
    assert_eq!(answer.headers()["content-range"], "bytes 0-1/9");
    for gone in ["connection", "x-hop", "keep-alive", "transfer-encoding"] {
        assert!(!answer.headers().contains_key(gone), "{gone}");
    }
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "ok");
}

#[tokio::test]
async fn answers_without_a_body_stay_without_by_http2_too() {
    let mut upstream = Wire::listen().await;
    let gate = upstream.gate(|text| text).await;
    let cookie = gate.sign_in().await;
    for (method, said, status) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 4711\r\n\r\n", 200),
        (
            "GET",
            "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
            204,
        ),
        ("GET", "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n", 304),
    ] {
        let asked = request(method, "/x", &cookie);
        let (_, answer) = by_http2(&mut upstream, &gate, asked, said).await;
        assert_eq!(answer.status(), status);
        let length = answer.headers().get("content-length").map(|l| l.to_str().unwrap().to_owned());
        assert_eq!(length.as_deref(), (method == "HEAD").then_some("4711"));
        assert!(answer.into_body().collect().await.unwrap().to_bytes().is_empty());
    }
}

#[tokio::test]
async fn trailers_cross_by_http2_as_by_http1() {
    let mut upstream = Wire::listen().await;
    let gate = upstream.gate(|text| text).await;
    let cookie = gate.sign_in().await;
    let mut trailers = HeaderMap::new();
    for name in ["x-checksum", "x-oncegate-user", "x_oncegate_user", "remote-user", "x-unannounced"]
    {
        trailers.insert(name, "sent".parse().unwrap());
    }
    let body = Full::new(Bytes::from("body")).with_trailers(std::future::ready(Some(Ok(trailers))));
    let announced = "x-checksum, x-oncegate-user, x_oncegate_user, remote-user";
    let asked =
        request("POST", "/x", &cookie).header("trailer", announced).header("te", "trailers");
    let mut client = http2(gate.public_at()).await;
    let answer = tokio::spawn(client.send_request(asked.body(body.boxed()).unwrap()));
    let mut stream = upstream.accept().await;
    let seen = read_until(&mut stream, "sent\r\n\r\n").await;
    assert_eq!(values(&seen, "trailer"), ["x-checksum"]);
    assert!(seen.ends_with("4\r\nbody\r\n0\r\nx-checksum: sent\r\n\r\n"), "{seen}");
    let said = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: grpc-status, set-cookie\r\n\r\n\
                2\r\nok\r\n0\r\nGrpc-Status: 5\r\nSet-Cookie: __Host-oncegate=evil\r\n\r\n";
    stream.write_all(said.as_bytes()).await.unwrap();
    let answer = answer.await.unwrap().unwrap().into_body().collect().await.unwrap();
    let got = answer.trailers().unwrap();
    assert_eq!((got.len(), &got["grpc-status"]), (1, &"5".parse().unwrap()));
}
