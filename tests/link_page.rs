//! The page that a link opens: what it asks, what it carries along, and that looking at it
//! costs nothing.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use serde_json::json;
use support::{
    gate::{Gate, Link, PANEL},
    link_page::{next, submit, submits_itself},
};

async fn assert_unspent(gate: &Gate, link: &Link) {
    assert_eq!(gate.remembered(), 0);
    assert_eq!(gate.open(link).await.status, 303, "the link should be unspent");
}

#[tokio::test]
async fn looking_at_a_link_never_spends_it() {
    let gate = Gate::start().await;
    let link = gate.link(json!({})).await;
    let asked = format!("/a?_once={}", link.token);
    for client in [gate.browser(), gate.public()] {
        for _ in 0..2 {
            for (method, target, status) in [
                ("GET", &link.path, 200),
                ("HEAD", &link.path, 200),
                ("OPTIONS", &link.path, 204),
                ("GET", &asked, 200),
                ("HEAD", &asked, 200),
            ] {
                let answer = client.request(method, target, &[], b"").await;
                assert_eq!(answer.status, status, "{method} {target}");
                assert!(answer.header_lines("set-cookie").is_empty(), "{method}");
                assert_eq!(answer.header("cache-control"), Some("no-store"), "{method}");
            }
        }
    }
    assert_unspent(&gate, &link).await;
    assert_eq!(gate.upstream.seen().len(), 0);
    gate.stop().await;
}

#[tokio::test]
async fn other_methods_on_a_link_are_refused_and_spend_nothing() {
    let gate = Gate::start().await;
    let link = gate.link(json!({})).await;
    for method in ["PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"] {
        let answer = gate.public().request(method, &link.path, &[], b"").await;
        assert_eq!((answer.status, answer.code().as_str()), (405, "method_not_allowed"));
        assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS, POST"));
    }
    assert_unspent(&gate, &link).await;
    gate.stop().await;
}

#[tokio::test]
async fn auto_submits_itself_and_confirm_names_the_user_and_waits() {
    let gate = Gate::start().await;
    let auto = gate.link(json!({ "user": "josephine" })).await;
    let page = gate.browser().get(&auto.path).await;
    assert!(submits_itself(&page) && page.text().contains("Logging in"), "{}", page.text());
    assert!(page.text().contains("<button type=\"submit\">Continue</button>"));
    assert!(page.text().contains(PANEL) && !page.text().contains("josephine"));
    let confirm = gate.link(json!({ "user": "josephine", "page": "confirm" })).await;
    let page = gate.browser().get(&confirm.path).await;
    assert!(!submits_itself(&page) && page.text().contains("<bdi>josephine</bdi>"));
    assert_eq!(submit(&gate.browser(), &page).await.status, 303);
    gate.stop().await;
}

#[tokio::test]
async fn what_the_page_does_is_said_by_the_link_then_its_caller_then_the_gate() {
    let change = |text: String| text.replace("[links]", "[links]\npage = \"confirm\"");
    let gate = Gate::with(change).await;
    let page = gate.browser().get(&gate.link(json!({})).await.path).await;
    assert!(!submits_itself(&page));
    let page = gate.browser().get(&gate.link(json!({ "page": "auto" })).await.path).await;
    assert!(submits_itself(&page));
    gate.stop().await;
    let gate =
        Gate::with(|text| change(text).replace("rate = \"1000/s\"", "page = \"auto\"")).await;
    let page = gate.browser().get(&gate.link(json!({})).await.path).await;
    assert!(submits_itself(&page));
    gate.stop().await;
}

#[tokio::test]
async fn somebody_else_is_always_asked_and_both_are_named() {
    let gate = Gate::start().await;
    let cookie = gate.sign_in().await; // as joe
    for page in ["auto", "confirm", "none"] {
        let link = gate.link(json!({ "user": "ann", "page": page })).await;
        let before = gate.remembered();
        for target in [link.path.clone(), format!("/a?_once={}", link.token)] {
            let asked = gate.browser().get_with(&target, &[("cookie", &cookie)]).await;
            assert_eq!(asked.status, 200, "{page}");
            assert!(!submits_itself(&asked), "{page}");
            for text in [
                "Stay signed in as <bdi>joe</bdi>",
                "Sign in as <bdi>ann</bdi>",
                "href=\"https://panel.example.com/\"",
            ] {
                assert!(asked.text().contains(text), "{text}: {}", asked.text());
            }
        }
        assert_eq!(gate.remembered(), before, "{page}");
        let answer = gate.browser().post_form(&link.path, &[], &[("cookie", &cookie)]).await;
        assert_eq!(answer.status, 303);
    }
    // The same user is not asked.
    let link = gate.link(json!({ "user": "joe" })).await;
    let page = gate.browser().get_with(&link.path, &[("cookie", &cookie)]).await;
    assert!(submits_itself(&page));
    gate.stop().await;
}

#[tokio::test]
async fn the_page_asked_for_comes_along_byte_for_byte() {
    let gate = Gate::start().await;
    let cases = [
        ("/clientarea?_once=T", "/clientarea"),
        ("/?_once=T", "/"),
        ("/a?a=1&_once=T&b=%20x+y&&c", "/a?a=1&b=%20x+y&&c"),
        ("/a?_once=T&b='%22%3Cb%3E&b=2", "/a?b='%22%3Cb%3E&b=2"),
        ("/a%20b/c;d=1?x&%5Fonce=T", "/a%20b/c;d=1?x"),
        ("/a?%5fonc%65=T&_oncE=1&once=2&_once2=3", "/a?_oncE=1&once=2&_once2=3"),
        ("/a/?q=https://evil.example/&_once=T", "/a/?q=https://evil.example/"),
    ];
    for (target, expected) in cases {
        let link = gate.link(json!({})).await;
        let page = gate.browser().get(&target.replace("=T", &format!("={}", link.token))).await;
        assert_eq!(page.status, 200, "{target}: {}", page.text());
        assert_eq!(next(&page).as_deref(), Some(expected), "{target}");
        let answer = submit(&gate.browser(), &page).await;
        let location = format!("https://{PANEL}{expected}");
        assert_eq!(answer.header("location"), Some(location.as_str()), "{target}");
    }
    assert_eq!(gate.upstream.seen().len(), 0);
    gate.stop().await;
}

#[tokio::test]
async fn a_destination_in_the_token_wins_over_the_page_asked_for() {
    let gate = Gate::start().await;
    let link = gate.link(json!({ "destination": "/own" })).await;
    let page = gate.browser().get(&format!("/asked?_once={}", link.token)).await;
    let answer = submit(&gate.browser(), &page).await;
    assert_eq!(answer.header("location"), Some("https://panel.example.com/own"));
    gate.stop().await;
}

#[tokio::test]
async fn a_page_asked_for_that_leads_elsewhere_is_not_carried_along() {
    let gate = Gate::start().await;
    let cases = [
        "//evil.example/?_once=T",
        "//evil.example?_once=T",
        "/%2fevil.example/?_once=T",
        "/%5cevil.example/?_once=T",
        "/.//evil.example/?_once=T",
        "/a/..//evil.example?_once=T",
        "/%09/evil.example?_once=T",
        "/..;//evil.example?_once=T",
        "/%0d%0aSet-Cookie:%20a=b?_once=T",
        "/_once/logout?_once=T",
        "/a?b;_once=x&_once=T",
        "/a?%255Fonce=x&_once=T",
    ];
    for target in cases {
        let link = gate.link(json!({})).await;
        let page = gate.browser().get(&target.replace("=T", &format!("={}", link.token))).await;
        assert_eq!((page.status, next(&page)), (200, None), "{target}");
        assert!(!page.text().contains("evil"), "{target}");
        let answer = submit(&gate.browser(), &page).await;
        assert_eq!(answer.header("location"), Some("https://panel.example.com/"), "{target}");
    }
    assert_eq!(gate.upstream.seen().len(), 0);
    gate.stop().await;
}

#[tokio::test]
async fn a_url_with_a_token_is_never_proxied_whatever_is_wrong_with_it() {
    let gate = Gate::start().await;
    let cookie = gate.sign_in().await;
    let link = gate.link(json!({})).await;
    let (spent, token) = (gate.remembered(), &link.token);
    let twice = [
        format!("/a?_once={token}&_once={token}"),
        format!("/a?_once={token}&x=1&%5Fonce={token}"),
        format!("/assets/a?_once=&_once={token}"),
        "/a?_once&_once".to_owned(),
    ];
    for client in [gate.public(), gate.public().header("cookie", &cookie)] {
        for target in &twice {
            let answer = client.get(target).await;
            assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_request"));
        }
        let one = format!("/assets/a?_once={token}");
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE"] {
            let answer = client.request(method, &one, &[], b"").await;
            assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_request"));
        }
        for target in ["/assets/a?_once=", "/assets/a?_once", "/assets/a?%5Fonce=abc&b"] {
            let answer = client.get(target).await;
            assert_eq!((answer.status, answer.code().as_str()), (400, "malformed"), "{target}");
        }
    }
    assert_eq!((gate.upstream.seen().len(), gate.remembered()), (0, spent));
    assert_eq!(gate.open(&link).await.status, 303);
    gate.stop().await;
}

#[tokio::test]
async fn markup_in_a_user_stays_text_on_every_page_that_names_one() {
    let gate = Gate::start().await;
    let markup = "</title><script>alert(1)</script>\"'><img src=x onerror=alert(1)>";
    let link = gate.link(json!({ "user": markup, "page": "confirm" })).await;
    let cookie = support::gate::cookie_of(&gate.open(&link).await);
    let other = gate.link(json!({ "user": "<b>ann</b>" })).await;
    let mine = gate.link(json!({ "user": markup, "page": "confirm" })).await;
    let with = [("cookie", cookie.as_str())];
    let pages = [
        gate.browser().get(&mine.path).await,
        gate.browser().get_with(&other.path, &with).await,
        gate.browser().get_with("/_once/logout", &with).await,
    ];
    for page in pages {
        assert_eq!(page.status, 200);
        assert!(page.text().contains("&#60;script&#62;alert(1)"), "{}", page.text());
        for bad in ["<script>", "<img", "<b>", "alert(1)</script>"] {
            assert!(!page.text().contains(bad), "{bad}: {}", page.text());
        }
    }
    gate.stop().await;
}
