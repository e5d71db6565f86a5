//! `handoff = "callback"`: the application opens its own session, told by the gate who comes.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use ed25519_dalek::{Signature, VerifyingKey};
use http_body_util::Full;
use hyper::Response;
use oncegate::ops::metrics::{At, Listener};
use serde_json::{Value, json};
use support::{
    gate::{Gate, NOW},
    http::{Answer, Connection},
    panel::{Panel, Visit},
};

const ASSERTION: &str = "x-oncegate-assertion";

async fn start() -> (Gate, Panel) {
    let panel = Panel::start().await;
    let upstream = format!("upstream = \"http://{}\"", panel.addr);
    let gate = Gate::with(|text| {
        let (before, after) = text.split_once("upstream = ").unwrap();
        let (_, after) = after.split_once('\n').unwrap();
        let callback = "handoff = \"callback\"\ncallback = \"/sso/in\"\nanonymous = \"pass\"";
        format!("{before}{upstream}\n{callback}\n{after}")
    })
    .await;
    (gate, panel)
}

/// What the application answers whom it lets in.
fn welcome() -> Response<Full<Bytes>> {
    Response::builder()
        .status(302)
        .header("location", "/dashboard?x=1")
        .header("set-cookie", "sid=abc; Path=/; HttpOnly")
        .header("set-cookie", "theme=dark")
        .header("set-cookie", "__Host-oncegate=evil; Path=/; Secure")
        .body(Full::default())
        .unwrap()
}

fn claims(assertion: &str) -> (Value, Value) {
    let read = |part: &str| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    let parts: Vec<_> = assertion.split('.').collect();
    assert_eq!(parts.len(), 3);
    (read(parts[0]), read(parts[1]))
}

/// Verifies as an application would, by the gate's published keys.
fn verify(assertion: &str, jwks: &Value) {
    let (header, _) = claims(assertion);
    let keys = jwks["keys"].as_array().unwrap();
    let key = keys.iter().find(|key| key["kid"] == header["kid"]).unwrap();
    assert_eq!((&key["kty"], &key["crv"]), (&json!("OKP"), &json!("Ed25519")));
    let bytes = URL_SAFE_NO_PAD.decode(key["x"].as_str().unwrap()).unwrap();
    let key = VerifyingKey::from_bytes(&bytes.try_into().unwrap()).unwrap();
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let signature = Signature::from_slice(&URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    key.verify_strict(signed.as_bytes(), &signature).unwrap();
}

/// Posts a link's page while the application waits to be visited.
async fn open(
    gate: &Gate,
    panel: &mut Panel,
    path: &str,
    fields: &[(&str, &str)],
    headers: &[(&str, &str)],
    look: impl FnOnce(&Visit),
) -> Answer {
    let browser = gate.browser();
    let posted = browser.post_form(path, fields, headers);
    let visited = async {
        let visit = panel.next().await;
        look(&visit);
        visit.answer(welcome());
    };
    tokio::join!(posted, visited).0
}

#[tokio::test]
async fn the_application_is_told_who_comes_and_its_answer_reaches_the_browser() {
    let (gate, mut panel) = start().await;
    let ask = json!({ "destination": "/a?b=c", "claims": { "plan": "gold" } });
    let link = gate.link(ask).await;
    gate.wait(10);
    let jwks = gate.public().get("/.well-known/jwks.json").await.json();
    let forged =
        [(ASSERTION, "forged"), ("x-oncegate-user", "root"), ("cookie", "a=b; __Host-oncegate=x")];
    let answer = open(&gate, &mut panel, &link.path, &[], &forged, |visit| {
        assert_eq!((visit.method.as_str(), visit.target.as_str()), ("GET", "/sso/in"));
        assert_eq!(visit.header("host"), ["panel.example.com"]);
        assert_eq!(visit.header("x-forwarded-proto"), ["https"]);
        assert_eq!(visit.header("cookie"), ["a=b"]);
        for name in ["x-oncegate-user", "content-type", "content-length", "origin", "referer"] {
            assert!(visit.header(name).is_empty(), "{name}");
        }
        let lines = visit.header(ASSERTION);
        let [assertion] = lines.as_slice() else { panic!("{lines:?}") };
        verify(assertion, &jwks);
        let (header, claims) = claims(assertion);
        assert_eq!(header["typ"], "oncegate-login+jwt");
        assert_eq!(header["alg"], "EdDSA");
        assert_eq!(
            claims,
            json!({
                "iss": "https://login.example.com", "aud": "https://panel.example.com",
                "sub": "joe", "act": { "sub": "billing" }, "ctx": { "plan": "gold" },
                "iat": NOW + 10, "exp": NOW + 70, "jti": link.id, "dst": "/a?b=c",
            })
        );
    })
    .await;
    assert_eq!((answer.status, answer.header("location")), (302, Some("/dashboard?x=1")));
    let cookies = answer.header_lines("set-cookie");
    assert_eq!(cookies, ["sid=abc; Path=/; HttpOnly", "theme=dark"]);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let again = gate.public().post_form(&link.path, &[], &[]).await;
    assert_eq!(again.code(), "already_used");
    assert!(panel.is_quiet());
    gate.stop().await;
}

#[tokio::test]
async fn the_page_asked_for_is_in_the_assertion_and_home_where_there_is_none() {
    let (gate, mut panel) = start().await;
    for (fields, dst) in [(&[("next", "/asked?a")][..], "/asked?a"), (&[], "/")] {
        let link = gate.link(json!({})).await;
        let answer = open(&gate, &mut panel, &link.path, fields, &[], |visit| {
            assert_eq!(claims(visit.header(ASSERTION)[0]).1["dst"], dst);
        });
        assert_eq!(answer.await.status, 302);
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_login_assertion_is_no_link() {
    let (gate, mut panel) = start().await;
    let link = gate.link(json!({})).await;
    let mut assertion = String::new();
    open(&gate, &mut panel, &link.path, &[], &[], |visit| {
        visit.header(ASSERTION)[0].clone_into(&mut assertion);
    })
    .await;
    let path = format!("/_once/l/{assertion}");
    assert_eq!(gate.public().post_form(&path, &[], &[]).await.code(), "wrong_type");
    assert_eq!(gate.public().get(&path).await.code(), "wrong_type");
    assert_eq!(gate.redeem(&assertion).await.code(), "wrong_type");
    assert!(panel.is_quiet());
    gate.stop().await;
}

#[tokio::test]
async fn nobody_but_the_gate_visits_the_callback() {
    let (gate, mut panel) = start().await;
    let spellings = [
        "/sso/in",
        "/sso/in/",
        "/sso/in?a=b",
        "/SSO/In",
        "/sso/%69n",
        "/sso/%2569n",
        "/%73so/in",
        "//sso/in",
        "/sso//in",
        "/./sso/in",
        "/sso/./in",
        "/x/../sso/in",
        "/x/%2e%2e/sso/in",
        "/x/..;/sso/in",
        "/sso/in;a=b",
        "/sso/in/.",
        "/sso/in/x/..",
        "/sso%2fin",
        "/sso%252fin",
        "/sso%5cin",
        "/sso/in%20",
        "/sso/in%09",
        "/sso/in%2f",
    ];
    for spelling in spellings {
        for method in ["GET", "HEAD", "POST", "PUT", "OPTIONS"] {
            let forged = [(ASSERTION, "forged")];
            let answer = gate.public().request(method, spelling, &forged, b"").await;
            assert_eq!(answer.status, 404, "{method} {spelling}");
        }
    }
    for unreadable in ["/sso\\in", "/sso/in%00"] {
        assert_eq!(gate.public().get(unreadable).await.status, 400, "{unreadable}");
    }
    assert!(panel.is_quiet());
    gate.stop().await;
}

#[tokio::test]
async fn other_pages_are_proxied_without_what_a_visitor_forges() {
    let (gate, mut panel) = start().await;
    let forged = [(ASSERTION, "forged"), ("x_oncegate_assertion", "forged")];
    let public = gate.public();
    let asked = public.get_with("/sso/inside", &forged);
    let visited = async {
        let visit = panel.next().await;
        assert!(visit.headers.values().all(|value| value != "forged"), "{:?}", visit.headers);
        visit.answer(welcome());
    };
    assert_eq!(tokio::join!(asked, visited).0.status, 302);
    gate.stop().await;
}

#[tokio::test]
async fn the_page_may_lead_where_the_site_allows() {
    let (gate, _panel) = start().await;
    let link = gate.link(json!({ "destination": "/a" })).await;
    let page = gate.browser().get(&link.path).await;
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.ends_with("; form-action 'self' https://docs.example.com"), "{policy}");
    gate.stop().await;
}

#[tokio::test]
async fn an_application_that_does_not_answer_costs_the_link_and_the_page_says_so() {
    let (gate, panel) = start().await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    gate.reconfigure(|text| text.replace(&panel.addr.to_string(), &nobody.to_string()));
    let gate = gate.restart().await;
    let link = gate.link(json!({})).await;
    let answer = gate.open(&link).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert!(answer.text().contains("ask for a new one"), "{}", answer.text());
    assert_eq!(gate.redeem(&link.token).await.code(), "already_used");
    gate.stop().await;
}

#[tokio::test]
async fn what_follows_the_spending_runs_to_its_end_when_the_browser_goes_away() {
    let (gate, mut panel) = start().await;
    let link = gate.link(json!({})).await;
    let mut browser = Connection::open(gate.public_at()).await.unwrap();
    let request = format!(
        "POST {} HTTP/1.1\r\nHost: panel.example.com\r\nContent-Length: 0\r\n\r\n",
        link.path
    );
    browser.send(request).await.unwrap();
    let visit = panel.next().await; // spent by now
    drop(browser);
    let metrics = &gate.running.as_ref().unwrap().gate.metrics;
    let open = metrics.connections.get_or_create(&Listener { listener: "public" }).clone();
    eventually(|| open.get() == 0).await; // the gate has noticed
    let first = visit.connection;
    visit.answer(welcome());
    // Whoever reads an answer to its end uses the connection again.
    for tries in 0.. {
        assert!(tries < 1_000, "the gate did not wait for the application's answer");
        let public = gate.public();
        let asked = public.get("/");
        let visited = async {
            let visit = panel.next().await;
            let connection = visit.connection;
            let mut answer = welcome();
            answer.headers_mut().insert("connection", "close".parse().unwrap());
            visit.answer(answer);
            connection
        };
        if tokio::join!(asked, visited).1 == first {
            break;
        }
    }
    let used = metrics.redeemed.get_or_create(&At { site: "panel".to_owned() }).get();
    assert_eq!((used, gate.remembered()), (1, 1));
    assert_eq!(gate.redeem(&link.token).await.code(), "already_used");
    gate.stop().await;
}

/// Yields to the others until it is so.
async fn eventually(so: impl Fn() -> bool) {
    let until = async {
        while !so() {
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(std::time::Duration::from_secs(20), until).await;
    assert!(in_time.is_ok(), "never so");
}
