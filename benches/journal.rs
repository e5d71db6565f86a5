//! The journal: how long a start takes with millions of live records. Figures, not assertions.

use std::time::{Duration, Instant};

use oncegate::{
    gate::id::TokenId,
    ops::entropy::random,
    store::{Durability, StoreOptions, local::Local},
};

const NOW: u64 = 1_764_000_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
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
