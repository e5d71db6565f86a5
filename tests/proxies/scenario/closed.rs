//! What load balancers ask the gate is not for visitors to ask. ATTACKS.md, 4.

use serde_json::json;

use crate::stand::Stand;

const KINDS: [&str; 6] = ["nginx", "haproxy", "caddy", "traefik", "envoy/orders", "denied"];

fn spellings(kind: &str) -> Vec<String> {
    let mut all: Vec<String> = [
        "/_once/auth/KIND",
        "/_once/auth/KIND/",
        "/_once/auth/KIND?a=b",
        "/_once/auth/KIND?_once",
        "/_once/auth/KIND?_once=x",
        "/_once/auth/KIND?a=b&_once=x",
        "/_once//auth/KIND",
        "//_once/auth/KIND",
        "/_once/auth//KIND",
        "/_once/%61uth/KIND",
        "/%5fonce/auth/KIND",
        "/_once%2fauth%2fKIND",
        "/_once/auth%2FKIND",
        "/_once/./auth/KIND",
        "/_once/%2e/auth/KIND",
        "/x/..//_once/auth/KIND",
        "/x/../_once/auth/KIND",
        "/_once/x/../auth/KIND",
        "/_once/l/../auth/KIND",
        "/_once/auth/KIND;a",
        "/_once/;/auth/KIND",
        "/_once\\auth\\KIND",
        "/_ONCE/AUTH/KIND",
        "/_once/AUTH/KIND",
        "http://panel.example.com/_once/auth/KIND",
    ]
    .map(|spelling| spelling.replace("KIND", kind))
    .into();
    all.push(format!("/_once/auth/{}", kind.to_uppercase()));
    all
}

pub(crate) async fn checks_are_closed_to_visitors_in_every_spelling(stand: &mut Stand) {
    // Somebody whom a check would let in: a 200 would say so.
    let cookies = stand.signed_in().await.cookies();
    let asking = [
        ("Cookie", cookies.as_str()),
        ("X-Original-URL", "https://panel.example.com/orders"),
        ("X-Original-Method", "GET"),
        ("X-Forwarded-Uri", "/orders"),
        ("X-Forwarded-Method", "GET"),
        ("X-Forwarded-Host", "panel.example.com"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-For", "127.0.0.1"),
    ];
    let before = stand.application.asked().len();
    for kind in KINDS {
        for spelling in spellings(kind) {
            let answer = stand.visitor().request("GET", &spelling, &asking, b"").await;
            for name in ["x-oncegate-user", "x-oncegate-assertion", "remote-user"] {
                assert!(answer.header(name).is_none(), "{spelling}: {answer:?}");
            }
            // What is not the gate's path, as that path is read, is the application's own page.
            if answer.status == 200 {
                assert!(answer.json()["target"].is_string(), "{spelling}: {answer:?}");
            } else {
                assert!(matches!(answer.status, 400 | 403 | 404 | 405), "{spelling}: {answer:?}");
            }
        }
        // As the documents spell it, it is nobody's.
        let target = format!("/_once/auth/{kind}");
        let answer = stand.visitor().request("GET", &target, &asking, b"").await;
        assert_eq!(answer.status, 404, "{kind}");
    }
    let asked = &stand.application.asked()[before..];
    for asked in asked {
        assert!(!asked.target.starts_with("/_once/auth/"), "{asked:?}");
    }
}

/// What is logged is judged where every test ends.
pub(crate) async fn a_token_in_the_wrong_place_is_not_logged_either(stand: &mut Stand) {
    let token = stand.link(json!({})).await.token;
    for target in [
        "/_once//l/TOKEN",
        "//_once/l/TOKEN",
        "/_ONCE/l/TOKEN",
        "/%5fonce/l/TOKEN",
        "/_once/l/%65%79%4aTOKEN",
        "/_once/l/TOKEN/more",
        "/orders/TOKEN",
        "/orders;TOKEN",
        "/orders?next=TOKEN",
        "/orders?%5fonce=TOKEN",
        "/orders?_once=TOKEN&_once=TOKEN",
        "/TOKEN",
        "/orders/%65%79%4aREST",
        "/%5Fonce/l/e%79JREST",
    ] {
        let target = target.replace("TOKEN", &token).replace("REST", &token[3..]);
        for method in ["GET", "POST"] {
            let answer = stand.visitor().request(method, &target, &[], b"").await;
            assert!(answer.status < 500, "{target}: {answer:?}");
        }
    }
    let referer = format!("https://panel.example.com/_once/l/{token}");
    stand.visitor().request("GET", "/orders", &[("Referer", &referer)], b"").await;
}
