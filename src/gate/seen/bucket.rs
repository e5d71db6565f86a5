//! One bucket of the seen-set: a set of ids that grows without a pause.
//!
//! A table that doubles must move all it holds at once. This one is made of leaves and splits one
//! of them at a time (linear hashing), so no insertion ever moves more than one leaf's worth. What
//! it moved away from is left for [`Bucket::take_left`]: to give memory back can take milliseconds.

use std::{
    collections::HashSet,
    hash::{BuildHasherDefault, Hasher},
};

/// Ids in a leaf, on average, when the next one is split. Just below what a table of 1,024 places
/// takes, and twice that below 2,048: so neither is half empty.
const LEAF: usize = 830;

/// Ids in a leaf too small for its memory to be worth a thought.
const SMALL: usize = 28;

pub(super) type Leaf = HashSet<u64, BuildHasherDefault<AlreadyRandom>>;

/// A set of random numbers.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    first: Leaf,
    more: Vec<Leaf>,
    len: usize,
    left: Vec<Leaf>,
}

impl Bucket {
    /// Whether it holds `id`.
    pub(super) fn contains(&self, id: u64) -> bool {
        let leaf = match place(id, self.leaves()) {
            0 => Some(&self.first),
            place => self.more.get(place - 1),
        };
        leaf.is_some_and(|leaf| leaf.contains(&id))
    }

    /// Takes `id` in; tells whether that was not there yet.
    pub(super) fn insert(&mut self, id: u64) -> bool {
        let place = place(id, self.leaves());
        let leaf = self.leaf(place);
        if leaf.len() == leaf.capacity() && !leaf.contains(&id) {
            self.grow(place);
        }
        let new = self.leaf(place).insert(id);
        self.len += usize::from(new);
        if self.len > self.leaves() * LEAF {
            self.split();
        }
        new
    }

    /// How many ids it holds.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// What it left behind while it grew, to be freed by whoever has the time.
    pub(super) fn take_left(&mut self) -> Vec<Leaf> {
        std::mem::take(&mut self.left)
    }

    fn leaves(&self) -> usize {
        self.more.len() + 1
    }

    fn leaf(&mut self, place: usize) -> &mut Leaf {
        match place.checked_sub(1).and_then(|place| self.more.get_mut(place)) {
            Some(leaf) => leaf,
            None => &mut self.first,
        }
    }

    /// Adds a leaf, and moves there what belongs there, which all stands in one other.
    fn split(&mut self) {
        let new = self.leaves();
        let whole = std::mem::take(self.leaf(new - (1 << new.ilog2())));
        let half =
            || Leaf::with_capacity_and_hasher(whole.len() / 2, BuildHasherDefault::default());
        let (mut stays, mut moves) = (half(), half());
        for id in &whole {
            let leaf = if place(*id, new + 1) == new { &mut moves } else { &mut stays };
            leaf.insert(*id);
        }
        *self.leaf(new - (1 << new.ilog2())) = stays;
        self.more.push(moves);
        self.left.push(whole);
    }

    /// As a table grows by itself, but for what becomes of the smaller one.
    fn grow(&mut self, place: usize) {
        let leaf = self.leaf(place);
        let mut larger =
            Leaf::with_capacity_and_hasher(leaf.len() + 1, BuildHasherDefault::default());
        larger.extend(leaf.iter().copied());
        let smaller = std::mem::replace(leaf, larger);
        if smaller.len() > SMALL {
            self.left.push(smaller);
        }
    }
}

/// Which of so many leaves an id stands in. The bits that tell are not those that a leaf sorts by.
fn place(id: u64, leaves: usize) -> usize {
    let all = leaves.next_power_of_two();
    let place = (id >> 32) as usize & (all - 1);
    if place < leaves { place } else { place - all / 2 }
}

/// Hashes nothing: ids are random, made here, and nobody else chooses them.
#[derive(Debug, Default)]
pub(super) struct AlreadyRandom(u64);

impl Hasher for AlreadyRandom {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = id;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(n: u64) -> u64 {
        // SplitMix64 of 0, 1, 2, …: each number once.
        let mut z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    #[test]
    fn it_holds_what_was_put_in_and_nothing_else_while_it_grows() {
        const MANY: u64 = 40_000;
        let mut bucket = Bucket::default();
        for n in 0..MANY {
            assert!(!bucket.contains(random(n)));
            assert!(bucket.insert(random(n)) && !bucket.insert(random(n)));
            // Whatever has just been split, what was there before still is.
            assert!(bucket.contains(random(n / 2)) && bucket.contains(random(0)));
        }
        assert_eq!(bucket.len() as u64, MANY);
        assert!((0..MANY).all(|n| bucket.contains(random(n))));
        assert!((MANY..2 * MANY).all(|n| !bucket.contains(random(n))));
    }

    #[test]
    fn no_leaf_grows_beyond_its_measure() {
        let mut bucket = Bucket::default();
        for n in 0..200_000 {
            bucket.insert(random(n));
        }
        let largest = bucket.more.iter().map(Leaf::len).max().unwrap();
        assert!(largest < 2 * LEAF + 400, "{largest}");
        assert_eq!(bucket.more.iter().map(Leaf::len).sum::<usize>() + bucket.first.len(), 200_000);
    }

    #[test]
    fn numbers_that_are_all_alike_cost_time_and_nothing_else() {
        let mut bucket = Bucket::default();
        assert!((0..5_000).all(|n| bucket.insert(n)));
        assert!((0..5_000).all(|n| bucket.contains(n)) && !bucket.contains(5_000));
    }
}
