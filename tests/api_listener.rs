//! Keys do not cross a network in the clear: where the API may be reached, and how it knows.

mod support;

use oncegate::config::Config;
use serde_json::json;
use support::{
    gate::{BILLING, Gate, usual},
    http::{Answer, Client, raw},
    upstream::Upstream,
};

/// A gate whose API listens on every address, with these further lines about it.
async fn off_loopback(lines: &'static str) -> Gate {
    let open = format!("api = \"0.0.0.0:0\"\n{lines}");
    Gate::with(move |text| text.replace("api = \"127.0.0.1:0\"", &open)).await
}

async fn ask(client: &Client) -> Answer {
    client.post_json("/v1/links", &json!({ "user": "joe" })).await
}

#[tokio::test]
async fn off_loopback_a_trusted_proxy_must_say_that_it_was_https() {
    let gate = off_loopback("trusted_proxies = [\"127.0.0.0/8\"]").await;
    let said = |proto: &str| gate.api().header("X-Forwarded-Proto", proto);
    assert_eq!(ask(&said("https")).await.status, 201);
    let refused = [
        gate.api(),
        said("http"),
        said(""),
        said("wss"),
        said("httpss"),
        said("http, https"),
        said("https, http"),
        said("https").header("X-Forwarded-Proto", "http"),
        said("http").header("X-Forwarded-Proto", "https"),
        gate.api().header("Forwarded", "proto=https"),
        gate.api().header("X-Forwarded-Ssl", "on"),
    ];
    for client in refused {
        let answer = ask(&client).await;
        let told = (answer.status, answer.code());
        assert_eq!(told, (403, "forbidden".to_owned()), "{client:?}: {}", answer.text());
        assert!(answer.text().contains("https") && !answer.text().contains(BILLING));
    }
    gate.stop().await;
}

#[tokio::test]
async fn off_loopback_it_is_refused_before_the_key_is_looked_at() {
    let gate = off_loopback("trusted_proxies = [\"127.0.0.0/8\"]").await;
    for key in [None, Some("wrong"), Some(BILLING)] {
        let answer = ask(&gate.api_as(key)).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"), "{key:?}");
        assert_eq!(gate.api_as(key).get("/openapi.json").await.status, 403, "{key:?}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn anybody_elses_word_that_it_was_https_does_not_count() {
    let gate = off_loopback("trusted_proxies = [\"203.0.113.0/24\"]").await;
    let client = gate.api().header("X-Forwarded-Proto", "https");
    let forged = client.clone().header("X-Forwarded-For", "203.0.113.7");
    for client in [client, forged] {
        let answer = ask(&client).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"));
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_network_that_is_vouched_for_may_carry_keys_and_is_warned_of() {
    let gate = off_loopback("insecure_api = true").await;
    assert_eq!(ask(&gate.api()).await.status, 201);
    let warnings = &gate.running.as_ref().unwrap().gate.config.warnings;
    assert!(warnings.iter().any(|warning| warning.contains("insecure_api")), "{warnings:?}");
    gate.stop().await;
}

#[tokio::test]
async fn on_loopback_the_header_has_no_say() {
    let gate = Gate::start().await;
    for proto in ["http", "https", "x"] {
        assert_eq!(ask(&gate.api().header("X-Forwarded-Proto", proto)).await.status, 201);
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_listener_that_could_not_know_is_refused_with_the_configuration() {
    let upstream = Upstream::start().await;
    let text = usual(&upstream).replace("api = \"127.0.0.1:0\"", "api = \"0.0.0.0:0\"");
    let dir = tempfile::tempdir().unwrap();
    let faults = Config::parse(&text, "oncegate.toml", dir.path(), std::iter::empty());
    let faults = faults.expect_err("an API in the clear").to_string();
    assert!(faults.contains("listen.api") && faults.contains("in the clear"), "{faults}");
}

#[tokio::test]
async fn a_request_that_does_not_read_one_way_only_is_refused() {
    let gate = Gate::start().await;
    let body = "Content-Type: application/json\r\nContent-Length: 14\r\n\r\n{\"user\":\"joe\"}";
    let key = format!("Authorization: Bearer {BILLING}\r\n");
    let post = "POST /v1/links HTTP/1.1\r\n";
    let good = raw(gate.api_at(), format!("{post}Host: x\r\n{key}{body}")).await;
    assert_eq!(good.status, 201, "{}", good.text());
    let heads = [
        post.to_owned(),
        format!("{post}Host: x\r\nHost: x\r\n"),
        format!("{post}Host:\r\n"),
        format!("{post}Host: a@b\r\n"),
        format!("{post}Host: a, b\r\n"),
        "POST http://y/v1/links HTTP/1.1\r\nHost: x\r\n".to_owned(),
        "POST /v1\\links HTTP/1.1\r\nHost: x\r\n".to_owned(),
        "POST /v1/links%00 HTTP/1.1\r\nHost: x\r\n".to_owned(),
        "POST * HTTP/1.1\r\nHost: x\r\n".to_owned(),
    ];
    for head in heads {
        let answer = raw(gate.api_at(), format!("{head}{key}{body}")).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_request"), "{head}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn every_answer_names_its_request_and_is_kept_by_nobody() {
    let gate = Gate::start().await;
    let answers = [
        ask(&gate.api()).await,
        ask(&gate.api_as(None)).await,
        gate.api().get("/nothing").await,
        gate.api().delete("/v1/links/AAAAAAAAAAAAAAAAAAAAAA").await,
        gate.api().get("/openapi.json").await,
    ];
    let mut ids = std::collections::HashSet::new();
    for answer in &answers {
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert!(ids.insert(answer.header("x-request-id").unwrap().to_owned()));
    }
    gate.stop().await;
}
