//! The seen-set: memory and time an entry takes, and the longest time that one spend took while the
//! set grew and shrank. Figures, not assertions.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

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
    let seen = SeenSet::new(2 * MANY);
    spend_all("growing to 5 M in one bucket", &seen, MANY, NOW, |_| NOW + 900);
    everything_expires(&seen);
    drop(seen);
    let seen = SeenSet::new(2 * MANY);
    spend_all("growing to 5 M in 57 buckets", &seen, MANY, NOW, expiry);
    everything_expires(&seen);
    drop(seen);
    divan::main();
}

const MANY: usize = 5_000_000;

/// Spends go on while all that was spent before expires.
fn everything_expires(seen: &SeenSet) {
    let later = NOW + 1_000;
    spend_all("while they all expire", seen, MANY / 2, later, |n| later + expiry(n) - NOW);
}

/// Spends so many, and prints the longest time one took: by the wall, and of it by this thread,
/// which tells what the set costs from what the machine did meanwhile. Upkeep does its part.
fn spend_all(what: &str, seen: &SeenSet, count: usize, now: u64, expires: impl Fn(usize) -> u64) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                std::thread::park_timeout(Duration::from_millis(100));
                seen.drop_expired(now);
            }
        });
        spend_each(what, seen, count, now, expires);
        over.store(true, Ordering::SeqCst);
    });
}

fn spend_each(what: &str, seen: &SeenSet, count: usize, now: u64, expires: impl Fn(usize) -> u64) {
    let (mut wall, mut own, mut over) = (Duration::ZERO, Duration::ZERO, 0);
    for n in 0..count {
        let (id, expires) = (TokenId::from_bytes(random()), expires(n));
        let (started, started_own) = (Instant::now(), own_time());
        let spent = black_box(seen.spend(id, expires, || now));
        let (took_own, took) = (own_time().saturating_sub(started_own), started.elapsed());
        assert!(spent.is_ok());
        (wall, own) = (wall.max(took), own.max(took_own));
        over += usize::from(took > Duration::from_millis(1));
    }
    println!("{what:>34}: longest spend {wall:.1?}, {own:.1?} of its own; {over} over 1 ms");
}

/// The time this thread has had of a processor.
fn own_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

/// Lifetimes of 1 to 900 seconds, as links have.
fn expiry(n: usize) -> u64 {
    NOW + 1 + n as u64 % 900
}

fn filled(entries: usize) -> SeenSet {
    let seen = SeenSet::new(entries);
    for n in 0..entries {
        let _ = black_box(seen.spend(TokenId::from_bytes(random()), expiry(n), || NOW));
        if n % 50_000 == 0 {
            seen.drop_expired(NOW);
        }
    }
    seen.drop_expired(NOW);
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
