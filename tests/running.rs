//! Running a gate: health, metrics, the status page, its start and its end.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails where it stands")]

mod support;

use std::{collections::BTreeMap, future::Future, time::Duration};

use oncegate::{
    app::{self, Listeners},
    config::Config,
};
use serde_json::json;
use support::{
    gate::{BILLING, Gate, PANEL},
    http::{Answer, Client, Connection},
    upstream::Upstream,
    wire::{Wire, read_until},
};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::timeout};

/// How long anything that is to come may take; what comes is never waited for longer.
const PATIENCE: Duration = Duration::from_secs(25);

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("never: {what}"))
}

/// Asks until the status is this one.
async fn until(client: &Client, path: &str, status: u16) -> Answer {
    let asking = async {
        loop {
            match client.try_request("GET", path, &[], b"").await {
                Ok(answer) if answer.status == status => return answer,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    soon(path, asking).await
}

// --------------------------------------------------------------------------------------- health

#[tokio::test]
async fn a_gate_that_runs_is_live_and_ready() {
    let gate = Gate::start().await;
    for (path, status) in [("/live", "live"), ("/ready", "ready")] {
        let answer = gate.admin().get(path).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json(), json!({ "status": status }));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(gate.admin().request("HEAD", path, &[], b"").await.status, 200);
    }
    for path in ["/live", "/ready", "/metrics", "/"] {
        let answer = gate.admin().request("POST", path, &[], b"").await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{path}");
    }
    assert_eq!(gate.admin().get("/nothing").await.code(), "not_found");
}

#[tokio::test]
async fn what_is_for_operators_is_on_no_other_listener() {
    let gate = Gate::start().await;
    for path in ["/live", "/ready", "/metrics", "/"] {
        assert_eq!(gate.public().get(path).await.status, 401, "{path}");
        assert_eq!(gate.api().get(path).await.status, 404, "{path}");
    }
    for path in ["/v1/links", "/_once/session", "/.well-known/jwks.json"] {
        assert_eq!(gate.admin().get(path).await.status, 404, "{path}");
        assert_eq!(gate.public().post_json("/v1/links", &json!({})).await.status, 401);
    }
}

#[tokio::test]
async fn a_gate_is_live_but_not_ready_while_its_state_is_another_ones() {
    let first = Gate::start().await;
    let link = first.link(json!({})).await;
    let text = std::fs::read_to_string(first.dir.path().join("oncegate.toml")).unwrap();
    let config = Config::parse(&text, "oncegate.toml", first.dir.path(), std::iter::empty());
    let config = config.unwrap();
    let listeners = Listeners::bind(&config).unwrap();
    let [public, _, admin] = listeners.addresses().unwrap();
    let second = tokio::spawn(app::start(config, first.clock.clone(), listeners));

    let admin = Client::new(admin);
    let answer = until(&admin, "/ready", 503).await;
    assert_eq!(answer.json()["status"], "starting");
    assert_eq!(admin.get("/live").await.status, 200);
    assert_eq!(admin.get("/metrics").await.status, 503);
    // Who comes now waits; nobody is turned away while one gate follows another.
    let early = Client::new(public).host(PANEL);
    let path = link.path.clone();
    let early = tokio::spawn(async move { early.post_form(&path, &[], &[]).await });

    let Gate { running, dir, .. } = first;
    running.unwrap().stop().await;
    let second = soon("the successor", second).await.unwrap().unwrap();
    let answer = soon("the early one's answer", early).await.unwrap();
    assert_eq!(answer.status, 303, "a link of the predecessor: {}", answer.text());
    until(&admin, "/ready", 200).await;
    second.stop().await;
    drop(dir);
}

#[tokio::test]
async fn a_gate_is_live_but_not_ready_while_its_state_is_being_read() {
    let gate = Gate::start().await;
    let (used, untried) = (gate.link(json!({})).await, gate.link(json!({})).await);
    assert_eq!(gate.redeem(&used.token).await.status, 200);
    let (clock, Gate { running, dir, .. }) = (gate.clock.clone(), gate);
    running.unwrap().stop().await;
    // In place of the manifest something that is read as slowly as this test likes.
    let (manifest, kept) = (dir.path().join("state/manifest"), dir.path().join("kept"));
    std::fs::rename(&manifest, &kept).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &manifest, 0o600.into()).unwrap();

    let text = std::fs::read_to_string(dir.path().join("oncegate.toml")).unwrap();
    let config = Config::parse(&text, "oncegate.toml", dir.path(), std::iter::empty()).unwrap();
    let listeners = Listeners::bind(&config).unwrap();
    let [_, api, admin] = listeners.addresses().unwrap();
    let (api, admin) = (Client::new(api).bearer(BILLING), Client::new(admin));
    let starting = tokio::spawn(app::start(config, clock, listeners));
    for _ in 0..20 {
        let answer = until(&admin, "/ready", 503).await;
        assert_eq!(answer.json()["status"], "starting");
        assert!(answer.json()["reason"].as_str().unwrap().contains("its state is being read"));
    }
    assert_eq!(admin.get("/live").await.status, 200);

    let read = move || {
        let mut slow = std::fs::File::options().write(true).open(&manifest)?;
        let bytes = std::fs::read(&kept)?;
        std::fs::rename(&kept, &manifest)?;
        std::io::Write::write_all(&mut slow, &bytes)
    };
    tokio::task::spawn_blocking(read).await.unwrap().unwrap();
    let running = soon("the start", starting).await.unwrap().unwrap();
    until(&admin, "/ready", 200).await;
    let redeem = async |token: &str| api.post_json("/v1/redeem", &json!({ "token": token })).await;
    assert_eq!(redeem(&used.token).await.code(), "already_used");
    assert_eq!(redeem(&untried.token).await.status, 200);
    running.stop().await;
}

// -------------------------------------------------------------------------------------- metrics

/// Every sample, by name and labels; a panic if a line is neither sample nor comment.
fn samples(text: &str) -> BTreeMap<String, i64> {
    assert!(text.ends_with("# EOF\n"), "{text}");
    let mut found = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with("# ")) {
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        assert!(name.starts_with("oncegate_"), "{line}");
        // Sums are written with a fraction, which is 0: whatever is counted is whole.
        let whole = value.strip_suffix(".0").unwrap_or(value);
        let value = whole.parse().unwrap_or_else(|_| panic!("{line}"));
        assert_eq!(found.insert(name.to_owned(), value), None, "{name} is there twice");
    }
    found
}

async fn metrics(gate: &Gate) -> BTreeMap<String, i64> {
    let answer = gate.admin().get("/metrics").await;
    assert_eq!(answer.status, 200);
    let media_type = answer.header("content-type").unwrap();
    assert!(media_type.starts_with("application/openmetrics-text; version=1.0.0"), "{media_type}");
    samples(answer.text())
}

#[tokio::test]
async fn metrics_count_what_happened() {
    let gate = Gate::start().await;
    let before = metrics(&gate).await;
    assert_eq!(before["oncegate_store_up"], 1);
    assert_eq!(before["oncegate_seen_entries"], 0);

    let link = gate.link(json!({})).await;
    let answer = gate.open(&link).await;
    let cookie = support::gate::cookie_of(&answer);
    gate.open(&link).await;
    gate.redeem("garbage").await;
    gate.api_as(None).post_json("/v1/links", &json!({})).await;
    for _ in 0..2 {
        gate.public().get_with("/", &[("cookie", &cookie)]).await;
    }
    gate.public().get("/").await;

    let after = metrics(&gate).await;
    for (name, count) in [
        ("oncegate_links_issued_total{caller=\"billing\",site=\"panel\"}", 1),
        ("oncegate_links_redeemed_total{site=\"panel\"}", 1),
        ("oncegate_refused_total{code=\"already_used\"}", 1),
        ("oncegate_refused_total{code=\"malformed\"}", 1),
        ("oncegate_refused_total{code=\"unauthorized\"}", 1),
        ("oncegate_refused_total{code=\"sign_in_required\"}", 1),
        ("oncegate_proxied_total{site=\"panel\"}", 2),
        ("oncegate_cache_requests_total{cache=\"assertions\",outcome=\"miss\"}", 1),
        ("oncegate_cache_requests_total{cache=\"assertions\",outcome=\"hit\"}", 1),
        ("oncegate_cache_requests_total{cache=\"sessions\",outcome=\"miss\"}", 1),
        ("oncegate_cache_requests_total{cache=\"sessions\",outcome=\"hit\"}", 1),
        ("oncegate_seen_entries", 1),
        ("oncegate_possible_interceptions_total", 0),
    ] {
        assert_eq!(after.get(name), Some(&count), "{name} in {after:#?}");
        assert!(before.get(name).is_none_or(|before| *before == 0), "{name}");
    }
}

#[tokio::test]
async fn nothing_of_a_request_becomes_a_label() {
    let gate = Gate::start().await;
    let secret = "stranger-7f3a";
    let names = async || metrics(&gate).await.into_keys().collect::<Vec<_>>();
    let many = |round: u32| {
        let text = format!("{secret}-{round}");
        let gate = &gate;
        async move {
            gate.public().get(&format!("/{text}")).await;
            gate.public().host(&format!("{text}.example.com")).get("/").await;
            gate.public().request(&text.to_uppercase(), "/", &[], b"").await;
            gate.api_as(Some(&text)).post_json("/v1/links", &json!({})).await;
            gate.link(json!({ "user": text })).await;
            let ask = json!({ "user": text, "site": text });
            gate.api().post_json("/v1/links", &ask).await;
            gate.redeem(&text).await;
        }
    };
    many(0).await;
    let once = names().await;
    for round in 1..5 {
        many(round).await;
    }
    assert_eq!(names().await, once, "as many series as before");
    assert!(once.iter().all(|name| !name.contains(secret)), "{once:?}");
}

#[tokio::test]
async fn the_status_page_is_for_people_and_holds_nothing_of_users() {
    let gate = Gate::start().await;
    let link = gate.link(json!({ "user": "user-of-the-status-page" })).await;
    gate.open(&link).await;
    let page = gate.admin().get("/").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(page.header("x-frame-options"), Some("DENY"));
    assert!(page.header("content-security-policy").unwrap().contains("default-src 'none'"));
    let kid = gate.running.as_ref().unwrap().gate.keys.load().ring.current_kid().to_owned();
    for shown in ["gate-a", "panel", "https://shop.example.com", "billing", "narrow", &kid] {
        assert!(page.text().contains(shown), "{shown}");
    }
    assert!(!page.text().contains("user-of") && !page.text().contains(&link.id));
}

// ------------------------------------------------------------------------------------ the end

/// A connection that has had one answer and stays open.
async fn idle(addr: std::net::SocketAddr, host: &str, path: &str) -> Connection {
    let mut connection = Connection::open(addr).await.unwrap();
    connection.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await.unwrap();
    assert_eq!(connection.answer().await.unwrap().status, 200);
    connection
}

#[tokio::test]
async fn a_gate_that_ends_lets_go_of_the_idle_and_finishes_the_busy() {
    let mut upstream = Wire::listen().await;
    let mut gate = upstream.gate(|text| text).await;
    let (public, api, admin) = (gate.public_at(), gate.api_at(), gate.admin());
    let cookie = gate.sign_in().await;

    // Busy: a download on one listener, a call on another.
    let mut download = TcpStream::connect(public).await.unwrap();
    let ask = format!("GET /big HTTP/1.1\r\nHost: {PANEL}\r\nCookie: {cookie}\r\n\r\n");
    download.write_all(ask.as_bytes()).await.unwrap();
    let mut stream = upstream.accept().await;
    read_until(&mut stream, "\r\n\r\n").await;
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    read_until(&mut download, "first").await;
    let mut call = Connection::open(api).await.unwrap();
    let body = json!({ "user": "joe" }).to_string();
    let head = format!(
        "POST /v1/links HTTP/1.1\r\nHost: {api}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        BILLING,
        body.len()
    );
    call.send(head).await.unwrap();
    call.send(&body[..3]).await.unwrap();
    // Idle, after an answer and before any request.
    let mut waiting = [
        idle(public, PANEL, "/.well-known/jwks.json").await,
        idle(api, "api", "/openapi.json").await,
        Connection::open(public).await.unwrap(),
        Connection::open(api).await.unwrap(),
    ];

    let running = gate.running.take().unwrap();
    let state = running.gate.clone();
    let ending = tokio::spawn(running.stop());
    let draining = until(&admin, "/ready", 503).await;
    assert_eq!(draining.json()["status"], "draining");
    assert!(state.shutdown.is_triggered());
    assert_eq!(admin.get("/live").await.status, 200);
    assert_eq!(admin.get("/metrics").await.status, 200);
    for (number, connection) in waiting.iter_mut().enumerate() {
        assert!(soon("idle connections close", connection.closed()).await, "{number}");
    }
    for addr in [public, api] {
        let refused = async { while TcpStream::connect(addr).await.is_ok() {} };
        soon("new connections are refused", refused).await;
    }

    call.send(&body[3..]).await.unwrap();
    let answer = soon("the call's answer", call.answer()).await.unwrap();
    assert_eq!(answer.status, 201, "{}", answer.text());
    stream.write_all(b"6\r\nsecond\r\n0\r\n\r\n").await.unwrap();
    read_until(&mut download, "second\r\n0\r\n\r\n").await;
    soon("the end", ending).await.unwrap();
    assert!(admin.try_request("GET", "/live", &[], b"").await.is_err(), "all listeners are gone");
}

#[tokio::test]
async fn a_gate_that_has_ended_has_let_go_of_its_state() {
    let gate = Gate::start().await;
    let (used, unused) = (gate.link(json!({})).await, gate.link(json!({})).await);
    let cookie = support::gate::cookie_of(&gate.open(&used).await);
    let gate = gate.restart().await;
    assert_eq!(gate.redeem(&used.token).await.code(), "already_used");
    assert_eq!(gate.redeem(&unused.token).await.status, 200);
    assert_eq!(gate.public().get_with("/", &[("cookie", &cookie)]).await.status, 200);
    gate.stop().await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let gate = Gate::start().await;
    let taken = gate.public_at();
    let upstream = Upstream::start().await;
    let text = support::gate::usual(&upstream)
        .replace("public = \"127.0.0.1:0\"", &format!("public = \"{taken}\""));
    let config = Config::parse(&text, "oncegate.toml", gate.dir.path(), std::iter::empty());
    let why = Listeners::bind(&config.unwrap()).unwrap_err().to_string();
    assert!(why.contains(&taken.to_string()) && why.contains("listen.public"), "{why}");
}
