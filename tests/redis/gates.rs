//! Gates on one store, through the front door.

use std::{path::Path, time::Duration};

use oncegate::{
    ops::{clock::Clock, entropy},
    store::keys,
};
use serde_json::json;

use crate::{
    RedisServer, key, now,
    support::{
        gate::{Gate, Link, cookie_of, usual},
        http::Answer,
        process::PATIENCE,
        upstream::Upstream,
    },
};

/// Two gates with the same keys on one store.
async fn two(server: &RedisServer) -> [Gate; 2] {
    let one = gate("gate-a", &server.once(), None).await;
    let other = gate("gate-b", &server.once(), Some(one.dir.path())).await;
    // Until it is known who listens, a revocation waits as long as for one that is gone.
    server.tell(&["HSET", &key("gates"), ".", &(now() - 60).to_string()]);
    [one, other]
}

/// A gate on the true clock, which a server's is compared with.
async fn gate(name: &str, once: &str, keys_of: Option<&Path>) -> Gate {
    let (dir, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let keys_dir = dir.path().join("keys");
    match keys_of {
        None => drop(keys::make(&keys_dir, now() - 3_600, entropy::random).unwrap()),
        Some(from) => {
            std::fs::create_dir(&keys_dir).unwrap();
            for file in std::fs::read_dir(from.join("keys")).unwrap() {
                let file = file.unwrap();
                std::fs::copy(file.path(), keys_dir.join(file.file_name())).unwrap();
            }
            let mode = std::fs::metadata(from.join("keys")).unwrap().permissions();
            std::fs::set_permissions(&keys_dir, mode).unwrap();
        }
    }
    let text = usual(&upstream).replace("gate-a", name).replace("[once]\ndir = \"state\"", once);
    Gate::in_dir(dir, upstream, &text, Clock::default()).await
}

async fn ready(gate: &Gate) -> (u16, String) {
    let answer = gate.admin().get("/ready").await;
    (answer.status, answer.json()["status"].as_str().unwrap().to_owned())
}

async fn becomes(gate: &Gate, status: u16, word: &str) {
    let there = async {
        while ready(gate).await != (status, word.to_owned()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, there).await;
    assert!(waited.is_ok(), "{:?}", ready(gate).await);
}

/// A link, as soon as there is one.
async fn link_of(gate: &Gate) -> Link {
    let issued = async {
        loop {
            let answer = gate.api().post_json("/v1/links", &json!({ "user": "joe" })).await;
            match answer.status {
                201 => return Link::of(&answer.json()),
                503 => tokio::time::sleep(Duration::from_millis(20)).await,
                status => panic!("{status}: {}", answer.text()),
            }
        }
    };
    tokio::time::timeout(PATIENCE, issued).await.unwrap()
}

async fn session(gate: &Gate, cookie: &str) -> u16 {
    gate.browser().header("cookie", cookie).get("/_once/session").await.status
}

async fn sign_in(gate: &Gate) -> String {
    let answer = gate.open(&link_of(gate).await).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    cookie_of(&answer)
}

fn refused(answer: &Answer) -> (u16, String) {
    (answer.status, answer.code())
}

#[tokio::test]
async fn a_link_of_one_gate_opens_at_the_other_and_once() {
    let server = RedisServer::start();
    let [one, other] = two(&server).await;
    for n in 0..10 {
        let link = link_of(&one).await;
        let claims = one.claims_of(&link.token);
        assert_eq!(claims.gate, None, "a shared memory is at no gate");
        let gates = if n % 2 == 0 { [&one, &other] } else { [&other, &one] };
        assert_eq!(gates[0].open(&link).await.status, 303);
        for gate in gates {
            assert_eq!(refused(&gate.redeem(&link.token).await), (410, "already_used".to_owned()));
        }
    }
    // At once at both, again and again.
    for _ in 0..20 {
        let link = link_of(&one).await;
        let (left, right) = tokio::join!(one.redeem(&link.token), other.redeem(&link.token));
        let mut statuses = [left.status, right.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 410]);
    }
    let inspected =
        one.api().post_json("/v1/inspect", &json!({ "token": link_of(&other).await.token })).await;
    assert_eq!(inspected.json()["valid"], true);
    for gate in [one, other] {
        gate.stop().await;
    }
}

#[tokio::test]
async fn a_store_that_is_down_is_told_of_and_not_guessed() {
    let mut server = RedisServer::durable();
    let [one, other] = two(&server).await;
    other.stop().await;
    let (link, cookie) = (link_of(&one).await, sign_in(&one).await);
    assert_eq!(ready(&one).await, (200, "ready".to_owned()));
    server.kill();
    assert_eq!(refused(&one.redeem(&link.token).await), (503, "store_unavailable".to_owned()));
    let page = one.open(&link).await;
    assert_eq!(page.status, 503, "{}", page.text());
    becomes(&one, 200, "degraded").await;
    let answer = one.api().post_json("/v1/links", &json!({ "user": "joe" })).await;
    assert_eq!(refused(&answer), (503, "store_unavailable".to_owned()));
    // Who is signed in stays so.
    assert_eq!(session(&one, &cookie).await, 200);
    let metrics = one.admin().get("/metrics").await;
    let counted = |name: &str| {
        let said = metrics.text().lines().find(|said| said.starts_with(&format!("{name} ")));
        let said = said.unwrap_or_else(|| panic!("{name}: {}", metrics.text()));
        said.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(counted("oncegate_store_up"), 0);
    for name in ["connections", "questions", "unanswered", "resent"] {
        assert!(counted(&format!("oncegate_store_{name}_total")) > 0, "{name}");
    }
    server.run();
    becomes(&one, 200, "ready").await;
    assert_eq!(refused(&one.redeem(&link.token).await), (410, "fenced".to_owned()));
    let next = link_of(&one).await;
    assert_eq!(one.redeem(&next.token).await.status, 200);
    let metrics = one.admin().get("/metrics").await;
    assert!(metrics.text().contains("oncegate_mem_changes_total{reason=\"store_moved\"} 1"));
    one.stop().await;
}

#[tokio::test]
async fn a_gate_whose_store_is_down_at_its_start_is_not_ready_before_it_has_heard() {
    let mut server = RedisServer::start();
    server.kill();
    let needs = server.once() + "\nready_needs_store = true";
    let gate = gate("gate-a", &needs, None).await;
    assert_eq!(ready(&gate).await, (503, "starting".to_owned()));
    server.run();
    becomes(&gate, 200, "ready").await;
    assert_eq!(gate.redeem(&link_of(&gate).await.token).await.status, 200);
    server.kill();
    becomes(&gate, 503, "degraded").await;
    gate.stop().await;
}

#[tokio::test]
async fn what_is_taken_back_at_one_gate_is_so_at_all_and_stays_so() {
    let server = RedisServer::start();
    let [one, other] = two(&server).await;
    let (ended, alive) = (sign_in(&one).await, sign_in(&other).await);
    for gate in [&one, &other] {
        assert_eq!([session(gate, &ended).await, session(gate, &alive).await], [200, 200]);
    }
    let out = one.browser().header("cookie", &ended).post_form("/_once/logout", &[], &[]).await;
    assert_eq!(out.status, 200, "{}", out.text());
    for gate in [&one, &other] {
        assert_eq!([session(gate, &ended).await, session(gate, &alive).await], [401, 200]);
    }
    // One link, taken back at the gate that did not issue it.
    let link = link_of(&one).await;
    let answer = other.api().delete(&format!("/v1/links/{}", link.id)).await;
    assert_eq!(answer.status, 204, "{}", answer.text());
    assert_eq!(refused(&one.redeem(&link.token).await), (410, "revoked".to_owned()));
    // The store is emptied. Ended is ended, alive is alive, at a gate that starts again too.
    server.tell(&["FLUSHALL"]);
    let other = other.restart().await;
    becomes(&other, 200, "ready").await;
    link_of(&one).await;
    let refilled = async {
        while session(&other, &alive).await != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, refilled).await.is_ok(), "no session came back");
    for gate in [&one, &other] {
        assert_eq!([session(gate, &ended).await, session(gate, &alive).await], [401, 200]);
    }
    // All of a user, up to now and not after.
    let answer = one.api().post_json("/v1/revocations", &json!({ "user": "joe" })).await;
    assert_eq!(answer.status, 204, "{}", answer.text());
    let later = sign_in(&other).await;
    for gate in [&one, &other] {
        assert_eq!([session(gate, &alive).await, session(gate, &later).await], [401, 200]);
    }
    for gate in [one, other] {
        gate.stop().await;
    }
}

#[tokio::test]
async fn a_link_of_a_gate_with_a_memory_of_its_own_belongs_elsewhere() {
    let server = RedisServer::start();
    let [one, other] = two(&server).await;
    let alone = gate("gate-c", "[once]\nstore = \"memory\"", Some(one.dir.path())).await;
    let (theirs, ours) = (link_of(&alone).await, link_of(&one).await);
    assert_eq!(refused(&one.redeem(&theirs.token).await), (421, "wrong_gate".to_owned()));
    assert_eq!(refused(&alone.redeem(&ours.token).await), (421, "wrong_gate".to_owned()));
    assert_eq!(other.admin().get("/").await.status, 200);
    for gate in [one, other, alone] {
        gate.stop().await;
    }
}
