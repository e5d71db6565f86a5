//! Many at once.

use std::{
    fs, io,
    os::unix::fs::FileExt as _,
    sync::Mutex,
    task::{Context, Waker},
    time::Instant,
};

use futures_util::{FutureExt as _, future::join_all};
use oncegate::store::{
    JournalWritten,
    local::disk::{DiskFile, FileFacts},
};
use tokio::task::JoinSet;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_tasks_and_exactly_one_spends_the_token() {
    for durability in [Durability::Process, Durability::Power] {
        let dir = state();
        let store = open(options(dir.path(), durability));
        let mem = store.mem(NOW).unwrap();
        for round in 0..10 {
            let mut tasks = JoinSet::new();
            for _ in 0..1_000 {
                let store = store.clone();
                tasks.spawn(async move { spend(&store, id(round), mem).await });
            }
            let outcomes = tasks.join_all().await;
            assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
            let used = outcomes.iter().filter(|o| **o == Err(Denial::AlreadyUsed)).count();
            assert_eq!(used, 999);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_of_tokens_is_all_there_after_a_loss_of_power() {
    let dir = state();
    let store = open(options(dir.path(), Durability::Power));
    let mem = store.mem(NOW).unwrap();
    let mut tasks = JoinSet::new();
    for n in 0..5_000 {
        let store = store.clone();
        tasks.spawn(async move { spend(&store, id(n), mem).await });
    }
    assert!(tasks.join_all().await.iter().all(Result::is_ok));
    drop(store);
    let store = open(after_a_restart(options(dir.path(), Durability::Power)));
    assert_all_used(&store, 5_000, mem).await;
}

#[tokio::test]
async fn a_hundred_thousand_come_back() {
    let dir = state();
    let mut options = options(dir.path(), Durability::Process);
    options.journal.as_mut().unwrap().segment_size = 1 << 18;
    options.max_entries = 100_001;
    let store = open(options.clone());
    let mem = spend_all(&store, 100_000).await;
    drop(store);
    let store = open(options);
    assert_eq!(store.status().entries, 100_000);
    assert_all_used(&store, 100_000, mem).await;
    assert_eq!(spend(&store, id(100_001), mem).await, Err(Denial::StoreFull));
    assert_eq!(store.status().refused_full, 1);
}

#[tokio::test]
async fn a_journal_that_several_threads_read_is_whole_or_is_not() {
    let dir = state();
    let mut options = options(dir.path(), Durability::Process);
    options.journal.as_mut().unwrap().segment_size = 1 << 19;
    let mem = spend_all(&open(options.clone()), 90_000).await;
    assert_eq!(open(options.clone()).status().entries, 90_000);
    let segment = |number| dir.path().join(format!("segment-{number:010}"));
    assert!(segment(6).exists());
    // In the last of those that are full, and which therefore no thread reads first.
    let file = fs::OpenOptions::new().read(true).write(true).open(segment(5)).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 100_000).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 100_000).unwrap();
    let store = open(options);
    let damaged = "segment-0000000005 has a damaged record at 3123".to_owned();
    assert_eq!(why_replaced(&store), Some(NewMemory::Damaged(damaged)));
    assert_eq!(store.status().entries, 0);
    assert_eq!(spend(&store, id(1), mem).await, Err(Denial::Fenced(mem.to_string())));
}

/// A disk that does not sync while the other end is held.
#[derive(Debug, Default)]
struct Held(Arc<Mutex<()>>);

#[derive(Debug)]
struct HeldFile(Arc<Mutex<()>>, Box<dyn DiskFile>);

impl Disk for Held {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(HeldFile(Arc::clone(&self.0), LocalDisk.create(path)?)))
    }
}

impl DiskFile for HeldFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.1.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.1.sync()
    }

    fn sync_data(&self) -> io::Result<()> {
        let _held = self.0.lock().unwrap();
        self.1.sync_data()
    }

    fn facts(&self) -> io::Result<FileFacts> {
        self.1.facts()
    }

    fn empty(&self) -> io::Result<()> {
        self.1.empty()
    }
}

#[tokio::test]
async fn all_that_wait_while_the_disk_syncs_share_the_next_sync() {
    let (dir, disk) = (state(), Held::default());
    let hand = Arc::clone(&disk.0);
    let mut options = options_on(dir.path(), Durability::Power, Arc::new(disk));
    options.journal.as_mut().unwrap().segment_size = 1 << 16;
    let store = open(options);
    let mem = store.mem(NOW).unwrap();
    let written = || store.status().journal_written.unwrap();
    let mut spends: Vec<_> = (0..65).map(|n| Box::pin(spend(&store, id(n), mem))).collect();
    {
        let _held = hand.lock().unwrap();
        let mut context = Context::from_waker(Waker::noop());
        let mut send = |some: std::ops::Range<usize>| {
            // The first of them looks who came with it, and sends all on their way.
            for _ in 0..2 {
                for spend in &mut spends[some.clone()] {
                    assert!(spend.as_mut().poll(&mut context).is_pending());
                }
            }
        };
        send(0..1);
        // It is on its way to the disk before the others come.
        let started = Instant::now();
        while written().writes == 0 {
            assert!(started.elapsed() < Duration::from_secs(30));
            std::thread::yield_now();
        }
        send(1..65);
    }
    for spend in spends {
        assert_eq!(spend.await, Ok(()));
    }
    assert_eq!(written(), JournalWritten { records: 65, writes: 2, syncs: 2 });
}

/// Where the kernel keeps them, too, who come together share a write; each has its own answer.
#[tokio::test]
async fn all_that_come_together_share_a_write_and_each_is_told_its_own() {
    let dir = state();
    let mut options = options(dir.path(), Durability::Process);
    options.max_entries = 30;
    options.journal.as_mut().unwrap().segment_size = 1 << 16;
    let store = open(options);
    let mem = store.mem(NOW).unwrap();
    spend(&store, id(0), mem).await.unwrap();
    let other = MemoryId::from_bytes([7; 16]);
    let written = || store.status().journal_written.unwrap();
    let before = written();
    let each = (0..28).map(|n| match n {
        5 => store.spend(id(n), other, EXPIRES, || NOW).boxed(),
        10 => store.spend(id(n), mem, NOW, || NOW).boxed(),
        15 => store.spend(id(0), mem, EXPIRES, || NOW).boxed(),
        20 => store.spend(id(19), mem, EXPIRES, || NOW).boxed(),
        _ => store.spend(id(n), mem, EXPIRES, || NOW).boxed(),
    });
    for (n, told) in join_all(each).await.into_iter().enumerate() {
        let expected = match n {
            0 | 15 | 20 => Err(Denial::AlreadyUsed),
            5 => Err(Denial::Fenced(other.to_string())),
            10 => Err(Denial::Expired(NOW)),
            _ => Ok(id(n as u64)),
        };
        assert_eq!(told.map(|spent| spent.id()), expected, "{n}");
    }
    let JournalWritten { records, writes, .. } = written();
    assert_eq!((records - before.records, writes - before.writes), (23, 1));
    let full = join_all((100..110).map(|n| spend(&store, id(n), mem))).await;
    assert_eq!(full.iter().filter(|told| told.is_ok()).count(), 6);
    assert_eq!(full.iter().filter(|told| **told == Err(Denial::StoreFull)).count(), 4);
    assert_eq!(store.status().refused_full, 4);
}

#[tokio::test]
async fn who_goes_away_before_or_after_the_others_are_recorded_takes_none_of_them_along() {
    let dir = state();
    let store = open(options(dir.path(), Durability::Process));
    let mem = store.mem(NOW).unwrap();
    let mut spends: Vec<_> = (0..4).map(|n| Box::pin(spend(&store, id(n), mem))).collect();
    let mut context = Context::from_waker(Waker::noop());
    for spend in &mut spends {
        assert!(spend.as_mut().poll(&mut context).is_pending());
    }
    let (last, recorded) = (spends.remove(3), spends.remove(2));
    let (leads, goes) = (spends.remove(0), spends.remove(0));
    drop(goes);
    assert_eq!(leads.await, Ok(()));
    // This one is told of nothing.
    drop(recorded);
    assert_eq!(last.await, Ok(()));
    for (n, expected) in
        [Err(Denial::AlreadyUsed), Ok(()), Err(Denial::AlreadyUsed)].iter().enumerate()
    {
        assert_eq!(spend(&store, id(n as u64), mem).await, *expected, "{n}");
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_its_token_spent() {
    let dir = state();
    let store = open(options(dir.path(), Durability::Power));
    let mem = store.mem(NOW).unwrap();
    {
        let spending = spend(&store, id(1), mem);
        let mut spending = std::pin::pin!(spending);
        // The first time it looks who comes with it; the second sends it on its way.
        for _ in 0..2 {
            let polled = std::future::poll_fn(|context| {
                std::task::Poll::Ready(spending.as_mut().poll(context).is_ready())
            });
            let _ = polled.await;
        }
    }
    assert_eq!(spend(&store, id(1), mem).await, Err(Denial::AlreadyUsed));
    drop(store);
    let store = open(after_a_restart(options(dir.path(), Durability::Power)));
    assert_eq!(spend(&store, id(1), mem).await, Err(Denial::AlreadyUsed));
}
