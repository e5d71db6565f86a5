//! A disk that fails, tears, fills up, and forgets what was not synced.

use std::{
    collections::HashMap,
    fs::File,
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use oncegate::store::local::disk::{Disk, LocalDisk};

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

#[derive(Debug)]
pub(crate) struct Villain {
    fault: Fault,
    /// Operations until it strikes.
    left: AtomicUsize,
    /// By inode: a handle, and what stood where something unsynced stands now.
    unsynced: Mutex<HashMap<u64, Unsynced>>,
}

/// A handle on a file, and by offset what was overwritten in it.
type Unsynced = (File, Vec<(u64, Vec<u8>)>);

impl Villain {
    pub(crate) fn new(fault: Fault) -> Self {
        Self { fault, left: AtomicUsize::new(usize::MAX), unsynced: Mutex::default() }
    }

    pub(crate) fn strike_after(&self, operations: usize) {
        self.left.store(operations, Ordering::SeqCst);
    }

    pub(crate) fn relent(&self) {
        self.left.store(usize::MAX, Ordering::SeqCst);
    }

    /// What was not synced is gone: all of it, or every other write.
    pub(crate) fn lose_unsynced(&self, all: bool) {
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

    fn synced(&self, file: &File) -> io::Result<()> {
        if self.strikes(&[Fault::Sync]) {
            if self.fault == Fault::Sync {
                self.lose_unsynced(true);
            }
            return Err(io::Error::other("the disk did not sync"));
        }
        self.unsynced.lock().unwrap().remove(&file.metadata()?.ino());
        Ok(())
    }
}

impl Disk for Villain {
    fn create(&self, path: &Path) -> io::Result<File> {
        if self.strikes(&[Fault::NoSpace]) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        LocalDisk.create(path)
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        let strikes = self.strikes(&[Fault::Write, Fault::ShortWrite]);
        if strikes && self.fault != Fault::ShortWrite {
            return Err(io::Error::other("the disk did not write"));
        }
        let bytes = if strikes { &bytes[..bytes.len() / 2] } else { bytes };
        let mut before = vec![0; bytes.len()];
        let known = file.read_at(&mut before, offset)?;
        // A size does not come back: a file cut short by a loss of power is noticed anyway.
        before.truncate(known);
        let inode = file.metadata()?.ino();
        let handle = file.try_clone()?;
        let mut unsynced = self.unsynced.lock().unwrap();
        unsynced.entry(inode).or_insert((handle, Vec::new())).1.push((offset, before));
        LocalDisk.write_at(file, bytes, offset)?;
        if strikes { Err(io::Error::other("the disk wrote half of it")) } else { Ok(()) }
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.synced(file)
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        self.synced(file)
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        if self.strikes(&[Fault::Sync]) {
            return Err(io::Error::other("the disk did not sync"));
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if self.strikes(&[]) {
            return Err(io::Error::other("the disk did not rename"));
        }
        LocalDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if self.strikes(&[]) {
            return Err(io::Error::other("the disk did not remove"));
        }
        LocalDisk.remove(path)
    }
}
