//! What may not pass, and what its visitor gets to see of that.

use super::{
    asking::{ALL, Proxy, Question, Visit, gate, gate_with, panel, refused, says_nothing, terse},
    support::{gate::PANEL, http::Answer},
};

fn is_page(answer: &Answer) -> bool {
    answer.header("content-type") == Some("text/html; charset=utf-8")
}

/// What nginx fetches for the visitor of a request that it has refused.
fn shown(visit: &Visit) -> Question {
    Proxy::Nginx.question(visit).at("/_once/auth/denied")
}

/// What `HAProxy` asks where it has no use for a body.
fn by_head(visit: &Visit) -> Question {
    Proxy::Haproxy.question(visit).by("HEAD")
}

#[tokio::test]
async fn a_person_gets_a_page_and_a_program_a_problem() {
    let gate = gate().await;
    let person = Visit::to("/clientarea").in_a_tab();
    let api = Visit::to("/clientarea").with("Accept", "application/json");
    let script = Visit::to("/clientarea")
        .with("Accept", "text/html, */*")
        .with("Sec-Fetch-Mode", "cors")
        .with("Sec-Fetch-Dest", "empty");
    let old_script = Visit::to("/clientarea")
        .with("Accept", "text/html, */*")
        .with("X-Requested-With", "XMLHttpRequest");
    for proxy in ALL.into_iter().filter(|proxy| *proxy != Proxy::Nginx) {
        let page = proxy.asks(&gate, &person).await;
        assert!(page.status == 401 && is_page(&page), "{proxy:?} {}", page.text());
        assert!(page.text().contains("sign_in_required"));
        says_nothing(&page);
        for program in [&api, &script, &old_script] {
            let problem = proxy.asks(&gate, program).await;
            refused(proxy, &problem, 401, "sign_in_required", "a program");
            assert_eq!(problem.header("content-type"), Some("application/problem+json"));
        }
    }
    // A view of an app says whose it is.
    let view = person.clone().with("X-Requested-With", "com.example.app");
    assert!(is_page(&Proxy::Caddy.asks(&gate, &view).await));
    for visit in [person, api, script] {
        terse(&Proxy::Nginx.asks(&gate, &visit).await, "nginx has no use for more");
        terse(&by_head(&visit).to(gate.public_at()).await, "nor has HEAD");
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_person_is_sent_to_sign_in_and_a_program_is_told() {
    let login = "https://login.example.com/?to=panel";
    for (written, location) in
        [(login, login.to_owned()), ("/login", format!("https://{PANEL}/login"))]
    {
        let line = format!("anonymous = \"{written}\"");
        let gate = gate_with(|text| panel(&text, &line)).await;
        for (method, status) in [("GET", 302), ("HEAD", 302), ("POST", 303), ("DELETE", 303)] {
            let visit = Visit::to("/a").by(method).in_a_tab();
            for proxy in ALL {
                let answer = proxy.asks(&gate, &visit).await;
                let expected = if proxy == Proxy::Nginx { 401 } else { status };
                assert_eq!(answer.status, expected, "{proxy:?} {method}");
                assert_eq!(answer.header("location"), Some(location.as_str()), "{proxy:?}");
                says_nothing(&answer);
            }
            for (question, status) in [(by_head(&visit), 401), (shown(&visit), status)] {
                let answer = question.to(gate.public_at()).await;
                assert_eq!(answer.status, status, "{question:?}");
                assert_eq!(answer.header("location"), Some(location.as_str()));
            }
        }
        for proxy in ALL {
            let script = Visit::to("/a").in_a_tab().with("X-Requested-With", "XMLHttpRequest");
            let answer = proxy.asks(&gate, &script).await;
            refused(proxy, &answer, 401, "sign_in_required", "a script");
            let answer = proxy.asks(&gate, &Visit::to("/a").by("POST")).await;
            refused(proxy, &answer, 401, "sign_in_required", "a program");
        }
        gate.stop().await;
    }
}

#[tokio::test]
async fn nginx_shows_what_the_others_copy() {
    let gate = gate().await;
    let cookie = gate.sign_in().await;
    for method in ["GET", "POST"] {
        let page = shown(&Visit::to("/a").by(method).in_a_tab()).to(gate.public_at()).await;
        assert!(page.status == 401 && is_page(&page), "{}", page.text());
        assert!(page.text().contains("sign_in_required"));
        let problem = shown(&Visit::to("/a").by(method)).to(gate.public_at()).await;
        refused(Proxy::Caddy, &problem, 401, "sign_in_required", method);
    }
    let elsewhere = shown(&Visit::to("/a").at("https", "evil.example"));
    let answer = elsewhere.to(gate.public_at()).await;
    refused(Proxy::Caddy, &answer, 421, "wrong_site", "nobody's site");
    // nginx may send the visitor's own method along.
    let same = shown(&Visit::to("/a").by("POST")).by("POST").with("Content-Length", "0");
    assert_eq!(same.to(gate.public_at()).await.code(), "sign_in_required");
    let other = shown(&Visit::to("/a").by("POST")).by("PUT").with("Content-Length", "0");
    let answer = other.to(gate.public_at()).await;
    refused(Proxy::Caddy, &answer, 405, "method_not_allowed", "another method");
    // Refused by nginx itself: nobody learns who is there, least of all a script on the page.
    for visit in [Visit::to("/a").cookie(&cookie), Visit::to("/assets/a")] {
        let answer = shown(&visit).to(gate.public_at()).await;
        refused(Proxy::Caddy, &answer, 403, "forbidden", "it would pass");
    }
    gate.stop().await;
}

#[tokio::test]
async fn the_callback_is_the_gates_alone_to_visit() {
    let gate = gate_with(|text| {
        panel(&text, "handoff = \"callback\"\ncallback = \"/sso/in\"\nanonymous = \"pass\"")
    })
    .await;
    for proxy in ALL {
        for target in ["/sso/in", "/sso/in/?a", "/SSO/in", "/sso//in", "/sso/%69n", "/x/../sso/in"]
        {
            let answer = proxy.asks(&gate, &Visit::to(target)).await;
            refused(proxy, &answer, 404, "not_found", target);
        }
        assert_eq!(proxy.asks(&gate, &Visit::to("/sso/inn")).await.status, 200);
    }
    gate.stop().await;
}

fn websocket(origin: Option<&str>) -> Visit {
    let visit = Visit::to("/live")
        .with("Upgrade", "websocket")
        .with("Sec-WebSocket-Version", "13")
        .with("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    origin.into_iter().fold(visit, |visit, origin| visit.with("Origin", origin))
}

#[tokio::test]
async fn another_sites_page_opens_no_websocket_as_its_visitor() {
    let gate = gate().await;
    let cookie = gate.sign_in().await;
    for proxy in ALL {
        for own in [
            websocket(Some("https://panel.example.com")),
            websocket(None),
            websocket(Some("https://panel.example.com")).with("Sec-Fetch-Site", "same-origin"),
        ] {
            let answer = proxy.asks(&gate, &own.cookie(&cookie)).await;
            assert_eq!(answer.status, 200, "{proxy:?} {}", answer.text());
        }
        for other in [
            websocket(Some("https://evil.example")),
            websocket(Some("null")),
            websocket(Some("http://panel.example.com")),
            websocket(Some("https://a.panel.example.com")),
            websocket(Some("https://panel.example.com")).with("Sec-Fetch-Site", "same-site"),
            // As browsers say it, where the load balancer passes nothing else along.
            Visit::to("/live")
                .with("Sec-Fetch-Mode", "websocket")
                .with("Sec-Fetch-Site", "cross-site"),
        ] {
            let answer = proxy.asks(&gate, &other.cookie(&cookie)).await;
            refused(proxy, &answer, 403, "cross_site", "another site's page");
        }
    }
    // Another site's page may link and post to the application: that is its own to judge.
    for proxy in ALL {
        let post = Visit::to("/a")
            .by("POST")
            .with("Origin", "https://evil.example")
            .with("Sec-Fetch-Site", "cross-site")
            .cookie(&cookie);
        assert_eq!(proxy.asks(&gate, &post).await.status, 200, "{proxy:?}");
    }
    gate.stop().await;
}

/// What follows it on that connection would be requests that nobody asks about.
#[tokio::test]
async fn an_upgrade_to_http_itself_never_passes() {
    let gate = gate().await;
    let cookie = gate.sign_in().await;
    for proxy in [Proxy::Caddy, Proxy::Traefik] {
        for protocol in ["h2c", "H2C", "h2c/1", "websocket, h2c", "HTTP/2.0", "tls/1.2"] {
            let visit = Visit::to("/assets/a").with("Upgrade", protocol);
            for visit in [visit.clone(), visit.cookie(&cookie)] {
                let answer = proxy.asks(&gate, &visit).await;
                refused(proxy, &answer, 400, "invalid_request", protocol);
            }
        }
    }
    gate.stop().await;
}

#[tokio::test]
async fn what_would_echo_an_assertion_never_passes() {
    let gate = gate().await;
    let cookie = gate.sign_in().await;
    for proxy in ALL {
        let answer = proxy.asks(&gate, &Visit::to("/a").by("TRACE").cookie(&cookie)).await;
        refused(proxy, &answer, 405, "method_not_allowed", "TRACE");
    }
    // Envoy's would be the gate's own.
    for proxy in ALL.into_iter().filter(|proxy| *proxy != Proxy::Envoy) {
        let answer = proxy.asks(&gate, &Visit::to("/a").by("CONNECT").cookie(&cookie)).await;
        refused(proxy, &answer, 405, "method_not_allowed", "CONNECT");
    }
    gate.stop().await;
}
