//! One time, exactly: the store under damage, failing disks, clocks that jump, and crowds.

#![cfg(test)]

mod clock;
mod compaction;
mod crowd;
mod damage;
mod faults;
mod issuing;
mod merge;
mod owner;
mod unlisted;
mod upkeep;
mod versions;
mod villain;

use std::{path::Path, sync::Arc, time::Duration};

use oncegate::{
    gate::{
        denial::Denial,
        id::{MemoryId, TokenId},
    },
    ops::entropy::random,
    store::{
        Durability, JournalOptions, NewMemory, Store, StoreNotice, StoreOptions,
        local::{
            Local,
            disk::{Disk, LocalDisk},
        },
    },
};
use tempfile::TempDir;

const NOW: u64 = 1_764_000_000;
const EXPIRES: u64 = NOW + 60;

/// A state directory, in memory where the machine has such a place: these tests open thousands.
fn state() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn options(dir: &Path, durability: Durability) -> StoreOptions {
    options_on(dir, durability, Arc::new(LocalDisk))
}

/// Segments of four records, so that every test crosses some.
fn options_on(dir: &Path, durability: Durability, disk: Arc<dyn Disk>) -> StoreOptions {
    StoreOptions {
        gate: "gate-a".to_owned(),
        journal: Some(JournalOptions {
            dir: dir.to_owned(),
            durability,
            gather: true,
            lock_wait: Duration::from_millis(20),
            segment_size: 64 + 4 * 32,
            boot: Some("this boot".to_owned()),
            disk,
        }),
        max_entries: 100_000,
        max_revocations: 1_000,
        peers: None,
    }
}

/// Each record written and synced in place, by no thread of its own.
fn in_place(mut options: StoreOptions) -> StoreOptions {
    options.journal.as_mut().unwrap().gather = false;
    options
}

fn after_a_restart(mut options: StoreOptions) -> StoreOptions {
    options.journal.as_mut().unwrap().boot = Some("another boot".to_owned());
    options
}

fn open(options: StoreOptions) -> Local {
    Local::open(options, NOW, random).unwrap()
}

fn id(n: u64) -> TokenId {
    const ODD: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
    TokenId::from_bytes(u128::from(n).wrapping_mul(ODD).to_le_bytes())
}

async fn spend(store: &Local, id: TokenId, mem: MemoryId) -> Result<(), Denial> {
    store.spend(id, mem, EXPIRES, || NOW).await.map(drop)
}

/// Spends the first `count` ids.
async fn spend_all(store: &Local, count: u64) -> MemoryId {
    let mem = store.mem(NOW).unwrap();
    for n in 0..count {
        spend(store, id(n), mem).await.unwrap();
    }
    mem
}

/// Every one of the first `count` ids is refused, by name; the next one works if that is so.
async fn assert_all_used(store: &Local, count: u64, mem: MemoryId) {
    assert_eq!(store.mem(NOW), Ok(mem));
    for n in 0..count {
        assert_eq!(spend(store, id(n), mem).await, Err(Denial::AlreadyUsed), "{n}");
    }
    assert_eq!(spend(store, id(count), mem).await, Ok(()));
}

/// Every one of the first `count` ids is fenced, one never used too; a new link works.
async fn assert_all_fenced(store: &Local, count: u64, mem: MemoryId) {
    for n in 0..=count {
        assert_eq!(spend(store, id(n), mem).await, Err(Denial::Fenced(mem.to_string())), "{n}");
    }
    let new = store.mem(NOW).unwrap();
    assert_ne!(new, mem);
    assert_eq!(spend(store, id(count + 1), new).await, Ok(()));
}

fn why_replaced(store: &Local) -> Option<NewMemory> {
    store.take_notices().into_iter().find_map(|notice| match notice {
        StoreNotice::Replaced(why) => Some(why),
        _ => None,
    })
}
