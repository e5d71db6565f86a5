//! The certificate with which the gate itself ends TLS: read with suspicion, and seen to change.
//!
//! Also whose certificates of callers are believed. A pair that cannot be used is refused with
//! what is wrong with it; a gate that runs goes on with the one it has.

mod error;
mod files;
mod names;
mod server;

use std::sync::Arc;

use rustls::{ServerConfig, server::danger::ClientCertVerifier, time_provider::TimeProvider};

pub use error::CertificateError;
pub use names::names;

use crate::{
    config::Tls,
    store::certificates::files::{Contents, Fingerprint, fingerprint},
};

/// How long before it expires a certificate is worth a word, in seconds.
pub const SOON: u64 = 14 * 24 * 3_600;

/// How TLS begins on one listener.
#[derive(Debug)]
pub struct Server {
    /// With what.
    pub config: Arc<ServerConfig>,
    /// Who verifies callers' certificates; none: nobody is asked for one.
    pub callers: Option<Arc<dyn ClientCertVerifier>>,
}

/// How TLS begins on the gate's listeners.
#[derive(Debug, Clone)]
pub struct Certificates {
    /// On `public`.
    pub public: Arc<Server>,
    /// On `api`: there callers may show certificates of their own.
    pub api: Arc<Server>,
    /// When the certificate expires, in seconds since the Unix epoch.
    pub expires: u64,
    /// When the first of those who sign callers' certificates does.
    pub client_ca_expires: Option<u64>,
    /// The first of the lists of what they took back to go out of date.
    pub client_crl: Option<RevocationList>,
}

/// How long a list of what was taken back is good. When it is not, no caller's certificate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevocationList {
    /// From when, in seconds since the Unix epoch.
    pub from: u64,
    /// Until when; a list that does not say so is good for ever.
    pub expires: u64,
}

impl RevocationList {
    /// How long before it expires it is worth a word, in seconds: one that is replaced every day
    /// is always about to expire.
    pub fn soon(self) -> u64 {
        SOON.min(self.expires.saturating_sub(self.from) / 4)
    }
}

/// Reads the files. Certificates of callers are judged by `clock`; so is the gate's own, now.
///
/// # Errors
/// [`CertificateError`], which says which file, what is wrong with it and what to do.
pub fn load(files: &Tls, clock: &Arc<dyn TimeProvider>) -> Result<Certificates, CertificateError> {
    read_whole(files, clock).map(|(certificates, _)| certificates)
}

/// Notices that the files have changed: written anew, renamed, or behind another symbolic link.
#[derive(Debug)]
pub struct Watch {
    files: Tls,
    clock: Arc<dyn TimeProvider>,
    seen: Fingerprint,
    reported: Option<(Fingerprint, String)>,
}

impl Watch {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// As [`load`].
    pub fn start(
        files: &Tls,
        clock: Arc<dyn TimeProvider>,
    ) -> Result<(Self, Certificates), CertificateError> {
        let (certificates, seen) = read_whole(files, &clock)?;
        Ok((Self { files: files.clone(), clock, seen, reported: None }, certificates))
    }

    /// The certificates anew, if the files have changed; cheap enough to ask every few seconds.
    ///
    /// What cannot be used is tried again at each call, and reported once.
    pub fn changed(&mut self) -> Option<Result<Certificates, CertificateError>> {
        let now = fingerprint(&self.files);
        if now == self.seen {
            self.reported = None;
            return None;
        }
        match read_whole(&self.files, &self.clock) {
            Ok((certificates, seen)) => {
                (self.seen, self.reported) = (seen, None);
                Some(Ok(certificates))
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

/// The files as they stand together at one moment, not half before and half after a renewal.
fn read_whole(
    files: &Tls,
    clock: &Arc<dyn TimeProvider>,
) -> Result<(Certificates, Fingerprint), CertificateError> {
    const TRIES: usize = 5;
    let mut before = fingerprint(files);
    for _ in 0..TRIES {
        let read = Contents::read(files);
        let after = fingerprint(files);
        if before == after {
            return Ok((server::certificates(files, &read?, clock)?, after));
        }
        before = after;
    }
    Err(CertificateError::new(&files.cert, "changes while it is read", "try again"))
}
