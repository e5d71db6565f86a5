//! How far somebody has heard of what was taken back.

use serde::{Deserialize, Serialize};

/// The place in one list of changes up to which they have been heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// Which list: 128 random bits. Numbers begin anew with every start of a gate.
    pub list: [u8; 16],
    /// The number of the latest change heard of.
    pub number: u64,
}
