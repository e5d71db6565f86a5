//! `WebSocket` and other upgrades: from a handshake that is judged to bytes that are not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use std::time::Duration;

use support::{
    gate::{Gate, PANEL, cookie_of},
    http::Connection,
    process::{Home, Sockets},
    websocket::{Echo, open, refused, say},
    wire::{Wire, read_until, upstream_at, values},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::tungstenite::Message;

const ORIGIN: &str = "https://panel.example.com";
const PATIENCE: Duration = Duration::from_secs(20);

/// A gate before an upstream that echoes.
async fn before(echo: &Echo) -> Gate {
    let addr = echo.addr;
    Gate::with(move |text| upstream_at(&text, addr)).await
}

/// A handshake as it stands on the wire.
fn handshake(cookie: &str, more: &str) -> String {
    format!(
        "GET /ws HTTP/1.1\r\nHost: {PANEL}\r\nCookie: {cookie}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )
}

const SWITCHES: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
     Upgrade: WebSocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// What comes until the other end is done writing.
async fn rest(stream: &mut TcpStream) -> String {
    let mut rest = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut rest)).await.expect("never done").unwrap();
    rest
}

// ----------------------------------------------------------------------------- who may open one

#[tokio::test]
async fn who_is_signed_in_talks_to_the_upstream_which_knows_who_it_is() {
    let echo = Echo::start().await;
    let gate = before(&echo).await;
    let cookie = gate.sign_in().await;
    let sent = format!("a=1; {cookie}");
    let headers = [("cookie", sent.as_str()), ("origin", ORIGIN), ("x-oncegate-user", "mallory")];
    let (mut socket, head) = open(gate.public_at(), PANEL, "/ws?x=%2f", &headers).await.unwrap();
    assert_eq!(head["set-cookie"], "app=1; Path=/");
    assert!(head.contains_key("x-request-id"));
    assert_eq!(say(&mut socket, "hello").await, Message::text("hello"));
    let large: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    assert_eq!(say(&mut socket, large.clone()).await, Message::binary(large));
    assert!(matches!(say(&mut socket, "bye").await, Message::Close(_)));
    let seen = echo.seen();
    let (target, head) = &seen[0];
    assert_eq!((target.as_str(), &head["x-oncegate-user"]), ("/ws?x=%2f", &"joe".parse().unwrap()));
    assert_eq!(
        (&head["cookie"], &head["host"]),
        (&"a=1".parse().unwrap(), &PANEL.parse().unwrap())
    );
    assert_eq!(head.get_all("x-oncegate-user").iter().count(), 1);
}

#[tokio::test]
async fn nobody_signed_in_opens_none_unless_the_path_is_public() {
    let echo = Echo::start().await;
    let gate = before(&echo).await;
    let opened = open(gate.public_at(), PANEL, "/ws", &[("origin", ORIGIN)]).await;
    assert_eq!(refused(opened), (401, "sign_in_required".to_owned()));
    assert!(echo.seen().is_empty());
    let (mut socket, _) = open(gate.public_at(), PANEL, "/assets/ws", &[]).await.unwrap();
    assert_eq!(say(&mut socket, "hello").await, Message::text("hello"));
    assert!(!echo.seen()[0].1.contains_key("x-oncegate-user"));
}

#[tokio::test]
async fn a_page_of_another_site_opens_none_with_the_visitors_cookie() {
    let echo = Echo::start().await;
    let gate = before(&echo).await;
    let cookie = gate.sign_in().await;
    for hostile in [
        &[("origin", "https://evil.example.com")][..],
        &[("origin", "https://panel.example.com.evil.org")],
        &[("origin", "http://panel.example.com")],
        &[("origin", "null")],
        &[("origin", ORIGIN), ("origin", "https://evil.example.com")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site"), ("origin", ORIGIN)],
    ] {
        for path in ["/ws", "/assets/ws"] {
            let headers = [&[("cookie", cookie.as_str())], hostile].concat();
            let opened = open(gate.public_at(), PANEL, path, &headers).await;
            assert_eq!(refused(opened), (403, "cross_site".to_owned()), "{hostile:?}");
        }
    }
    assert!(echo.seen().is_empty());
    for own in [&[][..], &[("origin", ORIGIN)], &[("sec-fetch-site", "same-origin")]] {
        let headers = [&[("cookie", cookie.as_str())], own].concat();
        assert!(open(gate.public_at(), PANEL, "/ws", &headers).await.is_ok(), "{own:?}");
    }
}

#[tokio::test]
async fn the_gates_own_paths_are_no_ones_to_upgrade() {
    let echo = Echo::start().await;
    let gate = before(&echo).await;
    let cookie = gate.sign_in().await;
    for (path, status) in [("/_once/session", 200), ("/_once/x", 404), ("/_once/logout", 200)] {
        let opened = open(gate.public_at(), PANEL, path, &[("cookie", &cookie)]).await;
        assert_eq!(refused(opened).0, status, "{path}");
    }
    assert!(echo.seen().is_empty());
}

// ------------------------------------------------------------------------------- what goes through

#[tokio::test]
async fn bytes_pass_as_they_are_and_either_end_may_be_done_first() {
    for client_first in [true, false] {
        let mut upstream = Wire::listen().await;
        let gate = upstream.gate(|text| text).await;
        let cookie = gate.sign_in().await;
        let mut client = TcpStream::connect(gate.public_at()).await.unwrap();
        // Sent before anybody agreed to anything: it waits for the agreement.
        client.write_all((handshake(&cookie, "") + "early").as_bytes()).await.unwrap();
        let mut stream = upstream.accept().await;
        let head = read_until(&mut stream, "\r\n\r\n").await;
        assert!(head.ends_with("\r\n\r\n"), "{head}");
        assert_eq!(values(&head, "upgrade"), ["websocket"]);
        assert_eq!(values(&head, "connection"), ["upgrade"]);
        assert_eq!(values(&head, "sec-websocket-key"), ["dGhlIHNhbXBsZSBub25jZQ=="]);
        stream.write_all((SWITCHES.to_owned() + "\0prompt").as_bytes()).await.unwrap();
        let answer = read_until(&mut client, "\0prompt").await;
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        assert_eq!(values(&answer, "connection"), ["upgrade"]);
        assert_eq!(values(&answer, "upgrade"), ["websocket"]);
        assert_eq!(values(&answer, "sec-websocket-accept"), ["s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]);
        assert!(values(&answer, "content-length").is_empty());
        assert!(values(&answer, "transfer-encoding").is_empty());
        read_until(&mut stream, "early").await;
        let (first, last) =
            if client_first { (&mut client, &mut stream) } else { (&mut stream, &mut client) };
        first.write_all(b"last words").await.unwrap();
        first.shutdown().await.unwrap();
        assert_eq!(rest(last).await, "last words");
        last.write_all(b"and the answer to them").await.unwrap();
        last.shutdown().await.unwrap();
        assert_eq!(rest(first).await, "and the answer to them");
    }
}

/// Waits until so many connections of the public listener are open.
async fn wait_until_open(gate: &Gate, open: &str) {
    let line = format!("oncegate_connections{{listener=\"public\"}} {open}\n");
    let counted = async {
        while !gate.admin().get("/metrics").await.text().contains(&line) {
            tokio::task::yield_now().await; // each look is a round trip to the gate
        }
    };
    timeout(PATIENCE, counted).await.unwrap_or_else(|_| panic!("never {line}"));
}

#[tokio::test]
async fn an_open_one_counts_as_a_connection_until_both_ends_are_done() {
    let echo = Echo::start().await;
    let gate = before(&echo).await;
    let cookie = gate.sign_in().await;
    wait_until_open(&gate, "0").await;
    let opened = open(gate.public_at(), PANEL, "/ws", &[("cookie", &cookie)]).await;
    let (mut socket, _) = opened.unwrap();
    assert_eq!(say(&mut socket, "hello").await, Message::text("hello"));
    wait_until_open(&gate, "1").await;
    drop(socket);
    wait_until_open(&gate, "0").await;
}

#[tokio::test]
async fn an_open_one_goes_on_through_the_old_gate_and_holds_no_successor_up() {
    let echo = Echo::start().await;
    let (home, sockets) = (Home::new(|text| upstream_at(&text, echo.addr)).await, Sockets::bind());
    let names = [("LISTEN_FDNAMES", "public:api:admin")];
    let mut first = home.spawn_on(&sockets.0, &names);
    first.ready().await;
    let at = sockets.at();
    let cookie = cookie_of(&at.open(&at.link().await).await);
    let (mut socket, _) = open(at.public, PANEL, "/ws", &[("cookie", &cookie)]).await.unwrap();
    assert_eq!(say(&mut socket, "before").await, Message::text("before"));
    let mut second = home.spawn_on(&sockets.0, &names);
    first.terminate();
    second.ready().await;
    assert_eq!(at.open(&at.link().await).await.status, 303, "the new gate works meanwhile");
    assert_eq!(say(&mut socket, "after").await, Message::text("after"));
    assert!(first.runs());
    assert!(matches!(say(&mut socket, "bye").await, Message::Close(_)));
    drop(socket);
    let (code, said) = first.ended().await;
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("cut off"), "{said}");
    second.kill();
}

#[tokio::test]
async fn a_client_that_is_gone_takes_the_upstreams_connection_along() {
    let mut upstream = Wire::listen().await;
    let gate = upstream.gate(|text| text).await;
    let cookie = gate.sign_in().await;
    let mut client = TcpStream::connect(gate.public_at()).await.unwrap();
    client.write_all(handshake(&cookie, "").as_bytes()).await.unwrap();
    let mut stream = upstream.accept().await;
    read_until(&mut stream, "\r\n\r\n").await;
    stream.write_all(SWITCHES.as_bytes()).await.unwrap();
    read_until(&mut client, "\r\n\r\n").await;
    drop(client);
    assert_eq!(rest(&mut stream).await, "");
}

#[tokio::test]
async fn any_method_and_protocol_passes_but_none_behind_which_is_http_again() {
    let mut upstream = Wire::listen().await;
    let gate = upstream.gate(|text| text).await;
    let cookie = gate.sign_in().await;
    for (protocol, goes) in [
        ("tcp", true),
        ("SPDY/3.1", true),
        ("h2c", false),
        ("H2C", false),
        ("HTTP/2.0", false),
        ("TLS/1.2", false),
        ("websocket, h2c", false),
        ("h2c, websocket", false),
        ("websocket\r\nUpgrade: h2c", false),
    ] {
        let client = gate.public();
        let headers = [
            ("cookie", cookie.as_str()),
            ("connection", "Upgrade, HTTP2-Settings"),
            ("http2-settings", "AAMAAABkAAQAoAAAAAIAAAAA"),
            ("upgrade", protocol),
        ];
        let said = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine";
        let (head, answer) =
            tokio::join!(upstream.answer(said), client.request("POST", "/exec", &headers, b""));
        assert_eq!((answer.status, answer.text()), (200, "fine"), "{protocol}");
        let asked = if goes { vec![protocol] } else { vec![] };
        assert_eq!(values(&head, "upgrade"), asked, "{protocol}");
        assert!(values(&head, "http2-settings").is_empty(), "{protocol}");
        assert_eq!(values(&head, "connection").len(), usize::from(goes), "{protocol}");
    }
}

// ----------------------------------------------------------------------------- what goes wrong

#[tokio::test]
async fn an_upgrade_with_a_body_reaches_nobody() {
    let echo = Echo::start().await;
    let gate = before(&echo).await;
    let cookie = gate.sign_in().await;
    for (framing, body) in [
        ("Content-Length: 5\r\n", "hello"),
        ("Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        ("Content-Length: 5\r\nExpect: 100-continue\r\n", ""),
    ] {
        let mut connection = Connection::open(gate.public_at()).await.unwrap();
        connection.send(handshake(&cookie, framing) + body).await.unwrap();
        let answer = connection.answer().await.unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_request"), "{framing}");
        assert!(connection.closed().await);
    }
    assert!(echo.seen().is_empty());
}

/// Somebody in front who takes any answer for an agreement lets the client's bytes through
/// unjudged: what comes behind a handshake that failed is a request to nobody.
#[tokio::test]
async fn what_follows_an_upgrade_that_was_not_made_is_no_request() {
    for (status, body) in [("426 Upgrade Required", ""), ("404 Not Found", "no"), ("200 OK", "ok")]
    {
        let mut upstream = Wire::listen().await;
        let gate = upstream.gate(|text| text).await;
        let cookie = gate.sign_in().await;
        let smuggled = format!("GET /admin HTTP/1.1\r\nHost: {PANEL}\r\nCookie: {cookie}\r\n\r\n");
        let mut connection = Connection::open(gate.public_at()).await.unwrap();
        connection.send(handshake(&cookie, "") + &smuggled).await.unwrap();
        let mut stream = upstream.accept().await;
        let head = read_until(&mut stream, "\r\n\r\n").await;
        assert!(head.ends_with("\r\n\r\n") && !head.contains("/admin"), "{head}");
        let length = body.len();
        let said =
            format!("HTTP/1.1 {status}\r\nX-Own: 1\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(said.as_bytes()).await.unwrap();
        let answer = connection.answer().await.unwrap();
        assert_eq!(format!("{}", answer.status), status[..3]);
        assert_eq!((answer.text(), answer.header("x-own")), (body, Some("1")));
        assert_eq!(answer.header("connection"), Some("close"));
        assert!(connection.closed().await);
        gate.stop().await;
        assert_eq!(rest(&mut stream).await, "", "a second request was made of it");
    }
}

#[tokio::test]
async fn what_follows_an_upgrade_that_the_gate_refused_is_no_request() {
    let echo = Echo::start().await;
    let gate = before(&echo).await;
    let cookie = gate.sign_in().await;
    let smuggled = handshake(&cookie, "");
    let mut connection = Connection::open(gate.public_at()).await.unwrap();
    connection.send(handshake("a=1", "") + &smuggled).await.unwrap();
    assert_eq!(connection.answer().await.unwrap().status, 401);
    assert!(connection.closed().await);
    assert!(echo.seen().is_empty());
}

#[tokio::test]
async fn an_upstream_that_agrees_to_something_else_is_a_bad_gateway() {
    for (asks, agreed) in [
        ("Connection: Upgrade\r\nUpgrade: websocket\r\n", "h2c"),
        ("Connection: Upgrade\r\nUpgrade: websocket\r\n", "websocket, h2c"),
        ("Connection: Upgrade\r\nUpgrade: websocket\r\n", ""),
        ("Connection: Upgrade\r\nUpgrade: h2c\r\n", "h2c"),
        ("Upgrade: websocket\r\n", "websocket"),
        ("", "websocket"),
    ] {
        let mut upstream = Wire::listen().await;
        let gate = upstream.gate(|text| text).await;
        let cookie = gate.sign_in().await;
        let mut connection = Connection::open(gate.public_at()).await.unwrap();
        let ask = format!("GET / HTTP/1.1\r\nHost: {PANEL}\r\nCookie: {cookie}\r\n{asks}\r\n");
        connection.send(ask).await.unwrap();
        let said =
            format!("HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: {agreed}\r\n\r\n");
        upstream.answer(&said.replace("Upgrade: \r\n", "")).await;
        let answer = connection.answer().await.unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (502, "bad_gateway"), "{asks}{agreed}");
    }
}
