//! A record in a segment that no manifest lists yet would be lost by a crash: none is answered for.

use std::{
    io,
    sync::{Mutex, OnceLock, mpsc},
    thread::JoinHandle,
};

use super::*;

/// Lets others spend while it is about to put a new manifest in place, and then loses its power.
#[derive(Debug, Default)]
struct Interrupted {
    store: OnceLock<(Local, MemoryId)>,
    spending: Mutex<Option<JoinHandle<Vec<u64>>>>,
}

/// More than fit into the segment at hand and the new one.
const MANY: u64 = 20;

impl Disk for Interrupted {
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let Some((store, mem)) = self.store.get() else { return LocalDisk.rename(from, to) };
        let (store, mem) = (store.clone(), *mem);
        let (told, answered) = mpsc::channel();
        let spending = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let answered = |n: &u64| {
                let spent = runtime.block_on(spend(&store, id(*n), mem)).is_ok();
                let _ = told.send(());
                spent
            };
            (100..100 + MANY).filter(answered).collect()
        });
        self.spending.lock().unwrap().get_or_insert(spending);
        // Until nobody gets an answer any more.
        while answered.recv_timeout(Duration::from_millis(300)).is_ok() {}
        Err(io::Error::other("the power is gone"))
    }
}

#[tokio::test]
async fn nothing_is_answered_for_that_no_manifest_lists() {
    let (dir, disk) = (state(), Arc::new(Interrupted::default()));
    let store = open(options_on(dir.path(), Durability::Process, disk.clone()));
    // One segment full, so that the next look prepares another.
    let mem = spend_all(&store, 5).await;
    disk.store.set((store.clone(), mem)).unwrap();
    store.tick(NOW);
    let answered = disk.spending.lock().unwrap().take().unwrap().join().unwrap();
    assert!(!answered.is_empty() && answered.len() < MANY as usize);
    // As after a crash: what the process knew is gone, and so is the lock it had.
    let copy = state();
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        std::fs::rename(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    let store = open(options(copy.path(), Durability::Process));
    for n in (0..5).chain(answered) {
        assert!(spend(&store, id(n), mem).await.is_err(), "{n} twice");
    }
}
