//! What must never be read anywhere: keys, tokens, cookies. Everything a gate does is done here
//! once, some of it in the wrong place; then all that was logged, counted, answered and shown by
//! `Debug` is searched.
#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod support;

use std::{collections::HashSet, fs, path::Path};

use oncegate::store::keys;
use serde_json::{Value, json};
use support::{
    gate::{BILLING, Gate, Link, NARROW, PANEL, cookie_of},
    http::{Answer, raw},
    logs,
    wire::{Wire, upstream_at},
};

/// So many characters of a secret are too many.
const PART: usize = 20;
/// A key that no caller has, but somebody may.
const STRANGE: &str = "og_key-of-another-service-altogether";

/// Text that has been seen, and the secrets that must not be in it.
#[derive(Default)]
struct Search {
    parts: HashSet<Vec<u8>>,
    texts: Vec<String>,
}

impl Search {
    fn read(&mut self, text: &str) {
        self.texts.push(text.to_owned());
        self.parts.extend(text.as_bytes().windows(PART).map(<[u8]>::to_vec));
    }

    /// The text that has a part of `secret` in it.
    fn finds(&self, secret: &str) -> Option<&String> {
        assert!(secret.len() >= PART, "too short to search for");
        let part = secret.as_bytes().windows(PART).find(|part| self.parts.contains(*part))?;
        self.texts.iter().find(|text| text.as_bytes().windows(PART).any(|other| other == part))
    }
}

/// Payload and signature of a token; its header is the same for all.
fn secret_parts(token: &str) -> Vec<String> {
    token.split('.').skip(1).map(str::to_owned).collect()
}

/// What of the key files is key material.
fn key_material(dir: &Path) -> Vec<String> {
    let kids: Vec<_> = keys::list(dir).unwrap().into_iter().filter_map(|key| key.kid).collect();
    let mut found = Vec::new();
    for file in fs::read_dir(dir).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() && path.file_name().is_some_and(|name| name != "README.md") {
            let text = fs::read_to_string(&path).unwrap();
            let words = text.split_whitespace().filter(|word| word.len() >= 40);
            let words = words.filter(|word| !kids.iter().any(|kid| kid == word));
            // The first bytes of every Ed25519 key in PKCS#8 are the same.
            found.extend(
                words.map(|word| word.trim_start_matches("MC4CAQAwBQYDK2VwBCIEI").to_owned()),
            );
        }
    }
    found
}

async fn wrong_places(gate: &Gate, link: &Link, cookie: &str) -> Vec<Answer> {
    let token = link.token.as_str();
    let (_, sealed) = cookie.split_once('=').unwrap();
    let mut answers = Vec::new();
    for client in [gate.public(), gate.browser()] {
        for target in [
            format!("/_once/nothing/{token}"),
            format!("/_once/l/{token}/x"),
            format!("/_once/l/{token}x"),
            format!("/_once//l/{token}"),
            format!("/{token}"),
            format!("/?_once={token}&_once={token}"),
            format!("/?_once={token}x"),
            format!("/x?token={token}&cookie={sealed}&key={BILLING}"),
            format!("/?_once={BILLING}"),
            format!("/?_once={sealed}"),
        ] {
            answers.push(client.get(&target).await);
        }
        answers.push(client.request("PUT", &format!("/?_once={token}"), &[], b"").await);
        let elsewhere = client.clone().host("other.example.com");
        answers.push(elsewhere.get(&format!("/_once/l/{token}")).await);
        let headers = [
            ("origin", "https://evil.example"),
            ("sec-fetch-site", "cross-site"),
            ("referer", link.url.as_str()),
            ("cookie", cookie),
        ];
        answers.push(client.request("POST", &link.path, &headers, b"").await);
        let body = format!("token={token}&next={BILLING}");
        answers.push(client.request("POST", &link.path, &[], body.as_bytes()).await);
        let secret = [("cookie", cookie), ("authorization", BILLING), ("x-request-id", sealed)];
        answers.push(client.get_with("/_once/nothing", &secret).await);
    }
    let broken = format!("GET /{token}\\ HTTP/1.1\r\nHost: {PANEL}\r\nCookie: {cookie}\r\n\r\n");
    answers.push(raw(gate.public_at(), broken).await);
    let broken = format!("GET /_once/l/{token} HTTP/1.1\r\n{token}\r\n\r\n");
    answers.push(raw(gate.public_at(), broken).await);
    answers
}

async fn wrong_calls(gate: &Gate, link: &Link, cookie: &str) -> Vec<Answer> {
    let token = link.token.as_str();
    let (api, mut answers) = (gate.api(), Vec::new());
    for (path, ask) in [
        ("/v1/links", json!({ "user": "joe", "key": BILLING })),
        ("/v1/links", json!({ "user": "joe", "ip": token })),
        ("/v1/links", json!({ "user": "joe", "ttl": token })),
        ("/v1/links", json!({ "user": "joe", "site": token })),
        ("/v1/links", json!({ "user": "joe", "destination": token })),
        ("/v1/links", json!({ "user": "joe", "destination": link.url, "destination_values": [1] })),
        ("/v1/links", json!({ "user": "joe", "claims": { token: 1 } })),
        ("/v1/revocations", json!({ "user": "joe", "site": token })),
        ("/v1/links", json!({ "user": "joe", "page": BILLING })),
        ("/v1/links", json!({ "user": [BILLING] })),
        ("/v1/links", json!(token)),
        ("/v1/links/batch", json!([{ "user": "joe", "ttl": BILLING }, token, [cookie]])),
        ("/v1/redeem", json!({ "token": [token] })),
        ("/v1/redeem", json!({ "token": token, "ip": token })),
        ("/v1/redeem", json!({ "token": format!("{token}x") })),
        ("/v1/redeem", json!({ "token": format!("x{token}") })),
        ("/v1/redeem", json!({ "token": BILLING })),
        ("/v1/redeem", json!({ "token": cookie })),
        ("/v1/inspect", json!({ "token": token, "key": BILLING })),
        ("/v1/inspect", json!({ "token": STRANGE })),
    ] {
        answers.push(api.post_json(path, &ask).await);
    }
    let json = [("content-type", "application/json")];
    for body in [format!("{{\"token\":\"{token}\"x"), token.to_owned(), format!("\"{BILLING}")] {
        answers.push(api.request("POST", "/v1/redeem", &json, body.as_bytes()).await);
    }
    answers.push(api.delete(&format!("/v1/links/{token}")).await);
    answers.push(api.get(&format!("/v1/links/{token}")).await);
    answers.push(api.get(&format!("/v1/nothing?key={BILLING}&token={token}")).await);
    for key in [Some(STRANGE), Some(token), None] {
        answers.push(gate.api_as(key).post_json("/v1/redeem", &json!({ "token": token })).await);
    }
    let basic = [("authorization", BILLING)];
    answers.push(gate.api_as(None).get_with("/v1/links", &basic).await);
    let twice = [("authorization", STRANGE)];
    answers.push(api.get_with("/v1/links", &twice).await);
    answers.push(gate.api_as(Some(NARROW)).post_json("/v1/links", &json!({ "user": "x" })).await);
    answers
}

fn answer_text(answer: &Answer) -> String {
    format!("{:?} {}", answer.headers, String::from_utf8_lossy(&answer.body))
}

#[tokio::test]
async fn no_secret_is_read_anywhere() {
    logs::keep();
    let gate = Gate::start().await;
    let ask =
        json!({ "claims": { "note": "n" }, "destination": "invoice", "destination_values": [1] });
    let used = gate.link(ask).await;
    let link = gate.link(json!({ "ip": "203.0.113.7" })).await;
    let cookie = cookie_of(&gate.open(&used).await);
    let with_cookie = [("cookie", cookie.as_str())];
    let proxied = gate.public().get_with("/x", &with_cookie).await.json();
    let assertion = support::upstream::header(&proxied, "x-oncegate-assertion")[0].to_owned();

    // What is refused, and what a person sees of it.
    let mut answers = vec![gate.open(&used).await, gate.open(&link).await];
    answers.push(gate.redeem(&used.token).await);
    answers.push(gate.redeem(&assertion).await);
    answers.push(gate.browser().get(&used.path).await);
    answers.extend(wrong_places(&gate, &link, &cookie).await);
    answers.extend(wrong_calls(&gate, &link, &cookie).await);
    let refused = answers.iter().filter(|answer| answer.status >= 400).count();
    assert_eq!(refused, answers.len() - 2, "all but the batch and one inspection");
    answers.push(gate.browser().get_with("/_once/session", &with_cookie).await);
    answers.push(gate.browser().get_with("/_once/logout", &with_cookie).await);
    answers.push(gate.api().get("/openapi.json").await);
    answers.push(gate.public().get("/.well-known/jwks.json").await);
    for path in ["/", "/live", "/ready", "/metrics", &used.path] {
        answers.push(gate.admin().get(path).await);
    }
    gate.api().delete(&format!("/v1/links/{}", link.id)).await;
    gate.api().post_json("/v1/revocations", &json!({ "user": "joe" })).await;
    gate.public().request("POST", "/_once/logout", &with_cookie, b"").await;

    // Keys that cannot be read, and an upstream that is gone.
    let keys = gate.dir.path().join("keys");
    let material = key_material(&keys);
    assert!(material.len() >= 3, "current, next and session");
    let running = gate.running.as_ref().unwrap();
    let mut search = Search::default();
    for shown in [
        format!("{running:?}"),
        format!("{:#?}", running.gate),
        format!("{:?}", running.gate.config),
        format!("{:?}", running.gate.keys.load()),
    ] {
        search.read(&shown);
    }
    let pem = keys.join("current.pem");
    let broken = fs::read_to_string(&pem).unwrap().replacen("MC4C", "MC5C", 1);
    fs::write(&pem, broken).unwrap();
    running.take_up_keys();
    let gone = Wire::listen().await.addr;
    let text = fs::read_to_string(gate.dir.path().join("oncegate.toml")).unwrap();
    let text = upstream_at(&text, gone);
    let down = Gate::with(|_| text).await;
    let another = down.sign_in().await;
    let asked = format!("/{}?_x={}", used.token, used.token);
    for (target, status) in [(asked.as_str(), 400), ("/page?x=1", 502)] {
        let answer = down.browser().get_with(target, &[("cookie", &another)]).await;
        assert_eq!(answer.status, status);
        answers.push(answer);
    }

    for answer in &answers {
        search.read(&answer_text(answer));
    }
    let lines = logs::all();
    for line in &lines {
        search.read(&format!("{line:?}"));
        for value in line.fields.values() {
            search.read(value);
        }
    }
    assert!(lines.iter().filter(|line| line.target == "audit").count() > 50, "it was logged");
    assert!(lines.iter().any(|line| line.get("message").contains("keys changed")));
    assert!(search.texts.len() > 200);

    let mut secrets = vec![BILLING.to_owned(), NARROW.to_owned(), STRANGE.to_owned()];
    secrets
        .extend([&used.token, &link.token, &assertion].into_iter().flat_map(|t| secret_parts(t)));
    secrets.extend([&cookie, &another].map(|c| c.split_once('=').unwrap().1.to_owned()));
    secrets.extend(material);
    for secret in secrets {
        assert_eq!(search.finds(&secret), None, "of {secret}");
    }
    // The search finds what is there.
    search.read(&format!("x{}y", used.token));
    assert!(search.finds(&secret_parts(&used.token)[1]).is_some());
}

#[tokio::test]
async fn the_link_page_has_its_token_in_its_forms_action_alone() {
    let gate = Gate::start().await;
    let link = gate.link(json!({})).await;
    for target in [link.path.clone(), format!("/x?a=b&_once={}", link.token)] {
        let page = gate.browser().get(&target).await;
        let action = format!("action=\"{}\"", link.path);
        assert_eq!(page.text().matches(&action).count(), 1, "{}", page.text());
        let rest = page.text().replacen(&action, "", 1);
        let signature = link.token.rsplit('.').next().unwrap();
        assert!(!rest.contains(signature), "{rest}");
        assert!(page.headers.iter().all(|(_, value)| !value.contains(signature)));
    }
}

#[tokio::test]
async fn an_answer_after_redemption_holds_no_token() {
    let gate = Gate::start().await;
    let link = gate.link(json!({})).await;
    let signature = link.token.rsplit('.').next().unwrap().to_owned();
    let answer = gate.open(&link).await;
    assert!(!answer_text(&answer).contains(&signature));
    let link = gate.link(json!({})).await;
    let answer: Value = gate.redeem(&link.token).await.json();
    assert!(!answer.to_string().contains(link.token.rsplit('.').next().unwrap()));
}
