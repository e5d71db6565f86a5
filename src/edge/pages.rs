//! The pages people see.
//!
//! Each stands alone: no outside resource, one inline style and at most one inline script, both
//! under the nonce. All of them work without script. Every value is escaped by the template.

use askama::Template;

use crate::{
    edge::words::{Words, words},
    gate::denial::{Denial, Public},
};

/// The page that a link opens: its form spends the token.
#[derive(Debug, Clone, Copy, Template)]
#[template(path = "link.html", config = "src/edge/pages/askama.toml")]
pub(super) struct LinkPage<'a> {
    /// The authority of the site, as the visitor knows it.
    pub site_host: &'a str,
    /// Whom the link signs in; `confirm` and the question name them.
    pub user: Option<&'a str>,
    /// Somebody else who is signed in now: always asks, naming both.
    pub signed_in_as: Option<&'a str>,
    /// Where the form posts to: `/_once/l/TOKEN`.
    pub action: &'a str,
    /// The page asked for, posted along as `next`.
    pub next: Option<&'a str>,
    /// Where somebody goes who would rather stay signed in as they are.
    pub home: &'a str,
    /// Whether the form submits itself; never while somebody else is signed in.
    pub auto: bool,
    /// The nonce of the page's policy.
    pub nonce: &'a str,
}

/// A refusal, as a person understands it.
#[derive(Debug, Clone, Copy)]
pub(super) struct RefusalPage<'a> {
    /// Why.
    pub denial: &'a Denial,
    /// The site's start page, where there is one worth going to.
    pub site_home: Option<&'a str>,
    /// What to tell the operator; empty: nothing.
    pub request_id: &'a str,
    /// The nonce of the page's policy.
    pub nonce: &'a str,
}

/// The question before the session ends.
#[derive(Debug, Clone, Copy, Template)]
#[template(path = "logout.html", config = "src/edge/pages/askama.toml")]
pub(super) struct LogoutPage<'a> {
    /// The authority of the site.
    pub site_host: &'a str,
    /// Who is signed in, if anybody.
    pub user: Option<&'a str>,
    /// The site's start page.
    pub home: &'a str,
    /// The nonce of the page's policy.
    pub nonce: &'a str,
}

/// What is shown once the session has ended.
#[derive(Debug, Clone, Copy, Template)]
#[template(path = "signed_out.html", config = "src/edge/pages/askama.toml")]
pub(super) struct SignedOutPage<'a> {
    /// The authority of the site.
    pub site_host: &'a str,
    /// The nonce of the page's policy.
    pub nonce: &'a str,
}

/// The operator's view of the gate. No secrets: callers by name, keys by `kid`.
#[derive(Debug, Clone, Copy, Template)]
#[template(path = "status.html", config = "src/edge/pages/askama.toml")]
pub(super) struct StatusPage<'a> {
    /// The gate's name.
    pub gate: &'a str,
    /// The version that runs.
    pub version: &'a str,
    /// When this was written, RFC 3339.
    pub now: &'a str,
    /// The store's state, as a sentence: "ready", or what is wrong.
    pub store_state: &'a str,
    /// The memory id, or why there is none.
    pub mem: &'a str,
    /// Tokens remembered.
    pub entries: u64,
    /// The most that may be remembered.
    pub max_entries: u64,
    /// The horizon, RFC 3339, or "none yet".
    pub horizon: &'a str,
    /// The sites.
    pub sites: &'a [StatusSite<'a>],
    /// The callers' names.
    pub callers: &'a [&'a str],
    /// The signing keys.
    pub keys: &'a [StatusKey<'a>],
    /// The other gates.
    pub peers: &'a [StatusPeer<'a>],
    /// The nonce of the page's policy.
    pub nonce: &'a str,
}

/// A line of the status page.
#[derive(Debug, Clone, Copy)]
pub(super) struct StatusSite<'a> {
    /// The site's name.
    pub name: &'a str,
    /// Its origin.
    pub origin: &'a str,
    /// The authority of its upstream.
    pub upstream: Option<&'a str>,
}

/// A line of the status page.
#[derive(Debug, Clone, Copy)]
pub(super) struct StatusKey<'a> {
    /// The RFC 7638 thumbprint.
    pub kid: &'a str,
    /// "current", "next" or "previous".
    pub role: &'a str,
}

/// A line of the status page.
#[derive(Debug, Clone, Copy)]
pub(super) struct StatusPeer<'a> {
    /// Another gate's name.
    pub name: &'a str,
    /// Why it does not answer, if so.
    pub silence: Option<&'a str>,
}

/// The page that a link opens, as HTML.
pub(super) fn link_page(page: &LinkPage<'_>) -> String {
    rendered(page)
}

/// A refusal, as HTML.
pub(super) fn refusal_page(page: &RefusalPage<'_>) -> String {
    rendered(&Refusal {
        public: page.denial.public(),
        words: words(page.denial),
        site_home: page.site_home,
        request_id: page.request_id,
        nonce: page.nonce,
    })
}

/// The question before the session ends, as HTML.
pub(super) fn logout_page(page: &LogoutPage<'_>) -> String {
    rendered(page)
}

/// What is shown once the session has ended, as HTML.
pub(super) fn signed_out_page(page: &SignedOutPage<'_>) -> String {
    rendered(page)
}

/// The operator's view, as HTML.
pub(super) fn status_page(page: &StatusPage<'_>) -> String {
    rendered(page)
}

impl LinkPage<'_> {
    fn submits_itself(&self) -> bool {
        self.auto && self.signed_in_as.is_none()
    }
}

#[derive(Template)]
#[template(path = "refusal.html", config = "src/edge/pages/askama.toml")]
struct Refusal<'a> {
    public: Public,
    words: Words,
    site_home: Option<&'a str>,
    request_id: &'a str,
    nonce: &'a str,
}

fn rendered(page: &impl Template) -> String {
    // Writing to a string does not fail, and nothing in the templates does.
    page.render().unwrap_or_else(|_| {
        "<!doctype html><title>Oncegate</title><p>Something went wrong here.".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKUP: &str = "</title><script>alert('1')</script>\"><img src=x onerror=alert(1)> &amp;";

    fn link<'a>() -> LinkPage<'a> {
        LinkPage {
            site_host: "panel.example.com",
            user: Some("joe"),
            signed_in_as: None,
            action: "/_once/l/e30.e30.AA",
            next: None,
            home: "/",
            auto: true,
            nonce: "bm9uY2U",
        }
    }

    fn status(text: &str) -> String {
        status_page(&StatusPage {
            gate: text,
            version: text,
            now: text,
            store_state: text,
            mem: text,
            entries: 1,
            max_entries: 2,
            horizon: text,
            sites: &[StatusSite { name: text, origin: text, upstream: Some(text) }],
            callers: &[text, text],
            keys: &[StatusKey { kid: text, role: text }],
            peers: &[StatusPeer { name: text, silence: Some(text) }],
            nonce: "bm9uY2U",
        })
    }

    fn every_page(text: &str) -> Vec<String> {
        let some = Some(text);
        let filled = LinkPage {
            site_host: text,
            user: some,
            action: text,
            next: some,
            home: text,
            ..link()
        };
        let denial = Denial::Internal(text.to_owned());
        vec![
            link_page(&filled),
            link_page(&LinkPage { auto: false, ..filled }),
            link_page(&LinkPage { signed_in_as: some, ..filled }),
            refusal_page(&RefusalPage {
                denial: &denial,
                site_home: some,
                request_id: text,
                nonce: "bm9uY2U",
            }),
            logout_page(&LogoutPage { site_host: text, user: some, home: text, nonce: "bm9uY2U" }),
            signed_out_page(&SignedOutPage { site_host: text, nonce: "bm9uY2U" }),
            status(text),
        ]
    }

    #[test]
    fn markup_in_any_value_stays_text() {
        for page in every_page(MARKUP) {
            assert!(!page.contains("<img") && !page.contains("alert('1')"), "{page}");
            let scripts = page.matches("<script").count();
            assert_eq!(page.matches("<script nonce=\"bm9uY2U\">").count(), scripts, "{page}");
            assert!(page.contains("&#60;img src=x onerror=alert(1)&#62;"), "{page}");
        }
    }

    #[test]
    fn every_page_stands_alone_and_says_what_it_is() {
        for page in every_page("panel.example.com") {
            assert!(page.starts_with("<!doctype html>\n<html lang=\"en\">"), "{page}");
            for part in [
                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">",
                "<meta name=\"robots\" content=\"noindex\">",
                "<link rel=\"icon\" href=\"data:,\">",
                "prefers-color-scheme: dark",
            ] {
                assert!(page.contains(part), "{part} in {page}");
            }
            let main = page.contains("<main>") || page.contains("<main class=\"wide\">");
            assert!(main, "{page}");
            for one in ["<h1>", "</h1>", "<main", "<title>"] {
                assert_eq!(page.matches(one).count(), 1, "{one} in {page}");
            }
            for outside in ["http:", "//panel", "url(", "@import", "style=", "onclick", " src="] {
                assert!(!page.contains(outside), "{outside} in {page}");
            }
            let styles = page.matches("<style").count();
            assert_eq!(page.matches("<style nonce=\"bm9uY2U\">").count(), styles);
        }
    }

    #[test]
    fn auto_submits_itself_and_has_a_button_without_script() {
        let page = link_page(&link());
        assert!(page.contains("button.click()"));
        assert!(page.contains("<form id=\"enter\" method=\"post\" action=\"/_once/l/e30.e30.AA\""));
        assert!(page.contains("<button type=\"submit\">Continue</button>"));
        assert!(page.contains("<noscript>") && !page.contains("name=\"next\""));
    }

    #[test]
    fn confirm_names_the_user_and_waits_for_the_click() {
        let page = link_page(&LinkPage { auto: false, next: Some("/a?b=1&c=2"), ..link() });
        assert!(page.contains("<bdi>joe</bdi>") && !page.contains("button.click()"));
        assert!(page.contains("<h1>Sign in to panel.example.com</h1>"));
        assert!(page.contains("name=\"next\" value=\"/a?b=1&#38;c=2\""));
    }

    #[test]
    fn somebody_else_is_always_asked_and_both_are_named() {
        let page = link_page(&LinkPage { signed_in_as: Some("ann"), auto: true, ..link() });
        assert!(!page.contains("button.click()"));
        assert!(page.contains(">Sign in as <bdi>joe</bdi></button>"));
        assert!(page.contains("href=\"/\">Stay signed in as <bdi>ann</bdi></a>"));
    }

    #[test]
    fn a_refusal_tells_a_stranger_nothing_of_the_inside() {
        let denial = Denial::BadGateway("10.0.0.7:3000: connection refused".to_owned());
        let page = refusal_page(&RefusalPage {
            denial: &denial,
            site_home: None,
            request_id: "r-1",
            nonce: "bm9uY2U",
        });
        assert!(page.contains("bad_gateway") && page.contains("r-1"));
        assert!(!page.contains("10.0.0.7") && !page.contains("refused"));
    }
}
