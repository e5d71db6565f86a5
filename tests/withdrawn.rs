//! What is taken out of the configuration or the key directory takes its links with it, at once.
//! The real binary, which is told of nothing but its files.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use std::{fs, path::PathBuf};

use oncegate::{ops::clock::Clock, ops::entropy, store::keys};
use serde_json::json;
use support::{
    gate::{BILLING, Link, NARROW, PANEL, key_hash},
    http::Client,
    process::{At, Home, PATIENCE},
};

/// The caller `narrow` may redeem, whoever asked.
async fn home() -> Home {
    Home::new(|text| text.replace("users = [\"test-*\"]", "may = [\"redeem\"]")).await
}

/// How `narrow` fares with this link, and a browser.
async fn refusals(at: At, link: &Link) -> [String; 2] {
    let narrow = Client::new(at.api).bearer(NARROW);
    let redeemed = narrow.post_json("/v1/redeem", &json!({ "token": link.token })).await;
    [redeemed.code(), at.open(link).await.code()]
}

#[tokio::test]
async fn a_caller_that_is_taken_out_takes_its_links_and_its_key_with_it() {
    let home = home().await;
    let (first, at) = home.start().await;
    let link = at.link().await;
    home.reconfigure(|text| {
        let (before, rest) = text.split_once("[[callers]]").unwrap();
        let (_, after) = rest.split_once("[[callers]]").unwrap();
        format!("{before}[[callers]]{after}")
    });
    first.terminate();
    assert_eq!(first.ended().await.0, Some(0));
    let (second, at) = home.start().await;
    assert_eq!(refusals(at, &link).await, ["revoked", "revoked"]);
    let answer = at.client().post_json("/v1/links", &json!({ "user": "joe" })).await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "unauthorized"));
    second.kill();
}

#[tokio::test]
async fn a_site_that_a_caller_may_not_open_any_more_takes_its_links_with_it() {
    let home = home().await;
    let (first, at) = home.start().await;
    let link = at.link().await;
    home.reconfigure(|text| text.replacen("sites = [\"panel\"]", "sites = [\"shop\"]", 1));
    first.terminate();
    assert_eq!(first.ended().await.0, Some(0));
    let (second, at) = home.start().await;
    assert_eq!(refusals(at, &link).await, ["revoked", "revoked"]);
    second.kill();
}

#[tokio::test]
async fn an_api_key_that_is_taken_out_opens_nothing_and_its_callers_links_stay() {
    const OTHER: &str = "og_another-key-of-the-tests";
    let home = home().await;
    let (first, at) = home.start().await;
    let link = at.link().await;
    home.reconfigure(|text| text.replace(&key_hash(BILLING), &key_hash(OTHER)));
    first.terminate();
    assert_eq!(first.ended().await.0, Some(0));
    let (second, at) = home.start().await;
    let ask = json!({ "user": "joe" });
    assert_eq!(at.client().post_json("/v1/links", &ask).await.code(), "unauthorized");
    let other = Client::new(at.api).bearer(OTHER);
    assert_eq!(other.post_json("/v1/links", &ask).await.status, 201);
    // A token says which caller asked for it, not by which of its keys.
    assert_eq!(at.open(&link).await.status, 303);
    second.kill();
}

#[tokio::test]
async fn a_signing_key_whose_file_is_removed_takes_its_links_with_it_while_the_gate_runs() {
    let home = home().await;
    let (process, at) = home.start().await;
    let links = [at.link().await, at.link().await];
    let dir = home.dir.path().join("keys");
    let now = Clock::default().now();
    let old = keys::rotate(&dir, now, entropy::random, true).unwrap().signing.unwrap().previous;
    until_published(at, &old, true).await;
    assert_eq!(at.open(&links[0]).await.status, 303, "rotation alone costs nothing");
    let files: Vec<PathBuf> = fs::read_dir(&dir).unwrap().map(|e| e.unwrap().path()).collect();
    let is_previous =
        |path: &&PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("previous-");
    let previous: Vec<_> = files.iter().filter(is_previous).collect();
    assert_eq!(previous.len(), 1, "{files:?}");
    fs::remove_file(previous[0]).unwrap();
    until_published(at, &old, false).await;
    assert_eq!(refusals(at, &links[1]).await, ["unknown_key", "unknown_key"]);
    let new = at.link().await;
    assert_eq!(at.open(&new).await.status, 303);
    process.kill();
}

/// Waits until the public keys do, or do not, have this one, and one to follow it.
async fn until_published(at: At, kid: &str, published: bool) {
    let changed = async {
        loop {
            let keys = Client::new(at.public).host(PANEL).get("/.well-known/jwks.json").await;
            let all = keys.json()["keys"].as_array().unwrap().len();
            let found = keys.text().contains(kid);
            // With the old one: that, the current and the next.
            if found == published && all == 2 + usize::from(published) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, changed).await.expect("the keys are taken up");
}
