//! Why there is no directory, and what happened to one.

use std::{io, path::PathBuf};

use crate::config::Faults;

/// Why a directory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Its file has faults.
    #[error(transparent)]
    Faulty(#[from] Faults),
    /// Its service is to be verified, and nothing says by what.
    #[error(
        "cannot verify the directory's service: {0}\n  do: install the system's root certificates (ca-certificates), or name them in SSL_CERT_FILE"
    )]
    Tls(io::Error),
    /// Its token has characters that no header can carry.
    #[error("directory.token cannot be sent\n  do: write letters, digits and - . _ ~ + / = alone")]
    NotAToken,
}

/// What happened to a directory, for the log.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryNotice {
    /// Its file changed, and is in force.
    #[error("{} changed and is in force", .0.display())]
    Changed(PathBuf),
    /// Its file changed, and what was in force before still is.
    #[error("the directory changed and cannot be used; the old one stays: {0}")]
    Faulty(Faults),
    /// Its service does not answer.
    #[error("the directory does not answer: {0}")]
    Silent(String),
    /// Its service answers again.
    #[error("the directory answers again")]
    Answers,
}
