//! What AllClients' callers append to a link: `redirect` and `delay`.

use super::*;

#[tokio::test]
async fn a_redirect_beside_the_token_leads_within_the_site() {
    let front = Front::open().await;
    for (redirect, expected) in [
        ("Settings.aspx", "/Settings.aspx"),
        ("%2FSettings.aspx", "/Settings.aspx"),
        ("/a/Settings.aspx%3Fx=1%26y=a@b:c%23z", "/a/Settings.aspx?x=1&y=a@b:c#z"),
        ("evil.example", "/evil.example"),
        ("a%2520b", "/a%20b"),
        ("", "/"),
    ] {
        for delay in ["", "&delay=0", "&delay=1"] {
            let link = front.link(Dialect::Allclients, "2425").await;
            let target = format!("{}&redirect={redirect}{delay}", link.target);
            let mut answer = front.browser().get(&target).await;
            if delay != "&delay=0" {
                assert_eq!(answer.status, 200, "{target}");
                answer = front.submit(&answer).await;
            }
            assert_eq!((answer.status, location(&answer)), (303, Some(expected)), "{target}");
        }
    }
    front.gate.stop().await;
}

#[tokio::test]
async fn a_redirect_that_leads_elsewhere_is_refused_and_spends_nothing() {
    let front = Front::open().await;
    let hostile = [
        "//evil.example",
        "///evil.example",
        "/%5Cevil.example",
        "%5C%5Cevil.example",
        "%5Cevil.example",
        "https://evil.example",
        "https:/evil.example",
        "https:evil.example",
        "HTTP://evil.example",
        "http%3A%2F%2Fevil.example",
        "https%253A%252F%252Fevil.example",
        "https://panel.example.com.evil.example/",
        "https://panel.example.com@evil.example/",
        "https://panel.example.com/",
        "https://docs.example.com/manual",
        "@evil.example",
        "a@evil.example",
        "joe:x@evil.example",
        "%2540evil.example",
        ":443@evil.example",
        "javascript:alert(1)",
        "java%09script:alert(1)",
        "data:text/html,x",
        "/%09/evil.example",
        "%09//evil.example",
        "+//evil.example",
        "/%2Fevil.example",
        "/%252Fevil.example",
        "%252F%252Fevil.example",
        "%255Cevil.example",
        "..//evil.example",
        "../x",
        ".",
        "a/%252e%252e/%252e%252e/x",
        "a/..;/x",
        "a%0D%0ASet-Cookie:+a=b",
        "a%250D%250ASet-Cookie:+a=b",
        "a%00b",
        "b%C3%BCcher",
        "%EF%BC%8F%EF%BC%8Fevil.example",
        "_once/logout",
        "/_once/l/x",
        "a?_once=x",
        "a?_ssot=x",
        "Login.aspx?hash%3Dx",
        "en/sign-in?sso_token%3Dx",
    ];
    let link = front.link(Dialect::Allclients, "2425").await;
    let mut tried = 0;
    for redirect in hostile {
        for delay in ["", "&delay=0"] {
            let target = format!("{}&redirect={redirect}{delay}", link.target);
            let refused = (403, "destination_not_allowed".to_owned());
            assert_eq!(front.code(&target).await, refused, "{target}");
            tried += 1;
        }
    }
    assert!(tried > 80, "only {tried} were tried");
    assert_eq!((front.proxied(), front.gate.remembered()), (0, 0));
    front.cookie(&link).await;
    front.gate.stop().await;
}

#[tokio::test]
async fn without_delay_a_visit_spends_and_nothing_else_does() {
    let front = Front::open().await;
    let visits: [&[(&str, &str)]; 3] = [
        &[],
        &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")],
        &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")],
    ];
    for headers in visits {
        let link = front.link(Dialect::Allclients, "2425").await;
        let target = format!("{}&delay=0", link.target);
        let answer = front.program().get_with(&target, headers).await;
        assert_eq!((answer.status, location(&answer)), (303, Some("/")), "{headers:?}");
        cookie_of(&answer);
        assert_eq!(front.code(&target).await, (410, "already_used".to_owned()));
    }
    let link = front.link(Dialect::Allclients, "2425").await;
    let target = format!("{}&delay=0", link.target);
    let before = front.gate.remembered();
    let others: [&[(&str, &str)]; 6] = [
        &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")],
        &[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")],
        &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")],
        &[("sec-purpose", "prefetch;prerender")],
        &[("purpose", "prefetch")],
        &[("sec-fetch-mode", "navigate"), ("sec-fetch-mode", "navigate")],
    ];
    for headers in others {
        let answer = front.program().get_with(&target, headers).await;
        assert_eq!(answer.status, 200, "{headers:?}");
        assert!(answer.header_lines("set-cookie").is_empty(), "{headers:?}");
    }
    assert_eq!(front.browser().request("HEAD", &target, &[], b"").await.status, 200);
    for delay in ["&delay=", "&delay=1", "&delay=00", "&delay", "&Delay=0", ""] {
        let page = front.browser().get(&format!("{}{delay}", link.target)).await;
        assert_eq!(page.status, 200, "{delay}");
    }
    let early = front.program().get_with(&target, &[("early-data", "1")]).await;
    assert_eq!((early.status, early.code().as_str()), (425, "too_early"));
    assert_eq!(front.gate.remembered(), before);
    assert_eq!(front.browser().get(&target).await.status, 303);
    front.gate.stop().await;
}

#[tokio::test]
async fn delay_means_nothing_to_the_other_forms() {
    let front = Front::open().await;
    for (dialect, user) in SIGNED_IN {
        let link = front.link(dialect, user).await;
        if dialect != Dialect::Allclients {
            let page = front.browser().get(&format!("{}&delay=0", link.target)).await;
            assert_eq!(page.status, 200, "{dialect}");
        }
    }
    let native = front.gate.link(json!({})).await;
    let target = format!("/Login.aspx?_once={}&delay=0", native.token);
    assert_eq!(front.browser().get(&target).await.status, 200);
    assert_eq!(front.gate.remembered(), 0);
    front.gate.stop().await;
}
