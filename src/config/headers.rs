//! `[sites.headers]`: extra identity headers to the upstream.
//!
//! A header that the gate, HTTP itself or the client fills is not for this; nor are two that an
//! upstream may take for one, as CGI does with `-` and `_`.

use http::HeaderName;

use crate::{
    config::{
        raw::quoted,
        reader::{Reading, Section},
        units,
    },
    gate::site::Identity,
};

/// Headers with a meaning of their own. Hop-by-hop ones are RFC 9110, 7.6.1.
const TAKEN: [&str; 30] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "host",
    "cookie",
    "set-cookie",
    "authorization",
    "content-length",
    "content-type",
    "content-encoding",
    "content-range",
    "expect",
    "range",
    "accept",
    "accept-encoding",
    "cache-control",
    "date",
    "early-data",
    "forwarded",
    "origin",
    "referer",
    "user-agent",
    "via",
    "x-real-ip",
];
/// The gate's own, what proxies say of themselves, and what browsers do.
const TAKEN_FAMILIES: [&str; 4] = ["x-oncegate-", "x-forwarded-", "sec-", "if-"];

/// Reads a site's extra identity headers.
pub(super) fn read(section: &mut Section<'_>) -> Vec<(String, Identity)> {
    let headers = section.entries("headers", |name, node| {
        let identity = identity(&units::text(node)?)?;
        header(name).map(|()| identity)
    });
    let path = section.path_of("headers");
    for (number, (name, _)) in headers.iter().enumerate() {
        let same = |(other, _): &&(String, Identity)| canonical(other) == canonical(name);
        if let Some((other, _)) = headers.iter().take(number).find(same) {
            let what = format!("an upstream may take it for {other}; remove one");
            section.ledger.fault(&format!("{path}.{name}"), what);
        }
    }
    headers
}

/// A header's name as an upstream may read it.
fn canonical(name: &str) -> String {
    name.to_lowercase().replace(['_', '.'], "-")
}

fn header(name: &str) -> Reading<()> {
    if HeaderName::from_bytes(name.as_bytes()).is_err() {
        return Err("is not the name of a header; write \"Remote-User\"".to_owned());
    }
    let canonical = canonical(name);
    let family = TAKEN_FAMILIES.iter().any(|family| canonical.starts_with(family));
    if family || TAKEN.contains(&canonical.as_str()) {
        let what = "has a meaning of its own, and no site may set it; write \"Remote-User\"";
        return Err(what.to_owned());
    }
    Ok(())
}

fn identity(text: &str) -> Reading<Identity> {
    match text {
        "user" => Ok(Identity::User),
        "caller" => Ok(Identity::Caller),
        "site" => Ok(Identity::Site),
        "id" => Ok(Identity::Id),
        _ => match text.strip_prefix("claims.") {
            Some(claim) if !claim.is_empty() => Ok(Identity::Claim(claim.to_owned())),
            _ => {
                let shown = quoted(text);
                Err(format!(
                    "{shown} is nothing the gate knows; write \"user\", \"caller\", \"site\", \"id\" or \"claims.NAME\""
                ))
            }
        },
    }
}
