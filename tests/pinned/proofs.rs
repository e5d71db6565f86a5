//! Who is no peer learns nothing at the paths of peers, and has nothing recorded.

use std::net::SocketAddr;

use oncegate::{
    gate::{
        peer::{self, Answer, Nonce, Outcome, PeerKeys, Question, Route, Spending},
        secret::Secret,
        session::SessionKeys,
    },
    ops::entropy,
    store::keys,
};
use serde_json::json;

use crate::{
    fleet::{A, B, C, Fleet, NAMES, post, refusal, share_keys},
    support::{
        gate::{Gate, Link, PANEL},
        http::{self, Client},
    },
};

/// A question on its way, as it may be caught.
#[derive(Clone)]
struct Caught {
    path: &'static str,
    proof: String,
    body: Vec<u8>,
    /// Whose answer would do.
    proven: peer::Proven,
}

fn keys_of(gate: &Gate) -> PeerKeys {
    PeerKeys::of(&keys::load(&gate.dir.path().join("keys")).unwrap().1)
}

/// What gate B would ask of gate A to spend this link.
fn spend(fleet: &Fleet, link: &Link) -> Caught {
    let claims = fleet.gate(A).claims_of(&link.token);
    let nonce = Nonce::from_bytes(entropy::random());
    let spending = Spending { jti: claims.jti, mem: claims.mem, exp: claims.exp, nonce };
    ask(&keys_of(fleet.gate(B)), NAMES[B], NAMES[A], &Question::Spend(spending))
}

fn ask(keys: &PeerKeys, from: &str, to: &str, question: &Question) -> Caught {
    let (path, body) = (question.path(), question.written());
    let (proof, proven) = keys.ask(&Route { asker: from, asked: to, path }, &body);
    Caught { path, proof, body, proven }
}

async fn send(at: SocketAddr, caught: &Caught) -> http::Answer {
    let headers = [("oncegate-peer", caught.proof.as_str())];
    Client::new(at).request("POST", caught.path, &headers, &caught.body).await
}

fn outcome(caught: &Caught, answer: &http::Answer) -> Outcome {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let route = Route { asker: NAMES[B], asked: NAMES[A], path: caught.path };
    let proof = answer.header("oncegate-peer").unwrap();
    assert!(caught.proven.is_answered_by(&route, proof, &answer.body));
    let question = Question::read(caught.path, &caught.body).unwrap();
    let Some(Answer::Spending(outcome)) = Answer::read(&question, &answer.body) else {
        panic!("{}", answer.text())
    };
    outcome
}

/// What a stranger gets: the same as at any path where there is nothing.
async fn refused(fleet: &Fleet, gate: usize, caught: &Caught, what: &str) {
    let at = fleet.addresses[gate];
    let answer = send(at, caught).await;
    let nothing = Client::new(at).host(PANEL).request("POST", "/_once/nothing", &[], b"").await;
    let said = |answer: &http::Answer| {
        let mut headers = answer.headers.clone();
        headers.retain(|(name, _)| name != "x-request-id" && name != "date");
        (answer.status, headers, answer.body.clone())
    };
    assert_eq!(said(&answer), said(&nothing), "{what}");
    assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{what}");
}

#[tokio::test]
async fn a_peers_question_is_answered_under_any_authority() {
    let fleet = Fleet::start().await;
    let link = fleet.gate(A).link(json!({})).await;
    let caught = spend(&fleet, &link);
    assert_eq!(outcome(&caught, &send(fleet.addresses[A], &caught).await), Outcome::Spent);
    assert_eq!(refusal(fleet.gate(A), &link).await, "already_used");
    fleet.stop().await;
}

#[tokio::test]
async fn a_question_caught_and_sent_again_says_no_more_than_the_first_time() {
    let fleet = Fleet::start().await;
    let caught = spend(&fleet, &fleet.gate(A).link(json!({})).await);
    let first = send(fleet.addresses[A], &caught).await;
    let again = send(fleet.addresses[A], &caught).await;
    assert_eq!(outcome(&caught, &first), Outcome::Spent);
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!(fleet.gate(A).remembered(), 1);
    // Of another attempt it is not an answer.
    let other = spend(&fleet, &fleet.gate(A).link(json!({})).await);
    let route = Route { asker: NAMES[B], asked: NAMES[A], path: caught.path };
    let proof = again.header("oncegate-peer").unwrap();
    assert!(!other.proven.is_answered_by(&route, proof, &again.body));
    fleet.stop().await;
}

#[tokio::test]
async fn what_is_not_proven_to_come_from_a_peer_to_this_gate_finds_nothing() {
    let fleet = Fleet::start().await;
    let link = fleet.gate(A).link(json!({})).await;
    let good = spend(&fleet, &link);
    let question = Question::read(good.path, &good.body).unwrap();
    let keys = keys_of(fleet.gate(B));
    let mut other = [7; 32];
    other[0] = 1;
    let others = PeerKeys::of(&SessionKeys::new(Secret::new(other), vec![]).unwrap());
    let with = |proof: String| Caught { proof, ..good.clone() };
    let tag = good.proof.rsplit(' ').next().unwrap().to_owned();
    let changed = String::from_utf8(good.body.clone()).unwrap().replace("\"exp\":1", "\"exp\":2");
    assert_ne!(changed.as_bytes(), good.body);
    let strangers = [
        ("no proof", with(String::new())),
        ("no proof at all", with("1 gate-b gate-a ".to_owned())),
        ("a proof of zeros", with(format!("1 gate-b gate-a {}", "A".repeat(43)))),
        ("a proof of another key", ask(&others, NAMES[B], NAMES[A], &question)),
        ("a proof for another gate", ask(&keys, NAMES[B], NAMES[C], &question)),
        ("one for another gate, renamed", {
            let to_c = ask(&keys, NAMES[B], NAMES[C], &question);
            with(to_c.proof.replace(NAMES[C], NAMES[A]))
        }),
        ("a gate that is no peer", ask(&keys, "gate-x", NAMES[A], &question)),
        ("the gate itself", ask(&keys, NAMES[A], NAMES[A], &question)),
        ("another version", with(good.proof.replacen('1', "2", 1))),
        ("another version's proof", with(format!("2 gate-b gate-a {tag}"))),
        ("a proof of another body", Caught { body: changed.into_bytes(), ..good.clone() }),
        ("a proof of another path", Caught { path: peer::LOOK, ..good.clone() }),
        ("a path that is none", Caught { path: "/_once/peer/", ..good.clone() }),
        ("an answer's proof", {
            let route = Route { asker: NAMES[B], asked: NAMES[A], path: good.path };
            with(good.proven.answer(&route, &good.body))
        }),
    ];
    for (what, caught) in &strangers {
        refused(&fleet, A, caught, what).await;
    }
    // Caught on its way to one gate, and replayed at another.
    refused(&fleet, C, &good, "replayed at another gate").await;
    assert_eq!(fleet.gate(A).remembered(), 0);
    let (at, proof) = (fleet.addresses[A], good.proof.as_str());
    let twice = [("oncegate-peer", proof), ("oncegate-peer", proof)];
    let answer = Client::new(at).request("POST", good.path, &twice, &good.body).await;
    assert_eq!(answer.status, 404, "which of two is meant cannot be told");
    for method in ["GET", "PUT", "OPTIONS", "DELETE"] {
        let headers = [("oncegate-peer", proof)];
        let answer = Client::new(at).request(method, good.path, &headers, &good.body).await;
        assert_eq!(answer.status, 404, "{method}");
    }
    assert_eq!(fleet.gate(A).remembered(), 0);
    assert_eq!(outcome(&good, &send(at, &good).await), Outcome::Spent, "the good one is good");
    fleet.stop().await;
}

#[tokio::test]
async fn a_proven_question_that_does_not_read_one_way_finds_nothing() {
    let fleet = Fleet::start().await;
    let good = spend(&fleet, &fleet.gate(A).link(json!({})).await);
    let text = String::from_utf8(good.body.clone()).unwrap();
    let keys = keys_of(fleet.gate(B));
    let route = Route { asker: NAMES[B], asked: NAMES[A], path: good.path };
    for body in [
        text.replace("\"nonce\"", "\"nonse\""),
        text.replacen('{', "{\"more\":1,", 1),
        format!("[{text}]"),
        format!("{text} {text}"),
        "x".repeat(65_537),
        String::new(),
    ] {
        let (proof, proven) = keys.ask(&route, body.as_bytes());
        let caught = Caught { proof, proven, body: body.into_bytes(), ..good };
        refused(&fleet, A, &caught, "unreadable").await;
    }
    assert_eq!(fleet.gate(A).remembered(), 0);
    fleet.stop().await;
}

#[tokio::test]
async fn a_gate_without_peers_has_nothing_at_their_paths() {
    let gate = Gate::start().await;
    let keys = keys_of(&gate);
    let nonce = Nonce::from_bytes(entropy::random());
    let caught = ask(&keys, "gate-b", "gate-a", &Question::Hear { nonce });
    let answer = send(gate.public_at(), &caught).await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"));
    gate.stop().await;
}

#[tokio::test]
async fn an_address_that_leads_to_another_gate_admits_nobody() {
    let fleet = Fleet::with(|number, text| match number {
        // Where gate B believes A to be is C, which would answer for itself.
        B => text.replace("gate-a = ", "gate-x = ").replace("gate-c = ", "gate-a = "),
        _ => text,
    })
    .await;
    let link = fleet.gate(A).link(json!({})).await;
    let answer = post(fleet.gate(B), &link).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "store_unavailable"));
    assert_eq!(fleet.gate(C).remembered(), 0);
    fleet.stop().await;
}

#[tokio::test]
async fn keys_that_only_one_has_taken_up_are_no_end_of_it() {
    let fleet = Fleet::start().await;
    let dir = |gate: usize| fleet.gate(gate).dir.path().join("keys");
    let take_up = |gate: usize| fleet.gate(gate).running.as_ref().unwrap().take_up_keys();
    for round in 0..3 {
        // Gate A rotates first; its keys reach the others one after the other.
        fleet.wait(3_600);
        let now = fleet.gate(A).clock.now();
        keys::rotate(&dir(A), now, entropy::random, true).unwrap();
        for step in [A, B, C] {
            if step != A {
                share_keys(&dir(A), &dir(step));
            }
            take_up(step);
            for (owner, at) in [(A, B), (B, A), (C, A), (A, C), (B, C)] {
                let link = fleet.gate(owner).link(json!({})).await;
                let answer = post(fleet.gate(at), &link).await;
                assert_eq!(answer.status, 303, "{round} {step} {owner} {at}: {}", answer.text());
            }
        }
    }
    fleet.stop().await;
}

#[tokio::test]
async fn gates_with_keys_of_their_own_admit_nobody_for_each_other() {
    let fleet = Fleet::start().await;
    let dir = fleet.gate(B).dir.path().join("keys");
    let link = fleet.gate(A).link(json!({})).await;
    // The signing keys stay; only the session keys differ.
    for entry in std::fs::read_dir(&dir).unwrap() {
        let file = entry.unwrap().path();
        if file.to_string_lossy().contains("session") {
            let other = tempfile::tempdir().unwrap();
            keys::make(&other.path().join("keys"), 1_763_990_000, entropy::random).unwrap();
            let name = file.file_name().unwrap();
            std::fs::copy(other.path().join("keys").join(name), &file).unwrap();
        }
    }
    fleet.gate(B).running.as_ref().unwrap().take_up_keys();
    let answer = post(fleet.gate(B), &link).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "store_unavailable"));
    assert_eq!(fleet.gate(C).open(&link).await.status, 303);
    fleet.stop().await;
}
