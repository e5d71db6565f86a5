//! Assertions for upstreams: signed every 30 s a session, cached in between.

use std::{fmt, sync::Arc};

use quick_cache::{Weighter, sync::Cache};

use crate::{
    edge::{
        Gate,
        headers::{Introduction, SignedIn},
    },
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
/// The most bytes of what is said of sessions that are kept; losing one costs a signature.
const KEPT: usize = 64 << 20;
/// Bytes that one takes beside its headers.
const BESIDE: usize = 256;
/// Bytes that one takes as a rule; what is kept is counted as it is.
const USUAL: usize = 1 << 10;

/// Assertions signed a moment ago, by session.
pub struct Assertions(Cache<SessionId, Arc<Signed>, Size>);

#[derive(Debug, Clone)]
struct Size;

/// What an upstream is told with an assertion: all of it holds as long as the session.
#[derive(Debug)]
pub struct Signed {
    at: u64,
    kid: Box<str>,
    /// Who is there.
    pub introduction: Introduction,
}

impl Default for Assertions {
    fn default() -> Self {
        Self(Cache::with_weighter(KEPT / USUAL, KEPT as u64, Size))
    }
}

impl Weighter<SessionId, Arc<Signed>> for Size {
    fn weight(&self, _: &SessionId, signed: &Arc<Signed>) -> u64 {
        (BESIDE + signed.introduction.size()) as u64
    }
}

impl fmt::Debug for Assertions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Assertions({})", self.0.len())
    }
}

/// What tells `site`'s upstream about `session`, with an assertion that is at most 30 s old.
pub fn of(gate: &Gate, site: &Site, session: &Session) -> Arc<Signed> {
    let now = gate.clock.now();
    let keys = gate.keys.load();
    let (kid, counts) = (keys.ring.current_kid(), &gate.metrics.caches.assertions);
    if let Some(signed) = gate.assertions.0.get(&session.id)
        && (signed.at..signed.at + RENEWED_AT).contains(&now)
        && *signed.kid == *kid
    {
        counts.hits.inc();
        return signed;
    }
    counts.misses.inc();
    let claims = claims(gate, site, &session.user, &session.caller, session.ctx.clone());
    let who = SignedIn {
        user: &session.user,
        caller: &session.caller,
        site: &session.site,
        link: session.link,
        ctx: session.ctx.as_ref().map(Claims::as_object),
        assertion: &keys.ring.sign_assertion(&claims),
    };
    let introduction = Introduction::of(&site.headers, &who);
    let signed = Arc::new(Signed { at: now, kid: kid.into(), introduction });
    gate.assertions.0.insert(session.id, signed.clone());
    signed
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
