//! The one source of randomness: the operating system's.

/// `N` random bytes.
///
/// # Panics
/// If the operating system has no randomness to give: nothing safe could follow.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[expect(clippy::expect_used, clippy::disallowed_methods, reason = "the one place; see above")]
    getrandom::fill(&mut bytes).expect("the operating system gives randomness");
    bytes
}
