//! One protected application.

use crate::gate::{
    destination::{AllowedUrl, Catalogue},
    form::Form,
    glob::Globs,
    origin::Origin,
};

/// A protected application: an origin, usually with an upstream.
#[derive(Debug, Clone)]
pub struct Site {
    /// `[a-z0-9-]+`; the `aud` of its links.
    pub name: String,
    /// Links are built on it, and requests matched by its authority.
    pub origin: Origin,
    /// Where its requests are proxied to; absent where the site is served elsewhere.
    pub upstream: Option<Upstream>,
    /// The path where somebody lands who has nowhere else to go.
    pub home: String,
    /// What happens to a visitor who is not signed in.
    pub anonymous: Anonymous,
    /// Paths that need nobody signed in.
    pub public: Globs,
    /// How an admission reaches the application.
    pub handoff: Handoff,
    /// Further origins or URL prefixes that a destination may name.
    pub allow_urls: Vec<AllowedUrl>,
    /// Extra identity headers to the upstream: name as configured, and what fills it.
    pub headers: Vec<(String, Identity)>,
    /// The named destinations.
    pub destinations: Catalogue,
    /// The forms of the dialects whose links open this site.
    pub forms: Vec<Form>,
}

impl Site {
    /// `panel`, without anything that a site need not have.
    #[cfg(test)]
    pub(crate) fn of_the_tests() -> Self {
        Self {
            name: "panel".to_owned(),
            origin: Origin::parse("https://panel.example.com").unwrap(),
            upstream: None,
            home: "/".to_owned(),
            anonymous: Anonymous::Refuse,
            public: Globs::paths::<&str>(&[]).unwrap(),
            handoff: Handoff::Session,
            allow_urls: Vec::new(),
            headers: Vec::new(),
            destinations: Catalogue::default(),
            forms: Vec::new(),
        }
    }

    /// The URL where somebody lands who has nowhere else to go.
    pub fn home_url(&self) -> String {
        [self.origin.as_str(), &self.home].concat()
    }
}

/// An upstream, reached by plain HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// `host:port`, with brackets around an IPv6 address.
    pub authority: String,
}

/// What happens to a visitor who is not signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Anonymous {
    /// 401 `sign_in_required`.
    Refuse,
    /// Proxied, without identity.
    Pass,
    /// Sent to this URL to sign in.
    Login(String),
}

/// How an admission reaches the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handoff {
    /// The gate keeps the session in a sealed cookie.
    Session,
    /// The upstream opens its own session at this path.
    Callback(String),
}

/// What an identity header to the upstream says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The user.
    User,
    /// The caller that asked for the link.
    Caller,
    /// The site's name.
    Site,
    /// The id of the link that opened the session.
    Id,
    /// A claim that the caller set.
    Claim(String),
}
