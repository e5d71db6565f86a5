//! `[session]`: the sealed cookie that a redemption sets.

use crate::{
    config::{raw::quoted, reader::Section, units},
    gate::site::Site,
};

/// The sealed cookie that a redemption sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRules {
    /// How long a session lasts, in seconds.
    pub ttl: u64,
    /// How long it lasts unused, in seconds; only where the gate can renew the cookie.
    pub idle: Option<u64>,
    /// The cookie's name on an https origin; [`SessionRules::cookie_for`] knows it on any.
    pub cookie: String,
}

/// Prefixes that browsers accept with `Secure` alone (RFC 6265bis, 4.1.3).
const SECURE_PREFIXES: [&str; 2] = ["__Host-", "__Secure-"];
/// No session lasts longer than this, in seconds.
pub const LONGEST: u64 = 30 * 24 * 3600;

impl SessionRules {
    /// The cookie's name on this site: on an http origin (loopback) without a prefix that only
    /// a `Secure` cookie may bear.
    pub fn cookie_for(&self, site: &Site) -> &str {
        if site.origin.is_secure() { &self.cookie } else { plain(&self.cookie) }
    }
}

/// Reads `[session]`.
pub(super) fn read(mut section: Section<'_>) -> SessionRules {
    let cookie = |node: &_| {
        let name = units::text(node)?;
        if plain(&name).is_empty() || !name.bytes().all(is_token_char) {
            let shown = quoted(&name);
            return Err(format!("{shown} is not a cookie's name; write \"__Host-oncegate\""));
        }
        Ok(name)
    };
    let rules = SessionRules {
        ttl: section.read_or("ttl", units::seconds, 8 * 3600),
        idle: section.read("idle", units::seconds),
        cookie: section.read_or("cookie", cookie, "__Host-oncegate".to_owned()),
    };
    if rules.ttl > LONGEST {
        section.fault("ttl", "is longer than 30 days; write \"30d\" or less");
    }
    if rules.idle.is_some_and(|idle| idle >= rules.ttl) {
        section.fault("idle", "is not shorter than session.ttl; write less, or remove it");
    }
    section.done();
    rules
}

// Browsers compare the prefixes without regard to case.
fn plain(cookie: &str) -> &str {
    let without = |prefix: &&str| {
        let (start, rest) = cookie.split_at_checked(prefix.len())?;
        start.eq_ignore_ascii_case(prefix).then_some(rest)
    };
    SECURE_PREFIXES.iter().find_map(without).unwrap_or(cookie)
}

/// A `token` character (RFC 9110, 5.6.2).
fn is_token_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
