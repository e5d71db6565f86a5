//! One bucket of the seen-set: a set of ids that grows without a pause.
//!
//! A table that grows must move all it holds at once. This one is made of leaves and splits one of
//! them at a time (linear hashing), so no insertion ever moves more than one leaf's worth.
//!
//! A leaf is the ids and nothing else, each at the place its number tells or the next free one
//! (open addressing, linear probing). It grows by half and not twofold: 9 to 14 bytes an id,
//! however many there are. `benches/seen` compares it with other layouts.

use std::convert::Infallible;

/// Ids in a leaf, on average, when the next one is split.
const LEAF: usize = 800;

/// A set of random numbers.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    first: Leaf,
    more: Vec<Leaf>,
    len: usize,
}

impl Bucket {
    /// Whether it holds `id`.
    pub(super) fn contains(&self, id: u64) -> bool {
        self.leaf(id).is_some_and(|leaf| leaf.contains(id))
    }

    /// What the search for `id` reads first, a line of the processor's cache apart: it may be asked
    /// of memory beforehand.
    pub(super) fn places(&self, id: u64) -> [&u64; 2] {
        const NONE: &u64 = &0;
        let Some(leaf) = self.leaf(id) else { return [NONE; 2] };
        let (start, place) = (leaf.start(id), |at: usize| leaf.places.get(at).unwrap_or(NONE));
        [place(start), place(start + 8)]
    }

    /// Takes `id` in; tells whether that was not there yet.
    pub(super) fn insert(&mut self, id: u64) -> bool {
        let Ok(new) = self.insert_if(id, || Ok::<_, Infallible>(()));
        new
    }

    /// Takes `id` in if it is not there yet and then `may` be; tells whether it was not there.
    ///
    /// # Errors
    /// That of `may`.
    pub(super) fn insert_if<T, E>(
        &mut self,
        id: u64,
        may: impl FnOnce() -> Result<T, E>,
    ) -> Result<bool, E> {
        let place = place(id, self.leaves());
        let new = self.leaf_at(place).insert_if(id, may)?;
        self.len += usize::from(new);
        if self.len > self.leaves() * LEAF {
            self.split();
        }
        Ok(new)
    }

    /// How many ids it holds.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    fn leaves(&self) -> usize {
        self.more.len() + 1
    }

    /// The leaf that `id` stands in, if any does.
    fn leaf(&self, id: u64) -> Option<&Leaf> {
        match place(id, self.leaves()) {
            0 => Some(&self.first),
            place => self.more.get(place - 1),
        }
    }

    fn leaf_at(&mut self, place: usize) -> &mut Leaf {
        match place.checked_sub(1).and_then(|place| self.more.get_mut(place)) {
            Some(leaf) => leaf,
            None => &mut self.first,
        }
    }

    /// Adds a leaf, and moves there what belongs there, which all stands in one other.
    fn split(&mut self) {
        let new = self.leaves();
        let whole = std::mem::take(self.leaf_at(new - (1 << new.ilog2())));
        // By an index and not by a branch, of which a processor would guess every other one wrong.
        let mut parts = [(); 2].map(|()| Vec::with_capacity(whole.len));
        for id in whole.ids() {
            #[expect(clippy::indexing_slicing, reason = "one of two")]
            parts[usize::from(place(id, new + 1) == new)].push(id);
        }
        let [staying, moved] = parts.map(|ids| Leaf::of(&ids));
        *self.leaf_at(new - (1 << new.ilog2())) = staying;
        self.more.push(moved);
    }
}

/// A few hundred ids.
#[derive(Debug, Default)]
struct Leaf {
    /// Each holds an id, or 0.
    places: Box<[u64]>,
    len: usize,
}

impl Leaf {
    /// An empty one, for so many ids and half as many more.
    fn with_room(ids: usize) -> Self {
        let most = ids + (ids / 2).max(3);
        Self { places: vec![0; most * 8 / 7].into(), len: 0 }
    }

    fn of(ids: &[u64]) -> Self {
        let mut leaf = Self::with_room(ids.len());
        for id in ids {
            leaf.put(*id);
        }
        leaf
    }

    fn contains(&self, id: u64) -> bool {
        let (before, from) = self.places.split_at(self.start(id));
        let probed = from.iter().chain(before).find(|place| **place == 0 || **place == some(id));
        probed.is_some_and(|place| *place != 0)
    }

    fn insert_if<T, E>(&mut self, id: u64, may: impl FnOnce() -> Result<T, E>) -> Result<bool, E> {
        // Seven in eight are taken at most: else the way to a free one grows long.
        if (self.len + 1) * 8 > self.places.len() * 7 {
            if self.contains(id) {
                return Ok(false);
            }
            let mut larger = Self::with_room(self.len + 1);
            for id in self.ids() {
                larger.put(id);
            }
            *self = larger;
        }
        self.put_if(id, may)
    }

    /// Takes `id` in where there is room.
    fn put(&mut self, id: u64) {
        let Ok(_new) = self.put_if(id, || Ok::<_, Infallible>(()));
    }

    /// Takes `id` in where there is room, if it is not there yet and then `may` be; tells whether
    /// it was not there.
    fn put_if<T, E>(&mut self, id: u64, may: impl FnOnce() -> Result<T, E>) -> Result<bool, E> {
        let (before, from) = self.places.split_at_mut(self.start(id));
        let mut probed = from.iter_mut().chain(before);
        match probed.find(|place| **place == 0 || **place == some(id)) {
            Some(free) if *free == 0 => {
                may()?;
                *free = some(id);
                self.len += 1;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn ids(&self) -> impl Iterator<Item = u64> {
        self.places.iter().copied().filter(|place| *place != 0)
    }

    /// Where the search for an id begins: places in the order of the ids' lower halves, so that a
    /// leaf is moved from its beginning to its end.
    fn start(&self, id: u64) -> usize {
        (((id & u64::from(u32::MAX)) * self.places.len() as u64) >> 32) as usize
    }
}

/// 0 marks a free place: as an id it counts as the one after it, which errs on the safe side.
fn some(id: u64) -> u64 {
    id.max(1)
}

/// Which of so many leaves an id stands in. The bits that tell are not those that a leaf sorts by.
fn place(id: u64, leaves: usize) -> usize {
    let all = leaves.next_power_of_two();
    let place = (id >> 32) as usize & (all - 1);
    if place < leaves { place } else { place - all / 2 }
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
        let largest = bucket.more.iter().map(|leaf| leaf.len).max().unwrap();
        assert!(largest < 2 * LEAF + 400, "{largest}");
        assert_eq!(
            bucket.more.iter().map(|leaf| leaf.len).sum::<usize>() + bucket.first.len,
            200_000
        );
    }

    #[test]
    fn it_takes_fourteen_bytes_an_id_however_many_there_are() {
        let mut bucket = Bucket::default();
        for n in 1..=200_000 {
            bucket.insert(random(n));
            let leaves = || bucket.more.iter().chain([&bucket.first]);
            if n % 97 == 0 {
                let places: usize = leaves().map(|leaf| leaf.places.len()).sum();
                let headers = bucket.more.capacity() * size_of::<Leaf>() + size_of::<Bucket>();
                let bytes = places * size_of::<u64>() + headers;
                assert!(bytes <= 14 * n as usize + 300, "{bytes} bytes for {n}");
            }
        }
    }

    #[test]
    fn numbers_that_are_all_alike_cost_time_and_nothing_else() {
        let mut bucket = Bucket::default();
        assert!((1..2_000).all(|n| bucket.insert(n)));
        assert!((1..2_000).all(|n| bucket.contains(n)) && !bucket.contains(2_000));
    }

    #[test]
    fn zero_is_the_only_number_that_counts_as_another() {
        let mut bucket = Bucket::default();
        assert!(!bucket.contains(0) && bucket.insert(0) && bucket.contains(0));
        assert!(!bucket.insert(0) && !bucket.insert(1) && bucket.insert(2));
        assert_eq!(bucket.len(), 2);
    }
}
