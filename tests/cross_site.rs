//! Who may make a browser spend a link or end a session: the gate's own page, and nobody else's.

mod support;

use serde_json::json;
use support::{
    gate::{Gate, Link},
    http::Client,
};

const OWN: &str = "https://panel.example.com";

/// Headers that the gate's own page, or a client that is no browser, sends.
const FROM_ITSELF: &[&[(&str, &str)]] = &[
    &[],
    &[("sec-fetch-site", "same-origin")],
    &[("sec-fetch-site", "same-origin"), ("origin", OWN)],
    &[("origin", OWN)],
];

/// Headers that no page of the gate's sends.
const FROM_ELSEWHERE: &[&[(&str, &str)]] = &[
    &[("sec-fetch-site", "cross-site")],
    &[("sec-fetch-site", "same-site")],
    &[("sec-fetch-site", "none")],
    &[("sec-fetch-site", "")],
    &[("sec-fetch-site", "Same-Origin")],
    &[("sec-fetch-site", "same-origin, cross-site")],
    &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
    &[("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-origin")],
    &[("sec-fetch-site", "cross-site"), ("origin", OWN)],
    &[("sec-fetch-site", "same-origin"), ("origin", "null")],
    &[("sec-fetch-site", "none"), ("origin", OWN)],
    &[("origin", "null")],
    &[("origin", "")],
    &[("origin", "https://evil.example")],
    &[("origin", "https://shop.example.com")],
    &[("origin", "https://panel.example.com.evil.example")],
    &[("origin", "https://panel.example.com:8443")],
    &[("origin", "http://panel.example.com")],
    &[("origin", "panel.example.com")],
    &[("origin", OWN), ("origin", OWN)],
    &[("origin", OWN), ("origin", "https://evil.example")],
];

async fn assert_unspent(gate: &Gate, link: &Link) {
    assert_eq!(gate.remembered(), 0);
    assert_eq!(gate.open(link).await.status, 303, "the link should be unspent");
}

#[tokio::test]
async fn only_the_gates_own_page_spends() {
    let gate = Gate::start().await;
    assert!(!FROM_ITSELF.is_empty() && !FROM_ELSEWHERE.is_empty());
    let link = gate.link(json!({})).await;
    for headers in FROM_ELSEWHERE {
        let answer = gate.public().post_form(&link.path, &[], headers).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "cross_site"), "{headers:?}");
        assert!(answer.header_lines("set-cookie").is_empty());
    }
    assert_unspent(&gate, &link).await;
    for headers in FROM_ITSELF {
        let link = gate.link(json!({})).await;
        let answer = gate.public().post_form(&link.path, &[], headers).await;
        assert_eq!(answer.status, 303, "{headers:?}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn only_the_gates_own_page_signs_out() {
    let gate = Gate::start().await;
    let cookie = gate.sign_in().await;
    let public = gate.public().header("cookie", &cookie);
    for headers in FROM_ELSEWHERE {
        let answer = public.post_form("/_once/logout", &[], headers).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "cross_site"), "{headers:?}");
        assert!(answer.header_lines("set-cookie").is_empty());
    }
    assert_eq!(public.get("/_once/session").await.status, 200);
    for headers in FROM_ITSELF {
        let public = gate.public().header("cookie", &gate.sign_in().await);
        assert_eq!(public.post_form("/_once/logout", &[], headers).await.status, 204);
        assert_eq!(public.get("/_once/session").await.status, 401, "{headers:?}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn an_attack_is_told_apart_before_the_link_is_looked_at() {
    // Another site's page learns nothing of a link from the answer.
    let gate = Gate::start().await;
    let link = gate.link(json!({})).await;
    assert_eq!(gate.open(&link).await.status, 303);
    let evil = gate.public().header("sec-fetch-site", "cross-site");
    for path in [link.path.as_str(), "/_once/l/nonsense"] {
        assert_eq!(evil.post_form(path, &[], &[]).await.code(), "cross_site");
    }
    gate.stop().await;
}

/// A browser's request with these `Sec-Fetch-…` headers and one more.
fn fetch(gate: &Gate, mode: &str, place: &str, also: Option<(&str, &str)>) -> Client {
    let client = gate
        .public()
        .header("accept", "text/html")
        .header("sec-fetch-site", "cross-site")
        .header("sec-fetch-mode", mode)
        .header("sec-fetch-dest", place);
    also.into_iter().fold(client, |client, (name, value)| client.header(name, value))
}

#[tokio::test]
async fn a_link_without_a_page_is_spent_by_a_person_who_opens_it_and_by_nothing_else() {
    let gate = Gate::start().await;
    let link = gate.link(json!({ "page": "none", "destination": "/a" })).await;
    let (nav, doc) = ("navigate", "document");
    let others = [
        (nav, "iframe", None),
        (nav, "frame", None),
        (nav, "embed", None),
        (nav, "object", None),
        (nav, "fencedframe", None),
        ("no-cors", "image", None),
        ("no-cors", "script", None),
        ("no-cors", "style", None),
        ("no-cors", "empty", None),
        ("cors", "empty", None),
        ("same-origin", "empty", None),
        ("websocket", "websocket", None),
        ("no-cors", doc, None),
        ("", doc, None),
        (nav, "", None),
        (nav, doc, Some(("sec-fetch-mode", "navigate"))), // said twice
        (nav, doc, Some(("sec-fetch-dest", "document"))),
        (nav, doc, Some(("sec-purpose", "prefetch"))),
        (nav, doc, Some(("sec-purpose", "prefetch;prerender"))),
        (nav, doc, Some(("sec-purpose", "prefetch;anonymous-client-ip"))),
        (nav, doc, Some(("purpose", "prefetch"))),
        (nav, doc, Some(("purpose", "Preview"))),
        (nav, doc, Some(("x-purpose", "preview"))),
        (nav, doc, Some(("x-moz", "prefetch"))),
    ];
    for (mode, dest, more) in others {
        let client = fetch(&gate, mode, dest, more);
        for target in [link.path.clone(), format!("/b?_once={}", link.token)] {
            let answer = client.get(&target).await;
            assert_eq!(answer.status, 200, "{mode} {dest} {more:?}");
            assert!(answer.header_lines("set-cookie").is_empty());
            // Nor would the page submit itself for whoever renders it ahead.
            let auto = answer.text().contains("button.click()");
            assert!(!(auto && more.is_some_and(|(name, _)| !name.starts_with("sec-fetch"))));
        }
    }
    for method in ["HEAD", "OPTIONS"] {
        let answer = fetch(&gate, nav, doc, None).request(method, &link.path, &[], b"").await;
        assert!(answer.header_lines("set-cookie").is_empty(), "{method}");
    }
    assert_eq!(gate.remembered(), 0);
    let answer = fetch(&gate, nav, doc, None).get(&link.path).await;
    assert_eq!(answer.header("location"), Some("https://panel.example.com/a"));
    support::gate::cookie_of(&answer);
    assert_eq!(gate.open(&link).await.code(), "", "a page says it");
    assert_eq!(gate.redeem(&link.token).await.code(), "already_used");
    gate.stop().await;
}

#[tokio::test]
async fn a_link_without_a_page_opens_the_page_asked_for_too() {
    let gate = Gate::start().await;
    let link = gate.link(json!({ "page": "none" })).await;
    // A browser from before these headers says nothing; that must do.
    let answer = gate.public().get(&format!("/asked?a=b&_once={}", link.token)).await;
    assert_eq!(answer.status, 303);
    assert_eq!(answer.header("location"), Some("https://panel.example.com/asked?a=b"));
    gate.stop().await;
}

#[tokio::test]
async fn a_link_with_a_page_is_not_spent_by_opening_it() {
    let gate = Gate::start().await;
    for page in ["auto", "confirm"] {
        let link = gate.link(json!({ "page": page })).await;
        let answer = fetch(&gate, "navigate", "document", None).get(&link.path).await;
        assert_eq!((answer.status, gate.remembered()), (200, 0), "{page}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn early_data_never_spends() {
    let gate = Gate::start().await;
    let early = [("early-data", "1")];
    let link = gate.link(json!({ "page": "none" })).await;
    let asked = format!("/?_once={}", link.token);
    let browser = gate.browser();
    for answer in [
        gate.public().post_form(&link.path, &[], &early).await,
        gate.public().get_with(&link.path, &early).await,
        gate.public().get_with(&asked, &early).await,
        gate.public()
            .request("POST", &link.path, &[("early-data", "0"), ("early-data", "1")], b"")
            .await,
    ] {
        assert_eq!((answer.status, answer.code().as_str()), (425, "too_early"));
    }
    assert_eq!(browser.post_form(&link.path, &[], &early).await.status, 425);
    assert_unspent(&gate, &link).await;
    // Looking may come early: it changes nothing.
    let link = gate.link(json!({})).await;
    assert_eq!(browser.get_with(&link.path, &early).await.status, 200);
    gate.stop().await;
}
