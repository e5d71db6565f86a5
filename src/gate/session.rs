//! The sealed session: what the cookie carries after a redemption.
//!
//! Sealed with a symmetric key (XChaCha20-Poly1305), not signed: nobody can read it, change it,
//! or move it to another site. It has no dot, so it never passes for a token, nor a token for it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305,
    aead::{Aead as _, Payload},
};
use serde::{Deserialize, Serialize};

use crate::gate::{
    claims::{self, Claims},
    id::{MemoryId, SessionId, TokenId},
    keyring::WeakKey,
    secret::Secret,
};

/// The most bytes a sealed session may have: a cookie of 4,096 with its name and attributes is
/// what every browser keeps (RFC 6265, 6.1).
pub const MAX_SESSION: usize = 3_500;

const VERSION: u8 = 1;
const NONCE: usize = 24;

/// Who is signed in, where, by whom, since when and until when. Times in seconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// The user.
    pub user: String,
    /// The site's name.
    pub site: String,
    /// The caller that asked for the link.
    pub caller: String,
    /// The link that opened it.
    pub link: TokenId,
    /// Its own id, by which it is ended.
    pub id: SessionId,
    /// The memory that recorded the link's use, and would record the session's end.
    pub mem: MemoryId,
    /// When it began.
    pub begun: u64,
    /// When the link that opened it was issued, seconds since the Unix epoch.
    pub issued: u64,
    /// When the cookie was last renewed.
    pub seen: u64,
    /// When it ends in any case.
    pub expires: u64,
    /// The link's extra claims.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "claims::present"
    )]
    pub ctx: Option<Claims>,
}

impl Session {
    /// Whether it is neither over nor idle for `idle` seconds. Revocation is judged elsewhere.
    pub fn is_live(&self, now: u64, idle: Option<u64>) -> bool {
        now < self.expires && idle.is_none_or(|idle| now < self.seen.saturating_add(idle))
    }
}

/// The keys that seal sessions: the current one seals, all open.
#[derive(Clone, Debug)]
pub struct SessionKeys {
    current: Secret<[u8; 32]>,
    others: Vec<Secret<[u8; 32]>>,
}

/// A sealed session would be larger than [`MAX_SESSION`]; this many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sealed session of {0} bytes; a cookie holds {MAX_SESSION}")]
pub struct SessionTooLarge(pub usize);

impl SessionKeys {
    /// Puts keys together: `current` seals; `others`, the next and the previous, only open.
    ///
    /// # Errors
    /// [`WeakKey`] if all bytes of one are the same: a placeholder, no secret.
    pub fn new(current: Secret<[u8; 32]>, others: Vec<Secret<[u8; 32]>>) -> Result<Self, WeakKey> {
        let weak = |key: &Secret<[u8; 32]>| {
            key.expose().windows(2).all(|pair| matches!(pair, [a, b] if a == b))
        };
        if weak(&current) || others.iter().any(weak) {
            Err(WeakKey)
        } else {
            Ok(Self { current, others })
        }
    }

    /// The key that seals.
    pub(in crate::gate) fn current(&self) -> &Secret<[u8; 32]> {
        &self.current
    }

    /// The keys that only open.
    pub(in crate::gate) fn others(&self) -> impl Iterator<Item = &Secret<[u8; 32]>> {
        self.others.iter()
    }

    /// Seals a session for its site. `nonce` must be random: 192 bits, so that none comes twice.
    ///
    /// # Errors
    /// [`SessionTooLarge`]; without its `ctx` it always fits.
    pub fn seal(&self, session: &Session, nonce: [u8; NONCE]) -> Result<String, SessionTooLarge> {
        #[expect(clippy::expect_used, reason = "strings and numbers always serialise")]
        let plain = serde_json::to_vec(session).expect("a session is plain JSON");
        let aad = bound_to(&session.site);
        #[expect(clippy::expect_used, reason = "it fails past 256 GiB alone")]
        let sealed = XChaCha20Poly1305::new(self.current.expose().into())
            .encrypt((&nonce).into(), Payload { msg: &plain, aad: &aad })
            .expect("a session is small");
        let bytes = [&[VERSION][..], &nonce, &sealed].concat();
        let text = URL_SAFE_NO_PAD.encode(bytes);
        if text.len() > MAX_SESSION { Err(SessionTooLarge(text.len())) } else { Ok(text) }
    }

    /// Opens a session sealed by one of these keys for this site; anything else is `None`.
    pub fn open(&self, text: &str, site: &str) -> Option<Session> {
        if text.len() > MAX_SESSION {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (&[VERSION], rest) = bytes.split_first_chunk()? else { return None };
        let (nonce, sealed) = rest.split_first_chunk::<NONCE>()?;
        let aad = bound_to(site);
        let plain = std::iter::once(&self.current).chain(&self.others).find_map(|key| {
            XChaCha20Poly1305::new(key.expose().into())
                .decrypt(nonce.into(), Payload { msg: sealed, aad: &aad })
                .ok()
        })?;
        let session: Session = claims::from_json(&plain).ok()?;
        (session.site == site).then_some(session)
    }
}

/// What a sealed session is bound to: this format, and the site. Site names hold no NUL.
fn bound_to(site: &str) -> Vec<u8> {
    [&[VERSION][..], b"oncegate session\0", site.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(current: u8, others: &[u8]) -> SessionKeys {
        let key = |byte: u8| {
            let mut key = [byte; 32];
            key[0] ^= 1;
            Secret::new(key)
        };
        SessionKeys::new(key(current), others.iter().copied().map(key).collect()).unwrap()
    }

    fn session() -> Session {
        Session {
            user: "joe".into(),
            site: "panel".into(),
            caller: "billing".into(),
            link: TokenId::from_bytes([1; 16]),
            id: SessionId::from_bytes([2; 16]),
            mem: MemoryId::from_bytes([3; 16]),
            begun: 1_764_000_000,
            issued: 1_764_000_000,
            seen: 1_764_000_000,
            expires: 1_764_028_800,
            ctx: None,
        }
    }

    #[test]
    fn a_sealed_session_opens_on_its_site_alone() {
        let sealed = keys(1, &[]).seal(&session(), [7; 24]).unwrap();
        assert_eq!(keys(1, &[]).open(&sealed, "panel"), Some(session()));
        assert_eq!(keys(1, &[]).open(&sealed, "panel2"), None);
        assert_eq!(keys(1, &[]).open(&sealed, ""), None);
        assert_eq!(keys(2, &[]).open(&sealed, "panel"), None);
    }

    #[test]
    fn a_predecessor_opens_and_only_the_current_key_seals() {
        let old = keys(1, &[2]).seal(&session(), [7; 24]).unwrap();
        let new = keys(2, &[3, 1]);
        assert_eq!(new.open(&old, "panel"), Some(session()));
        let sealed = new.seal(&session(), [8; 24]).unwrap();
        assert_eq!(keys(2, &[]).open(&sealed, "panel"), Some(session()));
        assert_eq!(keys(1, &[3]).open(&sealed, "panel"), None);
    }

    #[test]
    fn a_session_changed_in_any_bit_does_not_open() {
        let keys = keys(1, &[]);
        let sealed = URL_SAFE_NO_PAD.decode(keys.seal(&session(), [7; 24]).unwrap()).unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(keys.open(&URL_SAFE_NO_PAD.encode(changed), "panel"), None, "bit {bit}");
        }
    }

    #[test]
    fn a_session_has_one_spelling() {
        let keys = keys(1, &[]);
        let sealed = keys.seal(&session(), [7; 24]).unwrap();
        for other in [
            format!("{sealed}="),
            format!(" {sealed}"),
            format!("{sealed}\n"),
            format!("{sealed}A"),
            sealed[..sealed.len() - 1].to_owned(),
            format!("{sealed}.{sealed}"),
            "A".repeat(1_000_000),
            String::new(),
        ] {
            assert_eq!(keys.open(&other, "panel"), None);
        }
    }

    #[test]
    fn a_session_without_claims_always_fits_and_one_with_too_many_is_named() {
        let mut largest = Session {
            user: "\u{10ffff}".repeat(256),
            site: "s".repeat(63),
            caller: "c".repeat(63),
            ..session()
        };
        assert!(keys(1, &[]).seal(&largest, [7; 24]).is_ok());
        let text = "\u{10ffff}".repeat(125);
        let object = serde_json::Map::from_iter([("a".to_owned(), text.into())]);
        largest.ctx = Some(Claims::new(object).unwrap());
        let sealed = keys(1, &[]).seal(&largest, [7; 24]).unwrap();
        assert_eq!(keys(1, &[]).open(&sealed, &largest.site), Some(largest.clone()));
        largest.user = "\"".repeat(3_000);
        assert!(matches!(keys(1, &[]).seal(&largest, [7; 24]), Err(SessionTooLarge(4_000..))));
    }

    #[test]
    fn a_session_ends_at_its_second_and_when_idle() {
        let session = session();
        assert!(session.is_live(session.expires - 1, None));
        assert!(!session.is_live(session.expires, None));
        assert!(session.is_live(session.seen + 3_599, Some(3_600)));
        assert!(!session.is_live(session.seen + 3_600, Some(3_600)));
        assert!(session.is_live(session.seen, Some(u64::MAX)));
    }

    #[test]
    fn placeholder_keys_are_refused_and_none_is_printed() {
        assert!(SessionKeys::new(Secret::new([0; 32]), vec![]).is_err());
        let keys = keys(1, &[2]);
        assert_eq!(format!("{keys:?}"), "SessionKeys { current: [secret], others: [[secret]] }");
    }
}
