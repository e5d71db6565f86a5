//! HTTP/2 on the public listener and on the API, in the clear and through TLS: by clients of other
//! houses, and by one that sends what no well-behaved client would.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use std::{net::SocketAddr, process::Command};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderMap, Request, Response, Version};
use serde_json::{Value, json};
use support::{
    certificates::{self, Curl, with_tls},
    frames::{END_HEADERS, END_STREAM, Frames, HEADERS, block, frame},
    gate::{BILLING, Gate, PANEL},
    http::Connection,
    installed,
    process::{Home, PATIENCE},
    wire::Wire,
};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, task::JoinHandle};

/// A connection of HTTP/2 in the clear.
struct Two {
    send: SendRequest<Bytes>,
    driver: JoinHandle<Result<(), h2::Error>>,
}

impl Two {
    async fn open(at: SocketAddr) -> Self {
        let stream = TcpStream::connect(at).await.unwrap();
        let (send, connection) = h2::client::handshake(stream).await.unwrap();
        Self { send, driver: tokio::spawn(connection) }
    }

    async fn begin(&mut self, request: Request<()>) -> ResponseFuture {
        self.send = self.send.clone().ready().await.unwrap();
        self.send.send_request(request, true).unwrap().0
    }

    /// The status, headers and body; or how the stream was reset.
    async fn ask(&mut self, request: Request<()>) -> Result<(u16, HeaderMap, Value), h2::Error> {
        read(self.begin(request).await.await?).await
    }
}

async fn read(answer: Response<h2::RecvStream>) -> Result<(u16, HeaderMap, Value), h2::Error> {
    let (head, mut body) = answer.into_parts();
    let mut bytes = Vec::new();
    while let Some(piece) = body.data().await {
        bytes.extend(piece?);
    }
    Ok((head.status.as_u16(), head.headers, serde_json::from_slice(&bytes).unwrap_or_default()))
}

fn get(uri: &str, headers: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::get(uri).version(Version::HTTP_2);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

#[tokio::test]
async fn a_link_is_asked_for_and_used_in_the_clear() {
    if !installed::programs(&["curl"]) {
        return;
    }
    let gate = Gate::start().await;
    let prior = "--http2-prior-knowledge";
    let key = format!("Authorization: Bearer {BILLING}");
    let curl = Curl::http(gate.api_at(), "localhost", "/v1/links").arg(prior).header(&key);
    let seen = curl.json(&json!({ "user": "joe" })).ask().await;
    assert_eq!((seen.status, seen.version.as_str()), (201, "2"), "{seen:?}");
    let link: Value = serde_json::from_str(&seen.body).unwrap();
    let path = format!("/_once/l/{}", link["token"].as_str().unwrap());
    for (method, status) in [("GET", 200), ("HEAD", 200), ("POST", 303), ("POST", 410)] {
        let curl = Curl::http(gate.public_at(), PANEL, &path).arg(prior);
        let curl = if method == "HEAD" { curl.arg("--head") } else { curl.arg("-X").arg(method) };
        let seen = curl.ask().await;
        assert_eq!((seen.status, seen.version.as_str()), (status, "2"), "{seen:?}");
    }
    // Whoever asks to be upgraded in the clear (RFC 7540's way) stays with what he has.
    let curl = Curl::http(gate.public_at(), PANEL, "/.well-known/jwks.json").arg("--http2");
    let seen = curl.ask().await;
    assert_eq!((seen.status, seen.version.as_str()), (200, "1.1"), "{seen:?}");
    gate.stop().await;
}

#[tokio::test]
async fn the_authority_is_the_site_and_contradicts_no_host() {
    let gate = Gate::start().await;
    let mut two = Two::open(gate.public_at()).await;
    let ours = format!("http://{PANEL}/assets/x");
    for (uri, headers, status) in [
        (ours.as_str(), &[][..], 200),
        (&ours, &[("host", PANEL)], 200),
        ("http://PANEL.example.com/assets/x", &[], 200),
        (&ours, &[("host", "shop.example.com")], 400),
        (&ours, &[("host", PANEL), ("host", PANEL)], 400),
        (&ours, &[("host", "")], 400),
        ("http://elsewhere.example.com/assets/x", &[], 421),
        ("http://user@panel.example.com/assets/x", &[], 400),
    ] {
        let answer = two.ask(get(uri, headers)).await;
        let (got, fields, _) = answer.unwrap_or_else(|why| panic!("{uri} {headers:?}: {why}"));
        assert_eq!(got, status, "{uri} {headers:?}");
        for name in ["connection", "keep-alive", "transfer-encoding", "upgrade"] {
            assert!(!fields.contains_key(name), "{fields:?}");
        }
    }
    for seen in gate.upstream.seen() {
        let hosts = support::upstream::header(&seen, "host");
        assert!(hosts.len() == 1 && hosts[0].eq_ignore_ascii_case(PANEL), "{seen}");
    }
    gate.stop().await;
}

/// How the static table says 200 and 400 (RFC 7541, appendix A).
const OK: u8 = 0x88;
const BAD_REQUEST: u8 = 0x8c;
const PROTOCOL_ERROR: u32 = 1;

#[tokio::test]
async fn a_head_that_is_none_is_refused_and_reaches_nobody() {
    let gate = Gate::start().await;
    let usual = [(":method", "GET"), (":scheme", "http"), (":path", "/assets/x")];
    let ours = (":authority", PANEL);
    for (more, expected) in [
        (&[ours][..], Ok(OK)),
        // As a proxy writes it that was asked by HTTP/1.1 (RFC 9113, 8.3.1).
        (&[("host", PANEL)], Ok(OK)),
        (&[ours, ("te", "trailers")], Ok(OK)),
        (&[], Ok(BAD_REQUEST)),
        (&[ours, ("host", "shop.example.com")], Ok(BAD_REQUEST)),
        (&[ours, ("connection", "close")], Err(PROTOCOL_ERROR)),
        (&[ours, ("connection", "x-oncegate-user")], Err(PROTOCOL_ERROR)),
        (&[ours, ("keep-alive", "timeout=5")], Err(PROTOCOL_ERROR)),
        (&[ours, ("proxy-connection", "keep-alive")], Err(PROTOCOL_ERROR)),
        (&[ours, ("transfer-encoding", "chunked")], Err(PROTOCOL_ERROR)),
        (&[ours, ("upgrade", "websocket")], Err(PROTOCOL_ERROR)),
        (&[ours, ("te", "gzip")], Err(PROTOCOL_ERROR)),
        (&[ours, ("X-Oncegate-User", "joe")], Err(PROTOCOL_ERROR)),
        (&[ours, (":path", "/other")], Err(PROTOCOL_ERROR)),
        (&[("x-first", "1"), ours], Err(PROTOCOL_ERROR)),
        (&[ours, (":protocol", "websocket")], Err(PROTOCOL_ERROR)),
    ] {
        let seen = gate.upstream.seen().len();
        let mut frames = Frames::open(gate.public_at()).await;
        let head = block(&[&usual[..], more].concat());
        assert!(frames.flood(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &head)).await);
        let outcome = tokio::time::timeout(PATIENCE, frames.outcome(1)).await.unwrap();
        let status = outcome.map(|outcome| outcome.map(|head| head[0]));
        // Of what cannot be unpacked the whole connection ends.
        assert!(
            status == Some(expected) || status.is_none() && expected.is_err(),
            "{more:?} {status:?}"
        );
        assert_eq!(gate.upstream.seen().len(), seen + usize::from(expected == Ok(OK)), "{more:?}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn cookies_in_several_fields_are_one_for_the_upstream() {
    let gate = Gate::start().await;
    let cookie = gate.sign_in().await;
    let mut two = Two::open(gate.public_at()).await;
    let crumbs = [("cookie", "a=1"), ("cookie", cookie.as_str()), ("cookie", "b=2")];
    let (status, _, seen) = two.ask(get(&format!("http://{PANEL}/x"), &crumbs)).await.unwrap();
    assert_eq!(status, 200);
    assert_eq!(support::upstream::header(&seen, "cookie"), ["a=1; b=2"]);
    assert_eq!(support::upstream::header(&seen, "x-oncegate-user"), ["joe"]);
    gate.stop().await;
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_and_the_connection_goes_on() {
    let gate = Gate::start().await;
    let mut two = Two::open(gate.public_at()).await;
    let uri = format!("http://{PANEL}/assets/x");
    let large = "x".repeat(70 * 1024);
    let answer = two.ask(get(&uri, &[("x-large", &large)])).await;
    assert_eq!(answer.map(|(status, ..)| status).unwrap(), 431);
    assert_eq!(two.ask(get(&uri, &[])).await.unwrap().0, 200);
    gate.stop().await;
}

#[tokio::test]
async fn who_begins_and_does_not_go_on_is_closed() {
    let gate =
        Gate::with(|text| text.replace("[listen]", "[limits]\nheader_timeout = \"1s\"\n[listen]"))
            .await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for at in [gate.public_at(), gate.api_at()] {
        for begun in [&b""[..], b"P", b"PRI", &preface[..20], preface, b"GET / HTTP/1.1\r\n"] {
            let mut stream = TcpStream::connect(at).await.unwrap();
            stream.write_all(begun).await.unwrap();
            let ended = async {
                let mut bytes = Vec::new();
                let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut bytes).await;
            };
            tokio::time::timeout(PATIENCE, ended).await.unwrap_or_else(|_| panic!("{begun:?}"));
        }
        // One that is idle after its answer is told so, and ends.
        let mut two = Two::open(at).await;
        let _ = two.ask(get(&format!("http://{PANEL}/.well-known/jwks.json"), &[])).await.unwrap();
        let ended = tokio::time::timeout(PATIENCE, two.driver).await.expect("it stays").unwrap();
        assert!(ended.is_ok(), "{ended:?}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn at_the_end_what_is_under_way_is_answered_and_the_rest_sent_elsewhere() {
    let mut upstream = Wire::listen().await;
    let gate = upstream.gate(|text| text).await;
    let at = gate.public_at();
    let mut two = Two::open(at).await;
    let slow = two.begin(get(&format!("http://{PANEL}/assets/slow"), &[])).await;
    let mut late = upstream.accept().await;
    let mut idle = Two::open(at).await;
    let keys = format!("http://{PANEL}/.well-known/jwks.json");
    assert_eq!(idle.ask(get(&keys, &[])).await.unwrap().0, 200);
    let stopping = tokio::spawn(gate.stop());
    // No stream was cut off: it ends without an error.
    tokio::time::timeout(PATIENCE, idle.driver).await.expect("told to go").unwrap().unwrap();
    late.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
    assert_eq!(read(slow.await.unwrap()).await.unwrap().0, 200);
    drop(two.send);
    tokio::time::timeout(PATIENCE, two.driver).await.expect("it ends").unwrap().unwrap();
    tokio::time::timeout(PATIENCE, stopping).await.expect("it stops").unwrap();
}

#[tokio::test]
async fn an_idle_connection_gives_way_to_a_new_one_and_a_busy_one_does_not() {
    let mut upstream = Wire::listen().await;
    let gate = upstream
        .gate(|text| text.replace("[listen]", "[limits]\nmax_connections = 3\n[listen]"))
        .await;
    let at = gate.public_at();
    let mut busy = Two::open(at).await;
    let slow = busy.begin(get(&format!("http://{PANEL}/assets/slow"), &[])).await;
    let mut late = upstream.accept().await;
    let keys = format!("GET /.well-known/jwks.json HTTP/1.1\r\nHost: {PANEL}\r\n\r\n");
    let mut kept = Connection::open(at).await.unwrap();
    kept.send(&keys).await.unwrap();
    assert_eq!(kept.answer().await.unwrap().status, 200);
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(at).await.unwrap());
        let mut good = Connection::open(at).await.unwrap();
        good.send(&keys).await.unwrap();
        let answer = tokio::time::timeout(PATIENCE, good.answer()).await.expect("locked out");
        assert_eq!(answer.unwrap().status, 200);
    }
    assert!(kept.closed().await, "it was idle the longest");
    late.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
    assert_eq!(read(slow.await.unwrap()).await.unwrap().0, 200, "it had something under way");
    gate.stop().await;
}

#[tokio::test]
async fn other_peoples_clients_and_their_load_are_answered() {
    let there = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if !installed::all(&[("nghttp", there("nghttp")), ("h2load", there("h2load"))]) {
        return;
    }
    for secure in [false, true] {
        let home = Home::new(|text| if secure { with_tls(&text, "") } else { text }).await;
        certificates::usual(home.dir.path());
        let (_process, at) = home.start().await;
        let scheme = if secure { "https" } else { "http" };
        for (listener, path) in [(at.public, "/.well-known/jwks.json"), (at.api, "/openapi.json")] {
            let url = format!("{scheme}://{listener}{path}");
            let authority = format!(":authority: {PANEL}");
            let load =
                ["-n", "2000", "-c", "10", "-m", "20", "-H", &authority, &url].map(str::to_owned);
            let run = async |program: &'static str, args: Vec<String>| {
                let ran = move || certificates::run(Command::new(program).args(args));
                tokio::task::spawn_blocking(ran).await.unwrap()
            };
            let told = run("h2load", load.to_vec()).await;
            assert!(told.contains("2000 succeeded, 0 failed, 0 errored"), "{url}: {told}");
            assert!(told.contains("2000 2xx, 0 3xx, 0 4xx, 0 5xx"), "{url}: {told}");
            assert!(!secure || told.contains("Application protocol: h2"), "{told}");
            let args = ["-nv", "-H", &authority, &url].map(str::to_owned);
            let told = run("nghttp", args.to_vec()).await;
            assert!(told.contains(":status: 200"), "{url}: {told}");
        }
    }
}
