//! What was found out latest, for a while.

use std::{
    num::NonZeroUsize,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use lru::LruCache;

use super::Digest;

/// What was found out of each of so many, for so long. Where it is full, what nobody asked for
/// longest goes first.
pub(super) struct Latest<V> {
    found: Mutex<LruCache<Digest, Found<V>>>,
    lasting: Duration,
}

struct Found<V> {
    value: V,
    until: Instant,
}

impl<V: Clone> Latest<V> {
    /// Knows of none, and takes no room yet.
    pub(super) fn new(most: NonZeroUsize, lasting: Duration) -> Self {
        Self { found: Mutex::new(LruCache::sparse(most)), lasting }
    }

    /// What is still known of this one.
    pub(super) fn get(&self, of: &Digest, now: Instant) -> Option<V> {
        self.found().get(of).filter(|found| now < found.until).map(|found| found.value.clone())
    }

    /// Remembers it from now on.
    pub(super) fn insert(&self, of: Digest, value: V, now: Instant) {
        let mut known = self.found();
        forget(&mut known, now);
        known.put(of, Found { value, until: now + self.lasting });
    }

    /// What is known of this one, or else what `new` makes; it lasts from now on, whichever it is.
    pub(super) fn renewed(&self, of: Digest, new: impl FnOnce() -> V, now: Instant) -> V {
        let mut known = self.found();
        forget(&mut known, now);
        let until = now + self.lasting;
        if let Some(found) = known.get_mut(&of).filter(|found| now < found.until) {
            found.until = until;
            return found.value.clone();
        }
        let value = new();
        known.put(of, Found { value: value.clone(), until });
        value
    }

    /// How many there is room taken for.
    pub(super) fn len(&self) -> usize {
        self.found().len()
    }

    #[cfg(test)]
    pub(super) fn clear(&self) {
        self.found().clear();
    }

    fn found(&self) -> MutexGuard<'_, LruCache<Digest, Found<V>>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes back room of what is over: of two for each that may come, so that it never takes long.
fn forget<V>(known: &mut LruCache<Digest, Found<V>>, now: Instant) {
    for _ in 0..2 {
        if known.peek_lru().is_some_and(|(_, found)| found.until <= now) {
            known.pop_lru();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn latest(most: usize) -> (Latest<u16>, Instant) {
        (Latest::new(NonZeroUsize::new(most).unwrap(), MINUTE), Instant::now())
    }

    #[test]
    fn what_is_over_is_not_known_and_its_room_is_taken_back() {
        let (latest, now) = latest(100);
        (0..10).for_each(|n| latest.insert([n; 32], 7, now));
        let last = now + Duration::from_secs(59);
        assert_eq!(latest.get(&[1; 32], last), Some(7));
        assert_eq!(latest.get(&[1; 32], now + MINUTE), None, "asking did not prolong it");
        (20..30).for_each(|n| latest.insert([n; 32], 8, now + MINUTE));
        assert_eq!(latest.len(), 10);
        assert_eq!(latest.get(&[29; 32], now + MINUTE), Some(8));
    }

    #[test]
    fn where_it_is_full_what_nobody_asked_for_longest_goes_first() {
        let (latest, now) = latest(3);
        (0..3).for_each(|n| latest.insert([n; 32], 7, now));
        assert_eq!(latest.get(&[0; 32], now), Some(7));
        latest.insert([3; 32], 8, now);
        let known = [0, 1, 2, 3].map(|n| latest.get(&[n; 32], now));
        assert_eq!(known, [Some(7), None, Some(7), Some(8)]);
    }

    #[test]
    fn what_is_renewed_stays_while_it_is_asked_for_and_is_then_made_anew() {
        let (latest, now) = latest(3);
        let at =
            |seconds, made| latest.renewed([1; 32], || made, now + Duration::from_secs(seconds));
        assert_eq!([at(0, 1), at(59, 2), at(118, 3)], [1, 1, 1]);
        assert_eq!([at(178, 4), at(237, 5)], [4, 4]);
    }
}
