//! Where a link leads: a named destination, a path of the site, or a URL it allows.
//!
//! Nothing else, however spelled. A destination is kept byte for byte, so it is only accepted
//! where every reader finds the same place in those bytes: its characters, its authority and its
//! path are judged as written, and the browsers' own parser has the last word on the origin.

use url::Url;

pub use crate::gate::{
    allowed_url::{AllowedUrl, NotAllowable},
    template::{BadTemplate, Catalogue, Template},
};
use crate::gate::{denial::Denial, link, origin::Origin, path, site::Site, template};

/// The longest destination that is judged, in bytes.
pub const MAX_DESTINATION: usize = 8192;

/// A judged destination: a path that begins with `/`, with query and fragment, or an absolute
/// URL; byte for byte as it was given.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Destination(String);

impl Site {
    /// Where a link that a caller asks for will lead.
    ///
    /// What begins with `/` is a path, what else holds a `:` a URL, and the rest a name of the
    /// site's catalogue, or else of the `further` one, whose places `values` fill,
    /// percent-encoded.
    ///
    /// # Errors
    /// [`Denial::UnknownDestination`] for a name; [`Denial::DestinationNotAllowed`] for a path or
    /// a URL; [`Denial::Invalid`] of `destination_values` that are too many, too few, given
    /// without a name, or not to be put into a path.
    pub fn destination(
        &self,
        asked: &str,
        values: &[String],
        further: Option<&Catalogue>,
    ) -> Result<Destination, Denial> {
        if asked.starts_with('/') || asked.contains(':') {
            if !values.is_empty() {
                return Err(template::invalid("only a named destination takes values"));
            }
            return self.judge_destination(asked);
        }
        let further = || further.and_then(|catalogue| catalogue.fill(asked, values));
        let filled = self
            .destinations
            .fill(asked, values)
            .or_else(further)
            .ok_or_else(|| unknown(asked))??;
        // What the configuration wrote was judged when it was read; the fault is the values'.
        self.judge(&filled).map_err(template::invalid)?;
        Ok(Destination(filled))
    }

    /// Judges a path or a URL by the configuration as it is now.
    ///
    /// # Errors
    /// [`Denial::DestinationNotAllowed`], saying why.
    pub fn judge_destination(&self, dst: &str) -> Result<Destination, Denial> {
        match self.judge(dst) {
            Ok(()) => Ok(Destination(dst.to_owned())),
            Err(why) => Err(Denial::DestinationNotAllowed(why.to_owned())),
        }
    }

    fn judge(&self, dst: &str) -> Result<(), &'static str> {
        if dst.len() > MAX_DESTINATION {
            return Err("it is longer than 8192 bytes");
        }
        path::written(dst)?;
        if link::holds_token(dst) {
            return Err("it holds a link's token");
        }
        if dst.starts_with('/') {
            return self.judge_path(dst);
        }
        let url = Url::parse(dst).map_err(|_| "it is neither a path nor a URL")?;
        let (authority, rest) = split_url(dst)?;
        if !is_authority(authority, &url) {
            return Err("its host and port are not plainly written");
        }
        let path = if rest.is_empty() { "/" } else { rest };
        if self.has(&url) {
            return self.judge_path(path);
        }
        path::settled(path_part(path))?;
        if self.allow_urls.iter().any(|allowed| allowed.covers(&url)) {
            return Ok(());
        }
        Err("it leads to another site")
    }

    /// Judges a path of the site itself, with its query and fragment.
    fn judge_path(&self, whole: &str) -> Result<(), &'static str> {
        let path = path_part(whole);
        path::settled(path)?;
        if link::is_gates_own(path) || self.carries_token(whole) {
            return Err("it leads to the gate's own pages");
        }
        // The browsers' parser has the last word; nothing above should have left it a choice. What
        // begins with two slashes names a host wherever it stands alone, in a `Location` say.
        let names_a_host = matches!(whole.as_bytes(), [_, b'/' | b'\\', ..]);
        match Url::parse(&[self.origin.as_str(), whole].concat()) {
            Ok(url) if self.origin.is_of(&url) && !names_a_host => Ok(()),
            _ => Err("it leads to another site"),
        }
    }

    /// Whether a path of the site has a query in which anybody could read a token.
    fn carries_token(&self, whole: &str) -> bool {
        let text = whole.split('#').next().unwrap_or_default();
        text.split_once('?').is_some_and(|(path, query)| self.may_carry_token(path, query))
    }
}

/// The refusal of what names no destination, quoted as far as anybody needs to see it.
pub fn unknown(asked: &str) -> Denial {
    let shown: String = asked.chars().take(64).collect();
    Denial::UnknownDestination(format!("{shown:?}"))
}

impl Destination {
    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The absolute URL, for a `Location`, of who visits the site at `origin`.
    pub fn url(&self, origin: &Origin) -> String {
        if self.0.starts_with('/') { format!("{origin}{}", self.0) } else { self.0.clone() }
    }

    /// The path on this site, with query and fragment; none where it leads elsewhere.
    pub fn path_within(&self, site: &Site) -> Option<&str> {
        if self.0.starts_with('/') {
            return Some(&self.0);
        }
        let url = Url::parse(&self.0).ok()?;
        if !site.has(&url) {
            return None;
        }
        let (_, rest) = split_url(&self.0).ok()?;
        Some(if rest.is_empty() { "/" } else { rest })
    }
}

/// What stands before the query and the fragment.
fn path_part(text: &str) -> &str {
    text.split(['?', '#']).next().unwrap_or_default()
}

/// The authority of a URL and what follows it. Only `https://` and `http://`, in lower case.
fn split_url(text: &str) -> Result<(&str, &str), &'static str> {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
        .ok_or("only https:// and http:// URLs are allowed")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    rest.split_at_checked(end).ok_or("it is not a URL")
}

/// Whether an authority says what the parser made of it: the same host, ASCII case aside, and
/// a port in plain digits. Other spellings of an address, user information, an empty port and a
/// percent sign are all caught by that.
fn is_authority(authority: &str, url: &Url) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let Some((written, port)) = authority.split_at_checked(host.len()) else {
        return false;
    };
    let plain_port = match port.strip_prefix(':') {
        None => port.is_empty(),
        Some(digits) => {
            !digits.starts_with('0')
                && digits.bytes().all(|byte| byte.is_ascii_digit())
                && digits.parse().ok() == url.port_or_known_default()
        }
    };
    written.eq_ignore_ascii_case(host) && plain_port
}
