//! A refusal as an answer: a page for people, a problem (RFC 9457) for programs.

use http::{
    HeaderValue, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::Serialize;

use crate::{
    edge::{body::Body, intake::Intake, page_headers::Referrer, pages, respond, visit},
    gate::{denial::Denial, site::Visited},
};

/// The members of `application/problem+json`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Problem {
    r#type: String,
    title: &'static str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    code: &'static str,
}

impl Problem {
    /// What a stranger may learn of a refusal.
    pub(super) fn of(denial: &Denial) -> Self {
        let public = denial.public();
        Self {
            r#type: format!("urn:oncegate:problem:{}", public.code),
            title: public.title,
            status: public.status,
            detail: denial.detail(),
            code: public.code,
        }
    }
}

/// A refusal, to a program.
pub(super) fn problem(denial: &Denial) -> Response<Body> {
    let mut response = respond::json(status(denial), &Problem::of(denial));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    complete(response, denial)
}

/// A refusal, to a visitor: a page where a person reads it.
pub(super) fn refusal(intake: &Intake, at: Option<&Visited>, denial: &Denial) -> Response<Body> {
    if intake.wants_page { page(&intake.id, at, denial) } else { problem(denial) }
}

/// A refusal, to a person; `id` names the request.
pub(super) fn page(id: &str, at: Option<&Visited>, denial: &Denial) -> Response<Body> {
    // Where nobody is signed in, a start page that asks for just that leads nowhere.
    let worth_it = |at: &&Visited| *denial != Denial::SignInRequired || visit::shows_home(&at.site);
    let home = at.filter(worth_it).map(Visited::home_url);
    let response = respond::page(status(denial), &[], Referrer::Nothing, |nonce| {
        pages::refusal_page(&pages::RefusalPage {
            denial,
            site_home: home.as_deref(),
            request_id: id,
            nonce,
        })
    });
    complete(response, denial)
}

fn status(denial: &Denial) -> StatusCode {
    StatusCode::from_u16(denial.public().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The headers that belong to a status.
fn complete(mut response: Response<Body>, denial: &Denial) -> Response<Body> {
    let headers = response.headers_mut();
    if let Denial::Unauthorized = denial {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"oncegate\""));
    }
    if let Denial::MethodNotAllowed(methods) = denial {
        headers.insert(ALLOW, HeaderValue::from_static(methods));
    }
    if let Some(seconds) = denial.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
