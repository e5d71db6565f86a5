//! The public listener: which site a request is for, and which of the gate's own paths.

use std::{future::Future, pin::Pin, sync::Arc};

use futures_util::TryFutureExt as _;
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
    let source = gate.config.listen.client_ip;
    let (intake, read) = Intake::read(&gate, &connection, source, &request);
    let intake = Arc::new(intake);
    let site = gate.site_at(&intake.authority);
    let upgrade = upgrade::is_asked(request.version(), request.headers());
    let routed = read
        .map_err(Refusal::from)
        .and_then(|()| route(&gate, &connection, site.as_ref(), &intake, request));
    let answered = match routed {
        Ok(Routed::Answered(answer)) => Ok(answer),
        Ok(Routed::Asks(answer)) => answer.await,
        Ok(Routed::Proxied(answer)) => {
            // An upstream that takes its time keeps no successor waiting for the state.
            drop(under_way);
            answer.await
        }
        Err(refusal) => Err(refusal),
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

/// Who answers a request. What takes several steps is kept apart: whoever needs one step carries
/// no room for all of them.
enum Routed<'r> {
    /// It is answered.
    Answered(Response<Body>),
    /// By steps in which the store may be asked for something.
    Asks(Steps<'r>),
    /// The upstream: the store was asked all that it is asked.
    Proxied(Steps<'r>),
}

/// What is done for a request, one after the other.
pub(super) type Steps<'r> =
    Pin<Box<dyn Future<Output = Result<Response<Body>, Refusal>> + Send + 'r>>;

fn route<'r>(
    gate: &'r Arc<Gate>,
    connection: &Connection,
    at: Option<&'r Visited>,
    intake: &'r Arc<Intake>,
    request: Request<Incoming>,
) -> Result<Routed<'r>, Refusal> {
    let path = intake.path.as_str();
    // Keys are the same under any authority, and other gates know this one by its address.
    if path == JWKS {
        return Ok(Routed::Answered(jwks(gate, request.method())?));
    }
    if is_peers(path) {
        return Ok(Routed::Asks(Box::pin(peer::answer(gate, path, request).err_into())));
    }
    // Load balancers know this gate by its address, and say for which site they ask.
    if forward_auth::is_asked(path) {
        return Ok(Routed::Answered(forward_auth::answer(gate, connection, intake, &request)?));
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
            return Ok(Routed::Asks(Box::pin(links::on_page(opened, parts.method))));
        }
        (None, Some(token)) => {
            let (parts, body) = request.into_parts();
            let opened = opened(Carried::at_path(token), parts.headers);
            return Ok(Routed::Asks(Box::pin(links::at_path(opened, parts.method, body))));
        }
        (None, None) => {}
    }
    match path {
        "/_once/session" => {
            let (method, headers) = (request.method(), request.headers());
            Ok(Routed::Answered(sessions::show(gate, site, method, headers)?))
        }
        "/_once/logout" => {
            let (parts, _) = request.into_parts();
            Ok(Routed::Asks(Box::pin(sessions::log_out(gate, at, intake, parts).err_into())))
        }
        _ if link::is_gates_own(path) => Err(Denial::NotFound.into()),
        // Whatever the application would make of it, its log would have a link that still works.
        _ if link::holds_token(intake::target(request.uri())) => {
            Err(Denial::Unreadable("a link's token stands where none is taken".to_owned()).into())
        }
        _ => Ok(Routed::Proxied(visit::proxied(gate, at, intake, request)?)),
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
