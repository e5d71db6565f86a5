//! The public listener: which site a request is for, and which of the gate's own paths.

use std::{net::SocketAddr, sync::Arc};

use http::{HeaderValue, Method, Request, Response, header::CACHE_CONTROL};
use hyper::body::Incoming;

use crate::{
    edge::{
        Gate, answer,
        body::Body,
        intake::Intake,
        links::{self, Opened},
        redeem, respond, sessions, visit,
    },
    gate::{denial::Denial, link, path, redeem::Refusal, site::Site},
};

/// The public keys.
const JWKS: &str = "/.well-known/jwks.json";

/// Answers one request to the public listener.
pub async fn answer(
    gate: Arc<Gate>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let source = gate.config.listen.client_ip;
    let (intake, read) = Intake::read(&gate, peer.ip(), source, &parts);
    let intake = Arc::new(intake);
    let site = gate.site_at(&intake.authority).cloned();
    let request = Request::from_parts(parts, body);
    let answered = match read {
        Ok(()) => route(&gate, site.as_ref(), &intake, request).await,
        Err(denial) => Err(denial.into()),
    };
    let answer = answered.unwrap_or_else(|refusal| {
        redeem::refused(&gate, &intake, &refusal, None);
        answer::refusal(&intake, site.as_deref(), &refusal.denial)
    });
    respond::with_request_id(answer, &intake.id)
}

async fn route(
    gate: &Arc<Gate>,
    site: Option<&Arc<Site>>,
    intake: &Arc<Intake>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let path = intake.path.as_str();
    // Keys are the same under any authority.
    if path == JWKS {
        return Ok(jwks(gate, request.method())?);
    }
    let site = site.ok_or_else(|| Denial::WrongSite(intake.authority.clone()))?;
    let opened = |token: String, request: &Request<Incoming>| Opened {
        gate: gate.clone(),
        site: site.clone(),
        intake: intake.clone(),
        headers: request.headers().clone(),
        token,
    };
    if let Some((token, page)) = carried(intake)? {
        return links::on_page(opened(token, &request), &request.method().clone(), page).await;
    }
    if let Some(token) = path.strip_prefix(link::PATH) {
        return links::at_path(opened(token.to_owned(), &request), request).await;
    }
    match path {
        "/_once/session" => Ok(sessions::show(gate, site, request.method(), request.headers())?),
        "/_once/logout" => {
            let (method, headers) = (request.method(), request.headers());
            Ok(sessions::log_out(gate, site, intake, method, headers).await?)
        }
        _ if is_gates(path) => Err(Denial::NotFound.into()),
        _ => Ok(visit::proxied(gate, site, intake, request).await?),
    }
}

/// Whether a path is the gate's, however it is spelled: nothing under it is ever proxied.
fn is_gates(path: &str) -> bool {
    let read = path::decoded_path(path);
    // `/_once/../x` is another path to some, and the gate's to all others.
    path.starts_with("/_once/") || read == "/_once" || read.starts_with("/_once/")
}

/// The token that the query carries, and the page asked for: the same target without it.
///
/// The parameter's name counts as servers read it, percent-decoded; everything else of the query
/// is kept byte for byte.
fn carried(intake: &Intake) -> Result<Option<(String, String)>, Denial> {
    let Some(query) = &intake.query else { return Ok(None) };
    let mut token = None;
    let mut kept = Vec::new();
    for part in query.split('&') {
        let decoded = url::form_urlencoded::parse(part.as_bytes()).next();
        match decoded {
            Some((name, value)) if name == link::PARAMETER => {
                if token.replace(value.into_owned()).is_some() {
                    return Err(Denial::Unreadable("the URL carries two tokens".to_owned()));
                }
            }
            _ => kept.push(part),
        }
    }
    Ok(token.map(|token| {
        let mut page = intake.path.clone();
        if !kept.is_empty() {
            page.push('?');
            page.push_str(&kept.join("&"));
        }
        (token, page)
    }))
}

fn jwks(gate: &Gate, method: &Method) -> Result<Response<Body>, Denial> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Err(Denial::MethodNotAllowed("GET, HEAD"));
    }
    let keys = gate.keys.load().ring.jwks();
    let mut response =
        respond::typed(http::StatusCode::OK, "application/jwk-set+json", keys.into_bytes());
    // A key is in here two minutes before it signs anything; a minute's age does no harm.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
    Ok(response)
}
