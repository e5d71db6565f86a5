//! Links in a browser: the page they open, and the requests that spend.
//!
//! A GET never spends, unless the link itself says that it needs no page; a POST spends, if it
//! comes from the gate's own page.

use std::sync::Arc;

use http::{HeaderMap, Method, Response, StatusCode, header::SET_COOKIE};
use hyper::body::Incoming;

use crate::{
    edge::{
        Gate, assertions,
        body::Body,
        intake::{self, Intake},
        page_headers::Referrer,
        pages, redeem,
        redeem::Presenter,
        respond, sessions, source, visit,
    },
    gate::{
        carried::Carried,
        denial::Denial,
        destination::Destination,
        link,
        page::Page,
        redeem::{Admission, Judged, Refusal},
        session::Session,
        site::{Handoff, Visited},
        token::LoginAssertionClaims,
    },
};

/// What a link takes.
const METHODS: &str = "GET, HEAD, OPTIONS, POST";

/// One visit to a link of a site.
#[derive(Debug)]
pub(super) struct Opened {
    /// The gate.
    pub gate: Arc<Gate>,
    /// The site, and where it is visited.
    pub at: Visited,
    /// The request.
    pub intake: Arc<Intake>,
    /// Its headers.
    pub headers: HeaderMap,
    /// The token, and what its URL says.
    pub carried: Carried,
}

/// `/_once/l/TOKEN`
pub(super) async fn at_path(
    opened: Arc<Opened>,
    method: Method,
    body: Incoming,
) -> Result<Response<Body>, Refusal> {
    match method {
        Method::GET | Method::HEAD => open(opened, &method).await,
        Method::POST => post(opened, body).await,
        Method::OPTIONS => Ok(respond::allowing(METHODS)),
        _ => Err(Denial::MethodNotAllowed(METHODS).into()),
    }
}

/// `?_once=TOKEN` on any page of the site, or the form of a dialect.
pub(super) async fn on_page(
    opened: Arc<Opened>,
    method: Method,
) -> Result<Response<Body>, Refusal> {
    if !matches!(method, Method::GET | Method::HEAD) {
        return Err(Denial::Unreadable("a link is opened with GET".to_owned()).into());
    }
    open(opened, &method).await
}

/// Shows the link's page, or what speaks against it; spends only where the link needs no page.
async fn open(opened: Arc<Opened>, method: &Method) -> Result<Response<Body>, Refusal> {
    let next = opened.carried.next.clone();
    let by = Presenter { client: opened.intake.client.as_ref().ok().copied(), next };
    let session = sessions::read(&opened.gate, &opened.at.site, &opened.headers);
    let judged = match look(&opened, &by).await {
        Ok(judged) => judged,
        Err(refusal) => return lead_on(&opened, &by, session.as_deref(), refusal),
    };
    let user = judged.claims().sub.clone();
    let somebody_else = session.map(|session| session.user.clone()).filter(|other| *other != user);
    let page = match judged.claims().page.unwrap_or(Page::Auto) {
        // What is appended to a URL weighs less than what the link itself says.
        Page::Auto if opened.carried.skips_page => Page::None,
        page => page,
    };
    if page == Page::None
        && somebody_else.is_none()
        && *method == Method::GET
        && source::is_visit(&opened.headers)
    {
        source::not_early(&opened.headers)?;
        return spend(opened, by, judged).await;
    }
    let auto = page != Page::Confirm && !source::is_preview(&opened.headers);
    let origins = elsewhere(&opened.at, judged.destination());
    let origins: Vec<&str> = origins.iter().map(String::as_str).collect();
    let action = [link::PATH, &opened.carried.token].concat();
    let home = opened.at.home_url();
    Ok(respond::page(StatusCode::OK, &origins, Referrer::Origin, |nonce| {
        pages::link_page(&pages::LinkPage {
            site_host: opened.at.origin.authority(),
            user: (!auto || somebody_else.is_some()).then_some(user.as_str()),
            signed_in_as: somebody_else.as_deref(),
            action: &action,
            next: by.next.as_deref(),
            home: &home,
            auto: auto && somebody_else.is_none(),
            nonce,
        })
    }))
}

/// All that is checked before spending.
async fn look(opened: &Opened, by: &Presenter) -> Result<Judged, Refusal> {
    let verified = redeem::verify(&opened.gate, &opened.carried.token).await?;
    if let Err(denial) = opened.carried.fits(verified.claims()) {
        return Err(Refusal::of(denial, verified.into_claims()));
    }
    let judged = redeem::judge(&opened.gate, &opened.at.site, by, verified)?;
    redeem::unspent(&opened.gate, by, judged).await
}

/// The page's form: spends, and signs in.
async fn post(opened: Arc<Opened>, body: Incoming) -> Result<Response<Body>, Refusal> {
    source::not_early(&opened.headers)?;
    source::same_origin(&opened.headers, &opened.at.origin)?;
    let next = next(&opened, body).await?;
    let by = Presenter { client: opened.intake.client.as_ref().ok().copied(), next };
    let judged = redeem::verify(&opened.gate, &opened.carried.token)
        .await
        .map_err(Refusal::from)
        .and_then(|verified| redeem::judge(&opened.gate, &opened.at.site, &by, verified));
    let answered = match judged {
        Ok(judged) => spend(opened.clone(), by.clone(), judged).await,
        Err(refusal) => Err(refusal),
    };
    answered.or_else(|refusal| {
        let session = sessions::read(&opened.gate, &opened.at.site, &opened.headers);
        lead_on(&opened, &by, session.as_deref(), refusal)
    })
}

/// The page asked for, out of the form.
async fn next(opened: &Opened, body: Incoming) -> Result<Option<String>, Denial> {
    let body = intake::read_body(&opened.gate, body, opened.gate.config.limits.max_body).await?;
    if body.is_empty() {
        return Ok(None);
    }
    if !intake::has_type(&opened.headers, "application/x-www-form-urlencoded") {
        return Err(Denial::UnsupportedMediaType("application/x-www-form-urlencoded"));
    }
    let mut all = url::form_urlencoded::parse(&body).filter(|(name, _)| name == "next");
    match (all.next(), all.next()) {
        (next, None) => Ok(next.map(|(_, page)| page.into_owned()).filter(|page| !page.is_empty())),
        _ => Err(Denial::Unreadable("the field next is sent twice".to_owned())),
    }
}

/// Spends and admits.
async fn spend(
    opened: Arc<Opened>,
    by: Presenter,
    judged: Judged,
) -> Result<Response<Body>, Refusal> {
    let gate = opened.gate.clone();
    redeem::to_its_end(&gate, async move {
        let admission = redeem::spend(&opened.gate, &opened.intake, &by, judged).await?;
        Ok(admit(&opened, &admission).await?)
    })
    .await
}

/// What an admission brings: the gate's own session, or the application's.
async fn admit(opened: &Opened, admission: &Admission) -> Result<Response<Body>, Denial> {
    let (gate, at) = (&opened.gate, &opened.at);
    let site = &at.site;
    if let (Handoff::Callback(callback), Some(upstream)) = (&site.handoff, &site.upstream) {
        let assertion = login_assertion(opened, admission);
        let visit = visit::described(gate, at, &opened.intake);
        return gate
            .upstreams
            .callback(&opened.headers, upstream, callback, &visit, &assertion)
            .await;
    }
    let mut response = respond::see_other(&landing(at, admission.destination()))?;
    let cookie = sessions::begin(gate, site, admission)?;
    response.headers_mut().insert(SET_COOKIE, cookie);
    Ok(response)
}

fn login_assertion(opened: &Opened, admission: &Admission) -> String {
    let claims = admission.claims();
    let destination =
        admission.destination().map_or(opened.at.site.home.as_str(), Destination::as_str);
    opened.gate.keys.load().ring.sign_login_assertion(&LoginAssertionClaims {
        assertion: assertions::claims(
            &opened.gate,
            &opened.at.site,
            &claims.sub,
            &claims.act.sub,
            claims.ctx.clone(),
        ),
        jti: claims.jti,
        dst: destination.to_owned(),
    })
}

/// A link that is used or over, opened by the one it signed in, leads on to its destination.
fn lead_on(
    opened: &Opened,
    by: &Presenter,
    session: Option<&Session>,
    refusal: Refusal,
) -> Result<Response<Body>, Refusal> {
    let over = matches!(refusal.denial, Denial::AlreadyUsed | Denial::Expired(_));
    let (true, Some(claims), Some(session)) = (over, &refusal.claims, session) else {
        return Err(refusal);
    };
    // An expired token was judged no further than its time: the rest is judged here.
    if claims.aud != opened.at.site.name || claims.sub != session.user {
        return Err(refusal);
    }
    let destination = claims
        .dst
        .as_deref()
        .or(by.next.as_deref())
        .and_then(|destination| opened.at.site.judge_destination(destination).ok());
    Ok(respond::see_other(&landing(&opened.at, destination.as_ref()))?)
}

/// Where somebody lands: an absolute URL.
fn landing(at: &Visited, destination: Option<&Destination>) -> String {
    match destination {
        Some(destination) => destination.url(&at.origin),
        None => at.home_url(),
    }
}

/// The origins besides the visited one that the link page's form may lead to.
///
/// Of a callback's answer only the site's own rules say where it may redirect to.
fn elsewhere(at: &Visited, destination: Option<&Destination>) -> Vec<String> {
    let allowed = match at.site.handoff {
        Handoff::Callback(_) => at.site.allow_urls.as_slice(),
        Handoff::Session => &[],
    };
    let destination = destination
        .and_then(|destination| url::Url::parse(&destination.url(&at.origin)).ok())
        .map(|url| url.origin().ascii_serialization());
    let all = allowed.iter().map(|url| url.origin().as_str().to_owned()).chain(destination);
    let mut elsewhere: Vec<String> = all.filter(|origin| origin != at.origin.as_str()).collect();
    elsewhere.sort_unstable();
    elsewhere.dedup();
    elsewhere
}
