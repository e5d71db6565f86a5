//! What a person's browser makes of it.

use serde_json::json;

use crate::{
    stand::{Form, Stand},
    support::gate::PANEL,
};

pub(crate) async fn a_browser_goes_through_a_link_once(stand: &mut Stand) {
    let link = stand.link(json!({})).await;
    let url = format!("https://{PANEL}/orders/7?a=b&_once={}#part", link.token);
    let Some(browser) = stand.chromium().await else { return };
    browser.goto(&url).await;
    browser.shows("#user", "joe").await;
    browser.arrive_at(&format!("https://{PANEL}/orders/7?a=b#part")).await;
    // The application's own pages talk to it by WebSocket too: on a connection of its own, for the
    // browser speaks HTTP/2 wherever it is offered.
    browser
        .client
        .execute(
            "const socket = new WebSocket('wss://panel.example.com/socket');
             socket.onopen = () => socket.send('over');
             socket.onmessage = message => document.getElementById('path').textContent = message.data;",
            Vec::new(),
        )
        .await
        .unwrap();
    browser.shows("#path", "over").await;
    // Another browser is one without cookies.
    let another = browser;
    another.client.delete_all_cookies().await.unwrap();
    another.goto(&url).await;
    another.wait_for_text("body", "already").await;
    another.goto(&format!("https://{PANEL}/")).await;
    if stand.form == Form::Links {
        another.shows("#user", "nobody").await;
    } else {
        another.wait_for_text("body", "sign").await;
        assert!(!another.has("#user").await);
    }
    another.close().await;
}
