//! Verified, judged, spent, admitted: the one way of a token, whatever form it came in.

use std::{fmt, future::Future};

use quick_cache::sync::Cache;

use crate::{
    edge::{Gate, intake::Intake},
    gate::{
        client_ip::ClientIp,
        denial::Denial,
        id::TokenId,
        redeem::{Admission, Judged, Place, Refusal},
        site::Site,
        token::{LinkClaims, Presented, Verified},
    },
    ops::{
        audit,
        metrics::{At, Code},
        telemetry,
    },
    store::Use,
};

/// The most first uses that are remembered, to tell an interception from a second click.
const FIRST_USES: usize = 100_000;

/// Who presents a token, and which page they ask for.
#[derive(Debug, Clone, Default)]
pub struct Presenter {
    /// The visitor's address, where it is known.
    pub client: Option<ClientIp>,
    /// The page asked for, where the token names no destination.
    pub next: Option<String>,
}

/// Where links were used first. Losing an entry costs a warning, nothing else.
pub struct FirstUses(Cache<TokenId, ClientIp>);

impl Default for FirstUses {
    fn default() -> Self {
        Self(Cache::new(FIRST_USES))
    }
}

impl fmt::Debug for FirstUses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FirstUses({})", self.0.len())
    }
}

/// Size, header, key, signature, type.
///
/// # Errors
/// What [`Presented::new`] and `Keyring::verify` refuse.
pub async fn verify(gate: &Gate, token: &str) -> Result<Verified, Denial> {
    let unproven = gate.keys.load().ring.read(Presented::new(token)?)?;
    gate.verifier.prove(unproven).await?.verified()
}

/// Time, audience, client address, destination, revocation.
///
/// # Errors
/// What [`Verified::judge`] refuses.
pub fn judge(
    gate: &Gate,
    site: &Site,
    by: &Presenter,
    verified: Verified,
) -> Result<Judged, Refusal> {
    let place = Place {
        issuer: &gate.config.gate.issuer,
        reach: &gate.config.reach,
        site,
        rules: &gate.config.links,
        callers: &gate.config.callers,
        client: by.client,
        now: gate.clock.now(),
        revoked: revoked(gate, verified.claims()),
        next: by.next.as_deref(),
    };
    verified.judge(&place)
}

/// Whether it could still be spent; spends nothing, promises nothing.
///
/// # Errors
/// [`Denial::Fenced`], [`Denial::AlreadyUsed`], [`Denial::StoreUnavailable`],
/// [`Denial::OwnerSilent`].
pub async fn unspent(gate: &Gate, by: &Presenter, judged: Judged) -> Result<Judged, Refusal> {
    let claims = judged.claims();
    match gate.store.look(&Use::of(claims), || gate.clock.now()).await {
        Ok(()) => Ok(judged),
        Err(denial) => Err(not_again(gate, by, denial, judged)),
    }
}

/// Does something on a task of its own: it is done to its end, and in the log, whoever hangs up.
///
/// # Errors
/// What it refuses; [`Denial::Internal`] if it panics.
pub async fn to_its_end<T: Send + 'static>(
    gate: &Gate,
    work: impl Future<Output = Result<T, Refusal>> + Send + 'static,
) -> Result<T, Refusal> {
    let done = gate.spending.spawn(telemetry::together(work)).await;
    done.map_err(|error| Denial::Internal(error.to_string()))?
}

/// Spends the token, and admits. To be done [`to_its_end`].
///
/// # Errors
/// What the store refuses: [`Denial::AlreadyUsed`], [`Denial::Fenced`], [`Denial::Expired`],
/// [`Denial::StoreFull`], [`Denial::StoreUnavailable`], [`Denial::OwnerSilent`].
pub async fn spend(
    gate: &Gate,
    intake: &Intake,
    by: &Presenter,
    judged: Judged,
) -> Result<Admission, Refusal> {
    let claims = judged.claims();
    // The expiry as signed, not as shortened by today's `max_ttl`: raising that again must not
    // bring back what was forgotten.
    let spent = gate.store.spend(&Use::of(claims), || gate.clock.now()).await;
    let spent = match spent {
        Ok(spent) => spent,
        Err(denial) => return Err(not_again(gate, by, denial, judged)),
    };
    // Judged before it was recorded: a revocation answered in between holds.
    if let Some(why) = revoked(gate, judged.claims()) {
        return Err(Refusal::of(Denial::Revoked(why), judged.into_claims()));
    }
    let admission = Admission::new(judged, spent)?;
    let claims = admission.claims();
    if let Some(client) = by.client {
        gate.first_uses.0.insert(claims.jti, client);
    }
    gate.metrics.redeemed.get_or_create(&At { site: claims.aud.clone() }).inc();
    audit::redeemed(intake.audit(), claims);
    Ok(admission)
}

/// Counts and audits a refusal.
pub fn refused(gate: &Gate, intake: &Intake, refusal: &Refusal, caller: Option<&str>) {
    let code = refusal.denial.public().code;
    gate.metrics.refused.get_or_create(&Code { code }).inc();
    if let Denial::Internal(why) = &refusal.denial {
        tracing::error!(%why, "a fault of the gate");
    }
    if refusal.first_use.is_some() {
        gate.metrics.interceptions.inc();
    }
    audit::refused(intake.audit(), refusal, caller);
}

fn not_again(gate: &Gate, by: &Presenter, denial: Denial, judged: Judged) -> Refusal {
    let claims = judged.into_claims();
    let used = denial == Denial::AlreadyUsed;
    let first = used.then(|| gate.first_uses.0.get(&claims.jti)).flatten();
    Refusal {
        // An address that is not known is not another one.
        first_use: first.filter(|first| by.client.is_some_and(|client| client != *first)),
        ..Refusal::of(denial, claims)
    }
}

/// Whether a caller has taken this link back whose sites and users it is one of.
fn link_revoked(gate: &Gate, claims: &LinkClaims) -> bool {
    gate.config.callers.iter().any(|caller| {
        caller.sites.contains(&claims.aud)
            && gate.store.link_revoked_by(claims.jti, &caller.name)
            && caller.users.matches(&claims.sub)
    })
}

fn revoked(gate: &Gate, claims: &LinkClaims) -> Option<&'static str> {
    if link_revoked(gate, claims) {
        Some("this link")
    } else if gate.store.user_revoked(&claims.aud, &claims.sub, claims.iat) {
        Some("all links of this user")
    } else {
        None
    }
}
