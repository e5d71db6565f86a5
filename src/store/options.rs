//! What a store is opened with, and what it tells of itself.

use std::{path::PathBuf, sync::Arc, time::Duration};

use super::{
    error::NewMemory,
    local::{
        Durability,
        disk::{Disk, LocalDisk},
    },
    peers::PeerOptions,
    redis::Questions,
};
use crate::gate::{id::MemoryId, revoked::MAX_REVOCATIONS};

/// Bytes of a segment: room for 32,766 records.
pub(super) const SEGMENT_SIZE: u64 = 1 << 20;

/// What a store is opened with.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The gate's name; a state directory remembers it and refuses another.
    pub gate: String,
    /// The journal; without one every start is a new memory.
    pub journal: Option<JournalOptions>,
    /// Uses remembered at most.
    pub max_entries: usize,
    /// Revocations remembered at most.
    pub max_revocations: usize,
    /// The other gates whose tokens are spent from here; none where there are none.
    pub peers: Option<PeerOptions>,
}

/// Where and how a journal is kept.
#[derive(Debug, Clone)]
pub struct JournalOptions {
    /// The state directory, on a local file system; created if need be.
    pub dir: PathBuf,
    /// When a record counts as kept.
    pub durability: Durability,
    /// Whether, with [`Durability::Power`], a thread gathers what one sync is for. Without it each
    /// record is written and synced in place, which a simulation can repeat exactly.
    pub gather: bool,
    /// How long to wait for a predecessor to give the directory back.
    pub lock_wait: Duration,
    /// Bytes of a new segment, at least those of one record.
    pub segment_size: u64,
    /// Names this boot of the machine; `None` where nothing does: then every start counts as one
    /// after a restart.
    pub boot: Option<String>,
    /// The disk. Tests put a villain here.
    pub disk: Arc<dyn Disk>,
}

impl StoreOptions {
    /// A store that forgets with the process.
    pub fn memory(gate: &str, max_entries: usize) -> Self {
        let max_revocations = MAX_REVOCATIONS;
        Self { gate: gate.to_owned(), journal: None, max_entries, max_revocations, peers: None }
    }

    /// A store with a journal in `dir`.
    pub fn journal(
        gate: &str,
        max_entries: usize,
        dir: PathBuf,
        durability: Durability,
        lock_wait: Duration,
    ) -> Self {
        let (segment_size, disk) = (SEGMENT_SIZE, Arc::new(LocalDisk));
        let journal = JournalOptions {
            dir,
            durability,
            gather: true,
            lock_wait,
            segment_size,
            boot: boot_id(),
            disk,
        };
        Self { journal: Some(journal), ..Self::memory(gate, max_entries) }
    }
}

/// What the kernel calls this boot (Linux: `random(4)`).
pub(super) fn boot_id() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
}

/// A store's state, for metrics and the status page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreStatus {
    /// Whether tokens can be spent.
    pub healthy: bool,
    /// Why not, if so.
    pub why: Option<String>,
    /// Whether everything is known that was taken back before this process began: without that,
    /// no session is.
    pub started: bool,
    /// The memory in force.
    pub mem: MemoryId,
    /// Uses remembered.
    pub entries: usize,
    /// Uses that may be remembered.
    pub max_entries: usize,
    /// Whether less than a tenth of the room for uses is left.
    pub nearly_full: bool,
    /// Revocations remembered.
    pub revocations: usize,
    /// Revocations that may be remembered.
    pub max_revocations: usize,
    /// The latest expiry whose entries were dropped, seconds since the Unix epoch.
    pub horizon: u64,
    /// Spends refused for want of room since the start.
    pub refused_full: u64,
    /// New memories since the start, by [`NewMemory::LABELS`].
    pub new_memories: [(&'static str, u64); NewMemory::LABELS.len()],
    /// Segments of the journal.
    pub segments: usize,
    /// Their bytes.
    pub journal_bytes: u64,
    /// What was written to it since the start; without a journal none.
    pub journal_written: Option<JournalWritten>,
    /// How durable a record is before the answer; without a journal none.
    pub durability: Option<Durability>,
    /// How the questions to a shared memory went.
    pub questions: Option<Questions>,
    /// The other gates.
    pub peers: Vec<PeerStatus>,
}

/// How much a journal was written to since the start, by whichever memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalWritten {
    /// Records.
    pub records: u64,
    /// Writes that put them there, each of one or several.
    pub writes: u64,
    /// Syncs of those: before the answers where `durability = power`, else from time to time.
    pub syncs: u64,
}

/// Another gate's state, as far as is known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerStatus {
    /// Its name.
    pub name: String,
    /// Why it does not answer, if so.
    pub silence: Option<String>,
}
