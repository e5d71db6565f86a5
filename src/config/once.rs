//! `[once]`: where the used tokens are remembered.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crate::config::{
    peers::{self, Peer},
    reader::{Section, one_of},
    redis::{self, Redis},
    units,
};

/// Where the used tokens are remembered.
#[derive(Debug, Clone)]
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
    /// The server that several gates share, where the store is one.
    pub redis: Option<Redis>,
    /// Whether a gate whose store is down reports itself as not ready.
    pub ready_needs_store: bool,
    /// The other gates whose tokens are spent from here, each in its own memory.
    pub peers: Vec<Peer>,
}

/// The kind of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    /// In memory: a restart fences every outstanding link.
    Memory,
    /// In memory, with a journal on local disk.
    Journal,
    /// In a server that several gates share.
    Redis,
}

/// What a recorded use outlives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// A crash of the gate.
    Process,
    /// A loss of power: it is on disk before the answer.
    Power,
}

const STORES: [(&str, StoreKind); 3] =
    [("memory", StoreKind::Memory), ("journal", StoreKind::Journal), ("redis", StoreKind::Redis)];
const DURABILITY: [(&str, Durability); 2] =
    [("process", Durability::Process), ("power", Durability::Power)];

/// Reads `[once]` of the gate `own`.
pub(super) fn read(mut section: Section<'_>, base: &Path, own: Option<&str>) -> Once {
    let redis = section.optional("redis").and_then(|redis| redis::read(redis, base));
    let dir = section.read_or("dir", units::path, PathBuf::from("state"));
    let entries = units::number(1_000, 200_000_000);
    let mut once = Once {
        store: section.read_or("store", one_of(&STORES), StoreKind::Journal),
        dir: base.join(dir),
        durability: section.read_or("durability", one_of(&DURABILITY), Durability::Process),
        max_entries: section.read_or("max_entries", entries, 5_000_000),
        redis,
        lock_wait: section.read_or("lock_wait", units::duration, Duration::from_secs(30)),
        ready_needs_store: section.read_or("ready_needs_store", units::flag, false),
        peers: peers::read(&mut section),
    };
    match once.store {
        StoreKind::Redis => {
            if !section.has("redis") {
                let example = "redis = { url = \"redis://127.0.0.1:6379\" }";
                section.ledger.missing(&section.path_of("redis"), example);
            }
            if section.has("peers") {
                section.fault("peers", "is for gates that do not share a store; remove it");
            }
        }
        StoreKind::Memory | StoreKind::Journal => {
            if section.has("redis") {
                section
                    .fault("redis", "is used by store = \"redis\" alone; write that, or remove it");
            }
        }
    }
    // All gates may have the same list.
    once.peers.retain(|peer| own != Some(&*peer.name));
    section.done();
    once
}
