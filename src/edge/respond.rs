//! Answers of the gate's own: JSON, pages, redirects. All are `no-store`.

use http::{
    HeaderName, HeaderValue, Method, Response, StatusCode,
    header::{
        ALLOW, CACHE_CONTROL, CONTENT_TYPE, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    },
};
use serde::Serialize;

use crate::{
    edge::{
        body::{self, Body},
        page_headers::{self, Referrer},
    },
    gate::denial::Denial,
    ops::entropy,
};

const ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");
/// Names a request in logs and answers.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A value as JSON.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    typed(status, "application/json", serde_json::to_vec(value).unwrap_or_default())
}

/// A text that is JSON already.
pub(super) fn json_text(text: &'static str) -> Response<Body> {
    typed(StatusCode::OK, "application/json", text.as_bytes().to_vec())
}

/// A body of some media type.
pub(super) fn typed(status: StatusCode, media_type: &'static str, body: Vec<u8>) -> Response<Body> {
    let mut response = bare(status, body::full(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// A status, without a body.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    bare(status, body::empty())
}

/// 204, without a body.
pub(super) fn no_content() -> Response<Body> {
    empty(StatusCode::NO_CONTENT)
}

/// 204, naming the methods that are taken.
pub(super) fn allowing(methods: &'static str) -> Response<Body> {
    let mut response = no_content();
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    response
}

/// 303: whatever the method was, look there with GET.
///
/// # Errors
/// [`Denial::Internal`] for a location that no header can carry; judged destinations can be.
pub(super) fn see_other(location: &str) -> Result<Response<Body>, Denial> {
    let location = HeaderValue::try_from(location)
        .map_err(|_| Denial::Internal("a destination cannot stand in a header".to_owned()))?;
    let mut response = bare(StatusCode::SEE_OTHER, body::empty());
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

/// To whom asked with `method`, look there with GET: 302 where it was that already, 303 else.
///
/// # Errors
/// As [`see_other`].
pub(super) fn redirect(method: &Method, location: &str) -> Result<Response<Body>, Denial> {
    let mut response = see_other(location)?;
    if matches!(*method, Method::GET | Method::HEAD) {
        *response.status_mut() = StatusCode::FOUND;
    }
    Ok(response)
}

/// A page for a person: what `render` makes of a fresh nonce.
///
/// `form_action` are the origins that its form may lead to besides the gate's own.
pub(super) fn page(
    status: StatusCode,
    form_action: &[&str],
    referrer: Referrer,
    render: impl FnOnce(&str) -> String,
) -> Response<Body> {
    let nonce = hex(&entropy::random::<16>());
    let mut response = bare(status, body::full(render(&nonce)));
    for (name, value) in page_headers::security_headers(&nonce, form_action, referrer) {
        response.headers_mut().insert(name, value);
    }
    response
}

/// The same answer, naming its request.
pub(super) fn with_request_id(mut response: Response<Body>, id: &str) -> Response<Body> {
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

fn bare(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    // With room for those of most answers: it does not grow.
    headers.reserve(12);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(ROBOTS, HeaderValue::from_static("noindex"));
    response
}

/// Two digits a byte. Each request has an id of them.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from(if half < 10 { b'0' + half } else { b'a' - 10 + half });
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_in_two_digits_each() {
        assert_eq!(hex(&[0, 9, 10, 0x0f, 0xf0, 0xa9, 0xff]), "00090a0ff0a9ff");
    }

    #[test]
    fn what_no_header_can_carry_is_no_redirect() {
        assert!(see_other("https://panel.example.com/\r\nSet-Cookie: a=b").is_err());
    }
}
