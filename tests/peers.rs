//! Assertions as their readers check them: with `PyJWT` and npm `jose`, against the gate's JWKS as
//! it is served.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{SystemTime, UNIX_EPOCH},
};

use oncegate::ops::clock::Clock;
use serde_json::{Value, json};
use support::{
    demo::Demo,
    gate::{Gate, cookie_of, usual},
    installed,
    upstream::{self, Upstream},
};

const ISSUER: &str = "https://login.example.com";
const ORIGIN: &str = "https://panel.example.com";
const ASSERTION: &str = "oncegate-assertion+jwt";
const LOGIN: &str = "oncegate-login+jwt";

/// What a reader of an assertion expects of it.
#[derive(Debug, Clone, Copy)]
struct Expected {
    audience: &'static str,
    issuer: &'static str,
    typ: &'static str,
}

const PANELS: Expected = Expected { audience: ORIGIN, issuer: ISSUER, typ: ASSERTION };

/// A program that checks tokens by somebody else's library.
struct Peer {
    name: &'static str,
    program: PathBuf,
    script: &'static str,
    environment: Vec<(&'static str, PathBuf)>,
}

/// `PyJWT` and `jose`, if both are there.
fn peers() -> Option<[Peer; 2]> {
    let target = installed::target();
    let (python, modules) = (target.join("venv/bin/python"), target.join("npm/node_modules"));
    let all = [
        ("node", installed::runs("node")),
        ("PyJWT", python.exists()),
        ("jose", modules.join("jose").exists()),
    ];
    if !installed::all(&all) {
        return None;
    }
    Some([
        Peer { name: "PyJWT", program: python, script: "verify.py", environment: vec![] },
        Peer {
            name: "jose",
            program: "node".into(),
            script: "verify.mjs",
            environment: vec![("NODE_MODULES", modules)],
        },
    ])
}

impl Peer {
    /// The claims, or why the token is refused.
    async fn verify(&self, gate: &Gate, token: &str, by: Expected) -> Result<Value, String> {
        let jwks = format!("http://{}/.well-known/jwks.json", gate.public_at());
        let mut command = Command::new(&self.program);
        command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(self.script))
            .args([&jwks, token, by.audience, by.issuer, by.typ])
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        let run = tokio::task::spawn_blocking(move || command.output());
        let Output { status, stdout, stderr } = run.await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&stderr).into_owned();
        match status.code() {
            Some(0) => Ok(serde_json::from_slice(&stdout).unwrap()),
            Some(1) => Err(said),
            _ => panic!("{}: {status}: {said}", self.name),
        }
    }
}

/// The libraries go by the machine's clock.
fn machine_now() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "the time that another program will see")]
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A gate whose clock stands at `now`.
async fn gate_at(now: u64, change: impl FnOnce(String) -> String) -> Gate {
    let (dir, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let text = change(usual(&upstream));
    Gate::in_dir(dir, upstream, &text, Clock::manual(now)).await
}

/// The assertion that the upstream is sent with a visitor's request.
async fn assertion(gate: &Gate, cookie: &str) -> String {
    let answer = gate.browser().get_with("/", &[("cookie", cookie)]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = answer.json();
    let lines = upstream::header(&seen, "x-oncegate-assertion");
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.first().unwrap().to_string()
}

#[tokio::test]
async fn other_libraries_accept_an_assertion_and_read_the_same() {
    let Some(peers) = peers() else { return };
    let now = machine_now();
    let gate = gate_at(now, |text| text).await;
    let link = gate.link(json!({ "user": "Zoë Müller", "claims": { "plan": "gold" } })).await;
    let cookie = cookie_of(&gate.open(&link).await);
    let assertion = assertion(&gate, &cookie).await;
    for peer in &peers {
        let claims = peer.verify(&gate, &assertion, PANELS).await;
        let claims = claims.unwrap_or_else(|why| panic!("{}: {why}", peer.name));
        let expected = json!({
            "iss": ISSUER, "aud": ORIGIN, "sub": "Zoë Müller", "act": { "sub": "billing" },
            "ctx": { "plan": "gold" }, "iat": now, "exp": now + 60,
        });
        assert_eq!(claims, expected, "{}", peer.name);
    }
    gate.stop().await;
}

#[tokio::test]
async fn other_libraries_refuse_what_is_no_assertion_for_them() {
    let Some(peers) = peers() else { return };
    let gate = gate_at(machine_now(), |text| text).await;
    let cookie = gate.sign_in().await;
    let good = assertion(&gate, &cookie).await;
    let link = gate.link(json!({})).await.token;
    let stranger = gate_at(machine_now(), |text| text).await;
    let strangers = assertion(&stranger, &stranger.sign_in().await).await;
    let (head, signature) = good.rsplit_once('.').unwrap();
    let (header, _) = head.split_once('.').unwrap();
    let cut = format!("{header}.{}.{signature}", link.split('.').nth(1).unwrap());
    let audience = "https://shop.example.com";
    let issuer = "https://login.example.org";
    let cases = [
        ("another audience", &good, Expected { audience, ..PANELS }),
        ("another issuer", &good, Expected { issuer, ..PANELS }),
        ("another type", &good, Expected { typ: LOGIN, ..PANELS }),
        ("a link's token", &link, PANELS),
        ("a link's token, read as one", &link, Expected { typ: "oncegate-link+jwt", ..PANELS }),
        ("another gate's", &strangers, PANELS),
        ("other claims under the signature", &cut, PANELS),
    ];
    for peer in &peers {
        assert!(peer.verify(&gate, &good, PANELS).await.is_ok(), "{}", peer.name);
        for (what, token, by) in &cases {
            let why = peer.verify(&gate, token, *by).await.expect_err(what);
            assert!(why.starts_with("refused: "), "{}, {what}: {why}", peer.name);
        }
    }
    stranger.stop().await;
    gate.stop().await;
}

#[tokio::test]
async fn other_libraries_refuse_an_assertion_that_is_over_and_accept_the_next_one() {
    let Some(peers) = peers() else { return };
    let now = machine_now();
    let gate = gate_at(now - 3_600, |text| text).await;
    let cookie = gate.sign_in().await;
    let old = assertion(&gate, &cookie).await;
    gate.clock.set(now);
    let new = assertion(&gate, &cookie).await;
    assert_ne!(old, new);
    for peer in &peers {
        let why = peer.verify(&gate, &old, PANELS).await.expect_err("it is over");
        assert!(why.to_lowercase().contains("exp"), "{}: {why}", peer.name);
        assert!(peer.verify(&gate, &new, PANELS).await.is_ok(), "{}", peer.name);
    }
    gate.stop().await;
}

#[tokio::test]
async fn other_libraries_accept_a_login_assertion_as_that_and_as_nothing_else() {
    let Some(peers) = peers() else { return };
    let now = machine_now();
    let gate = gate_at(now, |text| {
        text.replacen(
            "public = [\"/assets/**\"]",
            "public = [\"/assets/**\"]\nhandoff = \"callback\"\ncallback = \"/sso\"",
            1,
        )
    })
    .await;
    let link = gate.link(json!({ "destination": "invoice", "destination_values": [7] })).await;
    let answer = gate.open(&link).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = answer.json();
    assert_eq!(seen["target"], "/sso");
    let lines = upstream::header(&seen, "x-oncegate-assertion");
    let assertion = lines.first().unwrap();
    for peer in &peers {
        let by = Expected { typ: LOGIN, ..PANELS };
        let claims = peer.verify(&gate, assertion, by).await;
        let claims = claims.unwrap_or_else(|why| panic!("{}: {why}", peer.name));
        let expected = json!({
            "iss": ISSUER, "aud": ORIGIN, "sub": "joe", "act": { "sub": "billing" },
            "iat": now, "exp": now + 60, "jti": link.id, "dst": "/clientarea/invoices/7",
        });
        assert_eq!(claims, expected, "{}", peer.name);
        assert!(peer.verify(&gate, assertion, PANELS).await.is_err(), "{}", peer.name);
    }
    gate.stop().await;
}

#[tokio::test]
async fn curl_as_the_demo_prints_it_makes_a_link() {
    if !installed::programs(&["curl"]) {
        return;
    }
    let demo = Demo::start();
    let run = Command::new("sh").args(["-c", &demo.curl]).output().unwrap();
    assert!(run.status.success(), "{run:?}");
    let answer: Value = serde_json::from_slice(&run.stdout).unwrap();
    let url = answer["url"].as_str().unwrap();
    assert!(url.starts_with(&format!("{}_once/l/", demo.panel)), "{url}");
    let status = |method: &str| {
        let out = ["-s", "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", "-X", method];
        let run = Command::new("curl").args(out).arg(url).output().unwrap();
        String::from_utf8(run.stdout).unwrap()
    };
    assert_eq!(status("GET"), "200 ");
    assert_eq!(status("POST"), format!("303 {}clientarea/invoices/1042", demo.panel));
    assert_eq!(status("POST"), "410 ");
}
