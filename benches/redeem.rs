//! Redemptions per second, against bare hyper with one `verify_strict` a request.
//!
//! `cargo bench --bench redeem` prints both and their ratio. The server has one thread on the
//! first core, the load another on the second; both servers run in turn, in the same process,
//! on the same cores. Requests are `POST /v1/redeem` with distinct tokens and the journal on,
//! over 64 kept connections, then over one.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a benchmark: what goes wrong may end it"
)]

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use ed25519_dalek::{Signature, VerifyingKey};
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use oncegate::{
    app::{self, Listeners, Running},
    config::Config,
    gate::{
        caller::KeyHash,
        id::TokenId,
        token::{Actor, LinkClaims},
    },
    ops::{clock::Clock, entropy},
    store::keys,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

const KEY: &str = "og_bench";
const ROUNDS: usize = 5;
const REQUESTS: usize = 20_000;

fn main() {
    // `cargo test` runs benches once, to see that they build: there is nothing to measure then.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let gate_dir = tempfile::tempdir().unwrap();
    let server = on_core(0);
    let load = on_core(1);
    let running = server.block_on(gate(gate_dir.path()));
    let bare = server.block_on(bare_hyper(&running));
    // The server's thread runs what is spawned only while somebody blocks on it.
    std::thread::spawn(move || server.block_on(std::future::pending::<()>()));
    println!("one core for the server, one for the load; median of {ROUNDS} rounds of {REQUESTS}");
    println!(
        "{:<14} {:>16} {:>28} {:>8}",
        "connections", "redeem, 1/s", "hyper + verify_strict, 1/s", "ratio"
    );
    for connections in [64, 1] {
        let requests = REQUESTS / if connections == 1 { 4 } else { 1 };
        let mut rates = Vec::new();
        for _ in 0..=ROUNDS {
            let ours = bodies(&running, requests);
            let plain = bodies(&running, requests);
            let ours = load.block_on(rate(running.api, connections, ours, "\"user\""));
            let plain = load.block_on(rate(bare, connections, plain, "good"));
            rates.push((ours, plain));
        }
        // The first round only warms up.
        let ours = median(rates.iter().skip(1).map(|pair| pair.0));
        let plain = median(rates.iter().skip(1).map(|pair| pair.1));
        println!("{connections:<14} {ours:>16.0} {plain:>28.0} {:>8.2}", ours / plain);
    }
}

/// A runtime of one thread on one core, where the machine has that many.
fn on_core(core: usize) -> tokio::runtime::Runtime {
    let pin = move || {
        let mut cores = rustix::thread::CpuSet::new();
        cores.set(core);
        // A machine with one core runs both there.
        let _ = rustix::thread::sched_setaffinity(None, &cores);
    };
    std::thread::spawn(move || {
        pin();
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .on_thread_start(pin)
            .enable_all()
            .build()
            .unwrap()
    })
    .join()
    .unwrap()
}

async fn gate(dir: &std::path::Path) -> Running {
    let hash = KeyHash::of(KEY.as_bytes());
    let text = format!(
        r#"
[gate]
name = "bench"
issuer = "https://login.example.com"
[listen]
public = "127.0.0.1:0"
api = "127.0.0.1:0"
admin = "127.0.0.1:0"
[once]
dir = "state"
[[sites]]
name = "panel"
origin = "https://panel.example.com"
[[callers]]
name = "billing"
key_sha256 = ["{hash:x}"]
sites = ["panel"]
may = ["issue", "redeem"]
"#
    );
    keys::make(&dir.join("keys"), 1, entropy::random).unwrap();
    let config = Config::parse(&text, "bench.toml", dir, std::iter::empty()).unwrap();
    let listeners = Listeners::bind(&config).unwrap();
    app::start(config, Clock::default(), listeners).await.unwrap()
}

/// Requests that redeem as many distinct tokens.
fn bodies(running: &Running, count: usize) -> Vec<Vec<u8>> {
    let now = running.gate.clock.now();
    let mem = running.gate.store.mem(now).unwrap();
    let keys = running.gate.keys.load();
    (0..count)
        .map(|_| {
            let token = keys.ring.sign(&LinkClaims {
                iss: "https://login.example.com".to_owned(),
                aud: "panel".to_owned(),
                sub: "joe".to_owned(),
                iat: now,
                exp: now + 300,
                jti: TokenId::from_bytes(entropy::random()),
                mem,
                gate: Some("bench".to_owned()),
                dst: None,
                ips: None,
                act: Actor { sub: "billing".to_owned() },
                via: None,
                page: None,
                ctx: None,
            });
            let body = format!("{{\"token\":\"{token}\"}}");
            format!(
                "POST /v1/redeem HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer {KEY}\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .into_bytes()
        })
        .collect()
}

/// Bare hyper that reads the body and verifies the token's signature, nothing else.
async fn bare_hyper(running: &Running) -> SocketAddr {
    let jwks: serde_json::Value =
        serde_json::from_str(&running.gate.keys.load().ring.jwks()).unwrap();
    let kid = running.gate.keys.load().ring.current_kid().to_owned();
    let jwk = jwks["keys"].as_array().unwrap().iter().find(|key| key["kid"] == kid).unwrap();
    let x = URL_SAFE_NO_PAD.decode(jwk["x"].as_str().unwrap()).unwrap();
    let key = VerifyingKey::from_bytes(&x.try_into().unwrap()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            let service = service_fn(move |request| verify(request, key));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

async fn verify(
    request: Request<Incoming>,
    key: VerifyingKey,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let token = &body[10..body.len() - 2];
    let dot = token.iter().rposition(|byte| *byte == b'.').unwrap();
    let mut signature = [0; 64];
    URL_SAFE_NO_PAD.decode_slice(&token[dot + 1..], &mut signature).unwrap();
    let good = key.verify_strict(&token[..dot], &Signature::from_bytes(&signature)).is_ok();
    Ok(Response::new(Full::from(if good { "good" } else { "bad" })))
}

/// Sends all requests over so many kept connections; how many were answered a second.
async fn rate(
    address: SocketAddr,
    connections: usize,
    requests: Vec<Vec<u8>>,
    expected: &'static str,
) -> f64 {
    let requests = Arc::new(requests);
    let next = Arc::new(AtomicUsize::new(0));
    let started = Instant::now();
    let workers: Vec<_> = (0..connections)
        .map(|_| tokio::spawn(work(address, requests.clone(), next.clone(), expected)))
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let took: Duration = started.elapsed();
    requests.len() as f64 / took.as_secs_f64()
}

async fn work(
    address: SocketAddr,
    requests: Arc<Vec<Vec<u8>>>,
    next: Arc<AtomicUsize>,
    expected: &'static str,
) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut buffer = vec![0; 8 * 1024];
    while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
        stream.write_all(request).await.unwrap();
        let mut filled = 0;
        while !complete(&buffer[..filled]) {
            let read = stream.read(&mut buffer[filled..]).await.unwrap();
            assert_ne!(read, 0, "the server closed");
            filled += read;
        }
        let text = std::str::from_utf8(&buffer[..filled]).unwrap();
        assert!(text.starts_with("HTTP/1.1 200") && text.contains(expected), "{text}");
    }
}

/// Whether the answer is there, head and body.
fn complete(answer: &[u8]) -> bool {
    let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n") else {
        return false;
    };
    let text = std::str::from_utf8(&answer[..head]).unwrap().to_ascii_lowercase();
    let length = text.split("content-length: ").nth(1).unwrap();
    let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
    answer.len() >= head + 4 + length
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
