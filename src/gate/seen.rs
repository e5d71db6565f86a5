//! The seen-set: which tokens have been used.
//!
//! Exact and bounded. Nothing that could still be valid is forgotten: when full it refuses. What
//! has expired goes a whole bucket of time at once, and the horizon remembers how far that went:
//! nothing that expires at or before it is admitted, whatever the clock says by then.

mod bucket;
mod buckets;

use std::{
    hint::black_box,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use self::{bucket::Bucket, buckets::Buckets};

use super::{denial::Denial, id::TokenId};

/// Seconds of expiry times that are dropped together.
pub const BUCKET: u64 = 16;

/// How far ahead of the clock, in seconds, a horizon may be found before the clock must have gone
/// back: a bucket, and what clocks are corrected by without anyone's notice.
pub const CLOCK_SLACK: u64 = BUCKET + 5;

const SHARDS: usize = 16;
const _: () = assert!(SHARDS <= u64::BITS as usize, "those that are needed are bits of a number");

/// Proof that a token was recorded as used: by [`SeenSet::spend`], or [`Spent::elsewhere`].
#[derive(Debug, PartialEq, Eq)]
#[must_use = "whoever spends a token owes its user the admission"]
pub struct Spent {
    id: TokenId,
}

impl Spent {
    /// The proof that a memory elsewhere gave: it answered, to this very attempt, that `id` was
    /// recorded as used.
    pub fn elsewhere(id: TokenId) -> Self {
        Self { id }
    }

    /// The token that was used.
    pub fn id(&self) -> TokenId {
        self.id
    }
}

/// Why a token was not recorded as used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotSpent {
    /// It may not be.
    Denied(Denial),
    /// The horizon is further ahead of the clock than [`CLOCK_SLACK`]: this memory may have
    /// forgotten what the clock now calls valid, and must be replaced.
    ClockWentBack,
}

/// The ids of the tokens already used, kept until they can no longer be valid.
#[derive(Debug)]
pub struct SeenSet {
    shards: Box<[Mutex<Shard>]>,
    entries: AtomicUsize,
    max_entries: usize,
    /// The latest of the shards' horizons.
    horizon: AtomicU64,
    /// The bucket of time in which all shards were last swept.
    swept: AtomicU64,
}

#[derive(Debug, Default)]
struct Shard {
    horizon: u64,
    /// In each, the ids that expire within the [`BUCKET`] seconds up to its end.
    buckets: Buckets,
    /// Buckets that have ended, until somebody has the time to free what they took.
    ended: Vec<Bucket>,
}

impl SeenSet {
    /// An empty set that holds `max_entries` at most.
    pub fn new(max_entries: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            entries: AtomicUsize::new(0),
            max_entries,
            horizon: AtomicU64::new(0),
            swept: AtomicU64::new(u64::MAX),
        }
    }

    /// Records `id` as used until `expires`, once.
    ///
    /// `expires` and what `now` returns are seconds since the Unix epoch. The check and the record
    /// are one step under the shard's lock, and so are the reading of the time and the horizon: a
    /// token judged in time, but delayed until its bucket was dropped, is refused.
    ///
    /// # Errors
    /// [`Denial::Expired`] at or before now or the horizon, [`Denial::AlreadyUsed`],
    /// [`Denial::StoreFull`]; or [`NotSpent::ClockWentBack`].
    pub fn spend(
        &self,
        id: TokenId,
        expires: u64,
        now: impl Fn() -> u64,
    ) -> Result<Spent, NotSpent> {
        match self.check_and_insert(id, expires, &now) {
            // What expired in the other shards still counts, and may make room.
            Err(NotSpent::Denied(Denial::StoreFull)) => {
                self.sweep(now());
                self.check_and_insert(id, expires, &now)
            }
            outcome => outcome,
        }
    }

    /// As [`SeenSet::spend`] for each of `several` ids with its expiry, in their order: one after
    /// another where none comes between. Most of what one spend takes is the wait for one place in
    /// memory; here the waits for all of them are one. The time is read once, under all their locks.
    pub fn spend_all(
        &self,
        several: &[(TokenId, u64)],
        now: impl Fn() -> u64,
    ) -> Vec<Result<Spent, NotSpent>> {
        if let [(id, expires)] = several {
            return vec![self.spend(*id, *expires, now)];
        }
        let mut outcomes = self.check_and_insert_all(several, &now);
        for (outcome, (id, expires)) in outcomes.iter_mut().zip(several) {
            if *outcome == Err(NotSpent::Denied(Denial::StoreFull)) {
                *outcome = self.spend(*id, *expires, &now);
            }
        }
        outcomes
    }

    fn check_and_insert_all(
        &self,
        several: &[(TokenId, u64)],
        now: impl Fn() -> u64,
    ) -> Vec<Result<Spent, NotSpent>> {
        let mut held = self.hold_shards_of(several);
        let now = now();
        for shard in held.iter_mut().flatten() {
            self.drop_ended(shard, now);
        }
        // All are asked of memory before any is waited for: a lock, or any other atomic step, between
        // two would have the processor wait.
        let mut near = Vec::<&u64>::with_capacity(2 * several.len());
        for (id, expires) in several {
            let shard = held.get(shard_number(*id)).and_then(Option::as_deref);
            let bucket = shard.and_then(|shard| shard.buckets.get(bucket_end(*expires)));
            near.extend(bucket.into_iter().flat_map(|bucket| bucket.places(key(*id))));
        }
        black_box(near.into_iter().fold(0, |all, place| all ^ place));
        let outcomes = several.iter().map(|(id, expires)| match held.get_mut(shard_number(*id)) {
            Some(Some(shard)) => self.insert(shard, *id, *expires, now),
            // None of theirs: all those are held.
            _ => Err(NotSpent::Denied(Denial::Internal("a shard was not held".to_owned()))),
        });
        outcomes.collect()
    }

    /// The shards that some stand in, locked, each at its number; always in the same order, so that
    /// no two wait for each other.
    fn hold_shards_of(&self, several: &[(TokenId, u64)]) -> Vec<Option<MutexGuard<'_, Shard>>> {
        let needed = several.iter().fold(0_u64, |all, (id, _)| all | 1 << shard_number(*id));
        let held = |(number, shard)| (needed >> number & 1 == 1).then(|| lock(shard));
        self.shards.iter().enumerate().map(held).collect()
    }

    fn check_and_insert(
        &self,
        id: TokenId,
        expires: u64,
        now: impl Fn() -> u64,
    ) -> Result<Spent, NotSpent> {
        let mut shard = self.shard(id);
        // Read under the lock: a time read before waiting for it would look like a clock gone back.
        let now = now();
        self.drop_ended(&mut shard, now);
        self.insert(&mut shard, id, expires, now)
    }

    fn insert(
        &self,
        shard: &mut Shard,
        id: TokenId,
        expires: u64,
        now: u64,
    ) -> Result<Spent, NotSpent> {
        if shard.horizon > now.saturating_add(CLOCK_SLACK) {
            return Err(NotSpent::ClockWentBack);
        }
        if expires <= shard.horizon || expires <= now {
            return Err(NotSpent::Denied(Denial::Expired(expires)));
        }
        let room = || {
            let one_more = |entries| (entries < self.max_entries).then_some(entries + 1);
            self.entries.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more)
        };
        match shard.buckets.at(bucket_end(expires)).insert_if(key(id), room) {
            Ok(true) => Ok(Spent { id }),
            Ok(false) => Err(NotSpent::Denied(Denial::AlreadyUsed)),
            Err(_) => Err(NotSpent::Denied(Denial::StoreFull)),
        }
    }

    /// Whether [`SeenSet::spend`] would refuse `id` now; records nothing, promises nothing.
    ///
    /// # Errors
    /// [`Denial::Expired`], [`Denial::AlreadyUsed`].
    pub fn look(&self, id: TokenId, expires: u64, now: u64) -> Result<(), Denial> {
        let shard = self.shard(id);
        if expires <= shard.horizon || expires <= now {
            return Err(Denial::Expired(expires));
        }
        match shard.buckets.get(bucket_end(expires)) {
            Some(bucket) if bucket.contains(key(id)) => Err(Denial::AlreadyUsed),
            _ => Ok(()),
        }
    }

    /// Takes in a use that was recorded before, as it is read back from where it was kept.
    ///
    /// Never refused for want of room: what was used stays used even where `max_entries` was
    /// lowered since. What has expired by `now` raises the horizon instead.
    pub fn restore(&self, id: TokenId, expires: u64, now: u64) {
        let (end, mut shard) = (bucket_end(expires), self.shard(id));
        if end <= now {
            self.raise_shard(&mut shard, end);
        } else if shard.buckets.at(end).insert(key(id)) {
            self.entries.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Drops every bucket that has ended by `now`, and gives back the memory of those that ended
    /// since this was last called: that takes its time, which no spend does.
    pub fn drop_expired(&self, now: u64) {
        self.sweep(now);
        for shard in &self.shards {
            // Freed when the lock is not held any more.
            let ended = std::mem::take(&mut lock(shard).ended);
            drop(ended);
        }
    }

    /// Ends every bucket that is over by `now`; the work is per bucket, not per entry.
    fn sweep(&self, now: u64) {
        // Buckets end at whole multiples: within one, a second sweep would find nothing. Not
        // "earlier than": the clock may have been ahead at the last one.
        if self.swept.load(Ordering::SeqCst) == now / BUCKET {
            return;
        }
        for shard in &self.shards {
            self.drop_ended(&mut lock(shard), now);
        }
        self.swept.store(now / BUCKET, Ordering::SeqCst);
    }

    /// Refuses from now on whatever expires at or before `horizon`.
    pub fn raise_horizon(&self, horizon: u64) {
        for shard in &self.shards {
            self.raise_shard(&mut lock(shard), horizon);
        }
    }

    /// The latest expiry, in any shard, whose entries have been dropped.
    pub fn horizon(&self) -> u64 {
        self.horizon.load(Ordering::SeqCst)
    }

    /// Whether `now` is further behind the horizon than any correction of a clock explains.
    pub fn clock_went_back(&self, now: u64) -> bool {
        self.horizon() > now.saturating_add(CLOCK_SLACK)
    }

    /// How many uses are remembered.
    pub fn entries(&self) -> usize {
        self.entries.load(Ordering::SeqCst)
    }

    /// How many uses may be remembered.
    pub fn max_entries(&self) -> usize {
        self.max_entries
    }

    fn shard(&self, id: TokenId) -> MutexGuard<'_, Shard> {
        #[expect(clippy::indexing_slicing, reason = "a remainder by the length is within it")]
        lock(&self.shards[shard_number(id)])
    }

    fn drop_ended(&self, shard: &mut Shard, now: u64) {
        while let Some((end, bucket)) = shard.buckets.pop_ended(now) {
            // The horizon first: at no moment is an entry gone and its expiry still admitted.
            self.raise_shard(shard, end);
            self.entries.fetch_sub(bucket.len(), Ordering::SeqCst);
            shard.ended.push(bucket);
        }
    }

    fn raise_shard(&self, shard: &mut Shard, horizon: u64) {
        shard.horizon = shard.horizon.max(horizon);
        self.horizon.fetch_max(horizon, Ordering::SeqCst);
    }
}

/// The end of the bucket that holds what expires at `expires`: not before it, and dropped only
/// when all of the bucket has expired.
pub fn bucket_end(expires: u64) -> u64 {
    expires.div_ceil(BUCKET).saturating_mul(BUCKET)
}

fn shard_number(id: TokenId) -> usize {
    let [.., last] = id.as_bytes();
    usize::from(*last) % SHARDS
}

/// Half of the id, which is random: half the memory of the whole. Two live ids with
/// the same half in one bucket err on the safe side, as "already used".
fn key(id: TokenId) -> u64 {
    id.as_bytes().first_chunk().map_or(0, |half| u64::from_le_bytes(*half))
}

/// A shard is whole between any two of its statements, so a panic elsewhere does not spoil it.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        sync::{Arc, Barrier},
    };

    use super::*;

    const NOW: u64 = 1_764_000_000;

    fn id(number: u64) -> TokenId {
        // Spread over the shards and over the keys, as random ids are.
        let low = u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        TokenId::from_bytes((low | u128::from(number) << 120).to_le_bytes())
    }

    fn denied(denial: Denial) -> Result<Spent, NotSpent> {
        Err(NotSpent::Denied(denial))
    }

    #[test]
    fn a_spent_token_stays_spent() {
        let seen = SeenSet::new(10);
        assert_eq!(seen.spend(id(1), NOW + 60, || NOW), Ok(Spent { id: id(1) }));
        for now in [NOW, NOW + 1, NOW + 59] {
            assert_eq!(seen.spend(id(1), NOW + 60, || now), denied(Denial::AlreadyUsed));
        }
        assert_eq!(seen.spend(id(1), NOW + 60, || NOW + 60), denied(Denial::Expired(NOW + 60)));
        assert_eq!(seen.entries(), 1);
    }

    #[test]
    fn a_thousand_at_once_and_exactly_one_wins() {
        let (seen, start) = (Arc::new(SeenSet::new(10_000)), Arc::new(Barrier::new(1_000)));
        let threads: Vec<_> = (0..1_000)
            .map(|_| {
                let (seen, start) = (Arc::clone(&seen), Arc::clone(&start));
                std::thread::Builder::new()
                    .stack_size(64 * 1024)
                    .spawn(move || {
                        start.wait();
                        seen.spend(id(7), NOW + 60, || NOW).is_ok()
                    })
                    .unwrap()
            })
            .collect();
        let won = threads.into_iter().map(|thread| thread.join().unwrap());
        assert_eq!(won.filter(|won| *won).count(), 1);
    }

    #[test]
    fn many_at_once_are_spent_as_one_after_another() {
        let (together, each) = (SeenSet::new(150), SeenSet::new(150));
        let (mut now, mut told) = (NOW, [0; 5]);
        for round in 0..60_u64 {
            // Some come twice, in one crowd or in two.
            let number = |n: u64| (round * 7 + n * n) % 600;
            let link = |n: u64| (id(number(n)), NOW + 40 + number(n) % 97);
            let several: Vec<_> = (0..20).map(link).chain([link(3)]).collect();
            let one = |(id, expires): &(TokenId, u64)| each.spend(*id, *expires, || now);
            let expected: Vec<_> = several.iter().map(one).collect();
            let outcomes = together.spend_all(&several, || now);
            assert_eq!(outcomes, expected, "round {round}");
            assert_eq!(together.entries(), each.entries());
            for outcome in outcomes {
                told[match outcome {
                    Ok(_) => 0,
                    Err(NotSpent::ClockWentBack) => 1,
                    Err(NotSpent::Denied(Denial::AlreadyUsed)) => 2,
                    Err(NotSpent::Denied(Denial::StoreFull)) => 3,
                    Err(NotSpent::Denied(_)) => 4,
                }] += 1;
            }
            now = match round {
                40 => now + 45,
                55 => now - 100,
                _ => now + u64::from(round % 4 == 0),
            };
        }
        assert!(told.iter().all(|times| *times > 5), "{told:?}");
    }

    #[test]
    fn crowds_on_many_threads_admit_each_once_and_wait_for_nobody_for_ever() {
        let seen = SeenSet::new(10_000);
        let won: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8_u64)
                .map(|thread| {
                    let seen = &seen;
                    scope.spawn(move || {
                        let spend = |round: u64| {
                            // All the same ids, each thread in an order of its own.
                            let number = |n: u64| round * 53 + (n * (2 * thread + 1) + thread) % 53;
                            let several: Vec<_> =
                                (0..53).map(|n| (id(number(n)), NOW + 60)).collect();
                            let outcomes = seen.spend_all(&several, || NOW);
                            outcomes.iter().filter(|outcome| outcome.is_ok()).count()
                        };
                        (0..100).map(spend).sum::<usize>()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!((won, seen.entries()), (5_300, 5_300));
    }

    #[test]
    fn a_token_delayed_past_the_drop_of_its_bucket_is_refused() {
        let seen = SeenSet::new(10);
        let expires = bucket_end(NOW + 10);
        let _ = seen.spend(id(1), expires, || NOW).unwrap();
        seen.drop_expired(expires);
        assert_eq!((seen.entries(), seen.horizon()), (0, expires));
        // Whatever time its request believes in: one within the slack, so that nothing else refuses.
        assert_eq!(seen.spend(id(1), expires, || expires - 5), denied(Denial::Expired(expires)));
    }

    #[test]
    fn the_time_is_read_under_the_lock() {
        let seen = SeenSet::new(100);
        let locked = Cell::new(false);
        let _ = seen.spend(id(1), NOW + 60, || {
            locked.set(seen.shards.iter().any(|shard| shard.try_lock().is_err()));
            NOW
        });
        assert!(locked.get());
        let all_locked = Cell::new(false);
        let several: Vec<_> = (2..40).map(|n| (id(n), NOW + 60)).collect();
        let _ = seen.spend_all(&several, || {
            all_locked.set(
                several.iter().all(|(id, _)| seen.shards[shard_number(*id)].try_lock().is_err()),
            );
            NOW
        });
        assert!(all_locked.get());
    }

    #[test]
    fn a_clock_gone_back_is_told_apart() {
        let seen = SeenSet::new(10);
        let expires = bucket_end(NOW);
        let _ = seen.spend(id(1), expires, || expires - 1).unwrap();
        seen.drop_expired(expires);
        assert!(!seen.clock_went_back(expires - CLOCK_SLACK));
        assert_eq!(
            seen.spend(id(1), expires, || expires - CLOCK_SLACK),
            denied(Denial::Expired(expires))
        );
        assert!(seen.clock_went_back(expires - CLOCK_SLACK - 1));
        assert_eq!(
            seen.spend(id(1), expires, || expires - CLOCK_SLACK - 1),
            Err(NotSpent::ClockWentBack)
        );
    }

    #[test]
    fn full_means_full_and_what_expired_makes_room() {
        let seen = Arc::new(SeenSet::new(500));
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let seen = Arc::clone(&seen);
                std::thread::spawn(move || {
                    (0..200)
                        .filter(|n| seen.spend(id(thread * 200 + n), NOW + 60, || NOW).is_ok())
                        .count()
                })
            })
            .collect();
        let admitted: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!((admitted, seen.entries()), (500, 500));
        assert_eq!(seen.spend(id(9_999), NOW + 60, || NOW), denied(Denial::StoreFull));
    }

    #[test]
    fn what_expired_in_another_shard_makes_room() {
        let seen = SeenSet::new(1);
        let (one, other) = (TokenId::from_bytes([1; 16]), TokenId::from_bytes([2; 16]));
        let _ = seen.spend(one, NOW + 60, || NOW).unwrap();
        assert_eq!(seen.spend(other, NOW + 90, || NOW + 1), denied(Denial::StoreFull));
        let later = bucket_end(NOW + 60);
        let _ = seen.spend(other, later + 60, || later).unwrap();
        assert_eq!(seen.entries(), 1);
    }

    #[test]
    fn what_ended_is_set_aside_by_a_spend_and_freed_by_upkeep() {
        let seen = SeenSet::new(1_000);
        for n in 0..500 {
            let _ = seen.spend(id(n), NOW + 60, || NOW).unwrap();
        }
        let later = bucket_end(NOW + 60);
        let aside = || -> usize {
            seen.shards
                .iter()
                .flat_map(|shard| lock(shard).ended.iter().map(Bucket::len).collect::<Vec<_>>())
                .sum()
        };
        for n in 500..1_000 {
            let _ = seen.spend(id(n), later + 60, || later).unwrap();
        }
        assert_eq!(aside() + seen.entries(), 1_000);
        assert!(aside() > 0);
        seen.drop_expired(later);
        assert_eq!((aside(), seen.entries()), (0, 500));
        // Also where another sweep of the same bucket has nothing left to do.
        let last = bucket_end(later + 60);
        seen.sweep(last);
        assert_eq!((aside(), seen.entries()), (500, 0));
        seen.drop_expired(last);
        assert_eq!(aside(), 0);
    }

    #[test]
    fn what_is_restored_is_used_even_beyond_the_limit() {
        let seen = SeenSet::new(1);
        for n in 0..3 {
            seen.restore(id(n), NOW + 60, NOW);
            seen.restore(id(n), NOW + 60, NOW);
        }
        seen.restore(id(9), NOW - 100, NOW);
        assert_eq!((seen.entries(), seen.horizon()), (3, bucket_end(NOW - 100)));
        assert_eq!(seen.spend(id(2), NOW + 60, || NOW), denied(Denial::AlreadyUsed));
        assert_eq!(seen.spend(id(4), NOW + 60, || NOW), denied(Denial::StoreFull));
    }

    #[test]
    fn the_ends_of_time_are_ordinary() {
        let seen = SeenSet::new(10);
        let _ = seen.spend(id(1), u64::MAX, || NOW).unwrap();
        assert_eq!(seen.spend(id(1), u64::MAX, || NOW), denied(Denial::AlreadyUsed));
        assert_eq!(seen.spend(id(2), 0, || 0), denied(Denial::Expired(0)));
        assert_eq!(seen.spend(id(3), u64::MAX, || u64::MAX), denied(Denial::Expired(u64::MAX)));
        assert_eq!((seen.entries(), seen.horizon()), (1, 0));
        seen.raise_horizon(u64::MAX);
        assert_eq!(seen.spend(id(4), u64::MAX, || NOW), Err(NotSpent::ClockWentBack));
    }
}
