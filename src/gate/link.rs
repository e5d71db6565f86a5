//! What holds for every link of a gate, and the URL that carries a token.

use crate::gate::{denial::Denial, origin::Origin, page::Page, path, token};

/// The path under which the gate takes a token.
pub const PATH: &str = "/_once/l/";

/// Where a page is opened for the link in its URL alone: before any path of the site, whose
/// query follows. Load balancers that ask send a visitor with a link there.
const OPEN: &str = "/_once/open";

/// The query parameter that carries a token on any page of a site.
pub const PARAMETER: &str = "_once";

/// The longest URL, in characters: what every browser, mail program and proxy still carries.
const MAX_URL: usize = 2_000;

/// Whether a path is one of the gate's own to anybody: as it stands, or in its most generous
/// reading. Nothing of the kind is proxied, and no destination leads there.
pub fn is_gates_own(path: &str) -> bool {
    const OURS: &str = "_once";
    let first_is_ours =
        |path: &str| path.split('/').nth(1).is_some_and(|first| first.eq_ignore_ascii_case(OURS));
    // Where it stands nowhere, no reading finds it.
    let may_be = |path: &str| {
        let mut parts = path.as_bytes().windows(OURS.len());
        path.contains('%') || parts.any(|part| part.eq_ignore_ascii_case(OURS.as_bytes()))
    };
    if !may_be(path) {
        return false;
    }
    // `/_once/../x` is another path to some, and the gate's to all others.
    first_is_ours(path) || !path::is_plain(path) && first_is_ours(&path::decoded_path(path))
}

/// The URL at which the gate itself opens the link in a page's URL: `target` is the page's path
/// and query, as the visitor sent them.
pub fn open_url(origin: &Origin, target: &str) -> String {
    [origin.as_str(), OPEN, target].concat()
}

/// The path of the page whose link is opened at `path`, if one is there.
pub fn opened_at(path: &str) -> Option<&str> {
    path.strip_prefix(OPEN).filter(|page| page.starts_with('/'))
}

/// Whether anybody could read a native token's parameter in this query.
pub fn may_carry_token(query: &str) -> bool {
    may_name(query, |name| name == PARAMETER)
}

/// Whether anybody could read a parameter in this query whose name `is_meant`: `;` separates for
/// some, some decode twice, some take other characters for `_`.
pub(in crate::gate) fn may_name(query: &str, is_meant: impl Fn(&str) -> bool) -> bool {
    query.split(['&', ';']).any(|pair| {
        let name = path::decoded(pair.split('=').next().unwrap_or_default());
        // As PHP reads names: without leading blanks, up to a NUL, an array's without its index,
        // and with `_` for the bracket of one that is never closed.
        let name = name.split('\0').next().unwrap_or_default().trim_start_matches([' ', '+']);
        let array = name.split('[').next().unwrap_or_default();
        [array, name].into_iter().any(|name| {
            const FOLDED: [char; 4] = ['.', ' ', '+', '['];
            if name.contains(FOLDED) {
                is_meant(&name.replace(FOLDED, "_"))
            } else {
                is_meant(name)
            }
        })
    })
}

/// Whether a text holds a link's token, wherever and under whatever name: by how every token of a
/// link begins, percent-encoded or not.
pub fn holds_token(text: &str) -> bool {
    path::decoded(text).contains(token::LINK_BEGINS)
}

/// `[links]` of the configuration.
#[derive(Debug, Clone)]
pub struct LinkRules {
    /// Lifetime where a request names none, in seconds.
    pub ttl: u64,
    /// The longest lifetime, in seconds; judged again at redemption.
    pub max_ttl: u64,
    /// What a link's page does where nobody says otherwise.
    pub page: Page,
    /// Whether links are bound to the visitor's address.
    pub bind_ip: BindIp,
    /// The width to which an IPv4 address without one is bound.
    pub ipv4_prefix: u8,
    /// The width to which an IPv6 address without one is bound.
    pub ipv6_prefix: u8,
}

/// Whether links are bound to the visitor's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindIp {
    /// Never: a request that names one is refused.
    Off,
    /// Where the request names one.
    Optional,
    /// Always: a request that names none is refused.
    Required,
}

/// The URL that carries `token` to the site with this origin.
///
/// # Errors
/// [`Denial::Invalid`] past 2,000 characters: claims and destination are what can be shortened.
pub fn url(origin: &Origin, token: &str) -> Result<String, Denial> {
    bounded([origin.as_str(), PATH, token].concat())
}

/// A link, if it is no longer than what passes everywhere.
///
/// # Errors
/// [`Denial::Invalid`] past 2,000 characters: claims and destination are what can be shortened.
pub(in crate::gate) fn bounded(url: String) -> Result<String, Denial> {
    if url.len() > MAX_URL {
        let why = format!(
            "the link would have {} characters, at most {MAX_URL} pass everywhere; shorten claims, \
             destination or user",
            url.len()
        );
        return Err(Denial::invalid("claims", why));
    }
    Ok(url)
}
