//! `[once]`: where the used tokens are remembered.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crate::config::{
    reader::{Section, one_of},
    units,
};

/// Where the used tokens are remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// The kind of store.
    pub store: StoreKind,
    /// The state directory: on a local file system.
    pub dir: PathBuf,
    /// What a recorded use outlives.
    pub durability: Durability,
    /// How many uses are remembered at most; past it redemption is refused.
    pub max_entries: usize,
    /// How long a successor waits for its predecessor's state directory.
    pub lock_wait: Duration,
    /// Whether a gate whose store is down reports itself as not ready.
    pub ready_needs_store: bool,
}

/// The kind of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    /// In memory: a restart fences every outstanding link.
    Memory,
    /// In memory, with a journal on local disk.
    Journal,
}

/// What a recorded use outlives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// A crash of the gate.
    Process,
    /// A loss of power: it is on disk before the answer.
    Power,
}

const STORES: [(&str, StoreKind); 2] =
    [("memory", StoreKind::Memory), ("journal", StoreKind::Journal)];
const DURABILITY: [(&str, Durability); 2] =
    [("process", Durability::Process), ("power", Durability::Power)];

/// Reads `[once]`.
pub(super) fn read(mut section: Section<'_>, base: &Path) -> Once {
    section.not_yet("redis", "write store = \"journal\"");
    section.not_yet("peers", "remove it: one gate serves each site");
    let dir = section.read_or("dir", units::path, PathBuf::from("state"));
    let entries = units::number(1_000, 200_000_000);
    let once = Once {
        store: section.read_or("store", one_of(&STORES, &["redis"]), StoreKind::Journal),
        dir: base.join(dir),
        durability: section.read_or("durability", one_of(&DURABILITY, &[]), Durability::Process),
        max_entries: section.read_or("max_entries", entries, 5_000_000),
        lock_wait: section.read_or("lock_wait", units::duration, Duration::from_secs(30)),
        ready_needs_store: section.read_or("ready_needs_store", units::flag, false),
    };
    section.done();
    once
}
