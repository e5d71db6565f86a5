//! The one source of randomness: the operating system's.

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
