//! Says in time that a memory is filling up: before redemption has to be refused.

use std::sync::atomic::{AtomicU64, Ordering};

use super::error::StoreNotice;

/// Seconds between two warnings.
const PATIENCE: u64 = 60;

/// Nobody was warned.
const NEVER: u64 = u64::MAX;

/// Whether so many uses leave less than a tenth of the room.
pub(super) fn is_near(entries: usize, max_entries: usize) -> bool {
    entries >= max_entries - max_entries / 10
}

/// When it was last said that the room is getting short.
#[derive(Debug)]
pub(super) struct Fullness(AtomicU64);

impl Default for Fullness {
    fn default() -> Self {
        Self(AtomicU64::new(NEVER))
    }
}

impl Fullness {
    /// What is to be said as something is issued at `now`: nothing, mostly.
    pub(super) fn issuing(
        &self,
        entries: usize,
        max_entries: usize,
        now: u64,
    ) -> Option<StoreNotice> {
        if !is_near(entries, max_entries) {
            return None;
        }
        let warned = self.0.load(Ordering::Relaxed);
        let due = warned == NEVER || warned.abs_diff(now) >= PATIENCE;
        // Of many that issue at once, one says so.
        let first = due && self.swap(warned, now);
        first.then_some(StoreNotice::NearlyFull { entries, max_entries })
    }

    /// What is to be said once there is room again: a fifth, so that it is not said in turns.
    pub(super) fn relax(&self, entries: usize, max_entries: usize) -> Option<StoreNotice> {
        let warned = self.0.load(Ordering::Relaxed);
        let roomy = warned != NEVER && entries <= max_entries - max_entries.div_ceil(5);
        (roomy && self.swap(warned, NEVER))
            .then_some(StoreNotice::RoomAgain { entries, max_entries })
    }

    fn swap(&self, old: u64, new: u64) -> bool {
        self.0.compare_exchange(old, new, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_764_000_000;

    #[test]
    fn it_warns_at_nine_tenths_once_a_minute_and_says_when_it_is_over() {
        let fullness = Fullness::default();
        let full = |entries| Some(StoreNotice::NearlyFull { entries, max_entries: 100 });
        assert_eq!(fullness.issuing(89, 100, NOW), None);
        assert_eq!(fullness.issuing(90, 100, NOW), full(90));
        assert_eq!(fullness.issuing(99, 100, NOW + PATIENCE - 1), None);
        assert_eq!(fullness.issuing(100, 100, NOW + PATIENCE), full(100));
        assert_eq!(fullness.relax(81, 100), None);
        let room = StoreNotice::RoomAgain { entries: 80, max_entries: 100 };
        assert_eq!((fullness.relax(80, 100), fullness.relax(0, 100)), (Some(room), None));
        assert_eq!(fullness.issuing(95, 100, NOW + PATIENCE), full(95));
    }

    #[test]
    fn the_smallest_memories_have_their_tenth_too() {
        for max in 1..20 {
            assert!(is_near(max, max) && !is_near(0, max), "{max}");
            let fullness = Fullness::default();
            assert!(fullness.issuing(max, max, NOW).is_some());
            assert!(fullness.relax(0, max).is_some(), "{max}");
        }
    }
}
