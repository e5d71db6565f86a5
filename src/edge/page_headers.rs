//! The headers every page of the gate goes out with.

use http::{
    HeaderName, HeaderValue,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
        X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    },
};

const ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");
const STRICT: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'";

/// What a page sends to the places it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Referrer {
    /// The origin: for the link page and the logout question, whose own forms would be sent with
    /// `Origin: null` under the stricter policy, and be refused.
    Origin,
    /// Nothing: for every other page.
    Nothing,
}

/// The headers of a page whose inline style and script carry `nonce`.
///
/// `form_action` are origins that the page's form may lead to besides the gate's own: browsers
/// hold the redirect after a form to this list too, so it names the destination's origin.
pub(super) fn security_headers(
    nonce: &str,
    form_action: &[&str],
    referrer: Referrer,
) -> [(HeaderName, HeaderValue); 7] {
    let policy = HeaderValue::from_str(&content_security_policy(nonce, form_action));
    [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (CONTENT_SECURITY_POLICY, policy.unwrap_or(HeaderValue::from_static(STRICT))),
        (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (ROBOTS, HeaderValue::from_static("noindex")),
        (
            REFERRER_POLICY,
            HeaderValue::from_static(match referrer {
                Referrer::Origin => "strict-origin",
                Referrer::Nothing => "no-referrer",
            }),
        ),
    ]
}

fn content_security_policy(nonce: &str, form_action: &[&str]) -> String {
    if !nonce.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/-_=".contains(&byte)) {
        return STRICT.to_owned();
    }
    let mut policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; \
         img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    );
    for origin in form_action.iter().filter(|origin| is_source(origin)) {
        policy.push(' ');
        policy.push_str(origin);
    }
    policy
}

/// An origin that cannot end its directive or begin another.
fn is_source(origin: &str) -> bool {
    (origin.starts_with("https://") || origin.starts_with("http://"))
        && origin.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":/.-_[]".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(headers: &[(HeaderName, HeaderValue)], name: &HeaderName) -> String {
        let (_, value) = headers.iter().find(|(found, _)| found == name).unwrap();
        value.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_page_loads_nothing_and_is_framed_by_nobody() {
        let headers = security_headers("bm9uY2U", &["https://other.example.com"], Referrer::Origin);
        assert_eq!(
            value(&headers, &CONTENT_SECURITY_POLICY),
            "default-src 'none'; style-src 'nonce-bm9uY2U'; script-src 'nonce-bm9uY2U'; \
             img-src data:; frame-ancestors 'none'; base-uri 'none'; \
             form-action 'self' https://other.example.com"
        );
        assert_eq!(value(&headers, &X_FRAME_OPTIONS), "DENY");
        assert_eq!(value(&headers, &CACHE_CONTROL), "no-store");
        assert_eq!(value(&headers, &ROBOTS), "noindex");
        assert_eq!(value(&headers, &REFERRER_POLICY), "strict-origin");
        let other = security_headers("bm9uY2U", &[], Referrer::Nothing);
        assert_eq!(value(&other, &REFERRER_POLICY), "no-referrer");
    }

    #[test]
    fn nothing_can_be_slipped_into_the_policy() {
        for (nonce, origin) in [
            ("x'; script-src *; '", "https://a.example"),
            ("x\r\nSet-Cookie: a=b", "https://a.example"),
            ("x", "https://a.example; script-src *"),
            ("x", "https://a.example 'unsafe-inline'"),
            ("x", "https://a.example\r\nX: y"),
            ("x", "*"),
            ("x", "data:"),
        ] {
            let headers = security_headers(nonce, &[origin], Referrer::Nothing);
            let policy = value(&headers, &CONTENT_SECURITY_POLICY);
            assert!(policy.starts_with("default-src 'none';"), "{policy}");
            assert!(!policy.contains('*') && !policy.contains("unsafe"), "{policy}");
            assert!(policy.ends_with("form-action 'self'") || policy == STRICT, "{policy}");
        }
    }
}
