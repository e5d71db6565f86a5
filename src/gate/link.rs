//! What holds for every link of a gate, and the URL that carries a token.

use crate::gate::{caller::Page, denial::Denial, origin::Origin, path};

/// The path under which the gate takes a token.
pub const PATH: &str = "/_once/l/";

/// The query parameter that carries a token on any page of a site.
pub const PARAMETER: &str = "_once";

/// The longest URL, in characters: what every browser, mail program and proxy still carries.
const MAX_URL: usize = 2_000;

/// Whether a path is one of the gate's own to anybody: as it stands, or in its most generous
/// reading. Nothing of the kind is proxied, and no destination leads there.
pub fn is_gates_own(path: &str) -> bool {
    let first_is_ours = |path: &str| {
        path.split('/').nth(1).is_some_and(|first| first.eq_ignore_ascii_case("_once"))
    };
    // `/_once/../x` is another path to some, and the gate's to all others.
    first_is_ours(path) || first_is_ours(&path::decoded_path(path))
}

/// Whether anybody could read a token's parameter in this query: `;` separates for some, some
/// decode twice, some take other characters for `_`.
pub fn may_carry_token(query: &str) -> bool {
    query.split(['&', ';']).any(|pair| {
        let name = path::decoded(pair.split('=').next().unwrap_or_default());
        // As PHP reads names: without leading blanks, up to a NUL, an array's without its index.
        let name = name.split('\0').next().unwrap_or_default().trim_start_matches([' ', '+']);
        let name = match name.find('[') {
            Some(index) if index > 0 => name.get(..index).unwrap_or_default(),
            _ => name,
        };
        name.replace(['.', ' ', '+', '['], "_") == PARAMETER
    })
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
    let url = [origin.as_str(), PATH, token].concat();
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
