//! The request that a load balancer asks about, as the visitor made it.
//!
//! Read once, by what reads a visitor's own request: an authority is a site's or nobody's, and
//! path and query stay byte for byte what they are. What is judged here is what is served there.

use std::sync::Arc;

use http::Method;

use crate::gate::{
    denial::Denial,
    path,
    site::{Site, Visited},
};

/// A visitor's request, as a load balancer tells of it.
#[derive(Debug, Clone)]
pub struct Original<'r> {
    /// Its method.
    pub method: Method,
    /// The site it is for, and where that is visited.
    pub at: Visited,
    /// The path, as the visitor sent it.
    pub path: &'r str,
    /// The query, as the visitor sent it.
    pub query: Option<&'r str>,
    /// Path and query, as the visitor sent them.
    pub target: &'r str,
}

impl<'r> Original<'r> {
    /// Reads a request told as method and whole URL, `https://panel.example.com/a?b`.
    ///
    /// # Errors
    /// As [`Original::of_parts`].
    pub fn of_url(sites: &[Arc<Site>], method: &str, url: &'r str) -> Result<Self, Denial> {
        let (scheme, rest) =
            url.split_once("://").ok_or_else(|| unreadable("the URL has no scheme"))?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(end).unwrap_or((rest, ""));
        Self::of_parts(sites, method, scheme, authority, target)
    }

    /// Reads a request told in parts: method, scheme, authority, and path with query.
    ///
    /// # Errors
    /// [`Denial::WrongSite`] where scheme and authority together are no site's origin: a page of
    /// an `https` site is never asked for by `http`, nor the other way round.
    /// [`Denial::Unreadable`] for a method or a target that is none.
    pub fn of_parts(
        sites: &[Arc<Site>],
        method: &str,
        scheme: &str,
        authority: &str,
        target: &'r str,
    ) -> Result<Self, Denial> {
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|_| unreadable("the request's method is none"))?;
        let (path, query) = path::of_target(target).map_err(unreadable)?;
        let at = Visited::find(sites, authority)
            .filter(|at| is_secure(scheme) == Some(at.origin.is_secure()))
            .ok_or_else(|| Denial::WrongSite(format!("{scheme}://{authority}")))?;
        Ok(Self { method, at, path, query, target })
    }

    /// Whether it asks to see something, rather than to change it.
    pub fn looks(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }
}

/// Whether a scheme is TLS; none for one that no site has. Traefik says `wss` and `ws` of a
/// WebSocket's handshake, whose origin is that of the page.
fn is_secure(scheme: &str) -> Option<bool> {
    match scheme {
        "https" | "wss" => Some(true),
        "http" | "ws" => Some(false),
        _ => None,
    }
}

fn unreadable(why: &str) -> Denial {
    Denial::Unreadable(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::{host::HostPattern, origin::Origin};

    fn sites() -> Vec<Arc<Site>> {
        let hosts = vec![HostPattern::parse("*.customers.example.com", "https").unwrap()];
        let local = Origin::parse("http://127.0.0.1:3000").unwrap();
        vec![
            Arc::new(Site { hosts, ..Site::of_the_tests() }),
            Arc::new(Site { name: "local".to_owned(), origin: local, ..Site::of_the_tests() }),
        ]
    }

    fn code(read: Result<Original<'_>, Denial>) -> &'static str {
        read.map_or_else(|denial| denial.public().code, |_| "read")
    }

    #[test]
    fn a_url_is_read_into_the_bytes_that_the_visitor_sent() {
        for (url, origin, path, query) in [
            ("https://panel.example.com/", "https://panel.example.com", "/", None),
            (
                "https://PANEL.example.com:443/a%2Fb?",
                "https://panel.example.com",
                "/a%2Fb",
                Some(""),
            ),
            (
                "https://panel.example.com//a?b=//c?d",
                "https://panel.example.com",
                "//a",
                Some("b=//c?d"),
            ),
            (
                "https://a.customers.example.com/%2e",
                "https://a.customers.example.com",
                "/%2e",
                None,
            ),
            ("http://127.0.0.1:3000/x@y", "http://127.0.0.1:3000", "/x@y", None),
        ] {
            let read = Original::of_url(&sites(), "POST", url).unwrap();
            assert_eq!(read.at.origin.as_str(), origin, "{url}");
            assert_eq!((read.path, read.query), (path, query), "{url}");
            assert!(url.ends_with(read.target) && read.target.starts_with(path), "{url}");
            assert_eq!(read.method, Method::POST);
        }
    }

    #[test]
    fn what_is_no_url_of_a_site_is_named_and_refused() {
        for (url, expected) in [
            ("", "invalid_request"),
            ("/admin", "invalid_request"),
            ("//panel.example.com/", "invalid_request"),
            ("https:/panel.example.com/", "invalid_request"),
            ("https://panel.example.com", "invalid_request"),
            ("https://panel.example.com?a", "invalid_request"),
            ("https://panel.example.com/a#b", "invalid_request"),
            ("https://panel.example.com/a b", "invalid_request"),
            ("https://panel.example.com/a\\b", "invalid_request"),
            ("https://panel.example.com/a%00", "invalid_request"),
            ("https://panel.example.com/\u{e9}", "invalid_request"),
            ("http://panel.example.com/", "wrong_site"),
            ("HTTPS://panel.example.com/", "wrong_site"),
            ("ftp://panel.example.com/", "wrong_site"),
            ("https://127.0.0.1:3000/", "wrong_site"),
            ("https://panel.example.com:80/", "wrong_site"),
            ("https://panel.example.com./", "wrong_site"),
            ("https://panel.example.com.evil.org/", "wrong_site"),
            ("https://panel.example.com@evil.org/", "wrong_site"),
            ("https://a@panel.example.com/", "wrong_site"),
            ("https://evil.org\\@panel.example.com/", "wrong_site"),
            ("https://panel.example.com,evil.org/", "wrong_site"),
            ("https:///panel.example.com/", "wrong_site"),
            ("https://a.b.customers.example.com/", "wrong_site"),
            ("https://*.customers.example.com/", "wrong_site"),
        ] {
            assert_eq!(code(Original::of_url(&sites(), "GET", url)), expected, "{url}");
        }
        for method in ["", "GET /", "G\u{c9}T"] {
            let read = Original::of_url(&sites(), method, "https://panel.example.com/");
            assert_eq!(code(read), "invalid_request", "{method}");
        }
    }

    #[test]
    fn a_websocket_is_of_the_page_that_opens_it() {
        for (scheme, expected) in [("wss", "read"), ("ws", "wrong_site"), ("", "wrong_site")] {
            let read = Original::of_parts(&sites(), "GET", scheme, "panel.example.com", "/live");
            assert_eq!(code(read), expected, "{scheme}");
        }
    }
}
