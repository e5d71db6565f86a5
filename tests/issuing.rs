//! Asking for one link: every field, its default, and what the token then says.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use serde_json::{Value, json};
use support::{
    gate::{BILLING, Gate, Link, NARROW, NOW, PANEL},
    http::Client,
    tokens::{claims_of, parts_of},
};

/// The names of an object's members, sorted.
fn members(object: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// What the token of a link with these members says.
async fn claims(gate: &Gate, more: Value) -> Value {
    claims_of(&gate.link(more).await.token)
}

#[tokio::test]
async fn the_answer_has_exactly_the_members_of_the_contract() {
    let gate = Gate::start().await;
    let answer = gate.api().post_json("/v1/links", &json!({ "user": "joe" })).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let link = answer.json();
    assert_eq!(members(&link), ["expires_at", "expires_in", "id", "token", "url"]);
    assert_eq!(link["expires_in"], json!(60));
    assert_eq!(link["expires_at"], "2025-11-24T16:01:00Z");
    let (id, token) = (link["id"].as_str().unwrap(), link["token"].as_str().unwrap());
    assert_eq!(id.len(), 22);
    assert_eq!(claims_of(token)["jti"], id);
    assert_eq!(link["url"], format!("https://panel.example.com/_once/l/{token}"));
    gate.stop().await;
}

#[tokio::test]
async fn a_plain_link_says_what_the_contract_says_and_no_more() {
    let gate = Gate::start().await;
    let link = gate.link(json!({})).await;
    let (header, claims) = parts_of(&link.token);
    assert_eq!(members(&header), ["alg", "kid", "typ"]);
    assert_eq!(header["alg"], "EdDSA");
    assert_eq!(header["typ"], "oncegate-link+jwt");
    let jwks = gate.public().get("/.well-known/jwks.json").await.json();
    let known = jwks["keys"].as_array().unwrap().iter().any(|key| key["kid"] == header["kid"]);
    assert!(known, "{header} is not signed by one of {jwks}");
    let store = &gate.running.as_ref().unwrap().gate.store;
    assert_eq!(
        claims,
        json!({
            "iss": "https://login.example.com", "aud": "panel", "sub": "joe",
            "iat": NOW, "exp": NOW + 60, "jti": link.id,
            "mem": store.status().mem.to_string(), "gate": "gate-a",
            "act": { "sub": "billing" }, "page": "auto",
        })
    );
    gate.stop().await;
}

#[tokio::test]
async fn every_field_that_is_asked_for_stands_in_the_token() {
    let gate = Gate::start().await;
    let claims = claims(
        &gate,
        json!({
            "user": "Zoë O'Hara <zoe@example.com>", "site": "panel",
            "destination": "invoice", "destination_values": ["a/b c"],
            "ip": ["203.0.113.7", "2001:db8:1:2::3"], "ttl": 300,
            "claims": { "plan": "gold", "note": { "deep": [1, null, 2.5] } }, "page": "confirm",
        }),
    )
    .await;
    assert_eq!(claims["sub"], "Zoë O'Hara <zoe@example.com>");
    assert_eq!(claims["aud"], "panel");
    assert_eq!(claims["dst"], "/clientarea/invoices/a%2Fb%20c");
    assert_eq!(claims["ips"], json!(["203.0.113.7/32", "2001:db8:1:2::/64"]));
    assert_eq!(claims["exp"], NOW + 300);
    assert_eq!(claims["ctx"], json!({ "plan": "gold", "note": { "deep": [1, null, 2.5] } }));
    assert_eq!(claims["page"], "confirm");
    gate.stop().await;
}

#[tokio::test]
async fn what_is_null_counts_as_left_out() {
    let gate = Gate::start().await;
    let nulls = json!({
        "site": null, "destination": null, "destination_values": null, "ip": null, "ttl": null,
        "claims": null, "page": null,
    });
    let mut with = claims(&gate, nulls).await;
    let mut without = claims(&gate, json!({ "claims": {} })).await;
    for claims in [&mut with, &mut without] {
        claims.as_object_mut().unwrap().remove("jti").unwrap();
    }
    assert_eq!(with, without);
    gate.stop().await;
}

#[tokio::test]
async fn a_destination_is_kept_byte_for_byte() {
    let gate = Gate::start().await;
    let kept = [
        "/",
        "/clientarea?a=%41&a=b+c&&x#part?y",
        "https://panel.example.com/clientarea?x=1#y",
        "https://docs.example.com/manual/chapter%201?q",
    ];
    for destination in kept {
        let claims = claims(&gate, json!({ "destination": destination })).await;
        assert_eq!(claims["dst"], destination);
    }
    let filled = [(json!([7]), "7"), (json!([-7]), "-7"), (json!(["é%"]), "%C3%A9%25")];
    for (values, place) in filled {
        let ask = json!({ "destination": "invoice", "destination_values": values });
        assert_eq!(claims(&gate, ask).await["dst"], format!("/clientarea/invoices/{place}"));
    }
    gate.stop().await;
}

#[tokio::test]
async fn lifetime_and_page_come_from_the_request_then_the_caller_then_the_gate() {
    let gate = Gate::with(|text| {
        text.replace("[links]", "[links]\nttl = \"90s\"\nmax_ttl = \"10m\"\npage = \"confirm\"")
            .replace("max_ttl = \"30s\"", "max_ttl = \"30s\"\npage = \"none\"")
    })
    .await;
    let of_billing = claims(&gate, json!({})).await;
    assert_eq!((&of_billing["exp"], &of_billing["page"]), (&json!(NOW + 90), &json!("confirm")));
    let asked = claims(&gate, json!({ "ttl": 1, "page": "none" })).await;
    assert_eq!((&asked["exp"], &asked["page"]), (&json!(NOW + 1), &json!("none")));
    let ask = json!({ "user": "test-1", "site": "panel", "destination": "home" });
    let answer = gate.api_as(Some(NARROW)).post_json("/v1/links", &ask).await;
    let of_narrow = claims_of(&Link::of(&answer.json()).token);
    assert_eq!((&of_narrow["exp"], &of_narrow["page"]), (&json!(NOW + 30), &json!("none")));
    let most = claims(&gate, json!({ "ttl": 300 })).await;
    assert_eq!(most["exp"], NOW + 300);
    let past = gate.api().post_json("/v1/links", &json!({ "user": "joe", "ttl": 301 })).await;
    assert_eq!((past.status, past.code().as_str()), (422, "ttl_too_long"));
    gate.stop().await;
}

#[tokio::test]
async fn a_caller_with_several_sites_names_one_of_them() {
    let gate = Gate::start().await;
    let api = gate.api_as(Some(NARROW));
    let ask = json!({ "user": "test-1", "destination": "/help/a" });
    let answer = api.post_json("/v1/links", &ask).await;
    assert_eq!((answer.status, answer.code().as_str()), (422, "invalid_request"));
    assert!(answer.json()["detail"].as_str().unwrap().starts_with("site: "), "{}", answer.text());
    let ask = json!({ "user": "test-1", "destination": "/help/a", "site": "shop" });
    let link = api.post_json("/v1/links", &ask).await.json();
    let token = link["token"].as_str().unwrap();
    assert_eq!(link["url"], format!("https://shop.example.com/_once/l/{token}"));
    assert_eq!(claims_of(token)["aud"], "shop");
    gate.stop().await;
}

#[tokio::test]
async fn nothing_of_the_request_but_its_body_reaches_a_link() {
    let gate = Gate::start().await;
    let before = gate.link(json!({})).await;
    let forged = Client::new(gate.api_at()).host("evil.example.org").bearer(BILLING);
    let headers = [
        ("Content-Type", "application/json"),
        ("X-Forwarded-Host", "evil.example.org"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-For", "198.51.100.1"),
        ("Forwarded", "host=evil.example.org;proto=http"),
        ("Origin", "https://evil.example.org"),
    ];
    let answer =
        forged.request("POST", "/v1/links?site=shop", &headers, b"{\"user\":\"joe\"}").await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert!(!answer.text().contains("evil"), "{}", answer.text());
    let link = Link::of(&answer.json());
    assert!(link.url.starts_with(&format!("https://{PANEL}/_once/l/")), "{}", link.url);
    let (mut claims, mut expected) = (claims_of(&link.token), claims_of(&before.token));
    claims["jti"] = Value::Null;
    expected["jti"] = Value::Null;
    assert_eq!(claims, expected);
    gate.stop().await;
}

#[tokio::test]
async fn no_two_links_are_the_same() {
    let gate = Gate::start().await;
    let mut ids = std::collections::HashSet::new();
    for _ in 0..20 {
        assert!(ids.insert(gate.link(json!({})).await.id));
    }
    gate.stop().await;
}

#[tokio::test]
async fn an_address_is_bound_to_a_network_in_its_one_form() {
    let gate = Gate::start().await;
    let bound = [
        (json!("203.0.113.7"), json!(["203.0.113.7/32"])),
        (json!("::ffff:203.0.113.7"), json!(["203.0.113.7/32"])),
        (json!("2001:DB8:0:0::1"), json!(["2001:db8::/64"])),
        (json!("203.0.113.7/24"), json!(["203.0.113.0/24"])),
        (json!("::ffff:10.1.2.3/112"), json!(["10.1.0.0/16"])),
        (
            json!(["10.0.0.1", "10.0.0.1/32", "2001:db8::/32"]),
            json!(["10.0.0.1/32", "2001:db8::/32"]),
        ),
    ];
    for (ip, ips) in bound {
        assert_eq!(claims(&gate, json!({ "ip": ip })).await["ips"], ips, "{ip}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn the_width_of_a_bare_address_is_configured() {
    let gate =
        Gate::with(|text| text.replace("[links]", "[links]\nipv4_prefix = 24\nipv6_prefix = 56"))
            .await;
    let claims = claims(&gate, json!({ "ip": ["203.0.113.7", "2001:db8:1:2ff::3"] })).await;
    assert_eq!(claims["ips"], json!(["203.0.113.0/24", "2001:db8:1:200::/56"]));
    gate.stop().await;
}

#[tokio::test]
async fn a_link_is_not_bound_to_what_is_too_wide_or_unreadable() {
    let gate = Gate::start().await;
    let wrong = [
        json!("10.0.0.0/15"),
        json!("0.0.0.0/0"),
        json!("2001:db8::/31"),
        json!("::/0"),
        json!("::ffff:0:0/96"),
        json!("::ffff:10.0.0.0/111"),
        json!(["203.0.113.7", "::/0"]),
        json!([]),
        json!(""),
        json!("localhost"),
        json!("203.0.113.7:80"),
        json!("[2001:db8::1]"),
        json!("fe80::1%eth0"),
        json!("010.0.0.1"),
        json!("203.0.113.7,203.0.113.8"),
        json!(7),
        json!([7]),
        json!([["203.0.113.7"]]),
        json!({}),
        json!(vec!["203.0.113.7"; 17]),
    ];
    for ip in wrong {
        let ask = json!({ "user": "joe", "ip": ip });
        let answer = gate.api().post_json("/v1/links", &ask).await;
        assert_eq!((answer.status, answer.code().as_str()), (422, "invalid_request"), "{ip}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.starts_with("ip: "), "{ip}: {detail}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_gate_that_binds_no_link_takes_no_address_and_one_that_binds_all_needs_one() {
    let bind = |how: &'static str| {
        Gate::with(move |text| text.replace("[links]", &format!("[links]\nbind_ip = {how:?}")))
    };
    let with = json!({ "user": "joe", "ip": "203.0.113.7" });
    let without = json!({ "user": "joe" });

    let gate = bind("off").await;
    assert_eq!(gate.api().post_json("/v1/links", &without).await.status, 201);
    let answer = gate.api().post_json("/v1/links", &with).await;
    assert_eq!((answer.status, answer.code().as_str()), (422, "invalid_request"));
    gate.stop().await;

    let gate = bind("required").await;
    assert_eq!(gate.api().post_json("/v1/links", &with).await.status, 201);
    let answer = gate.api().post_json("/v1/links", &without).await;
    assert_eq!((answer.status, answer.code().as_str()), (422, "ip_required"));
    let answer = gate.api().post_json("/v1/links", &json!({ "user": "joe", "ip": [] })).await;
    assert_eq!((answer.status, answer.code().as_str()), (422, "invalid_request"));
    gate.stop().await;
}
