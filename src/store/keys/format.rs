//! What stands in a key file.
//!
//! A signing key's file says in plain text, in front of the PEM block where OpenSSL does not
//! look, when the key was made and when it ceased to sign: a copied file keeps its age.

use std::{fmt::Write as _, path::Path};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::pkcs8::{
    DecodePrivateKey as _, EncodePrivateKey as _, KeypairBytes, spki::der::pem::LineEnding,
};

use crate::{
    gate::{
        keyring::{SigningKey, WeakKey},
        secret::Secret,
        session::SessionKeys,
    },
    store::keys::{KeyError, files::Text},
};

const BEGIN: &str = "-----BEGIN";
const END: &str = "-----END PRIVATE KEY-----";

/// A signing key as its file has it. Times in seconds since the Unix epoch.
pub(super) struct SigningFile {
    pub(super) key: SigningKey,
    secret: Secret<[u8; 32]>,
    pub(super) made: u64,
    /// When it ceased to sign.
    pub(super) rotated: Option<u64>,
    /// When the file was last written.
    pub(super) mtime: u64,
}

impl SigningFile {
    /// A new key; `None` if the secret is weak.
    pub(super) fn new(secret: Secret<[u8; 32]>, now: u64) -> Result<Self, WeakKey> {
        let key = SigningKey::from_secret(secret.expose())?;
        Ok(Self { key, secret, made: now, rotated: None, mtime: now })
    }

    /// Reads PKCS#8 in PEM, version 1 or 2 (RFC 5958).
    pub(super) fn parse(path: &Path, file: &Text) -> Result<Self, KeyError> {
        let wrong = |why: &str| KeyError::NotAKey {
            path: path.to_owned(),
            why: why.to_owned(),
            fix: "oncegate keys new in an empty directory, or openssl genpkey -algorithm ed25519"
                .to_owned(),
        };
        let text = file.text.expose();
        if text.matches(BEGIN).count() != 1 {
            return Err(wrong("does not hold exactly one PEM block"));
        }
        let (preface, block) =
            text.find(BEGIN).and_then(|at| text.split_at_checked(at)).unwrap_or_default();
        let block = block
            .find(END)
            .and_then(|at| block.get(..at + END.len()))
            .ok_or_else(|| wrong("does not hold a PEM block \"PRIVATE KEY\""))?;
        let pair = ed25519_dalek::SigningKey::from_pkcs8_pem(block)
            .map_err(|_| wrong("is not an Ed25519 private key in PKCS#8"))?;
        let secret = Secret::new(pair.to_bytes());
        let key = SigningKey::from_secret(secret.expose())
            .map_err(|_| KeyError::Weak { path: path.to_owned() })?;
        let time = |name: &str| {
            let found = preface.lines().find_map(|line| line.strip_prefix(name))?;
            found.trim().parse().ok()
        };
        let made = time("# made ").unwrap_or(file.mtime);
        Ok(Self { key, secret, made, rotated: time("# rotated "), mtime: file.mtime })
    }

    /// The text of its file. Version 1: OpenSSL 3.0 does not read version 2.
    pub(super) fn text(&self) -> Result<Secret<String>, ed25519_dalek::pkcs8::Error> {
        let block = KeypairBytes { secret_key: *self.secret.expose(), public_key: None }
            .to_pkcs8_pem(LineEnding::LF)?;
        let mut text = format!(
            "# Ed25519 signing key of an Oncegate, secret. Its kid is {}\n# made {}\n",
            self.key.kid(),
            self.made
        );
        if let Some(rotated) = self.rotated {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "# rotated {rotated}");
        }
        text.push_str(&block);
        Ok(Secret::new(text))
    }
}

/// A session key, and a time in seconds since the Unix epoch: when it was made, or of a previous
/// one, when it ceased to seal.
pub(super) type Dated = (Secret<[u8; 32]>, u64);

/// The session keys as their file has them.
pub(super) struct SessionFile {
    pub(super) current: Dated,
    pub(super) next: Option<Dated>,
    pub(super) previous: Vec<Dated>,
}

impl SessionFile {
    /// Reads lines of a role, a key in base64url, and a time; without one, the file's counts.
    pub(super) fn parse(path: &Path, file: &Text) -> Result<Self, KeyError> {
        let wrong = |line: usize, why: &str| KeyError::NotAKey {
            path: path.to_owned(),
            // Never the line itself: it may hold a key.
            why: if line == 0 { why.to_owned() } else { format!("line {line}: {why}") },
            fix: "mend it, or remove it and run oncegate keys new: every session ends".to_owned(),
        };
        let (mut current, mut next, mut previous) = (None, None, Vec::new());
        for (at, line) in file.text.expose().lines().enumerate() {
            let mut words = line.split_ascii_whitespace();
            let Some(role) = words.next().filter(|word| !word.starts_with('#')) else { continue };
            let mut key = [0; 32];
            let length = words.next().map(|word| URL_SAFE_NO_PAD.decode_slice(word, &mut key));
            if !matches!(length, Some(Ok(32))) {
                return Err(wrong(at + 1, "a role and 32 bytes in base64url are expected"));
            }
            let time = match (words.next().map(str::parse), words.next()) {
                (None, _) => file.mtime,
                (Some(Ok(time)), None) => time,
                _ => return Err(wrong(at + 1, "a time in seconds is expected, and no more")),
            };
            let dated = (Secret::new(key), time);
            let taken = match role {
                "current" => current.replace(dated).is_some(),
                "next" => next.replace(dated).is_some(),
                "previous" => {
                    previous.push(dated);
                    false
                }
                _ => return Err(wrong(at + 1, "current, next or previous is expected")),
            };
            if taken {
                return Err(wrong(at + 1, "a second key of this role"));
            }
        }
        let current = current.ok_or_else(|| wrong(0, "there is no line \"current\""))?;
        Ok(Self { current, next, previous })
    }

    /// The text of its file.
    pub(super) fn text(&self) -> Secret<String> {
        let mut text = String::from(
            "# Keys that seal the sessions of an Oncegate, secret: role, key, and the Unix time\n\
             # when it was made (previous: when it ceased to seal).\n",
        );
        let roles = std::iter::once(("current", &self.current))
            .chain(self.next.iter().map(|next| ("next", next)))
            .chain(self.previous.iter().map(|previous| ("previous", previous)));
        for (role, (key, time)) in roles {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{role} {} {time}", URL_SAFE_NO_PAD.encode(key.expose()));
        }
        Secret::new(text)
    }

    /// The keys, ready to use.
    pub(super) fn into_keys(self) -> Result<SessionKeys, WeakKey> {
        let others = self.next.into_iter().chain(self.previous).map(|(key, _)| key).collect();
        SessionKeys::new(self.current.0, others)
    }
}
