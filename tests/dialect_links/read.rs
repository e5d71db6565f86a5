//! What of a URL is read as a link, and what is refused or left to the application.

use super::*;

#[tokio::test]
async fn a_url_that_names_somebody_else_opens_nothing() {
    let front = Front::open().await;
    let owner = front.link(Dialect::Activeplatform, "o+x@example.com").await.token;
    let member = front.link(Dialect::Allclients, "2425/7").await.token;
    let account = front.link(Dialect::Allclients, "2425").await.token;
    let refused = [
        format!("/?user_token={owner}"),
        format!("/?user_email=&user_token={owner}"),
        format!("/?user_email=o@example.com&user_token={owner}"),
        format!("/?user_email=O%2Bx@example.com&user_token={owner}"),
        format!("/?user_email=o%20x@example.com&user_token={owner}"),
        format!("/?user_email=o%252Bx@example.com&user_token={owner}"),
        format!("/?user_email[]=o%2Bx@example.com&user_token={owner}"),
        format!("/Login.aspx?hash={member}"),
        format!("/Login.aspx?a=2425&hash={member}"),
        format!("/Login.aspx?t=7&hash={member}"),
        format!("/Login.aspx?a=2425&t=0&hash={member}"),
        format!("/Login.aspx?a=2425&t=8&hash={member}"),
        format!("/Login.aspx?a=2425&t=07&hash={member}"),
        format!("/Login.aspx?a=2426&t=7&hash={member}"),
        format!("/Login.aspx?a=2425/7&t=0&hash={member}"),
        format!("/Login.aspx?a=2425%2F7&t=&hash={member}"),
        format!("/Login.aspx?a=2425&t=7&hash={account}"),
        format!("/Login.aspx?a=2425&hash={account}"),
        format!("/Login.aspx?a=2425&t=&hash={account}&delay=0"),
        format!("/Login.aspx?a=2426&t=0&hash={account}&delay=0"),
    ];
    for target in &refused {
        assert_eq!(front.code(target).await, (400, "malformed".to_owned()), "{target}");
    }
    let taken = [
        format!("/?user_email=o+x@example.com&user_token={owner}"),
        format!("/?user_email=o%2bx%40example.com&user_token={owner}"),
        format!("/?user_token={owner}&utm=1&user_email=o%2Bx@example.com"),
        format!("/Login.aspx?hash={member}&t=7&a=2425"),
        format!("/Login.aspx?a=%32425&t=7&hash={member}"),
        format!("/Login.aspx?a=2425&t=0&hash={account}"),
    ];
    for target in &taken {
        assert_eq!(front.program().get(target).await.status, 200, "{target}");
    }
    assert_eq!((front.proxied(), front.gate.remembered()), (0, 0));
    front.gate.stop().await;
}

#[tokio::test]
async fn an_address_with_a_blank_is_not_one_with_a_plus() {
    let front = Front::open().await;
    let link = front.link(Dialect::Activeplatform, "o x@example.com").await;
    for (email, status) in [("o+x@example.com", 200), ("o%20x@example.com", 200)] {
        let target = format!("/?user_email={email}&user_token={}", link.token);
        assert_eq!(front.program().get(&target).await.status, status, "{email}");
    }
    let target = format!("/?user_email=o%2Bx@example.com&user_token={}", link.token);
    assert_eq!(front.code(&target).await, (400, "malformed".to_owned()));
    front.gate.stop().await;
}

#[tokio::test]
async fn what_only_some_would_read_as_a_link_is_refused_and_never_proxied() {
    let front = Front::open().await;
    let mut tried = 0;
    for (dialect, user) in SIGNED_IN {
        let link = front.link(dialect, user).await;
        let (path, query) = link.target.split_once('?').unwrap();
        let (named, name) = match query.rsplit_once('=').unwrap().0.rsplit_once('&') {
            Some((named, name)) => (format!("{named}&"), name),
            None => (String::new(), query.split('=').next().unwrap()),
        };
        let (token, before) = (&link.token, front.gate.remembered());
        let (first, tail) = name.split_at(1);
        let double = format!("%25{:02X}{tail}", first.as_bytes()[0]);
        let mut targets: Vec<String> = [
            format!("{named}{name}={token}&{name}={token}"),
            format!("{named}{name}=&x=1&{name}={token}"),
            format!("{named}{name}&{name}"),
            format!("{named}{name}={token}&%{:02X}{tail}={token}", first.as_bytes()[0]),
            format!("{named}{name}={token}&{name}[]={token}"),
            format!("{named}{name}={token}&x;{name}={token}"),
            format!("{named}{name}={token}&_once={token}"),
            format!("{named}{name}={token}&_once[]={token}"),
            format!("_once={token}&{named}{name}={token}"),
            format!("_once={token}&{named}{name}[]={token}"),
            format!("{named}x=1;{name}={token}"),
            format!("{}amp;{name}={token}", named.replace('&', "&amp;")),
            format!("{named}{name}[]={token}"),
            format!("{named}{name}[0]={token}"),
            format!("{named}{name}%5B%5D={token}"),
            format!("{named}+{name}={token}"),
            format!("{named}%20{name}={token}"),
            format!("{named}{name}%00={token}"),
            format!("{named}{double}={token}"),
            format!("{named}{}={token}", name.to_ascii_uppercase()),
        ]
        .iter()
        .map(|query| format!("{path}?{query}"))
        .collect();
        if name[1..].contains('_') {
            for other in [".", "%20", "+", "["] {
                let (start, end) = name.rsplit_once('_').unwrap();
                targets.push(format!("{path}?{named}{start}{other}{end}={token}"));
            }
        }
        if dialect != Dialect::Activecampaign {
            let (parent, last) = path.rsplit_once('/').unwrap();
            for other in [
                format!("{parent}//{last}"),
                format!("{parent}/./{last}"),
                format!("{parent}/x/../{last}"),
                format!("{parent}/%2e/{last}"),
                format!("{path};x"),
                format!("{parent}/x/..;/{last}"),
                format!("{parent}/%2f{last}"),
                format!("{path}%3fx"),
                format!("{path}%23x"),
            ] {
                targets.push(format!("{other}?{query}"));
            }
            // Of "/" there is no other case, and no slash to end it.
            if !last.is_empty() {
                let code = |byte: u8| format!("%{byte:02x}");
                let encoded = format!("{parent}/{}{}", code(last.as_bytes()[0]), &last[1..]);
                for other in [path.to_ascii_uppercase(), format!("{path}/"), encoded] {
                    targets.push(format!("{other}?{query}"));
                }
            }
        }
        for target in &targets {
            for method in ["GET", "POST", "PUT"] {
                let answer = front.program().request(method, target, &[], b"").await;
                let seen = (answer.status, answer.code());
                assert_eq!(seen, invalid(), "{dialect} {method} {target}");
            }
            tried += 1;
        }
        assert_eq!(front.gate.remembered(), before, "{dialect}");
        front.cookie(&link).await;
    }
    assert!(tried > 100, "only {tried} were tried");
    assert_eq!(front.proxied(), 0);
    front.gate.stop().await;
}

#[tokio::test]
async fn two_dialects_tokens_in_one_url_are_refused() {
    let front = Front::open().await;
    let campaign = front.link(Dialect::Activecampaign, "joe").await;
    for (dialect, user) in SIGNED_IN {
        let link = front.link(dialect, user).await;
        let both = format!("{}&_ssot={}", link.target, campaign.token);
        assert_eq!(front.code(&both).await, invalid(), "{dialect}");
    }
    for target in [posts_to(&campaign), "/_once/l/x".to_owned()] {
        let both = format!("{target}?_ssot={}", campaign.token);
        assert_eq!(front.code(&both).await, invalid());
        let posted = front.browser().post_form(&both, &[], &[]).await;
        assert_eq!(posted.status, 400);
    }
    assert_eq!((front.proxied(), front.gate.remembered()), (0, 0));
    front.gate.stop().await;
}

#[tokio::test]
async fn another_parameter_of_a_form_sent_twice_is_refused() {
    let front = Front::open().await;
    let owner = front.link(Dialect::Activeplatform, "owner@example.com").await;
    let account = front.link(Dialect::Allclients, "2425").await;
    for target in [
        format!("{}&user_email=owner@example.com", owner.target),
        format!("{}&a=2425", account.target),
        format!("{}&t=0", account.target),
        format!("{}&delay=0&delay=0", account.target),
        format!("{}&redirect=a&%72edirect=b", account.target),
    ] {
        assert_eq!(front.code(&target).await, invalid(), "{target}");
    }
    assert_eq!(front.gate.remembered(), 0);
    front.gate.stop().await;
}

#[tokio::test]
async fn what_is_no_token_at_a_forms_place_is_refused_and_never_proxied() {
    let front = Front::open().await;
    let targets = [
        "/a?_ssot",
        "/a/b?x=1&_ssot=",
        "/?user_email=joe&user_token=abc",
        "/en/sign-in?sso_token=a.b.c",
        "/en/sign-in?%73so_token=abc",
        "/Login.aspx?a=1&t=0&hash=0123abcd",
        "/oauth/singlesignon.php?access_token=",
    ];
    for target in targets {
        assert_eq!(front.code(target).await, (400, "malformed".to_owned()), "{target}");
    }
    assert_eq!(front.proxied(), 0);
    front.gate.stop().await;
}

#[tokio::test]
async fn elsewhere_the_parameters_are_the_applications_own() {
    let front = Front::open().await;
    let targets = [
        "/a?hash=1&hash=2",
        "/Login.aspx?a=2425&t=0",
        "/Login.aspx?access_token=1&user_token=2&sso_token=3",
        "/x/Login.aspx?hash=1",
        "/Login.aspxx?hash=1",
        "/?hash=1&access_token=2&sso_token[]=3",
        "/a?user_token=1&user_email=o+x@example.com",
        "/de/sign-in?sso_token=1",
        "/sign-in?sso_token=1",
        "/en/sign-in?user_token=1;sso=2",
        "/oauth/authorize?access_token=%20a;b",
        "/a?ssot=1&_ssot2=2&x_ssot=3",
        "/a?x=_ssot&y=hash",
    ];
    for (count, target) in (0..).step_by(2).zip(targets) {
        for (seen, method) in [(count, "GET"), (count + 1, "POST")] {
            let answer = front.program().request(method, target, &[], b"").await;
            assert_eq!(answer.status, 200, "{target}: {}", answer.text());
            let all = front.gate.upstream.seen();
            assert_eq!((all.len(), &all[seen]["target"]), (seen + 1, &json!(target)));
        }
    }
    front.gate.stop().await;
}

#[tokio::test]
async fn the_forms_of_dialects_that_the_site_has_not_are_nothing_to_it() {
    let front = Front::of(&[Dialect::Wisecp]).await;
    let mut proxied = Vec::new();
    for (dialect, user) in SIGNED_IN {
        let link = front.link(dialect, user).await;
        if dialect == Dialect::Wisecp {
            assert_eq!(front.browser().get(&link.target).await.status, 200);
        } else {
            assert_eq!(front.code(&link.target).await, invalid(), "a gate's token all the same");
            let theirs = link.target.replace(&link.token, "a-token-of-the-application");
            front.program().get(&theirs).await;
            proxied.push(theirs);
        }
    }
    let seen = front.gate.upstream.seen();
    let seen: Vec<&str> = seen.iter().map(|seen| seen["target"].as_str().unwrap()).collect();
    assert_eq!(seen, proxied);
    assert_eq!(front.gate.remembered(), 0);
    front.gate.stop().await;
}

#[tokio::test]
async fn a_token_on_any_page_leads_to_that_page_byte_for_byte() {
    let front = Front::open().await;
    let cases = [
        ("/clientarea?_ssot=T", Some("/clientarea")),
        ("/?_ssot=T", Some("/")),
        ("/a?a=1&_ssot=T&b=%20x+y&&c", Some("/a?a=1&b=%20x+y&&c")),
        ("/a%20b/c;d=1?x&%5Fssot=T", Some("/a%20b/c;d=1?x")),
        ("/a?hash=1&_ssot=T", Some("/a?hash=1")),
        ("//evil.example/?_ssot=T", None),
        ("/%2fevil.example/?_ssot=T", None),
        ("/_once/logout?_ssot=T", None),
    ];
    for (target, expected) in cases {
        let link = front.link(Dialect::Activecampaign, "joe").await;
        let page = front.browser().get(&target.replace("=T", &format!("={}", link.token))).await;
        assert_eq!((page.status, next(&page).as_deref()), (200, expected), "{target}");
        let answer = front.submit(&page).await;
        assert_eq!(location(&answer), Some(expected.unwrap_or("/")), "{target}");
    }
    assert_eq!(front.proxied(), 0);
    front.gate.stop().await;
}

#[tokio::test]
async fn a_token_that_nothing_reads_does_not_reach_the_application_either() {
    let front = Front::open().await;
    let mut tried = 0;
    for (dialect, user) in SIGNED_IN {
        let token = front.link(dialect, user).await.token;
        let hidden = token.replace("eyJ", "%65%79%4a").replace('.', "%2e");
        for target in [
            format!("/tr/sign-in?sso_token={token}"),
            format!("/index.php?user_email=joe@example.com&user_token={token}"),
            format!("/Login.aspx/x?hash={token}"),
            format!("/x/Login.aspx?hash={token}"),
            format!("/oauth/singlesignon.php/x?access_token={token}"),
            format!("/page?_ONCE={token}"),
            format!("/page?anything={hidden}"),
            format!("/page?next=https%3A%2F%2Fpanel.example.com%2F_once%2Fl%2F{token}"),
            format!("/page?x=%2522{}", hidden.replace('%', "%25")),
            format!("/assets/{token}"),
            format!("/page?{token}"),
        ] {
            assert_eq!(front.code(&target).await, invalid(), "{target}");
            let answer = front.program().request("POST", &target, &[], b"").await;
            assert_eq!((answer.status, answer.code()), invalid(), "POST {target}");
            tried += 1;
        }
        assert_eq!(front.gate.redeem(&token).await.status, 200, "{dialect}: it was not used");
    }
    assert!(tried > 50);
    assert_eq!(front.proxied(), 0);
    front.gate.stop().await;
}
