//! Links bound to the visitor's address, behind a proxy that says which one that is.

mod support;

use serde_json::json;
use support::gate::{Gate, Link};

/// A gate that takes this peer's word, in this header.
async fn behind_proxy(client_ip: &str) -> Gate {
    let client_ip = format!("client_ip = \"{client_ip}\"\ntrusted_proxies = [\"127.0.0.1\"]");
    Gate::with(|text| text.replace("[listen]", &format!("[listen]\n{client_ip}"))).await
}

async fn post(gate: &Gate, link: &Link, headers: &[(&str, &str)]) -> (u16, String) {
    let answer = gate.public().post_form(&link.path, &[], headers).await;
    (answer.status, answer.code())
}

/// Each is refused, by GET and by POST, and costs the link nothing.
async fn assert_refused(gate: &Gate, link: &Link, elsewhere: &[&[(&str, &str)]]) {
    assert!(!elsewhere.is_empty());
    for headers in elsewhere {
        let refused = (403, "wrong_client".to_owned());
        assert_eq!(post(gate, link, headers).await, refused, "{headers:?}");
        let answer = gate.public().get_with(&link.path, headers).await;
        assert_eq!((answer.status, answer.code()), refused, "{headers:?}");
    }
    assert_eq!(gate.remembered(), 0);
}

#[tokio::test]
async fn x_forwarded_for_says_who_may_use_a_bound_link() {
    let gate = behind_proxy("x-forwarded-for").await;
    let link = gate.link(json!({ "ip": "192.0.2.7" })).await;
    let header = "x-forwarded-for";
    assert_refused(
        &gate,
        &link,
        &[
            &[],
            &[(header, "192.0.2.8")],
            &[(header, "192.0.2.7, 192.0.2.8")],
            &[(header, "192.0.2.7"), (header, "192.0.2.8")],
            &[(header, "")],
            &[(header, "unknown")],
            &[(header, "192.0.2.7, unknown")],
            &[(header, "192.0.2.7, ")],
            &[(header, "192.0.2.7%eth0")],
            &[(header, "192.0.2.07")],
            &[("forwarded", "for=192.0.2.7"), ("x-real-ip", "192.0.2.7")],
            &[("true-client-ip", "192.0.2.7"), ("x_forwarded_for", "192.0.2.7")],
        ],
    )
    .await;
    assert_eq!(post(&gate, &link, &[(header, "203.0.113.9, 192.0.2.7")]).await.0, 303);
    for good in ["192.0.2.7:4711", "::ffff:192.0.2.7", "[::ffff:192.0.2.7]:80", "x, 192.0.2.7"] {
        let link = gate.link(json!({ "ip": ["198.51.100.0/24", "192.0.2.7"] })).await;
        assert_eq!(post(&gate, &link, &[(header, good)]).await.0, 303, "{good}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn forwarded_says_who_may_use_a_bound_link() {
    let gate = behind_proxy("forwarded").await;
    let link = gate.link(json!({ "ip": "2001:db8::7" })).await; // bound to its /64
    let header = "forwarded";
    assert_refused(
        &gate,
        &link,
        &[
            &[(header, "for=\"[2001:db8:0:1::7]\"")],
            &[(header, "for=\"[2001:db8::7]\", for=192.0.2.1")],
            &[(header, "for=unknown")],
            &[(header, "for=_hidden")],
            &[(header, "for=\"[2001:db8::7]\", for=_hidden")],
            &[(header, "for=\"[2001:db8::7]")],
            &[(header, "by=\"[2001:db8::7]\"")],
            &[("x-forwarded-for", "2001:db8::7")],
        ],
    )
    .await;
    let good = [(header, "for=192.0.2.1, for=\"[2001:db8::1234]:4711\";proto=https")];
    assert_eq!(post(&gate, &link, &good).await.0, 303);
    gate.stop().await;
}

#[tokio::test]
async fn a_peer_that_is_no_proxy_is_not_believed() {
    let gate = Gate::with(|text| {
        text.replace(
            "[listen]",
            "[listen]\nclient_ip = \"x-forwarded-for\"\ntrusted_proxies = [\"192.0.2.0/24\"]",
        )
    })
    .await;
    let link = gate.link(json!({ "ip": "192.0.2.7" })).await;
    assert_refused(&gate, &link, &[&[("x-forwarded-for", "192.0.2.7")], &[]]).await;
    let own = gate.link(json!({ "ip": "127.0.0.1" })).await;
    assert_eq!(post(&gate, &own, &[("x-forwarded-for", "192.0.2.7")]).await.0, 303);
    gate.stop().await;
}

#[tokio::test]
async fn a_link_that_is_bound_to_nothing_needs_no_address() {
    let gate = behind_proxy("x-forwarded-for").await;
    let link = gate.link(json!({})).await;
    assert_eq!(post(&gate, &link, &[("x-forwarded-for", "unknown")]).await.0, 303);
    gate.stop().await;
}

#[tokio::test]
async fn redeeming_a_bound_link_needs_the_visitors_address() {
    let gate = Gate::start().await;
    let link = gate.link(json!({ "ip": "192.0.2.0/24" })).await;
    let ask = |ip: Option<&str>| match ip {
        Some(ip) => json!({ "token": link.token, "ip": ip }),
        None => json!({ "token": link.token }),
    };
    for ip in [None, Some("192.0.3.1"), Some("127.0.0.1")] {
        let answer = gate.api().post_json("/v1/redeem", &ask(ip)).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "wrong_client"), "{ip:?}");
    }
    assert_eq!(gate.api().post_json("/v1/redeem", &ask(Some("192.0.2.99"))).await.status, 200);
    gate.stop().await;
}
