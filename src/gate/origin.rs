//! An origin: scheme, host and port, spelled in exactly one way.
//!
//! What a browser would normalise is normalised once, here, when the configuration is read:
//! afterwards origins are equal exactly when their texts are.

use std::{fmt, net::IpAddr, sync::Arc};

use url::{Host, Position, Url};

/// `http` or `https`, a host, and the port where it is not the scheme's own.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Lower case, host as browsers write it, no default port, no trailing slash. Shared: each
    /// request has one.
    text: Arc<str>,
    /// Where the authority begins in `text`.
    authority: usize,
    /// Where the port's `:` stands in `text`, or its end.
    port: usize,
    loopback: bool,
}

/// A text that is not an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an origin: {why}")]
pub struct NotAnOrigin {
    /// The text as written.
    pub text: String,
    /// What is wrong with it, and what is expected.
    pub why: &'static str,
}

impl Origin {
    /// Reads an origin such as `https://panel.example.com` or `http://127.0.0.1:8080`.
    ///
    /// The host is normalised as browsers do (WHATWG URL): lower case, punycode, shortest IPv6.
    /// A lone `/` behind it is taken.
    ///
    /// # Errors
    /// Another scheme, user information, a path, a query, a fragment, a dot after the host.
    pub fn parse(text: &str) -> Result<Self, NotAnOrigin> {
        Self::read(text).map_err(|why| NotAnOrigin { text: text.to_owned(), why })
    }

    fn read(text: &str) -> Result<Self, &'static str> {
        // The parser repairs these silently; in a configuration they are mistakes.
        if text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\') {
            return Err("it holds white space, a control character or a backslash");
        }
        let (scheme, rest) = text.split_once("://").ok_or("write https://HOST")?;
        if !scheme.eq_ignore_ascii_case("https") && !scheme.eq_ignore_ascii_case("http") {
            return Err("its scheme must be https or http");
        }
        if rest.contains('@') {
            return Err("it must not hold user information");
        }
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err("nothing may follow the host and port: no path, query or fragment");
        }
        if authority.is_empty() || authority.ends_with(':') {
            return Err("write https://HOST or https://HOST:PORT");
        }
        let url = Url::parse(text).map_err(|_| "its host or port is not valid")?;
        // `*` and the like are letters to the parser; whoever writes one expects more of it.
        if let Some(Host::Domain(name)) = url.host()
            && !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
        {
            return Err(
                "a host is made of letters, digits, dots and hyphens; there are no wildcards",
            );
        }
        Self::of(&url).ok_or("its host is not valid, or ends in a dot")
    }

    /// The origin of a parsed URL, whatever else the URL says; none for other schemes than
    /// `http` and `https`, and none for a host that ends in a dot.
    pub(crate) fn of(url: &Url) -> Option<Self> {
        if !matches!(url.scheme(), "https" | "http") {
            return None;
        }
        let host = url.host()?;
        let name = host.to_string();
        // `panel.example.com.` is another origin to browsers and the same host to DNS.
        if name.is_empty() || name.ends_with('.') {
            return None;
        }
        let loopback = match host {
            Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => IpAddr::V6(address).to_canonical().is_loopback(),
        };
        let mut text = format!("{}://", url.scheme());
        let authority = text.len();
        text.push_str(&name);
        let port = text.len();
        if let Some(number) = url.port() {
            text.push(':');
            text.push_str(&number.to_string());
        }
        Some(Self { text: text.into(), authority, port, loopback })
    }

    /// The origin one label further down: of `example.com` and `a`, `a.example.com`.
    ///
    /// None where that is no host.
    pub(in crate::gate) fn with_label(&self, label: &str) -> Option<Self> {
        let (scheme, authority) = self.text.split_at_checked(self.authority)?;
        // Of these the parser changes nothing but the case; each request is for one of them. Which
        // labels may stand beside one that is written from right to left is for the parser to say.
        let encoded = label.get(..4).is_some_and(|begin| begin.eq_ignore_ascii_case("xn--"))
            || authority.contains("xn--");
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if !label.is_empty() && !encoded && !self.is_address() && label.bytes().all(plain) {
            let text = [scheme, &label.to_ascii_lowercase(), ".", authority].concat().into();
            return Some(Self { text, port: self.port + label.len() + 1, ..*self });
        }
        let origin = Self::parse(&format!("{scheme}{label}.{authority}")).ok()?;
        // What the parser would write otherwise is not what was asked for.
        let same = origin.authority().strip_suffix(authority).and_then(|own| own.strip_suffix('.'));
        same.is_some_and(|own| own.eq_ignore_ascii_case(label)).then_some(origin)
    }

    /// Whether the host is an address rather than a name.
    pub fn is_address(&self) -> bool {
        let host = self.host();
        host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok()
    }

    /// Whether this is the origin of a parsed URL.
    pub(crate) fn is_of(&self, url: &Url) -> bool {
        // As it is written, where it names nobody: that is what the text of an origin is.
        url[..Position::BeforePath] == *self.text
            || Self::of(url).is_some_and(|other| other == *self)
    }

    /// As text, without a trailing slash: `https://panel.example.com`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the scheme is `https`.
    pub fn is_secure(&self) -> bool {
        self.text.starts_with("https:")
    }

    /// Host, and port where it is not the scheme's own: `panel.example.com`, `[::1]:8080`.
    pub fn authority(&self) -> &str {
        self.text.get(self.authority..).unwrap_or_default()
    }

    /// The host alone, an IPv6 address in its brackets.
    pub fn host(&self) -> &str {
        self.text.get(self.authority..self.port).unwrap_or_default()
    }

    /// Whether the host is this machine: `localhost`, a name below it, 127/8, `[::1]`.
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// Whether a `Host` header or `:authority` as received names this origin.
    ///
    /// ASCII case does not count, and the scheme's own port may be written. Nothing else is
    /// forgiven: no trailing dot, no user information, no other spelling of an address or port.
    pub fn matches_authority(&self, authority: &str) -> bool {
        if authority.eq_ignore_ascii_case(self.authority()) {
            return true;
        }
        let own = if self.is_secure() { ":443" } else { ":80" };
        // With another port in `text`, `host:443` cannot equal what is left of it.
        self.port == self.text.len()
            && authority
                .strip_suffix(own)
                .is_some_and(|host| host.eq_ignore_ascii_case(self.host()))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_one_spelling() {
        for (text, expected) in [
            ("https://panel.example.com", "https://panel.example.com"),
            ("https://panel.example.com/", "https://panel.example.com"),
            ("HTTPS://Panel.Example.COM:443", "https://panel.example.com"),
            ("http://localhost:80", "http://localhost"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
            ("https://[2001:DB8:0::1]:8443/", "https://[2001:db8::1]:8443"),
        ] {
            let origin = Origin::parse(text).unwrap();
            assert_eq!(origin.as_str(), expected);
            assert_eq!(Origin::parse(expected).unwrap(), origin);
        }
    }

    #[test]
    fn what_is_more_or_less_than_an_origin_is_refused() {
        for text in [
            "",
            "panel.example.com",
            "panel.example.com:443",
            "//panel.example.com",
            "https:panel.example.com",
            "https:/panel.example.com",
            "https://",
            "https:///panel.example.com",
            "https://panel.example.com/x",
            "https://panel.example.com//",
            "https://panel.example.com?",
            "https://panel.example.com#",
            "https://panel.example.com.",
            "https://panel.example.com:",
            "https://panel.example.com:70000",
            "https://user@panel.example.com",
            "https://@panel.example.com",
            "https:\\\\panel.example.com",
            " https://panel.example.com",
            "https://panel.exa\tmple.com",
            "https://panel example.com",
            "https://[::1",
            "https://*.example.com",
            "https://panel.example.com,evil.example",
            "ftp://panel.example.com",
            "javascript://panel.example.com",
        ] {
            assert!(Origin::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_label_makes_the_origin_that_the_parser_would_read() {
        for text in [
            "https://example.com",
            "http://localhost:8080",
            "https://[::1]",
            "http://x.1a",
            "https://xn--4dbrk0ce.example",
        ] {
            let origin = Origin::parse(text).unwrap();
            for label in [
                "a",
                "A-1_b",
                "0",
                "0a",
                "a-",
                "-",
                "xn--bcher-kva",
                "XN--a",
                "",
                "a.b",
                "*",
                "\u{fc}",
            ] {
                let (scheme, authority) = text.split_once("://").unwrap();
                let parsed = Origin::parse(&format!("{scheme}://{label}.{authority}")).ok();
                let same = parsed.filter(|parsed| {
                    let written = format!("{label}.{authority}");
                    parsed.authority().eq_ignore_ascii_case(&written)
                });
                let made = origin.with_label(label);
                assert_eq!(made, same, "{label:?} {text}");
                let parts = |origin: &Origin| (origin.host().to_owned(), origin.is_loopback());
                assert_eq!(made.as_ref().map(parts), same.as_ref().map(parts));
            }
        }
    }

    #[test]
    fn its_parts_can_be_asked_for() {
        let origin = Origin::parse("http://[::1]:8080").unwrap();
        assert_eq!(
            (origin.authority(), origin.host(), origin.is_secure(), origin.is_loopback()),
            ("[::1]:8080", "[::1]", false, true)
        );
        let origin = Origin::parse("https://panel.example.com").unwrap();
        assert_eq!(
            (origin.authority(), origin.host(), origin.is_secure(), origin.is_loopback()),
            ("panel.example.com", "panel.example.com", true, false)
        );
        for here in ["http://localhost", "http://a.localhost", "http://127.9.9.9"] {
            assert!(Origin::parse(here).unwrap().is_loopback(), "{here}");
        }
        assert!(!Origin::parse("http://localhost.example.com").unwrap().is_loopback());
    }

    #[test]
    fn a_host_header_is_matched_without_case_and_with_the_schemes_own_port_only() {
        let plain = Origin::parse("https://panel.example.com").unwrap();
        for good in ["panel.example.com", "PANEL.example.com", "panel.example.com:443"] {
            assert!(plain.matches_authority(good), "{good}");
        }
        for other in [
            "",
            "panel.example.com.",
            "panel.example.com:80",
            "panel.example.com:0443",
            "panel.example.com:",
            "panel.example.com:443:443",
            "x@panel.example.com",
            "panel.example.com.evil.org",
            "evil.panel.example.com",
            "panel.example.com ",
            "panel.example.com,evil.org",
        ] {
            assert!(!plain.matches_authority(other), "{other:?}");
        }
        let port = Origin::parse("http://[::1]:8080").unwrap();
        assert!(port.matches_authority("[::1]:8080"));
        for other in ["[::1]", "[::1]:80", "::1:8080", "[::1]:8080:80", "[0:0::1]:8080"] {
            assert!(!port.matches_authority(other), "{other:?}");
        }
        let http = Origin::parse("http://localhost").unwrap();
        assert!(http.matches_authority("localhost:80") && !http.matches_authority("localhost:443"));
    }
}
