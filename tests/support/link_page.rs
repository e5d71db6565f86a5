//! The page that a link opens, as a browser reads it.

use super::{
    gate::{Gate, PANEL},
    http::{Answer, Client},
};

/// What the page posts as the page asked for, if anything.
pub fn next(page: &Answer) -> Option<String> {
    let (_, rest) = page.text().split_once("name=\"next\" value=\"")?;
    let (value, _) = rest.split_once('"')?;
    Some(value.replace("&#38;", "&").replace("&#39;", "'"))
}

/// Whether it posts its form without waiting for anybody.
pub fn submits_itself(page: &Answer) -> bool {
    page.text().contains("button.click()")
}

/// Posts the form of this page.
pub async fn submit(browser: &Client, page: &Answer) -> Answer {
    let (_, rest) = page.text().split_once("method=\"post\" action=\"").unwrap();
    let action = rest.split('"').next().unwrap();
    assert!(action.starts_with("/_once/l/"), "{action}");
    let next = next(page);
    let fields: Vec<_> = next.iter().map(|next| ("next", next.as_str())).collect();
    browser.post_form(action, &fields, &[]).await
}

/// Opens a link of `panel`, given as its path and query, and posts its page's form twice: that
/// leads to `landing` once.
pub async fn signs_in_once(gate: &Gate, target: &str, landing: &str) {
    let page = gate.browser().get(target).await;
    assert_eq!(page.status, 200, "{target}: {}", page.text());
    let opened = submit(&gate.browser(), &page).await;
    assert_eq!(opened.status, 303, "{target}: {}", opened.text());
    let landing = format!("https://{PANEL}{landing}");
    assert_eq!(opened.header("location"), Some(landing.as_str()), "{target}");
    let again = submit(&gate.browser(), &page).await;
    assert_eq!(again.status, 410, "{target}: {}", again.text());
    assert!(again.text().contains("already_used"), "{target}: {}", again.text());
}
