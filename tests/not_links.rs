//! What is presented as a link and is none: changed, cut, of another kind, of another memory.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use oncegate::gate::token::Presented;
use serde_json::json;
use support::gate::{Gate, Link};

/// The codes that a POST, a GET and `?_once=` meet.
async fn refusals(gate: &Gate, token: &str) -> [String; 3] {
    let path = format!("/_once/l/{token}");
    let public = gate.public();
    [
        public.post_form(&path, &[], &[]).await.code(),
        public.get(&path).await.code(),
        public.get(&format!("/a?_once={token}")).await.code(),
    ]
}

async fn assert_refused(gate: &Gate, token: &str, code: &str) {
    assert_eq!(refusals(gate, token).await, [code, code, code], "{token}");
}

async fn assert_opens(gate: &Gate, link: &Link) {
    assert_eq!(gate.open(link).await.status, 303);
}

/// The token with another header.
fn with_header(token: &str, header: &serde_json::Value) -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let (_, rest) = token.split_once('.').unwrap();
    format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()))
}

#[tokio::test]
async fn a_changed_token_is_refused_by_name_and_the_genuine_one_still_opens() {
    let gate = Gate::start().await;
    let link = gate.link(json!({})).await;
    let token = &link.token;
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let kid = gate.keyring().current_kid().to_owned();
    let header =
        |alg: &str, kid: &str| json!({ "alg": alg, "typ": "oncegate-link+jwt", "kid": kid });
    let mut flipped = signature.to_owned();
    flipped.replace_range(..1, if signature.starts_with('A') { "B" } else { "A" });
    let cases = [
        ("malformed", String::new()),
        ("malformed", "x".to_owned()),
        ("malformed", "a.b.c".to_owned()),
        ("malformed", format!("{token}{}", "A".repeat(4_096))),
        ("malformed", format!("{token}.")),
        ("malformed", format!("{token}=")),
        ("malformed", format!("{token}/")),
        ("malformed", format!("{token}%20")),
        ("malformed", format!("{token}%0A")),
        ("malformed", format!("{token}A")),
        ("malformed", signed.to_owned()),
        ("malformed", format!("{signed}.")),
        ("malformed", with_header(token, &header("none", &kid))),
        ("malformed", with_header(token, &header("HS256", &kid))),
        ("malformed", with_header(token, &header("EDDSA", &kid))),
        ("unknown_key", with_header(token, &header("EdDSA", "../current.pem"))),
        ("bad_signature", with_header(token, &header("EdDSA", &kid))),
        ("bad_signature", format!("{signed}.{flipped}")),
    ];
    for (code, changed) in cases {
        if *token == changed {
            continue; // the same header, written the same way
        }
        assert_refused(&gate, &changed, code).await;
    }
    assert_eq!(gate.remembered(), 0);
    assert_opens(&gate, &link).await;
    gate.stop().await;
}

#[tokio::test]
async fn a_link_signed_by_another_gates_key_is_refused() {
    let (gate, other) = (Gate::start().await, Gate::start().await);
    let link = other.link(json!({})).await;
    assert_refused(&gate, &link.token, "unknown_key").await;
    assert_opens(&other, &link).await;
    gate.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn an_assertion_for_the_upstream_is_no_link() {
    let gate = Gate::start().await;
    let cookie = gate.sign_in().await;
    let before = gate.remembered();
    gate.browser().get_with("/", &[("cookie", &cookie)]).await;
    let seen = gate.upstream.seen();
    let assertion = support::upstream::header(&seen[0], "x-oncegate-assertion")[0].to_owned();
    assert!(Presented::new(&assertion).is_ok());
    assert_refused(&gate, &assertion, "wrong_type").await;
    assert_eq!(gate.redeem(&assertion).await.code(), "wrong_type");
    assert_eq!(gate.remembered(), before);
    gate.stop().await;
}

#[tokio::test]
async fn a_session_is_no_link_and_a_link_no_session() {
    let gate = Gate::start().await;
    let cookie = gate.sign_in().await;
    let (_, sealed) = cookie.split_once('=').unwrap();
    assert_refused(&gate, sealed, "malformed").await;
    let link = gate.link(json!({})).await;
    let as_cookie = format!("__Host-oncegate={}", link.token);
    let answer = gate.public().get_with("/_once/session", &[("cookie", &as_cookie)]).await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "sign_in_required"));
    gate.stop().await;
}

#[tokio::test]
async fn a_dialects_link_is_not_opened_by_a_native_get() {
    let gate = Gate::start().await;
    let page = Some(oncegate::gate::page::Page::None);
    let link =
        gate.crafted(|claims| (claims.via, claims.page) = (Some("wisecp".to_owned()), page)).await;
    let public = gate.public();
    for target in [link.path.clone(), format!("/a?_once={}", link.token)] {
        let answer = public.get(&target).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "wrong_type"), "{target}");
    }
    assert_eq!(gate.remembered(), 0);
    // The page of its dialect posts it here.
    assert_opens(&gate, &link).await;
    gate.stop().await;
}

#[tokio::test]
async fn with_a_store_in_memory_a_restart_fences_what_was_issued_before() {
    let gate = Gate::with(|text| text.replace("dir = \"state\"", "store = \"memory\"")).await;
    let (used, link) = (gate.link(json!({})).await, gate.link(json!({})).await);
    let expired = gate.link(json!({ "ttl": 1 })).await;
    assert_opens(&gate, &used).await;
    let gate = gate.restart().await;
    for link in [&used, &link] {
        assert_refused(&gate, &link.token, "fenced").await;
    }
    gate.wait(1);
    assert_refused(&gate, &expired.token, "expired").await;
    assert_opens(&gate, &gate.link(json!({})).await).await;
    gate.stop().await;
}

#[tokio::test]
async fn with_a_journal_a_restart_fences_nothing() {
    let gate = Gate::start().await;
    let (used, link) = (gate.link(json!({})).await, gate.link(json!({})).await);
    assert_opens(&gate, &used).await;
    let gate = gate.restart().await;
    assert_refused(&gate, &used.token, "already_used").await;
    assert_opens(&gate, &link).await;
    gate.stop().await;
}

#[tokio::test]
async fn a_link_of_a_memory_that_never_was_is_fenced() {
    let gate = Gate::start().await;
    let mem = oncegate::gate::id::MemoryId::from_bytes([9; 16]);
    let link = gate.crafted(|claims| claims.mem = mem).await;
    assert_refused(&gate, &link.token, "fenced").await;
    gate.stop().await;
}
