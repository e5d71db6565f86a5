//! Chance, from the seed alone: whatever is undecided in a world is decided here.

use std::cell::Cell;

/// A stream of random numbers (`SplitMix64`).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// The stream of one seed.
    pub fn new(seed: u64) -> Self {
        // Neighbouring seeds must not give neighbouring worlds.
        let mut dice = Self(seed ^ 0x6f6e_6365_6761_7465);
        dice.next();
        Self(dice.next() ^ seed.rotate_left(32))
    }

    /// 64 random bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `end`; 0 if that is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True in `percent` of a hundred cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// Milliseconds by which somebody steps a clock: seconds or hours, to or fro.
    pub fn step_of_a_clock(&mut self) -> i64 {
        let seconds = self.weighed(&[(3, 15), (3, 40), (3, 300), (1, 3_700), (1, 20_000)]);
        let milliseconds = i64::try_from(self.between(seconds / 2, seconds)).unwrap() * 1_000;
        if self.chance(60) { -milliseconds } else { milliseconds }
    }

    /// One of `choices`, each as often as its weight says.
    pub fn weighed<T: Copy>(&mut self, choices: &[(u64, T)]) -> T {
        let mut left = self.below(choices.iter().map(|(weight, _)| weight).sum());
        for (weight, choice) in choices {
            if left < *weight {
                return *choice;
            }
            left -= weight;
        }
        choices[0].1
    }
}

thread_local! {
    static BITS: Cell<u64> = const { Cell::new(0) };
}

/// Begins the stream of [`bits`] for a run on this thread.
pub fn seed_bits(seed: u64) {
    BITS.set(seed);
}

/// 128 random bits, as the store asks for them: a function without a state of its own.
pub fn bits() -> [u8; 16] {
    let mut dice = Dice(BITS.get());
    let both = u128::from(dice.next()) << 64 | u128::from(dice.next());
    BITS.set(dice.0);
    both.to_le_bytes()
}
