//! Keys that change while the gate runs: nobody who has a link or a session notices.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails where it stands")]

mod support;

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use oncegate::{
    ops::entropy,
    store::keys::{self, Lifetimes},
};
use serde_json::{Value, json};
use support::{
    gate::{Gate, NOW},
    upstream::header,
};

fn dir(gate: &Gate) -> PathBuf {
    gate.dir.path().join("keys")
}

fn take_up(gate: &Gate) {
    gate.running.as_ref().unwrap().take_up_keys();
}

/// Rotates, and gives the `kid` that signs now and the one that did.
fn rotate(gate: &Gate) -> (String, String) {
    let rotated = keys::rotate(&dir(gate), gate.clock.now(), entropy::random, true).unwrap();
    assert!(rotated.session, "the session key is rotated too");
    take_up(gate);
    let signing = rotated.signing.unwrap();
    (signing.current, signing.previous)
}

fn kid(token: &str) -> String {
    let head = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    let head: Value = serde_json::from_slice(&head).unwrap();
    head["kid"].as_str().unwrap().to_owned()
}

async fn published(gate: &Gate) -> Vec<String> {
    let jwks = gate.public().get("/.well-known/jwks.json").await.json();
    let keys = jwks["keys"].as_array().unwrap();
    keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn links_signed_before_a_rotation_are_good_after_it() {
    let gate = Gate::start().await;
    let before = published(&gate).await;
    let old = [gate.link(json!({})).await, gate.link(json!({})).await];
    let (current, previous) = rotate(&gate);
    assert_eq!(kid(&old[0].token), previous);
    assert!(before.contains(&current), "it was published before it signed");

    let new = gate.link(json!({})).await;
    assert_eq!(kid(&new.token), current);
    assert_eq!(gate.redeem(&old[0].token).await.status, 200);
    assert_eq!(gate.open(&old[1]).await.status, 303);
    assert_eq!(gate.open(&new).await.status, 303);
    assert_eq!(gate.redeem(&old[0].token).await.code(), "already_used", "one use for all keys");

    let after = published(&gate).await;
    assert_eq!(after.len(), before.len() + 1, "the next of the next");
    assert!(before.iter().all(|kid| after.contains(kid)), "{before:?} {after:?}");
}

#[tokio::test]
async fn sessions_outlive_rotations_and_their_assertions_have_the_new_key() {
    let gate = Gate::start().await;
    let cookie = gate.sign_in().await;
    let assertion = async || {
        let answer = gate.public().get_with("/", &[("cookie", &cookie)]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        header(&answer.json(), "x-oncegate-assertion")[0].to_owned()
    };
    let first = assertion().await;
    for _ in 0..2 {
        let (current, previous) = rotate(&gate);
        let next = assertion().await;
        assert_eq!(kid(&next), current, "at once, not when the cached one is old");
        assert_ne!(kid(&first), current);
        assert!(published(&gate).await.contains(&previous));
    }
    let new = gate.sign_in().await;
    assert_eq!(gate.public().get_with("/", &[("cookie", &new)]).await.status, 200);
}

#[tokio::test]
async fn keys_that_cannot_be_read_leave_the_old_ones_in_place() {
    let gate = Gate::start().await;
    let cookie = gate.sign_in().await;
    let link = gate.link(json!({})).await;
    let before = published(&gate).await;
    let path = |name: &str| dir(&gate).join(name);
    let (current, session) = (path("current.pem"), path("session.key"));
    let (good, sealed) = (fs::read(&current).unwrap(), fs::read(&session).unwrap());
    let damages: [&dyn Fn(); 5] = [
        &|| fs::write(&current, "-----BEGIN PRIVATE KEY-----\ngarbage\n").unwrap(),
        &|| fs::write(&current, "").unwrap(),
        &|| fs::remove_file(&current).unwrap(),
        &|| fs::write(&session, &sealed[..sealed.len() / 2]).unwrap(),
        &|| fs::set_permissions(&current, fs::Permissions::from_mode(0o604)).unwrap(),
    ];
    for (number, damage) in damages.iter().enumerate() {
        damage();
        take_up(&gate);
        assert_eq!(published(&gate).await, before, "{number}");
        assert_eq!(kid(&gate.link(json!({})).await.token), kid(&link.token), "{number}");
        let page = gate.public().get_with("/", &[("cookie", &cookie)]).await;
        assert_eq!(page.status, 200, "{number}");
        fs::write(&current, &good).unwrap();
        fs::write(&session, &sealed).unwrap();
        fs::set_permissions(&current, fs::Permissions::from_mode(0o600)).unwrap();
    }
    assert_eq!(gate.open(&link).await.status, 303);
    let (now_current, _) = rotate(&gate);
    let new = gate.link(json!({})).await;
    assert_eq!(kid(&new.token), now_current, "mended keys are taken up");
}

#[tokio::test]
async fn a_retired_key_opens_nothing_any_more() {
    let gate = Gate::start().await;
    let cookie = gate.sign_in().await;
    let link = gate.link(json!({})).await;
    let (current, previous) = rotate(&gate);
    // Not before the last thing it signed or sealed can no longer be valid …
    let lifetimes = Lifetimes { link: 900, session: 8 * 3_600 };
    let retired = keys::retire(&dir(&gate), NOW, lifetimes, false).unwrap();
    assert!(retired.removed.is_empty() && !retired.kept.is_empty());
    take_up(&gate);
    assert_eq!(gate.public().get_with("/", &[("cookie", &cookie)]).await.status, 200);
    // … unless it is known to somebody else.
    keys::retire(&dir(&gate), NOW, lifetimes, true).unwrap();
    take_up(&gate);
    let refused = gate.redeem(&link.token).await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "unknown_key"));
    assert_eq!(gate.public().get_with("/", &[("cookie", &cookie)]).await.status, 401);
    let published = published(&gate).await;
    assert!(published.contains(&current) && !published.contains(&previous));
}

#[tokio::test]
async fn a_restarted_gate_has_the_keys_of_before() {
    let gate = Gate::start().await;
    let cookie = gate.sign_in().await;
    let link = gate.link(json!({})).await;
    rotate(&gate);
    let gate = gate.restart().await;
    assert_eq!(gate.public().get_with("/", &[("cookie", &cookie)]).await.status, 200);
    assert_eq!(gate.open(&link).await.status, 303);
}
