//! What becomes of a request that a load balancer asks about: the same as of one that comes to
//! the gate itself, as far as it can be said without the request.

use http::{HeaderMap, Method};
use tracing::warn;

use crate::{
    edge::{Gate, assertions, forward_auth::answer::Verdict, sessions, upgrade, visit},
    gate::{denial::Denial, link, original::Original},
};

/// Whether a request may pass, and as whose. `headers` are the visitor's, as far as the load
/// balancer passed them along; a person who `navigates` can be sent elsewhere.
///
/// # Errors
/// [`Denial::SignInRequired`]; [`Denial::NotFound`] for the gate's own paths and the callback;
/// [`Denial::CrossSite`] for another site's WebSocket; [`Denial::Unreadable`] for an upgrade to
/// HTTP itself, and for a token where none is taken; [`Denial::MethodNotAllowed`] for what is
/// never passed on.
pub(super) fn of(
    gate: &Gate,
    original: &Original<'_>,
    headers: &HeaderMap,
    navigates: bool,
) -> Result<Verdict, Denial> {
    // TRACE would echo the assertion to whoever sent it (RFC 9110, 9.3.8).
    if matches!(original.method, Method::CONNECT | Method::TRACE) {
        return Err(Denial::MethodNotAllowed("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    }
    upgrade::may_be_made(headers, &original.at.origin)?;
    match link_page(original)? {
        Some(url) => Ok(Verdict::Elsewhere(url)),
        None => visited(gate, original, headers, navigates),
    }
}

/// Where the gate opens the link in a request's URL, if there is one. The application never sees
/// a URL that anybody could take for one.
fn link_page(original: &Original<'_>) -> Result<Option<String>, Denial> {
    let (at, site, target) = (&original.at, &original.at.site, original.target);
    // To be sent to where one comes from would be a loop.
    if link::is_gates_own(original.path) {
        warn!(site = site.name, "asked about a path of the gate's own: send /_once/ to the gate");
        return Err(Denial::NotFound);
    }
    let carries = site.carried(original.path, original.query)?.is_some();
    if carries && !original.looks() {
        return Err(Denial::Unreadable("a link is opened with GET".to_owned()));
    }
    if !carries && link::holds_token(target) {
        return Err(Denial::Unreadable("a link's token stands where none is taken".to_owned()));
    }
    Ok(carries.then(|| link::open_url(&at.origin, target)))
}

/// What becomes of the visitor of a page.
fn visited(
    gate: &Gate,
    original: &Original<'_>,
    headers: &HeaderMap,
    navigates: bool,
) -> Result<Verdict, Denial> {
    let (at, site) = (&original.at, &original.at.site);
    let session = sessions::read_unrenewed(gate, site, headers);
    if let Some(url) = visit::sign_in_first(site, original.path, session.is_some(), || navigates)? {
        let within = url.starts_with('/');
        let url = if within { [at.origin.as_str(), url].concat() } else { url.to_owned() };
        return Ok(Verdict::Elsewhere(url));
    }
    Ok(Verdict::Pass(session.map(|session| assertions::of(gate, site, &session))))
}
