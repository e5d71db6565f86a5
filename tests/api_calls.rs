//! The other calls of the API: redeem, inspect, take back a link, take back all of a user.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use serde_json::{Value, json};
use support::{
    gate::{Gate, Link, NARROW, NOW, cookie_of},
    http::Answer,
    tokens::resigned,
};

async fn post(gate: &Gate, path: &str, body: Value) -> Answer {
    gate.api().post_json(path, &body).await
}

fn told(answer: &Answer) -> (u16, String) {
    (answer.status, answer.code())
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

/// A gate whose caller `narrow` may do everything with its own users, at a good rate.
async fn narrow_may() -> Gate {
    Gate::with(|text| {
        let may = "rate = \"100/s\"\nmay = [\"issue\", \"redeem\", \"revoke\", \"inspect\"]";
        text.replace("rate = \"2/h\"", may)
    })
    .await
}

/// A link of `narrow`, for `test-1`.
async fn of_narrow(gate: &Gate, site: &str) -> Link {
    let ask = json!({ "user": "test-1", "site": site, "destination": "/help/a" });
    Link::of(&gate.api_as(Some(NARROW)).post_json("/v1/links", &ask).await.json())
}

#[tokio::test]
async fn a_redemption_says_all_that_the_contract_says_and_works_once() {
    let gate = Gate::start().await;
    let link = gate
        .link(json!({
            "destination": "invoice", "destination_values": [7], "claims": { "plan": "gold" },
            "ttl": 120,
        }))
        .await;
    gate.clock.set(NOW + 5);
    let answer = gate.redeem(&link.token).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("set-cookie"), None);
    assert_eq!(
        answer.json(),
        json!({
            "id": link.id, "user": "joe", "site": "panel",
            "destination": "/clientarea/invoices/7", "claims": { "plan": "gold" },
            "caller": "billing", "issued_at": "2025-11-24T16:00:00Z",
            "expires_at": "2025-11-24T16:02:00Z",
        })
    );
    for _ in 0..2 {
        assert_eq!(told(&gate.redeem(&link.token).await), refused(410, "already_used"));
    }
    // The page and the API share one memory, in both directions.
    assert_eq!(gate.open(&link).await.status, 410);
    let opened = gate.link(json!({})).await;
    assert_eq!(gate.open(&opened).await.status, 303);
    assert_eq!(told(&gate.redeem(&opened.token).await), refused(410, "already_used"));
    gate.stop().await;
}

#[tokio::test]
async fn a_redemption_of_a_plain_link_has_no_destination_and_no_claims() {
    let gate = Gate::start().await;
    let redeemed = gate.redeem(&gate.link(json!({})).await.token).await.json();
    assert_eq!((&redeemed["destination"], &redeemed["claims"]), (&Value::Null, &json!({})));
    assert_eq!(redeemed.as_object().unwrap().len(), 8);
    gate.stop().await;
}

#[tokio::test]
async fn a_bound_token_is_redeemed_with_the_visitors_address_alone() {
    let gate = Gate::start().await;
    let link = gate.link(json!({ "ip": ["203.0.113.0/24", "2001:db8:1:2::3"] })).await;
    let with = |ip: Value| post(&gate, "/v1/redeem", json!({ "token": link.token, "ip": ip }));
    for ip in [Value::Null, json!("127.0.0.1"), json!("203.0.114.1"), json!("2001:db8:1:3::3")] {
        assert_eq!(told(&with(ip.clone()).await), refused(403, "wrong_client"), "{ip}");
    }
    let unreadable = [
        json!(""),
        json!("203.0.113.7/32"),
        json!("203.0.113.7:80"),
        json!("[2001:db8::1]"),
        json!("unknown"),
        json!(["203.0.113.7"]),
        json!(7),
    ];
    for ip in unreadable {
        assert_eq!(told(&with(ip.clone()).await), refused(422, "invalid_request"), "{ip}");
    }
    // None of this has spent it. IPv4-mapped IPv6 is IPv4.
    assert_eq!(with(json!("::ffff:203.0.113.200")).await.status, 200);
    assert_eq!(told(&with(json!("203.0.113.200")).await), refused(410, "already_used"));
    gate.stop().await;
}

#[tokio::test]
async fn the_callers_own_address_does_not_stand_in_for_the_visitors() {
    let gate = Gate::start().await;
    let link = gate.link(json!({ "ip": "127.0.0.1" })).await;
    assert_eq!(told(&gate.redeem(&link.token).await), refused(403, "wrong_client"));
    let inspected = post(&gate, "/v1/inspect", json!({ "token": link.token })).await.json();
    assert_eq!(inspected["code"], "wrong_client");
    let ask = json!({ "token": link.token, "ip": "127.0.0.1" });
    assert_eq!(post(&gate, "/v1/redeem", ask).await.status, 200);
    gate.stop().await;
}

#[tokio::test]
async fn a_caller_redeems_and_inspects_tokens_of_its_own_sites_only() {
    let gate = narrow_may().await;
    let shop = of_narrow(&gate, "shop").await;
    let ask = json!({ "token": shop.token });
    assert_eq!(told(&post(&gate, "/v1/redeem", ask.clone()).await), refused(403, "wrong_audience"));
    let inspected = post(&gate, "/v1/inspect", ask.clone()).await.json();
    assert_eq!(
        (&inspected["valid"], &inspected["code"]),
        (&json!(false), &json!("wrong_audience"))
    );
    assert!(inspected.get("user").is_none(), "another's token is read out: {inspected}");
    // The site it is meant for, where the request says one.
    let narrow = gate.api_as(Some(NARROW));
    for site in ["panel", "nothing", ""] {
        let ask = json!({ "token": shop.token, "site": site });
        let answer = narrow.post_json("/v1/redeem", &ask).await;
        assert_eq!(told(&answer), refused(403, "wrong_audience"), "{site}");
    }
    let ask = json!({ "token": shop.token, "site": "shop" });
    assert_eq!(narrow.post_json("/v1/redeem", &ask).await.json()["site"], "shop");
    gate.stop().await;
}

#[tokio::test]
async fn a_fault_of_a_redeem_or_inspect_request_is_named() {
    let gate = Gate::start().await;
    let token = gate.link(json!({})).await.token;
    let wrong = [
        ("token", json!({})),
        ("token", json!({ "token": null })),
        ("token", json!({ "token": [token] })),
        ("site", json!({ "token": token, "site": 1 })),
        ("user", json!({ "token": token, "user": "joe" })),
    ];
    for path in ["/v1/redeem", "/v1/inspect"] {
        for (field, ask) in &wrong {
            let answer = post(&gate, path, ask.clone()).await;
            assert_eq!(told(&answer), refused(422, "invalid_request"), "{path} {ask}");
            let detail = answer.json()["detail"].as_str().unwrap().to_owned();
            assert!(detail.starts_with(&format!("{field}: ")), "{path}: {detail}");
            assert!(!answer.text().contains(&token), "{path} shows a whole token");
        }
        assert_eq!(told(&post(&gate, path, json!([])).await), refused(400, "invalid_request"));
    }
    assert_eq!(gate.redeem(&token).await.status, 200);
    gate.stop().await;
}

#[tokio::test]
async fn early_data_spends_nothing() {
    let gate = Gate::start().await;
    let link = gate.link(json!({})).await;
    let early = gate.api().header("Early-Data", "1");
    let answer = early.post_json("/v1/redeem", &json!({ "token": link.token })).await;
    assert_eq!(told(&answer), refused(425, "too_early"));
    assert_eq!(gate.redeem(&link.token).await.status, 200);
    gate.stop().await;
}

#[tokio::test]
async fn an_inspection_tells_what_would_happen_and_spends_nothing() {
    let gate = Gate::start().await;
    let link = gate.link(json!({ "claims": { "plan": 1 }, "ip": "203.0.113.7" })).await;
    let inspect = |ip: Value| post(&gate, "/v1/inspect", json!({ "token": link.token, "ip": ip }));
    let visitor = json!("203.0.113.7");
    let good = json!({
        "valid": true, "id": link.id, "user": "joe", "site": "panel", "destination": null,
        "claims": { "plan": 1 }, "caller": "billing", "issued_at": "2025-11-24T16:00:00Z",
        "expires_at": "2025-11-24T16:01:00Z",
    });
    for _ in 0..2 {
        let answer = inspect(visitor.clone()).await;
        assert_eq!((answer.status, answer.json()), (200, good.clone()));
    }
    let elsewhere = inspect(json!("203.0.113.8")).await.json();
    assert_eq!((&elsewhere["valid"], &elsewhere["code"]), (&json!(false), &json!("wrong_client")));
    let ask = json!({ "token": link.token, "ip": visitor });
    assert_eq!(post(&gate, "/v1/redeem", ask).await.status, 200);
    let used = inspect(visitor.clone()).await.json();
    assert_eq!((&used["valid"], &used["code"]), (&json!(false), &json!("already_used")));
    assert_eq!(used["user"], "joe");
    gate.clock.set(NOW + 60);
    assert_eq!(inspect(visitor).await.json()["code"], "expired");
    let junk = post(&gate, "/v1/inspect", json!({ "token": "junk" })).await;
    assert_eq!(junk.status, 200);
    assert_eq!((&junk.json()["valid"], &junk.json()["code"]), (&json!(false), &json!("malformed")));
    assert!(junk.json().get("user").is_none());
    gate.stop().await;
}

#[tokio::test]
async fn nothing_is_believed_of_a_token_that_nobody_signed() {
    let gate = Gate::start().await;
    let (one, other) = (gate.link(json!({})).await, gate.link(json!({})).await);
    let forged = support::tokens::with_signature_of(&one.token, &other.token);
    let inspected = post(&gate, "/v1/inspect", json!({ "token": forged })).await.json();
    assert_eq!(inspected["code"], "bad_signature");
    assert_eq!(inspected.as_object().unwrap().len(), 3, "{inspected}"); // valid, code, title
    gate.stop().await;
}

#[tokio::test]
async fn a_link_that_was_taken_back_works_no_more_and_the_others_still_do() {
    let gate = Gate::start().await;
    let (taken, kept) = (gate.link(json!({})).await, gate.link(json!({})).await);
    for _ in 0..2 {
        let answer = gate.api().delete(&format!("/v1/links/{}", taken.id)).await;
        assert_eq!((answer.status, answer.body.len()), (204, 0));
    }
    let inspected = post(&gate, "/v1/inspect", json!({ "token": taken.token })).await.json();
    assert_eq!((&inspected["valid"], &inspected["code"]), (&json!(false), &json!("revoked")));
    assert_eq!(told(&gate.redeem(&taken.token).await), refused(410, "revoked"));
    assert_eq!(gate.open(&taken).await.status, 410);
    assert_eq!(gate.redeem(&kept.token).await.status, 200);
    let gate = gate.restart().await;
    assert_eq!(told(&gate.redeem(&taken.token).await), refused(410, "revoked"));
    gate.stop().await;
}

#[tokio::test]
async fn what_is_no_id_is_taken_back_by_nobody() {
    let gate = Gate::start().await;
    let wrong = [
        "x",
        "AAAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAB",
        "AAAAAAAAAAAAAAAAAAAAA=",
        "%41AAAAAAAAAAAAAAAAAAAAA",
        "",
    ];
    for id in wrong {
        let answer = gate.api().delete(&format!("/v1/links/{id}")).await;
        assert_eq!(told(&answer), refused(422, "invalid_request"), "{id}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn nobody_takes_back_a_link_of_a_site_or_a_user_that_is_not_its_own() {
    let gate = narrow_may().await;
    let narrow = gate.api_as(Some(NARROW));
    // `narrow` has the site, but not joe; `billing` has all users, but not the shop.
    let of_joe = gate.link(json!({})).await;
    assert_eq!(narrow.delete(&format!("/v1/links/{}", of_joe.id)).await.status, 204);
    assert_eq!(gate.redeem(&of_joe.token).await.status, 200);
    let of_shop = of_narrow(&gate, "shop").await;
    assert_eq!(gate.api().delete(&format!("/v1/links/{}", of_shop.id)).await.status, 204);
    let redeemed = narrow.post_json("/v1/redeem", &json!({ "token": of_shop.token })).await;
    assert_eq!(redeemed.status, 200, "{}", redeemed.text());
    // On the panel `billing` has every user: a link of another caller is within its reach.
    let of_panel = of_narrow(&gate, "panel").await;
    assert_eq!(gate.api().delete(&format!("/v1/links/{}", of_panel.id)).await.status, 204);
    assert_eq!(told(&gate.redeem(&of_panel.token).await), refused(410, "revoked"));
    gate.stop().await;
}

#[tokio::test]
async fn all_links_and_sessions_of_a_user_are_taken_back_and_nobody_elses() {
    let gate = Gate::start().await;
    let cookie = gate.sign_in().await;
    let (link, of_ann) = (gate.link(json!({})).await, gate.link(json!({ "user": "ann" })).await);
    let signed_in = async |cookie: &str| {
        gate.browser().get_with("/_once/session", &[("cookie", cookie)]).await.status
    };
    assert_eq!(signed_in(&cookie).await, 200);
    let answer = post(&gate, "/v1/revocations", json!({ "user": "joe" })).await;
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    assert_eq!(told(&gate.redeem(&link.token).await), refused(410, "revoked"));
    assert_eq!(signed_in(&cookie).await, 401);
    assert_eq!(gate.redeem(&of_ann.token).await.status, 200);
    // "Up to now": what comes later is not concerned.
    gate.clock.set(NOW + 1);
    let later = gate.link(json!({})).await;
    let answer = gate.open(&later).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert_eq!(signed_in(&cookie_of(&answer)).await, 200);
    gate.stop().await;
}

#[tokio::test]
async fn a_revocation_stays_within_the_callers_sites_and_users() {
    let gate = narrow_may().await;
    let narrow = gate.api_as(Some(NARROW));
    let wrong = [
        (json!({ "user": "joe" }), 403, "forbidden"),
        (json!({ "user": "test-1", "site": "nothing" }), 403, "forbidden"),
        (json!({ "user": "" }), 422, "invalid_request"),
        (json!({ "user": "test-1\n" }), 422, "invalid_request"),
        (json!({}), 422, "invalid_request"),
        (json!({ "user": "test-1", "sites": ["panel"] }), 422, "invalid_request"),
        (json!(["test-1"]), 400, "invalid_request"),
    ];
    for (ask, status, code) in wrong {
        let answer = narrow.post_json("/v1/revocations", &ask).await;
        assert_eq!(told(&answer), refused(status, code), "{ask}");
    }
    let answer = post(&gate, "/v1/revocations", json!({ "user": "test-1", "site": "shop" })).await;
    assert_eq!(told(&answer), refused(403, "forbidden"));

    let redeem = async |link: &Link| {
        narrow.post_json("/v1/redeem", &json!({ "token": link.token })).await.status
    };
    let (panel, shop) = (of_narrow(&gate, "panel").await, of_narrow(&gate, "shop").await);
    // `billing` has one site: that is what it takes back from.
    assert_eq!(post(&gate, "/v1/revocations", json!({ "user": "test-1" })).await.status, 204);
    assert_eq!((redeem(&panel).await, redeem(&shop).await), (410, 200));
    let shop = of_narrow(&gate, "shop").await;
    assert_eq!(narrow.post_json("/v1/revocations", &json!({ "user": "test-1" })).await.status, 204);
    assert_eq!(redeem(&shop).await, 410);
    gate.stop().await;
}

#[tokio::test]
async fn a_token_that_claims_another_site_than_it_was_issued_for_is_no_way_in() {
    let gate = Gate::start().await;
    let token = gate.link(json!({})).await.token;
    let other = resigned(&gate, &token, |claims| "nothing".clone_into(&mut claims.aud));
    assert_eq!(told(&gate.redeem(&other).await), refused(403, "wrong_audience"));
    gate.stop().await;
}
