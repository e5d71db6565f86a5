//! Which page the link of each form opens, and what speaks against it.

use super::*;

#[tokio::test]
async fn a_link_that_needs_no_page_spends_on_a_visit_in_each_form() {
    let front = Front::open().await;
    for (dialect, user) in SIGNED_IN {
        let page = Some(Page::None);
        let link = front.link_with(dialect, user, |claims| claims.page = page).await;
        let framed = [("sec-fetch-dest", "iframe")];
        assert_eq!(front.program().get_with(&link.target, &framed).await.status, 200, "{dialect}");
        let answer = front.browser().get(&link.target).await;
        assert_eq!((answer.status, location(&answer)), (303, Some("/")), "{dialect}");
    }
    front.gate.stop().await;
}

#[tokio::test]
async fn a_link_that_asks_for_a_click_asks_in_each_form() {
    let front = Front::open().await;
    for (dialect, user) in SIGNED_IN {
        let page = Some(Page::Confirm);
        let link = front.link_with(dialect, user, |claims| claims.page = page).await;
        for more in ["", "&delay=0"] {
            let page = front.browser().get(&format!("{}{more}", link.target)).await;
            assert_eq!((page.status, submits_itself(&page)), (200, false), "{dialect}{more}");
            assert!(page.text().contains(&format!("<bdi>{user}</bdi>")), "{}", page.text());
        }
    }
    assert_eq!(front.gate.remembered(), 0);
    front.gate.stop().await;
}

#[tokio::test]
async fn somebody_else_is_always_asked_in_each_form() {
    let front = Front::open().await;
    let cookie = front.gate.link(json!({ "user": "ann" })).await;
    let answer = front.browser().post_form(&cookie.path, &[], &[]).await;
    let cookie = cookie_of(&answer);
    for (dialect, user) in SIGNED_IN {
        for page in [Page::Auto, Page::None] {
            let link = front.link_with(dialect, user, |claims| claims.page = Some(page)).await;
            for more in ["", "&delay=0"] {
                let target = format!("{}{more}", link.target);
                let asked = front.browser().get_with(&target, &[("cookie", &cookie)]).await;
                assert_eq!((asked.status, submits_itself(&asked)), (200, false), "{target}");
                for name in ["ann", user] {
                    let named = format!("<bdi>{name}</bdi>");
                    assert!(asked.text().contains(&named), "{}", asked.text());
                }
            }
        }
    }
    assert_eq!(front.gate.remembered(), 1);
    front.gate.stop().await;
}

#[tokio::test]
async fn a_used_link_leads_on_the_one_it_signed_in_and_nobody_else() {
    let front = Front::open().await;
    for (dialect, user) in SIGNED_IN {
        let dst = Some("/clientarea".to_owned());
        let link = front.link_with(dialect, user, |claims| claims.dst = dst).await;
        let cookie = front.cookie(&link).await;
        let again = front.browser().get_with(&link.target, &[("cookie", &cookie)]).await;
        assert_eq!((again.status, location(&again)), (303, Some("/clientarea")), "{dialect}");
        assert!(again.header_lines("set-cookie").is_empty(), "{dialect}");
        assert_eq!(front.code(&link.target).await, (410, "already_used".to_owned()), "{dialect}");
        let other = front.link_with(dialect, user, |claims| claims.sub.push('x')).await;
        let others = front.cookie(&other).await;
        let answer = front.program().get_with(&link.target, &[("cookie", &others)]).await;
        assert_eq!(answer.code(), "already_used", "{dialect}");
    }
    let link = front.link(Dialect::Allclients, "2425").await;
    let target = format!("{}&redirect=Settings.aspx", link.target);
    let cookie = cookie_of(&front.submit(&front.browser().get(&target).await).await);
    let again = front.browser().get_with(&target, &[("cookie", &cookie)]).await;
    assert_eq!((again.status, location(&again)), (303, Some("/Settings.aspx")));
    // In another form it is no link at all, whoever is signed in.
    let wrong = format!("/en/sign-in?sso_token={}", link.token);
    let answer = front.program().get_with(&wrong, &[("cookie", &cookie)]).await;
    assert_eq!(answer.code(), "wrong_type");
    front.gate.stop().await;
}

#[tokio::test]
async fn a_link_for_another_address_or_site_is_refused_in_each_form() {
    let front = Front::open().await;
    for (dialect, user) in SIGNED_IN {
        let ips = Networks::bind(&["203.0.113.7"], 32, 64).unwrap();
        let bound = front.link_with(dialect, user, |claims| claims.ips = Some(ips)).await;
        assert_eq!(front.code(&bound.target).await, (403, "wrong_client".to_owned()), "{dialect}");
        let shop = front.link_with(dialect, user, |claims| claims.aud = "shop".to_owned()).await;
        assert_eq!(front.code(&shop.target).await, (403, "wrong_audience".to_owned()), "{dialect}");
    }
    assert_eq!(front.gate.remembered(), 0);
    front.gate.stop().await;
}

#[tokio::test]
async fn no_destination_carries_a_token_in_a_form_of_the_site() {
    let front = Front::open().await;
    let refused = [
        "/a?_ssot=x",
        "/a?b=1&%5fssot=x#c",
        "/a?b;_SSOT[]=x",
        "/en/sign-in?sso_token=x",
        "/EN/sign-in/?sso_token=x",
        "/?user_token=x",
        "/?a=1&user.token=x",
        "/Login.aspx?hash=x",
        "/login.aspx?a=1&HASH=x",
        "/oauth/singlesignon.php?access_token=x",
        "https://panel.example.com/?user_token=x",
        "https://panel.example.com/Login.aspx?hash=x",
    ];
    for destination in refused {
        let ask = json!({ "user": "joe", "destination": destination });
        let answer = front.altered.api().post_json("/v1/links", &ask).await;
        let code = answer.code();
        assert_eq!(
            (answer.status, code.as_str()),
            (403, "destination_not_allowed"),
            "{destination}"
        );
        // Where the site has no such dialect, these names are its own.
        front.gate.link(json!({ "destination": destination })).await;
        let link = front.gate.link(json!({})).await;
        let posted = front.program().post_form(&link.path, &[("next", destination)], &[]).await;
        assert_eq!(posted.code(), "destination_not_allowed", "{destination}");
    }
    for destination in ["/a?hash=x&user_token=y", "/en/sign-in", "/Login.aspx?a=1#hash=x"] {
        let ask = json!({ "user": "joe", "destination": destination });
        let answer = front.altered.api().post_json("/v1/links", &ask).await;
        assert_eq!(answer.status, 201, "{destination}");
    }
    assert_eq!(front.gate.remembered(), 0);
    front.gate.stop().await;
}

#[tokio::test]
async fn an_application_that_opens_its_own_sessions_is_told_of_each_forms_admission() {
    let change = |text: String| {
        text.replacen("allow_urls", "handoff = \"callback\"\ncallback = \"/sso\"\nallow_urls", 1)
    };
    let front = Front::with(change, &Dialect::ALL.map(|(_, dialect)| dialect)).await;
    for (count, (dialect, user)) in SIGNED_IN.into_iter().enumerate() {
        let link = front.link(dialect, user).await;
        let more = if dialect == Dialect::Allclients { "&delay=0" } else { "" };
        let mut answer = front.browser().get(&format!("{}{more}", link.target)).await;
        if more.is_empty() {
            answer = front.submit(&answer).await;
        }
        assert_eq!((answer.status, answer.cookie("app")), (200, Some("1")), "{dialect}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{dialect}");
        let seen = front.gate.upstream.seen();
        assert_eq!((seen.len(), &seen[count]["target"]), (count + 1, &json!("/sso")), "{dialect}");
        assert!(!seen[count].to_string().contains(&link.token), "{dialect}");
    }
    front.gate.stop().await;
}
