//! A memory that fills up: issuing warns before redemption is refused, and all of it can be seen.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use std::time::Duration;

use serde_json::json;
use support::{gate::Gate, logs, process::PATIENCE};
use tracing::Level;

const ROOM: usize = 1_000;

#[tokio::test]
async fn issuing_warns_before_redemption_is_refused_and_says_when_there_is_room_again() {
    logs::keep();
    let gate = Gate::with(|text| {
        let text = text.replace("[once]", &format!("[once]\nmax_entries = {ROOM}"));
        text.replace("\"1000/s\"", "\"100000/s\"")
    })
    .await;
    let mut links = Vec::new();
    for _ in 0..=ROOM {
        links.push(gate.link(json!({ "ttl": 60 })).await);
    }
    let (first, rest) = links.split_at(ROOM * 9 / 10 - 1);
    for link in first {
        assert_eq!(gate.redeem(&link.token).await.status, 200);
    }
    gate.link(json!({})).await;
    assert_eq!(metric(&gate, "oncegate_seen_nearly_full").await, 0);

    let (next, rest) = rest.split_first().unwrap();
    assert_eq!(gate.redeem(&next.token).await.status, 200);
    assert_eq!(metric(&gate, "oncegate_seen_nearly_full").await, 1);
    for _ in 0..50 {
        gate.link(json!({})).await;
    }
    logged(Level::WARN, "nearly full: 900 of 1000 uses are remembered").await;

    let (last, rest) = rest.split_last().unwrap();
    for link in rest {
        assert_eq!(gate.redeem(&link.token).await.status, 200);
    }
    let refused = gate.redeem(&last.token).await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "store_full"));
    assert_eq!(metric(&gate, "oncegate_seen_refused_full_total").await, 1);
    assert_eq!(metric(&gate, "oncegate_seen_entries").await, ROOM);

    gate.wait(100);
    logged(Level::INFO, "room again: 0 of 1000").await;
    assert_eq!(metric(&gate, "oncegate_seen_nearly_full").await, 0);
    assert_eq!(said(Level::WARN, "nearly full"), 1, "once, and not at each link");
    let link = gate.link(json!({})).await;
    assert_eq!(gate.redeem(&link.token).await.status, 200);
    gate.stop().await;
}

#[tokio::test]
async fn what_was_taken_back_and_the_journal_are_counted_with_their_room() {
    let gate = Gate::start().await;
    assert_eq!(metric(&gate, "oncegate_revocations").await, 0);
    assert_eq!(metric(&gate, "oncegate_max_revocations").await, 1_000_000);
    assert_eq!(metric(&gate, "oncegate_journal_segments").await, 2);
    assert_eq!(metric(&gate, "oncegate_journal_bytes").await, 2 << 20);
    let link = gate.link(json!({})).await;
    assert_eq!(gate.redeem(&link.token).await.status, 200);
    // What was issued, and what was used: by a write each, and synced when there is time.
    assert_eq!(metric(&gate, "oncegate_journal_records_total").await, 2);
    assert_eq!(metric(&gate, "oncegate_journal_writes_total").await, 2);
    assert_eq!(metric(&gate, "oncegate_journal_syncs_total").await, 0);
    let link = gate.link(json!({})).await;
    assert_eq!(gate.api().delete(&format!("/v1/links/{}", link.id)).await.status, 204);
    assert_eq!(metric(&gate, "oncegate_revocations").await, 1);
    gate.stop().await;
}

/// Waits for what the gate logs when it next looks after its store.
async fn logged(level: Level, what: &str) {
    let logged = async {
        while said(level, what) == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, logged).await.unwrap_or_else(|_| panic!("not logged: {what}"));
}

fn said(level: Level, what: &str) -> usize {
    let lines = logs::all();
    lines.iter().filter(|line| line.level == level && line.get("message").contains(what)).count()
}

async fn metric(gate: &Gate, name: &str) -> usize {
    let text = gate.admin().get("/metrics").await.text().to_owned();
    let mut values = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    values.next().unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}
