//! One line a decision: who asked for which link, who used it, what was refused and why.
//!
//! The lines have the target `audit`. They name users, callers, sites and the ids of tokens,
//! never a token, a key or a cookie.

use std::fmt;

use tracing::{info, warn};

use crate::gate::{
    client_ip::{ClientIp, Unreadable},
    id::SessionId,
    redeem::Refusal,
    token::LinkClaims,
};

/// Which request a decision was about.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The request's id.
    pub id: &'a str,
    /// The client's address, or why it could not be told.
    pub client: &'a Result<ClientIp, Unreadable>,
}

impl<'a> Request<'a> {
    /// The client's address, or why it could not be told, as logs show it.
    pub fn shown(self) -> &'a dyn fmt::Display {
        match self.client {
            Ok(client) => client,
            Err(unreadable) => unreadable,
        }
    }
}

/// A link was issued.
pub fn issued(request: Request<'_>, claims: &LinkClaims) {
    info!(
        target: "audit", event = "issue", request = request.id, client = %request.shown(),
        id = %claims.jti, caller = claims.act.sub, user = claims.sub, site = claims.aud,
        destination = path(claims), expires = claims.exp, via = claims.via, "link issued"
    );
}

/// A link was used, and somebody admitted.
pub fn redeemed(request: Request<'_>, claims: &LinkClaims) {
    info!(
        target: "audit", event = "redeem", request = request.id, client = %request.shown(),
        id = %claims.jti, caller = claims.act.sub, user = claims.sub, site = claims.aud,
        destination = path(claims), via = claims.via, "link used"
    );
}

/// Something was refused: a link, or a caller's request.
///
/// `caller` is who asked, where a caller did. A used link that comes from another address than
/// its first use is a warning: somebody may have read it on its way.
pub fn refused(request: Request<'_>, refusal: &Refusal, caller: Option<&str>) {
    let Refusal { denial, claims, first_use } = refusal;
    let code = denial.public().code;
    let about = claims.as_deref();
    let id = about.map(|claims| claims.jti.to_string());
    let (user, site) = (about.map(|c| c.sub.as_str()), about.map(|c| c.aud.as_str()));
    let caller = caller.or(about.map(|c| c.act.sub.as_str()));
    if let Some(first_use) = first_use {
        warn!(
            target: "audit", event = "refuse", request = request.id, client = %request.shown(),
            code, reason = %denial, id, caller, user, site, first_use = %first_use,
            possible_interception = true, "link used twice, from two addresses"
        );
    } else {
        info!(
            target: "audit", event = "refuse", request = request.id, client = %request.shown(),
            code, reason = %denial, id, caller, user, site, "refused"
        );
    }
}

/// A caller took back a link, or all of a user's.
pub fn revoked(request: Request<'_>, caller: &str, what: &str, of: &str, site: Option<&str>) {
    info!(
        target: "audit", event = "revoke", request = request.id, client = %request.shown(),
        caller, what, of, site, "revoked"
    );
}

/// A visitor signed out.
pub fn signed_out(request: Request<'_>, user: &str, site: &str, session: SessionId) {
    info!(
        target: "audit", event = "logout", request = request.id, client = %request.shown(),
        user, site, session = %session, "signed out"
    );
}

/// Where a link leads, without query and fragment: those may hold an application's own secrets.
fn path(claims: &LinkClaims) -> Option<&str> {
    claims.dst.as_deref().and_then(|destination| destination.split(['?', '#']).next())
}
