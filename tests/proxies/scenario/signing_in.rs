//! Who gets in, and how often.

use serde_json::json;

use crate::{
    deployed::Deployed,
    stand::{Form, Stand},
    support::{gate::PANEL, http::Answer},
};

/// Where somebody lands: the path and query of `Location`, at the site itself.
fn landing(answer: &Answer) -> String {
    assert_eq!(answer.status, 303, "{}", answer.text());
    let location = answer.header("location").unwrap();
    let origin = format!("https://{PANEL}");
    location.strip_prefix(&origin).unwrap_or(location).to_owned()
}

pub(crate) async fn nobody_is_shown_anything(stand: &mut Stand) {
    let seen = stand.browser().get("/orders").await;
    let told = stand.visitor().get("/orders.json").await;
    if stand.form == Form::Links {
        // The application has its own sessions, and nobody has one.
        assert!(seen.text().contains("<p id=user>nobody</p>"), "{}", seen.text());
        assert_eq!(told.json()["user"], "nobody");
        return;
    }
    assert_eq!(seen.status, 401, "{}", seen.text());
    assert!(seen.header("content-type").unwrap().starts_with("text/html"), "{seen:?}");
    assert!(seen.text().contains("sign_in_required"), "{}", seen.text());
    assert_eq!((told.status, told.code().as_str()), (401, "sign_in_required"), "{told:?}");
    for answer in [&seen, &told] {
        assert!(answer.header("cache-control").unwrap().contains("no-store"), "{answer:?}");
    }
    assert!(stand.application.asked().is_empty(), "{:?}", stand.application.asked());
}

pub(crate) async fn a_link_signs_in_once(stand: &mut Stand) {
    let browser = stand.browser();
    let link = stand.link(json!({ "destination": "/orders?page=2&sort=up" })).await;
    assert_eq!(link.url, format!("https://{PANEL}{}", link.path));
    assert_eq!(landing(&browser.open(&link.path).await), "/orders?page=2&sort=up");
    let page = browser.get("/orders?page=2&sort=up").await;
    assert!(page.text().contains("<p id=user>joe</p>"), "{}", page.text());
    let told = stand.application.asked_for("/orders?page=2&sort=up");
    if stand.form != Form::Links {
        assert_eq!(told.header("x-oncegate-user"), ["joe"]);
        assert_eq!(told.header("x-oncegate-caller"), ["billing"]);
        assert_eq!(told.header("remote-user"), ["joe"]);
        assert_eq!(told.header("x-oncegate-assertion")[0].split('.').count(), 3);
    }
    let another = stand.browser().get(&link.path).await;
    assert_eq!(another.status, 410, "{}", another.text());
    assert!(another.text().contains("already_used"), "{}", another.text());
}

pub(crate) async fn a_link_on_a_page_lands_there_without_it(stand: &mut Stand) {
    let browser = stand.browser();
    let link = stand.link(json!({})).await;
    let target = format!("/orders/7?a=%20b&_once={}&c=d", link.token);
    assert_eq!(landing(&browser.open(&target).await), "/orders/7?a=%20b&c=d");
    let page = browser.get("/orders/7?a=%20b&c=d").await;
    assert!(page.text().contains("<p id=user>joe</p>"), "{}", page.text());
    // Not even the page asked for with it was the application's to see.
    for asked in stand.application.asked() {
        assert!(!asked.target.contains("_once"), "{asked:?}");
    }
    let again = stand.browser().get(&target).await;
    assert_eq!(again.status, 410, "{}", again.text());
}

pub(crate) async fn a_script_is_told_and_not_sent_anywhere(stand: &mut Stand) {
    for method in ["GET", "POST"] {
        let answer = stand.visitor().script().request(method, "/api/orders", &[], b"").await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "sign_in_required"), "{method}");
        assert_eq!(answer.header("location"), None, "{method}");
    }
}

pub(crate) async fn whoever_logs_out_is_out(stand: &mut Stand) {
    let browser = stand.signed_in().await;
    let headers = [("Origin", "https://panel.example.com")];
    let out = browser.request("POST", "/_once/logout", &headers, b"").await;
    assert!(matches!(out.status, 200 | 204 | 303), "{}", out.text());
    let page = browser.get("/orders").await;
    if stand.form == Form::Links {
        // The application's own session is the application's to end.
        assert!(page.text().contains("<p id=user>joe</p>"), "{}", page.text());
    } else {
        assert_eq!(page.status, 401, "{}", page.text());
    }
}

pub(crate) async fn a_long_name_arrives_whole(stand: &mut Stand) {
    // Percent-encoded three times as long, and there twice, beside an assertion of its own length.
    let user = "\u{1f600}".repeat(200);
    let link = stand.link(json!({ "user": user, "claims": {} })).await;
    let browser = stand.browser();
    assert_eq!(browser.open(&link.path).await.status, 303);
    assert_eq!(browser.get("/orders").await.status, 200);
    if stand.form != Form::Links {
        let asked = stand.application.asked_for("/orders");
        assert_eq!(asked.header("x-oncegate-user"), ["%F0%9F%98%80".repeat(200)]);
        assert_eq!(asked.header("remote-user"), ["%F0%9F%98%80".repeat(200)]);
    }
}

/// Where people sign in, who have no link.
const SIGN_IN: &str = "https://login.example.com/?from=panel";

/// The gate's configuration with such a page.
pub(crate) fn with_a_page_to_sign_in_at(gate: Deployed) -> Deployed {
    gate.replace("anonymous = \"refuse\"", format!("anonymous = \"{SIGN_IN}\""))
}

pub(crate) async fn people_are_sent_to_sign_in(stand: &mut Stand) {
    for (method, status) in [("GET", 302), ("POST", 303)] {
        let sent = stand.browser().request(method, "/orders?a=b", &[], b"").await;
        assert_eq!((sent.status, sent.header("location")), (status, Some(SIGN_IN)), "{method}");
        let script = stand.visitor().script().request(method, "/orders?a=b", &[], b"").await;
        assert_eq!((script.status, script.header("location")), (401, None), "{method}");
        assert_eq!(script.code(), "sign_in_required", "{method}");
    }
    assert!(stand.application.asked().is_empty());
    assert_eq!(stand.signed_in().await.get("/orders").await.status, 200);
}
