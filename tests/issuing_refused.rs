//! Asking for a link in a way that cannot be read or is wrong: each fault has its code, a wrong
//! field is named, and nothing is issued.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use serde_json::{Value, json};
use support::{
    gate::Gate,
    http::{Answer, Client, Connection},
};

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// Asserts a problem with the shape that RFC 9457 and the contract give it.
fn assert_problem(answer: &Answer, status: u16, code: &str, of: &dyn std::fmt::Display) {
    let told = (answer.status, answer.code());
    assert_eq!(told, (status, code.to_owned()), "{of}: {}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{of}");
    assert_eq!(answer.json()["status"], status, "{of}");
}

/// Asks for a link for joe with these members, of which `field` is wrong.
async fn assert_wrong(gate: &Gate, field: &str, more: Value) {
    let mut ask = json!({ "user": "joe" });
    for (name, value) in more.as_object().unwrap() {
        ask[name] = value.clone();
    }
    let answer = gate.api().post_json("/v1/links", &ask).await;
    assert_problem(&answer, 422, "invalid_request", &more);
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with(&format!("{field}: ")), "{more}: {detail}");
}

async fn issued(gate: &Gate) -> u64 {
    let text = gate.admin().get("/metrics").await.text().to_owned();
    let counted = text.lines().filter(|line| line.starts_with("oncegate_links_issued_total"));
    counted.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

#[tokio::test]
async fn a_lifetime_is_a_whole_number_of_seconds_from_one_to_the_callers_most() {
    let gate = Gate::start().await;
    let wrong = [
        json!(0),
        json!(-1),
        json!(1.5),
        json!(60.0),
        json!("60"),
        json!("60s"),
        json!([60]),
        json!(true),
    ];
    for ttl in wrong {
        assert_wrong(&gate, "ttl", json!({ "ttl": ttl })).await;
    }
    for ttl in ["301", "86400", "4294967297", "18446744073709551615"] {
        let body = format!(r#"{{"user":"joe","ttl":{ttl}}}"#);
        let answer = gate.api().request("POST", "/v1/links", &[JSON], body.as_bytes()).await;
        assert_problem(&answer, 422, "ttl_too_long", &ttl);
    }
    // Past what 64 bits hold, and spelled as no integer.
    for ttl in ["18446744073709551616", "1e2", "-0", "1e308"] {
        let body = format!(r#"{{"user":"joe","ttl":{ttl}}}"#);
        let answer = gate.api().request("POST", "/v1/links", &[JSON], body.as_bytes()).await;
        assert_problem(&answer, 422, "invalid_request", &ttl);
    }
    assert_eq!(issued(&gate).await, 0);
    gate.stop().await;
}

#[tokio::test]
async fn a_wrong_field_is_named() {
    let gate = Gate::start().await;
    let long = "x".repeat(257);
    let wrong = [
        ("user", json!({ "user": null })),
        ("user", json!({ "user": "" })),
        ("user", json!({ "user": 7 })),
        ("user", json!({ "user": ["joe"] })),
        ("user", json!({ "user": long })),
        ("user", json!({ "user": "joe\n" })),
        ("user", json!({ "user": "jo\u{0}e" })),
        ("user", json!({ "user": "jo\u{7f}e" })),
        ("user", json!({ "user": "jo\u{85}e" })),
        ("site", json!({ "site": 1 })),
        ("destination", json!({ "destination": ["home"] })),
        ("destination_values", json!({ "destination": "invoice" })),
        ("destination_values", json!({ "destination": "invoice", "destination_values": [1, 2] })),
        ("destination_values", json!({ "destination": "invoice", "destination_values": [1.5] })),
        ("destination_values", json!({ "destination": "invoice", "destination_values": [true] })),
        ("destination_values", json!({ "destination": "invoice", "destination_values": [null] })),
        ("destination_values", json!({ "destination": "invoice", "destination_values": [[1]] })),
        ("destination_values", json!({ "destination": "invoice", "destination_values": "1" })),
        ("destination_values", json!({ "destination": "invoice", "destination_values": [""] })),
        ("destination_values", json!({ "destination": "invoice", "destination_values": ["."] })),
        ("destination_values", json!({ "destination": "invoice", "destination_values": [".."] })),
        ("destination_values", json!({ "destination": "home", "destination_values": [1] })),
        ("destination_values", json!({ "destination": "/", "destination_values": [1] })),
        ("destination_values", json!({ "destination_values": [1] })),
        ("claims", json!({ "claims": [] })),
        ("claims", json!({ "claims": "plan" })),
        ("claims", json!({ "claims": { "note": "x".repeat(502) } })),
        ("page", json!({ "page": "automatic" })),
        ("page", json!({ "page": "Auto" })),
        ("page", json!({ "page": true })),
        ("users", json!({ "users": "joe" })),
        ("TTL", json!({ "TTL": 60 })),
        ("", json!({ "": 60 })),
        ("via", json!({ "via": "wisecp" })),
    ];
    for (field, more) in wrong {
        assert_wrong(&gate, field, more).await;
    }
    let nobody = gate.api().post_json("/v1/links", &json!({})).await;
    assert_problem(&nobody, 422, "invalid_request", &"no user");
    assert_eq!(issued(&gate).await, 0);
    gate.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_not_echoed_at_length() {
    let gate = Gate::start().await;
    let long = "x".repeat(50_000);
    let asks = [
        json!({ "user": "joe", "ip": long }),
        json!({ "user": "joe", "ip": [format!("10.0.0.1/{long}")] }),
        json!({ "user": "joe", "destination": long }),
        json!({ "user": "joe", "destination": format!("/{long}") }),
        json!({ "user": "joe", "destination": "invoice", "destination_values": [long] }),
        json!({ "user": "joe", "site": long }),
        json!({ "user": "joe", "page": long }),
        json!({ "user": "joe", "claims": { long.clone(): 1 } }),
        json!({ "user": "joe", long.clone(): 1 }),
        json!({ "user": long }),
    ];
    for ask in asks {
        let answer = gate.api().post_json("/v1/links", &ask).await;
        assert!(matches!(answer.status, 403 | 422), "{}", answer.status);
        assert!(answer.body.len() < 1_000, "{} bytes: {:.200}", answer.body.len(), answer.text());
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_user_has_up_to_256_characters_of_any_script() {
    let gate = Gate::start().await;
    for user in ["x".repeat(256), "ж".repeat(256), "a".to_owned(), " ".to_owned()] {
        gate.link(json!({ "user": user })).await;
    }
    gate.stop().await;
}

#[tokio::test]
async fn claims_have_512_bytes_at_most_and_nest_32_deep_at_most() {
    let gate = Gate::start().await;
    let note = |bytes: usize| json!({ "note": "x".repeat(bytes - r#"{"note":""}"#.len()) });
    gate.link(json!({ "claims": note(512) })).await;
    assert_wrong(&gate, "claims", json!({ "claims": note(513) })).await;
    let nested = |depth: usize| (1..depth).fold(json!(1), |inner, _| json!([inner]));
    gate.link(json!({ "claims": { "note": nested(32) } })).await;
    assert_wrong(&gate, "claims", json!({ "claims": { "note": nested(33) } })).await;
    gate.stop().await;
}

#[tokio::test]
async fn a_link_has_2000_characters_at_most() {
    let gate = Gate::start().await;
    let ask =
        |length: usize| json!({ "user": "joe", "destination": format!("/{}", "x".repeat(length)) });
    let short = gate.api().post_json("/v1/links", &ask(1)).await.json();
    let spare = 2_000 - short["url"].as_str().unwrap().len();
    // Three bytes of claims are four characters of a token.
    let mut longest = 0;
    for length in (spare / 4 * 3 - 4)..(spare / 4 * 3 + 8) {
        let answer = gate.api().post_json("/v1/links", &ask(length)).await;
        if answer.status == 201 {
            longest = longest.max(answer.json()["url"].as_str().unwrap().len());
        } else {
            assert_problem(&answer, 422, "invalid_request", &length);
        }
    }
    assert!((1_997..=2_000).contains(&longest), "{longest}");
    let answer = gate.api().post_json("/v1/links", &ask(5_000)).await;
    assert_problem(&answer, 422, "invalid_request", &"5,000");
    gate.stop().await;
}

#[tokio::test]
async fn what_is_not_one_json_object_is_unreadable() {
    let gate = Gate::start().await;
    let deep = "[".repeat(20_000);
    let deep_object = format!("{}1{}", r#"{"user":"#.repeat(2_000), "}".repeat(2_000));
    let unreadable: [&[u8]; 24] = [
        b"",
        b" ",
        b"null",
        b"[]",
        b"\"joe\"",
        b"7",
        b"{",
        b"{\"user\":\"joe\"",
        b"{\"user\":\"joe\"}}",
        b"{\"user\":\"joe\"} {}",
        b"{\"user\":\"joe\",}",
        b"{user:\"joe\"}",
        b"{'user':'joe'}",
        b"{\"user\":\"joe\",\"user\":\"ann\"}",
        b"{\"user\":\"joe\",\"\\u0075ser\":\"ann\"}",
        b"{\"user\":\"joe\",\"claims\":{\"plan\":1,\"plan\":2}}",
        b"{\"user\":\"joe\",\"ttl\":NaN}",
        b"{\"user\":\"joe\",\"ttl\":Infinity}",
        b"{\"user\":\"joe\",\"ttl\":1e999}",
        b"{\"user\":\"joe\",\"ttl\":060}",
        b"{\"user\":\"j\xff\"}",
        b"{\"user\":\"\\ud800\"}",
        b"\xef\xbb\xbf{\"user\":\"joe\"}",
        b"user=joe",
    ];
    let deep: [&[u8]; 2] = [deep.as_bytes(), deep_object.as_bytes()];
    for body in unreadable.into_iter().chain(deep) {
        let answer = gate.api().request("POST", "/v1/links", &[JSON], body).await;
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        assert_problem(&answer, 400, "invalid_request", &shown);
    }
    assert_eq!(issued(&gate).await, 0);
    gate.stop().await;
}

#[tokio::test]
async fn a_body_is_json_by_its_media_type() {
    let gate = Gate::start().await;
    let body = br#"{"user":"joe"}"#;
    for good in ["application/json", "Application/JSON; charset=utf-8", "application/json ;x=y"] {
        let answer = gate.api().request("POST", "/v1/links", &[("Content-Type", good)], body).await;
        assert_eq!(answer.status, 201, "{good}: {}", answer.text());
    }
    let others = [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "application/problem+json",
        "text/plain; application/json",
        "",
    ];
    for other in others {
        let headers = [("Content-Type", other)];
        let answer = gate.api().request("POST", "/v1/links", &headers, body).await;
        assert_problem(&answer, 415, "unsupported_media_type", &other);
    }
    let answer = gate.api().request("POST", "/v1/links", &[], body).await;
    assert_problem(&answer, 415, "unsupported_media_type", &"no type");
    gate.stop().await;
}

#[tokio::test]
async fn a_body_past_the_limit_is_refused_and_the_limit_itself_is_not() {
    let gate = Gate::start().await;
    let ask = r#"{"user":"joe"}"#;
    let padded = |length: usize| [ask, &" ".repeat(length - ask.len())].concat().into_bytes();
    let limit = 64 * 1024;
    let answer = gate.api().request("POST", "/v1/links", &[JSON], &padded(limit)).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    for path in ["/v1/links", "/v1/redeem", "/v1/inspect", "/v1/revocations"] {
        let answer = gate.api().request("POST", path, &[JSON], &padded(limit + 1)).await;
        assert_problem(&answer, 413, "payload_too_large", &path);
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_body_of_ten_megabytes_is_refused_by_its_length_alone() {
    let gate = Gate::start().await;
    let mut connection = Connection::open(gate.api_at()).await.unwrap();
    let head = format!(
        "POST /v1/links HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: 10485760\r\n\
         Expect: 100-continue\r\n\r\n",
        support::gate::BILLING
    );
    connection.send(head).await.unwrap();
    // Not one byte of it was sent, and none was asked for.
    assert_problem(&connection.answer().await.unwrap(), 413, "payload_too_large", &"10 MB");
    gate.stop().await;
}

#[tokio::test]
async fn a_body_without_a_length_is_counted_as_it_comes() {
    let gate = Gate::start().await;
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
    let head = format!(
        "POST /v1/links HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        support::gate::BILLING
    );
    let mut connection = Connection::open(gate.api_at()).await.unwrap();
    connection.send(format!("{head}{}", chunk.repeat(17))).await.unwrap();
    assert_problem(&connection.answer().await.unwrap(), 413, "payload_too_large", &"68 KiB");
    let small = format!("{head}e\r\n{{\"user\":\"joe\"}}\r\n0\r\n\r\n");
    let mut connection = Connection::open(gate.api_at()).await.unwrap();
    connection.send(small).await.unwrap();
    assert_eq!(connection.answer().await.unwrap().status, 201);
    gate.stop().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up_and_one_that_breaks_off_issues_nothing() {
    let gate = Gate::with(|text| format!("{text}\n[limits]\nbody_timeout = \"20ms\"\n")).await;
    let head = format!(
        "POST /v1/links HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: 20\r\n\r\n{{\"user\":\"joe\"}}",
        support::gate::BILLING
    );
    let answer = support::http::raw(gate.api_at(), head).await;
    assert_problem(&answer, 400, "invalid_request", &"six bytes are missing");
    assert_eq!(issued(&gate).await, 0);
    gate.link(json!({})).await;
    assert_eq!(issued(&gate).await, 1, "the counter counts");
    gate.stop().await;
}

#[tokio::test]
async fn who_sends_ten_megabytes_all_the_same_still_gets_the_answer() {
    let gate = Gate::start().await;
    let length = 10 << 20;
    let head = format!(
        "POST /v1/links HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n",
        support::gate::BILLING
    );
    let mut connection = Connection::open(gate.api_at()).await.unwrap();
    // The gate closes while this is on its way: that is no fault of the answer.
    let _ = connection.send([head.as_bytes(), &vec![b' '; length]].concat()).await;
    assert_problem(&connection.answer().await.unwrap(), 413, "payload_too_large", &"10 MB");
    gate.stop().await;
}

#[tokio::test]
async fn a_path_that_is_not_there_and_a_method_that_is_not_taken_are_told_apart() {
    let gate = Gate::start().await;
    let paths = [
        "/",
        "/v1",
        "/v1/",
        "/v1/link",
        "/v1/links/a/b",
        "/V1/links",
        "/v1//links",
        "/v1/links%20",
        "/v2/links",
        "/v1/redeem/",
        "/live",
        "/metrics",
        "/_once/l/x",
        "/.well-known/jwks.json",
    ];
    for path in paths {
        for method in ["GET", "POST", "DELETE"] {
            let answer = gate.api().request(method, path, &[JSON], b"").await;
            assert_problem(&answer, 404, "not_found", &format!("{method} {path}"));
        }
    }
    let taken = [
        ("/v1/links", "POST"),
        ("/v1/links/batch", "POST"),
        ("/v1/redeem", "POST"),
        ("/v1/inspect", "POST"),
        ("/v1/revocations", "POST"),
        ("/v1/links/AAAAAAAAAAAAAAAAAAAAAA", "DELETE"),
        ("/openapi.json", "GET, HEAD"),
    ];
    for (path, allow) in taken {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"] {
            if allow.split(", ").any(|allowed| allowed == method) {
                continue;
            }
            let answer = gate.api().request(method, path, &[], b"").await;
            assert_problem(&answer, 405, "method_not_allowed", &format!("{method} {path}"));
            assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
        }
    }
    gate.stop().await;
}

#[tokio::test]
async fn the_document_is_there_for_anyone_who_reaches_the_listener() {
    let gate = Gate::start().await;
    let answer = Client::new(gate.api_at()).get("/openapi.json").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert!(answer.json().is_object());
    gate.stop().await;
}
