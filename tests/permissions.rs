//! Who may call, from where, and what for: the key, the network, and each of a caller's limits.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use serde_json::{Value, json};
use support::{
    gate::{BILLING, Gate, Link, NARROW, key_hash},
    http::{Answer, Client},
    tokens::claims_of,
    vendors,
};

const JSON: (&str, &str) = ("Content-Type", "application/json");

fn assert_refused(answer: &Answer, status: u16, code: &str, of: &dyn std::fmt::Display) {
    let told = (answer.status, answer.code());
    assert_eq!(told, (status, code.to_owned()), "{of}: {}", answer.text());
}

/// A gate whose caller `billing` has these further lines.
async fn billing_with(lines: &str) -> Gate {
    let of_billing = "rate = \"1000/s\"";
    Gate::with(|text| text.replace(of_billing, &format!("{of_billing}\n{lines}"))).await
}

#[tokio::test]
async fn nobody_calls_without_a_key_that_is_known_to_the_last_character() {
    let gate = Gate::start().await;
    let near = [
        BILLING[..BILLING.len() - 1].to_owned(),
        format!("{BILLING}x"),
        BILLING.to_uppercase(),
        BILLING.replacen('b', "c", 1),
        format!(" {BILLING}"),
        format!("\"{BILLING}\""),
        format!("{BILLING}, Bearer {NARROW}"),
        key_hash(BILLING),
        "x".to_owned(),
        "x".repeat(8_000),
    ];
    let mut lines: Vec<String> = near.iter().map(|key| format!("Bearer {key}")).collect();
    lines.extend(["Bearer", "Bearer ", "", BILLING, "Basic YmlsbGluZzo="].map(str::to_owned));
    lines.extend(
        ["Token", "Basic", "Digest", "Bearer:", "Bearer\t", "DPoP"]
            .map(|scheme| format!("{scheme} {BILLING}")),
    );
    assert!(!lines.is_empty());
    for line in &lines {
        let headers = [JSON, ("Authorization", line.as_str())];
        let client = Client::new(gate.api_at());
        let answer = client.request("POST", "/v1/links", &headers, br#"{"user":"joe"}"#).await;
        assert_refused(&answer, 401, "unauthorized", line);
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"oncegate\""));
        assert!(!answer.text().contains(BILLING), "{line}");
    }
    for client in
        [Client::new(gate.api_at()), Client::new(gate.api_at()).header("X-Api-Key", BILLING)]
    {
        let answer = client.post_json("/v1/links", &json!({ "user": "joe" })).await;
        assert_refused(&answer, 401, "unauthorized", &"no credentials");
    }
    gate.stop().await;
}

#[tokio::test]
async fn two_sets_of_credentials_count_as_none() {
    let gate = Gate::start().await;
    for (one, other) in [(BILLING, BILLING), (BILLING, "wrong"), ("wrong", BILLING), (BILLING, "")]
    {
        let client = Client::new(gate.api_at()).bearer(one).bearer(other);
        let answer = client.post_json("/v1/links", &json!({ "user": "joe" })).await;
        assert_refused(&answer, 401, "unauthorized", &format!("{one} {other}"));
    }
    gate.stop().await;
}

#[tokio::test]
async fn every_path_asks_for_the_key_first() {
    let gate = Gate::start().await;
    for path in [
        "/v1/links",
        "/v1/links/batch",
        "/v1/redeem",
        "/v1/inspect",
        "/v1/revocations",
        "/v1/nothing",
        "/",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            let answer = gate.api_as(None).request(method, path, &[], b"").await;
            assert_refused(&answer, 401, "unauthorized", &format!("{method} {path}"));
        }
    }
    gate.stop().await;
}

#[tokio::test]
async fn each_of_a_callers_keys_is_taken_and_the_scheme_in_any_case() {
    let second = "og_the-next-key";
    let gate = Gate::with(|text| {
        let known = key_hash(BILLING);
        text.replace(&format!("[\"{known}\"]"), &format!("[\"{known}\", \"{}\"]", key_hash(second)))
    })
    .await;
    for line in
        [format!("Bearer {BILLING}"), format!("bearer {second}"), format!("BEARER {BILLING}")]
    {
        let client = Client::new(gate.api_at()).header("Authorization", &line);
        let answer = client.post_json("/v1/links", &json!({ "user": "joe" })).await;
        assert_eq!(answer.status, 201, "{line}: {}", answer.text());
        assert_eq!(claims_of(&Link::of(&answer.json()).token)["act"]["sub"], "billing");
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_caller_opens_its_own_sites_only_and_does_not_learn_of_others() {
    let gate = Gate::start().await;
    let mut details = Vec::new();
    for site in ["shop", "nothing", "", "PANEL", "pane", "panel.example.com"] {
        let ask = json!({ "user": "joe", "site": site });
        let answer = gate.api().post_json("/v1/links", &ask).await;
        assert_refused(&answer, 403, "forbidden", &site);
        details.push(answer.json()["detail"].clone());
    }
    details.dedup();
    assert_eq!(details.len(), 1, "a site that exists is told from one that does not: {details:?}");
    gate.stop().await;
}

#[tokio::test]
async fn a_caller_signs_in_its_own_users_only() {
    let gate = billing_with("users = [\"test-*\", 18]").await;
    for user in ["test-", "test-1", "test-a/b", "18"] {
        gate.link(json!({ "user": user })).await;
    }
    for user in
        ["joe", "Test-1", "atest-1", "test", "118", "180", "*", "test-*/../joe x".get(8..).unwrap()]
    {
        let answer = gate.api().post_json("/v1/links", &json!({ "user": user })).await;
        assert_refused(&answer, 403, "forbidden", &user);
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_caller_names_its_own_destinations_only_however_they_are_spelled() {
    let gate = billing_with(
        "destinations = [\"home\", \"/help/*\", \"https://docs.example.com/manual/a*\"]",
    )
    .await;
    let own = [
        "home",
        "/help/a",
        "/help/a/b?c#d",
        "https://panel.example.com/help/a",
        "https://PANEL.example.com:443/help/a",
        "https://docs.example.com/manual/about",
    ];
    for destination in own {
        gate.link(json!({ "destination": destination })).await;
    }
    let others = [
        json!({}), // it needs "*" to leave the destination to the visitor
        json!({ "destination": "/" }),
        json!({ "destination": "/help" }),
        json!({ "destination": "/Help/a" }),
        json!({ "destination": "/admin" }),
        json!({ "destination": "/admin?x=/help/a" }),
        json!({ "destination": "/admin#https://docs.example.com/manual/a" }),
        json!({ "destination": "/%68elp/a" }),
        json!({ "destination": "/help/../admin" }),
        json!({ "destination": "/help/%2e%2e/admin" }),
        json!({ "destination": "/help/..%2fadmin" }),
        json!({ "destination": "/help//admin" }),
        json!({ "destination": "https://panel.example.com/" }),
        json!({ "destination": "https://panel.example.com/admin" }),
        json!({ "destination": "https://panel.example.com/admin?x=/help/a" }),
        json!({ "destination": "https://docs.example.com/manual/b" }),
        json!({ "destination": "https://evil.example.org/help/a" }),
        json!({ "destination": "invoice", "destination_values": [7] }),
    ];
    for mut ask in others {
        ask["user"] = json!("joe");
        let answer = gate.api().post_json("/v1/links", &ask).await;
        assert_refused(&answer, 403, "destination_not_allowed", &ask);
    }
    for name in ["nothing", "Home", "", "*"] {
        let ask = json!({ "user": "joe", "destination": name });
        let answer = gate.api().post_json("/v1/links", &ask).await;
        assert_refused(&answer, 422, "unknown_destination", &name);
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_destination_without_a_name_needs_the_one_glob_that_is_everything() {
    for (globs, status) in [
        (r#"["*"]"#, 201),
        (r#"["home", "*"]"#, 201),
        (r#"["**"]"#, 403),
        (r#"["?*"]"#, 403),
        ("[]", 403),
    ] {
        let gate = billing_with(&format!("destinations = {globs}")).await;
        let answer = gate.api().post_json("/v1/links", &json!({ "user": "joe" })).await;
        assert_eq!(answer.status, status, "{globs}: {}", answer.text());
        gate.stop().await;
    }
}

#[tokio::test]
async fn a_caller_sets_its_own_claims_only() {
    let gate = Gate::start().await;
    for name in ["admin", "Plan", "plans", "", "user", "sub", "pla\u{6e}\u{301}"] {
        let ask = json!({ "user": "joe", "claims": { "plan": "gold", name: 1 } });
        let answer = gate.api().post_json("/v1/links", &ask).await;
        assert_refused(&answer, 403, "forbidden", &name);
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("claims."), "{detail}");
    }
    // A caller without a list sets none, not even where the site maps none.
    let ask = json!({ "user": "test-1", "site": "shop", "destination": "/help/a", "claims": { "plan": 1 } });
    let answer = gate.api_as(Some(NARROW)).post_json("/v1/links", &ask).await;
    assert_refused(&answer, 403, "forbidden", &"narrow");
    gate.stop().await;

    let gate = Gate::with(|text| text.replace(r#"["plan", "note"]"#, r#"["p*"]"#)).await;
    gate.link(json!({ "claims": { "plan": 1, "p": 2 } })).await;
    let ask = json!({ "user": "joe", "claims": { "note": 1 } });
    assert_refused(&gate.api().post_json("/v1/links", &ask).await, 403, "forbidden", &"note");
    gate.stop().await;
}

#[tokio::test]
async fn each_call_has_its_own_permission() {
    let token = json!({ "token": "a.b.c" });
    let joe = json!({ "user": "joe" });
    let calls: [(&str, &str, &str, Value); 6] = [
        ("issue", "POST", "/v1/links", joe.clone()),
        ("issue", "POST", "/v1/links/batch", json!([joe.clone()])),
        ("redeem", "POST", "/v1/redeem", token.clone()),
        ("inspect", "POST", "/v1/inspect", token),
        ("revoke", "POST", "/v1/revocations", joe),
        ("revoke", "DELETE", "/v1/links/AAAAAAAAAAAAAAAAAAAAAA", Value::Null),
    ];
    for may in ["issue", "redeem", "inspect", "revoke"] {
        let all = r#"["issue", "redeem", "revoke", "inspect"]"#;
        let gate = Gate::with(|text| text.replace(all, &format!("[{may:?}]"))).await;
        for (needs, method, path, body) in &calls {
            let body = body.to_string();
            let answer = gate.api().request(method, path, &[JSON], body.as_bytes()).await;
            if *needs == may {
                assert_ne!(answer.code(), "forbidden", "{may}: {path}");
            } else {
                assert_refused(&answer, 403, "forbidden", &format!("{may}: {path}"));
            }
        }
        gate.stop().await;
    }
}

#[tokio::test]
async fn a_caller_that_says_nothing_may_issue_and_nothing_else() {
    let gate = Gate::start().await;
    let api = gate.api_as(Some(NARROW));
    let ask = json!({ "user": "test-1", "site": "panel", "destination": "home" });
    let link = Link::of(&api.post_json("/v1/links", &ask).await.json());
    let token = json!({ "token": link.token });
    for path in ["/v1/redeem", "/v1/inspect"] {
        assert_refused(&api.post_json(path, &token).await, 403, "forbidden", &path);
    }
    let user = json!({ "user": "test-1" });
    assert_refused(&api.post_json("/v1/revocations", &user).await, 403, "forbidden", &"user");
    let one = format!("/v1/links/{}", link.id);
    assert_refused(&api.delete(&one).await, 403, "forbidden", &one);
    assert_eq!(gate.redeem(&link.token).await.status, 200);
    gate.stop().await;
}

#[tokio::test]
async fn a_caller_calls_from_its_own_networks_only() {
    let ask = json!({ "user": "joe" });
    for (from, status) in [
        (r#"["127.0.0.0/8"]"#, 201),
        (r#"["::ffff:127.0.0.1"]"#, 201),
        (r#"["203.0.113.0/24", "127.0.0.1"]"#, 201),
        (r#"["203.0.113.0/24"]"#, 403),
        (r#"["::/0"]"#, 403),
    ] {
        let gate = billing_with(&format!("from = {from}")).await;
        // What a header says of the address does not count here.
        let api = gate.api().header("X-Forwarded-For", "203.0.113.7");
        let answer = api.post_json("/v1/links", &ask).await;
        assert_eq!(answer.status, status, "{from}: {}", answer.text());
        gate.stop().await;
    }
}

#[tokio::test]
async fn a_caller_behind_a_trusted_proxy_calls_from_where_the_proxy_says() {
    let gate = Gate::with(|text| {
        text.replace(
            "api = \"127.0.0.1:0\"",
            "api = \"127.0.0.1:0\"\napi_client_ip = \"x-forwarded-for\"\n\
             trusted_proxies = [\"127.0.0.1\"]",
        )
        .replace("rate = \"1000/s\"", "rate = \"1000/s\"\nfrom = [\"203.0.113.0/24\"]")
    })
    .await;
    let ask = json!({ "user": "joe" });
    for (said, status) in [
        ("203.0.113.7", 201),
        ("198.51.100.1, 203.0.113.7", 201),
        ("203.0.113.7, 127.0.0.1", 201),
        ("203.0.113.7, 198.51.100.1", 403),
        ("unknown", 403),
        ("203.0.113.7, garbage", 403),
    ] {
        let answer = gate.api().header("X-Forwarded-For", said).post_json("/v1/links", &ask).await;
        assert_eq!(answer.status, status, "{said}: {}", answer.text());
    }
    let answer = gate.api().post_json("/v1/links", &ask).await;
    assert_refused(&answer, 403, "forbidden", &"the proxy itself");
    gate.stop().await;
}

#[tokio::test]
async fn a_caller_is_held_to_its_rate_and_no_other_pays_for_it() {
    let gate = Gate::start().await;
    let api = gate.api_as(Some(NARROW));
    let ask = json!({ "user": "test-1", "site": "panel", "destination": "home" });
    for _ in 0..2 {
        assert_eq!(api.post_json("/v1/links", &ask).await.status, 201);
    }
    let answer = api.post_json("/v1/links", &ask).await;
    assert_refused(&answer, 429, "rate_limited", &"the third");
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=1_800).contains(&wait), "{wait}");
    gate.link(json!({})).await;
    gate.stop().await;
}

#[tokio::test]
async fn a_resellers_manager_gets_no_link_but_in_its_dialect() {
    let gate = vendors::start().await;
    let api = gate.api_as(Some(vendors::PLATFORM));
    for user in ["joe", "owner@example.com", "other@example.com", "nobody"] {
        let ask = json!({ "user": user });
        for (path, ask) in [("/v1/links", ask.clone()), ("/v1/links/batch", json!([ask]))] {
            let answer = api.post_json(path, &ask).await;
            assert_refused(&answer, 403, "forbidden", &format!("{path} {user}"));
            assert_eq!(answer.json()["detail"], "a reseller's manager asks in its dialect");
        }
    }
    let path = "/api/v3/resellers/7/user_authentication/token?account_id=505";
    let client = gate.api_as(None).header("X-Api-Token", vendors::PLATFORM);
    assert_eq!(client.get(path).await.status, 200);
    let others = gate.api_as(Some(vendors::WISECP));
    assert_eq!(others.post_json("/v1/links", &json!({ "user": "joe" })).await.status, 201);
    gate.stop().await;
}
