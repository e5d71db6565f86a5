//! Nobody says who they are but the gate. ATTACKS.md, 4 and 6.

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;

use crate::{
    application::Asked,
    balancer::Balancer,
    deployed::Deployed,
    stand::{Form, Stand},
    support::http::Answer,
};

/// What stands in everything forged here.
const FORGED: &str = "forged";

/// Every spelling an application might read as the gate's own.
const NAMES: [&str; 11] = [
    "X-Oncegate-User",
    "x_oncegate_user",
    "X.Oncegate.User",
    "X-Oncegate_User",
    "X-Oncegate-Assertion",
    "X_Oncegate_Assertion",
    "X-Oncegate-Caller",
    "Remote-User",
    "Remote_User",
    "Remote.User",
    "rEMOTE-uSER",
];

/// What some applications take for the path or the host that was asked for: another page than the
/// one that was judged.
const ROUTING: [&str; 10] = [
    "X-Original-URL",
    "x_original_url",
    "X.Original.URL",
    "X-Original_URL",
    "X-Original-URI",
    "X_Original_URI",
    "X-Original-Host",
    "X_Original_Host",
    "X-Rewrite-URL",
    "X_Rewrite_URL",
];

fn nothing_forged(asked: &[Asked]) {
    for asked in asked {
        for (name, value) in asked.headers.iter().chain(&asked.trailers) {
            assert!(!value.contains(FORGED), "{name} reached the application in {asked:?}");
        }
    }
}

/// Each name alone, those of the gate twice, and named by `Connection`.
fn attempts() -> Vec<Vec<(&'static str, &'static str)>> {
    let mut all = Vec::new();
    for name in NAMES {
        all.push(vec![(name, "forged")]);
        all.push(vec![(name, "forged-1"), (name, "forged-2")]);
    }
    for name in ROUTING {
        all.push(vec![(name, "/forged")]);
    }
    for listed in ["close, X-Oncegate-User, Remote-User", "X-Oncegate-Assertion, close"] {
        all.push(vec![
            ("Connection", listed),
            ("X-Oncegate-User", "forged"),
            ("X-Oncegate-Assertion", "forged"),
            ("Remote-User", "forged"),
        ]);
    }
    assert!(all.len() > 30);
    all
}

pub(crate) async fn identity_headers_never_reach_the_application(stand: &mut Stand) {
    for attempt in attempts() {
        let answer = stand.visitor().request("GET", "/orders", &attempt, b"").await;
        match stand.form {
            Form::Links => {}
            // Refused as nobody, or for what it tried.
            _ => assert!(matches!(answer.status, 400 | 401), "{attempt:?}: {answer:?}"),
        }
        says_nobody(&answer);
    }
    nothing_forged(&stand.application.asked());
}

fn says_nobody(answer: &Answer) {
    if answer.status == 200 {
        assert_eq!(answer.json()["user"], "nobody");
    }
}

pub(crate) async fn nor_do_they_for_somebody_signed_in(stand: &mut Stand) {
    let cookies = stand.signed_in().await.cookies();
    let mut reached = 0;
    for attempt in attempts() {
        let visitor = stand.visitor().header("Cookie", &cookies);
        let answer = visitor.request("GET", "/orders", &attempt, b"").await;
        // Whoever tries may be refused, but is never somebody else.
        match answer.status {
            200 => assert_eq!(answer.json()["user"], "joe", "{attempt:?}"),
            status => assert_eq!(status, 400, "{attempt:?}: {answer:?}"),
        }
        reached += usize::from(answer.status == 200);
    }
    assert!(reached > 0, "every attempt is refused: nothing is shown");
    let asked = stand.application.asked();
    nothing_forged(&asked);
    if stand.form != Form::Links {
        for asked in asked.iter().filter(|asked| asked.target == "/orders") {
            assert_eq!(asked.header("x-oncegate-user"), ["joe"], "{asked:?}");
            assert_eq!(asked.header("remote-user"), ["joe"], "{asked:?}");
            assert_eq!(asked.header("x-oncegate-assertion").len(), 1, "{asked:?}");
        }
    }
}

/// Where the gate lets pass whom it does not know, its answer names nobody, and a load balancer
/// that only copies what is there would leave a forged name in its place.
pub(crate) async fn nor_for_whoever_need_not_sign_in<B: Balancer>() {
    let may_pass = |gate: Deployed| gate.replace("\"refuse\"", "\"pass\"");
    let Some(stand) = Stand::with::<B>(Form::ForwardAuth, may_pass).await else { return };
    let mut reached = 0;
    for attempt in attempts() {
        let answer = stand.visitor().request("GET", "/orders", &attempt, b"").await;
        match answer.status {
            200 => assert_eq!(answer.json()["user"], "nobody", "{attempt:?}"),
            status => assert_eq!(status, 400, "{attempt:?}: {answer:?}"),
        }
        reached += usize::from(answer.status == 200);
    }
    assert!(reached > 0, "every attempt is refused: nothing is shown");
    nothing_forged(&stand.application.asked());
    stand.logs_hold_no_secret().await;
}

pub(crate) async fn nor_does_what_stands_in_trailers(stand: &mut Stand) {
    let visitor = stand.signed_in().await;
    let headers =
        [("Transfer-Encoding", "chunked"), ("Trailer", "X-Oncegate-User"), ("Connection", "close")];
    let mut request = visitor.head("POST", "/orders", &headers) + "\r\n4\r\nbody\r\n0\r\n";
    let names = || NAMES.iter().chain(&ROUTING);
    for name in names() {
        request.extend([name, ": forged\r\n"]);
    }
    let answer = visitor.raw(request + "\r\n").await;
    assert!(matches!(answer.status, 200 | 400 | 411), "{answer:?}");
    // The same over HTTP/2, where a body of known length has trailers too.
    let trailers: HeaderMap = names().map(|name| (lower(name), FORGED)).map(parsed).collect();
    assert!(trailers.len() > 5, "{trailers:?}");
    for measured in [true, false] {
        let answer = visitor.post_with_trailers("/orders", measured, &trailers).await;
        let status = answer.map_or(400, |status| status.as_u16());
        assert!(matches!(status, 200 | 400 | 411), "{measured}: {status}");
    }
    nothing_forged(&stand.application.asked());
}

fn lower(name: &str) -> String {
    name.to_ascii_lowercase()
}

fn parsed((name, value): (String, &str)) -> (HeaderName, HeaderValue) {
    (name.parse().unwrap(), value.parse().unwrap())
}

pub(crate) async fn nobody_gets_in_under_another_name_of_the_site(stand: &mut Stand) {
    let visitor = stand.signed_in().await;
    let cookies = visitor.cookies();
    let before = stand.application.asked().len();
    for (target, host) in [
        ("/orders", "evil.example"),
        ("/orders", "panel.example.com.evil.example"),
        ("/orders", "panel.example.com@evil.example"),
        ("https://evil.example/orders", "panel.example.com"),
        ("https://panel.example.com/orders", "evil.example"),
        ("/orders", "panel.example.com\r\nHost: evil.example"),
    ] {
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookies}\r\nConnection: close\r\n\r\n"
        );
        let answer = visitor.raw(request).await;
        // What the load balancer made one name of is that name everywhere.
        assert!(matches!(answer.status, 200 | 400 | 401 | 403 | 404 | 421), "{host}: {answer:?}");
    }
    if stand.form != Form::Links {
        for asked in &stand.application.asked()[before..] {
            assert_eq!(asked.header("host"), ["panel.example.com"], "{asked:?}");
            assert_eq!(asked.header("x-forwarded-host"), ["panel.example.com"], "{asked:?}");
        }
    }
}

pub(crate) async fn a_callback_is_not_a_visitors_to_make(stand: &mut Stand) {
    // {"sub":"forged"}, as the gate's own would come.
    let assertion = "e30.eyJzdWIiOiJmb3JnZWQifQ.e30";
    for target in ["/sso", "/sso?x=1", "//sso", "/./sso", "/a/../sso", "/%73so", "/sso/", "/sso;a"]
    {
        let headers = [("X-Oncegate-Assertion", assertion), ("X_Oncegate_Assertion", assertion)];
        let answer = stand.visitor().request("GET", target, &headers, b"").await;
        assert!(matches!(answer.status, 400 | 404), "{target}: {answer:?}");
    }
    assert!(stand.application.asked().is_empty(), "{:?}", stand.application.asked());
    // The gate's own visit does arrive.
    let link = stand.link(json!({})).await;
    assert_eq!(stand.browser().open(&link.path).await.status, 303);
    assert_eq!(stand.application.asked_for("/sso").header("x-oncegate-assertion").len(), 1);
}
