//! The session cookie: read, set, renewed, ended.

use std::sync::Arc;

use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode, header::SET_COOKIE, request::Parts,
};
use serde::Serialize;

use crate::{
    edge::{
        Gate, body::Body, cookies, intake::Intake, page_headers::Referrer, pages, respond, source,
    },
    gate::{
        claims::Claims,
        denial::Denial,
        id::{SessionId, TokenId},
        redeem::{Admission, LEEWAY},
        revoked::Revocation,
        session::Session,
        site::{Site, Visited},
    },
    ops::{audit, clock::rfc3339, entropy},
};

/// Who is signed in, as `GET /_once/session` says it.
#[derive(Debug, Serialize)]
struct Present {
    user: String,
    site: String,
    caller: String,
    id: TokenId,
    claims: Claims,
    signed_in_at: String,
    expires_at: String,
}

/// The session of a request, if somebody is signed in on this site.
///
/// Two cookies of the name count as none: which of them is meant cannot be told.
pub(super) fn read(gate: &Gate, site: &Site, headers: &HeaderMap) -> Option<Arc<Session>> {
    live(gate, site, headers, gate.config.session.idle)
}

/// As [`read`], where the gate cannot renew the cookie: how long it went unused is not counted.
pub(super) fn read_unrenewed(
    gate: &Gate,
    site: &Site,
    headers: &HeaderMap,
) -> Option<Arc<Session>> {
    live(gate, site, headers, None)
}

fn live(gate: &Gate, site: &Site, headers: &HeaderMap, idle: Option<u64>) -> Option<Arc<Session>> {
    let name = gate.config.session.cookie_for(site);
    let sealed = cookies::only(headers, name)?;
    let keys = gate.keys.load();
    let counts = &gate.metrics.caches.sessions;
    let session = keys.opened.open(&keys.sessions, sealed, &site.name, counts)?;
    let now = gate.clock.now();
    // A link that was judged before its revocation may have begun its session after it.
    let issued = session.issued.min(session.begun);
    let live = session.is_live(now, idle)
        && session.begun <= now + LEEWAY
        && gate.store.knows_sessions_of(session.mem)
        && !gate.store.forgotten(session.expires)
        && !gate.store.session_ended(session.id)
        && !gate.store.user_revoked(&session.site, &session.user, issued);
    live.then_some(session)
}

/// The cookie of the session that an admission opens.
///
/// # Errors
/// [`Denial::Internal`] for a session that no cookie can hold.
pub(super) fn begin(
    gate: &Gate,
    site: &Site,
    admission: &Admission,
) -> Result<HeaderValue, Denial> {
    let now = gate.clock.now();
    let claims = admission.claims();
    // One question for both; the id is shorter.
    let [[id @ .., _, _, _, _, _, _, _, _], nonce] = entropy::random_each::<24, 2>();
    let session = Session {
        user: claims.sub.clone(),
        site: claims.aud.clone(),
        caller: claims.act.sub.clone(),
        link: claims.jti,
        id: SessionId::from_bytes(id),
        mem: claims.mem,
        issued: claims.iat,
        begun: gate.store.beginning(now, &claims.aud, &claims.sub),
        seen: now,
        expires: now + gate.config.session.ttl,
        ctx: claims.ctx.clone(),
    };
    cookie(gate, site, &session, nonce)
}

/// The cookie that carries a session, as `Set-Cookie` says it. The `nonce` was never used.
fn cookie(
    gate: &Gate,
    site: &Site,
    session: &Session,
    nonce: [u8; 24],
) -> Result<HeaderValue, Denial> {
    let sealed = gate
        .keys
        .load()
        .sessions
        .seal(session, nonce)
        .map_err(|error| Denial::Internal(error.to_string()))?;
    set_cookie(gate, site, &sealed, "")
}

/// The cookie anew, where the idle time is counted and this one is getting old.
pub(super) fn renewal(gate: &Gate, site: &Site, session: &Session) -> Option<HeaderValue> {
    let idle = gate.config.session.idle?;
    let now = gate.clock.now();
    // Not at every request: a sixteenth of the idle time is as exact as anybody needs.
    (now.saturating_sub(session.seen) > idle / 16).then_some(())?;
    let session = Session { seen: now, ..session.clone() };
    cookie(gate, site, &session, entropy::random()).ok()
}

/// `GET /_once/session`
///
/// # Errors
/// [`Denial::SignInRequired`] where nobody is signed in; [`Denial::MethodNotAllowed`].
pub(super) fn show(
    gate: &Gate,
    site: &Site,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response<Body>, Denial> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Err(Denial::MethodNotAllowed("GET, HEAD"));
    }
    let session = read(gate, site, headers).ok_or(Denial::SignInRequired)?;
    Ok(respond::json(
        StatusCode::OK,
        &Present {
            user: session.user.clone(),
            site: session.site.clone(),
            caller: session.caller.clone(),
            id: session.link,
            claims: session.ctx.clone().unwrap_or_default(),
            signed_in_at: rfc3339(session.begun),
            expires_at: rfc3339(session.expires),
        },
    ))
}

/// `POST /_once/logout`; a GET asks first.
///
/// # Errors
/// [`Denial::CrossSite`] for another site's page; [`Denial::StoreUnavailable`] when the end of
/// the session could not be recorded: then it has not ended.
pub(super) async fn log_out(
    gate: &Gate,
    at: &Visited,
    intake: &Intake,
    Parts { method, headers, .. }: Parts,
) -> Result<Response<Body>, Denial> {
    let (site, home) = (&at.site, at.home_url());
    match method {
        Method::POST => {}
        Method::GET | Method::HEAD => {
            let user = read(gate, site, &headers).map(|session| session.user.clone());
            return Ok(respond::page(StatusCode::OK, &[], Referrer::Origin, |nonce| {
                let (site_host, user) = (at.origin.authority(), user.as_deref());
                pages::logout_page(&pages::LogoutPage { site_host, user, home: &home, nonce })
            }));
        }
        _ => return Err(Denial::MethodNotAllowed("GET, HEAD, POST")),
    }
    source::same_origin(&headers, &at.origin)?;
    if let Some(session) = read(gate, site, &headers) {
        let ended = Revocation::session(session.id, session.expires);
        gate.store.revoke(ended, gate.clock.now()).await?;
        audit::signed_out(intake.audit(), &session.user, &site.name, session.id);
    }
    let mut response = if intake.wants_page {
        respond::page(StatusCode::OK, &[], Referrer::Nothing, |nonce| {
            pages::signed_out_page(&pages::SignedOutPage {
                site_host: at.origin.authority(),
                nonce,
            })
        })
    } else {
        respond::no_content()
    };
    response.headers_mut().insert(SET_COOKIE, set_cookie(gate, site, "", "; Max-Age=0")?);
    Ok(response)
}

fn set_cookie(gate: &Gate, site: &Site, value: &str, more: &str) -> Result<HeaderValue, Denial> {
    let name = gate.config.session.cookie_for(site);
    let secure = if site.origin.is_secure() { "; Secure" } else { "" };
    HeaderValue::try_from(format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{more}"))
        .map_err(|_| Denial::Internal("a session cannot stand in a header".to_owned()))
}
