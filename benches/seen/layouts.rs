//! The layouts that are compared: the seen-set itself, and what it could be instead.

use std::{
    collections::{BTreeMap, HashSet},
    hash::{BuildHasherDefault, Hasher},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use moka::sync::Cache;
use oncegate::gate::{
    id::TokenId,
    seen::{SeenSet, bucket_end},
};

/// What remembers uses.
pub(crate) trait Layout: Sync {
    /// Room for so many uses.
    fn new(max_entries: usize) -> Self;

    /// Records a use; tells whether it was the first.
    fn spend(&self, id: TokenId, expires: u64, now: u64) -> bool;

    /// What is done between requests.
    fn upkeep(&self, now: u64);
}

impl Layout for SeenSet {
    fn new(max_entries: usize) -> Self {
        Self::new(max_entries)
    }

    fn spend(&self, id: TokenId, expires: u64, now: u64) -> bool {
        Self::spend(self, id, expires, || now).is_ok()
    }

    fn upkeep(&self, now: u64) {
        self.drop_expired(now);
    }
}

/// Bounded, it evicts or refuses what is new; its clock is its own. So nothing of it expires here.
impl Layout for Cache<u64, ()> {
    fn new(max_entries: usize) -> Self {
        let hour = Duration::from_secs(3600);
        Self::builder().max_capacity(max_entries as u64).time_to_live(hour).build()
    }

    fn spend(&self, id: TokenId, _expires: u64, _now: u64) -> bool {
        self.entry(halves(id).0).or_insert(()).is_fresh()
    }

    fn upkeep(&self, _now: u64) {
        self.run_pending_tasks();
    }
}

/// A set of the ids in one bucket of one shard.
pub(crate) trait Bucket: Default + Send {
    /// Whether it holds the id.
    fn contains(&self, id: u64) -> bool;

    /// Takes one in that it does not hold.
    fn insert(&mut self, id: u64);
}

/// Buckets by their ends, and those that are over.
type Shard<B> = (BTreeMap<u64, B>, Vec<B>);

/// Shards and buckets of time as the seen-set has them, around another bucket.
pub(crate) struct Sharded<B> {
    shards: Vec<Mutex<Shard<B>>>,
    entries: AtomicUsize,
    max_entries: usize,
}

impl<B: Bucket> Layout for Sharded<B> {
    fn new(max_entries: usize) -> Self {
        let shards = (0..64).map(|_| Mutex::default()).collect();
        Self { shards, entries: AtomicUsize::new(0), max_entries }
    }

    fn spend(&self, id: TokenId, expires: u64, now: u64) -> bool {
        let (id, other) = halves(id);
        let mut shard = self.shards[(other >> 58) as usize].lock().unwrap();
        let (buckets, ended) = &mut *shard;
        end(buckets, ended, now);
        let end = bucket_end(expires);
        if buckets.get(&end).is_some_and(|bucket| bucket.contains(id)) {
            return false;
        }
        let room = |entries| (entries < self.max_entries).then_some(entries + 1);
        if self.entries.fetch_update(Ordering::SeqCst, Ordering::SeqCst, room).is_err() {
            return false;
        }
        buckets.entry(end).or_default().insert(id);
        true
    }

    fn upkeep(&self, now: u64) {
        for shard in &self.shards {
            let ended = {
                let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
                let (buckets, ended) = &mut *shard;
                end(buckets, ended, now);
                std::mem::take(ended)
            };
            drop(ended);
        }
    }
}

fn end<B>(buckets: &mut BTreeMap<u64, B>, ended: &mut Vec<B>, now: u64) {
    while let Some(first) = buckets.first_entry()
        && *first.key() <= now
    {
        ended.push(first.remove());
    }
}

/// Nothing is remembered: what the frame and the machine cost.
#[derive(Default)]
pub(crate) struct Nothing;

impl Bucket for Nothing {
    fn contains(&self, _: u64) -> bool {
        false
    }

    fn insert(&mut self, _: u64) {}
}

/// The set of the standard library, which doubles at once.
#[derive(Default)]
pub(crate) struct Whole(Hashed);

type Hashed = HashSet<u64, BuildHasherDefault<AlreadyRandom>>;

impl Bucket for Whole {
    fn contains(&self, id: u64) -> bool {
        self.0.contains(&id)
    }

    fn insert(&mut self, id: u64) {
        self.0.insert(id);
    }
}

/// Such sets of 830 ids or so, one of which is split at a time (linear hashing).
#[derive(Default)]
pub(crate) struct HashedLeaves {
    leaves: Vec<Hashed>,
    len: usize,
}

const LEAF: usize = 830;

impl Bucket for HashedLeaves {
    fn contains(&self, id: u64) -> bool {
        self.leaves.get(place(id, self.leaves.len())).is_some_and(|leaf| leaf.contains(&id))
    }

    fn insert(&mut self, id: u64) {
        if self.len >= self.leaves.len() * LEAF {
            let new = self.leaves.len();
            self.leaves.push(Hashed::default());
            if new > 0 {
                let splits = new - (1 << new.ilog2());
                let whole = std::mem::take(&mut self.leaves[splits]);
                let half = || {
                    Hashed::with_capacity_and_hasher(whole.len() / 2, BuildHasherDefault::default())
                };
                (self.leaves[splits], self.leaves[new]) = (half(), half());
                for id in whole {
                    self.leaves[place(id, new + 1)].insert(id);
                }
            }
        }
        let place = place(id, self.leaves.len());
        self.leaves[place].insert(id);
        self.len += 1;
    }
}

fn place(id: u64, leaves: usize) -> usize {
    let all = leaves.next_power_of_two();
    let place = (id >> 32) as usize & (all - 1);
    if place < leaves { place } else { place - all / 2 }
}

/// Blocks of 64 ids, each of a range of its own, halved when they are full: a tree of two levels.
#[derive(Default)]
pub(crate) struct Ranges(Vec<(u64, Vec<u64>)>);

const BLOCK: usize = 64;

impl Ranges {
    fn at(&self, id: u64) -> usize {
        self.0.partition_point(|(from, _)| *from <= id).saturating_sub(1)
    }
}

impl Bucket for Ranges {
    fn contains(&self, id: u64) -> bool {
        self.0.get(self.at(id)).is_some_and(|(_, block)| block.contains(&id))
    }

    fn insert(&mut self, id: u64) {
        let at = self.at(id);
        let Some((_, block)) = self.0.get_mut(at) else {
            self.0.push((0, vec![id]));
            return;
        };
        if block.len() < BLOCK {
            if block.len() == block.capacity() {
                block.reserve_exact(BLOCK / 4);
            }
            block.push(id);
            return;
        }
        let (_, middle, _) = block.select_nth_unstable(BLOCK / 2);
        let from = *middle;
        let mut upper = Vec::with_capacity(BLOCK);
        upper.extend_from_slice(&block[BLOCK / 2..]);
        block.truncate(BLOCK / 2);
        if id < from { &mut *block } else { &mut upper }.push(id);
        self.0.insert(at + 1, (from, upper));
    }
}

/// 48 bits of each id in leaves of 40 or so, unsorted; the leaf's number tells some of the others.
#[derive(Default)]
pub(crate) struct Fingerprints {
    leaves: Vec<Vec<[u16; 3]>>,
    len: usize,
}

const FEW: usize = 40;

impl Bucket for Fingerprints {
    fn contains(&self, id: u64) -> bool {
        let leaf = self.leaves.get(place(id, self.leaves.len()));
        leaf.is_some_and(|leaf| leaf.contains(&print(id)))
    }

    fn insert(&mut self, id: u64) {
        if self.len >= self.leaves.len() * FEW {
            let new = self.leaves.len();
            self.leaves.push(Vec::new());
            if new > 0 {
                let splits = new - (1 << new.ilog2());
                let whole = std::mem::take(&mut self.leaves[splits]);
                let goes = |print: &[u16; 3]| place(u64::from(print[2]) << 32, new + 1) == new;
                let (moved, staying) = whole.into_iter().partition(goes);
                (self.leaves[new], self.leaves[splits]) = (moved, staying);
            }
        }
        let place = place(id, self.leaves.len());
        let leaf = &mut self.leaves[place];
        if leaf.len() == leaf.capacity() {
            leaf.reserve_exact(8);
        }
        leaf.push(print(id));
        self.len += 1;
    }
}

fn print(id: u64) -> [u16; 3] {
    [id as u16, (id >> 16) as u16, (id >> 32) as u16]
}

/// Hashes nothing: ids are random.
#[derive(Default)]
pub(crate) struct AlreadyRandom(u64);

impl Hasher for AlreadyRandom {
    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, id: u64) {
        self.0 = id;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

fn halves(id: TokenId) -> (u64, u64) {
    let both = u128::from_le_bytes(*id.as_bytes());
    (both as u64, (both >> 64) as u64)
}
