//! Tokens taken apart, and tokens that a gate would not make, under its own good signature.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use oncegate::gate::token::LinkClaims;
use serde_json::Value;

use super::gate::Gate;

/// The header and the claims, as they stand there.
pub fn parts_of(token: &str) -> (Value, Value) {
    let parts: Vec<&str> = token.split('.').collect();
    assert_eq!(parts.len(), 3, "{token}");
    let read = |part: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(part).expect("canonical base64url");
        serde_json::from_slice(&bytes).expect("JSON")
    };
    (read(parts[0]), read(parts[1]))
}

pub fn claims_of(token: &str) -> Value {
    parts_of(token).1
}

/// The same token under another header, which nobody signed.
pub fn with_header(token: &str, header: &Value) -> String {
    let (_, rest) = token.split_once('.').unwrap();
    format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()))
}

/// The same token under a signature of another.
pub fn with_signature_of(token: &str, other: &str) -> String {
    let (signed, _) = token.rsplit_once('.').unwrap();
    let (_, signature) = other.rsplit_once('.').unwrap();
    format!("{signed}.{signature}")
}

/// The token with other claims, signed with the gate's current key.
pub fn resigned(gate: &Gate, token: &str, change: impl FnOnce(&mut LinkClaims)) -> String {
    let mut claims: LinkClaims = serde_json::from_value(claims_of(token)).unwrap();
    change(&mut claims);
    gate.running.as_ref().unwrap().gate.keys.load().ring.sign(&claims)
}
