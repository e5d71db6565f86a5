//! A token in the URL that is asked about: never spent on a question, and never passed on.

use oncegate::gate::{dialect::Dialect, form::Form, origin::Origin};
use serde_json::json;

use super::{
    asking::{ALL, Proxy, Visit, gate, gate_with, panel, refused, says_nothing, trusting},
    support::{
        gate::{Gate, PANEL},
        http::Answer,
        link_page::{signs_in_once, submits_itself},
        vendors,
    },
};

/// Where an answer sends its visitor, as that load balancer understands it.
fn sent_to<'a>(proxy: Proxy, answer: &'a Answer, why: &str) -> &'a str {
    let status = if proxy == Proxy::Nginx { 401 } else { 302 };
    assert_eq!((answer.status, answer.text()), (status, ""), "{proxy:?} {why}");
    says_nothing(answer);
    answer.header("location").unwrap()
}

#[tokio::test]
async fn its_visitor_is_sent_to_the_gate_and_lands_on_the_page_asked_for() {
    let gate = gate().await;
    for proxy in ALL {
        for (page, landing) in [
            ("/clientarea?a=b%20c&", "/clientarea?a=b%20c"),
            ("/invoices/7?", "/invoices/7"),
            // No page anybody could be led to: the start page.
            ("//evil.example/x?", "/"),
        ] {
            let link = gate.link(json!({})).await;
            let target = format!("{page}_once={}", link.token);
            let before = gate.remembered();
            let answer = proxy.asks(&gate, &Visit::to(&target).in_a_tab()).await;
            let location = sent_to(proxy, &answer, page);
            assert_eq!(location, format!("https://{PANEL}/_once/open{target}"));
            assert_eq!(gate.remembered(), before, "spent by asking");
            let path = location.strip_prefix(&format!("https://{PANEL}")).unwrap();
            let shown = gate.browser().get(path).await;
            assert!(shown.status == 200 && submits_itself(&shown), "{}", shown.text());
            signs_in_once(&gate, path, landing).await;
        }
    }
    gate.stop().await;
}

#[tokio::test]
async fn so_is_that_of_every_dialects_link() {
    let gate = vendors::with(|text| trusting(&text)).await;
    let origin = Origin::parse(&format!("https://{PANEL}")).unwrap();
    let users = ["joe", "joe", "owner+plus@example.com", "2425/7", "zoë"];
    for proxy in ALL {
        for ((_, dialect), user) in Dialect::ALL.iter().zip(users) {
            let mut url = String::new();
            let link = gate
                .crafted(|claims| {
                    claims.via = Some(dialect.name().to_owned());
                    user.clone_into(&mut claims.sub);
                    url = Form::of(*dialect, "en").url(&origin, "TOKEN", claims).unwrap();
                })
                .await;
            let target = url.strip_prefix(origin.as_str()).unwrap().replace("TOKEN", &link.token);
            let answer = proxy.asks(&gate, &Visit::to(&target).in_a_tab()).await;
            let location = sent_to(proxy, &answer, dialect.name());
            let path = location.strip_prefix(origin.as_str()).unwrap();
            assert_eq!(path, format!("/_once/open{target}"));
            signs_in_once(&gate, path, "/").await;
            // It is this dialect's form there too: the native one takes no such token.
            let other = format!("/_once/open/?_once={}", link.token);
            let wrong = gate.public().get(&other).await;
            assert_eq!((wrong.status, wrong.code().as_str()), (403, "wrong_type"));
        }
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_visitor_of_a_further_host_stays_there() {
    let gate = gate_with(|text| panel(&text, "hosts = [\"*.customers.example.com\"]")).await;
    let link = gate.link(json!({})).await;
    let target = format!("/?_once={}", link.token);
    for proxy in ALL {
        let visit = Visit::to(&target).at("https", "A.customers.example.com:443");
        let answer = proxy.asks(&gate, &visit).await;
        let location = sent_to(proxy, &answer, "a further host");
        assert_eq!(location, format!("https://a.customers.example.com/_once/open{target}"));
    }
    gate.stop().await;
}

#[tokio::test]
async fn somebody_who_is_signed_in_is_sent_there_too() {
    let gate = gate().await;
    let cookie = gate.sign_in().await;
    let link = gate.link(json!({ "user": "ann" })).await;
    let target = format!("/a?_once={}", link.token);
    for proxy in ALL {
        let answer = proxy.asks(&gate, &Visit::to(&target).cookie(&cookie)).await;
        sent_to(proxy, &answer, "signed in");
        let public = format!("/assets/a?_once={}", link.token);
        sent_to(proxy, &proxy.asks(&gate, &Visit::to(&public)).await, "a public page");
    }
    gate.stop().await;
}

#[tokio::test]
async fn what_cannot_be_opened_is_refused_whoever_is_there() {
    let gate = gate().await;
    let cookie = gate.sign_in().await;
    let token = gate.link(json!({})).await.token;
    for proxy in ALL {
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "get", "PROPFIND"] {
            let visit = Visit::to(&format!("/a?_once={token}")).by(method).cookie(&cookie);
            let answer = proxy.asks(&gate, &visit).await;
            refused(proxy, &answer, 400, "invalid_request", method);
        }
        for target in [
            format!("/a?_once={token}&_once={token}"),
            format!("/a?_once={token}&%5fonce={token}"),
            format!("/a?%255fonce={token}"),
            format!("/a?b=1;_once={token}"),
            format!("/a?b={token}"),
            format!("/a/{token}"),
            format!("/assets/{token}"),
            format!("/a?b=%65{}", &token[1..]),
        ] {
            let answer = proxy.asks(&gate, &Visit::to(&target).cookie(&cookie)).await;
            refused(proxy, &answer, 400, "invalid_request", &target);
        }
    }
    assert_eq!(gate.remembered(), 1);
    gate.stop().await;
}

/// To be sent to where one comes from would be a loop; and what is the gate's own must not pass.
#[tokio::test]
async fn the_gates_own_paths_are_not_for_asking_about() {
    let gate = gate_with(|text| panel(&text, "anonymous = \"pass\"")).await;
    let cookie = gate.sign_in().await;
    let link = gate.link(json!({})).await;
    let open = format!("/_once/open/a?_once={}", link.token);
    for proxy in ALL {
        for target in [
            link.path.as_str(),
            open.as_str(),
            "/_once/session",
            "/_once/auth/nginx",
            "/_once//session",
            "/%5Fonce/session",
            "/a/../_once/session",
        ] {
            let answer = proxy.asks(&gate, &Visit::to(target).cookie(&cookie)).await;
            refused(proxy, &answer, 404, "not_found", target);
        }
    }
    gate.stop().await;
}

async fn opens_nothing(gate: &Gate, target: &str, expected: (u16, &str)) {
    let answer = gate.public().get(target).await;
    assert_eq!((answer.status, answer.code().as_str()), expected, "{target}");
}

#[tokio::test]
async fn where_links_are_opened_there_is_nothing_else() {
    let gate = gate_with(|text| panel(&text, "anonymous = \"pass\"")).await;
    let link = gate.link(json!({})).await;
    let token = &link.token;
    for target in [
        "/_once/open".to_owned(),
        "/_once/open/".to_owned(),
        "/_once/open/a?b=c".to_owned(),
        format!("/_once/open{}", link.path),
        format!("/_once/open/a?b={token}"),
        format!("/_once/openly/a?b={token}"),
        "/_once/open/_once/session".to_owned(),
    ] {
        opens_nothing(&gate, &target, (404, "not_found")).await;
    }
    let twice = format!("/_once/open/a?_once={token}&_once={token}");
    opens_nothing(&gate, &twice, (400, "invalid_request")).await;
    let post = gate.browser().post_form(&format!("/_once/open/a?_once={token}"), &[], &[]).await;
    assert_eq!((post.status, gate.remembered()), (400, 0));
    assert!(gate.upstream.seen().is_empty());
    // A browser that follows twice is at the gate's own page still, and lands at the start page.
    let target = format!("/_once/open/_once/open/a?_once={token}");
    signs_in_once(&gate, &target, "/").await;
    gate.stop().await;
}
