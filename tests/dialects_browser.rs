//! A link from each dialect in a real browser: it lands where it should, once.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use serde_json::{Value, json};
use support::{
    browser::Browser,
    gate::Gate,
    http::Client,
    upstream,
    vendors::{self, CAMPAIGN, PLATFORM, WHMCS, WISECP},
};

/// A link, as its vendor's client makes one.
struct Made {
    dialect: &'static str,
    url: String,
    user: &'static str,
    landing: String,
}

async fn every_link(gate: &Gate) -> Vec<Made> {
    let api = Client::new(gate.api_at());
    let origin = format!("http://{}", gate.public_at());
    let text = |answer: &Value, pointer: &str| {
        let found = answer.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_else(|| panic!("no {pointer} in {answer}")).to_owned()
    };
    let mut made = Vec::new();

    let call = json!({ "user_id": 18, "destination": "ac-ps-detail-invoice", "destination_values": [1042] });
    let wisecp = api.clone().header("Apikey", WISECP);
    let answer = wisecp.post_json("/api/Clients/CreateClientSsoToken", &call).await.json();
    let landing = "/clientarea/invoices/1042".to_owned();
    made.push(Made { dialect: "wisecp", url: text(&answer, "/data/url"), user: "joe", landing });

    let call = format!(
        "/admin/api.php?api_action=singlesignon&api_output=json&api_key={CAMPAIGN}\
         &sso_addr=127.0.0.1&sso_user=joe%40example.com"
    );
    let token = text(&api.get(&call).await.json(), "/token");
    let url = format!("{origin}/reports/7?range=year&_ssot={token}");
    let landing = "/reports/7?range=year".to_owned();
    made.push(Made { dialect: "activecampaign", url, user: "joe", landing });

    let call = "/api/v3/resellers/1/user_authentication/token?account_id=508";
    let answer = api.get_with(call, &[("X-Api-Token", PLATFORM)]).await.json();
    let (email, token) = (text(&answer, "/owner_email"), text(&answer, "/owner_token"));
    // As a service pastes them together that does not encode: the plus stays a plus.
    let url = format!("{origin}/?user_email={email}&user_token={token}");
    let (user, landing) = ("owner+plus@example.com", "/".to_owned());
    made.push(Made { dialect: "activeplatform", url, user, landing });

    for (member, appended, user, landing) in [
        ("0", "", "2425", "/"),
        ("7", "&redirect=Settings.aspx", "2425/7", "/Settings.aspx"),
        ("", "&delay=0&redirect=Reports/All.aspx", "2425", "/Reports/All.aspx"),
    ] {
        let form = [
            ("response_type", "json"),
            ("apiusername", "apiuser"),
            ("apipassword", "api pass"),
            ("accountid", "2425"),
            ("teammemberid", member),
        ];
        let answer = api.post_form("/api/2/GetSignOnUrl.aspx", &form, &[]).await.json();
        let url = text(&answer, "/signonurl") + appended;
        made.push(Made { dialect: "allclients", url, user, landing: landing.to_owned() });
    }

    let form = [
        ("action", "CreateSsoToken"),
        ("identifier", "whmcs"),
        ("secret", WHMCS),
        ("client_id", "19"),
        ("destination", "sso:custom_redirect"),
        ("sso_redirect_path", "clientarea.php?action=details"),
        ("responsetype", "json"),
    ];
    let answer = api.post_form("/includes/api.php", &form, &[]).await.json();
    let landing = "/clientarea.php?action=details".to_owned();
    made.push(Made {
        dialect: "whmcs",
        url: text(&answer, "/redirect_url"),
        user: "zo%C3%AB",
        landing,
    });
    made
}

#[tokio::test]
async fn a_link_of_each_dialect_lands_where_it_should_once() {
    let gate = vendors::on_loopback().await;
    let origin = format!("http://{}", gate.public_at());
    let made = every_link(&gate).await;
    let mut dialects: Vec<&str> = made.iter().map(|made| made.dialect).collect();
    dialects.dedup();
    assert_eq!(dialects.len(), 5, "{dialects:?}");
    let Some(browser) = Browser::start(true).await else { return };
    let Some(stranger) = Browser::start(true).await else { return };
    for Made { dialect, url, user, landing } in &made {
        browser.goto(url).await;
        let landing = format!("{origin}{landing}");
        browser.arrive_at(&landing).await;
        let seen: Value = serde_json::from_str(&browser.text("body").await).unwrap();
        assert_eq!(upstream::header(&seen, "x-oncegate-user"), [*user], "{dialect}");
        let cookies = browser.cookies().await;
        assert!(cookies.iter().any(|cookie| cookie.0 == "oncegate"), "{dialect}: {cookies:?}");
        // Opened again by the one it signed in, it leads on.
        browser.goto(url).await;
        browser.arrive_at(&landing).await;
        browser.client.delete_all_cookies().await.unwrap();

        stranger.goto(url).await;
        stranger.shows("h1", "This link was already used").await;
        assert!(stranger.cookies().await.is_empty(), "{dialect}");
    }
    let told = gate.upstream.seen();
    assert!(!told.is_empty());
    for request in &told {
        let target = request["target"].as_str().unwrap();
        assert!(!target.contains("eyJ"), "a token reached the application: {target}");
    }
    stranger.close().await;
    browser.close().await;
    gate.stop().await;
}
