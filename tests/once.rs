//! One use of one token, through HTTP: whoever asks, however often, whoever hangs up.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use std::sync::Arc;

use oncegate::ops::metrics::At;
use serde_json::json;
use support::{
    gate::{BILLING, Gate, PANEL},
    http::{Answer, Connection, open_kept, redeem_kept},
};
use tokio::{sync::Barrier, task::JoinSet};

/// Tokens, one after the other.
const TOKENS: usize = 100;
/// Connections that stay open; every other one is a browser's.
const CONNECTIONS: usize = 125;
/// Redemptions that each of them sends before it reads an answer.
const EACH: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_thousand_redemptions_at_once_exactly_one_succeeds_and_so_a_hundred_times() {
    assert_eq!(CONNECTIONS * EACH, 1_000);
    let gate = Gate::start().await;
    let mut connections = Vec::new();
    for number in 0..CONNECTIONS {
        let browser = number % 2 == 1;
        let addr = if browser { gate.public_at() } else { gate.api_at() };
        connections.push((browser, Connection::open(addr).await.unwrap()));
    }
    for round in 0..TOKENS {
        let token = gate.link(json!({})).await.token;
        let start = Arc::new(Barrier::new(CONNECTIONS));
        let mut redeeming = JoinSet::new();
        for (browser, mut connection) in connections.drain(..) {
            let (start, token) = (start.clone(), token.clone());
            redeeming.spawn(async move {
                let once =
                    if browser { open_kept(PANEL, &token) } else { redeem_kept(BILLING, &token) };
                start.wait().await;
                connection.send(once.repeat(EACH)).await.unwrap();
                let mut admitted = 0;
                for _ in 0..EACH {
                    admitted += admits(&connection.answer().await.unwrap());
                }
                (browser, connection, admitted)
            });
        }
        let mut admitted = 0;
        while let Some(done) = redeeming.join_next().await {
            let (browser, connection, more) = done.unwrap();
            admitted += more;
            connections.push((browser, connection));
        }
        assert_eq!(admitted, 1, "token {round}");
    }
    assert_eq!(redeemed(&gate), TOKENS as u64);
    gate.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_client_that_hangs_up_leaves_no_use_half_made() {
    const LINKS: usize = 64;
    // Synced before the answer: the longest way from the record to its answer.
    let gate = Gate::with(|text| text.replace("[once]", "[once]\ndurability = \"power\"")).await;
    let mut tokens = Vec::new();
    for number in 0..LINKS {
        let token = gate.link(json!({})).await.token;
        let (addr, request) = if number % 2 == 0 {
            (gate.api_at(), redeem_kept(BILLING, &token))
        } else {
            (gate.public_at(), open_kept(PANEL, &token))
        };
        let mut connection = Connection::open(addr).await.unwrap();
        connection.send(request).await.unwrap();
        drop(connection);
        tokens.push(token);
    }
    for token in &tokens {
        admits(&gate.redeem(token).await);
        assert_eq!(admits(&gate.redeem(token).await), 0);
    }
    // Each was admitted once, then or now. What was spent then, but neither counted nor audited,
    // would be missing here.
    let all_counted = async {
        while redeemed(&gate) < LINKS as u64 {
            tokio::task::yield_now().await;
        }
    };
    let all_counted = tokio::time::timeout(support::process::PATIENCE, all_counted).await;
    assert!(all_counted.is_ok(), "{} of {LINKS} were finished", redeemed(&gate));
    assert_eq!(redeemed(&gate), LINKS as u64);
    gate.stop().await;
}

#[tokio::test]
async fn a_use_outlives_an_orderly_restart_and_what_was_never_tried_still_works() {
    let gate = Gate::start().await;
    let (used, untried) = (gate.link(json!({})).await, gate.link(json!({})).await);
    assert_eq!(gate.open(&used).await.status, 303);
    let gate = gate.restart().await;
    assert_eq!(admits(&gate.redeem(&used.token).await), 0);
    assert_eq!(admits(&gate.redeem(&untried.token).await), 1);
    assert_eq!(admits(&gate.redeem(&untried.token).await), 0);
    gate.stop().await;
}

#[tokio::test]
async fn with_a_store_in_memory_a_restart_fences_every_link() {
    let gate = Gate::with(|text| text.replace("[once]", "[once]\nstore = \"memory\"")).await;
    let (used, untried) = (gate.link(json!({})).await, gate.link(json!({})).await);
    assert_eq!(gate.open(&used).await.status, 303);
    let gate = gate.restart().await;
    for link in [used, untried] {
        let answer = gate.redeem(&link.token).await;
        assert_eq!((answer.status, answer.code().as_str()), (410, "fenced"));
    }
    let new = gate.link(json!({})).await;
    assert_eq!(admits(&gate.redeem(&new.token).await), 1);
    gate.stop().await;
}

/// How many are let in by this answer: one, or none because it was used before.
fn admits(answer: &Answer) -> usize {
    match answer.status {
        200 | 303 => 1,
        410 => {
            assert_eq!(answer.code(), "already_used");
            0
        }
        status => panic!("{status}: {}", answer.text()),
    }
}

fn redeemed(gate: &Gate) -> u64 {
    let metrics = &gate.running.as_ref().unwrap().gate.metrics;
    metrics.redeemed.get_or_create(&At { site: "panel".to_owned() }).get()
}
