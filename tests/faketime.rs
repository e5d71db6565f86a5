//! The real binary under a wall clock that is stepped, by Debian's `faketime`: while it runs, and
//! between one process and the next. Nothing is admitted twice; a wrong clock costs outstanding
//! links, nothing else, and the gate recovers by itself.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use std::{
    collections::HashMap,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use support::{
    dice::Dice,
    gate::Link,
    http::Client,
    installed,
    process::{At, Home, PATIENCE, Process},
};

/// How a genuine token may be refused, whatever the clock shows; the last is for a memory that
/// ends under a request, which may have spent it.
const REFUSED: [&str; 5] =
    ["already_used", "expired", "not_yet_valid", "fenced", "store_unavailable"];

#[tokio::test]
async fn hours_forward_and_back_cost_the_links_of_that_time_and_nothing_else() {
    hours_forward_and_back("journal").await;
}

#[tokio::test]
async fn nor_do_they_cost_more_where_the_store_is_in_memory() {
    hours_forward_and_back("memory").await;
}

async fn hours_forward_and_back(store: &str) {
    let Some(clock) = SteppedClock::of(store).await else { return };
    let mut process = clock.spawn();
    let at = process.ready().await;
    let used = at.link().await;
    assert_eq!(at.redeem(&used).await.status, 200);
    let before = at.link().await;

    clock.step(3 * 3_600);
    let during = clock.new_one_works(at).await;
    assert_eq!([code(at, &used).await, code(at, &before).await], ["expired", "expired"]);
    // A step that nobody looked at costs nothing: this one is seen, and what expired is dropped.
    until(async || horizon(at).await >= expiry(&used)).await;
    clock.step(0);
    let after = clock.new_one_works(at).await;
    // What was used before could be valid again: by this clock it has a minute left.
    assert_eq!([code(at, &used).await, code(at, &before).await], ["fenced", "fenced"]);
    assert_eq!(code(at, &during).await, "not_yet_valid");
    // The gate may have taken the time for a look at its store before the step, and look after it:
    // then it finds that the clock went back once more.
    assert!(["already_used", "fenced"].contains(&code(at, &after).await.as_str()));
    let replaced = gauge(at, "oncegate_mem_changes_total{reason=\"clock_went_back\"}").await;
    assert!((1..=2).contains(&replaced), "{replaced}");
    assert!(Client::new(at.admin).get("/ready").await.status == 200);
    process.kill();
}

#[tokio::test]
async fn a_clock_that_steps_over_a_restart_admits_nothing_twice() {
    let Some(clock) = SteppedClock::new().await else { return };
    for (orderly, ahead) in [(true, false), (false, false), (true, true), (false, true)] {
        clock.step(0);
        let mut process = clock.spawn();
        let at = process.ready().await;
        let (used, untried) = (at.link().await, at.link().await);
        assert_eq!(at.redeem(&used).await.status, 200);
        end(process, orderly).await;
        if ahead {
            // A gate that ran meanwhile, by a clock far ahead, and forgot what had expired by it.
            clock.step(5 * 3_600);
            let mut process = clock.spawn();
            let at = process.ready().await;
            clock.new_one_works(at).await;
            until(async || horizon(at).await >= expiry(&used)).await;
            end(process, orderly).await;
            clock.step(0);
        } else {
            // Back to before it was asked for.
            clock.step(-3_600);
        }
        let mut process = clock.spawn();
        let at = process.ready().await;
        if !ahead {
            let codes = [code(at, &used).await, code(at, &untried).await];
            assert_eq!(codes, ["not_yet_valid", "not_yet_valid"]);
            clock.step(0);
            until(async || code(at, &used).await != "not_yet_valid").await;
        }
        // What a gate forgets by a wrong clock its journal may still hold: then it costs nothing.
        let codes = [code(at, &used).await, code(at, &untried).await];
        assert!(codes == ["already_used", ""] || codes == ["fenced", "fenced"], "{codes:?}");
        let codes = [code(at, &used).await, code(at, &untried).await];
        assert!(codes.iter().all(|code| !code.is_empty()), "{codes:?}");
        clock.new_one_works(at).await;
        process.kill();
    }
}

#[tokio::test]
async fn whatever_the_systems_clock_does_nothing_is_admitted_twice_and_new_links_work() {
    let Some(clock) = SteppedClock::new().await else { return };
    let mut dice = Dice::new();
    let mut process = clock.spawn();
    let mut at = process.ready().await;
    let mut links: Vec<Link> = Vec::new();
    let mut admitted: HashMap<String, usize> = HashMap::new();
    let mut slowest = Duration::ZERO;
    for step in 0..40 {
        match dice.below(6) {
            0 => clock.step(0),
            1..=2 => {
                let by = [-18_000, -3_600, -60, -17, -6, 6, 17, 60, 3_600, 18_000];
                clock.step(dice.one_of(&by));
            }
            // Far enough to forget all that there is, and back.
            3 => {
                clock.step(36_000);
                until(async || entries(at).await == 0).await;
                clock.step(0);
            }
            _ => {
                end(process, dice.below(2) == 0).await;
                process = clock.spawn();
                at = process.ready().await;
            }
        }
        for _ in 0..3 {
            links.extend(ask(at).await);
        }
        for _ in 0..12.min(links.len()) {
            // Half of them of the latest.
            let back = if dice.below(2) == 0 { 6 } else { links.len() };
            let link = &links[links.len() - 1 - dice.below(back.min(links.len()))];
            match code(at, link).await.as_str() {
                "" => {
                    *admitted.entry(link.id.clone()).or_default() += 1;
                    assert_eq!(admitted[&link.id], 1, "step {step}: admitted twice");
                }
                code => assert!(REFUSED.contains(&code), "step {step}: {code}"),
            }
        }
        let begun = Instant::now();
        let link = clock.new_one_works(at).await;
        slowest = slowest.max(begun.elapsed());
        *admitted.entry(link.id.clone()).or_default() += 1;
        links.push(link);
    }
    eprintln!("{} admitted; a new link worked after {slowest:?} at most", admitted.len());
    assert!(admitted.len() > 40 && links.len() > admitted.len());
    process.kill();
}

/// A gate's home, and the clock by which it runs.
struct SteppedClock {
    home: Home,
    file: PathBuf,
    library: String,
}

impl SteppedClock {
    async fn new() -> Option<Self> {
        Self::of("journal").await
    }

    /// None where `faketime` is not installed.
    async fn of(store: &str) -> Option<Self> {
        if !installed::programs(&["faketime"]) {
            return None;
        }
        // The program itself says where its library is.
        let told =
            Command::new("faketime").args(["-m", "-f", "+0", "printenv", "LD_PRELOAD"]).output();
        let library = String::from_utf8(told.unwrap().stdout).unwrap().trim().to_owned();
        assert!(library.contains("libfaketime"), "{library:?}");
        let store = format!("[once]\nstore = \"{store}\"");
        let home =
            Home::new(|text| text.replace("[once]", &store).replace("\"1000/s\"", "\"100000/s\""))
                .await;
        let file = home.dir.path().join("clock");
        let clock = Self { home, file, library };
        clock.step(0);
        Some(clock)
    }

    /// The system's clock is so many seconds off from now on, for processes that run as well.
    fn step(&self, seconds: i64) {
        let next = self.file.with_extension("next");
        std::fs::write(&next, format!("{seconds:+}\n")).unwrap();
        // Whole or not at all: it is read at each look at the clock.
        std::fs::rename(next, &self.file).unwrap();
    }

    fn spawn(&self) -> Process {
        self.home.spawn_with(&[
            ("LD_PRELOAD", &self.library),
            ("FAKETIME_TIMESTAMP_FILE", self.file.to_str().unwrap()),
            ("FAKETIME_NO_CACHE", "1"),
            // A wall clock that is set moves neither timers nor the times of files.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("NO_FAKE_STAT", "1"),
        ])
    }

    /// A new link, used once. The gate may take a moment to notice what the clock did.
    async fn new_one_works(&self, at: At) -> Link {
        let works = async {
            loop {
                if let Some(link) = ask(at).await
                    && code(at, &link).await.is_empty()
                {
                    return link;
                }
            }
        };
        tokio::time::timeout(PATIENCE, works).await.expect("a new link works")
    }
}

/// A link, unless the memory that would record its use is just being replaced.
async fn ask(at: At) -> Option<Link> {
    let answer = at.client().post_json("/v1/links", &json!({ "user": "joe" })).await;
    if answer.code() == "store_unavailable" {
        return None;
    }
    assert_eq!(answer.status, 201, "{}", answer.text());
    Some(Link::of(&answer.json()))
}

/// The code of the refusal that a redemption meets; "" for none.
async fn code(at: At, link: &Link) -> String {
    let answer = at.redeem(link).await;
    assert_eq!(answer.status == 200, answer.code().is_empty(), "{}", answer.text());
    answer.code()
}

/// When the link expires, seconds since the Unix epoch.
fn expiry(link: &Link) -> u64 {
    let claims = link.token.split('.').nth(1).unwrap();
    let claims = URL_SAFE_NO_PAD.decode(claims).unwrap();
    serde_json::from_slice::<Value>(&claims).unwrap()["exp"].as_u64().unwrap()
}

async fn horizon(at: At) -> u64 {
    gauge(at, "oncegate_seen_horizon").await
}

async fn entries(at: At) -> u64 {
    gauge(at, "oncegate_seen_entries").await
}

async fn gauge(at: At, name: &str) -> u64 {
    let metrics = Client::new(at.admin).get("/metrics").await;
    let line = metrics.text().lines().find(|line| line.split(' ').next() == Some(name));
    line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
}

async fn until(done: impl AsyncFn() -> bool) {
    let waiting = async { while !done().await {} };
    tokio::time::timeout(PATIENCE, waiting).await.expect("it happens");
}

async fn end(process: Process, orderly: bool) {
    if orderly {
        process.terminate();
        assert_eq!(process.ended().await.0, Some(0));
    } else {
        process.kill();
    }
}
