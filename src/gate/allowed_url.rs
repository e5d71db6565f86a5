//! What a site's `allow_urls` lists: further origins, and URL prefixes.

use url::Url;

use crate::gate::{origin::Origin, path};

/// An origin, or a URL of which destinations are extensions by whole segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedUrl {
    origin: Origin,
    /// As the parser writes it; `/` for a whole origin.
    prefix: String,
}

/// A text that is neither an origin nor a URL prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} cannot be allowed: {why}")]
pub struct NotAllowable {
    /// The text as written.
    pub text: String,
    /// What is wrong with it, and what is expected.
    pub why: String,
}

impl AllowedUrl {
    /// Reads an origin, such as `https://docs.example.com`, or a prefix, such as
    /// `https://docs.example.com/manual`, which covers `/manual`, `/manual/…` and `/manual?…`
    /// but not `/manuals`; with a `/` at its end it covers only what lies below.
    ///
    /// # Errors
    /// User information, a query or a fragment, a path with more than one reading, and `http`
    /// off loopback.
    pub fn parse(text: &str) -> Result<Self, NotAllowable> {
        let fault = |why: &str| NotAllowable { text: text.to_owned(), why: why.to_owned() };
        let after = text.find("://").map_or(0, |at| at + 3);
        let end = text.bytes().skip(after).position(|byte| byte == b'/').map(|at| after + at);
        let (origin, path) = text.split_at_checked(end.unwrap_or(text.len())).unwrap_or((text, ""));
        let origin = Origin::parse(origin).map_err(|error| fault(error.why))?;
        if path.contains(['?', '#']) {
            return Err(fault("it must not hold a query or a fragment"));
        }
        if !path.is_empty() && !path::canonical_path(path) {
            return Err(fault("its path has more than one reading"));
        }
        if !origin.is_secure() && !origin.is_loopback() {
            return Err(fault("only https is safe here; http is for loopback"));
        }
        let url = Url::parse(text).map_err(|_| fault("it is not a URL"))?;
        Ok(Self { origin, prefix: url.path().to_owned() })
    }

    /// The origin, which pages must be allowed to lead to.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether a parsed URL, whose path is settled, is this one or lies below it.
    pub(crate) fn covers(&self, url: &Url) -> bool {
        self.origin.is_of(url)
            && url.path().strip_prefix(&self.prefix).is_some_and(|rest| {
                rest.is_empty() || rest.starts_with('/') || self.prefix.ends_with('/')
            })
    }
}
