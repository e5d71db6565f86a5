//! Clocks that step by hours, in both directions, at any moment: nothing is admitted twice, and
//! new links work at once.

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
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use oncegate::{
    edge::{intake::Intake, redeem},
    gate::{
        client_ip::ClientIpSource,
        denial::Denial,
        seen::{BUCKET, CLOCK_SLACK},
    },
};
use serde_json::json;
use support::{
    dice::Dice,
    gate::{BILLING, Gate, Link, NOW},
    http::{Connection, kept, redeem_kept},
};
use tokio::task::JoinSet;

/// Seconds by which clocks step.
const STEPS: [u64; 8] = [1, 5, BUCKET, CLOCK_SLACK, 60, 600, 3_600, 5 * 3_600];

/// How a genuine token may be refused, whatever the clock shows; the last is for a memory that
/// ends under a request, which may have spent it.
const REFUSED: [&str; 5] =
    ["already_used", "expired", "not_yet_valid", "fenced", "store_unavailable"];

#[tokio::test]
async fn whatever_the_clock_does_nothing_is_admitted_twice_and_new_links_work() {
    let mut dice = Dice::new();
    let mut gate = patient().await;
    let (mut links, mut recent): (Vec<Link>, usize) = (Vec::new(), 0);
    let mut admitted: HashMap<String, usize> = HashMap::new();
    for step in 0..600 {
        match dice.below(16) {
            // Often back to where the day began: what was valid then would be valid again.
            0..=1 => gate.clock.set(NOW + dice.below(120) as u64),
            2..=3 => gate.clock.set(gate.clock.now() + dice.one_of(&STEPS)),
            4 => gate.clock.set(gate.clock.now() - dice.one_of(&STEPS)),
            // Just past the end of a bucket, and back by less than counts as a step back.
            10 => {
                gate.clock.set((gate.clock.now() + 60).next_multiple_of(BUCKET));
                look_after(&gate);
                gate.clock.set(gate.clock.now() - 1 - dice.below(20) as u64);
                recent = 3;
            }
            5 if dice.below(4) == 0 => gate = gate.restart().await,
            5..=6 => look_after(&gate),
            7..=8 => {
                let ttl = dice.one_of(&[1, 60, 300]);
                let mut api = Connection::open(gate.api_at()).await.unwrap();
                links.extend(issue(&mut api, ttl).await);
            }
            // An old one again, at random.
            _ if !links.is_empty() => {
                // After such a step the latest: their end is near.
                let link = if recent > 0 {
                    recent -= 1;
                    &links[links.len() - 1 - dice.below(links.len().min(3))]
                } else {
                    &links[dice.below(links.len())]
                };
                let answer = gate.redeem(&link.token).await;
                if answer.status == 200 {
                    *admitted.entry(link.id.clone()).or_default() += 1;
                    assert_eq!(admitted[&link.id], 1, "step {step}");
                } else {
                    assert!(REFUSED.contains(&answer.code().as_str()), "{}", answer.text());
                }
            }
            _ => {}
        }
        if step % 8 == 0 {
            // What happens every half second: after it, new links work, wherever the clock is.
            let link = new_one_works(&gate).await;
            *admitted.entry(link.id.clone()).or_default() += 1;
            links.push(link);
        }
    }
    assert!(admitted.len() > 75 && links.len() > admitted.len());
    gate.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn nor_while_it_steps_under_requests_on_their_way() {
    const REDEEMERS: usize = 6;
    let mut dice = Dice::new();
    let gate = Arc::new(patient().await);
    let admitted = Arc::new(Mutex::new(HashMap::<String, usize>::new()));
    let done = Arc::new(AtomicBool::new(false));
    let links = Arc::new(Mutex::new(Vec::<Link>::new()));
    let mut redeeming = JoinSet::new();
    for _ in 0..REDEEMERS {
        let (gate, admitted, links) = (gate.clone(), admitted.clone(), links.clone());
        let mut dice = dice.fork();
        redeeming.spawn(async move {
            let mut api = Connection::open(gate.api_at()).await.unwrap();
            for turn in 0..400 {
                if turn % 5 == 0 {
                    let link = issue(&mut api, 300).await;
                    links.lock().unwrap().extend(link);
                }
                let link = {
                    let links = links.lock().unwrap();
                    // Mostly the latest, which others are about to try as well.
                    let back = dice.one_of(&[1, 1, 1, 2, 3, 20, 100]);
                    links.get(links.len().saturating_sub(back)).cloned()
                };
                let Some(link) = link else { continue };
                api.send(redeem_kept(BILLING, &link.token)).await.unwrap();
                let answer = api.answer().await.unwrap();
                if answer.status == 200 {
                    *admitted.lock().unwrap().entry(link.id).or_default() += 1;
                } else {
                    assert!(REFUSED.contains(&answer.code().as_str()), "{}", answer.text());
                }
            }
        });
    }
    let stepping = {
        let (gate, done) = (gate.clone(), done.clone());
        std::thread::spawn(move || {
            while !done.load(Ordering::SeqCst) {
                match dice.below(4) {
                    0 => gate.clock.set(NOW),
                    1 => gate.clock.set(NOW + dice.one_of(&STEPS)),
                    2 => gate.clock.set(gate.clock.now() + dice.one_of(&STEPS)),
                    _ => look_after(&gate),
                }
                (0..dice.below(2_000)).for_each(|_| std::thread::yield_now());
            }
        })
    };
    while let Some(redeemed) = redeeming.join_next().await {
        redeemed.unwrap();
    }
    done.store(true, Ordering::SeqCst);
    stepping.join().unwrap();
    let admitted = admitted.lock().unwrap();
    assert!(admitted.len() > 20, "only {} were admitted", admitted.len());
    assert_eq!(admitted.values().max(), Some(&1));
}

#[tokio::test]
async fn an_hour_forward_and_back_costs_the_links_of_that_time_and_nothing_else() {
    let gate = patient().await;
    let used = gate.link(json!({})).await;
    assert_eq!(gate.redeem(&used.token).await.status, 200);
    let before = gate.link(json!({ "ttl": 300 })).await;
    gate.clock.set(NOW + 3_600);
    look_after(&gate);
    let during = new_one_works(&gate).await;
    gate.clock.set(NOW);
    look_after(&gate);
    for link in [&used, &before] {
        assert_eq!(gate.redeem(&link.token).await.code(), "fenced");
    }
    assert_eq!(gate.redeem(&during.token).await.code(), "not_yet_valid");
    let after = new_one_works(&gate).await;
    assert_eq!(gate.redeem(&after.token).await.code(), "already_used");
    gate.stop().await;
}

#[tokio::test]
async fn a_token_judged_in_time_but_delayed_past_the_drop_of_its_bucket_is_refused() {
    let running = patient().await;
    let gate = running.running.as_ref().unwrap().gate.clone();
    // The end of a bucket, so that its use is dropped the moment it expires.
    let ttl = 4 * BUCKET;
    assert_eq!((NOW + ttl) % BUCKET, 0);
    let link = running.link(json!({ "ttl": ttl })).await;
    let request = http::Request::post("/").header("host", "x").body(()).unwrap();
    let connection =
        oncegate::edge::connection::Connection::plain((std::net::Ipv4Addr::LOCALHOST, 0).into());
    let (intake, _) = Intake::read(&gate, &connection, ClientIpSource::Peer, &request);
    let visit = redeem::Presenter::default();
    let judged = async || {
        let verified = redeem::verify(&gate, &link.token).await.unwrap();
        let site = gate.site_named("panel").unwrap();
        redeem::judge(&gate, site, &visit, verified).unwrap()
    };
    let (first, delayed) = (judged().await, judged().await);
    redeem::spend(&gate, &intake, &visit, first).await.unwrap();
    running.clock.set(NOW + ttl);
    gate.store.tick(NOW + ttl);
    assert_eq!((gate.store.status().entries, gate.store.status().horizon), (0, NOW + ttl));
    // Corrected by less than means that the clock went back: by it, the token is valid again.
    running.clock.set(NOW + ttl - 5);
    let refusal = redeem::spend(&gate, &intake, &visit, delayed).await.unwrap_err();
    assert_eq!(refusal.denial, Denial::Expired(NOW + ttl));
    drop(gate);
    running.stop().await;
}

/// A gate whose callers are not slowed down.
async fn patient() -> Gate {
    Gate::with(|text| text.replace("\"1000/s\"", "\"100000/s\"")).await
}

/// What the gate does for its store twice a second.
fn look_after(gate: &Gate) {
    gate.running.as_ref().unwrap().gate.store.tick(gate.clock.now());
}

/// A new link, used once.
///
/// The gate looks after its store by itself as well: with a time that it took before the clock
/// was stepped, it may find that the clock went back just now, and once more end a memory.
async fn new_one_works(gate: &Gate) -> Link {
    let mut api = Connection::open(gate.api_at()).await.unwrap();
    for _ in 0..3 {
        look_after(gate);
        if let Some(link) = issue(&mut api, 60).await
            && gate.redeem(&link.token).await.status == 200
        {
            return link;
        }
    }
    panic!("no new link works");
}

/// A link, unless the memory that would record its use is just being replaced.
async fn issue(api: &mut Connection, ttl: u64) -> Option<Link> {
    let key = format!("Bearer {BILLING}");
    let headers = [("Host", "api"), ("Authorization", &key), ("Content-Type", "application/json")];
    let ask = json!({ "user": "joe", "ttl": ttl }).to_string();
    api.send(kept("/v1/links", &headers, &ask)).await.unwrap();
    let answer = api.answer().await.unwrap();
    if answer.code() == "store_unavailable" {
        assert_eq!(answer.header("retry-after"), Some("1"));
        return None;
    }
    assert_eq!(answer.status, 201, "{}", answer.text());
    Some(Link::of(&answer.json()))
}
