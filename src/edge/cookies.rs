//! The session cookie stays between the browser and the gate.
//!
//! Upstreams neither see it nor set it. Its name counts with and without `__Host-`, so that a
//! gate whose configuration changed from one to the other leaks no older cookie.

use http::{
    HeaderMap, HeaderValue,
    header::{COOKIE, SET_COOKIE},
};

const HOST_PREFIX: &[u8] = b"__Host-";

/// The value of the cookie `name`; two of that name count as none.
pub(super) fn only<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    let lines = headers.get_all(COOKIE).iter();
    let mut values = lines
        .flat_map(pairs)
        .filter_map(|pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="));
    values.next().filter(|_| values.next().is_none())
}

/// Removes the cookie `name` from a request, and leaves the others byte for byte.
///
/// Several `Cookie` lines become one (RFC 6265, 5.4: a browser sends one).
pub(super) fn strip_request(headers: &mut HeaderMap, name: &str) {
    let lines = headers.get_all(COOKIE);
    let mut is_changed = lines.iter().nth(1).is_some();
    let mut kept = Vec::new();
    for pair in lines.iter().flat_map(pairs) {
        if is_session(cookie_name(pair), name) {
            is_changed = true;
            continue;
        }
        if !kept.is_empty() {
            kept.extend_from_slice(b"; ");
        }
        kept.extend_from_slice(pair.trim_ascii());
    }
    if !is_changed {
        return;
    }
    headers.remove(COOKIE);
    if !kept.is_empty()
        && let Ok(value) = HeaderValue::from_bytes(&kept)
    {
        headers.insert(COOKIE, value);
    }
}

/// Removes every `Set-Cookie` that would set, or read back as, the cookie `name`.
pub(super) fn strip_response(headers: &mut HeaderMap, name: &str) {
    let ours = |line: &HeaderValue| {
        let pair = pairs(line).next().unwrap_or_default().trim_ascii();
        // A nameless cookie `=n=v` is sent back as `n=v`, which reads as the cookie `n`.
        is_session(cookie_name(pair.strip_prefix(b"=").unwrap_or(pair)), name)
    };
    if !headers.get_all(SET_COOKIE).iter().any(ours) {
        return;
    }
    let lines: Vec<HeaderValue> =
        headers.get_all(SET_COOKIE).iter().filter(|line| !ours(line)).cloned().collect();
    headers.remove(SET_COOKIE);
    for line in lines {
        headers.append(SET_COOKIE, line);
    }
}

/// What stands between semicolons. A sealed session is long, and looked through several times.
fn pairs(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line.as_bytes());
    let parts = std::iter::from_fn(move || {
        let all = rest?;
        let divided = memchr::memchr(b';', all).and_then(|at| all.split_at_checked(at));
        let (part, others) = match divided {
            Some((part, others)) => (part, others.get(1..)),
            None => (all, None),
        };
        rest = others;
        Some(part)
    });
    parts.filter(|pair| !pair.trim_ascii().is_empty())
}

fn cookie_name(pair: &[u8]) -> &[u8] {
    let end = memchr::memchr(b'=', pair).unwrap_or(pair.len());
    pair.get(..end).unwrap_or_default().trim_ascii()
}

fn is_session(found: &[u8], configured: &str) -> bool {
    fn bare(name: &[u8]) -> &[u8] {
        name.strip_prefix(HOST_PREFIX).unwrap_or(name)
    }
    bare(found) == bare(configured.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "__Host-oncegate";

    fn request(lines: &[&'static str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_static(line));
        }
        strip_request(&mut headers, NAME);
        assert!(headers.get_all(COOKIE).iter().count() <= 1);
        headers.get(COOKIE).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn the_session_cookie_does_not_pass_wherever_it_stands() {
        for lines in [
            &["__Host-oncegate=s; a=1; b=2"][..],
            &["a=1; __Host-oncegate=s; b=2"],
            &["a=1; b=2;__Host-oncegate=s"],
            &["a=1; __Host-oncegate =s; b=2;"],
            &["a=1; __Host-oncegate; b=2"],
            &["__Host-oncegate=s; a=1; __Host-oncegate=t; b=2"],
            &["a=1", "__Host-oncegate=s", "b=2"],
            &["a=1; __Host-oncegate=s", "b=2; oncegate=old"],
        ] {
            assert_eq!(request(lines).as_deref(), Some("a=1; b=2"), "{lines:?}");
        }
        assert_eq!(request(&["__Host-oncegate=s"]), None);
    }

    #[test]
    fn other_cookies_pass_byte_for_byte() {
        let odd = "a=\"x y\";b==; c=%00;oncegate2=1; __Host-oncegatex=2;  d";
        assert_eq!(request(&[odd]).as_deref(), Some(odd));
        assert_eq!(request(&[]), None);
        assert_eq!(
            request(&["a=\"x  y\"; oncegate=1; b=%3B=="]).as_deref(),
            Some("a=\"x  y\"; b=%3B==")
        );
    }

    #[test]
    fn an_upstream_cannot_set_the_session_cookie() {
        let mut headers = HeaderMap::new();
        for line in [
            "__Host-oncegate=x; Path=/; Secure",
            "a=__Host-oncegate; Path=/",
            "oncegate=x",
            "  __Host-oncegate  = x",
            "=__Host-oncegate=x",
            "= oncegate=x",
            "oncegate",
            "b=2; HttpOnly",
            ";__Host-oncegate=x",
        ] {
            headers.append(SET_COOKIE, HeaderValue::from_static(line));
        }
        strip_response(&mut headers, NAME);
        let left: Vec<_> = headers.get_all(SET_COOKIE).iter().collect();
        assert_eq!(left, ["a=__Host-oncegate; Path=/", "b=2; HttpOnly"]);
    }
}
