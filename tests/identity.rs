//! Who is there, as the upstream is told: set by the gate alone, whatever a client sends.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails where it stands"
)]

mod support;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signature, VerifyingKey};
use serde_json::{Value, json};
use support::{
    gate::{Gate, NOW},
    http::Client,
    upstream::header,
};

/// Every name is one no client may send.
const FORGED: [&str; 24] = [
    "X-Oncegate-User",
    "x_oncegate_user",
    "X.Oncegate.User",
    "X-Oncegate_User",
    "X~Oncegate!User",
    "X-Oncegate-Assertion",
    "X_ONCEGATE_ASSERTION",
    "X-Oncegate-Caller",
    "X.Oncegate-Caller",
    "X-Oncegate-Later",
    "Remote-User",
    "remote_user",
    "Remote.User",
    "X-Plan",
    "x_plan",
    "X-Forwarded-For",
    "X_Forwarded_For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X.Forwarded.Proto",
    "Forwarded",
    "X-Real-IP",
    "X_Real_IP",
    "True-Client-IP",
];

/// The claims of an assertion that a key of the JWKS signed, and its header.
fn verified(assertion: &str, jwks: &Value) -> (Value, Value) {
    let [header, claims, signature] = assertion.split('.').collect::<Vec<_>>()[..] else {
        panic!("not a JWS: {assertion}")
    };
    let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let json = |text: &str| serde_json::from_slice::<Value>(&bytes(text)).unwrap();
    let said = json(header);
    let keys = jwks["keys"].as_array().unwrap();
    let key = keys.iter().find(|key| key["kid"] == said["kid"]).expect("its key is published");
    assert_eq!((&key["kty"], &key["crv"]), (&json!("OKP"), &json!("Ed25519")));
    assert_eq!((&key["use"], &key["alg"]), (&json!("sig"), &json!("EdDSA")));
    let key: [u8; 32] = bytes(key["x"].as_str().unwrap()).try_into().unwrap();
    let key = VerifyingKey::from_bytes(&key).unwrap();
    let signature = Signature::from_slice(&bytes(signature)).unwrap();
    let signed = [header, ".", claims].concat();
    key.verify_strict(signed.as_bytes(), &signature).expect("a good signature");
    (said, json(claims))
}

async fn assertion(gate: &Gate, cookie: &str) -> String {
    let answer = gate.public().get_with("/", &[("cookie", cookie)]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    header(&answer.json(), "x-oncegate-assertion")[0].to_owned()
}

async fn sign_in(gate: &Gate, more: Value) -> String {
    let link = gate.link(more).await;
    support::gate::cookie_of(&gate.open(&link).await)
}

#[tokio::test]
async fn the_upstream_is_told_who_is_there_in_words_and_in_proof() {
    let gate = Gate::start().await;
    let ask = json!({ "user": "Jörg 100%", "claims": { "plan": "gold", "note": [1] } });
    let cookie = sign_in(&gate, ask).await;
    let seen = gate.public().get_with("/", &[("cookie", &cookie)]).await.json();
    assert_eq!(header(&seen, "x-oncegate-user"), ["J%C3%B6rg%20100%25"]);
    assert_eq!(header(&seen, "remote-user"), ["J%C3%B6rg%20100%25"]);
    assert_eq!(header(&seen, "x-oncegate-caller"), ["billing"]);
    assert_eq!(header(&seen, "x-plan"), ["gold"]);
    assert_eq!(header(&seen, "host"), ["panel.example.com"]);

    let jwks = gate.public().get("/.well-known/jwks.json").await.json();
    let (head, claims) = verified(header(&seen, "x-oncegate-assertion")[0], &jwks);
    assert_eq!(head["typ"], "oncegate-assertion+jwt");
    assert_eq!(head["alg"], "EdDSA");
    assert_eq!(
        claims,
        json!({
            "iss": "https://login.example.com", "aud": "https://panel.example.com",
            "sub": "Jörg 100%", "act": { "sub": "billing" },
            "ctx": { "plan": "gold", "note": [1] }, "iat": NOW, "exp": NOW + 60,
        })
    );
}

#[tokio::test]
async fn an_assertion_is_renewed_at_half_its_life() {
    let gate = Gate::start().await;
    let cookie = gate.sign_in().await;
    let other = gate.sign_in().await;
    let first = assertion(&gate, &cookie).await;
    gate.clock.set(NOW + 29);
    assert_eq!(assertion(&gate, &cookie).await, first);
    assert_ne!(assertion(&gate, &other).await, first, "each session has its own");
    gate.clock.set(NOW + 30);
    let second = assertion(&gate, &cookie).await;
    let jwks = gate.public().get("/.well-known/jwks.json").await.json();
    let (_, claims) = verified(&second, &jwks);
    assert_eq!((&claims["iat"], &claims["exp"]), (&json!(NOW + 30), &json!(NOW + 90)));
    // A clock that goes back makes no assertion from the future.
    gate.clock.set(NOW + 10);
    let (_, claims) = verified(&assertion(&gate, &cookie).await, &jwks);
    assert_eq!(claims["iat"], NOW + 10);
}

#[tokio::test]
async fn an_assertion_is_no_link_and_a_link_no_session() {
    let gate = Gate::start().await;
    let cookie = gate.sign_in().await;
    let assertion = assertion(&gate, &cookie).await;
    let refused = gate.redeem(&assertion).await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "wrong_type"));
    let (_, sealed) = cookie.split_once('=').unwrap();
    assert_eq!(gate.redeem(sealed).await.code(), "malformed");
}

async fn forge(client: &Client, path: &str, cookie: &str, sent: &[(&str, &str)]) -> Value {
    let mut headers = vec![("cookie", cookie), ("x-kept", "1")];
    headers.extend_from_slice(sent);
    let answer = client.get_with(path, &headers).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(header(&answer.json(), "x-kept"), ["1"]);
    answer.json()
}

#[tokio::test]
async fn forged_names_never_arrive_in_any_spelling_whoever_is_there() {
    let gate = Gate::start().await;
    let cookie = gate.sign_in().await;
    // Twice, for removing the first alone would not do.
    let forged: Vec<_> = FORGED.iter().flat_map(|name| [(*name, "forged"); 2]).collect();
    assert_eq!(forged.len(), 2 * FORGED.len());
    for (path, cookie, users) in
        [("/", cookie.as_str(), vec!["joe"]), ("/assets/a.css", "a=1", vec![])]
    {
        let seen = forge(&gate.public(), path, cookie, &forged).await;
        assert!(!seen.to_string().contains("forged"), "{seen}");
        assert_eq!(header(&seen, "x-oncegate-user"), users);
        assert_eq!(header(&seen, "remote-user"), users);
        assert_eq!(header(&seen, "x-oncegate-assertion").len(), users.len());
        // The link set no claim of this name: then nobody did.
        assert!(header(&seen, "x-plan").is_empty());
        assert_eq!(header(&seen, "x-forwarded-for"), ["127.0.0.1"]);
        assert_eq!(header(&seen, "x-forwarded-proto"), ["https"]);
        assert_eq!(header(&seen, "x-forwarded-host"), ["panel.example.com"]);
    }
    for name in FORGED {
        let seen = forge(&gate.public(), "/assets/x", "a=1", &[(name, "forged")]).await;
        assert!(!seen.to_string().contains("forged"), "{name}: {seen}");
    }
}

#[tokio::test]
async fn connection_cannot_remove_who_is_there() {
    let gate = Gate::start().await;
    let cookie = gate.sign_in().await;
    let names = "close, X-Oncegate-User, x-oncegate-assertion, X-Oncegate-Caller, Remote-User, \
                 X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto, Host, X-Hop";
    for connection in [names.to_owned(), names.to_uppercase()] {
        let sent = [("connection", connection.as_str()), ("x-hop", "1")];
        let seen = forge(&gate.public(), "/", &cookie, &sent).await;
        for (name, value) in [
            ("x-oncegate-user", "joe"),
            ("x-oncegate-caller", "billing"),
            ("remote-user", "joe"),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-host", "panel.example.com"),
            ("host", "panel.example.com"),
        ] {
            assert_eq!(header(&seen, name), [value], "{name}");
        }
        assert_eq!(header(&seen, "x-oncegate-assertion").len(), 1);
        for gone in ["x-hop", "connection"] {
            assert!(header(&seen, gone).is_empty(), "{gone}");
        }
    }
}

#[tokio::test]
async fn connection_cannot_hide_the_session_or_the_host_from_the_gate() {
    let gate = Gate::start().await;
    let cookie = gate.sign_in().await;
    // `Cookie` is for this hop alone then: the gate reads it, the upstream gets none of it.
    let sent = [("connection", "close, cookie"), ("cookie", cookie.as_str())];
    let answer = gate.public().get_with("/", &sent).await;
    assert_eq!(answer.status, 200);
    assert_eq!(header(&answer.json(), "x-oncegate-user"), ["joe"]);
    assert!(header(&answer.json(), "cookie").is_empty());
}

#[tokio::test]
async fn a_users_name_cannot_end_its_header() {
    let gate = Gate::start().await;
    for (user, expected) in [
        ("joe%0d%0aX-Plan: gold", "joe%250d%250aX-Plan:%20gold"),
        ("joe, admin", "joe,%20admin"),
        ("\u{2028}", "%E2%80%A8"),
        ("a%20b", "a%2520b"),
    ] {
        let cookie = sign_in(&gate, json!({ "user": user })).await;
        let seen = gate.public().get_with("/", &[("cookie", &cookie)]).await.json();
        assert_eq!(header(&seen, "x-oncegate-user"), [expected]);
        assert!(header(&seen, "x-plan").is_empty());
    }
}

#[tokio::test]
async fn the_upstream_learns_the_requests_id() {
    let gate = Gate::start().await;
    let answer = gate.public().get_with("/assets/a", &[("x-request-id", "forged")]).await;
    let id = answer.header("x-request-id").unwrap().to_owned();
    assert_ne!(id, "forged");
    assert_eq!(header(&answer.json(), "x-request-id"), [id.as_str()]);
}
