//! A visitor's request to a site: who is there, whether they may see it, and on to the upstream.

use std::future::ready;

use http::{
    HeaderMap, HeaderValue, Request,
    header::{CACHE_CONTROL, SET_COOKIE},
};
use hyper::body::Incoming;

use crate::{
    edge::{
        Gate, assertions, headers, intake::Intake, respond, route::Steps, sessions, source,
        upgrade::Upgrade,
    },
    gate::{
        denial::Denial,
        path,
        site::{Anonymous, Handoff, Site, Visited},
    },
    ops::metrics::At,
};

/// Answers a visitor's request with what the site's upstream says.
///
/// What the store is asked, it is asked before this returns.
///
/// # Errors
/// [`Denial::SignInRequired`] for nobody on a page that needs somebody; [`Denial::NotFound`] on
/// the callback, which only the gate itself visits; [`Denial::CrossSite`] for an upgrade that
/// another site's page asks for; what [`Upstreams::forward`] says.
///
/// [`Upstreams::forward`]: crate::edge::upstream::Upstreams::forward
pub(super) fn proxied<'r>(
    gate: &'r Gate,
    at: &'r Visited,
    intake: &Intake,
    mut request: Request<Incoming>,
) -> Result<Steps<'r>, Denial> {
    let site = &at.site;
    let upgrade = Upgrade::asked(&mut request, &at.origin)?;
    let session = sessions::read(gate, site, request.headers());
    let navigates = || intake.wants_page && source::is_navigation(request.headers());
    if let Some(url) = sign_in_first(site, &intake.path, session.is_some(), navigates)? {
        let redirect = respond::redirect(request.method(), url)?;
        return Ok(Box::pin(ready(Ok(redirect))));
    }
    let upstream = site.upstream.as_ref().ok_or(Denial::NotFound)?;
    let visit = described(gate, at, intake);
    let signed = session.as_ref().map(|session| assertions::of(gate, site, session));
    // Under this id the gate logs it; a client's own is nobody's to rely on.
    if let Ok(id) = HeaderValue::try_from(&intake.id) {
        request.headers_mut().insert(respond::REQUEST_ID, id);
    }
    gate.metrics.proxied.get_or_create(&At { site: site.name.clone() }).inc();
    Ok(Box::pin(async move {
        let introduction = signed.as_ref().map(|signed| &signed.introduction);
        let mut response =
            gate.upstreams.forward(request, upstream, &visit, introduction, upgrade).await?;
        if let Some(cookie) = session.and_then(|session| sessions::renewal(gate, site, &session)) {
            response.headers_mut().append(SET_COOKIE, cookie);
            keep_out_of_caches(response.headers_mut());
        }
        Ok(response)
    }))
}

/// Where a visitor must go to sign in before they see this path of a site; none: they may see it.
///
/// A person who `navigates` is sent there; a program cannot be, and is told so.
///
/// # Errors
/// [`Denial::SignInRequired`]; [`Denial::NotFound`] on the callback.
pub(super) fn sign_in_first<'s>(
    site: &'s Site,
    path: &str,
    signed_in: bool,
    navigates: impl FnOnce() -> bool,
) -> Result<Option<&'s str>, Denial> {
    if is_callback(site, path) {
        return Err(Denial::NotFound);
    }
    if signed_in || is_public(site, path) {
        return Ok(None);
    }
    match &site.anonymous {
        Anonymous::Pass => Ok(None),
        Anonymous::Login(url) if navigates() => Ok(Some(url)),
        Anonymous::Refuse | Anonymous::Login(_) => Err(Denial::SignInRequired),
    }
}

/// What the gate says of the visit itself, whoever is there.
pub(super) fn described<'a>(
    gate: &'a Gate,
    at: &'a Visited,
    intake: &Intake,
) -> headers::Visit<'a> {
    let Visited { site, origin } = at;
    headers::Visit {
        host: origin.authority(),
        scheme: if origin.is_secure() { "https" } else { "http" },
        client: intake.client.as_ref().ok().map(|client| client.addr()),
        cookie: gate.config.session.cookie_for(site),
        mapping: &site.headers,
    }
}

/// An answer that carries a visitor's session is nobody else's, whatever the upstream said of it.
fn keep_out_of_caches(headers: &mut HeaderMap) {
    // RFC 9213 and its predecessor: a shared cache heeds these before `Cache-Control`.
    headers.remove("cdn-cache-control");
    headers.remove("surrogate-control");
    let private = headers.get_all(CACHE_CONTROL).iter().any(|line| {
        let line = line.to_str().unwrap_or_default().to_ascii_lowercase();
        line.split(',').any(|directive| matches!(directive.trim(), "private" | "no-store"))
    });
    if !private {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// Whether a path is the callback's, however it is spelled: what reads two ways is closed.
fn is_callback(site: &Site, path: &str) -> bool {
    match &site.handoff {
        Handoff::Callback(callback) => path::may_reach(path, callback),
        Handoff::Session => false,
    }
}

/// Whether the start page has something for somebody who is not signed in.
pub(super) fn shows_home(site: &Site) -> bool {
    site.anonymous != Anonymous::Refuse || is_public(site, &site.home)
}

/// Whether nobody has to be signed in here. A path that an upstream could read otherwise than
/// the globs do is not public.
fn is_public(site: &Site, path: &str) -> bool {
    path::canonical_path(path) && site.public.matches(path)
}
