//! What a user would pick instead. `tests/run` installs them all; what is not there is left out,
//! and said.

pub(crate) mod envoy;
pub(crate) mod nginx;
pub(crate) mod node;
pub(crate) mod redis;

use std::path::PathBuf;

/// Where `tests/run` puts the packages of others.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target")),
        PathBuf::from,
    )
}
