//! What was written to the journals of a state directory, in numbers: whether the crowd shares its
//! syncs.

use std::sync::atomic::{AtomicU64, Ordering};

use super::options::JournalWritten;

/// How much was written, and how much of it together: the records that one sync is for are what
/// `durability = power` costs.
#[derive(Debug, Default)]
pub(super) struct Written {
    records: AtomicU64,
    writes: AtomicU64,
    syncs: AtomicU64,
}

impl Written {
    /// Those numbers by now.
    pub(super) fn by_now(&self) -> JournalWritten {
        let now = |number: &AtomicU64| number.load(Ordering::Relaxed);
        JournalWritten {
            records: now(&self.records),
            writes: now(&self.writes),
            syncs: now(&self.syncs),
        }
    }

    /// Counts a write of so many records.
    pub(super) fn wrote(&self, records: usize) {
        self.records.fetch_add(records as u64, Ordering::Relaxed);
        self.writes.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a sync, if there was anything to sync.
    pub(super) fn synced(&self, any: bool) {
        self.syncs.fetch_add(u64::from(any), Ordering::Relaxed);
    }
}
