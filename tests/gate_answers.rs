//! What every answer of the gate's own carries: no caching, no referrer, no frames, no index;
//! a page for people, a problem for programs.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use std::collections::HashSet;

use serde_json::json;
use support::{
    gate::{Gate, Link, cookie_of},
    http::Answer,
};

/// The nonce of a page, which is all that its style and script carry.
fn nonce(page: &Answer) -> String {
    let policy = page.header("content-security-policy").unwrap();
    let (_, rest) = policy.split_once("style-src 'nonce-").unwrap();
    let nonce = rest.split('\'').next().unwrap();
    for tag in ["<style", "<script"] {
        let all = page.text().matches(tag).count();
        let ours = format!("{tag} nonce=\"{nonce}\">");
        assert_eq!(page.text().matches(&ours).count(), all, "{}", page.text());
    }
    assert!(nonce.len() >= 22, "{nonce}");
    nonce.to_owned()
}

fn assert_policy(page: &Answer, form_action: &str) {
    let nonce = nonce(page);
    let expected = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; \
         img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action {form_action}"
    );
    assert_eq!(page.header("content-security-policy"), Some(expected.as_str()));
    assert_eq!(page.header("x-frame-options"), Some("DENY"));
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
}

struct Links {
    good: Link,
    used: Link,
    cookie: String,
}

async fn links(gate: &Gate) -> Links {
    let used = gate.link(json!({})).await;
    let cookie = cookie_of(&gate.open(&used).await);
    Links { good: gate.link(json!({})).await, used, cookie }
}

/// Method, target, headers, status of the answer; 0: one of several.
type Asked<'a> = (&'a str, String, Vec<(&'a str, &'a str)>, u16);

/// Requests that the gate itself answers.
fn requests(links: &Links) -> Vec<Asked<'_>> {
    let (good, used) = (&links.good, &links.used);
    let cookie = ("cookie", links.cookie.as_str());
    vec![
        ("GET", good.path.clone(), vec![], 200),
        ("HEAD", good.path.clone(), vec![], 200),
        ("OPTIONS", good.path.clone(), vec![], 204),
        ("PUT", good.path.clone(), vec![], 405),
        ("GET", format!("/a?_once={}", good.token), vec![], 200),
        ("POST", format!("/a?_once={}", good.token), vec![], 400),
        ("GET", used.path.clone(), vec![], 410),
        ("GET", used.path.clone(), vec![cookie], 303),
        ("POST", used.path.clone(), vec![], 410),
        ("POST", good.path.clone(), vec![("origin", "null")], 403),
        ("POST", good.path.clone(), vec![("early-data", "1")], 425),
        ("GET", "/_once/l/x".to_owned(), vec![], 400),
        ("GET", "/_once/x".to_owned(), vec![], 404),
        ("GET", "/_once/session".to_owned(), vec![], 401),
        ("GET", "/_once/session".to_owned(), vec![cookie], 200),
        ("GET", "/_once/logout".to_owned(), vec![], 200),
        ("GET", "/_once/logout".to_owned(), vec![cookie], 200),
        ("GET", "/a".to_owned(), vec![], 401),
        ("GET", "/%00".to_owned(), vec![], 400),
        ("POST", "/_once/logout".to_owned(), vec![("origin", "null")], 403),
        ("POST", "/_once/logout".to_owned(), vec![cookie], 0),
        ("POST", good.path.clone(), vec![], 303),
    ]
}

#[tokio::test]
async fn no_answer_is_kept_referred_to_framed_or_indexed() {
    for accept in ["text/html", "*/*"] {
        let gate = Gate::start().await;
        let links = links(&gate).await;
        let mut nonces = HashSet::new();
        for (method, target, mut headers, status) in requests(&links) {
            headers.push(("accept", accept));
            let answer = gate.public().request(method, &target, &headers, b"").await;
            let about = format!("{method} {target} {headers:?}");
            if status != 0 {
                assert_eq!(answer.status, status, "{about}");
            }
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{about}");
            assert_eq!(answer.header("x-robots-tag"), Some("noindex"), "{about}");
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{about}");
            assert!(answer.header("x-request-id").is_some(), "{about}");
            let posts = matches!((method, answer.status), ("GET" | "HEAD", 200))
                && answer.header("content-type").is_some_and(|it| it.starts_with("text/html"));
            let referrer = if posts { "strict-origin" } else { "no-referrer" };
            assert_eq!(answer.header("referrer-policy"), Some(referrer), "{about}");
            if answer.text().starts_with("<!doctype html>") {
                assert_policy(&answer, "'self'");
                assert!(nonces.insert(nonce(&answer)), "a nonce came twice");
            }
        }
        assert!(nonces.len() >= 4);
        gate.stop().await;
    }
}

#[tokio::test]
async fn the_pages_form_may_lead_to_the_destinations_origin() {
    let gate = Gate::start().await;
    let docs = "https://docs.example.com/manual/a;b?c=1;x";
    let link = gate.link(json!({ "destination": docs })).await;
    assert_policy(&gate.browser().get(&link.path).await, "'self' https://docs.example.com");
    let cookie = gate.sign_in().await;
    let other = gate.link(json!({ "user": "ann", "destination": docs })).await;
    let page = gate.browser().get_with(&other.path, &[("cookie", &cookie)]).await;
    assert_policy(&page, "'self' https://docs.example.com");
    for own in ["/a", "https://panel.example.com/a", "https://PANEL.example.com:443/a"] {
        let link = gate.link(json!({ "destination": own })).await;
        assert_policy(&gate.browser().get(&link.path).await, "'self'");
    }
    assert_eq!(gate.open(&link).await.header("location"), Some(docs));
    gate.stop().await;
}

#[tokio::test]
async fn people_get_a_page_and_programs_a_problem() {
    let gate = Gate::start().await;
    let links = links(&gate).await;
    let path = &links.used.path;
    for accept in ["text/html", "application/xhtml+xml, Text/HTML;q=0.9, */*;q=0.8"] {
        let page = gate.public().get_with(path, &[("accept", accept)]).await;
        assert_eq!(page.status, 410);
        for text in [
            "This link was already used",          // what happened
            "Go back to where you got it",         // what to do next
            "href=\"https://panel.example.com/\"", // where to go
            "<code>already_used</code>",           // what to tell the operator
            page.header("x-request-id").unwrap(),
        ] {
            assert!(page.text().contains(text), "{text}: {}", page.text());
        }
        assert!(!page.text().contains(&links.used.token[..20]), "no part of the token");
    }
    for accept in ["*/*", "application/json", "image/webp"] {
        let problem = gate.public().get_with(path, &[("accept", accept)]).await;
        assert_eq!(problem.header("content-type"), Some("application/problem+json"));
        assert_eq!(
            problem.json(),
            json!({
                "type": "urn:oncegate:problem:already_used", "status": 410,
                "title": "This link was already used", "code": "already_used",
            })
        );
    }
    assert_eq!(gate.public().get(path).await.code(), "already_used");
    gate.stop().await;
}

#[tokio::test]
async fn an_error_page_repeats_nothing_that_was_sent() {
    let gate = Gate::start().await;
    let browser = gate.browser();
    for (host, target) in [
        ("panel.example.com", "/_once/l/zzmarkzz"),
        ("panel.example.com", "/_once/zzmarkzz?zzmarkzz"),
        ("panel.example.com", "/zzmarkzz"),
        ("panel.example.com", "/a?_once=zzmarkzz"),
        ("zzmarkzz.example", "/"),
    ] {
        let page = browser.clone().host(host).get(target).await;
        assert!(page.status >= 400 && page.text().starts_with("<!doctype"), "{target}");
        assert!(!page.text().contains("zzmarkzz"), "{target}");
        assert!(page.headers.iter().all(|(_, value)| !value.contains("zzmarkzz")), "{target}");
    }
    gate.stop().await;
}
