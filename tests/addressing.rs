//! For whom a request is: one authority, one site; and what the gate keeps for itself.

mod support;

use serde_json::json;
use support::{
    gate::{Gate, PANEL},
    http::{Answer, raw},
};

async fn send(gate: &Gate, head: &str) -> Answer {
    let request = format!("{head}\r\nConnection: close\r\n\r\n").replace('\n', "\r\n");
    raw(gate.public_at(), request.replace("\r\r\n", "\r\n")).await
}

#[tokio::test]
async fn an_authority_that_is_no_sites_is_misdirected_but_for_the_public_keys() {
    let gate = Gate::start().await;
    let link = gate.link(json!({})).await;
    for host in ["evil.example", "panel.example.com.", "panel.example.com:8080", "127.0.0.1"] {
        let public = gate.public().host(host);
        for target in ["/", "/_once/session", "/_once/logout", link.path.as_str(), "/?_once=x"] {
            let answer = public.get(target).await;
            assert_eq!((answer.status, answer.code().as_str()), (421, "wrong_site"), "{target}");
        }
        assert_eq!(public.post_form(&link.path, &[], &[]).await.status, 421);
        let keys = public.get("/.well-known/jwks.json").await;
        assert_eq!(keys.status, 200);
        assert_eq!(keys.header("cache-control"), Some("public, max-age=60"));
        assert_eq!(keys.header("content-type"), Some("application/jwk-set+json"));
        let kid = keys.json()["keys"][0]["kid"].as_str().unwrap().to_owned();
        assert_eq!(kid, gate.keyring().current_kid());
        let post = public.post_form("/.well-known/jwks.json", &[], &[]).await;
        assert_eq!((post.status, post.header("allow")), (405, Some("GET, HEAD")));
    }
    assert_eq!((gate.upstream.seen().len(), gate.remembered()), (0, 0));
    for host in ["PANEL.example.com", "panel.example.com:443"] {
        assert_eq!(gate.public().host(host).get(&link.path).await.status, 200, "{host}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_request_for_two_authorities_is_for_none() {
    let gate = Gate::start().await;
    let link = gate.link(json!({})).await;
    let (path, evil) = (&link.path, "evil.example");
    for head in [
        format!("POST {path} HTTP/1.1\nContent-Length: 0\nHost: {PANEL}\nHost: {PANEL}"),
        format!("POST {path} HTTP/1.1\nContent-Length: 0\nHost: {PANEL}\nHost: {evil}"),
        format!("POST {path} HTTP/1.1\nContent-Length: 0\nHost: {PANEL}, {evil}"),
        format!("POST {path} HTTP/1.1\nContent-Length: 0"),
        format!("POST {path} HTTP/1.1\nContent-Length: 0\nHost:"),
        format!("POST {path} HTTP/1.1\nContent-Length: 0\nHost: a@{PANEL}"),
        format!("POST https://{PANEL}{path} HTTP/1.1\nContent-Length: 0\nHost: {evil}"),
        format!("POST https://{evil}{path} HTTP/1.1\nContent-Length: 0\nHost: {PANEL}"),
        format!("POST https://{PANEL}{path} HTTP/1.1\nContent-Length: 0"),
        format!("POST https://a@{PANEL}{path} HTTP/1.1\nContent-Length: 0\nHost: {PANEL}"),
    ] {
        let answer = send(&gate, &head).await;
        assert_eq!(answer.status, 400, "{head}: {}", answer.text());
        assert!(answer.header_lines("set-cookie").is_empty());
    }
    assert_eq!(gate.remembered(), 0);
    let head =
        format!("POST https://{PANEL}{path} HTTP/1.1\nContent-Length: 0\nHost: PANEL.example.com");
    assert_eq!(send(&gate, &head).await.status, 303);
    gate.stop().await;
}

#[tokio::test]
async fn the_gates_own_paths_are_never_proxied_however_they_are_spelled() {
    let gate =
        Gate::with(|text| text.replace("public = [", "anonymous = \"pass\"\npublic = [\"/**\", "))
            .await;
    let link = gate.link(json!({})).await;
    let token = &link.token;
    for target in [
        "/_once",
        "/_once/",
        "/_once/nothing",
        "/_once/session/",
        "/_once//session",
        "/_once/%73ession",
        "//_once/session",
        "/%5fonce/session",
        "/%255fonce/session",
        "/_once%2fsession",
        "/a/../_once/session",
        "/a/%2e%2e/_once/session",
        "/_once;a=b/session",
        "/_once/../_once/x",
        &format!("//_once/l/{token}"),
        &format!("/_once//l/{token}"),
        &format!("/%5Fonce/l/{token}"),
        &format!("/_once/l%2f{token}"),
        &format!("/_once/L/{token}"),
    ] {
        for method in ["GET", "POST"] {
            let answer = gate.public().request(method, target, &[], b"").await;
            assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{target}");
        }
    }
    assert_eq!((gate.upstream.seen().len(), gate.remembered()), (0, 0));
    assert_eq!(gate.public().get("/_onceler").await.status, 200);
    assert_eq!(gate.upstream.seen().len(), 1);
    gate.stop().await;
}
