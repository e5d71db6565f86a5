//! The seen-set and what it could be instead: memory and time an entry takes, and the longest that
//! one spend took while the set grew, and while all of it expired at once. Figures, not assertions.
//!
//! Each row is a process of its own, so that none finds the memory that another left behind.
//! "own" is time that the spending thread had of a processor, "wall" what passed meanwhile, upkeep
//! in another thread and the rest of the machine included: compare both with "nothing".
//!
//! Repeat all with `cargo bench --bench seen`, or one row with
//! `cargo bench --bench seen -- LAYOUT ENTRIES`.
//!
//! Two cores of an Intel Xeon at 2.6 GHz that did nothing else (`profiling` build):
//!
//! | layout | bytes at 1 M | at 10 M | ns an insert at 1 M | at 10 M |
//! |---|--:|--:|--:|--:|
//! | seen-set: leaves that are ids and nothing else | 11.8 | 13.7 | 109 | 312 |
//! | leaves of the standard library's set | 19.8 | 16.0 | 281 | 354 |
//! | one such set a bucket, which doubles at once | 19.1 | 14.5 | 146 | 309 |
//! | blocks of 64 ids by range | 14.4 | | 169 | |
//! | 48 bits an id: too few to tell ids apart in small buckets | 9.9 | | 171 | |
//! | moka: evicts | 330 | | 1412 | |
//! | nothing | 0.4 | 0.0 | 63 | 50 |
//!
//! All but the first row were measured before that was made faster. Many at once wait for memory
//! together: 150 ns of 32 at ten million (`cargo bench --bench compare -- seen`).
//!
//! At ten million, waiting for memory is the most of it: one read of a line of those 136 MB that
//! waits for the one before takes 180 to 250 ns there, with large pages or without. Also tried at
//! that size, and not kept: lines of 8 ids with one probe (349 ns, and more bytes where few are), runs
//! of such lines (301 ns, 24 bytes at 1 M), tables set aside for upkeep to free (390 ns, 17 bytes), four
//! sizes of tables between powers of two (383 ns, 16.1 bytes).
//!
//! Sets of the standard library hold between 10 and 21 bytes an id, by how near they are to
//! doubling; those leaves do too. The seen-set's hold 9 to 14.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench that cannot go on says so at once"
)]

mod layouts;

use std::{
    hint::black_box,
    io,
    process::Command,
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use moka::sync::Cache;
use oncegate::gate::{id::TokenId, seen::SeenSet};

use self::layouts::{Fingerprints, HashedLeaves, Layout, Nothing, Ranges, Sharded, Whole};

const NOW: u64 = 1_764_000_000;

/// Measures one layout, under its name, with so many entries.
type Row = fn(&str, usize);

const LAYOUTS: [(&str, Row); 7] = [
    ("seen-set", row::<SeenSet>),
    ("hashed-leaves", row::<Sharded<HashedLeaves>>),
    ("hash-set", row::<Sharded<Whole>>),
    ("ranges", row::<Sharded<Ranges>>),
    ("48-bits", row::<Sharded<Fingerprints>>),
    ("moka", row::<Cache<u64, ()>>),
    ("nothing", row::<Sharded<Nothing>>),
];

fn main() -> io::Result<()> {
    let asked: Vec<_> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if let [layout, entries] = asked.as_slice() {
        let (name, row) = LAYOUTS.iter().find(|(name, _)| name == layout).expect("a layout");
        row(name, entries.parse().expect("a number of entries"));
        return Ok(());
    }
    println!(
        "{:>13} {:>9} {:>7} {:>9} {:>9}   longest spend: own, wall; how many over 1 ms by the wall",
        "layout", "entries", "B/entry", "ns/insert", "2 threads"
    );
    for entries in [100_000, 1_000_000, 5_000_000, 10_000_000] {
        for (name, _) in LAYOUTS {
            Command::new(std::env::current_exe()?).args([name, &entries.to_string()]).status()?;
        }
    }
    Ok(())
}

fn row<L: Layout>(name: &str, entries: usize) {
    let before = resident();
    let set = L::new(entries);
    let started = own_time();
    with_upkeep(&set, NOW, || spend(&set, 0..entries));
    let each = own_time().saturating_sub(started).as_nanos() as usize / entries;
    set.upkeep(NOW);
    let bytes = resident().saturating_sub(before) * 10 / entries;
    drop(set);
    let both = two_threads::<L>(entries).as_nanos() as usize / entries;
    let set = L::new(3 * entries);
    let growing = with_upkeep(&set, NOW, || spend_each(&set, 0..entries, NOW));
    let later = NOW + 1_000;
    let expiring =
        with_upkeep(&set, later, || spend_each(&set, entries..entries + entries / 2, later));
    println!(
        "{name:>13} {entries:>9} {:>5}.{} {each:>9} {both:>9}   growing {growing}; expiring {expiring}",
        bytes / 10,
        bytes % 10
    );
}

fn spend<L: Layout>(set: &L, numbers: std::ops::Range<usize>) {
    for n in numbers {
        black_box(set.spend(id(n), expiry(NOW, n), NOW));
    }
}

/// What two threads at once need by the wall.
fn two_threads<L: Layout>(entries: usize) -> Duration {
    let (set, start) = (L::new(entries), Barrier::new(3));
    let (set, start) = (&set, &start);
    std::thread::scope(|scope| {
        let halves = [0..entries / 2, entries / 2..entries].map(|half| {
            scope.spawn(move || {
                start.wait();
                spend(set, half);
            })
        });
        start.wait();
        let started = Instant::now();
        for half in halves {
            half.join().unwrap();
        }
        started.elapsed()
    })
}

fn with_upkeep<L: Layout, T>(set: &L, now: u64, work: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    let time = AtomicU64::new(now);
    std::thread::scope(|scope| {
        let upkeep = scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                std::thread::park_timeout(Duration::from_millis(250));
                set.upkeep(time.load(Ordering::SeqCst));
            }
        });
        let done = work();
        over.store(true, Ordering::SeqCst);
        upkeep.thread().unpark();
        done
    })
}

/// Spends so many, and tells the longest time one took.
fn spend_each<L: Layout>(set: &L, numbers: std::ops::Range<usize>, now: u64) -> String {
    let (mut wall, mut own, mut over) = (Duration::ZERO, Duration::ZERO, 0);
    for n in numbers {
        let (started, started_own) = (Instant::now(), own_time());
        black_box(set.spend(id(n), expiry(now, n), now));
        let (took_own, took) = (own_time().saturating_sub(started_own), started.elapsed());
        (wall, own) = (wall.max(took), own.max(took_own));
        over += usize::from(took > Duration::from_millis(1));
    }
    format!("{own:.0?}, {wall:.0?}; {over}")
}

/// The time this thread has had of a processor.
fn own_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

/// Lifetimes of 1 to 900 seconds, as links have.
fn expiry(now: u64, n: usize) -> u64 {
    now + 1 + n as u64 % 900
}

/// Random, and the same in every run (`SplitMix64`).
fn id(n: usize) -> TokenId {
    let mix = |n: u64| {
        let mut z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let n = 2 * n as u64;
    TokenId::from_bytes((u128::from(mix(n + 1)) | u128::from(mix(n + 2)) << 64).to_le_bytes())
}

/// Bytes of memory this process has (Linux with pages of 4 KiB; elsewhere not to be believed).
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}
