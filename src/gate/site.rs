//! One protected application, and where it is visited.

use std::{cmp::Reverse, sync::Arc};

use url::Url;

use crate::gate::{
    destination::{AllowedUrl, Catalogue},
    form::Form,
    glob::Globs,
    host::HostPattern,
    origin::Origin,
};

/// A protected application: an origin, usually with an upstream.
#[derive(Debug, Clone)]
pub struct Site {
    /// `[a-z0-9-]+`; the `aud` of its links.
    pub name: String,
    /// Links are built on it, and requests matched by its authority.
    pub origin: Origin,
    /// Further hosts under which it is visited, by the same scheme.
    pub hosts: Vec<HostPattern>,
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
            hosts: Vec::new(),
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

    /// Whether a parsed URL is on this site.
    pub(in crate::gate) fn has(&self, url: &Url) -> bool {
        Origin::of(url).is_some_and(|origin| self.is_at(&origin))
    }

    /// The origin on which a link is built that leads to `destination`: the site's own, or the
    /// one further host that the destination names.
    pub fn origin_for(&self, destination: Option<&str>) -> Origin {
        destination
            .filter(|destination| !destination.starts_with('/'))
            .and_then(|destination| Origin::of(&Url::parse(destination).ok()?))
            .filter(|origin| self.is_at(origin))
            .unwrap_or_else(|| self.origin.clone())
    }

    fn is_at(&self, origin: &Origin) -> bool {
        *origin == self.origin || self.hosts.iter().any(|host| host.covers(origin))
    }
}

/// A site, and the one of its origins at which it is visited.
#[derive(Debug, Clone)]
pub struct Visited {
    /// The site.
    pub site: Arc<Site>,
    /// The origin that the request is for.
    pub origin: Origin,
}

impl Visited {
    /// The site of `sites` that an authority names, as received: by its origin, by a host
    /// written out, or below a name; the longest name wins.
    pub fn find(sites: &[Arc<Site>], authority: &str) -> Option<Self> {
        let own = sites.iter().find(|site| site.origin.matches_authority(authority));
        if let Some(site) = own {
            return Some(Self { site: site.clone(), origin: site.origin.clone() });
        }
        let patterns =
            sites.iter().flat_map(|site| site.hosts.iter().map(move |host| (site, host)));
        patterns
            .filter_map(|(site, host)| Some((site, host, host.origin_of(authority)?)))
            .min_by_key(|(_, host, _)| (host.is_wildcard(), Reverse(host.to_string().len())))
            .map(|(site, _, origin)| Self { site: site.clone(), origin })
    }

    /// The URL where somebody lands who has nowhere else to go.
    pub fn home_url(&self) -> String {
        [self.origin.as_str(), &self.site.home].concat()
    }
}

/// An upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// `host:port`, with brackets around an IPv6 address.
    pub authority: String,
    /// Who vouches for it, where it is reached by TLS; its certificate is for the host of its
    /// authority.
    pub tls: Option<Trust>,
}

/// Who vouches for an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Those that the system trusts.
    System,
    /// Those whose certificates these are, as PEM, and nobody else.
    Own(String),
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
