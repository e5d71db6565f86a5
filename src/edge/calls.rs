//! The other calls of the API: redeem, inspect, revoke.

use http::{Response, StatusCode};
use serde::Serialize;
use serde_json::Value;

use crate::{
    config::{LONGEST_LINK, LONGEST_SESSION},
    edge::{
        body::Body,
        call::Call,
        fields::Fields,
        limiter::MAX_BATCH,
        redeem::{self, Presenter},
        respond, subject,
    },
    gate::{
        claims::Claims,
        client_ip::ClientIp,
        denial::Denial,
        id::TokenId,
        policy,
        redeem::{LEEWAY, Refusal},
        revoked::Revocation,
        seen::CLOCK_SLACK,
        site::Site,
        token::LinkClaims,
    },
    ops::{audit, clock::rfc3339},
};

/// What a token says, as its redeemer gets it.
#[derive(Debug, Serialize)]
struct Redeemed {
    id: TokenId,
    user: String,
    site: String,
    destination: Option<String>,
    claims: Claims,
    caller: String,
    issued_at: String,
    expires_at: String,
}

#[derive(Debug, Serialize)]
struct Inspected {
    valid: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'static str>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    says: Option<Redeemed>,
}

struct Asked {
    token: String,
    ip: Option<ClientIp>,
    site: Option<String>,
}

/// `POST /v1/redeem`: spends the token.
pub(super) async fn redeem(call: &Call<'_>, value: Value) -> Result<Response<Body>, Refusal> {
    if !call.caller.may.redeem {
        return Err(Denial::Forbidden("this caller may not redeem tokens".to_owned()).into());
    }
    let asked = asked(value)?;
    let verified = redeem::verify(call.gate, &asked.token).await?;
    let site = own_site(call, verified.claims(), asked.site.as_deref())?;
    let by = Presenter { client: asked.ip, next: None };
    let (gate, intake) = (call.gate.clone(), call.intake.clone());
    let admission = redeem::to_its_end(call.gate, async move {
        let judged = redeem::judge(&gate, &site, &by, verified)?;
        redeem::spend(&gate, &intake, &by, judged).await
    })
    .await?;
    Ok(respond::json(StatusCode::OK, &Redeemed::of(admission.into_claims())))
}

/// `POST /v1/inspect`: spends nothing.
pub(super) async fn inspect(call: &Call<'_>, value: Value) -> Result<Response<Body>, Refusal> {
    if !call.caller.may.inspect {
        return Err(Denial::Forbidden("this caller may not inspect tokens".to_owned()).into());
    }
    let asked = asked(value)?;
    let by = Presenter { client: asked.ip, next: None };
    let seen = redeem::verify(call.gate, &asked.token).await.and_then(|verified| {
        let site = own_site(call, verified.claims(), asked.site.as_deref())?;
        Ok((verified.claims().clone(), redeem::judge(call.gate, &site, &by, verified)))
    });
    let (claims, judged) = match seen {
        Ok((claims, judged)) => (Some(claims), judged),
        Err(denial) => (None, Err(denial.into())),
    };
    let unspent = match judged {
        Ok(judged) => redeem::unspent(call.gate, &by, judged).await,
        Err(refusal) => Err(refusal),
    };
    let refused = unspent.map_err(|refusal| refusal.denial).err();
    let public = refused.as_ref().map(Denial::public);
    Ok(respond::json(
        StatusCode::OK,
        &Inspected {
            valid: refused.is_none(),
            code: public.map(|public| public.code),
            title: public.map(|public| public.title),
            says: claims.map(Redeemed::of),
        },
    ))
}

/// `DELETE /v1/links/{id}`
///
/// It is remembered as long as any configuration lets a link live, not as long as today's does:
/// what is out may be from when it was more, or be judged when it is more again.
pub(super) async fn revoke_link(call: &Call<'_>, id: &str) -> Result<Response<Body>, Refusal> {
    may_revoke(call)?;
    // Each takes room for a day, and ids that never were take it too.
    call.limiter()?.take_one()?;
    let id: TokenId =
        id.parse().map_err(|_| Denial::invalid("id", "the id of a link is expected"))?;
    let now = call.gate.clock.now();
    let until = now + LONGEST_LINK + LEEWAY;
    let revocation = Revocation::link(id, &call.caller.name, until);
    call.gate.store.revoke(revocation, now).await?;
    audit::revoked(call.intake.audit(), &call.caller.name, "link", &id.to_string(), None);
    Ok(respond::no_content())
}

/// `POST /v1/revocations`: every link and session of a user issued up to now, remembered as
/// long as any configuration lets a session last.
///
/// Whom a link was asked for by email or number, it bears the username: with a directory, a user is
/// taken back under all its names.
pub(super) async fn revoke_user(call: &Call<'_>, value: Value) -> Result<Response<Body>, Refusal> {
    may_revoke(call)?;
    let mut fields = Fields::of(value)?;
    let user = fields.required("user")?;
    let site = fields.text("site")?;
    fields.end()?;
    policy::check_user(&user)?;
    if !call.gate.directory.is_there() && !call.caller.users.matches(&user) {
        return Err(Denial::Forbidden("user: not one of this caller's".to_owned()).into());
    }
    let sites = match &site {
        Some(_) => {
            vec![policy::site(call.caller, site.as_deref(), &call.gate.config.sites)?.name.clone()]
        }
        None => call.caller.sites.clone(),
    };
    // Each site takes room for a month.
    let taken = u32::try_from(sites.len()).unwrap_or(MAX_BATCH).min(MAX_BATCH);
    call.limiter()?.take_batch(taken)?;
    let (names, unasked) = subject::names(call, &user).await?;
    let now = call.gate.clock.now();
    let until = now + LONGEST_SESSION.max(LONGEST_LINK + LEEWAY);
    // Under a clock that has gone back, what was issued before is dated later than now.
    let at = call.gate.store.issued_until().max(now);
    let mut revoked = Vec::with_capacity(sites.len() * names.len());
    for site in sites {
        for name in &names {
            let revocation = Revocation::user(&site, name, at, until);
            call.gate.store.revoke(revocation, now).await?;
            audit::revoked(call.intake.audit(), &call.caller.name, "user", name, Some(&site));
            revoked.push(revocation);
        }
    }
    if at > now + CLOCK_SLACK {
        // So far back that the memory is replaced, and with it goes all that is dated ahead: the
        // next revocation need not reach there again.
        call.gate.store.mem(now)?;
        revoked.clear();
    }
    // "Up to now" is over before the answer: a link asked for next is not hit.
    call.gate.clock.past(now).await;
    revoked.iter().try_for_each(|revocation| call.gate.store.still_holds(revocation))?;
    // What is known is taken back; for the rest the caller has to ask again.
    unasked.map_or_else(|| Ok(respond::no_content()), |denial| Err(denial.into()))
}

fn may_revoke(call: &Call<'_>) -> Result<(), Denial> {
    if call.caller.may.revoke {
        Ok(())
    } else {
        Err(Denial::Forbidden("this caller may not revoke".to_owned()))
    }
}

fn asked(value: Value) -> Result<Asked, Denial> {
    let mut fields = Fields::of(value)?;
    let token = fields.required("token")?;
    let ip = fields
        .text("ip")?
        .map(|ip| {
            ip.parse().map_err(|_| Denial::invalid("ip", "the visitor's address is expected"))
        })
        .transpose()?;
    let site = fields.text("site")?;
    fields.end()?;
    Ok(Asked { token, ip, site })
}

/// The token's site, if it is the caller's and the one it means; its user must be the caller's
/// too.
fn own_site(
    call: &Call<'_>,
    claims: &LinkClaims,
    meant: Option<&str>,
) -> Result<std::sync::Arc<Site>, Denial> {
    let elsewhere = meant.is_some_and(|meant| meant != claims.aud);
    if elsewhere || !call.caller.sites.contains(&claims.aud) {
        return Err(Denial::WrongAudience(claims.aud.clone()));
    }
    if !call.caller.users.matches(&claims.sub) {
        return Err(Denial::Forbidden("user: not one of this caller's".to_owned()));
    }
    call.gate
        .site_named(&claims.aud)
        .cloned()
        .ok_or_else(|| Denial::WrongAudience(claims.aud.clone()))
}

impl Redeemed {
    fn of(claims: LinkClaims) -> Self {
        Self {
            id: claims.jti,
            user: claims.sub,
            site: claims.aud,
            destination: claims.dst,
            claims: claims.ctx.unwrap_or_default(),
            caller: claims.act.sub,
            issued_at: rfc3339(claims.iat),
            expires_at: rfc3339(claims.exp),
        }
    }
}
