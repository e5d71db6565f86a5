//! The public listener: which site a request is for, and which of the gate's own paths.

use std::{future::Future, sync::Arc};

use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{CACHE_CONTROL, CONNECTION},
};
use hyper::body::Incoming;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::{
    edge::{
        Gate, answer,
        body::Body,
        connection::Connection,
        forward_auth,
        intake::{self, Intake},
        links::{self, Opened},
        peer, redeem, respond, sessions, upgrade, visit,
    },
    gate::{self, carried::Carried, denial::Denial, link, redeem::Refusal, site::Visited},
};

/// The public keys.
const JWKS: &str = "/.well-known/jwks.json";

/// Answers one request to the public listener.
pub fn answer(
    gate: Arc<Gate>,
    connection: Connection,
    request: Request<Incoming>,
) -> impl Future<Output = Response<Body>> + Send {
    // From its head on, not from when it is first looked at.
    let under_way = gate.spending.token();
    answered(gate, connection, request, under_way)
}

async fn answered(
    gate: Arc<Gate>,
    connection: Connection,
    request: Request<Incoming>,
    under_way: TaskTrackerToken,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let source = gate.config.listen.client_ip;
    let (intake, read) = Intake::read(&gate, &connection, source, &parts);
    let intake = Arc::new(intake);
    let site = gate.site_at(&intake.authority);
    let upgrade = upgrade::is_asked(parts.version, &parts.headers);
    let request = Request::from_parts(parts, body);
    let answered = match read {
        Ok(()) => route(&gate, &connection, site.as_ref(), &intake, request, under_way).await,
        Err(denial) => Err(denial.into()),
    };
    let mut answer = answered.unwrap_or_else(|refusal| {
        redeem::refused(&gate, &intake, &refusal, None);
        answer::refusal(&intake, site.as_ref(), &refusal.denial)
    });
    if upgrade && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        // Whoever takes the upgrade for made may send on: none of that is a request.
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    respond::with_request_id(answer, &intake.id)
}

/// Whether other gates ask there, who are answered before anybody else is.
pub fn is_peers(path: &str) -> bool {
    path.starts_with(gate::peer::PATH)
}

/// What takes several steps is kept apart: whoever needs one step carries no room for all of them.
async fn route(
    gate: &Arc<Gate>,
    connection: &Connection,
    at: Option<&Visited>,
    intake: &Arc<Intake>,
    request: Request<Incoming>,
    under_way: TaskTrackerToken,
) -> Result<Response<Body>, Refusal> {
    let path = intake.path.as_str();
    // Keys are the same under any authority, and other gates know this one by its address.
    if path == JWKS {
        return Ok(jwks(gate, request.method())?);
    }
    if is_peers(path) {
        return Ok(Box::pin(peer::answer(gate, path, request)).await?);
    }
    // Load balancers know this gate by its address, and say for which site they ask.
    if forward_auth::is_asked(path) {
        return Ok(forward_auth::answer(gate, connection, intake, &request)?);
    }
    let at = at.ok_or_else(|| Denial::WrongSite(intake.authority.clone()))?;
    let site = &at.site;
    let opened = |carried, headers| {
        let (gate, at, intake) = (gate.clone(), at.clone(), intake.clone());
        Arc::new(Opened { gate, at, intake, headers, carried })
    };
    let at_path = path.strip_prefix(link::PATH);
    let page = link::opened_at(path).unwrap_or(path);
    match (site.carried(page, intake.query.as_deref())?, at_path) {
        (Some(_), Some(_)) => {
            return Err(Denial::Unreadable("the URL carries two tokens".to_owned()).into());
        }
        (Some(carried), None) => {
            let (parts, _) = request.into_parts();
            let opened = opened(carried, parts.headers);
            return Box::pin(links::on_page(opened, &parts.method)).await;
        }
        (None, Some(token)) => {
            let (parts, body) = request.into_parts();
            let opened = opened(Carried::at_path(token), parts.headers);
            return Box::pin(links::at_path(opened, &parts.method, body)).await;
        }
        (None, None) => {}
    }
    match path {
        "/_once/session" => Ok(sessions::show(gate, site, request.method(), request.headers())?),
        "/_once/logout" => {
            let (method, headers) = (request.method(), request.headers());
            Ok(Box::pin(sessions::log_out(gate, at, intake, method, headers)).await?)
        }
        _ if link::is_gates_own(path) => Err(Denial::NotFound.into()),
        // Whatever the application would make of it, its log would have a link that still works.
        _ if link::holds_token(intake::target(request.uri())) => {
            Err(Denial::Unreadable("a link's token stands where none is taken".to_owned()).into())
        }
        _ => Ok(Box::pin(visit::proxied(gate, at, intake, request, under_way)).await?),
    }
}

fn jwks(gate: &Gate, method: &Method) -> Result<Response<Body>, Denial> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Err(Denial::MethodNotAllowed("GET, HEAD"));
    }
    let keys = gate.keys.load().ring.jwks();
    let mut response =
        respond::typed(StatusCode::OK, "application/jwk-set+json", keys.into_bytes());
    // A key is in here two minutes before it signs anything; a minute's age does no harm.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
    Ok(response)
}
