//! The one source of randomness: the operating system's.

use std::sync::{
    LazyLock,
    atomic::{AtomicU64, Ordering},
};

/// `N` random bytes.
///
/// # Panics
/// If the operating system has no randomness to give: nothing safe could follow.
pub fn random<const N: usize>() -> [u8; N] {
    let [bytes] = random_each();
    bytes
}

/// `N` random bytes for each of `K`, asked for at once.
///
/// # Panics
/// As [`random`].
pub fn random_each<const N: usize, const K: usize>() -> [[u8; N]; K] {
    let mut all = [[0; N]; K];
    #[expect(clippy::expect_used, clippy::disallowed_methods, reason = "the one place; see above")]
    getrandom::fill(all.as_flattened_mut()).expect("the operating system gives randomness");
    all
}

/// A number that this process gives nobody else before it has given all 2^64, and another process
/// hardly ever: to name things by. It costs no question to the system, and is no secret: who has
/// seen one can tell the others.
pub fn distinct() -> u64 {
    static NEXT: LazyLock<AtomicU64> =
        LazyLock::new(|| AtomicU64::new(u64::from_ne_bytes(random())));
    // SplitMix64 (Steele, Lea, Flood 2014): odd steps, and each number to another one.
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    let number = NEXT.fetch_add(STEP, Ordering::Relaxed);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_number_is_given_twice() {
        let numbers: HashSet<u64> = (0..10_000).map(|_| distinct()).collect();
        assert_eq!(numbers.len(), 10_000);
    }
}
