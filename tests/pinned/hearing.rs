//! What is taken back at one gate is refused at all.

use serde_json::json;

use crate::{
    fleet::{A, B, C, Fleet, refusal, signed_in, until},
    support::gate::{Gate, cookie_of},
};

async fn revoke_user(gate: &Gate, user: &str) {
    let asked = json!({ "user": user, "site": "panel" });
    assert_eq!(gate.api().post_json("/v1/revocations", &asked).await.status, 204);
}

async fn log_out(gate: &Gate, cookie: &str) {
    let browser = gate.browser().header("cookie", cookie);
    assert_eq!(browser.post_form("/_once/logout", &[], &[]).await.status, 200);
}

/// Signs in at `gate` with a link of `owner`.
async fn sign_in(fleet: &Fleet, owner: usize, gate: usize) -> String {
    let link = fleet.gate(owner).link(json!({})).await;
    cookie_of(&fleet.gate(gate).open(&link).await)
}

#[tokio::test]
async fn a_link_taken_back_at_one_gate_is_refused_at_all() {
    let fleet = Fleet::start().await;
    for owner in [A, B, C] {
        for asked in [A, B, C] {
            let link = fleet.gate(owner).link(json!({})).await;
            let path = format!("/v1/links/{}", link.id);
            assert_eq!(fleet.gate(asked).api().delete(&path).await.status, 204);
            for gate in [A, B, C] {
                assert_eq!(refusal(fleet.gate(gate), &link).await, "revoked");
            }
        }
    }
    fleet.stop().await;
}

#[tokio::test]
async fn a_session_is_good_at_every_gate_and_ends_at_all() {
    let fleet = Fleet::start().await;
    for (owner, begun, ended) in [(A, A, B), (A, B, C), (B, C, A)] {
        let cookie = sign_in(&fleet, owner, begun).await;
        for gate in [A, B, C] {
            assert!(signed_in(fleet.gate(gate), &cookie).await, "{owner} {begun} {gate}");
        }
        log_out(fleet.gate(ended), &cookie).await;
        for gate in [A, B, C] {
            assert!(!signed_in(fleet.gate(gate), &cookie).await, "{owner} {begun} {gate}");
        }
    }
    fleet.stop().await;
}

#[tokio::test]
async fn a_user_taken_back_at_one_gate_is_at_all_with_links_and_sessions() {
    let fleet = Fleet::start().await;
    let cookie = sign_in(&fleet, A, B).await;
    let link = fleet.gate(B).link(json!({})).await;
    revoke_user(fleet.gate(C), "joe").await;
    for gate in [A, B, C] {
        assert!(!signed_in(fleet.gate(gate), &cookie).await);
        assert_eq!(refusal(fleet.gate(gate), &link).await, "revoked");
    }
    fleet.wait(1);
    let link = fleet.gate(A).link(json!({})).await;
    assert_eq!(fleet.gate(B).open(&link).await.status, 303, "what is issued after it is good");
    fleet.stop().await;
}

#[tokio::test]
async fn what_a_gate_with_a_clock_ahead_has_issued_is_taken_back_too() {
    let fleet = Fleet::start().await;
    fleet.gate(B).wait(3);
    let link = fleet.gate(B).link(json!({})).await;
    revoke_user(fleet.gate(A), "joe").await;
    for gate in [A, B, C] {
        assert_eq!(refusal(fleet.gate(gate), &link).await, "revoked");
    }
    fleet.wait(4);
    let link = fleet.gate(A).link(json!({})).await;
    assert_eq!(fleet.gate(C).open(&link).await.status, 303, "that is over");
    fleet.stop().await;
}

#[tokio::test]
async fn sessions_of_a_memory_that_was_just_begun_are_good_at_every_gate() {
    let fleet = Fleet::start().await;
    // By a clock gone back the owner begins a new memory, at the next link.
    let old = fleet.gate(A).link(json!({})).await;
    assert_eq!(fleet.gate(A).open(&old).await.status, 303);
    fleet.wait(600);
    fleet.gate(A).running.as_ref().unwrap().gate.store.tick(fleet.gate(A).clock.now());
    fleet.gate(A).clock.set(fleet.gate(A).clock.now() - 590);
    fleet.gate(B).clock.set(fleet.gate(A).clock.now());
    fleet.gate(C).clock.set(fleet.gate(A).clock.now());
    // While somebody else begins it, there is none to issue with.
    until("there is a new memory", || async {
        fleet.gate(A).api().post_json("/v1/links", &json!({ "user": "joe" })).await.status == 201
    })
    .await;
    let link = fleet.gate(A).link(json!({})).await;
    let (old, new) = (fleet.gate(A).claims_of(&old.token), fleet.gate(A).claims_of(&link.token));
    assert_ne!(old.mem, new.mem);
    let cookie = cookie_of(&fleet.gate(B).open(&link).await);
    for gate in [A, B, C] {
        assert!(signed_in(fleet.gate(gate), &cookie).await, "{gate}");
    }
    fleet.stop().await;
}

#[tokio::test]
async fn a_gate_that_was_away_knows_before_it_answers() {
    let mut fleet = Fleet::start().await;
    let cookie = sign_in(&fleet, A, B).await;
    let link = fleet.gate(A).link(json!({})).await;
    assert!(signed_in(fleet.gate(C), &cookie).await);
    fleet.down(C).await;
    log_out(fleet.gate(A), &cookie).await;
    assert_eq!(fleet.gate(B).api().delete(&format!("/v1/links/{}", link.id)).await.status, 204);
    fleet.up(C).await;
    assert!(!signed_in(fleet.gate(C), &cookie).await);
    assert_eq!(refusal(fleet.gate(C), &link).await, "revoked");
    fleet.stop().await;
}

#[tokio::test]
async fn a_gate_that_was_cut_off_hears_when_it_is_reached_again() {
    let mut fleet = Fleet::start().await;
    let cookie = sign_in(&fleet, A, C).await;
    // Both that know of it are gone before the third is back.
    fleet.down(C).await;
    log_out(fleet.gate(A), &cookie).await;
    fleet.down(A).await;
    fleet.down(B).await;
    fleet.up(C).await;
    assert!(signed_in(fleet.gate(C), &cookie).await, "nobody told it");
    fleet.up(B).await;
    let fleet = &fleet;
    until("the end of the session is heard of", || async {
        !signed_in(fleet.gate(C), &cookie).await
    })
    .await;
}

#[tokio::test]
async fn a_gate_that_lost_its_state_gets_everything_back() {
    let mut fleet = Fleet::start().await;
    let [ended, kept] = [sign_in(&fleet, C, A).await, sign_in(&fleet, C, C).await];
    let link = fleet.gate(A).link(json!({})).await;
    log_out(fleet.gate(C), &ended).await;
    assert_eq!(fleet.gate(C).api().delete(&format!("/v1/links/{}", link.id)).await.status, 204);
    fleet.down(C).await;
    fleet.lose_state(C);
    fleet.up(C).await;
    assert!(!signed_in(fleet.gate(C), &ended).await);
    assert_eq!(refusal(fleet.gate(C), &link).await, "revoked");
    // The sessions of its lost memory are good still: what ended of them is known.
    for gate in [A, B, C] {
        assert!(signed_in(fleet.gate(gate), &kept).await, "{gate}");
    }
    // And so are those of the new one, at once.
    let new = sign_in(&fleet, C, C).await;
    for gate in [A, B, C] {
        assert!(signed_in(fleet.gate(gate), &new).await, "{gate}");
    }
    fleet.stop().await;
}

#[tokio::test]
async fn gates_that_restart_keep_the_sessions_of_all() {
    let mut fleet = Fleet::start().await;
    let cookies =
        [sign_in(&fleet, A, B).await, sign_in(&fleet, B, C).await, sign_in(&fleet, C, A).await];
    let ended = sign_in(&fleet, A, A).await;
    log_out(fleet.gate(B), &ended).await;
    // Alone, so that it has only what it kept itself.
    fleet.down(A).await;
    fleet.down(B).await;
    fleet.restart(C).await;
    for cookie in &cookies {
        assert!(signed_in(fleet.gate(C), cookie).await);
    }
    assert!(!signed_in(fleet.gate(C), &ended).await);
    fleet.up(A).await;
    for cookie in &cookies {
        assert!(signed_in(fleet.gate(A), cookie).await);
    }
    assert!(!signed_in(fleet.gate(A), &ended).await);
    fleet.stop().await;
}

#[tokio::test]
async fn gates_in_memory_alone_remember_for_each_other() {
    let mut fleet =
        Fleet::with(|_, text| text.replacen("[once]", "[once]\nstore = \"memory\"", 1)).await;
    let [ended, kept] = [sign_in(&fleet, A, A).await, sign_in(&fleet, A, B).await];
    log_out(fleet.gate(A), &ended).await;
    fleet.restart(A).await;
    for gate in [A, B, C] {
        assert!(signed_in(fleet.gate(gate), &kept).await, "{gate}");
        assert!(!signed_in(fleet.gate(gate), &ended).await, "{gate}");
    }
    fleet.stop().await;
}
