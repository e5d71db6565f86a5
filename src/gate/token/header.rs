//! The token's header: which type, under which key.
//!
//! What a gate signs begins, for one key and type, always with the same text. So nearly every
//! token is known by that text, and only another is read as JSON; both ways say the same of it.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::gate::{
    claims,
    denial::Denial,
    keyring::{Keyring, PublicKey},
};

/// How every link's token begins: its header up to the `kid`, in base64url.
pub const LINK_BEGINS: &str = "eyJhbGciOiJFZERTQSIsInR5cCI6Im9uY2VnYXRlLWxpbmsrand0Iiwia2lkIjoi";

const ALG: &str = "EdDSA";
const LINK: &str = "oncegate-link+jwt";
const ASSERTION: &str = "oncegate-assertion+jwt";
const LOGIN: &str = "oncegate-login+jwt";

/// The headers that one key signs, in base64url.
#[derive(Debug)]
pub(crate) struct Headers {
    pub(crate) link: String,
    pub(crate) assertion: String,
    pub(crate) login: String,
}

/// What a header says of its token's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Typ {
    Link,
    /// Why it is no link.
    Other(&'static str),
}

impl Headers {
    /// Those of the key with this `kid`.
    pub(crate) fn of(kid: &str) -> Self {
        let of = |typ: &'static str| {
            let header = Header { alg: ALG.into(), typ: typ.into(), kid: kid.into() };
            URL_SAFE_NO_PAD.encode(super::unsigned::json(&header))
        };
        Self { link: of(LINK), assertion: of(ASSERTION), login: of(LOGIN) }
    }
}

/// The type that a header names, and the key, out of `ring`.
///
/// # Errors
/// [`Denial::Malformed`] with `header` or `alg`; [`Denial::UnknownKey`].
pub(super) fn read<'ring>(
    header: &str,
    ring: &'ring Keyring,
) -> Result<(Typ, &'ring PublicKey), Denial> {
    if let Some(key) = ring.public_keys().find(|key| key.headers().link == header) {
        return Ok((Typ::Link, key));
    }
    let header = super::decode(header).ok_or(Denial::Malformed("header"))?;
    let header: Header<'_> = claims::from_json(&header).map_err(|_| Denial::Malformed("header"))?;
    // The algorithm is ours to choose, never the token's (RFC 8725, 3.1).
    if header.alg != ALG {
        return Err(Denial::Malformed("alg"));
    }
    let key = ring.find(&header.kid).ok_or(Denial::UnknownKey)?;
    let typ = match &*header.typ {
        LINK => Typ::Link,
        ASSERTION => Typ::Other("an assertion"),
        LOGIN => Typ::Other("a login assertion"),
        _ => Typ::Other("of no type known here"),
    };
    Ok((typ, key))
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(borrow)]
    typ: Cow<'a, str>,
    #[serde(borrow)]
    kid: Cow<'a, str>,
}
