//! The one source of randomness: the operating system's.

use std::cell::RefCell;

/// `N` random bytes.
///
/// # Panics
/// If the operating system has no randomness to give: nothing safe could follow.
pub fn random<const N: usize>() -> [u8; N] {
    let [bytes] = random_each();
    bytes
}

/// 16 random bytes that are given nobody else, to name something by. The system is asked for those
/// of many at a time: for what must be secret until it is used, see [`random`].
///
/// # Panics
/// As [`random`].
pub fn id() -> [u8; 16] {
    thread_local! {
        static AHEAD: RefCell<Vec<[u8; 16]>> = const { RefCell::new(Vec::new()) };
    }
    AHEAD.with_borrow_mut(|ahead| {
        ahead.pop().unwrap_or_else(|| {
            let [first, others @ ..] = random_each::<16, 32>();
            ahead.extend_from_slice(&others);
            first
        })
    })
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_id_is_given_twice() {
        let ids: HashSet<[u8; 16]> = (0..1_000).map(|_| id()).collect();
        assert_eq!(ids.len(), 1_000);
    }
}
