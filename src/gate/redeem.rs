//! Whether a token may pass, as types: `Presented → Verified → Judged → Spent → Admission`.
//!
//! [`Admission::new`] consumes the judgement and the record of the spending. There is no other
//! way to make one, so no handler can let anybody in without spending.

use crate::gate::{
    caller::Caller,
    client_ip::ClientIp,
    denial::Denial,
    destination::Destination,
    link::LinkRules,
    policy,
    reach::Reach,
    seen::Spent,
    site::Site,
    token::{LinkClaims, Verified},
};

/// How far ahead of the gate's clock an `iat` may be, in seconds.
pub const LEEWAY: u64 = 5;

/// Where and when a token is presented, and what holds there.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a, C> {
    /// The gate's issuer.
    pub issuer: &'a str,
    /// Which memories this gate can have a use recorded in.
    pub reach: &'a Reach,
    /// The site the token is presented at.
    pub site: &'a Site,
    /// What holds for every link.
    pub rules: &'a LinkRules,
    /// Those who may ask for links, as configured now.
    pub callers: &'a [C],
    /// The client's address, where it could be told.
    pub client: Option<ClientIp>,
    /// Seconds since the Unix epoch.
    pub now: u64,
    /// Why the link was taken back, if it was.
    pub revoked: Option<&'static str>,
    /// The page asked for, where the token names no destination.
    pub next: Option<&'a str>,
}

/// A token that may be spent here and now.
#[derive(Debug)]
pub struct Judged {
    claims: LinkClaims,
    destination: Option<Destination>,
}

/// A refusal, with what the token said where it was genuine: of any other nothing is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub denial: Denial,
    /// The claims of a genuine token.
    pub claims: Option<Box<LinkClaims>>,
    /// The address of the first use of a used token, where that was another one.
    pub first_use: Option<ClientIp>,
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        Self { denial, claims: None, first_use: None }
    }
}

impl Refusal {
    /// The refusal of a genuine token.
    pub fn of(denial: Denial, claims: LinkClaims) -> Self {
        Self { denial, claims: Some(Box::new(claims)), first_use: None }
    }
}

/// Somebody may come in: the token was good, and this was its one use.
#[derive(Debug)]
pub struct Admission {
    claims: LinkClaims,
    destination: Option<Destination>,
}

impl Judged {
    /// What the token says.
    pub fn claims(&self) -> &LinkClaims {
        &self.claims
    }

    /// Where it leads, where it or the visitor says.
    pub fn destination(&self) -> Option<&Destination> {
        self.destination.as_ref()
    }

    /// Takes out what the token says.
    pub fn into_claims(self) -> LinkClaims {
        self.claims
    }
}

impl Admission {
    /// Admits whom `judged` names, now that `spent` records it.
    ///
    /// # Errors
    /// [`Denial::Internal`] if the record is of another token.
    #[expect(clippy::needless_pass_by_value, reason = "one record makes one admission")]
    pub fn new(judged: Judged, spent: Spent) -> Result<Self, Denial> {
        if spent.id() != judged.claims.jti {
            return Err(Denial::Internal("spent another token than was judged".to_owned()));
        }
        Ok(Self { claims: judged.claims, destination: judged.destination })
    }

    /// What the token said.
    pub fn claims(&self) -> &LinkClaims {
        &self.claims
    }

    /// Takes out what the token said.
    pub fn into_claims(self) -> LinkClaims {
        self.claims
    }

    /// Where the visitor lands, where the token or the visitor says.
    pub fn destination(&self) -> Option<&Destination> {
        self.destination.as_ref()
    }
}

impl Verified {
    /// Judges a genuine token: time, audience, client address, destination, revocation.
    ///
    /// Nothing is spent by a refusal.
    ///
    /// # Errors
    /// In that order: [`Denial::NotYetValid`], [`Denial::Expired`]; [`Denial::WrongAudience`],
    /// [`Denial::WrongGate`]; [`Denial::WrongClient`]; [`Denial::DestinationNotAllowed`];
    /// [`Denial::Revoked`].
    pub fn judge<C: AsRef<Caller>>(self, place: &Place<'_, C>) -> Result<Judged, Refusal> {
        let claims = self.into_claims();
        match judge(&claims, place) {
            Ok(destination) => Ok(Judged { claims, destination }),
            Err(denial) => Err(Refusal::of(denial, claims)),
        }
    }
}

fn judge<C: AsRef<Caller>>(
    claims: &LinkClaims,
    place: &Place<'_, C>,
) -> Result<Option<Destination>, Denial> {
    time(claims, place.rules, place.now)?;
    audience(claims, place)?;
    client(claims, place)?;
    let destination = claims.dst.as_deref().or(place.next);
    let destination = destination.map(|dst| place.site.judge_destination(dst)).transpose()?;
    revocation(claims, place)?;
    Ok(destination)
}

/// Whether `now` lies within the token's life, and that within what links may live today.
fn time(claims: &LinkClaims, rules: &LinkRules, now: u64) -> Result<(), Denial> {
    if claims.iat > now.saturating_add(LEEWAY) {
        return Err(Denial::NotYetValid(claims.iat));
    }
    let expires = claims.exp.min(claims.iat.saturating_add(rules.max_ttl));
    if now >= expires { Err(Denial::Expired(expires)) } else { Ok(()) }
}

fn audience<C>(claims: &LinkClaims, place: &Place<'_, C>) -> Result<(), Denial> {
    if claims.iss != place.issuer {
        return Err(Denial::WrongAudience(claims.iss.clone()));
    }
    if claims.aud != place.site.name {
        return Err(Denial::WrongAudience(claims.aud.clone()));
    }
    place.reach.judge(claims.gate.as_deref())
}

fn client<C>(claims: &LinkClaims, place: &Place<'_, C>) -> Result<(), Denial> {
    let Some(bound) = &claims.ips else { return Ok(()) };
    let seen = match place.client {
        Some(client) if bound.contains(client) => return Ok(()),
        Some(client) => client.to_string(),
        None => "an address that could not be told".to_owned(),
    };
    Err(Denial::WrongClient { bound: bound.to_string(), seen })
}

fn revocation<C: AsRef<Caller>>(claims: &LinkClaims, place: &Place<'_, C>) -> Result<(), Denial> {
    if let Some(why) = place.revoked {
        return Err(Denial::Revoked(why));
    }
    match policy::named(place.callers, &claims.act.sub) {
        None => Err(Denial::Revoked("its caller is not configured any more")),
        Some(caller) if caller.sites.contains(&claims.aud) => Ok(()),
        Some(_) => Err(Denial::Revoked("its caller may not open this site any more")),
    }
}
