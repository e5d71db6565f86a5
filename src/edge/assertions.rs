//! Assertions for upstreams: signed every 30 s a session, cached in between.

use std::{fmt, sync::Arc};

use moka::sync::Cache;

use crate::{
    edge::Gate,
    gate::{
        claims::Claims,
        id::SessionId,
        session::Session,
        site::Site,
        token::{Actor, AssertionClaims},
    },
};

/// How long an assertion is valid, in seconds.
const LIFETIME: u64 = 60;
/// The age at which a new one is signed, in seconds.
const RENEWED_AT: u64 = 30;
/// The most sessions whose assertion is kept; losing one costs a signature.
const KEPT: u64 = 100_000;

/// Assertions signed a moment ago, by session.
#[derive(Clone)]
pub struct Assertions(Cache<SessionId, Signed>);

#[derive(Clone)]
struct Signed {
    at: u64,
    kid: Arc<str>,
    text: Arc<str>,
}

impl Default for Assertions {
    fn default() -> Self {
        Self(Cache::new(KEPT))
    }
}

impl fmt::Debug for Assertions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Assertions({})", self.0.entry_count())
    }
}

/// The assertion that tells `site`'s upstream about `session`, at most 30 s old.
pub fn of(gate: &Gate, site: &Site, session: &Session) -> Arc<str> {
    let now = gate.clock.now();
    let keys = gate.keys.load();
    let cached = gate.assertions.0.get(&session.id);
    if let Some(signed) = cached
        && (signed.at..signed.at + RENEWED_AT).contains(&now)
        && *signed.kid == *keys.ring.current_kid()
    {
        gate.metrics.assertion_hits.inc();
        return signed.text;
    }
    gate.metrics.assertion_misses.inc();
    let claims = claims(gate, site, &session.user, &session.caller, session.ctx.clone());
    let text: Arc<str> = keys.ring.sign_assertion(&claims).into();
    let kid = keys.ring.current_kid().into();
    gate.assertions.0.insert(session.id, Signed { at: now, kid, text: Arc::clone(&text) });
    text
}

/// What an upstream is told about somebody: the same in an assertion and in a login assertion.
pub(super) fn claims(
    gate: &Gate,
    site: &Site,
    user: &str,
    caller: &str,
    ctx: Option<Claims>,
) -> AssertionClaims {
    let now = gate.clock.now();
    AssertionClaims {
        iss: gate.config.gate.issuer.clone(),
        aud: site.origin.as_str().to_owned(),
        sub: user.to_owned(),
        act: Actor { sub: caller.to_owned() },
        ctx,
        iat: now,
        exp: now + LIFETIME,
    }
}
