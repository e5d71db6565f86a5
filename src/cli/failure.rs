//! How a command fails: what it says on standard error, and the exit code.
//!
//! ```text
//! oncegate: keys/current.pem can be read by others (mode 0644)
//!   do: chmod 600 keys/current.pem
//! ```

use std::{io, process::ExitCode};

use crate::{
    app::{HandedOverError, StartError},
    cli::keys::KeysFailed,
    config::Faults,
    gate::password::NoMemory,
    store::{certificates::CertificateError, directory::DirectoryError, keys::KeyError},
};

/// A command failed. `Display` is the whole report: what is wrong, and what to do next; never a
/// secret, nor a whole token.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It was asked for rightly, and did not work.
    #[error("oncegate: {0}")]
    Failed(String),
    /// It was asked for wrongly.
    #[error("oncegate: {0}")]
    Usage(String),
    /// The configuration is wrong.
    #[error("{0}")]
    Configuration(#[from] Faults),
}

/// Bad usage or configuration: `EX_USAGE` of sysexits.h.
const USAGE: u8 = 64;
/// Longer runs of a token's characters may be one, or a key.
const LONGEST_WORD: usize = 40;
/// How much of a token may be shown.
const SHOWN: usize = 8;

impl Failure {
    /// 1: failed; 64: bad usage or configuration.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Failed(_) => ExitCode::FAILURE,
            Self::Usage(_) | Self::Configuration(_) => ExitCode::from(USAGE),
        }
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<CertificateError> for Failure {
    fn from(error: CertificateError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<KeysFailed> for Failure {
    fn from(error: KeysFailed) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<NoMemory> for Failure {
    fn from(error: NoMemory) -> Self {
        Self::Failed(error.to_string())
    }
}

/// What systemd's units say is configuration too.
impl From<HandedOverError> for Failure {
    fn from(error: HandedOverError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Directory(DirectoryError::Faulty(faults)) => Self::Configuration(faults),
            StartError::HandedOver(error) => Self::from(error),
            error => Self::Failed(error.to_string()),
        }
    }
}

/// Of all that commands do, only their output fails in this way.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Failed(format!("cannot write the output: {error}"))
    }
}

/// `text` without what may be a token or a key: somebody's slip of the hand must not put one
/// into a terminal's history or a job's log.
pub fn without_secrets(text: &str) -> String {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = if part(first) {
            rest.find(|c| !part(c)).unwrap_or(rest.len())
        } else {
            rest.find(part).unwrap_or(rest.len())
        };
        let (run, after) = rest.split_at(end);
        if part(first) && run.len() > LONGEST_WORD {
            // Of a key nothing is shown but what every key begins with.
            let start = if run.starts_with("og_") { "og_" } else { run.get(..SHOWN).unwrap_or("") };
            shown.push_str(start);
            shown.push('…');
        } else {
            shown.push_str(run);
        }
        rest = after;
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_token_or_a_key_is_cut() {
        let token = format!("eyJhbGci{}.eyJ.x", "A".repeat(60));
        let text = format!("unexpected '{token}' ünd /a/path/to/oncegate.toml");
        assert_eq!(without_secrets(&text), "unexpected 'eyJhbGci…' ünd /a/path/to/oncegate.toml");
        let key = format!("--key=og_{}", "k".repeat(43));
        assert!(!without_secrets(&key).contains("kk"), "{key}");
        assert_eq!(without_secrets(""), "");
    }
}
