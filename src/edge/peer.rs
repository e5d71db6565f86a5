//! Other gates' questions: bytes in, bytes out; the store knows what they mean.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use crate::{
    edge::{Gate, body::Body, intake, respond},
    gate::{denial::Denial, peer::PROOF_HEADER},
    store::peers::Sealed,
};

/// The most bytes of a question.
const LARGEST: u64 = 64 * 1024;

/// Answers a question below [`crate::gate::peer::PATH`].
///
/// # Errors
/// [`Denial::NotFound`] for whatever is not a peer's question to this gate, as at any path where
/// there is nothing: a stranger learns not even whether there are peers.
pub(super) async fn answer(
    gate: &Arc<Gate>,
    path: &str,
    request: Request<Incoming>,
) -> Result<Response<Body>, Denial> {
    let (parts, body) = request.into_parts();
    let mut proofs = parts.headers.get_all(PROOF_HEADER).iter();
    let (Some(proof), None) = (proofs.next(), proofs.next()) else { return Err(Denial::NotFound) };
    let proof = proof.to_str().map_err(|_| Denial::NotFound)?.to_owned();
    if parts.method != Method::POST || !gate.store.may_ask(&proof) {
        return Err(Denial::NotFound);
    }
    let body = intake::read_body(gate, body, LARGEST).await.map_err(|_| Denial::NotFound)?;
    let question = Sealed { proof, body: Bytes::from(body) };
    let (state, path) = (gate.clone(), path.to_owned());
    // On a task of its own: what is recorded is also remembered as this attempt's, whoever hangs up.
    let answered = gate
        .spending
        .spawn(async move { state.store.answer(&path, &question, || state.clock.now()).await });
    let answered = answered.await.map_err(|error| Denial::Internal(error.to_string()))?;
    let Sealed { proof, body } = answered.ok_or(Denial::NotFound)?;
    let proof = HeaderValue::try_from(proof)
        .map_err(|_| Denial::Internal("a proof cannot stand in a header".to_owned()))?;
    let mut response = respond::typed(StatusCode::OK, "application/json", body.to_vec());
    response.headers_mut().insert(HeaderName::from_static(PROOF_HEADER), proof);
    Ok(response)
}
