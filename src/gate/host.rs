//! A further host of a site: written out, or all those directly below a name.

use std::fmt;

use crate::gate::origin::Origin;

/// `panel.example.org`, `*.customers.example.com`; with a port where it is not the scheme's own.
///
/// `*` stands for exactly one label, as in certificates (RFC 6125, 6.4.3): for no name at all,
/// or for several, it never does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern {
    /// The host, or what stands behind `*.`; with the site's scheme.
    below: Origin,
    wildcard: bool,
}

impl HostPattern {
    /// Reads a host of a site that is served under `scheme`, `https` or `http`.
    ///
    /// # Errors
    /// What is wrong with it, as [`Origin::parse`] says.
    pub fn parse(text: &str, scheme: &str) -> Result<Self, &'static str> {
        let (wildcard, host) = text.strip_prefix("*.").map_or((false, text), |below| (true, below));
        if host.contains('/') {
            return Err("write a host alone, without scheme and path");
        }
        let below = Origin::parse(&format!("{scheme}://{host}")).map_err(|error| error.why)?;
        if wildcard && !below.host().contains('.') && !below.is_loopback() {
            return Err("it would take a whole top-level domain");
        }
        if wildcard && below.is_address() {
            return Err("there is nothing below an address");
        }
        Ok(Self { below, wildcard })
    }

    /// Whether it stands for more than one host.
    pub fn is_wildcard(&self) -> bool {
        self.wildcard
    }

    /// Whether it is this machine, or below its name.
    pub fn is_loopback(&self) -> bool {
        self.below.is_loopback()
    }

    /// The origin that an authority as received names, where this is its host.
    pub fn origin_of(&self, authority: &str) -> Option<Origin> {
        if !self.wildcard {
            return self.below.matches_authority(authority).then(|| self.below.clone());
        }
        let (label, rest) = authority.split_once('.')?;
        // As the parser of origins takes it, and no other spelling of it.
        let plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if label.is_empty() || !plain || !self.below.matches_authority(rest) {
            return None;
        }
        self.below.with_label(label)
    }

    /// Whether an origin is one of its hosts.
    pub(in crate::gate) fn covers(&self, origin: &Origin) -> bool {
        self.origin_of(origin.authority()).is_some_and(|own| own == *origin)
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.wildcard { "*." } else { "" }, self.below.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_one_label_in_any_case() {
        let pattern = HostPattern::parse("*.Customers.example.com", "https").unwrap();
        assert_eq!(pattern.to_string(), "*.customers.example.com");
        for (authority, origin) in [
            ("a.customers.example.com", "https://a.customers.example.com"),
            ("A-1_b.CUSTOMERS.example.com", "https://a-1_b.customers.example.com"),
            ("a.customers.example.com:443", "https://a.customers.example.com"),
        ] {
            assert_eq!(pattern.origin_of(authority).unwrap().as_str(), origin);
        }
        for other in [
            "customers.example.com",
            ".customers.example.com",
            "a.b.customers.example.com",
            "*.customers.example.com",
            "a.customers.example.com.",
            "a.customers.example.com:80",
            "a%2e.customers.example.com",
            "a@b.customers.example.com",
            "a.customers.example.com.evil.org",
            "acustomers.example.com",
            "xn--a.customers.example.com.",
        ] {
            assert_eq!(pattern.origin_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_host_written_out_is_itself_alone() {
        let pattern = HostPattern::parse("panel.localhost:8080", "http").unwrap();
        let origin = pattern.origin_of("PANEL.localhost:8080").unwrap();
        assert_eq!(origin.as_str(), "http://panel.localhost:8080");
        for other in ["panel.localhost", "a.panel.localhost:8080", "localhost:8080"] {
            assert_eq!(pattern.origin_of(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "",
            "*",
            "*.",
            "*.com",
            "a.*.example.com",
            "**.example.com",
            "https://a.example.com",
            "a.example.com/x",
            "*.127.0.0.1",
            "*.[::1]",
            "a.example.com.",
            "*example.com",
        ] {
            assert!(HostPattern::parse(text, "https").is_err(), "{text:?}");
        }
    }
}
