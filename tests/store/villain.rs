//! A disk that fails, tears, fills up, and forgets what was not synced.

use std::{
    collections::HashMap,
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use oncegate::store::local::disk::{Disk, DiskFile, FileFacts, LocalDisk};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Writes fail and write nothing.
    Write,
    /// Writes fail in the middle.
    ShortWrite,
    /// There is no room for anything new.
    NoSpace,
    /// Syncs fail, and what was not synced is lost, as Linux does it.
    Sync,
    /// Nothing works any more.
    Everything,
}

pub(crate) const FAULTS: [Fault; 5] =
    [Fault::Write, Fault::ShortWrite, Fault::NoSpace, Fault::Sync, Fault::Everything];

#[derive(Debug, Clone)]
pub(crate) struct Villain(Arc<Mind>);

#[derive(Debug)]
struct Mind {
    fault: Fault,
    /// Operations until it strikes.
    left: AtomicUsize,
    /// By inode: a handle, and what stood where something unsynced stands now.
    unsynced: Mutex<HashMap<u64, Unsynced>>,
}

/// A handle on a file, and by offset what was overwritten in it.
type Unsynced = (File, Vec<(u64, Vec<u8>)>);

/// A file on the villain's disk: the real one, and a handle to read from it what is overwritten.
#[derive(Debug)]
struct VillainFile(Arc<Mind>, Box<dyn DiskFile>, File);

impl Villain {
    pub(crate) fn new(fault: Fault) -> Self {
        let left = AtomicUsize::new(usize::MAX);
        Self(Arc::new(Mind { fault, left, unsynced: Mutex::default() }))
    }

    pub(crate) fn strike_after(&self, operations: usize) {
        self.0.left.store(operations, Ordering::SeqCst);
    }

    pub(crate) fn relent(&self) {
        self.0.left.store(usize::MAX, Ordering::SeqCst);
    }

    /// What was not synced is gone: all of it, or every other write.
    pub(crate) fn lose_unsynced(&self, all: bool) {
        self.0.lose_unsynced(all);
    }

    fn file(&self, path: &Path, file: Box<dyn DiskFile>) -> io::Result<Box<dyn DiskFile>> {
        let handle = File::options().read(true).write(true).open(path)?;
        Ok(Box::new(VillainFile(self.0.clone(), file, handle)))
    }
}

impl Mind {
    fn lose_unsynced(&self, all: bool) {
        for (_, (file, writes)) in self.unsynced.lock().unwrap().drain() {
            for (n, (offset, before)) in writes.into_iter().enumerate().rev() {
                if all || n % 2 == 0 {
                    file.write_all_at(&before, offset).unwrap();
                }
            }
        }
    }

    fn strikes(&self, faults: &[Fault]) -> bool {
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            Some(if left == usize::MAX { left } else { left.saturating_sub(1) })
        });
        left == Ok(0) && (faults.contains(&self.fault) || self.fault == Fault::Everything)
    }
}

impl DiskFile for VillainFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let Self(mind, file, handle) = self;
        let strikes = mind.strikes(&[Fault::Write, Fault::ShortWrite]);
        if strikes && mind.fault != Fault::ShortWrite {
            return Err(io::Error::other("the disk did not write"));
        }
        let bytes = if strikes { &bytes[..bytes.len() / 2] } else { bytes };
        let mut before = vec![0; bytes.len()];
        let known = handle.read_at(&mut before, offset)?;
        // A size does not come back: a file cut short by a loss of power is noticed anyway.
        before.truncate(known);
        let inode = file.facts()?.identity.inode;
        let handle = handle.try_clone()?;
        let mut unsynced = mind.unsynced.lock().unwrap();
        unsynced.entry(inode).or_insert((handle, Vec::new())).1.push((offset, before));
        file.write_at(bytes, offset)?;
        if strikes { Err(io::Error::other("the disk wrote half of it")) } else { Ok(()) }
    }

    fn sync(&self) -> io::Result<()> {
        let Self(mind, file, _) = self;
        if mind.strikes(&[Fault::Sync]) {
            if mind.fault == Fault::Sync {
                mind.lose_unsynced(true);
            }
            return Err(io::Error::other("the disk did not sync"));
        }
        mind.unsynced.lock().unwrap().remove(&file.facts()?.identity.inode);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn facts(&self) -> io::Result<FileFacts> {
        self.1.facts()
    }

    fn empty(&self) -> io::Result<()> {
        self.1.empty()
    }
}

impl Disk for Villain {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        if self.0.strikes(&[Fault::NoSpace]) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file(path, LocalDisk.create(path)?)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.file(path, LocalDisk.open(path)?)
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        if self.0.strikes(&[Fault::Sync]) {
            return Err(io::Error::other("the disk did not sync"));
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if self.0.strikes(&[]) {
            return Err(io::Error::other("the disk did not rename"));
        }
        LocalDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if self.0.strikes(&[]) {
            return Err(io::Error::other("the disk did not remove"));
        }
        LocalDisk.remove(path)
    }
}
