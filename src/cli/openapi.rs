//! `oncegate openapi`: prints the document of the API.

use std::io::{self, Write as _};

use crate::{cli::failure::Failure, edge::api};

/// What `--help` says at its end.
pub const AFTER: &str = "\
A running gate serves the same document at /openapi.json of its api listener.

Example:
  oncegate openapi > oncegate.openapi.json

Exit codes: 0 good, 1 failed, 64 bad usage";

/// Prints the document, as it is served.
///
/// # Errors
/// [`Failure`] if it cannot be written.
pub fn run() -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(api::OPENAPI.as_bytes())?;
    Ok(out.flush()?)
}
