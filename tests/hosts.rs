//! Several sites on one gate, told apart by host; a site may have several hosts, also by wildcard.

mod support;

use oncegate::config::Config;
use serde_json::json;
use support::{
    gate::{BILLING, Gate, Link, cookie_of},
    http::{Answer, Client},
    tokens,
    upstream::header,
};

/// `panel` under two more hosts, and `shop` under one of those that `panel`'s star would take.
fn with_hosts(text: &str) -> String {
    let panel = "origin = \"https://panel.example.com\"";
    let shop = "origin = \"https://shop.example.com\"";
    let more = "hosts = [\"panel.example.org\", \"*.customers.example.com\"]";
    let deeper = "hosts = [\"shop.customers.example.com\", \"*.x.customers.example.com\"]";
    assert!(text.contains(panel) && text.contains(shop));
    text.replace(panel, &format!("{panel}\n{more}")).replace(shop, &format!("{shop}\n{deeper}"))
}

/// A browser at one of the hosts.
fn at(gate: &Gate, host: &str) -> Client {
    gate.browser().host(host)
}

async fn open_at(gate: &Gate, host: &str, link: &Link) -> Answer {
    at(gate, host).post_form(&link.path, &[], &[]).await
}

#[tokio::test]
async fn a_link_to_another_host_of_its_site_is_built_there_and_signs_in_there() {
    let gate = Gate::with(|text| with_hosts(&text)).await;
    let page = "https://ann.customers.example.com/invoices?all=1#last";
    let link = gate.link(json!({ "destination": page })).await;
    assert_eq!(link.url, format!("https://ann.customers.example.com{}", link.path));
    let opened = open_at(&gate, "ann.customers.example.com", &link).await;
    assert_eq!((opened.status, opened.header("location")), (303, Some(page)));
    let cookie = cookie_of(&opened);
    assert!(opened.header("set-cookie").unwrap().contains("; Secure"));

    let host = "ann.customers.example.com";
    let answer = at(&gate, host).get_with("/invoices?all=1", &[("cookie", &cookie)]).await;
    assert_eq!(answer.status, 200);
    let seen = gate.upstream.seen();
    assert_eq!(seen.len(), 1);
    for name in ["host", "x-forwarded-host"] {
        assert_eq!(header(&seen[0], name), [host], "{name}");
    }
    assert_eq!(header(&seen[0], "x-oncegate-user"), ["joe"]);
    // Whoever checks the assertion knows the site by its one origin.
    let claims = tokens::claims_of(header(&seen[0], "x-oncegate-assertion")[0]);
    assert_eq!(claims["aud"], "https://panel.example.com");
    gate.stop().await;
}

#[tokio::test]
async fn a_path_leads_to_the_host_where_the_link_is_opened() {
    let gate = Gate::with(|text| with_hosts(&text)).await;
    for host in ["panel.example.com", "panel.example.org", "BEN.customers.example.com:443"] {
        let link = gate.link(json!({ "destination": "/invoices" })).await;
        assert_eq!(link.url, format!("https://panel.example.com{}", link.path));
        let opened = open_at(&gate, host, &link).await;
        let there = host.trim_end_matches(":443").to_lowercase();
        let expected = format!("https://{there}/invoices");
        assert_eq!((opened.status, opened.header("location")), (303, Some(expected.as_str())));
        let again = gate.public().post_form(&link.path, &[], &[]).await;
        assert_eq!((again.status, again.code().as_str()), (410, "already_used"), "once, anywhere");
    }
    gate.stop().await;
}

#[tokio::test]
async fn the_page_of_one_host_spends_nothing_at_another() {
    let gate = Gate::with(|text| with_hosts(&text)).await;
    let link = gate.link(json!({})).await;
    let there = gate.public().host("ann.customers.example.com");
    for origin in [
        "https://panel.example.com",
        "https://ben.customers.example.com",
        "https://panel.example.org",
    ] {
        let answer = there.post_form(&link.path, &[], &[("origin", origin)]).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "cross_site"), "{origin}");
    }
    let own = [("origin", "https://ann.customers.example.com")];
    assert_eq!(there.post_form(&link.path, &[], &own).await.status, 303);
    gate.stop().await;
}

#[tokio::test]
async fn a_host_written_out_comes_before_a_star_and_the_longer_star_before_the_shorter() {
    let gate = Gate::with(|text| with_hosts(&text)).await;
    let link = gate.link(json!({})).await;
    for host in ["shop.customers.example.com", "a.x.customers.example.com"] {
        let answer = open_at(&gate, host, &link).await;
        assert!(answer.text().contains("wrong_audience"), "{host} is the shop's");
        assert_eq!(answer.status, 403);
    }
    assert_eq!(open_at(&gate, "x.customers.example.com", &link).await.status, 303);
    gate.stop().await;
}

#[tokio::test]
async fn a_host_that_nobody_named_is_misdirected() {
    let gate = Gate::with(|text| with_hosts(&text)).await;
    let link = gate.link(json!({})).await;
    for host in [
        "customers.example.com",
        "a.b.customers.example.com",
        ".customers.example.com",
        "*.customers.example.com",
        "ann.customers.example.com.",
        "ann.customers.example.com:80",
        "ann.customers.example.com:8443",
        "ann.customers.example.com.evil.example",
        "ann%2ecustomers.example.com",
        "panel.example.org.",
        "sub.panel.example.org",
    ] {
        for target in ["/", link.path.as_str()] {
            let answer = gate.public().host(host).get(target).await;
            assert_eq!((answer.status, answer.code().as_str()), (421, "wrong_site"), "{host}");
        }
        let link = json!({ "user": "joe", "destination": format!("https://{host}/") });
        let answer = gate.api_as(Some(BILLING)).post_json("/v1/links", &link).await;
        assert_eq!(answer.code(), "destination_not_allowed", "{host}");
    }
    assert_eq!(gate.remembered(), 0);
    gate.stop().await;
}

#[tokio::test]
async fn the_gates_own_pages_are_no_destination_under_any_host() {
    let gate = Gate::with(|text| with_hosts(&text)).await;
    for page in ["/_once/logout", "/?_once=x"] {
        let destination = format!("https://ann.customers.example.com{page}");
        let link = json!({ "user": "joe", "destination": destination });
        let answer = gate.api_as(Some(BILLING)).post_json("/v1/links", &link).await;
        assert_eq!(answer.code(), "destination_not_allowed", "{page}");
    }
    gate.stop().await;
}

#[test]
fn hosts_that_cannot_be_told_apart_or_are_none_are_faults() {
    let report = |hosts: &str, origin: &str| {
        let text = format!(
            "[gate]\nname = \"gate-a\"\nissuer = \"https://login.example.com\"\n\
             [[sites]]\nname = \"panel\"\norigin = \"{origin}\"\nhosts = {hosts}\n\
             [[sites]]\nname = \"shop\"\norigin = \"https://shop.example.com\"\n\
             hosts = [\"*.shop.example.com\"]\n"
        );
        Config::parse(&text, "oncegate.toml", std::path::Path::new("."), std::iter::empty())
            .map_or_else(|faults| faults.to_string(), |_| String::new())
    };
    let panel = "https://panel.example.com";
    assert_eq!(report(r#"["*.panel.example.com", "panel.example.org"]"#, panel), "");
    for (hosts, why) in [
        (r#"["*.shop.example.com"]"#, "is a host of sites.panel too"),
        (r#"["shop.example.com"]"#, "is a host of sites.shop too"),
        (r#"["panel.example.com"]"#, "is a host of sites.panel too"),
        (r#"["*"]"#, "is not a host"),
        (r#"["*.com"]"#, "whole top-level domain"),
        (r#"["a.*.example.com"]"#, "is not a host"),
        (r#"["https://a.example.com"]"#, "without scheme and path"),
    ] {
        let said = report(hosts, panel);
        assert!(said.contains(why) && said.contains("hosts"), "{hosts}: {said}");
    }
    assert_eq!(report(r#"["*.localhost:8080"]"#, "http://panel.localhost:8080"), "");
    let said = report(r#"["a.example.com"]"#, "http://panel.localhost:8080");
    assert!(said.contains("loopback only"), "{said}");
}
