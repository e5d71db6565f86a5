//! 128-bit random identifiers, written in base64url without padding (22 characters).

use std::{fmt, marker::PhantomData, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A token's `jti`: the key under which its use is recorded.
pub type TokenId = Id<Token>;
/// A memory's `mem`: names the one memory in which a token's use is recorded.
pub type MemoryId = Id<Memory>;
/// Names one session, so that it can be ended.
pub type SessionId = Id<Session>;

/// Marks the id of a token.
pub enum Token {}
/// Marks the id of a memory.
pub enum Memory {}
/// Marks the id of a session.
pub enum Session {}

/// 128 random bits that name one `Kind` of thing.
pub struct Id<Kind>([u8; 16], PhantomData<fn() -> Kind>);

/// The text is not 22 characters of canonical base64url.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id: 22 characters of base64url are expected")]
pub struct NotAnId;

impl<Kind> Id<Kind> {
    /// Wraps 128 bits that are already random.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes, PhantomData)
    }

    /// Its 22 characters, on the stack: every token has two ids.
    fn with_text<T>(&self, write: impl FnOnce(&str) -> T) -> T {
        let mut text = [0; 22];
        let length = URL_SAFE_NO_PAD.encode_slice(self.0, &mut text).unwrap_or_default();
        write(text.get(..length).and_then(|text| str::from_utf8(text).ok()).unwrap_or_default())
    }

    /// The 128 bits.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl<Kind> FromStr for Id<Kind> {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let mut bytes = [0; 16];
        // The engine refuses padding, foreign characters and trailing bits.
        match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
            Ok(16) if text.len() == 22 => Ok(Self::from_bytes(bytes)),
            _ => Err(NotAnId),
        }
    }
}

impl<Kind> fmt::Display for Id<Kind> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_text(|text| f.write_str(text))
    }
}

impl<Kind> fmt::Debug for Id<Kind> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// By hand: a derive would ask the same of `Kind`, which is only a mark.
impl<Kind> Clone for Id<Kind> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<Kind> Copy for Id<Kind> {}
impl<Kind> PartialEq for Id<Kind> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<Kind> Eq for Id<Kind> {}
impl<Kind> std::hash::Hash for Id<Kind> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<Kind> Serialize for Id<Kind> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.with_text(|text| serializer.serialize_str(text))
    }
}

impl<'de, Kind> Deserialize<'de> for Id<Kind> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id = TokenId::from_bytes([0xff; 16]);
        assert_eq!(id.to_string(), "_____________________w");
        assert_eq!(id.to_string().parse(), Ok(id));
        // Trailing bits, padding, the other alphabet, too short, too long.
        for other in [
            "_____________________x",
            "_____________________w==",
            "/////////////////////w",
            "____________________",
            "______________________w",
            "",
        ] {
            assert_eq!(other.parse::<TokenId>(), Err(NotAnId), "{other}");
        }
    }
}
