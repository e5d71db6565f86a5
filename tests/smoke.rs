//! The whole way of a link, once.

mod support;

use serde_json::json;
use support::gate::{Gate, cookie_of};

#[tokio::test]
async fn a_link_signs_in_once() {
    let gate = Gate::start().await;
    let link = gate.link(json!({ "destination": "invoice", "destination_values": [7] })).await;
    let page = gate.browser().get(&link.path).await;
    assert_eq!(page.status, 200, "{}", page.text());
    let answer = gate.open(&link).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert_eq!(answer.header("location"), Some("https://panel.example.com/clientarea/invoices/7"));
    let cookie = cookie_of(&answer);
    let seen = gate.browser().get_with("/clientarea/invoices/7", &[("cookie", &cookie)]).await;
    assert_eq!(seen.status, 200, "{}", seen.text());
    assert_eq!(support::upstream::header(&seen.json(), "x-oncegate-user"), ["joe"]);
    let again = gate.open(&link).await;
    assert_eq!(again.status, 410, "{}", again.text());
    gate.stop().await;
}
