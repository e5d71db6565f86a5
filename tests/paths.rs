//! Targets and authorities: what is authorised is what is proxied, byte for byte, and nothing
//! that could be read as another path is public, or the gate's, or the callback's.

mod support;

use serde_json::json;
use support::{
    gate::{Gate, PANEL},
    http::{Answer, Client, raw},
};

/// Paths that some server may read as something outside `/assets/`, or that some glob may not.
const TWO_READINGS: [&str; 37] = [
    "/assets/../admin",
    "/assets/..",
    "/assets/.",
    "/assets/./x",
    "/assets/x/../../admin",
    "/assets/%2e%2e/admin",
    "/assets/%2E%2e/admin",
    "/assets/.%2e/admin",
    "/assets/%2e./admin",
    "/assets/%2e/x",
    "/assets/%252e%252e/admin",
    "/assets/%25252e%25252e%25252fadmin",
    "/assets/..%2fadmin",
    "/assets/..%5cadmin",
    "/assets/x%2f..%2f..%2fadmin",
    "/assets/..;/admin",
    "/assets/..;a=b/admin",
    "/assets/.;/x",
    "/assets/;/../admin",
    "/assets//admin",
    "/assets//../admin",
    "//assets/x",
    "/assets/%2f/x",
    "/assets%2fx",
    "/assets/x%5cy",
    "/assets/%c0%ae%c0%ae/admin",
    "/assets/%ff",
    "/assets/%",
    "/assets/%2",
    "/assets/%zz",
    "/assets/x%0a",
    "/assets/x%7f",
    "/assets/%20../admin",
    "/x/../assets/x",
    "/assets/x;a=b",
    "/assets/x%3by",
    "/assets/x%3fy",
];

/// Paths that are `/admin` to a server that drops parameters, and end as a public file's would.
const SUFFIXED: [&str; 8] = [
    "/admin;.css",
    "/admin;x.css",
    "/admin;/x.css",
    "/admin%3b.css",
    "/admin%253b.css",
    "/admin%ef%bc%9b.css",
    "/admin%3f.css",
    "/admin%cd%bex.css",
];

/// Paths that are the gate's in some reading.
const GATES: [&str; 26] = [
    "/_once",
    "/_once/",
    "/_once/nothing",
    "/_once/auth/nginx",
    "/_once/l",
    "/_once//x",
    "/_once//l/x",
    "//_once/l/x",
    "///_once///l///x",
    "/./_once/l/x",
    "/a/../_once/x",
    "/a/%2e%2e/_once/x",
    "/a/..;/_once/x",
    "/%5Fonce/l/x",
    "/%5fonce%2fl%2fx",
    "/_%6fnce/session",
    "/%255fonce/x",
    "/_once;a=b/x",
    "/_once%2Fsession",
    "/_once/session/",
    "/_once/%73ession",
    "/_once/logout/../session",
    "/_once/../x",
    "/_once/%2e%2e/x",
    "/_once/..%2fx",
    "/%5Conce/..%5c_once/x",
];

async fn signed_in() -> (Gate, Client) {
    let gate = Gate::start().await;
    let cookie = gate.sign_in().await;
    let client = gate.public().header("cookie", &cookie);
    (gate, client)
}

fn refused_as(answer: &Answer) -> (u16, String) {
    (answer.status, answer.code())
}

fn refusal(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn only_a_path_with_one_reading_is_public() {
    let gate = Gate::start().await;
    for good in ["/assets/a.css", "/assets/a/b.css?v=..%2f..", "/assets/a%20b"] {
        let answer = gate.public().get(good).await;
        assert_eq!(answer.status, 200, "{good}");
        assert_eq!(answer.json()["target"], good);
    }
    let before = gate.upstream.seen().len();
    for bad in TWO_READINGS {
        let answer = gate.public().get(bad).await;
        assert_eq!(refused_as(&answer), refusal(401, "sign_in_required"), "{bad}");
    }
    for bad in ["/Assets/x", "/assetsx", "/assets", "/%61ssets-not/x", "/"] {
        assert_eq!(gate.public().get(bad).await.status, 401, "{bad}");
    }
    assert_eq!(gate.upstream.seen().len(), before);
}

#[tokio::test]
async fn what_is_authorised_is_what_is_proxied() {
    let (gate, client) = signed_in().await;
    let odd = ["/?", "/x?", "/x?a=b&a=%zz&=;?/../", "/%7e~", "/a,b@c:d!$'()*+", "/x?once=1&__once"];
    let all: Vec<&str> = TWO_READINGS.into_iter().chain(odd).collect();
    for target in &all {
        let answer = client.get(target).await;
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        assert_eq!(answer.json()["target"], *target);
    }
    assert_eq!(gate.upstream.seen().len(), all.len());
}

#[tokio::test]
async fn a_path_of_the_gates_is_never_proxied_however_it_is_spelled() {
    let (gate, client) = signed_in().await;
    for path in GATES {
        for method in ["GET", "POST", "HEAD", "PUT"] {
            let answer = client.request(method, path, &[], b"").await;
            assert_eq!(answer.status, 404, "{method} {path}");
            if method != "HEAD" {
                assert_eq!(answer.code(), "not_found", "{path}");
            }
        }
    }
    assert!(gate.upstream.seen().is_empty(), "{:?}", gate.upstream.seen());
}

#[tokio::test]
async fn a_url_with_a_token_is_never_proxied() {
    let (gate, client) = signed_in().await;
    let link = gate.link(json!({})).await;
    let token = link.token.as_str();
    for target in [
        format!("/?_once={token}"),
        format!("/x?a=b&_once={token}&c"),
        format!("/x?%5Fonce={token}"),
        format!("/x?_%6Fnce={token}"),
        format!("/assets/x?_once={token}"),
        format!("/_once/session?_once={token}"),
    ] {
        assert_eq!(client.get(&target).await.status, 200, "{target}");
        for method in ["POST", "PUT", "OPTIONS", "DELETE"] {
            let answer = client.request(method, &target, &[], b"").await;
            assert_eq!(refused_as(&answer), refusal(400, "invalid_request"), "{method} {target}");
        }
    }
    for target in ["/?_once", "/?_once=", "/?_once=x", "/?a&_once=%00"] {
        let answer = client.get(target).await;
        assert_eq!(refused_as(&answer), refusal(400, "malformed"), "{target}");
    }
    for twice in [format!("/?_once={token}&_once={token}"), format!("/?_once={token}&%5fonce=")] {
        assert_eq!(refused_as(&client.get(&twice).await), refusal(400, "invalid_request"));
    }
    assert!(gate.upstream.seen().is_empty(), "{:?}", gate.upstream.seen());
    assert_eq!(gate.open(&link).await.status, 303, "none of it was its use");
}

#[tokio::test]
async fn a_target_that_reads_two_ways_is_refused() {
    let (gate, _) = signed_in().await;
    let host = format!("Host: {PANEL}\r\n");
    for (line, hosts) in [
        ("GET /assets/a\\b", host.as_str()),
        ("GET /assets\\..\\admin", &host),
        ("GET /assets/a%00.css", &host),
        ("GET /assets/a?x=\\", &host),
        ("GET /assets/a?x=\"<\u{e9}>", &host),
        ("GET /assets/\u{e9}", &host),
        ("OPTIONS *", &host),
        ("CONNECT panel.example.com:443", &host),
        ("GET http://shop.example.com/assets/a", &host),
        ("GET http://panel.example.com@shop.example.com/assets/a", &host),
        ("GET http://a@panel.example.com/assets/a", &host),
        ("GET http://panel.example.com/assets/a", "Host: shop.example.com\r\n"),
        ("GET /assets/a", ""),
        ("GET /assets/a", "Host:\r\n"),
        ("GET /assets/a", "Host: panel.example.com\r\nHost: panel.example.com\r\n"),
        ("GET /assets/a", "Host: panel.example.com\r\nHost: shop.example.com\r\n"),
        ("GET /assets/a", "Host: a@panel.example.com\r\n"),
        ("GET /assets/a", "Host: panel.example.com/x\r\n"),
        ("GET /assets/a", "Host: panel.example.com, shop.example.com\r\n"),
    ] {
        let answer = raw(gate.public_at(), format!("{line} HTTP/1.1\r\n{hosts}\r\n")).await;
        assert_eq!(answer.status, 400, "{line} {hosts}");
    }
    assert!(gate.upstream.seen().is_empty(), "{:?}", gate.upstream.seen());
}

#[tokio::test]
async fn an_absolute_target_that_agrees_is_the_sites() {
    let gate = Gate::start().await;
    for (target, host) in [
        ("http://panel.example.com/assets/a?b", "panel.example.com"),
        ("https://PANEL.example.com/assets/a?b", "panel.example.com"),
        ("/assets/a?b", "panel.example.com:443"),
        ("/assets/a?b", "Panel.Example.COM"),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let answer = raw(gate.public_at(), request).await;
        assert_eq!(answer.status, 200, "{target} {host}");
        assert_eq!(answer.json()["target"], "/assets/a?b");
        assert_eq!(support::upstream::header(&answer.json(), "host"), ["panel.example.com"]);
    }
}

#[tokio::test]
async fn an_authority_of_no_site_is_misdirected_and_the_keys_answer_under_any() {
    let gate = Gate::start().await;
    for host in [
        "evil.example",
        "panel.example.com.evil.example",
        "panel.example.com:80",
        "panel.example.com:8443",
        "xpanel.example.com",
        "127.0.0.1",
    ] {
        let answer = gate.public().host(host).get("/assets/a").await;
        assert_eq!(refused_as(&answer), refusal(421, "wrong_site"), "{host}");
        let keys = gate.public().host(host).get("/.well-known/jwks.json").await;
        assert_eq!(keys.status, 200);
        assert_eq!(keys.header("content-type"), Some("application/jwk-set+json"));
    }
    let post = gate.public().request("POST", "/.well-known/jwks.json", &[], b"").await;
    assert_eq!((post.status, post.header("allow")), (405, Some("GET, HEAD")));
    assert!(gate.upstream.seen().is_empty());
}

#[tokio::test]
async fn the_callback_is_visited_by_the_gate_alone_however_it_is_spelled() {
    let gate = Gate::with(|text| {
        text.replacen(
            "[sites.headers]",
            "handoff = \"callback\"\ncallback = \"/sso\"\n[sites.headers]",
            1,
        )
        .replace("public = [\"/assets/**\"]", "public = [\"/**\"]\nanonymous = \"pass\"")
    })
    .await;
    for path in [
        "/sso",
        "/sso/",
        "/SSO",
        "//sso",
        "/./sso",
        "/a/../sso",
        "/%73so",
        "/%2573so",
        "/sso;a=b",
        "/a/..;/sso",
        "/sso%2f",
        "/sso?x=y",
        "/a%2f..%2fsso",
    ] {
        for method in ["GET", "POST"] {
            let answer = gate.public().request(method, path, &[], b"").await;
            assert_eq!(refused_as(&answer), refusal(404, "not_found"), "{path}");
        }
    }
    assert!(gate.upstream.seen().is_empty(), "{:?}", gate.upstream.seen());
    assert_eq!(gate.public().get("/ssox").await.status, 200);
}

#[tokio::test]
async fn a_request_is_framed_one_way_only() {
    let gate =
        Gate::with(|text| text.replace("public = [\"/assets/**\"]", "anonymous = \"pass\"")).await;
    let start = format!("POST /x HTTP/1.1\r\nHost: {PANEL}\r\n");
    for framing in [
        "Content-Length: 4\r\nContent-Length: 5\r\n\r\nbody!",
        "Content-Length: 4, 5\r\n\r\nbody!",
        "Content-Length: +4\r\n\r\nbody",
        "Content-Length: -1\r\n\r\n",
        "Transfer-Encoding: chunked, identity\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
        "Transfer-Encoding: xchunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
        "X-A: b\r\n folded: c\r\n\r\n",
        "X-A : b\r\n\r\n",
    ] {
        let answer = raw(gate.public_at(), format!("{start}{framing}")).await;
        assert_eq!(answer.status, 400, "{framing}");
    }
    assert!(gate.upstream.seen().is_empty(), "{:?}", gate.upstream.seen());
    // RFC 9112, 6.3: Transfer-Encoding overrides; the other is gone behind the gate.
    let both = "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\nbody\r\n0\r\n\r\n";
    let answer = raw(gate.public_at(), format!("{start}{both}")).await;
    assert_eq!(answer.status, 200);
    let seen = answer.json();
    assert_eq!(seen["body"], "body");
    assert!(support::upstream::header(&seen, "content-length").is_empty());
    assert_eq!(support::upstream::header(&seen, "transfer-encoding"), ["chunked"]);
}

#[tokio::test]
async fn a_parameter_makes_no_page_a_public_file() {
    let public = "public = [\"/*.css\", \"/**/*.css\"]";
    let gate = Gate::with(|text| text.replace("public = [\"/assets/**\"]", public)).await;
    assert_eq!(gate.public().get("/site.css").await.status, 200);
    for path in SUFFIXED {
        assert_eq!(gate.public().get(path).await.code(), "sign_in_required", "{path}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_token_that_only_some_would_read_is_not_passed_on() {
    let gate = Gate::start().await;
    let token = gate.link(json!({})).await.token;
    let seen = gate.upstream.seen().len();
    for name in [
        "a=1;_once",
        ".once",
        "+_once",
        "%20_once",
        "%255fonce",
        "_once[]",
        "_once%5b%5d",
        "_once%00x",
    ] {
        let answer = gate.public().get(&format!("/assets/x?{name}={token}")).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_request"), "{name}");
    }
    assert_eq!(gate.public().get(&format!("/_once/l/{token}?_once={token}")).await.status, 400);
    assert_eq!(gate.upstream.seen().len(), seen);
    gate.stop().await;
}
