//! Whether a link may pass, here and now: each check, their order, and that what a check refuses
//! is not spent.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use oncegate::gate::{
    client_ip::Networks,
    id::TokenId,
    token::{Actor, LinkClaims},
};
use serde_json::json;
use support::gate::{Gate, Link, NOW, cookie_of};

/// The code of the refusal that a POST meets; "" for none.
async fn refusal(gate: &Gate, path: &str) -> String {
    let answer = gate.public().post_form(path, &[], &[]).await;
    assert!(answer.status == 303 || answer.header_lines("set-cookie").is_empty());
    answer.code()
}

async fn assert_opens(gate: &Gate, link: &Link) {
    let answer = gate.open(link).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
}

#[tokio::test]
async fn a_used_link_is_used() {
    let gate = Gate::start().await;
    let link = gate.link(json!({})).await;
    assert_opens(&gate, &link).await;
    for _ in 0..2 {
        assert_eq!(refusal(&gate, &link.path).await, "already_used");
        let seen = gate.public().get(&link.path).await;
        assert_eq!((seen.status, seen.code().as_str()), (410, "already_used"));
        assert_eq!(gate.redeem(&link.token).await.code(), "already_used");
    }
    let gate = gate.restart().await;
    assert_eq!(refusal(&gate, &link.path).await, "already_used");
    gate.stop().await;
}

#[tokio::test]
async fn the_answer_is_a_redirect_and_one_cookie_and_nothing_of_the_token() {
    let gate = Gate::start().await;
    let link = gate.link(json!({ "destination": "/a?b=%20c#d" })).await;
    let answer = gate.open(&link).await;
    assert_eq!(answer.status, 303);
    assert_eq!(answer.header("location"), Some("https://panel.example.com/a?b=%20c#d"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    let cookie = answer.header("set-cookie").unwrap();
    let value = cookie.strip_prefix("__Host-oncegate=").unwrap();
    let (value, attributes) = value.split_once(';').unwrap();
    assert_eq!(attributes, " Path=/; HttpOnly; SameSite=Lax; Secure");
    assert!(!value.is_empty() && !value.contains('.'));
    assert!(answer.headers.iter().all(|(_, value)| !value.contains(&link.token)));
    assert!(answer.body.is_empty());
    gate.stop().await;
}

#[tokio::test]
async fn on_a_loopback_http_origin_the_cookie_is_plain() {
    let gate =
        Gate::with(|text| text.replace("https://panel.example.com", "http://localhost:8080")).await;
    let link = gate.link(json!({})).await;
    assert!(link.url.starts_with("http://localhost:8080/_once/l/"));
    let browser = gate.browser().host("localhost:8080");
    let answer = browser.post_form(&link.path, &[], &[("origin", "http://localhost:8080")]).await;
    assert_eq!(answer.header("location"), Some("http://localhost:8080/"));
    let cookie = answer.header("set-cookie").unwrap();
    let (pair, attributes) = cookie.split_once(';').unwrap();
    assert!(pair.starts_with("oncegate="), "{cookie}");
    assert_eq!(attributes, " Path=/; HttpOnly; SameSite=Lax");
    assert_eq!(browser.get_with("/_once/session", &[("cookie", pair)]).await.status, 200);
    gate.stop().await;
}

#[tokio::test]
async fn a_link_expires_at_its_second() {
    let gate = Gate::start().await;
    let (first, second) =
        (gate.link(json!({ "ttl": 30 })).await, gate.link(json!({ "ttl": 30 })).await);
    gate.wait(29);
    assert_opens(&gate, &first).await;
    gate.wait(1);
    assert_eq!(refusal(&gate, &second.path).await, "expired");
    assert_eq!(gate.public().get(&second.path).await.code(), "expired");
    gate.wait(100_000);
    assert_eq!(refusal(&gate, &second.path).await, "expired");
    assert_eq!(gate.public().get(&first.path).await.code(), "expired");
    gate.stop().await;
}

#[tokio::test]
async fn a_link_from_the_future_waits_for_its_time() {
    let gate = Gate::start().await;
    let ahead = |seconds| {
        move |claims: &mut LinkClaims| {
            (claims.iat, claims.exp) = (NOW + seconds, NOW + seconds + 60);
        }
    };
    let (near, far) = (gate.crafted(ahead(5)).await, gate.crafted(ahead(6)).await);
    assert_opens(&gate, &near).await;
    assert_eq!(refusal(&gate, &far.path).await, "not_yet_valid");
    gate.wait(1);
    assert_opens(&gate, &far).await;
    gate.stop().await;
}

#[tokio::test]
async fn lowering_max_ttl_takes_effect_on_links_that_are_out() {
    let gate = Gate::start().await;
    let link = gate.link(json!({ "ttl": 300 })).await;
    let late = gate.link(json!({ "ttl": 300 })).await;
    gate.reconfigure(|text| text.replace("[links]", "[links]\nmax_ttl = \"60s\""));
    let gate = gate.restart().await;
    gate.wait(59);
    assert_opens(&gate, &link).await;
    gate.wait(1);
    assert_eq!(refusal(&gate, &late.path).await, "expired");
    gate.reconfigure(|text| text.replace("max_ttl = \"60s\"", "max_ttl = \"6m\""));
    let gate = gate.restart().await;
    assert_opens(&gate, &late).await;
    assert_eq!(refusal(&gate, &link.path).await, "already_used");
    gate.stop().await;
}

#[tokio::test]
async fn a_link_is_for_one_site() {
    let gate = Gate::start().await;
    let link = gate.link(json!({})).await;
    let shop = gate.public().host("shop.example.com");
    assert_eq!(shop.post_form(&link.path, &[], &[]).await.code(), "wrong_audience");
    assert_eq!(shop.get(&link.path).await.code(), "wrong_audience");
    assert_eq!(shop.get(&format!("/?_once={}", link.token)).await.code(), "wrong_audience");
    assert_opens(&gate, &link).await;
    gate.stop().await;
}

#[tokio::test]
async fn a_link_of_another_issuer_or_gate_is_refused() {
    let gate = Gate::start().await;
    let issuer = gate.crafted(|claims| claims.iss = "https://login.example.org".into()).await;
    assert_eq!(refusal(&gate, &issuer.path).await, "wrong_audience");
    for other in [Some("gate-b".to_owned()), None] {
        let link = gate.crafted(|claims| claims.gate = other).await;
        let answer = gate.public().post_form(&link.path, &[], &[]).await;
        assert_eq!((answer.status, answer.code().as_str()), (421, "wrong_gate"));
    }
    assert_eq!(gate.remembered(), 0);
    gate.stop().await;
}

#[tokio::test]
async fn a_posted_destination_is_judged_and_refused_unspent() {
    let gate = Gate::start().await;
    let link = gate.link(json!({})).await;
    let hostile = [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example/",
        "javascript:alert(1)",
        "/a\r\nSet-Cookie: a=b",
        "/a\nb",
        "/%0d%0ab",
        "/_once/logout",
        "a",
        "/é",
        "/\u{0}",
    ];
    for next in hostile {
        let answer = gate.public().post_form(&link.path, &[("next", next)], &[]).await;
        let refused = (answer.status, answer.code());
        assert_eq!(refused, (403, "destination_not_allowed".to_owned()), "{next:?}");
        assert_eq!(answer.header_lines("location").len(), 0);
    }
    let good = "https://docs.example.com/manual/a?b";
    let answer = gate.public().post_form(&link.path, &[("next", good)], &[]).await;
    assert_eq!(answer.header("location"), Some(good));
    gate.stop().await;
}

#[tokio::test]
async fn a_form_that_cannot_be_read_spends_nothing() {
    let gate = Gate::start().await;
    let link = gate.link(json!({})).await;
    let form = ("content-type", "application/x-www-form-urlencoded");
    let long = format!("next=/{}", "a".repeat(70_000));
    let cases = [
        (&[form][..], "next=/a&next=/b", 400, "invalid_request"),
        (&[form], "next=/a&ne%78t=/a", 400, "invalid_request"),
        (&[("content-type", "application/json")], "{}", 415, "unsupported_media_type"),
        (&[("content-type", "text/plain")], "next=/a", 415, "unsupported_media_type"),
        (&[], "next=/a", 415, "unsupported_media_type"),
        (&[form], &long, 413, "payload_too_large"),
    ];
    for (headers, body, status, code) in cases {
        let answer = gate.public().request("POST", &link.path, headers, body.as_bytes()).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code));
    }
    assert_eq!(gate.remembered(), 0);
    let answer = gate
        .public()
        .request("POST", &link.path, &[form], b"next=&other=1&Next=//evil.example")
        .await;
    assert_eq!(answer.header("location"), Some("https://panel.example.com/"));
    gate.stop().await;
}

#[tokio::test]
async fn a_destination_that_is_no_longer_allowed_is_refused_until_it_is_again() {
    let gate = Gate::start().await;
    let link = gate.link(json!({ "destination": "https://docs.example.com/manual/a" })).await;
    let link2 = gate.link(json!({ "destination": "https://docs.example.com/manual" })).await;
    assert_opens(&gate, &link2).await;
    gate.reconfigure(|text| text.replace("com/manual\"", "com/other\""));
    let gate = gate.restart().await;
    assert_eq!(refusal(&gate, &link.path).await, "destination_not_allowed");
    assert_eq!(gate.public().get(&link.path).await.code(), "destination_not_allowed");
    gate.reconfigure(|text| text.replace("com/other\"", "com/manual\""));
    let gate = gate.restart().await;
    let answer = gate.open(&link).await;
    assert_eq!(answer.header("location"), Some("https://docs.example.com/manual/a"));
    gate.stop().await;
}

#[tokio::test]
async fn a_links_caller_must_still_be_there() {
    let gate = Gate::start().await;
    let link = gate.link(json!({})).await;
    gate.reconfigure(|text| text.replace("name = \"billing\"", "name = \"other\""));
    let gate = gate.restart().await;
    assert_eq!(refusal(&gate, &link.path).await, "revoked");
    gate.reconfigure(|text| {
        text.replace("name = \"other\"", "name = \"billing\"")
            .replace("sites = [\"panel\"]\nmay", "sites = [\"shop\"]\nmay")
    });
    let gate = gate.restart().await;
    assert_eq!(refusal(&gate, &link.path).await, "revoked");
    gate.reconfigure(|text| text.replace("sites = [\"shop\"]\nmay", "sites = [\"panel\"]\nmay"));
    let gate = gate.restart().await;
    assert_opens(&gate, &link).await;
    gate.stop().await;
}

/// Faults of a genuine link, in the order in which they are looked for.
type Fault = (&'static str, fn(&mut LinkClaims));
const FAULTS: [Fault; 6] = [
    ("not_yet_valid", |claims| (claims.iat, claims.exp) = (NOW + 60, NOW + 120)),
    ("wrong_audience", |claims| claims.aud = "shop".into()),
    ("wrong_gate", |claims| claims.gate = Some("gate-b".into())),
    ("wrong_client", |claims| {
        claims.ips = Some(Networks::parse(&["192.0.2.7"]).unwrap());
    }),
    ("destination_not_allowed", |claims| claims.dst = Some("https://evil.example/".into())),
    ("revoked", |claims| claims.act = Actor { sub: "nobody".into() }),
];

#[tokio::test]
async fn of_several_faults_the_first_in_the_order_is_named() {
    let gate = Gate::start().await;
    for first in 0..FAULTS.len() {
        let (code, _) = FAULTS[first];
        let link = gate
            .crafted(|claims| {
                for (_, fault) in &FAULTS[first..] {
                    fault(claims);
                }
            })
            .await;
        assert_eq!(refusal(&gate, &link.path).await, code);
        assert_eq!(gate.public().get(&link.path).await.code(), code);
    }
    assert_eq!(gate.remembered(), 0);
    // Last of all, whether it was used.
    let id = TokenId::from_bytes([7; 16]);
    let link = gate.crafted(|claims| claims.jti = id).await;
    assert_opens(&gate, &link).await;
    for (code, fault) in FAULTS {
        let link = gate
            .crafted(|claims| {
                claims.jti = id;
                fault(claims);
            })
            .await;
        assert_eq!(refusal(&gate, &link.path).await, code);
    }
    assert_eq!(refusal(&gate, &link.path).await, "already_used");
    gate.stop().await;
}

#[tokio::test]
async fn a_used_or_expired_link_leads_on_whom_it_signed_in_and_nobody_else() {
    let gate = Gate::start().await;
    let link = gate.link(json!({ "destination": "/there" })).await;
    let cookie = cookie_of(&gate.open(&link).await);
    let ann = cookie_of(&gate.open(&gate.link(json!({ "user": "ann" })).await).await);
    let old = gate.link(json!({ "destination": "/old", "ttl": 1 })).await;
    let free = gate.link(json!({ "ttl": 1 })).await;
    gate.wait(1);
    let location = |path: &str| format!("https://panel.example.com{path}");
    let asked = format!("/asked?a&_once={}", free.token);
    let hostile = format!("//evil.example/?_once={}", free.token);
    for (target, to) in [
        (&link.path, "/there"),
        (&old.path, "/old"),
        (&free.path, "/"),
        (&asked, "/asked?a"),
        (&hostile, "/"),
    ] {
        let answer = gate.browser().get_with(target, &[("cookie", &cookie)]).await;
        assert_eq!((answer.status, answer.header("location")), (303, Some(&*location(to))));
        assert!(answer.header_lines("set-cookie").is_empty());
        for cookie in [ann.as_str(), "a=b"] {
            let answer = gate.public().get_with(target, &[("cookie", cookie)]).await;
            assert_eq!(answer.status, 410, "{to}");
        }
    }
    let posted = gate.browser().post_form(&link.path, &[], &[("cookie", &cookie)]).await;
    assert_eq!(posted.header("location"), Some(&*location("/there")));
    let posted = gate.public().post_form(&link.path, &[], &[("cookie", &ann)]).await;
    assert_eq!(posted.code(), "already_used");
    // Only those two: what was taken back leads nowhere, and no forgery does.
    let taken = gate.link(json!({})).await;
    gate.api().delete(&format!("/v1/links/{}", taken.id)).await;
    let answer = gate.public().get_with(&taken.path, &[("cookie", &cookie)]).await;
    assert_eq!(answer.code(), "revoked");
    let evil = gate.crafted(|c| (c.dst, c.exp) = (Some("//evil.example".into()), c.iat + 1)).await;
    gate.wait(1);
    let answer = gate.browser().get_with(&evil.path, &[("cookie", &cookie)]).await;
    assert_eq!(answer.header("location"), Some(&*location("/")));
    gate.stop().await;
}
