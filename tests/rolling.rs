//! A gate follows a gate on the same sockets and the same state, under load: no request is lost
//! and no token is spent twice.
//!
//! `ONCEGATE_TEST_RATE` (requests a second) and `ONCEGATE_TEST_SECONDS` make it more, or longer:
//! `ONCEGATE_TEST_RATE=5000 cargo test --release --test rolling -- --nocapture`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use support::{
    dice::Dice,
    gate::{BILLING, PANEL, cookie_of},
    http::{Answer, Client, Connection, kept, open_kept, redeem_kept},
    process::{At, Home, PATIENCE, Process, Sockets},
    wire::{Wire, read_until, upstream_at},
};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, task::JoinSet};

/// Requests a second of one loader, which keeps a connection to each listener: often enough that it
/// hears on each of them that the end is near, in the half second for which that is said.
const EACH: u64 = 25;
/// Links that a loader asks for at a time.
const BATCH: usize = 10;
/// Seconds between one gate and the next.
const GENERATION: u64 = 2;

const NAMED: &[(&str, &str)] = &[("LISTEN_FDNAMES", "public:api:admin")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_lost_and_no_token_spent_twice_while_gate_follows_gate() {
    let per_second = number("ONCEGATE_TEST_RATE", 300);
    let total = per_second * number("ONCEGATE_TEST_SECONDS", 15);
    let (home, sockets) = (home().await, Sockets::bind());
    let mut gate = start(&home, &sockets).await;
    let tally = Arc::new(Tally::default());
    let mut dice = Dice::new();
    let mut loaders = JoinSet::new();
    let at_once = (per_second / EACH).clamp(1, 48);
    for _ in 0..at_once {
        let (tally, dice, at) = (tally.clone(), dice.fork(), sockets.at());
        let pace = Duration::from_micros(1_000_000 * at_once / per_second);
        loaders.spawn(async move { Loader::new(at, dice, tally, pace).work(total).await });
    }
    let (mut generations, mut ends, mut gaps) = (0, JoinSet::new(), Vec::new());
    while tally.requests() < total {
        generations += 1;
        tally.reaches((generations * GENERATION * per_second).min(total)).await;
        let next = if generations % 3 == 0 {
            // As a supervisor that knows only how to stop and to start.
            gate.terminate();
            home.spawn_on(&sockets.0, NAMED)
        } else {
            let mut next = home.spawn_on(&sockets.0, NAMED);
            next.says("waits for its state").await;
            gate.terminate();
            next
        };
        let before = std::mem::replace(&mut gate, next);
        gate.ready().await;
        let ready = seconds(gate.said.last().unwrap());
        ends.spawn(async move { (before.ended().await, ready) });
    }
    let mut untried = 0;
    while let Some(loaded) = loaders.join_next().await {
        untried += loaded.unwrap();
    }
    while let Some(ended) = ends.join_next().await {
        let ((code, said), began) = ended.unwrap();
        assert_eq!(code, Some(0), "{said}");
        let last = said.lines().find(|line| line.contains("has let go of its state")).unwrap();
        let ms = serde_json::from_str::<serde_json::Value>(last).unwrap()["ms"].as_f64().unwrap();
        let since = (began - seconds(last) + 30.0).rem_euclid(60.0) - 30.0;
        gaps.push((since * 1_000.0 + ms).round());
    }
    eprintln!("nobody accepted for so many ms: {gaps:?}");
    eprintln!("{} over {generations} handovers", tally.told());
    assert!(generations > 3 && count(&tally.admitted) > 0 && untried == 0);
    assert_eq!((count(&tally.failed), count(&tally.double)), (0, 0));
    gate.kill();
}

#[tokio::test]
async fn a_download_goes_on_through_the_old_gate_and_holds_nobody_up() {
    let mut upstream = Wire::listen().await;
    let home = Home::new(|text| upstream_at(&text, upstream.addr)).await;
    let sockets = Sockets::bind();
    let first = start(&home, &sockets).await;
    let at = sockets.at();
    let cookie = cookie_of(&at.open(&at.link().await).await);
    let mut download = TcpStream::connect(at.public).await.unwrap();
    let ask = format!("GET /big HTTP/1.1\r\nHost: {PANEL}\r\nCookie: {cookie}\r\n\r\n");
    download.write_all(ask.as_bytes()).await.unwrap();
    let mut stream = upstream.accept().await;
    read_until(&mut stream, "\r\n\r\n").await;
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    read_until(&mut download, "first").await;
    // Another has not even been answered yet; its upstream takes its time.
    let mut slow = Connection::open(at.public).await.unwrap();
    slow.send(ask.replace("/big", "/slow")).await.unwrap();
    let mut late = upstream.accept().await;
    read_until(&mut late, "\r\n\r\n").await;

    let mut second = home.spawn_on(&sockets.0, NAMED);
    first.terminate();
    second.ready().await;
    let link = at.link().await;
    assert_eq!(at.open(&link).await.status, 303, "the new gate works while the old one streams");
    let health = Client::new(at.admin).get("/ready").await;
    assert_eq!((health.status, health.json()["status"].as_str()), (200, Some("ready")));

    stream.write_all(b"6\r\nsecond\r\n0\r\n\r\n").await.unwrap();
    read_until(&mut download, "second\r\n0\r\n\r\n").await;
    late.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate").await.unwrap();
    let answer = slow.answer().await.unwrap();
    assert_eq!((answer.text(), answer.header("connection")), ("late", Some("close")));
    let (code, said) = first.ended().await;
    assert_eq!(code, Some(0), "{said}");
    let gave = said.lines().find(|line| line.contains("has let go of its state")).unwrap();
    let gave: serde_json::Value = serde_json::from_str(gave).unwrap();
    assert_eq!(gave["connections"], 2, "while both were open: {said}");
    // Not by a limit on how long requests or streams may take.
    assert!(gave["ms"].as_u64().unwrap() < 10_000 && !said.contains("took too long"), "{said}");
    second.kill();
}

#[tokio::test]
async fn a_kept_connection_is_closed_with_its_next_answer() {
    let home = home().await;
    let (process, at) = home.start().await;
    let (mut api, mut public) = (Kept::new(at.api), Kept::new(at.public));
    let links = [at.link().await, at.link().await];
    assert_eq!(api.ask(redeem_kept(BILLING, "x")).await.unwrap().status, 400);
    assert_eq!(public.ask(open_kept(PANEL, "x")).await.unwrap().status, 400);
    process.terminate();
    // It says so while it still answers as ever.
    let admin = Client::new(at.admin);
    while admin.get("/ready").await.status != 503 {}
    for (kept, request, status) in [
        (&mut api, redeem_kept(BILLING, &links[0].token), 200),
        (&mut public, open_kept(PANEL, &links[1].token), 303),
    ] {
        assert!(kept.is_open());
        let answer = kept.ask(request).await.unwrap();
        assert_eq!((answer.status, answer.header("connection")), (status, Some("close")));
    }
    assert_eq!(process.ended().await.0, Some(0));
}

#[tokio::test]
async fn a_body_that_comes_late_is_waited_for_and_one_that_never_comes_is_not() {
    let (home, sockets) = (home().await, Sockets::bind());
    let first = start(&home, &sockets).await;
    let at = sockets.at();
    let links = [at.link().await, at.link().await];
    let mut bodies = Vec::new();
    for link in &links {
        let bytes = redeem_kept(BILLING, &link.token);
        let request = String::from_utf8(bytes).unwrap();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let mut connection = Connection::open(at.api).await.unwrap();
        connection.send(format!("{head}\r\nExpect: 100-continue\r\n\r\n")).await.unwrap();
        connection.interim().await.unwrap();
        bodies.push((connection, body.to_owned()));
    }
    let mut idle = Connection::open(at.api).await.unwrap();
    idle.send(redeem_kept(BILLING, "x")).await.unwrap();
    assert_eq!(idle.answer().await.unwrap().status, 400);
    let mut second = home.spawn_on(&sockets.0, NAMED);
    first.terminate();
    // Nothing is accepted any more, and what is idle is closed.
    assert!(idle.closed().await);
    let (mut connection, body) = bodies.remove(0);
    connection.send(body).await.unwrap();
    assert_eq!(connection.answer().await.unwrap().status, 200);
    // The other keeps the successor for as long as requests may take, and then spends nothing.
    second.ready().await;
    let (mut connection, body) = bodies.remove(0);
    connection.send(body).await.unwrap();
    let answer = connection.answer().await.unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (503, "store_unavailable"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(at.redeem(&links[0]).await.code(), "already_used");
    assert_eq!(at.redeem(&links[1]).await.status, 200, "it was unspent, as it said");
    assert_eq!(first.ended().await.0, Some(0));
    second.kill();
}

/// The second of its minute at which a line was said.
fn seconds(line: &str) -> f64 {
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    let time = line["timestamp"].as_str().unwrap();
    time.trim_end_matches('Z').rsplit(':').next().unwrap().parse().unwrap()
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().expect(variable))
}

async fn home() -> Home {
    // Nobody's limit: the work is what is measured out.
    Home::new(|text| text.replace("\"1000/s\"", "\"1000000/s\"")).await
}

async fn start(home: &Home, sockets: &Sockets) -> Process {
    let mut process = home.spawn_on(&sockets.0, NAMED);
    process.ready().await;
    process
}

fn count(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::SeqCst)
}

/// What happened to all requests.
#[derive(Default)]
struct Tally {
    requests: AtomicU64,
    admitted: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
    double: AtomicU64,
    longest_us: AtomicU64,
}

impl Tally {
    fn requests(&self) -> u64 {
        count(&self.requests)
    }

    /// Waits until there were so many.
    async fn reaches(&self, requests: u64) {
        let reached = async {
            while self.requests() < requests {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let limit = PATIENCE + Duration::from_secs(number("ONCEGATE_TEST_SECONDS", 15));
        tokio::time::timeout(limit, reached).await.expect("the load goes on");
    }

    fn told(&self) -> String {
        format!(
            "{} requests: {} admitted, {} refused as used, {} failed, {} admitted twice; the \
             longest answer took {} ms",
            self.requests(),
            count(&self.admitted),
            count(&self.refused),
            count(&self.failed),
            count(&self.double),
            count(&self.longest_us) / 1_000
        )
    }
}

/// One client: keeps connections, makes new ones, opens links, and opens some again.
struct Loader {
    at: At,
    api: Kept,
    public: Kept,
    dice: Dice,
    tally: Arc<Tally>,
    pace: tokio::time::Interval,
    used: Vec<String>,
}

impl Loader {
    fn new(at: At, dice: Dice, tally: Arc<Tally>, pace: Duration) -> Self {
        let (api, public) = (Kept::new(at.api), Kept::new(at.public));
        Self { at, api, public, dice, tally, pace: tokio::time::interval(pace), used: Vec::new() }
    }

    /// Works until there were so many requests; returns how many good links were not admitted.
    async fn work(mut self, total: u64) -> u64 {
        let mut never = 0;
        while self.tally.requests() < total {
            for token in self.links().await {
                let mut admitted = self.redeem(&token).await;
                if self.dice.below(3) == 0 {
                    admitted += self.redeem(&token).await;
                }
                never += u64::from(admitted == 0);
                self.tally.double.fetch_add(admitted.saturating_sub(1), Ordering::SeqCst);
                self.used.push(token);
                // One from long ago, perhaps from before a predecessor's predecessor.
                if self.dice.below(4) == 0 {
                    let old = self.used[self.dice.below(self.used.len())].clone();
                    let again = self.redeem(&old).await;
                    self.tally.double.fetch_add(again, Ordering::SeqCst);
                }
            }
        }
        never
    }

    async fn links(&mut self) -> Vec<String> {
        let key = format!("Bearer {BILLING}");
        let headers =
            [("Host", "api"), ("Authorization", &key), ("Content-Type", "application/json")];
        let asked = json!(vec![json!({ "user": "joe", "ttl": 300 }); BATCH]).to_string();
        self.pace.tick().await;
        let answer = timed(&self.tally, self.api.ask(kept("/v1/links/batch", &headers, &asked)));
        match answer.await {
            Ok(answer) if answer.status == 200 => {
                let links = answer.json();
                let links = links.as_array().unwrap();
                links.iter().map(|link| link["token"].as_str().unwrap().to_owned()).collect()
            }
            other => {
                self.failed(&other);
                Vec::new()
            }
        }
    }

    /// How many this let in: one or none; or two, of two at the same time.
    async fn redeem(&mut self, token: &str) -> u64 {
        let (call, form) = (redeem_kept(BILLING, token), open_kept(PANEL, token));
        let tally = self.tally.clone();
        self.pace.tick().await;
        let answers = match self.dice.below(5) {
            0 => vec![timed(&tally, self.api.ask(call)).await],
            1 => vec![timed(&tally, self.public.ask(form)).await],
            2 => vec![timed(&tally, Kept::new(self.at.api).ask(call)).await],
            3 => vec![timed(&tally, Kept::new(self.at.public).ask(form)).await],
            _ => {
                let both = (self.api.ask(call), self.public.ask(form));
                let (call, form) = tokio::join!(timed(&tally, both.0), timed(&tally, both.1));
                vec![call, form]
            }
        };
        let mut admitted = 0;
        for answer in answers {
            match &answer {
                Ok(answer) if matches!(answer.status, 200 | 303) => admitted += 1,
                Ok(answer) if answer.code() == "already_used" => {
                    self.tally.refused.fetch_add(1, Ordering::SeqCst);
                }
                _ => self.failed(&answer),
            }
        }
        self.tally.admitted.fetch_add(admitted, Ordering::SeqCst);
        admitted
    }

    fn failed(&self, answer: &io::Result<Answer>) {
        self.tally.failed.fetch_add(1, Ordering::SeqCst);
        match answer {
            Ok(answer) => eprintln!("failed: {} {}", answer.status, answer.text()),
            Err(why) => eprintln!("failed: {why}"),
        }
    }
}

async fn timed(
    tally: &Tally,
    asking: impl Future<Output = io::Result<Answer>>,
) -> io::Result<Answer> {
    let begun = Instant::now();
    let answer = asking.await;
    let took = u64::try_from(begun.elapsed().as_micros()).unwrap();
    tally.longest_us.fetch_max(took, Ordering::SeqCst);
    tally.requests.fetch_add(1, Ordering::SeqCst);
    answer
}

/// A connection that is kept for as long as the gate keeps it, as clients' pools do.
struct Kept {
    addr: SocketAddr,
    connection: Option<Connection>,
}

impl Kept {
    fn new(addr: SocketAddr) -> Self {
        Self { addr, connection: None }
    }

    fn is_open(&self) -> bool {
        self.connection.is_some()
    }

    async fn ask(&mut self, request: Vec<u8>) -> io::Result<Answer> {
        if let Some(kept) = &mut self.connection
            && kept.closed_by_now().await
        {
            self.connection = None;
        }
        let mut connection = match self.connection.take() {
            Some(kept) => kept,
            None => Connection::open(self.addr).await?,
        };
        connection.send(request).await?;
        let answer = connection.answer().await?;
        if answer.header("connection") != Some("close") {
            self.connection = Some(connection);
        }
        Ok(answer)
    }
}
