//! Which trailer fields cross the gate, in either direction.
//!
//! Those that `Trailer` announced and that mean nothing where they stand but what the two ends
//! agreed on. A field in a trailer comes after the identity was set: what is the gate's own, what
//! frames, routes, authenticates or sets a cookie (RFC 9110, 6.5.1) stays behind, however it is
//! spelled, and so does what nobody announced.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONNECTION, TRAILER},
};

use crate::{
    edge::{
        gate_names::{begins, is_gates, reads_as},
        headers::{names_in, names_where, remove_all},
    },
    gate::site::Identity,
};

/// Families of names that mean something in a head alone.
const HEAD_PREFIXES: [&str; 8] = [
    "if-",
    "content-",
    "cookie",
    "set-cookie",
    "access-control-",
    "sec-",
    "x-http-method", // -override too
    "x-accel-",
];
/// Names that mean something in a head alone, beside those that are the gate's.
const HEAD_NAMES: [&str; 24] = [
    "accept-ranges",
    "age",
    "authentication-info",
    "authorization",
    "cache-control",
    "clear-site-data",
    "date",
    "early-data",
    "etag", // a proxy may have answered by the one in the head
    "expires",
    "last-modified",
    "location",
    "max-forwards",
    "origin",
    "pragma",
    "range",
    "referer",
    "refresh",
    "retry-after",
    "strict-transport-security",
    "vary",
    "via",
    "warning",
    "www-authenticate",
];

/// The trailer fields of one message that may cross.
#[derive(Debug, Clone, Default)]
pub struct Announced(Vec<HeaderName>);

impl Announced {
    /// Of a message with this head, as it came; `mapping` is the site's own identity headers.
    pub fn of(head: &HeaderMap, mapping: &[(String, Identity)]) -> Self {
        if !head.contains_key(TRAILER) {
            return Self::default();
        }
        let mut names = names_in(head, &TRAILER);
        let of_this_hop = names_in(head, &CONNECTION);
        names.retain(|name| may_trail(name.as_str(), mapping) && !of_this_hop.contains(name));
        Self(names)
    }

    /// Whether none may.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Says in the head that goes on what will follow. What the head said of that as it came is
    /// gone by then.
    pub fn announce(&self, head: &mut HeaderMap) {
        if self.is_empty() {
            return;
        }
        let names: Vec<&str> = self.0.iter().map(HeaderName::as_str).collect();
        if let Ok(names) = HeaderValue::try_from(names.join(", ")) {
            head.insert(TRAILER, names);
        }
    }

    /// Leaves in `trailers` what may cross.
    pub fn keep(&self, mut trailers: HeaderMap) -> HeaderMap {
        let others = names_where(&trailers, |name| !self.0.contains(name));
        remove_all(&mut trailers, others);
        trailers
    }
}

fn may_trail(name: &str, mapping: &[(String, Identity)]) -> bool {
    !is_gates(name, mapping)
        && !HEAD_PREFIXES.iter().any(|prefix| begins(name, prefix))
        && !HEAD_NAMES.iter().any(|other| reads_as(name, other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(announced: &str, trailers: &[(&str, &str)]) -> Vec<String> {
        let mut head = HeaderMap::new();
        head.insert(TRAILER, announced.parse().unwrap());
        head.insert(CONNECTION, "x-hop".parse().unwrap());
        let announced = Announced::of(&head, &[("Remote-User".to_owned(), Identity::User)]);
        let mut map = HeaderMap::new();
        for (name, value) in trailers {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        let kept = announced.keep(map);
        let mut names: Vec<String> = kept.keys().map(ToString::to_string).collect();
        names.sort();
        announced.announce(&mut head);
        let said = head.get(TRAILER).map_or("", |value| value.to_str().unwrap());
        assert!(names.iter().all(|name| said.split(", ").any(|said| said == name)), "{said}");
        names
    }

    #[test]
    fn what_was_announced_crosses_and_nothing_else() {
        let trailers = [("x-checksum", "1"), ("grpc-status", "0"), ("x-other", "2")];
        assert_eq!(kept("X-Checksum,  Grpc-Status , ,(", &trailers), ["grpc-status", "x-checksum"]);
        assert!(kept("", &trailers).is_empty());
    }

    #[test]
    fn what_means_something_in_a_head_alone_stays_behind_in_every_spelling() {
        for name in [
            "X-Oncegate-User",
            "x_oncegate_user",
            "X.Oncegate.Assertion",
            "Remote-User",
            "remote_user",
            "X-Forwarded-For",
            "Forwarded",
            "X-Real-IP",
            "Host",
            "Content-Length",
            "Content_Type",
            "Transfer-Encoding",
            "Connection",
            "Upgrade",
            "TE",
            "Trailer",
            "Authorization",
            "Proxy-Authorization",
            "WWW-Authenticate",
            "Cookie",
            "Cookie2",
            "Set-Cookie",
            "set_cookie",
            "Cache-Control",
            "If-Match",
            "Range",
            "Location",
            "Early-Data",
            "X-HTTP-Method-Override",
            "X-Original-URL",
            "x-hop",
        ] {
            assert!(kept(name, &[(name, "forged")]).is_empty(), "{name}");
        }
    }
}
