//! Asking for many links at once: each is judged for itself, in order, and all count.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use serde_json::{Value, json};
use support::{
    gate::{Gate, Link, NARROW},
    http::Answer,
    tokens::claims_of,
};

const BATCH: &str = "/v1/links/batch";
const JSON: (&str, &str) = ("Content-Type", "application/json");

fn many(count: usize) -> Value {
    (0..count).map(|number| json!({ "user": format!("user-{number}") })).collect()
}

fn items(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json().as_array().unwrap().clone()
}

#[tokio::test]
async fn links_and_problems_stand_in_the_order_they_were_asked_for() {
    let gate = Gate::start().await;
    let asked = json!([
        { "user": "ann", "destination": "invoice", "destination_values": [1] },
        { "user": "joe", "site": "shop" },
        { "user": "joe", "ttl": 301 },
        { "user": "" },
        7,
        { "user": "joe", "destination": "nothing" },
        { "user": "joe", "destination": "https://evil.example.org/" },
        { "user": "joe", "clams": {} },
        { "user": "zoe", "ttl": 1 },
        [],
    ]);
    let expected = [
        (201, ""),
        (403, "forbidden"),
        (422, "ttl_too_long"),
        (422, "invalid_request"),
        (400, "invalid_request"),
        (422, "unknown_destination"),
        (403, "destination_not_allowed"),
        (422, "invalid_request"),
        (201, ""),
        (400, "invalid_request"),
    ];
    let answer = gate.api().post_json(BATCH, &asked).await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let items = items(&answer);
    assert_eq!(items.len(), expected.len());
    for (item, (status, code)) in items.iter().zip(expected) {
        if status == 201 {
            let token = item["token"].as_str().unwrap();
            assert_eq!(item["url"], format!("https://panel.example.com/_once/l/{token}"));
            assert_eq!(item.as_object().unwrap().len(), 5, "{item}");
        } else {
            assert_eq!(item["code"], code, "{item}");
            assert_eq!(item["status"], status, "{item}");
            assert_eq!(item["type"], format!("urn:oncegate:problem:{code}"), "{item}");
            assert!(item["title"].is_string() && item["token"].is_null(), "{item}");
        }
    }
    let (first, last) = (Link::of(&items[0]), Link::of(&items[8]));
    assert_eq!(claims_of(&first.token)["sub"], "ann");
    assert_eq!(claims_of(&last.token)["sub"], "zoe");
    for link in [first, last] {
        assert_eq!(gate.redeem(&link.token).await.status, 200);
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_batch_has_1_to_1000_requests() {
    let gate = Gate::start().await;
    let items = items(&gate.api().post_json(BATCH, &many(1_000)).await);
    assert_eq!(items.len(), 1_000);
    let ids: std::collections::HashSet<_> =
        items.iter().map(|i| i["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 1_000);
    for (number, item) in items.iter().enumerate().step_by(111) {
        assert_eq!(claims_of(item["token"].as_str().unwrap())["sub"], format!("user-{number}"));
    }
    for asked in [json!([]), many(1_001)] {
        let answer = gate.api().post_json(BATCH, &asked).await;
        assert_eq!((answer.status, answer.code().as_str()), (422, "invalid_request"));
    }
    for asked in [json!({ "user": "joe" }), Value::Null, json!("joe"), json!(1)] {
        let answer = gate.api().post_json(BATCH, &asked).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_request"), "{asked}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_batch_may_have_two_mebibytes_and_not_one_byte_more() {
    let gate = Gate::start().await;
    let asked = r#"[{"user":"joe"}]"#;
    let padded = |length: usize| [asked, &" ".repeat(length - asked.len())].concat();
    let limit = 2 * 1024 * 1024;
    let answer = gate.api().request("POST", BATCH, &[JSON], padded(limit).as_bytes()).await;
    assert_eq!(items(&answer).len(), 1);
    // The refusal comes before the body: only its length is sent.
    let head = format!(
        "POST {BATCH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        support::gate::BILLING,
        limit + 1
    );
    let answer = support::http::raw(gate.api_at(), head).await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "payload_too_large"));
    gate.stop().await;
}

#[tokio::test]
async fn a_batch_with_a_member_written_twice_anywhere_is_unreadable_as_a_whole() {
    let gate = Gate::start().await;
    let body = br#"[{"user":"joe"},{"user":"joe","user":"ann"}]"#;
    let answer = gate.api().request("POST", BATCH, &[JSON], body).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_request"));
    gate.stop().await;
}

#[tokio::test]
async fn a_batch_bursts_to_a_thousand_links_and_each_of_them_counts() {
    // `narrow` has two links an hour.
    let gate = Gate::start().await;
    let api = gate.api_as(Some(NARROW));
    let one = json!({ "user": "test-1", "site": "panel", "destination": "home" });
    let of = |count: usize| Value::from(vec![one.clone(); count]);
    assert_eq!(items(&api.post_json(BATCH, &of(998)).await).len(), 998);
    // Two are left for batches and none for single links: all or nothing.
    let answer = api.post_json(BATCH, &of(3)).await;
    assert_eq!((answer.status, answer.code().as_str()), (429, "rate_limited"));
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=1_800).contains(&wait), "{wait}");
    let answer = api.post_json("/v1/links", &one).await;
    assert_eq!((answer.status, answer.code().as_str()), (429, "rate_limited"));
    // A batch that single links could have been is held to their rate.
    for few in [2, 1] {
        let answer = api.post_json(BATCH, &of(few)).await;
        assert_eq!((answer.status, answer.code().as_str()), (429, "rate_limited"));
    }
    gate.stop().await;
}

#[tokio::test]
async fn refused_requests_of_a_batch_count_too_and_a_batch_that_is_none_does_not() {
    let gate = Gate::start().await;
    let api = gate.api_as(Some(NARROW));
    for wrong in [json!([]), many(1_001), json!({})] {
        assert_ne!(api.post_json(BATCH, &wrong).await.status, 200);
    }
    // All thousand are refused: this caller has to name one of its sites.
    let items = items(&api.post_json(BATCH, &many(1_000)).await);
    assert!(items.iter().all(|item| item["status"] == 422), "{}", items[0]);
    let answer = api.post_json(BATCH, &many(1)).await;
    assert_eq!((answer.status, answer.code().as_str()), (429, "rate_limited"));
    gate.stop().await;
}
