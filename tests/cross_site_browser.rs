//! What pages elsewhere can make a real browser do to a gate: show its pages, and nothing more.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use std::time::Duration;

use serde_json::json;
use support::{
    browser::Browser,
    gate::{Gate, Link},
    villain::Villain,
    wire::upstream_at,
};

/// The pages of a villain, each with the refusals it brings about; LINK is the link's URL.
///
/// Each reports in its title once the browser has done all that the page asked for.
const PAGES: [(&str, &str, u64); 9] = [
    ("an image", r#"<img src="LINK" onerror="document.title = 'done'">"#, 0),
    ("a frame", r#"<iframe src="LINK" onload="document.title = 'done'"></iframe>"#, 0),
    (
        "a frame that posts",
        r#"<iframe name="f"></iframe><form method="post" action="LINK" target="f"></form>
        <script>document.forms[0].submit(); document.title = 'done'</script>"#,
        1,
    ),
    (
        "a sandboxed frame that posts",
        r#"<iframe sandbox="allow-scripts allow-forms" srcdoc='<form method="post" action="LINK">
        </form><script>document.forms[0].submit()</script>'></iframe>
        <script>document.title = 'done'</script>"#,
        1,
    ),
    (
        "a sandboxed frame that posts to the top",
        r#"<iframe sandbox="allow-scripts allow-forms allow-top-navigation"
        srcdoc='<form method="post" action="LINK" target="_top"></form>
        <script>document.forms[0].submit()</script>'></iframe>"#,
        1,
    ),
    (
        "a form",
        r#"<form method="post" action="LINK"></form><script>document.forms[0].submit()</script>"#,
        1,
    ),
    (
        "a post by script",
        r#"<script>fetch("LINK", { method: "POST", mode: "no-cors", credentials: "include" })
        .finally(() => document.title = "done")</script>"#,
        1,
    ),
    (
        "a get by script",
        r#"<script>fetch("LINK", { mode: "no-cors", credentials: "include" })
        .finally(() => document.title = "done")</script>"#,
        0,
    ),
    (
        "a style, a script, an object and a beacon",
        r#"<link rel="stylesheet" href="LINK"><object data="LINK"></object>
        <script src="LINK" onerror="navigator.sendBeacon('LINK', ''); document.title = 'done'"></script>"#,
        1,
    ),
];

/// How often the gate has refused with this code.
async fn refused(gate: &Gate, code: &str) -> u64 {
    let metrics = gate.admin().get("/metrics").await;
    let label = format!("code=\"{code}\"}} ");
    let count = metrics.text().lines().find_map(|line| line.split_once(&label));
    count.map_or(0, |(_, count)| count.parse().unwrap())
}

/// Waits until the gate has refused that often.
async fn wait_until_refused(gate: &Gate, code: &str, times: u64) {
    let enough = async {
        while refused(gate, code).await < times {
            tokio::task::yield_now().await; // each look is a round trip to the gate
        }
    };
    let done = tokio::time::timeout(Duration::from_secs(20), enough).await;
    assert!(done.is_ok(), "{code}: {} times, not {times}", refused(gate, code).await);
}

/// Whether the link is as good as new.
async fn is_unspent(gate: &Gate, link: &Link) -> bool {
    gate.api().post_json("/v1/inspect", &json!({ "token": link.token })).await.json()["valid"]
        == json!(true)
}

/// Who is signed in, as the gate tells this browser.
async fn session(gate: &Gate, browser: &Browser) -> String {
    browser.goto(&format!("http://{}/_once/session", gate.public_at())).await;
    browser.text("body").await
}

/// Opens the villain's page and waits until it is done, or gone.
async fn visit(browser: &Browser, url: &str) {
    browser.goto(url).await;
    let done = async {
        // A form that was posted to the top leads away from here.
        while browser.url().await == url && browser.client.title().await.unwrap() != "done" {
            tokio::task::yield_now().await;
        }
    };
    let done = tokio::time::timeout(Duration::from_secs(20), done).await;
    assert!(done.is_ok(), "{url} is not done: {}", browser.source().await);
}

#[tokio::test]
async fn nothing_on_another_page_uses_a_link_or_signs_anybody_in() {
    let gate = Gate::on_loopback(|text| text).await;
    let villain = Villain::start().await;
    let Some(browser) = Browser::start(true).await else { return };
    let mut expected = 0;
    for (what, html, posts) in PAGES {
        // `none` is the link that a GET may spend; `auto` is the page that posts by itself.
        for page in ["none", "auto"] {
            for near in [false, true] {
                let link = gate.link(json!({ "page": page })).await;
                assert!(html.contains("LINK"), "{what}");
                villain.page("/", &html.replace("LINK", &link.url));
                let url = if near { villain.near("/") } else { villain.far("/") };
                visit(&browser, &url).await;
                expected += posts;
                wait_until_refused(&gate, "cross_site", expected).await;
                let who = session(&gate, &browser).await;
                assert!(who.contains("Sign in to see this page"), "{what}, {page}: {who}");
                assert!(browser.cookies().await.is_empty(), "{what}, {page}");
                assert!(is_unspent(&gate, &link).await, "{what}, {page} used the link");
            }
        }
    }
    browser.close().await;
    gate.stop().await;
}

#[tokio::test]
async fn a_posted_link_is_refused_with_a_page_that_says_why() {
    let gate = Gate::on_loopback(|text| text).await;
    let villain = Villain::start().await;
    let Some(browser) = Browser::start(true).await else { return };
    let link = gate.link(json!({})).await;
    villain
        .page("/", &format!(r#"<form method="post" action="{}"><button>Win</button>"#, link.url));
    browser.goto(&villain.far("/")).await;
    browser.click("button").await;
    browser.wait_for_text("h1", "Another site sent this").await;
    assert!(browser.text("main").await.contains("cross_site"));
    assert!(is_unspent(&gate, &link).await);
    browser.close().await;
    gate.stop().await;
}

/// A link that somebody follows signs them in, wherever it stood; who is signed in is asked first.
#[tokio::test]
async fn a_link_followed_elsewhere_signs_in_nobody_who_is_somebody_else() {
    let gate = Gate::on_loopback(|text| text).await;
    let villain = Villain::start().await;
    let Some(browser) = Browser::start(true).await else { return };
    let link = gate.link(json!({ "user": "joe" })).await;
    villain.page("/", &format!(r#"<a href="{}" target="_blank">A prize</a>"#, link.url));
    browser.goto(&villain.far("/")).await;
    browser.click("a").await;
    browser.newest_tab().await;
    browser.wait_for_text("body", "\"x-oncegate-user\",\"joe\"").await;

    for page in ["auto", "confirm", "none"] {
        let link = gate.link(json!({ "user": "eve", "page": page })).await;
        villain.page("/", &format!("<script>location = '{}'</script>", link.url));
        browser.goto(&villain.far("/")).await;
        browser.wait_for_text("h1", "Sign in as somebody else?").await;
        let both = browser.text(".who").await;
        assert!(both.contains("joe") && both.contains("eve"), "{page}: {both}");
        assert!(is_unspent(&gate, &link).await, "{page}");
        assert!(session(&gate, &browser).await.contains("\"user\":\"joe\""), "{page}");
    }
    browser.close().await;
    gate.stop().await;
}

#[tokio::test]
async fn a_page_elsewhere_cannot_log_anybody_out() {
    let gate = Gate::on_loopback(|text| text).await;
    let villain = Villain::start().await;
    let Some(browser) = Browser::start(true).await else { return };
    browser.goto(&gate.link(json!({ "page": "none" })).await.url).await;
    assert!(session(&gate, &browser).await.contains("\"user\":\"joe\""));
    let mut expected = 0;
    for html in [
        r#"<form method="post" action="OUT"></form><script>document.forms[0].submit()</script>"#,
        r#"<script>fetch("OUT", { method: "POST", mode: "no-cors", credentials: "include" })
        .finally(() => document.title = "done")</script>"#,
        r#"<iframe sandbox="allow-scripts allow-forms" srcdoc='<form method="post" action="OUT">
        </form><script>document.forms[0].submit()</script>'></iframe>
        <script>document.title = 'done'</script>"#,
    ] {
        let out = format!("http://{}/_once/logout", gate.public_at());
        villain.page("/", &html.replace("OUT", &out));
        for url in [villain.far("/"), villain.near("/")] {
            visit(&browser, &url).await;
            expected += 1;
            wait_until_refused(&gate, "cross_site", expected).await;
            assert!(session(&gate, &browser).await.contains("\"user\":\"joe\""), "{html}");
        }
    }
    let image = format!(r#"<img src="http://{}/_once/logout">"#, gate.public_at());
    villain.page("/", &image);
    browser.goto(&villain.near("/")).await; // loaded with its image
    assert!(session(&gate, &browser).await.contains("\"user\":\"joe\""));
    browser.close().await;
    gate.stop().await;
}

#[tokio::test]
async fn a_link_leads_to_an_allowed_page_elsewhere_although_the_page_may_post_only_here() {
    let elsewhere = Villain::start().await;
    elsewhere.page("/manual/start", "");
    let allowed = format!("\"{}\"", elsewhere.far("/manual"));
    let gate =
        Gate::on_loopback(|text| text.replace("\"https://docs.example.com/manual\"", &allowed))
            .await;
    let Some(browser) = Browser::start(true).await else { return };
    for page in ["auto", "confirm"] {
        let destination = elsewhere.far("/manual/start");
        let link = gate.link(json!({ "page": page, "destination": destination })).await;
        browser.goto(&format!("http://{}/_once/session", gate.public_at())).await;
        browser.client.delete_all_cookies().await.unwrap();
        browser.goto(&link.url).await;
        if page == "confirm" {
            browser.click("#enter button").await;
        }
        browser.wait_for_text("h1", "Elsewhere").await;
        assert_eq!(browser.url().await, destination);
        assert!(session(&gate, &browser).await.contains("\"user\":\"joe\""), "{page}");
    }
    let seen = elsewhere.seen();
    let referrers = seen.iter().filter_map(|seen| seen.headers.get("referer"));
    for referrer in referrers {
        assert!(!referrer.to_str().unwrap().contains("_once"), "{referrer:?}");
    }
    browser.close().await;
    gate.stop().await;
}

/// Chromium fetches, and even runs, pages before anybody asks for them.
#[tokio::test]
async fn a_link_that_the_browser_fetches_ahead_stays_unused() {
    let app = Villain::start().await;
    let gate = Gate::on_loopback(|text| {
        upstream_at(&text, app.addr).replace("[\"/assets/**\"]", "[\"/**\"]")
    })
    .await;
    let Some(browser) = Browser::start(true).await else { return };
    for how in ["prefetch", "prerender"] {
        for page in ["none", "auto"] {
            let link = gate.link(json!({ "page": page })).await;
            let marker = format!("/marker-{how}-{page}");
            app.page(&marker, "");
            let rules = json!({ how: [{
                "source": "list", "urls": [link.path, marker], "eagerness": "immediate",
            }] });
            app.page(
                "/",
                &format!(
                    r#"<script type="speculationrules">{rules}</script><a href="{}">In</a>"#,
                    link.path
                ),
            );
            browser.goto(&format!("http://{}/", gate.public_at())).await;
            let ahead = async {
                while !app.seen().iter().any(|seen| seen.path == marker) {
                    browser.url().await;
                }
            };
            let ahead = tokio::time::timeout(Duration::from_secs(20), ahead).await;
            assert!(ahead.is_ok(), "this browser does not {how}");
            let seen = app.seen();
            let fetched = seen.iter().find(|seen| seen.path == marker).unwrap();
            let purpose = fetched.headers.get("sec-purpose").unwrap().to_str().unwrap();
            assert!(purpose.contains("prefetch"), "{purpose}");
            assert!(browser.cookies().await.is_empty(), "{how}, {page}");
            assert!(is_unspent(&gate, &link).await, "{how}, {page} used the link");

            // Whoever then goes there is signed in after all, if not at once then by the button.
            browser.click("a").await;
            browser.wait_for_url("/_once/l/").await;
            if browser.has("#enter").await {
                browser.click("#enter button").await;
            }
            browser.wait_for_text("h1", "Elsewhere").await;
            assert!(session(&gate, &browser).await.contains("\"user\":\"joe\""), "{how}, {page}");
            browser.client.delete_all_cookies().await.unwrap();
        }
    }
    browser.close().await;
    gate.stop().await;
}
