//! The way from one gate to another: it carries bytes, and is trusted with nothing.

use std::fmt;

use bytes::Bytes;
use futures_util::future::BoxFuture;

/// A question or an answer on its way, with its proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The value of [`crate::gate::peer::PROOF_HEADER`].
    pub proof: String,
    /// JSON.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered {
    /// The question certainly did not leave.
    pub unasked: bool,
    /// What went wrong, for the log.
    pub why: String,
}

/// The way to the other gates.
pub trait Road: fmt::Debug + Send + Sync {
    /// Carries a question to `path` at `peer`, and its answer back; once, however long that takes:
    /// whoever asks stops waiting by himself.
    fn send<'a>(
        &'a self,
        peer: &'a str,
        path: &'static str,
        question: Sealed,
    ) -> BoxFuture<'a, Result<Sealed, Unanswered>>;
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}
