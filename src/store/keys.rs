//! The key directory: which keys there are, read with suspicion, and seen to change.
//!
//! ```text
//! current.pem              signs
//! next.pem                 published, and signs after the next rotation
//! previous-<kid>.pem       verifies what it signed until that has expired
//! session.key              seals sessions: its own current, next and previous
//! ```
//! A signing key is Ed25519 in PKCS#8 PEM, version 1 as every OpenSSL reads it. A key that others
//! can read is no key: it is refused, with what to do.

mod error;
mod files;
mod format;
mod rotation;

use std::path::{Path, PathBuf};

pub use error::KeyError;
pub use files::{Fingerprint, fingerprint};
pub use rotation::{
    Entry, Lifetimes, MIN_AGE, Promoted, Retired, Role, Rotated, list, make, retire, rotate,
};

use crate::{
    gate::{keyring::Keyring, session::SessionKeys},
    store::keys::{
        files::Directory,
        format::{SessionFile, SigningFile},
    },
};

/// The key that signs.
const CURRENT: &str = "current.pem";
/// The key that will.
const NEXT: &str = "next.pem";
/// The keys that seal sessions.
const SESSION: &str = "session.key";

/// Reads the keys of a directory.
///
/// # Errors
/// [`KeyError`], which says which file, what is wrong with it and what to do.
pub fn load(dir: &Path) -> Result<(Keyring, SessionKeys), KeyError> {
    read_whole(dir).map(|(keyring, session, _)| (keyring, session))
}

/// Notices that the keys of a directory have changed, so that a running gate follows a rotation.
#[derive(Debug)]
pub struct Watch {
    dir: PathBuf,
    seen: Fingerprint,
    reported: Option<(Fingerprint, String)>,
}

impl Watch {
    /// Reads the keys for the first time.
    ///
    /// # Errors
    /// As [`load`].
    pub fn start(dir: &Path) -> Result<(Self, Keyring, SessionKeys), KeyError> {
        let (keyring, session, seen) = read_whole(dir)?;
        Ok((Self { dir: dir.to_owned(), seen, reported: None }, keyring, session))
    }

    /// The keys anew, if they have changed; cheap enough to ask every few seconds.
    ///
    /// Keys that cannot be read are tried again at each call, and reported once: the caller
    /// goes on with those it has.
    pub fn changed(&mut self) -> Option<Result<(Keyring, SessionKeys), KeyError>> {
        let now = fingerprint(&self.dir);
        if now == self.seen {
            self.reported = None;
            return None;
        }
        match read_whole(&self.dir) {
            Ok((keyring, session, seen)) => {
                (self.seen, self.reported) = (seen, None);
                Some(Ok((keyring, session)))
            }
            Err(error) => {
                let report = Some((now, error.to_string()));
                if self.reported == report {
                    return None;
                }
                self.reported = report;
                Some(Err(error))
            }
        }
    }
}

/// Everything a key directory holds.
struct Contents {
    current: SigningFile,
    next: Option<SigningFile>,
    previous: Vec<(String, SigningFile)>,
    session: SessionFile,
}

impl Contents {
    fn read(dir: &Directory) -> Result<Self, KeyError> {
        let none = || KeyError::NoKey { dir: dir.path().to_owned() };
        let signing = |name: &str| match dir.read(name)? {
            Some(file) => SigningFile::parse(&dir.join(name), &file).map(Some),
            None => Ok(None),
        };
        let current = signing(CURRENT)?.ok_or_else(none)?;
        let next = signing(NEXT)?;
        if next.as_ref().is_some_and(|next| next.key.kid() == current.key.kid()) {
            return Err(KeyError::NotAKey {
                path: dir.join(NEXT),
                why: format!("is the same key as {CURRENT}"),
                fix: format!("remove {}, then `oncegate keys new`", dir.join(NEXT).display()),
            });
        }
        let mut previous = Vec::new();
        for name in dir.previous()? {
            if let Some(file) = signing(&name)?
                // A rotation that was cut short leaves the current key there as well.
                && file.key.kid() != current.key.kid()
            {
                previous.push((name, file));
            }
        }
        let file = dir.read(SESSION)?.ok_or_else(none)?;
        let session = SessionFile::parse(&dir.join(SESSION), &file)?;
        Ok(Self { current, next, previous, session })
    }
}

/// The keys as they stand together at one moment, not half before and half after a rotation.
fn read_whole(dir: &Path) -> Result<(Keyring, SessionKeys, Fingerprint), KeyError> {
    const TRIES: usize = 5;
    let directory = Directory::open(dir)?;
    let mut before = fingerprint(dir);
    for _ in 0..TRIES {
        let read = Contents::read(&directory);
        let after = fingerprint(dir);
        if before == after {
            let Contents { current, next, previous, session } = read?;
            let keyring = Keyring::new(
                current.key,
                next.map(|next| next.key),
                previous.into_iter().map(|(_, file)| file.key).collect(),
            );
            let session = session
                .into_keys()
                .map_err(|_| KeyError::Weak { path: directory.join(SESSION) })?;
            return Ok((keyring, session, after));
        }
        before = after;
    }
    Err(KeyError::Changing { dir: dir.to_owned() })
}
