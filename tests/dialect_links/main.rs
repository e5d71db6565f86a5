//! Links in the vendors' own URL forms: each opens what it is for, takes its own tokens alone, and
//! a URL that anybody could take for one never reaches the application.

#![cfg(test)]

mod appended;
mod pages;
mod read;
#[path = "../support/mod.rs"]
mod support;

use std::sync::Arc;

use oncegate::gate::{
    client_ip::Networks, dialect::Dialect, form::Form, origin::Origin, page::Page, site::Site,
    token::LinkClaims,
};
use serde_json::json;
use support::{
    altered::Altered,
    gate::{Gate, PANEL, cookie_of},
    http::{Answer, Client},
    link_page::{next, submit, submits_itself},
};

/// Each dialect, and somebody whom its links sign in.
const SIGNED_IN: [(Dialect, &str); 5] = [
    (Dialect::Wisecp, "joe"),
    (Dialect::Activecampaign, "joe"),
    (Dialect::Activeplatform, "owner+plus@example.com"),
    (Dialect::Allclients, "2425/7"),
    (Dialect::Whmcs, "zoë"),
];

/// A gate whose site `panel` takes the links of these dialects. Nobody has to be signed in there:
/// what is not refused is proxied.
struct Front {
    gate: Gate,
    altered: Altered,
}

struct Link {
    token: String,
    /// Path and query of its URL.
    target: String,
}

impl Front {
    async fn open() -> Self {
        Self::of(&Dialect::ALL.map(|(_, dialect)| dialect)).await
    }

    async fn of(dialects: &[Dialect]) -> Self {
        Self::with(|text| text.replace("/assets/**", "/**"), dialects).await
    }

    async fn with(change: impl FnOnce(String) -> String, dialects: &[Dialect]) -> Self {
        let gate = Gate::with(change).await;
        let forms = dialects.iter().map(|dialect| Form::of(*dialect, "en")).collect();
        let altered = Altered::of(&gate, |gate| {
            let panel = gate.config.sites.iter_mut().find(|site| site.name == "panel").unwrap();
            *panel = Arc::new(Site { forms, ..Site::clone(panel) });
        })
        .await;
        Self { gate, altered }
    }

    async fn link(&self, dialect: Dialect, user: &str) -> Link {
        self.link_with(dialect, user, |_| {}).await
    }

    async fn link_with(
        &self,
        dialect: Dialect,
        user: &str,
        change: impl FnOnce(&mut LinkClaims),
    ) -> Link {
        let mut target = String::new();
        let origin = Origin::parse(&format!("https://{PANEL}")).unwrap();
        let link = self
            .gate
            .crafted(|claims| {
                claims.via = Some(dialect.name().to_owned());
                user.clone_into(&mut claims.sub);
                change(claims);
                let url = Form::of(dialect, "en").url(&origin, "TOKEN", claims).unwrap();
                url.strip_prefix(origin.as_str()).unwrap().clone_into(&mut target);
            })
            .await;
        Link { target: target.replace("TOKEN", &link.token), token: link.token }
    }

    /// A program: it gets problems for refusals.
    fn program(&self) -> Client {
        self.altered.public()
    }

    /// A person's browser, opening a page in a tab.
    fn browser(&self) -> Client {
        self.program()
            .header("accept", "text/html,application/xhtml+xml")
            .header("sec-fetch-site", "same-origin")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document")
    }

    /// Posts the form of this page, as a browser would.
    async fn submit(&self, page: &Answer) -> Answer {
        submit(&self.browser(), page).await
    }

    /// The cookie that this link brings to who posts it.
    async fn cookie(&self, link: &Link) -> String {
        let answer = self.browser().post_form(&posts_to(link), &[], &[]).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        cookie_of(&answer)
    }

    async fn code(&self, target: &str) -> (u16, String) {
        let answer = self.program().get(target).await;
        (answer.status, answer.code())
    }

    fn proxied(&self) -> usize {
        self.gate.upstream.seen().len()
    }
}

fn posts_to(link: &Link) -> String {
    format!("/_once/l/{}", link.token)
}

fn location(answer: &Answer) -> Option<&str> {
    answer.header("location")?.strip_prefix("https://panel.example.com")
}

fn invalid() -> (u16, String) {
    (400, "invalid_request".to_owned())
}

#[tokio::test]
async fn each_form_opens_the_page_whose_post_signs_in() {
    let front = Front::open().await;
    for (dialect, user) in SIGNED_IN {
        let link = front.link(dialect, user).await;
        let before = front.gate.remembered();
        for method in ["GET", "HEAD", "GET"] {
            let page = front.browser().request(method, &link.target, &[], b"").await;
            assert_eq!(page.status, 200, "{dialect}: {}", page.text());
            assert_eq!(page.header("cache-control"), Some("no-store"));
            assert_eq!(page.header("referrer-policy"), Some("strict-origin"));
            assert_eq!(page.header("x-robots-tag"), Some("noindex"));
            assert!(page.header_lines("set-cookie").is_empty());
        }
        assert_eq!(front.gate.remembered(), before, "{dialect}");
        let page = front.browser().get(&link.target).await;
        assert!(submits_itself(&page), "{dialect}");
        assert!(page.text().contains(&format!("action=\"{}\"", posts_to(&link))), "{dialect}");
        let answer = front.submit(&page).await;
        assert_eq!((answer.status, location(&answer)), (303, Some("/")), "{dialect}");
        assert_eq!(front.gate.remembered(), before + 1, "{dialect}");
        let cookie = cookie_of(&answer);
        let who = front.program().get_with("/_once/session", &[("cookie", &cookie)]).await;
        assert_eq!(who.json()["user"], user, "{dialect}");
    }
    assert_eq!(front.proxied(), 0);
    front.gate.stop().await;
}

#[tokio::test]
async fn the_destination_in_the_token_is_where_each_form_leads() {
    let front = Front::open().await;
    for (dialect, user) in SIGNED_IN {
        let dst = Some("/clientarea/services?a=1#b".to_owned());
        let link = front.link_with(dialect, user, |claims| claims.dst = dst).await;
        let answer = front.submit(&front.browser().get(&link.target).await).await;
        assert_eq!(location(&answer), Some("/clientarea/services?a=1#b"), "{dialect}");
    }
    front.gate.stop().await;
}

#[tokio::test]
async fn other_methods_on_a_form_are_refused_and_spend_nothing() {
    let front = Front::open().await;
    for (dialect, user) in SIGNED_IN {
        let link = front.link(dialect, user).await;
        let before = front.gate.remembered();
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE"] {
            let answer = front.browser().request(method, &link.target, &[], b"").await;
            assert_eq!(answer.status, 400, "{dialect} {method}");
        }
        assert_eq!(front.gate.remembered(), before, "{dialect}");
        front.cookie(&link).await;
    }
    assert_eq!(front.proxied(), 0);
    front.gate.stop().await;
}

#[tokio::test]
async fn a_form_takes_its_own_dialects_tokens_alone() {
    let front = Front::open().await;
    let mut crossed = 0;
    for (dialect, user) in SIGNED_IN {
        let link = front.link(dialect, user).await;
        let page = Some(Page::None);
        let native = front.gate.crafted(|claims| claims.page = page).await.token;
        let before = front.gate.remembered();
        for (other, name) in SIGNED_IN {
            // Named as that form wants it: the type is all that is wrong.
            let target = front.link(other, name).await.target;
            let (at, last) = target.rsplit_once('=').unwrap();
            assert!(last.contains('.'), "{target}");
            let wrong = format!("{at}={}", if other == dialect { &native } else { &link.token });
            assert_eq!(front.code(&wrong).await, (403, "wrong_type".to_owned()), "{wrong}");
            crossed += 1;
        }
        for wrong in [posts_to(&link), format!("/a?_once={}", link.token)] {
            assert_eq!(front.code(&wrong).await, (403, "wrong_type".to_owned()), "{wrong}");
        }
        assert_eq!(front.gate.remembered(), before, "{dialect}");
        front.cookie(&link).await;
    }
    assert_eq!((crossed, front.proxied()), (25, 0));
    front.gate.stop().await;
}

#[tokio::test]
async fn the_api_redeems_a_link_of_any_dialect() {
    let front = Front::open().await;
    for (dialect, user) in SIGNED_IN {
        let link = front.link(dialect, user).await;
        let redeemed = front.gate.redeem(&link.token).await;
        assert_eq!((redeemed.status, &redeemed.json()["user"]), (200, &json!(user)), "{dialect}");
        assert_eq!(front.code(&link.target).await, (410, "already_used".to_owned()), "{dialect}");
    }
    front.gate.stop().await;
}

#[tokio::test]
async fn the_type_and_who_is_named_are_judged_before_the_time() {
    let front = Front::open().await;
    let link = front.link(Dialect::Allclients, "2425").await;
    front.gate.wait(3_600);
    assert_eq!(front.code(&link.target).await, (410, "expired".to_owned()));
    let renamed = link.target.replace("a=2425", "a=2426");
    assert_eq!(front.code(&renamed).await, (400, "malformed".to_owned()));
    let other = format!("/en/sign-in?sso_token={}", link.token);
    assert_eq!(front.code(&other).await, (403, "wrong_type".to_owned()));
    front.gate.stop().await;
}
