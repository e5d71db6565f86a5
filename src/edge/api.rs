//! The `api` listener: who calls, and what for.

use std::{net::SocketAddr, sync::Arc};

use http::{HeaderMap, Method, Request, Response, header, request::Parts};
use hyper::body::Incoming;
use serde_json::Value;

use crate::{
    edge::{
        Gate, answer,
        body::Body,
        call::Call,
        calls, fields,
        intake::{self, Intake},
        issue, redeem, respond, source,
    },
    gate::{
        caller::{self, Caller},
        client_ip::ClientIp,
        denial::Denial,
        redeem::Refusal,
    },
};

/// The most bytes of a batch.
const MAX_BATCH_BODY: u64 = 2 * 1024 * 1024;

/// The `OpenAPI` 3.1 document of this listener.
pub const OPENAPI: &str = include_str!("openapi.json");

/// Answers one request to the API.
pub async fn answer(
    gate: Arc<Gate>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let source = gate.config.listen.api_client_ip;
    let (intake, read) = Intake::read(&gate, peer.ip(), source, &parts);
    let intake = Arc::new(intake);
    let answered = match read {
        Ok(()) => authorised(&gate, &intake, peer, &parts, body).await,
        Err(denial) => Err((denial.into(), None)),
    };
    let answer = answered.unwrap_or_else(|(refusal, caller)| {
        redeem::refused(&gate, &intake, &refusal, caller.as_deref());
        answer::problem(&refusal.denial)
    });
    respond::with_request_id(answer, &intake.id)
}

/// A refusal, and the caller it was given to.
type Refused = (Refusal, Option<String>);

async fn authorised(
    gate: &Arc<Gate>,
    intake: &Arc<Intake>,
    peer: SocketAddr,
    parts: &Parts,
    body: Incoming,
) -> Result<Response<Body>, Refused> {
    encrypted(gate, peer, &parts.headers).map_err(|denial| (denial.into(), None))?;
    if intake.path == "/openapi.json" {
        return match parts.method {
            Method::GET | Method::HEAD => Ok(respond::json_text(OPENAPI)),
            _ => Err((Denial::MethodNotAllowed("GET, HEAD").into(), None)),
        };
    }
    let caller =
        authenticate(gate, intake, &parts.headers).map_err(|denial| (denial.into(), None))?;
    let call = Call { gate, intake, caller };
    route(&call, parts, body).await.map_err(|refusal| (refusal, Some(caller.name.clone())))
}

async fn route(call: &Call<'_>, parts: &Parts, body: Incoming) -> Result<Response<Body>, Refusal> {
    let path = call.intake.path.as_str();
    if let Some(id) = path.strip_prefix("/v1/links/")
        && id != "batch"
        && !id.contains('/')
    {
        return match parts.method {
            Method::DELETE => calls::revoke_link(call, id).await,
            _ => Err(Denial::MethodNotAllowed("DELETE").into()),
        };
    }
    if !matches!(
        path,
        "/v1/links" | "/v1/links/batch" | "/v1/redeem" | "/v1/inspect" | "/v1/revocations"
    ) {
        return Err(Denial::NotFound.into());
    }
    if parts.method != Method::POST {
        return Err(Denial::MethodNotAllowed("POST").into());
    }
    let most = match path {
        "/v1/links/batch" => call.gate.config.limits.max_body.max(MAX_BATCH_BODY),
        _ => call.gate.config.limits.max_body,
    };
    let value = read_json(call.gate, &parts.headers, body, most).await?;
    match path {
        "/v1/links" => Ok(issue::link(call, value)?),
        "/v1/links/batch" => Ok(issue::batch(call, value)?),
        "/v1/redeem" => {
            // RFC 8470: what is replayable must not spend.
            source::not_early(&parts.headers)?;
            calls::redeem(call, value).await
        }
        "/v1/inspect" => calls::inspect(call, value),
        _ => calls::revoke_user(call, value).await,
    }
}

/// Keys travel in every request: off loopback, only through TLS or on a network vouched for.
fn encrypted(gate: &Gate, peer: SocketAddr, headers: &HeaderMap) -> Result<(), Denial> {
    let listen = &gate.config.listen;
    if listen.api.ip().is_loopback() || listen.insecure_api {
        return Ok(());
    }
    let mut protocols = headers.get_all("x-forwarded-proto").iter();
    let by_tls = matches!(
        (protocols.next(), protocols.next()),
        (Some(protocol), None) if protocol == "https"
    );
    if by_tls && listen.trusted_proxies.contains(ClientIp::new(peer.ip())) {
        return Ok(());
    }
    Err(Denial::Forbidden("use https: keys are not taken over plain HTTP here".to_owned()))
}

fn authenticate<'g>(
    gate: &'g Arc<Gate>,
    intake: &Intake,
    headers: &HeaderMap,
) -> Result<&'g Arc<Caller>, Denial> {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return Err(Denial::Unauthorized);
    };
    // RFC 9110, 11.1: the scheme's case does not count.
    let key = match line.as_bytes().split_at_checked(7) {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case(b"Bearer ") => key,
        _ => return Err(Denial::Unauthorized),
    };
    let caller = caller::by_key(&gate.config.callers, key).ok_or(Denial::Unauthorized)?;
    let allowed = caller.from.is_empty()
        || intake.client.as_ref().is_ok_and(|client| caller.from.contains(*client));
    if allowed {
        Ok(caller)
    } else {
        Err(Denial::Forbidden("this caller may not call from this address".to_owned()))
    }
}

async fn read_json(
    gate: &Gate,
    headers: &HeaderMap,
    body: Incoming,
    most: u64,
) -> Result<Value, Denial> {
    if !intake::has_type(headers, "application/json") {
        return Err(Denial::UnsupportedMediaType("application/json"));
    }
    fields::json(&intake::read_body(gate, body, most).await?)
}
