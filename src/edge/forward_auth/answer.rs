//! What a load balancer is told, in the words it understands.

use std::sync::Arc;

use http::{HeaderValue, Response, StatusCode, header::LOCATION};

use crate::{
    edge::{
        answer, assertions::Signed, body::Body, forward_auth::convention::Style,
        headers::Introduction, respond,
    },
    gate::{denial::Denial, original::Original, site::Visited},
};

/// What becomes of a request that was asked about.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It may pass: who is there, if anybody is.
    Pass(Option<Arc<Signed>>),
    /// The visitor goes there instead: an absolute URL.
    Elsewhere(String),
}

/// Who reads what does not pass.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    /// The request's id.
    pub request: &'a str,
    /// Whether it is a person who opens a page.
    pub navigates: bool,
}

/// A verdict, as an answer: exactly 200, or the way elsewhere.
///
/// # Errors
/// [`Denial::Forbidden`] where something else refused what the gate lets pass, and the gate is
/// asked for the words; [`Denial::Internal`] for a location that no header can carry.
pub(super) fn given(
    style: Style,
    original: &Original<'_>,
    verdict: Verdict,
) -> Result<Response<Body>, Denial> {
    match (verdict, style) {
        (Verdict::Pass(somebody), Style::Full | Style::Terse) => {
            let mut response = respond::empty(StatusCode::OK);
            match somebody {
                Some(signed) => signed.introduction.answer(response.headers_mut()),
                None => Introduction::of_nobody(&original.at.site.headers)
                    .answer(response.headers_mut()),
            }
            Ok(response)
        }
        // Whom a visitor's browser must not be told: an assertion is for the application.
        (Verdict::Pass(_), Style::Shown) => {
            Err(Denial::Forbidden("it was refused before it reached the application".to_owned()))
        }
        (Verdict::Elsewhere(url), Style::Full | Style::Shown) => {
            respond::redirect(&original.method, &url)
        }
        (Verdict::Elsewhere(url), Style::Terse) => {
            let mut response = respond::empty(StatusCode::UNAUTHORIZED);
            let url = HeaderValue::try_from(url)
                .map_err(|_| Denial::Internal("a page cannot stand in a header".to_owned()))?;
            response.headers_mut().insert(LOCATION, url);
            Ok(response)
        }
    }
}

/// A refusal, as an answer.
pub(super) fn refused(
    style: Style,
    reader: &Reader<'_>,
    at: Option<&Visited>,
    denial: &Denial,
) -> Response<Body> {
    match style {
        // To nginx every other 4xx is a fault of the gate.
        Style::Terse if denial.public().status < 500 => respond::empty(StatusCode::FORBIDDEN),
        Style::Terse => respond::empty(StatusCode::INTERNAL_SERVER_ERROR),
        Style::Full | Style::Shown if reader.navigates => answer::page(reader.request, at, denial),
        Style::Full | Style::Shown => answer::problem(denial),
    }
}
