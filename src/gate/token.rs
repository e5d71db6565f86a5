//! The token: a compact JWS (RFC 7515) signed with Ed25519 (RFC 8037), read strictly.
//!
//! One text for one token: whatever could be written in a second way (padding, trailing bits, a
//! second signature, a member twice, a number as text) is refused. What is judged here is the
//! token alone; time, site, address and use are judged where they are known.
//!
//! The order is the contract's: size → header → key → signature → type → claims. So a token of
//! ours of another type, an assertion, is told apart from a forged one.

use std::{borrow::Cow, fmt};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{
    AlgorithmParameters, CommonParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm,
    OctetKeyPairParameters, OctetKeyPairType, PublicKeyUse,
};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::gate::{
    claims::{self, Claims},
    client_ip::Networks,
    denial::Denial,
    id::{MemoryId, TokenId},
    keyring::{Keyring, PublicKey},
    page::Page,
};

pub(crate) mod header;
mod proof;
mod unsigned;

pub use header::LINK_BEGINS;
pub use proof::{Proved, Proven, Unproven, prove};
pub use unsigned::{Unsigned, sign};

/// The most bytes a token may have.
pub const MAX_TOKEN: usize = 4096;
/// The latest time a token may name: the end of the year 9999, the last that RFC 3339 writes.
const MAX_TIME: u64 = 253_402_300_799;
/// The most characters of a user's name.
const MAX_USER: usize = 256;

/// What a link says. Times in seconds since the Unix epoch; optional members are absent when
/// `None`, and written in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkClaims {
    /// The gate's issuer.
    pub iss: String,
    /// The site's name.
    pub aud: String,
    /// The user: 1 to 256 characters, none a control character.
    pub sub: String,
    /// When it was issued.
    pub iat: u64,
    /// When it expires; after `iat`.
    pub exp: u64,
    /// Its id, under which its use is recorded.
    pub jti: TokenId,
    /// The memory that will record its use.
    pub mem: MemoryId,
    /// The gate where that memory is; absent where all gates share one.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "claims::present"
    )]
    pub gate: Option<String>,
    /// Where it leads; absent: the page asked for.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "claims::present"
    )]
    pub dst: Option<String>,
    /// The networks it may be used from; absent: any.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "claims::present"
    )]
    pub ips: Option<Networks>,
    /// The caller that asked for it.
    #[serde(deserialize_with = "claims::object")]
    pub act: Actor,
    /// The dialect it was asked for in; absent: the native one.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "claims::present"
    )]
    pub via: Option<String>,
    /// What its page does, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "page")]
    pub page: Option<Page>,
    /// Extra claims.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "claims::present"
    )]
    pub ctx: Option<Claims>,
}

/// Who acts for the user (RFC 8693, 4.1): the caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    /// The caller's name.
    pub sub: String,
}

/// What an assertion tells the upstream about who is signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AssertionClaims {
    /// The gate's issuer.
    pub iss: String,
    /// The site's origin.
    pub aud: String,
    /// The user.
    pub sub: String,
    /// The caller that asked for the link.
    pub act: Actor,
    /// The link's extra claims.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ctx: Option<Claims>,
    /// When it was made, in seconds since the Unix epoch.
    pub iat: u64,
    /// When it expires.
    pub exp: u64,
}

/// What a login assertion tells the upstream's callback: who signs in, by which link, and where
/// they want to go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoginAssertionClaims {
    /// What every assertion says.
    #[serde(flatten)]
    pub assertion: AssertionClaims,
    /// The link's id: the upstream may hold it for one use too.
    pub jti: TokenId,
    /// The destination.
    pub dst: String,
}

/// A text that came as a token: of a token's size, alphabet and three parts. Nothing is proven.
#[derive(Clone, PartialEq, Eq)]
pub struct Presented {
    text: String,
    /// Where the two dots are.
    dots: (usize, usize),
}

/// A link's claims under a good signature. Only [`Keyring::verify`] and
/// [`Proven::verified`] make one.
#[derive(Debug, PartialEq, Eq)]
pub struct Verified {
    claims: LinkClaims,
}

impl Presented {
    /// Takes a text as a token.
    ///
    /// # Errors
    /// [`Denial::Malformed`]: `size`, `alphabet`, or `parts` (not three, or one is empty).
    pub fn new(text: &str) -> Result<Self, Denial> {
        if text.len() > MAX_TOKEN {
            return Err(Denial::Malformed("size"));
        }
        // Without an early end, so that many bytes are looked at in a step.
        if text.bytes().fold(false, |strange, byte| strange | !is_of_a_token(byte)) {
            return Err(Denial::Malformed("alphabet"));
        }
        let parts = Denial::Malformed("parts");
        let Some((header, rest)) = text.split_once('.') else { return Err(parts) };
        let Some((payload, signature)) = rest.split_once('.') else { return Err(parts) };
        if header.is_empty()
            || payload.is_empty()
            || signature.is_empty()
            || signature.contains('.')
        {
            return Err(parts);
        }
        let dots = (header.len(), header.len() + 1 + payload.len());
        Ok(Self { text: text.to_owned(), dots })
    }

    /// The token as it came, to be passed on; never to be logged.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The header and the claims as they stand there, for a person to look at: nothing of it is
    /// proven. `None` where it is not JSON.
    pub fn unproven(&self) -> Option<(serde_json::Value, serde_json::Value)> {
        let read = |part: &str| serde_json::from_slice(&decode(part)?).ok();
        Some((read(self.header())?, read(self.payload())?))
    }

    fn header(&self) -> &str {
        self.text.get(..self.dots.0).unwrap_or_default()
    }
    fn payload(&self) -> &str {
        self.text.get(self.dots.0 + 1..self.dots.1).unwrap_or_default()
    }
    /// The bytes that are signed: as received, never written anew.
    fn signed(&self) -> &str {
        self.text.get(..self.dots.1).unwrap_or_default()
    }
    fn signature(&self) -> &str {
        self.text.get(self.dots.1 + 1..).unwrap_or_default()
    }
}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Presented({}…)", self.text.get(..8).unwrap_or_default())
    }
}

impl Verified {
    /// What the link says.
    pub const fn claims(&self) -> &LinkClaims {
        &self.claims
    }

    /// Takes out what the link says.
    pub fn into_claims(self) -> LinkClaims {
        self.claims
    }
}

impl Keyring {
    /// The public keys as a JWK set (RFC 7517, 5), in JSON: current, next, previous.
    pub fn jwks(&self) -> String {
        serde_json::to_string(&JwkSet { keys: self.public_keys().map(jwk).collect() })
            .unwrap_or_default()
    }
}

/// The alphabet of base64url, and the dot between the parts.
const fn is_of_a_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// Whether this can be a user: 1 to 256 characters, none a control character.
pub fn is_user(user: &str) -> bool {
    !user.is_empty()
        // Four bytes a character at most: a long text is not counted through.
        && user.len() <= 4 * MAX_USER
        && user.chars().count() <= MAX_USER
        && !user.chars().any(char::is_control)
}

/// A derived enum would take `{"auto":null}` too.
fn page<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Page>, D::Error> {
    let name = Cow::<'de, str>::deserialize(deserializer)?;
    name.parse().map(Some).map_err(D::Error::custom)
}

/// Canonical base64url: no padding, no trailing bits, no other character.
fn decode(part: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(part).ok()
}

fn jwk(key: &PublicKey) -> Jwk {
    Jwk {
        common: CommonParameters {
            public_key_use: Some(PublicKeyUse::Signature),
            key_algorithm: Some(KeyAlgorithm::EdDSA),
            key_id: Some(key.kid().to_owned()),
            ..CommonParameters::default()
        },
        algorithm: AlgorithmParameters::OctetKeyPair(OctetKeyPairParameters {
            key_type: OctetKeyPairType::OctetKeyPair,
            curve: EllipticCurve::Ed25519,
            x: URL_SAFE_NO_PAD.encode(key.as_bytes()),
        }),
    }
}

/// What a plain link of this user's says.
#[cfg(test)]
pub(crate) fn sample(user: &str) -> LinkClaims {
    LinkClaims {
        iss: "https://login.example.com".into(),
        aud: "panel".into(),
        sub: user.into(),
        iat: 1,
        exp: 2,
        jti: TokenId::from_bytes([1; 16]),
        mem: MemoryId::from_bytes([2; 16]),
        gate: None,
        dst: None,
        ips: None,
        act: Actor { sub: "billing".into() },
        via: None,
        page: None,
        ctx: None,
    }
}
