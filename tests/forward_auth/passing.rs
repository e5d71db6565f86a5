//! What may pass, and what the application is told of who is there.

use oncegate::ops::metrics::{At, Checked, Code};
use serde_json::json;

use super::{
    asking::{ALL, Proxy, Visit, gate, gate_with, identity, panel, refused, unchanging},
    support::{
        gate::{Gate, cookie_of},
        upstream::header,
    },
};

const NOBODY: [&str; 5] = [""; 5];

async fn joe(gate: &Gate, more: serde_json::Value) -> String {
    let link = gate.link(more).await;
    cookie_of(&gate.open(&link).await)
}

#[tokio::test]
async fn each_is_told_in_exactly_200_what_an_upstream_would_be() {
    let gate = gate().await;
    let cookie = joe(&gate, json!({ "user": "Jörg", "claims": { "plan": "gold" } })).await;
    let proxied = gate.public().get_with("/a", &[("cookie", &cookie)]).await.json();
    for proxy in ALL {
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"] {
            let visit = Visit::to("/clientarea?a=b").by(method).cookie(&cookie);
            let answer = proxy.asks(&gate, &visit).await;
            assert_eq!((answer.status, answer.text()), (200, ""), "{proxy:?} {method}");
            unchanging(&answer);
            let told = super::asking::IDENTITY.map(|name| header(&proxied, name)[0]);
            assert_eq!(identity(&answer), told, "{proxy:?} {method}");
            assert_eq!(told[0], "J%C3%B6rg");
        }
    }
    gate.stop().await;
}

#[tokio::test]
async fn what_there_is_nothing_to_say_of_is_empty_and_there() {
    let gate = gate_with(|text| panel(&text, "anonymous = \"pass\"")).await;
    let cookie = gate.sign_in().await;
    for proxy in ALL {
        let somebody = proxy.asks(&gate, &Visit::to("/").cookie(&cookie)).await;
        assert_eq!(identity(&somebody)[3..], ["joe", ""], "no claim: {proxy:?}");
        let nobody = proxy.asks(&gate, &Visit::to("/")).await;
        assert_eq!((nobody.status, identity(&nobody)), (200, NOBODY.to_vec()), "{proxy:?}");
        unchanging(&nobody);
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_public_path_needs_nobody_and_another_reading_of_it_somebody() {
    let gate = gate().await;
    let cookie = gate.sign_in().await;
    for proxy in ALL {
        let nobody = proxy.asks(&gate, &Visit::to("/assets/a.css?v=1")).await;
        assert_eq!((nobody.status, identity(&nobody)), (200, NOBODY.to_vec()), "{proxy:?}");
        let joe = proxy.asks(&gate, &Visit::to("/assets/a.css").cookie(&cookie)).await;
        assert_eq!((joe.status, identity(&joe)[0]), (200, "joe"), "{proxy:?}");
        for target in [
            "/assets/../admin",
            "/assets/%2e%2e/admin",
            "/assets/%2E%2E%2Fadmin",
            "/assets/..%2fadmin",
            "/assets//a",
            "/assets/;/../admin",
            "/assets/..;/admin",
            "//assets/a",
            "/assets%2fa",
            "/ASSETS/a",
            "/a?/assets/a",
        ] {
            let answer = proxy.asks(&gate, &Visit::to(target)).await;
            refused(proxy, &answer, 401, "sign_in_required", target);
        }
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_site_without_an_upstream_is_asked_about_as_any_other() {
    let gate = gate_with(|text| {
        let lines = text.lines().filter(|line| !line.starts_with("upstream = "));
        lines.fold(String::new(), |text, line| text + line + "\n")
    })
    .await;
    let cookie = gate.sign_in().await;
    for proxy in ALL {
        let answer = proxy.asks(&gate, &Visit::to("/").cookie(&cookie)).await;
        assert_eq!((answer.status, identity(&answer)[0]), (200, "joe"), "{proxy:?}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_session_is_for_its_own_site_at_all_of_its_hosts() {
    let gate = gate_with(|text| panel(&text, "hosts = [\"*.customers.example.com\"]")).await;
    let cookie = gate.sign_in().await;
    for proxy in ALL {
        for host in ["panel.example.com", "PANEL.example.com:443", "a.customers.example.com"] {
            let visit = Visit::to("/").at("https", host).cookie(&cookie);
            let answer = proxy.asks(&gate, &visit).await;
            assert_eq!((answer.status, identity(&answer)[0]), (200, "joe"), "{proxy:?} {host}");
        }
        let visit = Visit::to("/").at("https", "shop.example.com").cookie(&cookie);
        let answer = proxy.asks(&gate, &visit).await;
        refused(proxy, &answer, 401, "sign_in_required", "another site");
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_cookie_counts_once_wherever_it_stands() {
    let gate = gate().await;
    let cookie = gate.sign_in().await;
    for proxy in ALL {
        for lines in [
            vec![format!("a=1; {cookie}; b=2")],
            // Caddy and nginx pass two lines on as they are.
            vec!["a=1".to_owned(), cookie.clone()],
        ] {
            let visit = lines.iter().fold(Visit::to("/"), |visit, line| visit.cookie(line));
            assert_eq!(proxy.asks(&gate, &visit).await.status, 200, "{proxy:?} {lines:?}");
        }
        for lines in [
            vec![format!("{cookie}; {cookie}")],
            vec![cookie.clone(), cookie.clone()],
            // As Envoy joins two lines.
            vec![format!("a=1,{cookie}")],
            vec![format!("{cookie},a=1")],
            vec![cookie.replace("__Host-", "")],
        ] {
            let visit = lines.iter().fold(Visit::to("/"), |visit, line| visit.cookie(line));
            let answer = proxy.asks(&gate, &visit).await;
            refused(proxy, &answer, 401, "sign_in_required", &lines.join(" | "));
        }
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_session_that_has_ended_passes_no_more() {
    let gate = gate().await;
    let (ended, lapsed) = (gate.sign_in().await, gate.sign_in().await);
    let out = gate.browser().post_form("/_once/logout", &[], &[("cookie", &ended)]).await;
    assert_eq!(out.status, 200);
    for proxy in ALL {
        let answer = proxy.asks(&gate, &Visit::to("/").cookie(&ended)).await;
        refused(proxy, &answer, 401, "sign_in_required", "signed out");
        assert_eq!(proxy.asks(&gate, &Visit::to("/").cookie(&lapsed)).await.status, 200);
    }
    gate.wait(8 * 3_600);
    for proxy in ALL {
        let answer = proxy.asks(&gate, &Visit::to("/").cookie(&lapsed)).await;
        refused(proxy, &answer, 401, "sign_in_required", "its time is over");
    }
    gate.stop().await;
}

#[tokio::test]
async fn how_long_a_cookie_went_unused_does_not_count_where_nobody_can_renew_it() {
    let gate = gate_with(|text| text.replace("[session]", "[session]\nidle = \"1h\"")).await;
    let cookie = gate.sign_in().await;
    gate.wait(2 * 3_600);
    for proxy in ALL {
        let answer = proxy.asks(&gate, &Visit::to("/").cookie(&cookie)).await;
        assert_eq!((answer.status, identity(&answer)[0]), (200, "joe"), "{proxy:?}");
        unchanging(&answer);
    }
    assert_eq!(gate.public().get_with("/", &[("cookie", &cookie)]).await.status, 401);
    gate.stop().await;
}

#[tokio::test]
async fn a_question_changes_nothing_however_often_it_is_asked() {
    let gate = gate().await;
    let cookie = gate.sign_in().await;
    let link = gate.link(json!({ "page": "none" })).await;
    let remembered = gate.remembered();
    let carries = format!("/a?_once={}", link.token);
    for proxy in ALL {
        let visits = [
            Visit::to("/").cookie(&cookie),
            Visit::to("/"),
            Visit::to(&carries).in_a_tab(),
            Visit::to(&carries).by("POST"),
        ];
        for visit in &visits {
            let first = strip(proxy.asks(&gate, visit).await);
            for _ in 0..24 {
                assert_eq!(strip(proxy.asks(&gate, visit).await), first, "{proxy:?}");
            }
        }
    }
    assert_eq!(gate.remembered(), remembered);
    assert_eq!(gate.open(&link).await.status, 303, "the link is still good");
    gate.stop().await;
}

/// An answer without what names the one request.
fn strip(mut answer: super::support::http::Answer) -> super::support::http::Answer {
    answer.headers.retain(|(name, _)| !matches!(name.as_str(), "x-request-id" | "date"));
    answer
}

#[tokio::test]
async fn questions_are_counted_by_site_and_by_what_came_of_them() {
    let gate = gate().await;
    let cookie = gate.sign_in().await;
    let link = gate.link(json!({})).await;
    for proxy in ALL {
        proxy.asks(&gate, &Visit::to("/").cookie(&cookie)).await;
        proxy.asks(&gate, &Visit::to("/assets/a")).await;
        proxy.asks(&gate, &Visit::to("/assets/b")).await;
        proxy.asks(&gate, &Visit::to("/")).await;
        proxy.asks(&gate, &Visit::to(&format!("/?_once={}", link.token))).await;
        // Nobody's site.
        proxy.asks(&gate, &Visit::to("/").at("https", "evil.example")).await;
    }
    // What nginx shows of a refusal is not another question.
    Proxy::Nginx.question(&Visit::to("/")).at("/_once/auth/denied").to(gate.public_at()).await;
    let metrics = &gate.running.as_ref().unwrap().gate.metrics;
    for (outcome, count) in [("signed_in", 5), ("nobody", 10), ("refused", 5), ("redirected", 5)] {
        let checked = Checked { site: "panel".to_owned(), outcome };
        assert_eq!(metrics.checks.get_or_create(&checked).get(), count, "{outcome}");
    }
    // Of each proxy's: nobody on a page that needs somebody.
    let refused = Code { code: "sign_in_required" };
    assert_eq!(metrics.refused.get_or_create(&refused).get(), 5, "each question's refusal, once");
    assert_eq!(metrics.redeemed.get_or_create(&At { site: "panel".to_owned() }).get(), 1);
    let page = gate.admin().get("/metrics").await;
    let counted = "oncegate_checks_total{site=\"panel\",outcome=\"nobody\"} 10";
    assert!(page.text().contains(counted), "{}", page.text());
    gate.stop().await;
}
