//! The `api` listener: a dialect's request, or one of the native API's.

use std::{future::Future, sync::Arc};

use http::{HeaderMap, Method, Request, Response, request::Parts};
use hyper::body::Incoming;
use serde_json::Value;

use crate::{
    edge::{
        Gate, answer,
        body::Body,
        call::Call,
        calls,
        connection::Connection,
        credentials::{self, Arrived},
        fields,
        intake::{self, Intake},
        issue, redeem, respond, source, vendors,
    },
    gate::{denial::Denial, redeem::Refusal},
};

/// The most bytes of a batch.
const MAX_BATCH_BODY: u64 = 2 * 1024 * 1024;

/// The `OpenAPI` 3.1 document of this listener.
pub const OPENAPI: &str = include_str!("openapi.json");

/// Answers one request to the API.
pub fn answer(
    gate: Arc<Gate>,
    connection: Connection,
    request: Request<Incoming>,
) -> impl Future<Output = Response<Body>> + Send {
    // From its head on, not from when it is first looked at.
    let spending = gate.spending.clone();
    spending.track_future(answered(gate, connection, request))
}

async fn answered(
    gate: Arc<Gate>,
    connection: Connection,
    request: Request<Incoming>,
) -> Response<Body> {
    let source = gate.config.listen.api_client_ip;
    let (intake, read) = Intake::read(&gate, &connection, source, &request);
    let intake = Arc::new(intake);
    let (parts, mut body) = request.into_parts();
    if let (Ok(()), Some(spoken)) = (&read, vendors::at(&gate, &intake.path)) {
        let arrived = Arrived { connection: &connection, headers: &parts.headers };
        let answer =
            Box::pin(vendors::answer(&gate, &intake, spoken, &arrived, &parts, body)).await;
        return respond::with_request_id(answer, &intake.id);
    }
    let answered = match read {
        Ok(()) => authorised(&gate, &intake, &connection, &parts, &mut body).await,
        Err(denial) => Err((denial.into(), None)),
    };
    intake::let_pass(&gate, parts.version, &mut body).await;
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
    connection: &Connection,
    parts: &Parts,
    body: &mut Incoming,
) -> Result<Response<Body>, Refused> {
    let arrived = Arrived { connection, headers: &parts.headers };
    credentials::encrypted(gate, &arrived).map_err(|denial| (denial.into(), None))?;
    if intake.path == "/openapi.json" {
        return match parts.method {
            Method::GET | Method::HEAD => Ok(respond::json_text(OPENAPI)),
            _ => Err((Denial::MethodNotAllowed("GET, HEAD").into(), None)),
        };
    }
    let caller = credentials::by_key_or_certificate(gate, intake, &arrived)
        .map_err(|denial| (denial.into(), None))?;
    let call = Call { gate, intake, caller };
    route(&call, parts, body).await.map_err(|refusal| (refusal, Some(caller.name.clone())))
}

async fn route(
    call: &Call<'_>,
    parts: &Parts,
    body: &mut Incoming,
) -> Result<Response<Body>, Refusal> {
    let path = call.intake.path.as_str();
    if let Some(id) = path.strip_prefix("/v1/links/")
        && id != "batch"
        && !id.contains('/')
    {
        return match parts.method {
            Method::DELETE => Box::pin(calls::revoke_link(call, id)).await,
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
        "/v1/links" => Ok(Box::pin(issue::link(call, value)).await?),
        "/v1/links/batch" => Ok(Box::pin(issue::batch(call, value)).await?),
        "/v1/redeem" => {
            // RFC 8470: what is replayable must not spend.
            source::not_early(&parts.headers)?;
            calls::redeem(call, value).await
        }
        "/v1/inspect" => Box::pin(calls::inspect(call, value)).await,
        _ => Box::pin(calls::revoke_user(call, value)).await,
    }
}

async fn read_json(
    gate: &Gate,
    headers: &HeaderMap,
    body: &mut Incoming,
    most: u64,
) -> Result<Value, Denial> {
    if !intake::has_type(headers, "application/json") {
        return Err(Denial::UnsupportedMediaType("application/json"));
    }
    fields::json(&intake::read_body(gate, body, most).await?)
}
