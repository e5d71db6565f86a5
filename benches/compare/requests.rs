//! The requests, byte for byte, as a service, a browser or a load balancer writes them.

use crate::gate::{HOST, KEY};

/// What a browser says of itself, and a load balancer of the visitor.
const VISITOR: &str = "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-GB,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br\r\n\
    X-Forwarded-For: 203.0.113.7\r\n\
    X-Forwarded-Proto: https\r\n";

/// A service redeems a token.
pub(crate) fn redeem(token: &str) -> Vec<u8> {
    api("/v1/redeem", &format!("{{\"token\":\"{token}\"}}"))
}

/// A service asks for a link.
pub(crate) fn issue() -> Vec<u8> {
    api("/v1/links", r#"{"user":"joe","ttl":900}"#)
}

/// A service asks for so many links at once.
pub(crate) fn batch(count: usize) -> Vec<u8> {
    let each = vec![r#"{"user":"joe","ttl":900}"#; count];
    api("/v1/links/batch", &format!("[{}]", each.join(",")))
}

fn api(path: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer {KEY}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A browser opens a link.
pub(crate) fn link(token: &str) -> Vec<u8> {
    format!(
        "GET /_once/l/{token} HTTP/1.1\r\nHost: {HOST}\r\n{VISITOR}\
         Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n\r\n"
    )
    .into_bytes()
}

/// A browser posts the form of a link's page.
pub(crate) fn form(token: &str) -> Vec<u8> {
    format!(
        "POST /_once/l/{token} HTTP/1.1\r\nHost: {HOST}\r\n{VISITOR}\
         Origin: https://{HOST}\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\n\
         Sec-Fetch-Dest: document\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: 0\r\n\r\n"
    )
    .into_bytes()
}

/// A load balancer asks whether somebody is signed in.
pub(crate) fn forward_auth(cookie: &str) -> Vec<u8> {
    format!(
        "GET /_once/auth/nginx HTTP/1.1\r\nHost: {HOST}\r\n{VISITOR}\
         X-Original-URL: https://{HOST}/clientarea\r\nX-Original-Method: GET\r\n\
         X-Forwarded-Host: {HOST}\r\nCookie: {cookie}\r\n\r\n"
    )
    .into_bytes()
}

/// A browser asks for a page.
pub(crate) fn page(path: &str, cookie: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{VISITOR}Cookie: {cookie}\r\n\r\n").into_bytes()
}

/// A client that verifies tokens by itself presents one.
pub(crate) fn bearer(token: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {token}\r\n\r\n").into_bytes()
}

/// Anybody asks for the keys.
pub(crate) fn keys() -> Vec<u8> {
    format!("GET /.well-known/jwks.json HTTP/1.1\r\nHost: {HOST}\r\n\r\n").into_bytes()
}
