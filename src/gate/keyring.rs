//! The signing keys: one signs, all verify, all are published.
//!
//! A key is known by its `kid`, the RFC 7638 thumbprint of its public half, so that a name
//! cannot be given to another key. Weak keys are refused when a key is made, not when it is used.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{
    VerifyingKey,
    hazmat::{ExpandedSecretKey, raw_sign},
};
use sha2::{Digest as _, Sha256, Sha512};

use crate::gate::{
    signatures::{Multiples, signing},
    token::header::Headers,
};

/// A key pair that signs, and its `kid`. Its `Debug` shows the `kid` alone.
#[derive(Clone)]
pub struct SigningKey {
    /// What RFC 8032, 5.1.6, step 1 makes of the secret: the same for every signature.
    expanded: Arc<ExpandedSecretKey>,
    public: PublicKey,
}

/// The public half of a key, ready to verify with, and its `kid`. A clone is the same one.
#[derive(Clone)]
pub struct PublicKey(Arc<Public>);

struct Public {
    point: VerifyingKey,
    kid: String,
    headers: Headers,
    /// A millisecond's work, so done when the first signature of this key comes: of the keys
    /// that no longer or do not yet sign, few see one.
    multiples: OnceLock<Multiples>,
}

/// The keys of one gate.
///
/// `current` signs. `next` is published before it signs, so that every reader of the JWKS knows
/// it by then; `previous` ones verify until the last token they signed has expired.
#[derive(Clone, Debug)]
pub struct Keyring {
    current: SigningKey,
    next: Option<PublicKey>,
    previous: Vec<PublicKey>,
}

/// A key under which nearly anything would verify, or that everybody can guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a weak key")]
pub struct WeakKey;

impl SigningKey {
    /// The key pair of a 32-byte Ed25519 secret (RFC 8032, 5.1.5).
    ///
    /// # Errors
    /// [`WeakKey`] if all its bytes are the same, which is a placeholder and no secret.
    pub fn from_secret(secret: &[u8; 32]) -> Result<Self, WeakKey> {
        if secret.windows(2).all(|pair| matches!(pair, [a, b] if a == b)) {
            return Err(WeakKey);
        }
        let pair = ed25519_dalek::SigningKey::from_bytes(secret);
        let public = PublicKey::of(pair.verifying_key())?;
        Ok(Self { expanded: Arc::new(ExpandedSecretKey::from(secret)), public })
    }

    /// The RFC 7638 thumbprint of the public half.
    pub fn kid(&self) -> &str {
        self.public.kid()
    }

    /// The public half.
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The signature of `message`.
    ///
    /// Under another public key than the secret's own, signatures would give the secret away: both
    /// are of one secret since [`Self::from_secret`], the only way to make one.
    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        raw_sign::<Sha512>(&self.expanded, message, &self.public.0.point).to_bytes()
    }

    /// The signatures of many messages, in their order: those that [`Self::sign`] makes of each.
    pub(crate) fn sign_all(&self, messages: &[impl AsRef<[u8]>]) -> Vec<[u8; 64]> {
        signing::sign(&self.expanded, self.public.as_bytes(), messages)
    }
}

impl PublicKey {
    /// The public key with this encoding (RFC 8032, 5.1.2).
    ///
    /// # Errors
    /// [`WeakKey`] if it is no point of the curve, not canonically encoded, or of small order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, WeakKey> {
        let point = VerifyingKey::from_bytes(bytes).map_err(|_| WeakKey)?;
        if point.to_edwards().compress().as_bytes() != bytes {
            return Err(WeakKey);
        }
        Self::of(point)
    }

    fn of(point: VerifyingKey) -> Result<Self, WeakKey> {
        if point.is_weak() {
            return Err(WeakKey);
        }
        let kid = thumbprint(point.as_bytes());
        let headers = Headers::of(&kid);
        Ok(Self(Arc::new(Public { point, kid, headers, multiples: OnceLock::new() })))
    }

    /// The RFC 7638 thumbprint.
    pub fn kid(&self) -> &str {
        &self.0.kid
    }

    /// The encoded point, as in a JWK's `x`.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.point.as_bytes()
    }

    /// How the tokens begin that this key signs.
    pub(crate) fn headers(&self) -> &Headers {
        &self.0.headers
    }

    /// What its signatures are checked with.
    pub(crate) fn multiples(&self) -> &Multiples {
        self.0.multiples.get_or_init(|| Multiples::of(self.0.point.to_edwards()))
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}
impl Eq for PublicKey {}

impl Keyring {
    /// Puts keys together. A key that comes twice counts once, in its first role.
    pub fn new(current: SigningKey, next: Option<SigningKey>, previous: Vec<SigningKey>) -> Self {
        let public = |key: SigningKey| key.public;
        let next = next.map(public).filter(|next| next.kid() != current.kid());
        let mut ring = Self { current, next, previous: Vec::new() };
        for key in previous.into_iter().map(public) {
            if ring.find(key.kid()).is_none() {
                ring.previous.push(key);
            }
        }
        ring
    }

    /// The key that signs.
    pub const fn current(&self) -> &SigningKey {
        &self.current
    }

    /// The `kid` of the key that signs.
    pub fn current_kid(&self) -> &str {
        self.current.kid()
    }

    /// Each `kid` that verifies: the current one, the next, the previous.
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        self.public_keys().map(PublicKey::kid)
    }

    /// Each public half, in the same order.
    pub fn public_keys(&self) -> impl Iterator<Item = &PublicKey> {
        std::iter::once(self.current.public()).chain(&self.next).chain(&self.previous)
    }

    /// Each `kid` with its role: `current`, `next` or `previous`.
    pub fn roles(&self) -> impl Iterator<Item = (&str, &'static str)> {
        std::iter::once((self.current_kid(), "current"))
            .chain(self.next.iter().map(|key| (key.kid(), "next")))
            .chain(self.previous.iter().map(|key| (key.kid(), "previous")))
    }

    /// The key with exactly this `kid`.
    pub fn find(&self, kid: &str) -> Option<&PublicKey> {
        self.public_keys().find(|key| key.kid() == kid)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.kid())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.kid())
    }
}

/// RFC 7638, for the members that RFC 8037, 2 and appendix A.3 require of an `OKP` key.
fn thumbprint(x: &[u8; 32]) -> String {
    let mut hash = Sha256::new();
    hash.update(br#"{"crv":"Ed25519","kty":"OKP","x":""#);
    hash.update(URL_SAFE_NO_PAD.encode(x));
    hash.update(br#""}"#);
    URL_SAFE_NO_PAD.encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SigningKey {
        let mut secret = [byte; 32];
        secret[0] ^= 1;
        SigningKey::from_secret(&secret).unwrap()
    }

    #[test]
    fn the_kid_is_the_thumbprint_of_rfc_8037() {
        let x = URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        let key = PublicKey::from_bytes(&x.try_into().unwrap()).unwrap();
        assert_eq!(key.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn weak_keys_are_refused() {
        assert_eq!(SigningKey::from_secret(&[0; 32]).err(), Some(WeakKey));
        assert_eq!(SigningKey::from_secret(&[0xff; 32]).err(), Some(WeakKey));
        // The eight points of small order, and two more spellings of the first.
        for (head, fill, tail) in [
            (0x01, 0x00, 0x00),
            (0xec, 0xff, 0x7f),
            (0x00, 0x00, 0x00),
            (0x00, 0x00, 0x80),
            (0x01, 0x00, 0x80),
            (0xee, 0xff, 0x7f),
        ] {
            let mut bytes = [fill; 32];
            (bytes[0], bytes[31]) = (head, tail);
            assert_eq!(PublicKey::from_bytes(&bytes).err(), Some(WeakKey), "{bytes:?}");
        }
        for point in curve25519_order_8() {
            assert_eq!(PublicKey::from_bytes(&point).err(), Some(WeakKey), "{point:?}");
        }
    }

    #[test]
    fn a_public_key_has_one_encoding() {
        // Every y from p to 2²⁵⁵ − 1 means y − p (RFC 8032, 5.1.3 forbids it), with either sign.
        for (head, tail) in (0xed..=0xff).flat_map(|head| [(head, 0x7f), (head, 0xff)]) {
            let mut bytes = [0xff; 32];
            (bytes[0], bytes[31]) = (head, tail);
            assert_eq!(PublicKey::from_bytes(&bytes).err(), Some(WeakKey), "{bytes:?}");
        }
    }

    fn curve25519_order_8() -> [[u8; 32]; 4] {
        let a = *b"\x26\xe8\x95\x8f\xc2\xb2\x27\xb0\x45\xc3\xf4\x89\xf2\xef\x98\xf0\xd5\xdf\xac\x05\xd3\xc6\x33\x39\xb1\x38\x02\x88\x6d\x53\xfc\x05";
        let b = *b"\xc7\x17\x6a\x70\x3d\x4d\xd8\x4f\xba\x3c\x0b\x76\x0d\x10\x67\x0f\x2a\x20\x53\xfa\x2c\x39\xcc\xc6\x4e\xc7\xfd\x77\x92\xac\x03\x7a";
        let (mut c, mut d) = (a, b);
        c[31] |= 0x80;
        d[31] |= 0x80;
        [a, b, c, d]
    }

    #[test]
    fn one_key_signs_and_each_counts_once() {
        let ring = Keyring::new(key(1), Some(key(2)), vec![key(3), key(2), key(1), key(3), key(4)]);
        let expected: Vec<_> = [1, 2, 3, 4].map(|byte| key(byte).kid().to_owned()).into();
        assert_eq!(ring.kids().collect::<Vec<_>>(), expected);
        assert_eq!(ring.current_kid(), key(1).kid());
        assert!(ring.find(key(4).kid()).is_some());
        assert!(ring.find(key(5).kid()).is_none());
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?}", Keyring::new(key(1), None, vec![key(2)]));
        let kids = [key(1), key(2)].map(|key| key.kid().to_owned());
        assert_eq!(
            shown,
            format!(
                "Keyring {{ current: SigningKey({}), next: None, previous: [PublicKey({})] }}",
                kids[0], kids[1]
            )
        );
    }
}
