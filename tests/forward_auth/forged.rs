//! Questions that are not the load balancer's, and what visitors put into those that are.

use std::net::Ipv4Addr;

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::json;
use tracing::Level;

use super::{
    asking::{ALL, IDENTITY, Proxy, Question, Visit, gate, gate_with, panel, refused, terse},
    support::{
        gate::Gate,
        http::{Connection, raw},
        logs,
    },
};

/// What says of a request what it is, to somebody.
const SAYS: [(&str, &str); 14] = [
    ("X-Original-URL", "https://panel.example.com/assets/a"),
    ("X-Original-URI", "/assets/a"),
    ("X-Original-Method", "GET"),
    ("X-Original-Host", "panel.example.com"),
    ("X-Rewrite-URL", "/assets/a"),
    ("X-Forwarded-Method", "GET"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "panel.example.com"),
    ("X-Forwarded-Uri", "/assets/a"),
    ("X-Forwarded-Path", "/assets/a"),
    ("X-Forwarded-Prefix", "/assets"),
    ("Forwarded", "proto=https;host=panel.example.com"),
    ("X-Envoy-Original-Path", "/assets/a"),
    ("X-HTTP-Method-Override", "GET"),
];

fn is_said_by(proxy: Proxy, name: &str) -> bool {
    proxy.must_say().iter().any(|own| own.eq_ignore_ascii_case(name))
}

#[tokio::test]
async fn who_is_no_trusted_proxy_finds_nothing_there() {
    logs::keep();
    let gate = gate().await;
    let cookie = gate.sign_in().await;
    // Of no other test here: the log is all of theirs.
    let stranger = Ipv4Addr::new(127, 0, 0, 9);
    for proxy in ALL {
        for visit in [Visit::to("/").cookie(&cookie), Visit::to("/assets/a")] {
            for question in [
                proxy.question(&visit),
                proxy.question(&visit).with("X-Real-IP", "127.0.0.1"),
                proxy
                    .question(&visit)
                    .without("X-Forwarded-For")
                    .with("X-Forwarded-For", "127.0.0.1"),
                proxy.question(&visit).with("Forwarded", "for=127.0.0.1"),
            ] {
                let answer = question.from(stranger, gate.public_at()).await;
                assert!(answer.starts_with("HTTP/1.1 404 "), "{question:?} {answer}");
                assert!(answer.contains("\"not_found\""), "{answer}");
                assert!(!answer.contains("x-oncegate"), "{answer}");
                assert_eq!(question.to(gate.public_at()).await.status, 200, "{question:?}");
            }
        }
    }
    let shown = Proxy::Nginx.question(&Visit::to("/")).at("/_once/auth/denied");
    assert!(shown.from(stranger, gate.public_at()).await.starts_with("HTTP/1.1 404 "));
    let said = "asked as load balancers ask, by a peer not in listen.trusted_proxies";
    let of_the_stranger = |line: &logs::Line| line.get("peer") == "127.0.0.9";
    let lines: Vec<_> = logs::all().into_iter().filter(of_the_stranger).collect();
    assert!(lines.len() > 40, "{}", lines.len());
    assert!(lines.iter().all(|line| line.level == Level::WARN && line.get("message") == said));
    gate.stop().await;
}

/// A load balancer that only passes connections on is no voice for what is said on them.
#[tokio::test]
async fn who_comes_through_a_trusted_proxy_by_a_proxy_header_is_not_trusted_for_that() {
    let gate =
        gate_with(|text| text.replace("[listen]\n", "[listen]\nclient_ip = \"proxy-protocol\"\n"))
            .await;
    let ask = async |proxy: Proxy, header: &str| {
        let question = proxy.question(&Visit::to("/assets/a"));
        raw(gate.public_at(), [header.as_bytes(), &question.bytes()].concat()).await
    };
    for proxy in ALL {
        let visitor = ask(proxy, "PROXY TCP4 203.0.113.7 127.0.0.1 4711 443\r\n").await;
        assert_eq!((visitor.status, visitor.code().as_str()), (404, "not_found"), "{proxy:?}");
        let nobody = ask(proxy, "PROXY UNKNOWN\r\n").await;
        assert_eq!((nobody.status, nobody.code().as_str()), (404, "not_found"), "{proxy:?}");
        let own = ask(proxy, "PROXY TCP4 127.0.0.1 127.0.0.1 4711 443\r\n").await;
        assert_eq!(own.status, 200, "{proxy:?}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn nobody_is_a_load_balancer_until_the_configuration_says_so() {
    let gate = Gate::start().await;
    let cookie = gate.sign_in().await;
    for proxy in ALL {
        let answer = proxy.asks(&gate, &Visit::to("/").cookie(&cookie)).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{proxy:?}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn each_is_asked_at_its_own_path_byte_for_byte() {
    let gate = gate_with(|text| panel(&text, "anonymous = \"pass\"")).await;
    for proxy in ALL {
        let path = proxy.path();
        let name = path.rsplit('/').next().unwrap();
        let question = proxy.question(&Visit::to("/a"));
        assert_eq!(question.to(gate.public_at()).await.status, 200, "{path}");
        for spelled in [
            format!("/_once//auth/{name}"),
            format!("//_once/auth/{name}"),
            format!("/_once/%61uth/{name}"),
            format!("/%5fonce/auth/{name}"),
            format!("/_once/auth%2f{name}"),
            format!("/_once/auth//{name}"),
            format!("/_once/./auth/{name}"),
            format!("/_once/x/../auth/{name}"),
            format!("/_once/auth;a=b/{name}"),
            format!("/_once/auth/{name};a=b"),
            format!("/_ONCE/auth/{name}"),
            format!("/_once/Auth/{name}"),
            format!("/_once/auth/{}", name.to_uppercase()),
            format!("/_once/auth/{name}x"),
            format!("/_once/auth/{name}%2f"),
            format!("/_once/auth/{name}."),
            format!("/_once/auth/%{:02x}{}", name.as_bytes()[0], &name[1..]),
            "/_once/auth".to_owned(),
            "/_once/auth/".to_owned(),
            "/_once/auth/apache".to_owned(),
        ] {
            let host = question.clone().without("Host").with("Host", "panel.example.com");
            let answer = host.at(&spelled).to(gate.public_at()).await;
            assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{spelled}");
        }
        if proxy == Proxy::Envoy {
            continue;
        }
        // What follows a `?` is the visitor's own (Caddy, without one in its `uri`).
        let queried = question.clone().at(&format!("{path}?_once=x&a=/assets/b"));
        assert_eq!(queried.to(gate.public_at()).await.status, 200, "{path}");
        let below = question.clone().at(&format!("{path}/"));
        assert_eq!(below.to(gate.public_at()).await.status, 404, "{path}");
        // Whatever it calls the gate.
        let other = question.clone().without("Host").with("Host", "gate.internal:8080");
        assert_eq!(other.to(gate.public_at()).await.status, 200, "{path}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn each_is_believed_in_its_own_headers_alone() {
    let gate = gate().await;
    for proxy in ALL {
        let question = proxy.question(&Visit::to("/admin"));
        let all = SAYS.into_iter().filter(|(name, _)| !is_said_by(proxy, name));
        let forged = all.fold(question.clone(), |all, (name, value)| all.with(name, value));
        let answer = forged.to(gate.public_at()).await;
        refused(proxy, &answer, 401, "sign_in_required", "what others would say");
        // Nor does what others say stand in for what is missing.
        for name in proxy.must_say() {
            let answer = forged.clone().without(name).to(gate.public_at()).await;
            refused(proxy, &answer, 400, "invalid_request", name);
        }
        for name in IDENTITY {
            let answer = question.clone().with(name, "admin").to(gate.public_at()).await;
            refused(proxy, &answer, 401, "sign_in_required", name);
        }
        let listed = proxy.must_say().join(", ");
        let answer = question.clone().with("Connection", &listed).to(gate.public_at()).await;
        refused(proxy, &answer, 401, "sign_in_required", "listed in Connection");
    }
    gate.stop().await;
}

#[tokio::test]
async fn what_must_be_said_is_said_once_and_as_text() {
    let gate = gate().await;
    let cookie = gate.sign_in().await;
    for proxy in ALL {
        let question = proxy.question(&Visit::to("/assets/a").cookie(&cookie));
        assert_eq!(question.to(gate.public_at()).await.status, 200);
        let spoken = question.lines.clone();
        for name in proxy.must_say() {
            let own = |(found, _): &&(String, String)| found.eq_ignore_ascii_case(name);
            let (_, value) = spoken.iter().find(own).unwrap();
            for (odd, why) in [
                (question.clone().without(name), "missing"),
                (question.clone().with(name, value), "twice, and the same"),
                (question.clone().with(&name.to_uppercase(), "x"), "twice"),
                (question.clone().without(name).with(name, ""), "empty"),
                (question.clone().without(name).with(name, "\u{e9}"), "no ASCII"),
            ] {
                let answer = odd.to(gate.public_at()).await;
                refused(proxy, &answer, 400, "invalid_request", &format!("{name} {why}"));
            }
            let twice = format!("{value}, {value}");
            let odd = question.clone().without(name).with(name, &twice);
            let answer = odd.to(gate.public_at()).await;
            assert!((400..=421).contains(&answer.status), "{name}: {twice}");
        }
    }
    gate.stop().await;
}

#[tokio::test]
async fn what_is_asked_about_is_a_page_of_a_site() {
    let gate = gate_with(|text| {
        panel(&text, "anonymous = \"pass\"\nhosts = [\"*.customers.example.com\"]")
    })
    .await;
    for proxy in ALL {
        for host in [
            "evil.example",
            "panel.example.com.evil.example",
            "evil-panel.example.com",
            "panel.example.com.",
            "panel.example.com:80",
            "panel.example.com:8443",
            "panel.example.com:0443",
            "127.0.0.1",
            "customers.example.com",
            "a.b.customers.example.com",
            "*.customers.example.com",
            "a.customers.example.com.evil.example",
        ] {
            let answer = proxy.asks(&gate, &Visit::to("/a").at("https", host)).await;
            refused(proxy, &answer, 421, "wrong_site", host);
        }
        for scheme in ["http", "ws", "HTTPS", "ftp", "https,http", "javascript"] {
            let visit = Visit::to("/a").at(scheme, "panel.example.com");
            let answer = proxy.asks(&gate, &visit).await;
            refused(proxy, &answer, 421, "wrong_site", scheme);
        }
    }
    gate.stop().await;
}

#[tokio::test]
async fn what_no_url_is_written_in_is_refused() {
    let gate = gate_with(|text| panel(&text, "anonymous = \"pass\"")).await;
    for proxy in ALL.into_iter().filter(|proxy| *proxy != Proxy::Envoy) {
        for target in ["/a b", "/a#b", "/a\\b", "/a?b#c", "/a%00", "/a\tb", "a", "?a", "*"] {
            let answer = proxy.asks(&gate, &Visit::to(target)).await;
            if proxy == Proxy::Nginx {
                terse(&answer, target);
            } else {
                refused(proxy, &answer, 400, "invalid_request", target);
            }
        }
    }
    for target in ["/a\\b", "/a%00"] {
        let answer = Proxy::Envoy.asks(&gate, &Visit::to(target)).await;
        refused(Proxy::Envoy, &answer, 400, "invalid_request", target);
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_whole_url_is_nothing_but_scheme_host_and_target() {
    let gate = gate_with(|text| panel(&text, "anonymous = \"pass\"")).await;
    for url in [
        "/admin",
        "//panel.example.com/a",
        "panel.example.com/a",
        "https:panel.example.com/a",
        "https:/panel.example.com/a",
        "https:///panel.example.com/a",
        "https://panel.example.com",
        "https://panel.example.com?a",
        "https://panel.example.com#/a",
        "https://a@panel.example.com/a",
        "https://panel.example.com@evil.example/a",
        "https://panel.example.com:x@evil.example/a",
        "https://evil.example\\@panel.example.com/a",
        "https://evil.example/https://panel.example.com/a",
        "https://panel.example.com%2f@evil.example/a",
        "https://panel.example.com,evil.example/a",
        " https://panel.example.com evil/a",
        "https\u{3a}\u{2215}\u{2215}panel.example.com/a",
    ] {
        let question = Proxy::Nginx.question(&Visit::to("/a")).without("X-Original-URL");
        terse(&question.with("X-Original-URL", url).to(gate.public_at()).await, url);
    }
    // The second of two URLs is a part of the first one's path, and no other page's.
    let visit = Visit::to("/https://panel.example.com/assets/a");
    assert_eq!(Proxy::Nginx.asks(&gate, &visit).await.status, 200);
    gate.stop().await;
}

#[tokio::test]
async fn a_question_comes_by_its_load_balancers_method() {
    let gate = gate().await;
    let cookie = gate.sign_in().await;
    let visit = Visit::to("/a").by("PUT").cookie(&cookie);
    for proxy in [Proxy::Nginx, Proxy::Haproxy, Proxy::Caddy, Proxy::Traefik] {
        for method in ["POST", "DELETE", "OPTIONS", "get"] {
            let question = proxy.question(&visit).by(method).with("Content-Length", "0");
            let answer = question.to(gate.public_at()).await;
            refused(proxy, &answer, 405, "method_not_allowed", method);
        }
        let head = proxy.question(&visit).by("HEAD").to(gate.public_at()).await;
        assert_eq!(head.status == 200, proxy == Proxy::Haproxy, "{proxy:?}");
    }
    // Traefik, with `preserveRequestMethod`.
    let same = Proxy::Traefik.question(&visit).by("PUT").with("Content-Length", "0");
    assert_eq!(same.to(gate.public_at()).await.status, 200);
    gate.stop().await;
}

#[tokio::test]
async fn nobody_waits_for_the_body_of_a_question() {
    let gate = gate().await;
    let cookie = gate.sign_in().await;
    for proxy in ALL {
        let question = proxy.question(&Visit::to("/a").cookie(&cookie)).without("Content-Length");
        for framing in [("Content-Length", "1000000"), ("Transfer-Encoding", "chunked")] {
            let bytes = question.clone().with(framing.0, framing.1).bytes();
            let mut connection = Connection::open(gate.public_at()).await.unwrap();
            connection.send(&bytes).await.unwrap();
            assert_eq!(connection.answer().await.unwrap().status, 200, "{proxy:?} {framing:?}");
        }
    }
    gate.stop().await;
}

/// A visitor's header line: what some load balancer would say, in some spelling, or anything.
fn line() -> impl Strategy<Value = (String, String)> {
    let said =
        proptest::sample::select(&SAYS[..]).prop_map(|(name, value)| (name, value.to_owned()));
    let identity =
        proptest::sample::select(&IDENTITY[..]).prop_map(|name| (name, "joe".to_owned()));
    let others = proptest::sample::select(vec![
        ("Cookie", "__Host-oncegate=x"),
        ("Connection", "X-Forwarded-Uri, X-Original-URL, X-Oncegate-User"),
        ("Authorization", "Bearer x"),
        ("Accept", "text/html"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Site", "same-origin"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("Upgrade", "websocket"),
        ("Early-Data", "1"),
    ])
    .prop_map(|(name, value)| (name, value.to_owned()));
    let name = prop_oneof![said, identity, others];
    let spelled = (name, 0..4_u8, "[ -~]{0,12}", any::<bool>());
    spelled.prop_map(|((name, value), spelling, odd, keep)| {
        let name = match spelling {
            0 => name.replace('-', "_"),
            1 => name.replace('-', "."),
            2 => name.to_uppercase(),
            _ => name.to_owned(),
        };
        (name, if keep { value } else { odd })
    })
}

fn case() -> impl Strategy<Value = (Proxy, String, String, Vec<(String, String)>)> {
    let proxy = proptest::sample::select(&ALL[..]);
    let method = proptest::sample::select(vec!["GET", "HEAD", "POST", "PUT", "OPTIONS", "X"]);
    let target = "/(admin|assetsx|[a-z%./;]{0,8})(/[a-z%./;?=&]{0,12})?";
    let lines = proptest::collection::vec(line(), 0..6);
    (proxy, method.prop_map(str::to_owned), target, lines)
}

/// Whatever a visitor adds to what a load balancer says, in front of it and behind.
#[test]
fn no_combination_of_headers_passes_a_signed_out_visitor() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // The token is there to be sent; nobody has used it.
    let (gate, token) = runtime.block_on(async {
        let gate = gate().await;
        let token = gate.link(json!({})).await.token;
        (gate, token)
    });
    let mut runner = TestRunner::new(Config { cases: 1_000, ..Config::default() });
    let ran = runner.run(&(case(), any::<bool>(), any::<bool>()), |(case, first, carries)| {
        let (proxy, method, mut target, lines) = case;
        if carries {
            target = format!("{}?_once={token}", target.split('?').next().unwrap_or_default());
        }
        let public = target.starts_with("/assets/");
        prop_assume!(!public && !target.contains('#'));
        let Question { method, target, lines: said } =
            proxy.question(&Visit::to(&target).by(&method));
        let lines = if first { [lines, said].concat() } else { [said, lines].concat() };
        let answer = runtime.block_on(Question { method, target, lines }.to(gate.public_at()));
        prop_assert!((300..500).contains(&answer.status), "{answer:?}");
        for name in IDENTITY {
            prop_assert!(answer.header_lines(name).is_empty(), "{answer:?}");
        }
        prop_assert!(answer.header_lines("set-cookie").is_empty(), "{answer:?}");
        Ok(())
    });
    ran.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(gate.remembered(), 0);
    runtime.block_on(gate.stop());
}
