//! Links of one gate, opened at any.

use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    fleet::{A, B, C, Fleet, post, refusal, until},
    support::{
        gate::{BILLING, Gate, PANEL, cookie_of},
        http::{Connection, open_kept, redeem_kept},
    },
};

/// The usual limit of `max_entries` at its lowest.
const FEW: usize = 1_000;

#[tokio::test]
async fn a_link_works_once_whatever_gate_it_is_opened_at() {
    let fleet = Fleet::start().await;
    for owner in [A, B, C] {
        for first in [A, B, C] {
            let link = fleet.gate(owner).link(json!({})).await;
            assert_eq!(fleet.gate(first).open(&link).await.status, 303);
            for again in [A, B, C] {
                assert_eq!(refusal(fleet.gate(again), &link).await, "already_used");
                assert_eq!(fleet.gate(again).redeem(&link.token).await.code(), "already_used");
            }
        }
    }
    assert_eq!([A, B, C].map(|gate| fleet.gate(gate).remembered()), [3, 3, 3]);
    fleet.stop().await;
}

#[tokio::test]
async fn what_is_used_elsewhere_is_not_called_good() {
    let fleet = Fleet::start().await;
    let link = fleet.gate(A).link(json!({})).await;
    let inspect = async || {
        let asked = json!({ "token": link.token });
        fleet.gate(B).api().post_json("/v1/inspect", &asked).await.json()
    };
    assert_eq!(fleet.gate(B).browser().get(&link.path).await.status, 200);
    assert_eq!(inspect().await["valid"], true);
    assert_eq!(fleet.gate(A).remembered(), 0, "looking spends nothing");
    assert_eq!(fleet.gate(C).open(&link).await.status, 303);
    assert_eq!(fleet.gate(B).browser().get(&link.path).await.status, 410);
    let inspected = inspect().await;
    assert_eq!((&inspected["valid"], &inspected["code"]), (&json!(false), &json!("already_used")));
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_thousand_at_once_at_three_gates_one_wins() {
    const CONNECTIONS: usize = 60;
    const EACH: usize = 1_000 / CONNECTIONS + 1;
    let fleet = Fleet::start().await;
    for owner in [A, B, C] {
        let token = fleet.gate(owner).link(json!({})).await.token;
        let mut redeeming = JoinSet::new();
        for number in 0..CONNECTIONS {
            let (gate, browser) = (fleet.gate(number % 3), number % 2 == 0);
            let at = if browser { gate.public_at() } else { gate.api_at() };
            let once =
                if browser { open_kept(PANEL, &token) } else { redeem_kept(BILLING, &token) };
            redeeming.spawn(async move {
                let mut connection = Connection::open(at).await.unwrap();
                connection.send(once.repeat(EACH)).await.unwrap();
                let mut came = [0, 0];
                for _ in 0..EACH {
                    let answer = connection.answer().await.unwrap();
                    match (answer.status, answer.code().as_str()) {
                        (200 | 303, _) => came[0] += 1,
                        // A machine so busy that an answer takes a second.
                        (503, "store_unavailable") => came[1] += 1,
                        (_, code) => assert_eq!(code, "already_used", "{}", answer.text()),
                    }
                }
                came
            });
        }
        let came: Vec<[usize; 2]> = redeeming.join_all().await;
        let all = |which: usize| came.iter().map(|came| came[which]).sum::<usize>();
        let (admitted, unanswered) = (all(0), all(1));
        assert_eq!(came.len(), CONNECTIONS);
        assert!(admitted == 1 || (admitted == 0 && unanswered > 0), "{admitted} {unanswered}");
    }
    fleet.stop().await;
}

#[tokio::test]
async fn without_peers_a_link_of_another_gate_is_at_the_wrong_one() {
    let fleet = Fleet::with(|number, text| {
        let begin = text.find("peers = ").unwrap();
        let end = begin + text[begin..].find('\n').unwrap();
        let peers = &text[begin..end];
        match number {
            // One knows nobody, one not the third.
            B => text.replace(peers, ""),
            C => text.replace(peers, "peers = { gate-b = \"http://127.0.0.1:9\" }"),
            _ => text,
        }
    })
    .await;
    let link = fleet.gate(A).link(json!({})).await;
    for gate in [B, C] {
        let answer = post(fleet.gate(gate), &link).await;
        assert_eq!((answer.status, answer.code().as_str()), (421, "wrong_gate"));
        assert_eq!(fleet.gate(gate).public().get(&link.path).await.code(), "wrong_gate");
    }
    assert_eq!(fleet.gate(A).open(&link).await.status, 303, "not spent by any of that");
    fleet.stop().await;
}

#[tokio::test]
async fn while_the_owner_is_down_nobody_is_let_in_and_soon_after_its_return_everybody() {
    let mut fleet = Fleet::start().await;
    let [link, other] = [fleet.gate(A).link(json!({})).await, fleet.gate(A).link(json!({})).await];
    fleet.down(A).await;
    for _ in 0..3 {
        let answer = post(fleet.gate(B), &link).await;
        assert_eq!((answer.status, answer.code().as_str()), (503, "store_unavailable"));
        assert_eq!(answer.header("retry-after"), Some("1"), "it is certainly unspent");
        let page = fleet.gate(B).open(&link).await;
        assert_eq!(page.status, 503);
        let words = page.text();
        assert!(words.contains("was not used") && words.contains("a new link"), "{words}");
        assert_eq!(fleet.gate(B).browser().get(&link.path).await.status, 503);
    }
    // A gate that is there makes new ones, which work.
    let new = fleet.gate(B).link(json!({})).await;
    assert_eq!(fleet.gate(C).open(&new).await.status, 303);
    let metrics = async |gate: usize| fleet.gate(gate).admin().get("/metrics").await;
    let said = metrics(B).await;
    assert!(said.text().contains("oncegate_peer_up{peer=\"gate-a\"} 0"), "{}", said.text());
    assert!(said.text().contains("oncegate_peer_up{peer=\"gate-c\"} 1"), "{}", said.text());
    let status = fleet.gate(B).admin().get("/").await;
    assert!(status.text().contains("does not answer: "), "{}", status.text());
    // A gate whose peer is down is as ready as ever.
    assert_eq!(fleet.gate(B).admin().get("/ready").await.json()["status"], "ready");
    fleet.up(A).await;
    let fleet = &fleet;
    until("a link of a gate that is back opens", || async {
        post(fleet.gate(B), &link).await.status == 303
    })
    .await;
    until("and at the third gate too", || async {
        post(fleet.gate(C), &other).await.status == 303
    })
    .await;
    let said = metrics_of(fleet.gate(B)).await;
    assert!(said.contains("oncegate_peer_up{peer=\"gate-a\"} 1"), "{said}");
}

async fn metrics_of(gate: &Gate) -> String {
    gate.admin().get("/metrics").await.text().to_owned()
}

#[tokio::test]
async fn an_owner_that_lost_its_state_has_fenced_its_links() {
    let mut fleet = Fleet::start().await;
    let link = fleet.gate(A).link(json!({})).await;
    let used = fleet.gate(A).link(json!({})).await;
    assert_eq!(fleet.gate(B).open(&used).await.status, 303);
    fleet.down(A).await;
    fleet.lose_state(A);
    fleet.up(A).await;
    let fleet = &fleet;
    until("the owner is heard again", || async {
        refusal(fleet.gate(B), &link).await != "store_unavailable"
    })
    .await;
    for gate in [A, B, C] {
        assert_eq!(refusal(fleet.gate(gate), &link).await, "fenced");
        assert_eq!(refusal(fleet.gate(gate), &used).await, "fenced");
    }
}

#[tokio::test]
async fn the_owners_clock_says_what_has_expired() {
    let fleet = Fleet::start().await;
    let link = fleet.gate(A).link(json!({ "ttl": 60 })).await;
    fleet.gate(A).wait(61);
    assert_eq!(refusal(fleet.gate(B), &link).await, "expired");
    assert_eq!(fleet.gate(B).public().get(&link.path).await.code(), "expired");
    // And whoever receives it judges by his own.
    let link = fleet.gate(B).link(json!({ "ttl": 60 })).await;
    fleet.gate(C).wait(61);
    assert_eq!(refusal(fleet.gate(C), &link).await, "expired");
    fleet.stop().await;
}

#[tokio::test]
async fn an_owner_that_is_full_refuses_everywhere_and_one_that_cannot_record_too() {
    let fleet =
        Fleet::with(|_, text| text.replacen("[once]", "[once]\nmax_entries = 1_000", 1)).await;
    let (full, last) = (fleet.gate(A), fleet.gate(A).link(json!({})).await);
    for _ in 0..FEW {
        let link = full.link(json!({})).await;
        let store = &full.running.as_ref().unwrap().gate.store;
        let token = oncegate::store::Use::of(&full.claims_of(&link.token));
        let _spent = store.spend(&token, || full.clock.now()).await.unwrap();
    }
    let answer = post(fleet.gate(B), &last).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "store_full"));
    let link = fleet.gate(C).link(json!({})).await;
    fleet.gate(C).running.as_ref().unwrap().gate.store.clone().close().await;
    let answer = post(fleet.gate(B), &link).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "store_unavailable"));
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn whoever_receives_a_link_judges_it_by_his_own_configuration() {
    let fleet = Fleet::with(|number, text| match number {
        // One that has removed the caller.
        C => text.replace("name = \"billing\"", "name = \"another\""),
        _ => text,
    })
    .await;
    let link = fleet.gate(A).link(json!({})).await;
    assert_eq!(refusal(fleet.gate(C), &link).await, "revoked");
    let bound = fleet.gate(A).link(json!({ "ip": "203.0.113.7" })).await;
    assert_eq!(refusal(fleet.gate(B), &bound).await, "wrong_client");
    assert_eq!(fleet.gate(A).remembered(), 0, "nothing was spent");
    assert_eq!(fleet.gate(B).open(&link).await.status, 303);
    fleet.stop().await;
}

#[tokio::test]
async fn a_used_link_leads_on_who_is_signed_in_by_it_at_every_gate() {
    let fleet = Fleet::start().await;
    let link = fleet.gate(A).link(json!({ "destination": "home" })).await;
    let cookie = cookie_of(&fleet.gate(B).open(&link).await);
    let again = fleet.gate(C).browser().header("cookie", &cookie);
    assert_eq!(again.post_form(&link.path, &[], &[]).await.status, 303);
    fleet.stop().await;
}
