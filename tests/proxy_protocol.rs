//! The client's address from a PROXY header, versions 1 and 2, of a trusted proxy and nobody else;
//! by bytes that a test writes, and by a real `HAProxy`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use std::{
    fs, io,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use proxy_protocol_rs::HeaderBuilder;
use serde_json::json;
use support::{
    certificates::{self, Curl, with_tls},
    gate::{Gate, PANEL},
    http::{Client, Connection},
    installed,
    ports::free_address,
    process::{Home, PATIENCE},
    upstream::header,
    vendors,
};
use tempfile::TempDir;
use tokio::net::{TcpSocket, TcpStream};

/// What a proxy at 127.0.0.1 must begin with, and nobody else may.
const LISTEN: &str = "[listen]\nclient_ip = \"proxy-protocol\"\ntrusted_proxies = [\"127.0.0.1\"]";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

async fn gate() -> Gate {
    Gate::with(|text| text.replace("[listen]", LISTEN)).await
}

/// A request that goes to the upstream with nobody signed in.
fn asset(more: &str) -> Vec<u8> {
    format!("GET /assets/x HTTP/1.1\r\nHost: {PANEL}\r\n{more}Connection: close\r\n\r\n")
        .into_bytes()
}

fn v2(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [V2, &[command, family], &length, payload].concat()
}

fn v2_from(source: &str) -> HeaderBuilder {
    let source: SocketAddr = source.parse().unwrap();
    let destination = if source.is_ipv4() { "192.0.2.1:443" } else { "[2001:db8::1]:443" };
    HeaderBuilder::v2_proxy(source, destination.parse().unwrap())
}

/// What the upstream is told of the client, after these bytes.
async fn client_after(gate: &Gate, proxy: &[u8], more: &str) -> String {
    let mut connection = Connection::open(gate.public_at()).await.unwrap();
    connection.send([proxy, &asset(more)].concat()).await.unwrap();
    let answer = connection.answer().await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    header(&answer.json(), "x-forwarded-for").join("|")
}

#[tokio::test]
async fn the_client_is_whom_the_header_tells() {
    let gate = gate().await;
    let mapped = {
        let mut payload = [0; 36];
        payload[10..16].copy_from_slice(&[0xff, 0xff, 192, 0, 2, 7]);
        v2(0x21, 0x21, &payload)
    };
    let told = v2_from("192.0.2.7:40000").with_authority(PANEL).with_unique_id(b"id".to_vec());
    for (proxy, client) in [
        (b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 443\r\n".to_vec(), "192.0.2.7"),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 40000 443\r\n".to_vec(), "2001:db8::7"),
        (v2_from("192.0.2.7:40000").build(), "192.0.2.7"),
        (v2_from("[2001:db8::7]:40000").build(), "2001:db8::7"),
        (mapped, "192.0.2.7"),
        (told.with_raw_tlv(0xe0, vec![b'x'; 4_000]).with_crc32c().build(), "192.0.2.7"),
    ] {
        assert_eq!(client_after(&gate, &proxy, "").await, client, "{proxy:?}");
        // What the client wrote itself is nobody's word.
        let forged = "X-Forwarded-For: 203.0.113.9\r\nForwarded: for=203.0.113.9\r\n";
        assert_eq!(client_after(&gate, &proxy, forged).await, client, "{proxy:?}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_header_may_come_in_pieces_and_ends_where_it_ends() {
    let gate = gate().await;
    for proxy in [
        b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 443\r\n".to_vec(),
        v2_from("192.0.2.7:40000").with_padding(40).build(),
    ] {
        let mut connection = Connection::open(gate.public_at()).await.unwrap();
        for byte in [&proxy[..], &asset("")].concat() {
            connection.send([byte]).await.unwrap();
        }
        let answer = connection.answer().await.unwrap();
        assert_eq!(header(&answer.json(), "x-forwarded-for"), ["192.0.2.7"]);
        // A second one is no part of HTTP.
        let twice = [&proxy[..], &proxy].concat();
        assert!(refused(&gate, &twice).await, "{proxy:?}");
    }
    gate.stop().await;
}

/// Whether these bytes and a good request behind them are answered by nothing, or by 400.
async fn refused(gate: &Gate, bytes: &[u8]) -> bool {
    let mut connection = Connection::open(gate.public_at()).await.unwrap();
    if connection.send([bytes, &asset("")].concat()).await.is_err() {
        return true;
    }
    connection.answer().await.map_or(true, |answer| answer.status == 400)
}

#[tokio::test]
async fn what_is_no_header_is_closed_and_counted() {
    let gate = gate().await;
    let address = [192, 0, 2, 7, 192, 0, 2, 1, 0x9c, 0x40, 1, 0xbb];
    let bad: Vec<Vec<u8>> = vec![
        // None at all, and another case of it.
        b"".to_vec(),
        b"proxy TCP4 192.0.2.7 192.0.2.1 40000 443\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 443\n".to_vec(),
        [b"PROXY TCP4 ".to_vec(), vec![b'1'; 200]].concat(),
        b"PROXY TCP4 192.0.2.7 192.0.2.1 40000\r\n".to_vec(),
        b"PROXY TCP4 2001:db8::7 192.0.2.1 40000 443\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 192.0.2.1 70000 443\r\n".to_vec(),
        b"PROXY UDP4 192.0.2.7 192.0.2.1 40000 443\r\n".to_vec(),
        b"PROXY TCP4  192.0.2.7 192.0.2.1 40000 443\r\n".to_vec(),
        b"PROXY \r\n".to_vec(),
        // Another version, command, family, protocol; no address; a wrong length.
        v2(0x11, 0x11, &address),
        v2(0x22, 0x11, &address),
        v2(0x21, 0x41, &address),
        v2(0x21, 0x13, &address),
        v2(0x21, 0x00, &address),
        v2(0x21, 0x11, &address[..8]),
        v2(0x21, 0x21, &address),
        v2(0x21, 0x31, &address),
        // A part that is longer than the whole, and a checksum that is not its own.
        v2(0x21, 0x11, &[&address[..], &[0xe0, 0, 9, 1]].concat()),
        v2(0x21, 0x11, &[&address[..], &[3, 0, 4, 1, 2, 3, 4]].concat()),
        // Longer than any that is sent.
        v2(0x21, 0x11, &[&address[..], &[4, 0x40, 0], &[0; 0x4000]].concat()),
    ];
    for (number, bytes) in (1..).zip(&bad) {
        let mut connection = Connection::open(gate.public_at()).await.unwrap();
        let _ = connection.send([&bytes[..], &asset("")].concat()).await;
        assert!(connection.closed().await, "{bytes:?}");
        assert_eq!(unserved(&gate, "proxy_header").await, number, "{bytes:?}");
    }
    assert!(gate.upstream.seen().is_empty());
    gate.stop().await;
}

async fn unserved(gate: &Gate, why: &str) -> usize {
    let text = gate.admin().get("/metrics").await.text().to_owned();
    let name = format!("oncegate_connections_unserved_total{{listener=\"public\",why=\"{why}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap_or_default()
}

#[tokio::test]
async fn half_a_header_is_waited_for_no_longer_than_a_head() {
    let gate = Gate::with(|text| {
        let limits = "[limits]\nheader_timeout = \"1s\"\n[listen]";
        text.replace("[listen]", limits).replace("[listen]", LISTEN)
    })
    .await;
    for half in [&b""[..], b"P", b"PROXY TCP4 192.0.2.7", V2, &v2(0x21, 0x11, &[0; 12])[..20]] {
        let before = unserved(&gate, "too_slow").await;
        let mut connection = Connection::open(gate.public_at()).await.unwrap();
        connection.send(half).await.unwrap();
        let closed = tokio::time::timeout(PATIENCE, connection.closed()).await;
        assert!(closed.unwrap(), "{half:?}");
        assert_eq!(unserved(&gate, "too_slow").await, before + 1, "{half:?}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_proxy_of_its_own_is_answered_but_is_no_visitor() {
    let gate = gate().await;
    let unix = v2(0x21, 0x31, &[0; 216]);
    for proxy in [b"PROXY UNKNOWN\r\n".to_vec(), v2(0x20, 0, &[]), v2(0x20, 0x11, &[1; 12]), unix] {
        let mut connection = Connection::open(gate.public_at()).await.unwrap();
        let ask = format!("GET /.well-known/jwks.json HTTP/1.1\r\nHost: {PANEL}\r\n\r\n");
        connection.send([&proxy[..], ask.as_bytes()].concat()).await.unwrap();
        assert_eq!(connection.answer().await.unwrap().status, 200, "{proxy:?}");

        // Where an address is needed, the proxy's own will not do.
        let link = gate.link(json!({ "ip": ["127.0.0.1", "192.0.2.7"] })).await;
        let mut connection = Connection::open(gate.public_at()).await.unwrap();
        let open =
            format!("POST {} HTTP/1.1\r\nHost: {PANEL}\r\nContent-Length: 0\r\n\r\n", link.path);
        connection.send([&proxy[..], open.as_bytes()].concat()).await.unwrap();
        let answer = connection.answer().await.unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (403, "wrong_client"), "{proxy:?}");
        let mut connection = Connection::open(gate.public_at()).await.unwrap();
        let client = v2_from("192.0.2.7:40000").build();
        connection.send([&client[..], open.as_bytes()].concat()).await.unwrap();
        assert_eq!(connection.answer().await.unwrap().status, 303, "{proxy:?}");
    }
    gate.stop().await;
}

/// Asks from an address that is no trusted proxy's.
async fn from_elsewhere(at: SocketAddr, bytes: Vec<u8>) -> io::Result<support::http::Answer> {
    let socket = TcpSocket::new_v4()?;
    socket.bind("127.0.0.2:0".parse().unwrap())?;
    let mut connection = Connection::over(socket.connect(at).await?);
    connection.send(bytes).await?;
    connection.answer().await
}

#[tokio::test]
async fn from_anybody_else_a_header_is_refused_and_the_client_is_who_connects() {
    let gate = gate().await;
    let at = gate.public_at();
    let answer = from_elsewhere(at, asset("X-Forwarded-For: 192.0.2.7\r\n")).await.unwrap();
    assert_eq!(header(&answer.json(), "x-forwarded-for"), ["127.0.0.2"]);
    let seen = gate.upstream.seen().len();
    let headers =
        [b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 443\r\n".to_vec(), v2_from("192.0.2.7:1").build()];
    for (number, proxy) in (1..).zip(&headers) {
        assert!(from_elsewhere(at, [&proxy[..], &asset("")].concat()).await.is_err());
        assert_eq!(unserved(&gate, "proxy_header").await, number);
    }
    assert_eq!(gate.upstream.seen().len(), seen, "nothing of it reached the upstream");
    gate.stop().await;

    // Nor is one taken where none is configured.
    let gate =
        Gate::with(|text| text.replace("[listen]", "[listen]\ntrusted_proxies = [\"127.0.0.1\"]"))
            .await;
    for (number, proxy) in (1..).zip(&headers) {
        let mut connection = Connection::open(gate.public_at()).await.unwrap();
        let _ = connection.send([&proxy[..], &asset("")].concat()).await;
        assert!(connection.closed().await);
        assert_eq!(unserved(&gate, "proxy_header").await, number);
    }
    gate.stop().await;
}

#[tokio::test]
async fn behind_the_header_there_may_be_tls_and_http_2() {
    if !installed::programs(&["openssl", "curl"]) {
        return;
    }
    let home = Home::new(|text| with_tls(&text.replace("[listen]", LISTEN), "")).await;
    certificates::usual(home.dir.path());
    let (_process, at) = home.start().await;
    let ca = home.dir.path().join("ca.pem");
    for flag in ["--http1.1", "--http2"] {
        let curl = Curl::https(at.public, PANEL, "/assets/x", &ca).arg(flag);
        let seen = curl.clone().arg("--haproxy-protocol").ask().await;
        assert_eq!(seen.status, 200, "{seen:?}");
        assert_eq!(curl.ask().await.status, 0, "without the header");
    }
}

/// A running `HAProxy`. Dropping it kills it.
struct Haproxy {
    child: Child,
    _dir: TempDir,
}

impl Haproxy {
    /// One process with this configuration; returns when all of `listens` accept.
    async fn start(configuration: &str, listens: &[SocketAddr]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("haproxy.cfg");
        let defaults = "global\n  maxconn 100\ndefaults\n  mode tcp\n  timeout connect 5s\n  \
                        timeout client 30s\n  timeout server 30s\n";
        fs::write(&file, [defaults, configuration].concat()).unwrap();
        let child = run(&file);
        let up = async {
            for listen in listens {
                while TcpStream::connect(listen).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        };
        tokio::time::timeout(PATIENCE, up).await.expect("HAProxy does not listen");
        Self { child, _dir: dir }
    }
}

fn run(file: &Path) -> Child {
    let mut haproxy = Command::new("haproxy");
    let haproxy = haproxy.arg("-db").arg("-f").arg(file).stdin(Stdio::null());
    haproxy.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_real_haproxy_tells_whom_it_serves_and_so_do_two_in_a_row() {
    if !installed::all(&[("haproxy", Command::new("haproxy").arg("-v").output().is_ok())]) {
        return;
    }
    let gate = gate().await;
    let [one, two, outer, inner] = [(); 4].map(|()| free_address());
    let to = gate.public_at();
    let configuration = format!(
        "listen one\n  bind {one}\n  server gate {to} send-proxy check inter 100ms\n\
         listen two\n  bind {two}\n  server gate {to} send-proxy-v2 check inter 100ms\n\
         listen outer\n  bind {outer}\n  server inner {inner} send-proxy-v2\n\
         listen inner\n  bind {inner} accept-proxy\n  server gate {to} send-proxy-v2 \
         proxy-v2-options unique-id,crc32c\n  unique-id-format %rt\n"
    );
    let _haproxy = Haproxy::start(&configuration, &[one, two, outer]).await;
    for through in [one, two, outer] {
        let forged = asset("X-Forwarded-For: 203.0.113.9\r\n");
        let answer = from_elsewhere(through, forged).await.unwrap();
        assert_eq!(header(&answer.json(), "x-forwarded-for"), ["127.0.0.2"], "{through}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_caller_is_at_the_address_that_the_header_tells() {
    let gate = Gate::with(|text| {
        let text =
            text.replace("[listen]", &format!("{LISTEN}\napi_client_ip = \"proxy-protocol\""));
        text.replace("name = \"billing\"", "name = \"billing\"\nfrom = [\"192.0.2.0/24\"]")
    })
    .await;
    let ask = |proxy: Vec<u8>| {
        let at = gate.api_at();
        async move {
            let body = json!({ "user": "joe" }).to_string();
            let head = format!(
                "POST /v1/links HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer {}\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                support::gate::BILLING,
                body.len()
            );
            let mut connection = Connection::open(at).await.unwrap();
            connection.send([&proxy[..], head.as_bytes(), body.as_bytes()].concat()).await.unwrap();
            connection.answer().await.unwrap().status
        }
    };
    assert_eq!(ask(v2_from("192.0.2.7:1").build()).await, 201);
    assert_eq!(ask(v2_from("198.51.100.7:1").build()).await, 403);
    assert_eq!(ask(v2(0x20, 0, &[])).await, 403);
    assert_eq!(Client::new(gate.public_at()).try_request("GET", "/", &[], b"").await.ok(), None);
    gate.stop().await;
}

/// A vendor's API that wants TLS is not satisfied by a proxy on this machine that passes on what
/// came over a network in the clear.
#[tokio::test]
async fn what_a_proxy_on_this_machine_passes_on_did_not_begin_on_it() {
    let gate = vendors::with(|text| {
        text.replace("[listen]", &format!("{LISTEN}\napi_client_ip = \"proxy-protocol\""))
    })
    .await;
    let ask = b"POST /api/2/GetSignOnUrl.aspx HTTP/1.1\r\nHost: api\r\nContent-Length: 0\r\n\
                Content-Type: application/x-www-form-urlencoded\r\n\r\n";
    for proxy in [v2_from("192.0.2.7:1").build(), v2(0x20, 0, &[])] {
        let mut connection = Connection::open(gate.api_at()).await.unwrap();
        connection.send([&proxy[..], ask].concat()).await.unwrap();
        let answer = connection.answer().await.unwrap();
        assert!(answer.text().contains("SSL is required"), "{}", answer.text());
    }
    gate.stop().await;
}
