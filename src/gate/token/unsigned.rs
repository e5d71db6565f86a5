//! From what a token says to its text, one or many.
//!
//! Header and claims are written token by token; many are signed together ([`sign`]) in less time
//! than each alone, and say the same to the last bit.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;

use super::{AssertionClaims, LinkClaims, LoginAssertionClaims, header::Headers};
use crate::gate::keyring::{Keyring, SigningKey};

/// A token under the key that will sign it.
pub struct Unsigned {
    /// Header and claims: what is signed.
    text: String,
    key: SigningKey,
}

impl Keyring {
    /// Signs a link. That the claims keep their bounds (the user's length, the token's size) is
    /// the issuer's to see to: [`Keyring::verify`] refuses what does not.
    pub fn sign(&self, claims: &LinkClaims) -> String {
        self.link(claims).sign()
    }

    /// A link that is still to be signed; by today's key, though another may take its place
    /// meanwhile.
    pub fn link(&self, claims: &LinkClaims) -> Unsigned {
        self.unsigned(|headers| &headers.link, claims)
    }

    /// Signs what the upstream is told about who is signed in.
    pub fn sign_assertion(&self, claims: &AssertionClaims) -> String {
        self.unsigned(|headers| &headers.assertion, claims).sign()
    }

    /// Signs what the upstream's callback is told about who signs in.
    pub fn sign_login_assertion(&self, claims: &LoginAssertionClaims) -> String {
        self.unsigned(|headers| &headers.login, claims).sign()
    }

    fn unsigned(&self, header: fn(&Headers) -> &str, claims: &impl Serialize) -> Unsigned {
        let claims = json(claims);
        let key = self.current().clone();
        let header = header(key.public().headers());
        // 86 characters are a signature; four are what three bytes become.
        let mut text = String::with_capacity(header.len() + claims.len() / 3 * 4 + 4 + 88);
        text.push_str(header);
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut text);
        Unsigned { text, key }
    }
}

impl Unsigned {
    /// The token.
    pub fn sign(self) -> String {
        let signature = self.key.sign(self.text.as_bytes());
        self.with(&signature)
    }

    fn with(self, signature: &[u8; 64]) -> String {
        let mut token = self.text;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        token
    }
}

impl AsRef<[u8]> for Unsigned {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

impl fmt::Debug for Unsigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unsigned({})", self.key.kid())
    }
}

/// The tokens, in their order: each what [`Unsigned::sign`] makes of it.
pub fn sign(links: Vec<Unsigned>) -> Vec<String> {
    // Keys change seldom: nearly always all are of one.
    let signatures: Vec<[u8; 64]> = links
        .chunk_by(|one, next| one.key.public() == next.key.public())
        .filter_map(|of_key| of_key.first().map(|first| first.key.sign_all(of_key)))
        .flatten()
        .collect();
    links.into_iter().zip(&signatures).map(|(link, signature)| link.with(signature)).collect()
}

pub(super) fn json(value: &impl Serialize) -> Vec<u8> {
    // With room for those of most links: it does not grow.
    let mut json = Vec::with_capacity(512);
    #[expect(clippy::expect_used, reason = "texts, numbers and maps of them always serialise")]
    serde_json::to_writer(&mut json, value).expect("claims are plain JSON");
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::{
        id::TokenId,
        token::{Presented, sample},
    };

    fn keyring(secret: u8) -> Keyring {
        let secret = std::array::from_fn(|at| at as u8 ^ secret);
        Keyring::new(SigningKey::from_secret(&secret).unwrap(), None, vec![])
    }

    fn claims(number: u8) -> LinkClaims {
        LinkClaims { jti: TokenId::from_bytes([number; 16]), ..sample(&format!("user{number}")) }
    }

    #[test]
    fn links_of_several_keys_are_signed_each_by_its_own() {
        let rings = [keyring(1), keyring(2)];
        // Also one behind the other, as where a key takes the other's place for a moment.
        let of = |number: u8| &rings[usize::from((number / 5 + number % 3) % 2)];
        let links = (0..40).map(|number| of(number).link(&claims(number))).collect();
        let tokens = sign(links);
        assert_eq!(tokens.len(), 40);
        for (number, token) in (0..).zip(&tokens) {
            assert_eq!(*token, of(number).sign(&claims(number)));
            let verified = of(number).verify(&Presented::new(token).unwrap()).unwrap();
            assert_eq!(*verified.claims(), claims(number));
        }
        assert!(sign(Vec::new()).is_empty());
    }

    #[test]
    fn what_is_unsigned_shows_nothing_of_itself() {
        let ring = keyring(1);
        let shown = format!("{:?}", ring.link(&claims(7)));
        assert_eq!(shown, format!("Unsigned({})", ring.current().kid()));
    }
}
