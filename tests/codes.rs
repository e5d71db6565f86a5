//! Every code of the contract that this version can produce, reached through a front door: one
//! request each, at the API, at the public listener, or at both.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use std::{collections::BTreeSet, future::Future, net::TcpListener, time::Duration};

use oncegate::{
    edge::upstream::{Timeouts, Upstreams},
    gate::{
        id::MemoryId,
        token::{Actor, AssertionClaims},
    },
};
use serde_json::{Value, json};
use support::{
    altered::{Altered, store_on_a_failing_disk, store_with_room_for},
    gate::{Gate, Link, NARROW, NOW},
    http::{Answer, Client},
    service::Service,
    tokens::{claims_of, parts_of, resigned, with_header, with_signature_of},
};

/// Codes that no request can be made to produce, and why.
const UNREACHED: [(u16, &str, &str); 1] =
    [(500, "internal", "a fault of the gate, of which none is known")];

/// What the API answers, apart from what a token is refused for.
const API: [(u16, &str); 18] = [
    (400, "invalid_request"),
    (401, "unauthorized"),
    (403, "destination_not_allowed"),
    (403, "forbidden"),
    (404, "not_found"),
    (405, "method_not_allowed"),
    (413, "payload_too_large"),
    (415, "unsupported_media_type"),
    (422, "invalid_request"),
    (422, "ip_required"),
    (422, "ttl_too_long"),
    (422, "unknown_destination"),
    (422, "unknown_user"),
    (425, "too_early"),
    (429, "rate_limited"),
    (502, "bad_gateway"),
    (503, "store_full"),
    (503, "store_unavailable"),
];

/// What the public listener answers, apart from what a token is refused for.
const PUBLIC: [(u16, &str); 13] = [
    (400, "invalid_request"),
    (401, "sign_in_required"),
    (403, "cross_site"),
    (404, "not_found"),
    (405, "method_not_allowed"),
    (413, "payload_too_large"),
    (415, "unsupported_media_type"),
    (421, "wrong_site"),
    (425, "too_early"),
    (502, "bad_gateway"),
    (503, "store_full"),
    (503, "store_unavailable"),
    (504, "gateway_timeout"),
];

/// What a token is refused for, at either listener.
const TOKEN: [(u16, &str); 13] = [
    (400, "malformed"),
    (403, "bad_signature"),
    (403, "destination_not_allowed"),
    (403, "not_yet_valid"),
    (403, "unknown_key"),
    (403, "wrong_audience"),
    (403, "wrong_client"),
    (403, "wrong_type"),
    (410, "already_used"),
    (410, "expired"),
    (410, "fenced"),
    (410, "revoked"),
    (421, "wrong_gate"),
];

/// The codes that answers had.
#[derive(Default)]
struct Reached(BTreeSet<(u16, String)>);

impl Reached {
    /// Asserts that the answer is a problem as RFC 9457 and the contract have it.
    fn problem(&mut self, status: u16, code: &str, answer: &Answer) {
        let told = (answer.status, answer.code());
        assert_eq!(told, (status, code.to_owned()), "{}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{code}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{code}");
        let mut problem = answer.json();
        let members = problem.as_object_mut().unwrap();
        assert!(members.remove("detail").is_none_or(|detail| detail.is_string()), "{code}");
        let title = members.remove("title").unwrap();
        assert!(title.as_str().is_some_and(|title| !title.is_empty()), "{code}");
        let kind = format!("urn:oncegate:problem:{code}");
        assert_eq!(problem, json!({ "type": kind, "status": status, "code": code }));
        assert_eq!(answer.header("retry-after").is_some(), may_be_sent_again(answer), "{code}");
        let challenge = (code == "unauthorized").then_some("Bearer realm=\"oncegate\"");
        assert_eq!(answer.header("www-authenticate"), challenge, "{code}");
        assert_eq!(answer.header("allow").is_some(), code == "method_not_allowed");
        self.0.insert(told);
    }

    fn assert_are(&self, expected: impl IntoIterator<Item = (u16, &'static str)>) {
        let expected = expected.into_iter().map(|(status, code)| (status, code.to_owned()));
        assert_eq!(self.0, expected.collect());
    }
}

/// Whether the contract has this answer say when.
fn may_be_sent_again(answer: &Answer) -> bool {
    let perhaps_spent = answer.text().contains("may have been spent");
    let of_the_directory = answer.text().contains("The directory of users");
    matches!(answer.status, 429)
        || of_the_directory
        || (answer.code() == "store_unavailable" && !perhaps_spent)
}

/// The status and code of each face in the source: `(403, "forbidden", …`.
fn in_the_source() -> BTreeSet<(u16, String)> {
    let source = include_str!("../src/gate/denial.rs");
    source
        .split('(')
        .filter_map(|rest| {
            let (status, rest) = rest.trim_start().split_once(", \"")?;
            Some((status.parse().ok()?, rest.split_once('"')?.0.to_owned()))
        })
        .collect()
}

#[test]
fn every_code_of_this_version_is_in_one_of_the_lists() {
    let reached = API.iter().chain(&PUBLIC).chain(&TOKEN).copied();
    let all = reached.chain(UNREACHED.iter().map(|&(status, code, _)| (status, code)));
    let all: BTreeSet<_> = all.map(|(status, code)| (status, code.to_owned())).collect();
    let source = in_the_source();
    assert!(source.len() > 30, "{source:?}");
    assert_eq!(all, source);
}

/// A token for each of [`TOKEN`].
async fn refused_tokens(gate: &Gate) -> Vec<(u16, &'static str, String)> {
    let good = gate.link(json!({})).await.token;
    let other = gate.link(json!({})).await.token;
    let (used, revoked) = (gate.link(json!({})).await, gate.link(json!({})).await);
    assert_eq!(gate.redeem(&used.token).await.status, 200);
    assert_eq!(gate.api().delete(&format!("/v1/links/{}", revoked.id)).await.status, 204);
    let mut header = parts_of(&good).0;
    header["kid"] = json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    let assertion = AssertionClaims {
        iss: "https://login.example.com".to_owned(),
        aud: "https://panel.example.com".to_owned(),
        sub: "joe".to_owned(),
        act: Actor { sub: "billing".to_owned() },
        ctx: None,
        iat: NOW,
        exp: NOW + 60,
    };
    let ring = &gate.running.as_ref().unwrap().gate.keys.load().ring;
    let nowhere = Some("https://evil.example.org/".to_owned());
    vec![
        (400, "malformed", "a.b".to_owned()),
        (403, "bad_signature", with_signature_of(&good, &other)),
        (403, "unknown_key", with_header(&good, &header)),
        (403, "wrong_type", ring.sign_assertion(&assertion)),
        (403, "not_yet_valid", resigned(gate, &good, |claims| claims.iat = NOW + 6)),
        (403, "wrong_audience", resigned(gate, &good, |claims| "shop".clone_into(&mut claims.aud))),
        (403, "wrong_client", gate.link(json!({ "ip": "203.0.113.7" })).await.token),
        (403, "destination_not_allowed", resigned(gate, &good, |claims| claims.dst = nowhere)),
        (
            410,
            "expired",
            resigned(gate, &good, |claims| (claims.iat, claims.exp) = (NOW - 60, NOW)),
        ),
        (410, "already_used", used.token),
        (410, "revoked", revoked.token),
        (410, "fenced", resigned(gate, &good, |claims| claims.mem = MemoryId::from_bytes([7; 16]))),
        (
            421,
            "wrong_gate",
            resigned(gate, &good, |claims| claims.gate = Some("gate-b".to_owned())),
        ),
    ]
}

/// Sends each refused token, then asserts that all were refused and a good one is not.
async fn present<F: Future<Output = Answer>>(gate: &Gate, send: impl Fn(String) -> F, good: u16) {
    let mut reached = Reached::default();
    for (status, code, token) in refused_tokens(gate).await {
        reached.problem(status, code, &send(token).await);
    }
    reached.assert_are(TOKEN);
    assert_eq!(send(gate.link(json!({})).await.token).await.status, good);
}

#[tokio::test]
async fn every_refusal_of_a_token_is_reached_at_the_api() {
    let gate = Gate::start().await;
    let at = &gate;
    present(at, |token| async move { at.redeem(&token).await }, 200).await;
    gate.stop().await;
}

#[tokio::test]
async fn every_refusal_of_a_token_is_reached_at_the_public_listener() {
    let gate = Gate::start().await;
    let post = |token: String| {
        let client = gate.public();
        async move { client.post_form(&format!("/_once/l/{token}"), &[], &[]).await }
    };
    present(&gate, post, 303).await;
    // Already by looking at it: no page is shown for a link that would be refused.
    let carried = |token: String| {
        let client = gate.public();
        async move { client.get(&format!("/clientarea?_once={token}")).await }
    };
    present(&gate, carried, 200).await;
    gate.stop().await;
}

#[tokio::test]
async fn every_refusal_of_a_token_is_told_by_an_inspection() {
    let gate = Gate::start().await;
    for (_, code, token) in refused_tokens(&gate).await {
        let answer = gate.api().post_json("/v1/inspect", &json!({ "token": token })).await;
        let inspected = answer.json();
        let told = (answer.status, &inspected["valid"], &inspected["code"]);
        assert_eq!(told, (200, &json!(false), &json!(code)), "{inspected}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn every_other_code_of_the_api_is_reached() {
    let gate = Gate::start().await;
    let mut reached = Reached::default();
    let ask = |more: Value| {
        let mut ask = json!({ "user": "joe" });
        ask.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let client = gate.api();
        async move { client.post_json("/v1/links", &ask).await }
    };
    let api = gate.api();
    let typed = |kind: &'static str, body: Vec<u8>| {
        let client = gate.api();
        async move { client.request("POST", "/v1/links", &[("Content-Type", kind)], &body).await }
    };
    reached.problem(400, "invalid_request", &typed("application/json", b"{".to_vec()).await);
    reached.problem(
        401,
        "unauthorized",
        &gate.api_as(None).post_json("/v1/links", &json!({})).await,
    );
    let evil = json!({ "destination": "https://evil.example.org/" });
    reached.problem(403, "destination_not_allowed", &ask(evil).await);
    reached.problem(403, "forbidden", &ask(json!({ "site": "shop" })).await);
    reached.problem(404, "not_found", &api.get("/v1/nothing").await);
    reached.problem(405, "method_not_allowed", &api.get("/v1/links").await);
    let large = vec![b' '; 70_000];
    reached.problem(413, "payload_too_large", &typed("application/json", large).await);
    reached.problem(415, "unsupported_media_type", &typed("text/plain", b"{}".to_vec()).await);
    reached.problem(422, "invalid_request", &ask(json!({ "ttl": 0 })).await);
    reached.problem(422, "ttl_too_long", &ask(json!({ "ttl": 100_000 })).await);
    reached.problem(422, "unknown_destination", &ask(json!({ "destination": "nothing" })).await);
    let early = gate.api().header("Early-Data", "1");
    let token = json!({ "token": gate.link(json!({})).await.token });
    reached.problem(425, "too_early", &early.post_json("/v1/redeem", &token).await);
    let narrow = gate.api_as(Some(NARROW));
    let modest = json!({ "user": "test-1", "site": "panel", "destination": "home" });
    for _ in 0..2 {
        assert_eq!(narrow.post_json("/v1/links", &modest).await.status, 201);
    }
    reached.problem(429, "rate_limited", &narrow.post_json("/v1/links", &modest).await);
    for (code, answer) in store_refusals(&gate, |altered, link| {
        let (client, ask) = (altered.api(), json!({ "token": link.token }));
        async move { client.post_json("/v1/redeem", &ask).await }
    })
    .await
    {
        reached.problem(503, code, &answer);
    }
    gate.stop().await;

    let binding = |text: String| text.replace("[links]", "[links]\nbind_ip = \"required\"");
    let gate = Gate::with(binding).await;
    let answer = gate.api().post_json("/v1/links", &json!({ "user": "joe" })).await;
    reached.problem(422, "ip_required", &answer);
    gate.stop().await;

    // A directory that knows nobody, and then is gone.
    let service = Service::start().await;
    let section = service.section("5s", "1ms");
    let gate = Gate::with(|text| [text, section].concat()).await;
    let answer = gate.api().post_json("/v1/links", &json!({ "user": "joe" })).await;
    reached.problem(422, "unknown_user", &answer);
    service.end().await;
    let answer = gate.api().post_json("/v1/links", &json!({ "user": "joe" })).await;
    reached.problem(502, "bad_gateway", &answer);
    gate.stop().await;
    reached.assert_are(API);
}

#[tokio::test]
async fn every_other_code_of_the_public_listener_is_reached() {
    let gate = Gate::start().await;
    let mut reached = Reached::default();
    let public = gate.public();
    let link = gate.link(json!({})).await;
    reached.problem(400, "invalid_request", &public.get("/?_once=a&_once=b").await);
    reached.problem(401, "sign_in_required", &public.get("/clientarea").await);
    let evil = gate.public().header("Origin", "https://evil.example.org");
    reached.problem(403, "cross_site", &evil.post_form(&link.path, &[], &[]).await);
    reached.problem(404, "not_found", &public.get("/_once/nothing").await);
    reached.problem(405, "method_not_allowed", &public.delete("/_once/session").await);
    let large = "x".repeat(70_000);
    let answer = public.post_form(&link.path, &[("next", &large)], &[]).await;
    reached.problem(413, "payload_too_large", &answer);
    let answer = public.post_json(&link.path, &json!({})).await;
    reached.problem(415, "unsupported_media_type", &answer);
    let elsewhere = Client::new(gate.public_at()).host("elsewhere.example.com");
    reached.problem(421, "wrong_site", &elsewhere.get("/").await);
    let early = gate.public().header("Early-Data", "1");
    reached.problem(425, "too_early", &early.post_form(&link.path, &[], &[]).await);
    for (code, answer) in store_refusals(&gate, |altered, link| {
        let client = altered.public();
        async move { client.post_form(&link.path, &[], &[]).await }
    })
    .await
    {
        reached.problem(503, code, &answer);
    }
    // None of all this has spent it.
    assert_eq!(gate.open(&link).await.status, 303);
    gate.stop().await;

    // An upstream that is gone, and one that takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gate = with_upstream(gone).await;
    reached.problem(502, "bad_gateway", &gate.public().get("/assets/a").await);
    gate.stop().await;
    let gate = with_upstream(silent.local_addr().unwrap()).await;
    let impatient = Altered::of(&gate, |altered| {
        let (connect, answer) = (Duration::from_secs(5), Duration::from_millis(1));
        let timeouts = Timeouts { connect, answer, ..Timeouts::default() };
        let upstreams = altered.config.sites.iter().filter_map(|site| site.upstream.as_ref());
        altered.upstreams = Upstreams::new(upstreams, timeouts).unwrap();
    })
    .await;
    reached.problem(504, "gateway_timeout", &impatient.public().get("/assets/a").await);
    gate.stop().await;
    reached.assert_are(PUBLIC);
}

async fn with_upstream(address: std::net::SocketAddr) -> Gate {
    Gate::with(|text| {
        let line = text.lines().find(|line| line.starts_with("upstream = ")).unwrap().to_owned();
        text.replace(&line, &format!("upstream = \"http://{address}\""))
    })
    .await
}

/// What a good link meets when there is no room for its use, when the store has ended, and when
/// its use could not be recorded.
async fn store_refusals<F: Future<Output = Answer>>(
    gate: &Gate,
    redeem: impl Fn(&Altered, Link) -> F,
) -> Vec<(&'static str, Answer)> {
    let issue = async |altered: &Altered| {
        Link::of(&altered.api().post_json("/v1/links", &json!({ "user": "joe" })).await.json())
    };
    let full = Altered::of(gate, |altered| altered.store = store_with_room_for(1)).await;
    let (first, second) = (issue(&full).await, issue(&full).await);
    assert!(redeem(&full, first).await.status < 400);
    let without_room = redeem(&full, second).await;

    let store = store_with_room_for(1);
    let ended = Altered::of(gate, |altered| altered.store = store.clone()).await;
    let link = issue(&ended).await;
    store.close().await;
    let after_its_end = redeem(&ended, link).await;
    assert_eq!(after_its_end.header("retry-after"), Some("1"));

    let dir = tempfile::tempdir().unwrap();
    let (store, fails) = store_on_a_failing_disk(dir.path());
    let failing = Altered::of(gate, |altered| altered.store = store).await;
    let link = issue(&failing).await;
    fails.store(true, std::sync::atomic::Ordering::SeqCst);
    let unrecorded = redeem(&failing, link.clone()).await;
    assert_eq!(unrecorded.header("retry-after"), None, "nobody should send it again");
    // Nor would it help, now or when the disk is well again.
    assert!(redeem(&failing, link.clone()).await.status >= 400);
    fails.store(false, std::sync::atomic::Ordering::SeqCst);
    let new = issue(&failing).await;
    assert_ne!(claims_of(&new.token)["mem"], claims_of(&link.token)["mem"]);
    assert_eq!(redeem(&failing, link).await.code(), "fenced");
    assert!(redeem(&failing, new).await.status < 400);

    vec![
        ("store_full", without_room),
        ("store_unavailable", after_its_end),
        ("store_unavailable", unrecorded),
    ]
}
