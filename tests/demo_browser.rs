//! The demo as a newcomer meets it: the real program, and a real browser that clicks through it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use std::process::Command;

use serde_json::{Value, json};
use support::{
    browser::Browser,
    demo::Demo,
    gate::cookie_of,
    http::{Answer, Client},
};

const INVOICE: &str = "/clientarea/invoices/1042";

/// Who the panel says is there, and by whose word.
async fn who(browser: &Browser) -> (String, String) {
    (browser.text("#user").await, browser.text("#caller").await)
}

fn billing_says(user: &str) -> (String, String) {
    (user.to_owned(), "billing".to_owned())
}

#[tokio::test]
async fn the_start_page_makes_a_link_that_signs_in_by_itself_and_once() {
    let demo = Demo::start();
    let Some(browser) = Browser::start(true).await else { return };
    browser.goto(&demo.start).await;
    assert!(!browser.has("#answer").await);
    browser.shows("#curl", &demo.curl).await;
    browser.find("select[name=user]").await.select_by_label("Zoë Müller").await.unwrap();
    browser.find("select[name=to]").await.select_by_label("Invoice 1042").await.unwrap();
    browser.click("#issue").await;
    browser.shows("#answer h2", "A link for Zoë Müller").await;
    let link = browser.text("#url").await;
    assert!(link.starts_with(&format!("{}_once/l/", demo.panel)), "{link}");

    browser.click("#link").await;
    browser.newest_tab().await;
    let there = browser.wait_for_url(INVOICE).await;
    assert_eq!(there, format!("{}{}", demo.panel, &INVOICE[1..]), "no token in the address");
    browser.shows("h1", "Invoice 1042").await;
    assert_eq!(who(&browser).await, billing_says("Zoë Müller"));
    let cookies = browser.cookies().await;
    assert_eq!(cookies.len(), 1, "{cookies:?}");
    assert_eq!(cookies[0].0, "oncegate");

    // Once more, for the one whom it signed in: on to where it leads, and not signed in anew.
    browser.goto(&demo.panel).await;
    browser.shows("h1", "Welcome back").await;
    browser.goto(&link).await;
    browser.wait_for_url(INVOICE).await;
    assert_eq!(browser.cookies().await, cookies);

    let Some(stranger) = Browser::start(true).await else { return };
    stranger.goto(&link).await;
    stranger.shows("h1", "This link was already used").await;
    let page = stranger.text("main").await;
    assert!(page.contains("Every link works once"), "{page}");
    assert!(page.contains("ask for a new one") && page.contains("already_used"), "{page}");
    assert!(stranger.cookies().await.is_empty());
    stranger.goto(&demo.panel).await;
    stranger.shows("h1", "Sign in to see this page").await;
    stranger.close().await;
    browser.close().await;
}

#[tokio::test]
async fn without_script_a_button_signs_in_and_another_logs_out() {
    let demo = Demo::start();
    let Some(browser) = Browser::start(false).await else { return };
    browser.goto(&demo.start).await;
    browser.click("#issue").await;
    let link = browser.text("#url").await;
    browser.click("#link").await;
    browser.newest_tab().await;
    browser.shows("h1", "Logging in…").await;
    assert!(browser.cookies().await.is_empty(), "opening the page signs nobody in");
    let button = browser.find("#enter button").await;
    assert!(button.is_displayed().await.unwrap(), "the button is there at once");
    assert_eq!(button.text().await.unwrap(), "Continue");
    button.click().await.unwrap();
    assert!(browser.wait_for_url(INVOICE).await.starts_with(&demo.panel));
    assert_eq!(who(&browser).await, billing_says("joe"));

    browser.click("#logout").await;
    browser.shows("h1", "You are signed out").await;
    assert!(browser.cookies().await.is_empty());
    browser.goto(&demo.panel).await;
    browser.shows("h1", "Sign in to see this page").await;
    assert!(!browser.has("#user").await);
    assert!(!browser.has("main a").await, "no way on that leads back to this very page");
    browser.goto(&format!("{}_once/logout", demo.panel)).await;
    browser.shows("h1", "You are not signed in").await;
    browser.goto(&link).await;
    browser.shows("h1", "This link was already used").await;
    browser.close().await;
}

#[tokio::test]
async fn somebody_else_is_asked_and_may_stay_or_switch() {
    let demo = Demo::start();
    let Some(browser) = Browser::start(true).await else { return };
    browser.goto(&demo.link("joe").await).await;
    browser.wait_for_url(INVOICE).await;
    assert_eq!(who(&browser).await, billing_says("joe"));

    let link = demo.link("ana").await;
    browser.goto(&link).await;
    browser.shows("h1", "Sign in as somebody else?").await;
    let both = browser.text(".who").await;
    assert!(both.contains("joe") && both.contains("ana"), "{both}");
    browser.shows("a.quiet", "Stay signed in as joe").await;
    browser.click("a.quiet").await;
    browser.shows("h1", "Welcome back").await;
    assert_eq!(who(&browser).await, billing_says("joe"));

    browser.goto(&link).await; // it asked, and spent nothing
    browser.shows("#enter button", "Sign in as ana").await;
    browser.click("#enter button").await;
    browser.wait_for_url(INVOICE).await;
    assert_eq!(who(&browser).await, billing_says("ana"));
    browser.close().await;
}

#[tokio::test]
async fn a_link_that_confirms_waits_for_the_click_and_back_does_not_use_it_again() {
    let demo = Demo::start();
    let Some(browser) = Browser::start(true).await else { return };
    let link = demo.link_with(json!({ "user": "ana", "page": "confirm" })).await;
    browser.goto(&demo.start).await;
    browser.goto(&link).await;
    assert!(browser.text(".who").await.contains("ana"));
    assert!(browser.cookies().await.is_empty());
    browser.click("#enter button").await;
    browser.wait_for_url(INVOICE).await;
    assert_eq!(who(&browser).await, billing_says("ana"));
    browser.client.back().await.unwrap();
    browser.wait_for_text("#user", "ana").await;
    browser.close().await;
}

#[tokio::test]
async fn the_printed_call_of_a_wisecp_client_makes_a_link_that_signs_in_once() {
    if Command::new("curl").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "curl is missing; see tests/run");
        eprintln!("skipped: curl is missing; tests/run installs it");
        return;
    }
    let demo = Demo::start();
    let run = Command::new("sh").args(["-c", &demo.wisecp]).output().unwrap();
    assert!(run.status.success(), "{run:?}");
    let answer: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(answer["status"], "successful", "{answer}");
    let link = answer["data"]["url"].as_str().unwrap();
    assert!(link.starts_with(&format!("{}en/sign-in?sso_token=", demo.panel)), "{link}");

    let Some(browser) = Browser::start(true).await else { return };
    browser.goto(link).await;
    let there = browser.wait_for_url("/clientarea/services").await;
    assert_eq!(there, format!("{}clientarea/services", demo.panel), "no token in the address");
    browser.shows("h1", "Services").await;
    assert_eq!(who(&browser).await, billing_says("joe"));
    browser.close().await;

    let Some(stranger) = Browser::start(true).await else { return };
    stranger.goto(link).await;
    stranger.shows("h1", "This link was already used").await;
    stranger.close().await;
}

/// A vendor's call at the demo as its client makes it, and what comes of it.
struct Vendor {
    name: &'static str,
    answer: Answer,
    /// Where the answer has the token.
    token: &'static str,
    user: &'static str,
    page: &'static str,
}

/// A call of each vendor's that names no page, with what the demo prints.
async fn calls(demo: &Demo) -> Vec<Vendor> {
    let api = Client::new(demo.api);
    let (name, password) = (demo.login.0.as_str(), demo.login.1.as_str());
    let wisecp = api.clone().header("Apikey", &demo.key);
    let ana = json!({ "user_id": 19 });
    let wisecp = wisecp.post_json("/api/Clients/CreateClientSsoToken", &ana);
    let campaign = [
        ("api_action", "singlesignon"),
        ("api_output", "json"),
        ("api_user", name),
        ("api_pass", password),
        ("sso_addr", "__self"),
        ("sso_user", "zoe@example.com"),
    ];
    let campaign = api.post_form("/admin/api.php", &campaign, &[]);
    let platform = "/api/v3/resellers/7/user_authentication/token?account_id=505";
    let key = [("X-Api-Token", demo.manager.as_str())];
    let platform = api.get_with(platform, &key);
    let clients = [
        ("response_type", "json"),
        ("apiusername", name),
        ("apipassword", password),
        ("accountid", "2425"),
    ];
    let clients = api.post_form("/api/2/GetSignOnUrl.aspx", &clients, &[]);
    let whmcs = [
        ("action", "CreateSsoToken"),
        ("username", name),
        ("password", password),
        ("client_id", "18"),
        ("responsetype", "json"),
    ];
    let whmcs = api.post_form("/includes/api.php", &whmcs, &[]);
    let made = |name, answer, token, user, page| Vendor { name, answer, token, user, page };
    vec![
        made("wisecp", wisecp.await, "/data/token", "ana", "clientarea"),
        made("activecampaign", campaign.await, "/token", "Zoë Müller", ""),
        made("activeplatform", platform.await, "/owner_token", "owner@example.com", ""),
        made("allclients", clients.await, "/signonurl", "2425", ""),
        made("whmcs", whmcs.await, "/access_token", "joe", "clientarea.php"),
    ]
}

#[tokio::test]
async fn every_vendors_call_leads_to_a_page_that_shows_who_is_signed_in() {
    let demo = Demo::start();
    let panel = url::Url::parse(&demo.panel).unwrap().socket_addrs(|| None).unwrap();
    let panel = Client::new(panel[0]);
    let calls = calls(&demo).await;
    assert_eq!(calls.len(), 5);
    for Vendor { name, answer, token, user, page } in calls {
        let (said, text) = (answer.json(), answer.text());
        let token = said.pointer(token).and_then(Value::as_str).unwrap_or_else(|| panic!("{text}"));
        let token = token.rsplit_once("&hash=").map_or(token, |(_, token)| token);
        let opened = panel.post_form(&format!("/_once/l/{token}"), &[], &[]).await;
        assert_eq!(opened.status, 303, "{name}: {}", opened.text());
        assert_eq!(
            opened.header("location"),
            Some([&demo.panel, page].concat().as_str()),
            "{name}"
        );
        let cookie = cookie_of(&opened);
        let seen = panel.get_with(&format!("/{page}"), &[("cookie", &cookie)]).await;
        assert_eq!(seen.status, 200, "{name}: {}", seen.text());
        let who = format!("<dd id=\"user\">{user}</dd>");
        assert!(seen.text().contains(&who), "{name}: {}", seen.text());
    }
}

#[test]
fn two_demos_run_side_by_side_and_leave_nothing_behind() {
    let (one, other) = (Demo::start(), Demo::start());
    assert_ne!(one.panel, other.panel);
    assert_ne!(one.start, other.start);
    assert_ne!(one.status, other.status);
    for demo in [one, other] {
        assert!(demo.printed.contains("Ctrl-C"), "{}", demo.printed);
        let (status, rest) = demo.end();
        assert!(status.success(), "{status}");
        assert_eq!(rest.trim(), "");
    }
}
