//! Where a browser's request comes from: the gate's own page, another site, a preview.

use http::{HeaderMap, HeaderName, header};

use crate::gate::{denial::Denial, origin::Origin};

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
pub(super) const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

/// Whether a request that changes something comes from the gate's own page.
///
/// It does if the browser says so (`Sec-Fetch-Site: same-origin`), or, from one that does not
/// say, if `Origin` is the site's; a client that sends neither is not a browser, and cannot be
/// made to send what its user did not mean. `Origin: null`, as sandboxed frames send it, never
/// passes.
///
/// # Errors
/// [`Denial::CrossSite`].
pub(super) fn same_origin(headers: &HeaderMap, origin: &Origin) -> Result<(), Denial> {
    let fetch_site = only(headers, &FETCH_SITE)?;
    let from = only(headers, &header::ORIGIN)?;
    if from == Some("null") {
        return Err(Denial::CrossSite("an opaque origin".to_owned()));
    }
    match (fetch_site, from) {
        (Some("same-origin"), _) | (None, None) => Ok(()),
        (None, Some(from)) if from == origin.as_str() => Ok(()),
        (Some(site), _) => Err(Denial::CrossSite(format!("sec-fetch-site {site:?}"))),
        (None, Some(from)) => Err(Denial::CrossSite(format!("origin {from:?}"))),
    }
}

/// Whether this may be spent upon: what came as early data may be a replay (RFC 8470).
///
/// # Errors
/// [`Denial::TooEarly`].
pub(super) fn not_early(headers: &HeaderMap) -> Result<(), Denial> {
    if headers.contains_key("early-data") { Err(Denial::TooEarly) } else { Ok(()) }
}

/// Whether a person opened this page in a tab, as far as the browser says.
///
/// Not so for what a page embeds, and for what is fetched before anybody asked to see it.
pub(super) fn is_visit(headers: &HeaderMap) -> bool {
    let says = |name, expected| match only(headers, &name) {
        Ok(Some(value)) => value == expected,
        Ok(None) => true,
        Err(_) => false,
    };
    says(FETCH_MODE, "navigate") && says(FETCH_DEST, "document") && !is_preview(headers)
}

/// Whether this is fetched before anybody asked to see it: prefetch, prerender, preview.
pub(super) fn is_preview(headers: &HeaderMap) -> bool {
    ["sec-purpose", "purpose", "x-purpose", "x-moz"].into_iter().any(|name| {
        headers.get_all(name).iter().any(|value| {
            let value = value.as_bytes().to_ascii_lowercase();
            [&b"prefetch"[..], b"prerender", b"preview"]
                .into_iter()
                .any(|purpose| value.windows(purpose.len()).any(|window| window == purpose))
        })
    })
}

/// Whether a browser's navigation asks for this, rather than a script or an image.
pub(super) fn is_navigation(headers: &HeaderMap) -> bool {
    // Old browsers do not say what they fetch for, but the libraries in them do. An app that shows
    // pages in a view of its own sends its name under the same header.
    let by_script = headers
        .get_all(REQUESTED_WITH)
        .iter()
        .any(|with| with.as_bytes().eq_ignore_ascii_case(b"XMLHttpRequest"));
    !by_script && matches!(only(headers, &FETCH_MODE), Ok(Some("navigate") | None))
}

/// The value of a header that may be sent once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Denial> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value
            .to_str()
            .map(Some)
            .map_err(|_| Denial::CrossSite(format!("{name} is not readable"))),
        (Some(_), Some(_)) => Err(Denial::CrossSite(format!("{name} is sent twice"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, http::HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn only_the_gates_own_page_may_change_something() {
        let origin = Origin::parse("https://panel.example.com").unwrap();
        let own = [
            &[][..],
            &[("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "same-origin"), ("origin", "https://panel.example.com")],
            &[("origin", "https://panel.example.com")],
        ];
        for pairs in own {
            assert_eq!(same_origin(&headers(pairs), &origin), Ok(()), "{pairs:?}");
        }
        let others = [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "none")],
            &[("sec-fetch-site", "")],
            &[("sec-fetch-site", "cross-site"), ("origin", "https://panel.example.com")],
            &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-origin"), ("origin", "null")],
            &[("origin", "null")],
            &[("origin", "https://evil.example.com")],
            &[("origin", "https://panel.example.com.evil.org")],
            &[("origin", "http://panel.example.com")],
            &[("origin", "https://panel.example.com:444")],
            &[("origin", "https://panel.example.com"), ("origin", "https://evil.example.com")],
        ];
        for pairs in others {
            let denial = same_origin(&headers(pairs), &origin).unwrap_err();
            assert_eq!(denial.public().code, "cross_site", "{pairs:?}");
        }
    }

    #[test]
    fn a_visit_is_a_person_opening_a_page() {
        assert!(is_visit(&headers(&[])));
        assert!(is_visit(&headers(&[
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document")
        ])));
        let others = [
            ("sec-fetch-mode", "no-cors"),
            ("sec-fetch-mode", "cors"),
            ("sec-fetch-dest", "iframe"),
            ("sec-fetch-dest", "image"),
            ("sec-fetch-dest", "empty"),
            ("sec-purpose", "prefetch"),
            ("sec-purpose", "prefetch;prerender"),
            ("purpose", "prefetch"),
            ("x-purpose", "preview"),
            ("x-moz", "prefetch"),
        ];
        for pair in others {
            assert!(!is_visit(&headers(&[pair])), "{pair:?}");
        }
    }
}
