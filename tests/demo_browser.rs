//! The demo as a newcomer meets it: the real program, and a real browser that clicks through it.
#![allow(
    clippy::unwrap_used,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use serde_json::json;
use support::{browser::Browser, demo::Demo};

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
    assert_eq!(browser.text("#curl").await, demo.curl);
    browser.find("select[name=user]").await.select_by_label("Zoë Müller").await.unwrap();
    browser.find("select[name=to]").await.select_by_label("Invoice 1042").await.unwrap();
    browser.click("#issue").await;
    assert_eq!(browser.text("#answer h2").await, "A link for Zoë Müller");
    let link = browser.text("#url").await;
    assert!(link.starts_with(&format!("{}_once/l/", demo.panel)), "{link}");

    browser.click("#link").await;
    browser.newest_tab().await;
    let there = browser.wait_for_url(INVOICE).await;
    assert_eq!(there, format!("{}{}", demo.panel, &INVOICE[1..]), "no token in the address");
    assert_eq!(browser.text("h1").await, "Invoice 1042");
    assert_eq!(who(&browser).await, billing_says("Zoë Müller"));
    let cookies = browser.cookies().await;
    assert_eq!(cookies.len(), 1, "{cookies:?}");
    assert_eq!(cookies[0].0, "oncegate");

    // Once more, for the one whom it signed in: on to where it leads, and not signed in anew.
    browser.goto(&demo.panel).await;
    assert_eq!(browser.text("h1").await, "Welcome back");
    browser.goto(&link).await;
    browser.wait_for_url(INVOICE).await;
    assert_eq!(browser.cookies().await, cookies);

    let Some(stranger) = Browser::start(true).await else { return };
    stranger.goto(&link).await;
    assert_eq!(stranger.text("h1").await, "This link was already used");
    let page = stranger.text("main").await;
    assert!(page.contains("Every link works once"), "{page}");
    assert!(page.contains("ask for a new one") && page.contains("already_used"), "{page}");
    assert!(stranger.cookies().await.is_empty());
    stranger.goto(&demo.panel).await;
    assert_eq!(stranger.text("h1").await, "Sign in to see this page");
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
    assert_eq!(browser.text("h1").await, "Logging in…");
    assert!(browser.cookies().await.is_empty(), "opening the page signs nobody in");
    let button = browser.find("#enter button").await;
    assert!(button.is_displayed().await.unwrap(), "the button is there at once");
    assert_eq!(button.text().await.unwrap(), "Continue");
    button.click().await.unwrap();
    assert!(browser.wait_for_url(INVOICE).await.starts_with(&demo.panel));
    assert_eq!(who(&browser).await, billing_says("joe"));

    browser.click("#logout").await;
    assert_eq!(browser.text("h1").await, "You are signed out");
    assert!(browser.cookies().await.is_empty());
    browser.goto(&demo.panel).await;
    assert_eq!(browser.text("h1").await, "Sign in to see this page");
    assert!(!browser.has("#user").await);
    assert!(!browser.has("main a").await, "no way on that leads back to this very page");
    browser.goto(&format!("{}_once/logout", demo.panel)).await;
    assert_eq!(browser.text("h1").await, "You are not signed in");
    browser.goto(&link).await;
    assert_eq!(browser.text("h1").await, "This link was already used");
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
    assert_eq!(browser.text("h1").await, "Sign in as somebody else?");
    let both = browser.text(".who").await;
    assert!(both.contains("joe") && both.contains("ana"), "{both}");
    assert_eq!(browser.text("a.quiet").await, "Stay signed in as joe");
    browser.click("a.quiet").await;
    assert_eq!(browser.text("h1").await, "Welcome back");
    assert_eq!(who(&browser).await, billing_says("joe"));

    browser.goto(&link).await; // it asked, and spent nothing
    assert_eq!(browser.text("#enter button").await, "Sign in as ana");
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
