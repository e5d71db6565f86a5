//! Which header fields cross the gate, and which the gate alone sets.
//!
//! Removal comes first, setting last: nothing a client sends, under whatever spelling, and nothing
//! it lists in `Connection`, changes what the upstream reads about who is there.

use std::net::IpAddr;

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH,
        COOKIE, HOST, REFERRER_POLICY, TE, TRANSFER_ENCODING, USER_AGENT,
    },
};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Map, Value};

use crate::{
    edge::{cookies, gate_names::is_gates},
    gate::{id::TokenId, site::Identity},
};

/// The user, percent-encoded.
pub const USER: HeaderName = HeaderName::from_static("x-oncegate-user");
/// The caller that asked for the link, percent-encoded.
pub const CALLER: HeaderName = HeaderName::from_static("x-oncegate-caller");
/// The assertion; with `handoff = callback` the login assertion.
pub const ASSERTION: HeaderName = HeaderName::from_static("x-oncegate-assertion");

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// All but visible ASCII, and `%` itself, so that decoding gives back exactly what was encoded.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

/// Fields that the gate sets in a request: of the visit, who is there, what the body is.
const ROOM: usize = 12;
/// What of a visitor's own request goes along to an upstream's callback.
const CALLBACK_NAMES: [HeaderName; 7] = [
    USER_AGENT,
    ACCEPT,
    ACCEPT_LANGUAGE,
    ACCEPT_ENCODING,
    COOKIE,
    HeaderName::from_static("dnt"),
    HeaderName::from_static("sec-gpc"),
];

/// Who is signed in, as the upstream is told.
#[derive(Debug, Clone, Copy)]
pub struct SignedIn<'a> {
    /// The user.
    pub user: &'a str,
    /// The caller that asked for the link.
    pub caller: &'a str,
    /// The site's name.
    pub site: &'a str,
    /// The link that opened the session.
    pub link: TokenId,
    /// The claims that the caller set.
    pub ctx: Option<&'a Map<String, Value>>,
    /// The assertion, a compact JWS.
    pub assertion: &'a str,
}

/// What is said of somebody to an upstream: every identity header of the site, and nothing in
/// those that have nothing to say. Made once, said at every request.
#[derive(Debug)]
pub struct Introduction(Box<[(HeaderName, Option<HeaderValue>)]>);

impl Introduction {
    /// Of somebody who is signed in.
    pub fn of(mapping: &[(String, Identity)], who: &SignedIn<'_>) -> Self {
        let mut headers = HeaderMap::new();
        set_identity(&mut headers, mapping, who);
        Self::all(mapping, headers)
    }

    /// Of nobody.
    pub fn of_nobody(mapping: &[(String, Identity)]) -> Self {
        Self::all(mapping, HeaderMap::new())
    }

    fn all(mapping: &[(String, Identity)], mut headers: HeaderMap) -> Self {
        let mapped =
            mapping.iter().filter_map(|(name, _)| HeaderName::from_bytes(name.as_bytes()).ok());
        let mut names = vec![USER, CALLER, ASSERTION];
        names.extend(mapped);
        let said = names.into_iter().map(|name| {
            let value = headers.remove(&name);
            (name, value)
        });
        // The same name again has lost its value to the first.
        let mut all: Vec<(HeaderName, Option<HeaderValue>)> = Vec::new();
        for (name, value) in said {
            if !all.iter().any(|(known, _)| *known == name) {
                all.push((name, value));
            }
        }
        Self(all.into())
    }

    /// Bytes that it takes.
    pub fn size(&self) -> usize {
        let values = self.0.iter().filter_map(|(_, value)| value.as_ref());
        std::mem::size_of_val(&*self.0) + values.map(HeaderValue::len).sum::<usize>()
    }

    /// Says it in a request to the upstream itself.
    fn say(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.0 {
            if let Some(value) = value {
                headers.insert(name.clone(), value.clone());
            }
        }
    }

    /// Says it in the answer to a load balancer's question: all of it, empty where there is
    /// nothing to say. A header that were absent would leave standing what a client sent under its
    /// name.
    pub fn answer(&self, headers: &mut HeaderMap) {
        headers.reserve(self.0.len());
        for (name, value) in &self.0 {
            let value = value.clone().unwrap_or(HeaderValue::from_static(""));
            headers.insert(name.clone(), value);
        }
    }
}

/// What the gate says about the visit itself, whoever is there.
#[derive(Debug, Clone, Copy)]
pub struct Visit<'a> {
    /// The authority of the site's origin.
    pub host: &'a str,
    /// The scheme of the site's origin.
    pub scheme: &'static str,
    /// The client's address as resolved; absent where it could not be.
    pub client: Option<IpAddr>,
    /// The name of the session cookie.
    pub cookie: &'a str,
    /// The site's own identity headers: name, and what fills it.
    pub mapping: &'a [(String, Identity)],
}

/// Makes a client's request headers into those for the upstream.
///
/// `Content-Length` and `Transfer-Encoding` are gone afterwards: the body that is sent sets them.
/// So are `Upgrade` and `Trailer`, of which another file says what goes on.
pub fn to_upstream(
    headers: &mut HeaderMap,
    visit: &Visit<'_>,
    introduction: Option<&Introduction>,
) {
    // All of `Host` is replaced below, where it stands.
    let gates =
        names_where(headers, |name| *name != HOST && is_gates(name.as_str(), visit.mapping));
    let takes_trailers = gates.contains(&TE) && takes_trailers(headers);
    if gates.contains(&CONNECTION) {
        remove_listed_in_connection(headers);
    }
    remove_all(headers, gates);
    // With room for what is set below: it grows once.
    headers.reserve(ROOM);
    cookies::strip_request(headers, visit.cookie);
    if takes_trailers {
        // RFC 9110, 10.1.4: of this hop, so `Connection` names it.
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    set_visit(headers, visit);
    if let Some(introduction) = introduction {
        introduction.say(headers);
    }
}

/// The headers of the visit to an upstream's callback, from those of the request that redeemed.
///
/// Only what describes the visitor's browser goes along: the request's own conditions, body and
/// origin belong to the gate's page.
pub fn to_callback(headers: &HeaderMap, visit: &Visit<'_>, assertion: &str) -> HeaderMap {
    let mut callback = HeaderMap::new();
    for name in CALLBACK_NAMES {
        for value in headers.get_all(&name) {
            callback.append(name.clone(), value.clone());
        }
    }
    to_upstream(&mut callback, visit, None);
    set(&mut callback, ASSERTION, assertion);
    callback
}

/// Makes an upstream's response headers into those for the client.
pub fn to_client(headers: &mut HeaderMap, cookie: &str, signed_in: bool) {
    let hop = names_where(headers, is_of_the_hop);
    if hop.contains(&CONNECTION) {
        remove_listed_in_connection(headers);
    }
    if hop.contains(&TRANSFER_ENCODING) {
        // RFC 9112, 6.3: Transfer-Encoding overrides, and both must never go on together.
        headers.remove(CONTENT_LENGTH);
    }
    remove_all(headers, hop);
    cookies::strip_response(headers, cookie);
    if signed_in {
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("private"));
    }
}

/// As [`to_client`], for the answer of an upstream's callback.
///
/// It is shown under the link's own URL: what it says no other way, keeps the token out of caches
/// and out of `Referer`, and the page's own forms working.
pub fn from_callback(headers: &mut HeaderMap, cookie: &str) {
    to_client(headers, cookie, false);
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.entry(REFERRER_POLICY).or_insert(HeaderValue::from_static("strict-origin"));
}

/// What of an answer is for the upstream's own connection (RFC 9110, 7.6.1), and for a proxy.
fn is_of_the_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authentication-info"
    )
}

/// The names that are there and are meant. To look at those that are there is cheaper than to look
/// for each that might be.
pub(super) fn names_where(
    headers: &HeaderMap,
    is_meant: impl Fn(&HeaderName) -> bool,
) -> Vec<HeaderName> {
    headers.keys().filter(|name| is_meant(name)).cloned().collect()
}

pub(super) fn remove_all(headers: &mut HeaderMap, names: Vec<HeaderName>) {
    for name in names {
        headers.remove(name);
    }
}

fn set_visit(headers: &mut HeaderMap, visit: &Visit<'_>) {
    let mut said = headers.get_all(HOST).iter();
    let host = match (said.next(), said.next()) {
        // As most clients say it, it stays.
        (Some(said), None) if said == visit.host => Some(said.clone()),
        _ => {
            let host = HeaderValue::from_str(visit.host).ok();
            put(headers, HOST, host.clone());
            host
        }
    };
    put(headers, FORWARDED_HOST, host);
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(visit.scheme));
    if let Some(client) = visit.client {
        let text = address_text(client.to_canonical());
        put(headers, FORWARDED_FOR, HeaderValue::try_from(text).ok());
    }
}

/// As an address is written. Formatting one takes as long as all else that is set.
fn address_text(address: IpAddr) -> String {
    let IpAddr::V4(address) = address else { return address.to_string() };
    let mut text = String::with_capacity(15);
    for (place, octet) in address.octets().into_iter().enumerate() {
        if place > 0 {
            text.push('.');
        }
        for power in [100, 10, 1] {
            if octet >= power || power == 1 {
                text.push(char::from(b'0' + octet / power % 10));
            }
        }
    }
    text
}

fn set_identity(headers: &mut HeaderMap, mapping: &[(String, Identity)], who: &SignedIn<'_>) {
    set(headers, USER, &encoded(who.user));
    set(headers, CALLER, &encoded(who.caller));
    set(headers, ASSERTION, who.assertion);
    for (name, identity) in mapping {
        let value = match identity {
            Identity::User => Some(encoded(who.user)),
            Identity::Caller => Some(encoded(who.caller)),
            Identity::Site => Some(encoded(who.site)),
            Identity::Id => Some(who.link.to_string()),
            Identity::Claim(claim) => who.ctx.and_then(|ctx| ctx.get(claim)).and_then(claim_text),
        };
        if let (Ok(name), Some(value)) = (HeaderName::from_bytes(name.as_bytes()), value) {
            set(headers, name, &value);
        }
    }
}

/// A claim as a header can say it; lists and objects have no one spelling there.
fn claim_text(claim: &Value) -> Option<String> {
    match claim {
        Value::String(text) => Some(encoded(text)),
        Value::Number(_) | Value::Bool(_) => Some(claim.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    put(headers, name, HeaderValue::from_str(value).ok());
}

/// A value that no header can say is absent: never what the client sent under the name.
fn put(headers: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    match value {
        Some(mut value) => {
            // An assertion signs somebody in elsewhere: its `Debug` does not show it.
            value.set_sensitive(true);
            headers.insert(name, value)
        }
        None => headers.remove(name),
    };
}

/// Whether a client says that it takes trailers.
fn takes_trailers(headers: &HeaderMap) -> bool {
    listed(headers, &TE).any(|coding| coding.eq_ignore_ascii_case(b"trailers"))
}

/// RFC 9110, 7.6.1: what `Connection` lists is for this hop alone.
fn remove_listed_in_connection(headers: &mut HeaderMap) {
    // What most of them say, and what never crosses anyway.
    let mut lines = headers.get_all(CONNECTION).iter();
    if matches!((lines.next(), lines.next()), (Some(only), None) if only == "keep-alive") {
        return;
    }
    let listed = names_in(headers, &CONNECTION);
    remove_all(headers, listed);
}

/// The field names that a field lists.
pub(super) fn names_in(headers: &HeaderMap, name: &HeaderName) -> Vec<HeaderName> {
    listed(headers, name).filter_map(|name| HeaderName::from_bytes(name).ok()).collect()
}

/// What a field lists, in all its lines (RFC 9110, 5.6.1).
pub(super) fn listed<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'h [u8]> + use<'h> {
    let lines = headers.get_all(name).iter();
    lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(headers: &HeaderMap, name: &str) -> Vec<String> {
        headers.get_all(name).iter().map(|line| line.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_host_is_the_sites_however_it_was_said_and_where_it_stood() {
        let visit =
            Visit { host: "h.example", scheme: "https", client: None, cookie: "c", mapping: &[] };
        for said in [&["h.example"][..], &["H.example"], &["other"], &["h.example", "other"], &[]] {
            let mut headers = HeaderMap::new();
            for host in said {
                headers.append(HOST, HeaderValue::from_static(host));
            }
            headers.append("accept", HeaderValue::from_static("*/*"));
            headers.append("x-forwarded-host", HeaderValue::from_static("forged"));
            to_upstream(&mut headers, &visit, None);
            assert_eq!(lines(&headers, "host"), ["h.example"], "{said:?}");
            assert_eq!(lines(&headers, "x-forwarded-host"), ["h.example"], "{said:?}");
            assert!(said.is_empty() || headers.keys().next() == Some(&HOST), "{said:?}");
        }
    }

    #[test]
    fn what_an_answer_says_of_its_own_hop_stays_there() {
        let hop = [
            "connection",
            "keep-alive",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
            "proxy-connection",
            "proxy-authenticate",
            "proxy-authentication-info",
        ];
        let mut headers = HeaderMap::new();
        for name in hop.into_iter().chain(["x-kept", "etag"]) {
            headers.append(name, HeaderValue::from_static("1"));
            headers.append(name, HeaderValue::from_static("2"));
        }
        to_client(&mut headers, "c", false);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["etag", "x-kept"]);
        assert_eq!(lines(&headers, "x-kept"), ["1", "2"]);
    }

    #[test]
    fn a_length_beside_chunks_goes_whatever_connection_lists() {
        for listed in ["close", "transfer-encoding", "transfer-encoding, x-hop"] {
            let mut headers = HeaderMap::new();
            headers.append(CONNECTION, HeaderValue::from_static(listed));
            headers.append(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            headers.append(CONTENT_LENGTH, HeaderValue::from_static("5"));
            to_client(&mut headers, "c", false);
            assert!(headers.is_empty(), "{listed}: {headers:?}");
        }
    }

    #[test]
    fn an_address_is_written_as_everybody_writes_it() {
        for address in
            ["0.0.0.0", "1.20.100.255", "203.0.113.7", "10.9.99.101", "::1", "2001:db8::7:0"]
        {
            assert_eq!(address_text(address.parse().unwrap()), address);
        }
    }
}
