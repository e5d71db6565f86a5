//! Whether a caller may have the link it asks for.
//!
//! [`Permitted`] is the proof: nothing else can be made into a token.

use std::sync::Arc;

use crate::gate::{
    caller::Caller,
    claims::Claims,
    client_ip::Networks,
    denial::Denial,
    destination::{Catalogue, Destination},
    dialect::Dialect,
    link::{BindIp, LinkRules},
    page::Page,
    site::Site,
    spoken::DialectRules,
    token,
};

/// What a caller asks for, as it asks.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// Who is to be signed in.
    pub user: String,
    /// The site's name; absent: the caller's only one.
    pub site: Option<String>,
    /// A named destination, a path or a URL; absent: the page the visitor asks for.
    pub destination: Option<String>,
    /// What fills the places of a named destination.
    pub destination_values: Vec<String>,
    /// Addresses or networks the link is bound to.
    pub ip: Option<Vec<String>>,
    /// Lifetime in seconds.
    pub ttl: Option<u64>,
    /// Extra claims for the application.
    pub claims: Option<Claims>,
    /// What the link's page does.
    pub page: Option<Page>,
    /// Where it was asked for in a dialect: what that says itself.
    pub via: Option<Via>,
}

/// What a dialect adds to what its caller asks for.
#[derive(Debug, Clone)]
pub struct Via {
    /// Which dialect.
    pub dialect: Dialect,
    /// Lifetime in seconds; cut to what the caller may have, since vendors' APIs cannot refuse it.
    pub ttl: u64,
    /// Claims of the dialect's own: the caller's `claims` do not bind them.
    pub context: Option<Claims>,
    /// The destinations that have a name in this dialect, where the site gives them no other.
    pub catalogue: Option<&'static Catalogue>,
}

impl Via {
    /// What a dialect adds to every ask, as the operator set it.
    pub fn of(rules: &DialectRules) -> Self {
        Self { dialect: rules.dialect, ttl: rules.ttl, context: None, catalogue: None }
    }
}

/// A link that its caller may have.
#[derive(Debug, Clone)]
pub struct Permitted {
    pub(in crate::gate) caller: String,
    pub(in crate::gate) site: Arc<Site>,
    pub(in crate::gate) user: String,
    pub(in crate::gate) destination: Option<Destination>,
    pub(in crate::gate) ips: Option<Networks>,
    pub(in crate::gate) ttl: u64,
    pub(in crate::gate) claims: Option<Claims>,
    pub(in crate::gate) page: Page,
    pub(in crate::gate) via: Option<Dialect>,
}

impl Permitted {
    /// The user it is for.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The site the link is for.
    pub fn site(&self) -> &Arc<Site> {
        &self.site
    }
}

/// Judges what a caller asks for.
///
/// # Errors
/// [`Denial::Forbidden`] beyond the caller's permissions, [`Denial::Invalid`] naming the field,
/// [`Denial::TtlTooLong`], [`Denial::IpRequired`], [`Denial::UnknownDestination`],
/// [`Denial::DestinationNotAllowed`].
pub fn permit(
    ask: Ask,
    caller: &Caller,
    sites: &[Arc<Site>],
    rules: &LinkRules,
) -> Result<Permitted, Denial> {
    may_issue(caller)?;
    let site = site(caller, ask.site.as_deref(), sites)?;
    check_user(&ask.user)?;
    if !caller.users.matches(&ask.user) {
        return Err(foreign_user());
    }
    let catalogue = ask.via.as_ref().and_then(|via| via.catalogue);
    Ok(Permitted {
        destination: destination(
            caller,
            &site,
            ask.destination,
            &ask.destination_values,
            catalogue,
        )?,
        ips: networks(ask.ip.as_deref(), rules)?,
        ttl: match &ask.via {
            Some(via) => via.ttl.min(caller.max_ttl).min(rules.max_ttl),
            None => ttl(ask.ttl, caller, rules)?,
        },
        via: ask.via.as_ref().map(|via| via.dialect),
        claims: match ask.via {
            Some(via) => via.context,
            None => claims(ask.claims, caller)?,
        },
        page: ask.page.or(caller.page).unwrap_or(rules.page),
        caller: caller.name.clone(),
        user: ask.user,
        site,
    })
}

/// Whether a caller may ask for links at all.
///
/// # Errors
/// [`Denial::Forbidden`].
pub fn may_issue(caller: &Caller) -> Result<(), Denial> {
    if caller.may.issue {
        Ok(())
    } else {
        Err(Denial::Forbidden("this caller may not issue links".to_owned()))
    }
}

/// Whether a caller may ask for links in the native API, which knows no tree of resellers: whose
/// links a reseller's manager may have is judged where that is known.
///
/// # Errors
/// [`Denial::Forbidden`].
pub fn may_issue_natively(caller: &Caller) -> Result<(), Denial> {
    may_issue(caller)?;
    if caller.reseller.is_none() {
        Ok(())
    } else {
        Err(Denial::Forbidden("a reseller's manager asks in its dialect".to_owned()))
    }
}

/// The site a caller means: the one it names, or the only one it has.
///
/// # Errors
/// [`Denial::Invalid`] where it names none and has several; [`Denial::Forbidden`] for any site
/// that is not the caller's, whether it exists or not.
pub fn site(
    caller: &Caller,
    named: Option<&str>,
    sites: &[Arc<Site>],
) -> Result<Arc<Site>, Denial> {
    let name = match (named, caller.sites.as_slice()) {
        (Some(name), own) if own.iter().any(|site| site == name) => name,
        (None, [only]) => only,
        (None, _) => {
            return Err(Denial::invalid("site", "this caller has several sites; name one"));
        }
        (Some(_), _) => {
            return Err(Denial::Forbidden("site: not one of this caller's".to_owned()));
        }
    };
    sites
        .iter()
        .find(|site| site.name == name)
        .cloned()
        .ok_or_else(|| Denial::Internal(format!("caller {} names an unknown site", caller.name)))
}

/// Whether this can be a user: 1 to 256 characters, none of them a control character.
///
/// # Errors
/// [`Denial::Invalid`].
pub fn check_user(user: &str) -> Result<(), Denial> {
    if token::is_user(user) {
        Ok(())
    } else {
        Err(Denial::invalid("user", "1 to 256 characters without control characters"))
    }
}

/// The refusal of a user whom the caller may not sign in.
pub fn foreign_user() -> Denial {
    Denial::Forbidden("this caller may not sign in this user".to_owned())
}

fn destination(
    caller: &Caller,
    site: &Site,
    asked: Option<String>,
    values: &[String],
    catalogue: Option<&Catalogue>,
) -> Result<Option<Destination>, Denial> {
    let Some(asked) = asked else {
        if !values.is_empty() {
            return Err(Denial::invalid("destination_values", "there is no destination to fill"));
        }
        // Without a destination the link opens whatever page it is put on.
        if !caller.destinations.everything() {
            return Err(Denial::DestinationNotAllowed(
                "this caller has to name one of its destinations".to_owned(),
            ));
        }
        return Ok(None);
    };
    let destination = site.destination(&asked, values, catalogue)?;
    // A URL within the site is judged by its path: both spellings lead to the same page.
    let judged = match destination.path_within(site) {
        Some(path) if asked.contains("://") => path,
        _ => asked.as_str(),
    };
    if caller.destinations.matches(judged) {
        Ok(Some(destination))
    } else {
        Err(Denial::DestinationNotAllowed("not one of this caller's destinations".to_owned()))
    }
}

fn networks(asked: Option<&[String]>, rules: &LinkRules) -> Result<Option<Networks>, Denial> {
    match (asked, rules.bind_ip) {
        (None, BindIp::Required) => Err(Denial::IpRequired),
        (None, _) => Ok(None),
        (Some(_), BindIp::Off) => {
            Err(Denial::invalid("ip", "this gate does not bind links to addresses"))
        }
        (Some(addresses), _) => {
            Networks::bind(addresses, rules.ipv4_prefix, rules.ipv6_prefix).map(Some)
        }
    }
}

fn ttl(asked: Option<u64>, caller: &Caller, rules: &LinkRules) -> Result<u64, Denial> {
    let most = caller.max_ttl.min(rules.max_ttl);
    match asked {
        None => Ok(rules.ttl.min(most)),
        Some(0) => Err(Denial::invalid("ttl", "at least 1 second")),
        Some(ttl) if ttl > most => Err(Denial::TtlTooLong(most)),
        Some(ttl) => Ok(ttl),
    }
}

fn claims(asked: Option<Claims>, caller: &Caller) -> Result<Option<Claims>, Denial> {
    let Some(claims) = asked else { return Ok(None) };
    if let Some((name, _)) = claims.iter().find(|(name, _)| !caller.claims.matches(name)) {
        return Err(Denial::Forbidden(format!("claims.{name:?}: not one of this caller's")));
    }
    Ok((!claims.is_empty()).then_some(claims))
}

/// The caller of this name, among callers however they are held.
pub fn named<'a, C: AsRef<Caller>>(callers: &'a [C], name: &str) -> Option<&'a Caller> {
    callers.iter().map(AsRef::as_ref).find(|caller| caller.name == name)
}
