//! Chance that can be had again: every sequence comes from a seed, which a failing test names.

use oncegate::ops::entropy;

/// `SplitMix64` (Steele, Lea and Flood 2014).
pub struct Dice(u64);

impl Dice {
    /// A sequence from `ONCEGATE_TEST_SEED`, or from a new seed; printed either way, and shown
    /// where the test fails.
    pub fn new() -> Self {
        let given = std::env::var("ONCEGATE_TEST_SEED").ok();
        let seed = given.map_or_else(
            || u64::from_ne_bytes(entropy::random()),
            |seed| seed.parse().expect("ONCEGATE_TEST_SEED is not a number"),
        );
        eprintln!("ONCEGATE_TEST_SEED={seed}");
        Self(seed)
    }

    /// Another sequence, which depends on this one.
    pub fn fork(&mut self) -> Self {
        Self(self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    /// One of these.
    pub fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}
