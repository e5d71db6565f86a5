//! `[limits]`: what one client may cost. The defaults fit a sidecar.

use std::time::Duration;

use crate::config::{reader::Section, units};

/// What one client may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How long a request's head may take.
    pub header_timeout: Duration,
    /// How long a body that the gate itself reads may take.
    pub body_timeout: Duration,
    /// How many connections may be open at once.
    pub max_connections: usize,
    /// The largest body that the gate itself reads, in bytes; not of a batch.
    pub max_body: u64,
}

/// Reads `[limits]`.
pub(super) fn read(mut section: Section<'_>) -> Limits {
    let limits = Limits {
        header_timeout: section.read_or("header_timeout", units::duration, Duration::from_secs(10)),
        body_timeout: section.read_or("body_timeout", units::duration, Duration::from_secs(30)),
        max_connections: section.read_or("max_connections", units::number(1, 10_000_000), 10_000),
        max_body: section.read_or("max_body", units::size, 64 << 10),
    };
    // A link's form carries a token of up to 4 KiB and the page asked for.
    if !((16 << 10)..=(64 << 20)).contains(&limits.max_body) {
        section.fault("max_body", "is out of range; write a size from \"16KiB\" to \"64MiB\"");
    }
    section.done();
    limits
}
