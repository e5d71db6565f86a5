//! The journal: what a spend takes with one task and with 64, and how many share a sync; and how
//! long a start takes with millions of live records. Figures, not assertions.

use std::time::{Duration, Instant};

use oncegate::{
    gate::id::TokenId,
    ops::entropy::random,
    store::{Durability, StoreOptions, local::Local},
};

const NOW: u64 = 1_764_000_000;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    for durability in [Durability::Process, Durability::Power] {
        for tasks in [1, 64] {
            spends(durability, tasks)?;
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    for entries in [100_000, 1_000_000, 5_000_000] {
        let dir = tempfile::tempdir()?;
        let options = || {
            let (path, wait) = (dir.path().to_owned(), Duration::ZERO);
            StoreOptions::journal("gate-a", entries, path, Durability::Process, wait)
        };
        let store = Local::open(options(), NOW, random)?;
        let mem = store.mem(NOW)?;
        let started = Instant::now();
        runtime.block_on(async {
            for n in 0..entries {
                let expires = NOW + 1 + n as u64 % 900;
                let spent = store.spend(TokenId::from_bytes(random()), mem, expires, || NOW).await;
                assert!(spent.is_ok());
            }
        });
        let written = started.elapsed();
        let (segments, bytes) = (store.status().segments, store.status().journal_bytes);
        drop(store);
        let started = Instant::now();
        let store = Local::open(options(), NOW, random)?;
        let read = started.elapsed();
        assert_eq!((store.status().entries, store.mem(NOW)), (entries, Ok(mem)));
        println!(
            "{entries:>9} records in {segments} segments, {} MiB: written in {written:.1?}, \
             started after a crash in {read:.2?}",
            bytes >> 20
        );
    }
    Ok(())
}

/// Spends for a while in so many tasks, each its own tokens one after the other.
fn spends(durability: Durability, tasks: u64) -> Outcome<()> {
    let dir = tempfile::tempdir_in(".")?;
    let journal = dir.path().to_owned();
    let options = StoreOptions::journal("gate-a", 10_000_000, journal, durability, Duration::ZERO);
    let store = Local::open(options, NOW, random)?;
    let mem = store.mem(NOW)?;
    let started = Instant::now();
    tokio::runtime::Builder::new_multi_thread().build()?.block_on(async {
        let spending = (0..tasks).map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                while started.elapsed() < Duration::from_secs(3) {
                    let id = TokenId::from_bytes(random());
                    assert!(store.spend(id, mem, NOW + 60, || NOW).await.is_ok());
                }
            })
        });
        for task in spending.collect::<Vec<_>>() {
            task.await?;
        }
        Outcome::Ok(())
    })?;
    let took = started.elapsed();
    let written = store.status().journal_written.ok_or("a journal")?;
    println!(
        "{durability:?}, {tasks:>2} tasks: {:>7} spends/s, {:>6} writes and {:>6} syncs for {:>7} \
         records",
        u128::from(written.records) * 1000 / took.as_millis(),
        written.writes,
        written.syncs,
        written.records
    );
    Ok(())
}
