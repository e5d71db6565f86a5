//! What can be wrong with a certificate. `Display` says what, where, and on a second line what to
//! do; it never holds anything out of a key's file.

use std::path::{Path, PathBuf};

/// What is wrong with one of the files of `listen.tls`.
#[derive(Debug, thiserror::Error)]
#[error("{} {what}\n  do: {fix}", path.display())]
pub struct CertificateError {
    path: PathBuf,
    what: String,
    fix: String,
}

impl CertificateError {
    pub(super) fn new(path: &Path, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { path: path.to_owned(), what: what.into(), fix: fix.into() }
    }
}
