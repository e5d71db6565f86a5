//! The seen-set: memory and time an entry takes. Figures, not assertions.

use divan::{Bencher, black_box, counter::ItemsCount};
use oncegate::{
    gate::{id::TokenId, seen::SeenSet},
    ops::entropy::random,
};

const NOW: u64 = 1_764_000_000;

fn main() {
    for entries in [100_000, 1_000_000, 5_000_000] {
        let before = resident();
        let seen = filled(entries);
        let bytes = resident().saturating_sub(before);
        println!("{entries:>9} entries: {} bytes an entry", bytes.div_ceil(entries));
        black_box(&seen);
    }
    divan::main();
}

/// Lifetimes of 1 to 900 seconds, as links have.
fn expiry(n: usize) -> u64 {
    NOW + 1 + n as u64 % 900
}

fn filled(entries: usize) -> SeenSet {
    let seen = SeenSet::new(entries);
    for n in 0..entries {
        let _ = black_box(seen.spend(TokenId::from_bytes(random()), expiry(n), || NOW));
    }
    seen
}

/// Bytes of memory this process has (Linux with pages of 4 KiB; elsewhere not to be believed).
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}

#[divan::bench(args = [1_000, 100_000, 1_000_000])]
fn insert(bencher: Bencher<'_, '_>, entries: usize) {
    let ids: Vec<_> = (0..entries).map(|_| TokenId::from_bytes(random())).collect();
    bencher.counter(ItemsCount::new(entries)).with_inputs(|| SeenSet::new(entries)).bench_values(
        |seen| {
            for (n, id) in ids.iter().enumerate() {
                let _ = black_box(seen.spend(*id, expiry(n), || NOW));
            }
            seen
        },
    );
}

#[divan::bench]
fn refuse_a_used_one(bencher: Bencher<'_, '_>) {
    let (seen, id) = (filled(100_000), TokenId::from_bytes(random()));
    let _ = seen.spend(id, NOW + 60, || NOW);
    bencher.bench(|| seen.spend(black_box(id), NOW + 60, || NOW));
}
