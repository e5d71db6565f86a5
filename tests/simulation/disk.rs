//! The way of one process to its machine's [`Drive`]: each operation may be its last.

use std::{
    io,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use oncegate::store::local::disk::{DirectoryLease, Disk, DiskFile, FileFacts};

use crate::{
    broken::{Broken, files},
    drive::{Drive, Mishap, Moment},
};

/// A process's disk.
#[derive(Debug, Clone)]
pub struct ProcessDisk {
    drive: Arc<Drive>,
    /// The process.
    number: u64,
    dead: Arc<AtomicBool>,
    /// The file of which the kernel reported a lost write, until something was done about that.
    reported: Arc<Mutex<Option<u64>>>,
}

#[derive(Debug)]
struct Open {
    disk: ProcessDisk,
    inode: u64,
}

#[derive(Debug)]
struct Lease(ProcessDisk);

impl ProcessDisk {
    /// The disk as process `number` has it until it is `dead`.
    pub fn new(drive: &Arc<Drive>, number: u64, dead: &Arc<AtomicBool>) -> Arc<Self> {
        Arc::new(Self {
            drive: Arc::clone(drive),
            number,
            dead: Arc::clone(dead),
            reported: Arc::default(),
        })
    }

    fn is(&self, broken: Broken) -> bool {
        self.drive.world.broken == Some(broken)
    }

    /// Does `work`, all of it or a part, unless something goes wrong before.
    fn operate<T>(&self, what: &str, work: impl FnOnce(Part) -> io::Result<T>) -> io::Result<T> {
        if self.dead.load(Ordering::SeqCst) {
            return Err(io::Error::other("this process is dead"));
        }
        let Some((mishap, moment)) = self.drive.operation() else { return work(Part::All) };
        let world = &self.drive.world;
        world.fault(match mishap {
            Mishap::Fails => "a disk operation failed",
            Mishap::Killed => "killed at a disk operation",
            Mishap::PowerLost => "power lost at a disk operation",
        });
        world.tell(format_args!("  at: {what}, {moment:?}"));
        match moment {
            Moment::Before => {}
            // A failed operation may have been done: nobody knows.
            Moment::Amid => drop(work(Part::Some)),
            Moment::After => drop(work(Part::All)),
        }
        match mishap {
            Mishap::Fails => {}
            Mishap::Killed => self.drive.state().kill_all(),
            Mishap::PowerLost => self.drive.lose_power(),
        }
        Err(io::Error::other("the disk failed"))
    }
}

/// How much of an operation is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    All,
    Some,
}

/// The last part of a path: there is one directory.
fn name(path: &Path) -> io::Result<&str> {
    path.file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

impl Disk for ProcessDisk {
    fn make_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn network(&self, _: &Path) -> io::Result<Option<&'static str>> {
        Ok(None)
    }

    fn try_lock(&self, _: &Path) -> io::Result<Option<Box<dyn DirectoryLease>>> {
        let mut state = self.drive.state();
        if state.owner.is_some_and(|owner| owner != self.number)
            && !self.is(Broken::LockAlwaysGranted)
        {
            return Ok(None);
        }
        state.owner = Some(self.number);
        Ok(Some(Box::new(Lease(self.clone()))))
    }

    fn names(&self, _: &Path) -> io::Result<Vec<String>> {
        Ok(self.drive.state().names.keys().cloned().collect())
    }

    fn facts(&self, path: &Path) -> io::Result<FileFacts> {
        let state = self.drive.state();
        match state.names.get(name(path)?) {
            Some(inode) => Ok(state.facts(*inode)),
            None if name(path)? == crate::machine::DIR => Ok(state.dir_facts()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let name = name(path)?;
        self.operate(name, |_| {
            let now = self.drive.stamp();
            let mut state = self.drive.state();
            if state.names.contains_key(name) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            if state.full {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let inode = state.create(name, now);
            Ok(Box::new(Open { disk: self.clone(), inode }) as Box<dyn DiskFile>)
        })
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let name = name(path)?;
        self.operate(name, |_| {
            let inode = self.drive.state().names.get(name).copied();
            let inode = inode.ok_or(io::ErrorKind::NotFound)?;
            Ok(Box::new(Open { disk: self.clone(), inode }) as Box<dyn DiskFile>)
        })
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let name = name(path)?;
        self.operate(name, |_| {
            let state = self.drive.state();
            let inode = state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
            let bytes = state.files[inode].bytes.clone();
            Ok(match self.drive.world.broken {
                Some(Broken::NoChecksum) if name != "manifest" => files::without_checksums(bytes),
                Some(Broken::NoManifest) if name == "manifest" => {
                    let there =
                        state.names.iter().map(|(name, inode)| (name.clone(), state.facts(*inode)));
                    let listed =
                        files::listing_what_is_there(&bytes, state.facts(*inode), &there.collect());
                    listed.unwrap_or(bytes)
                }
                _ => bytes,
            })
        })
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        self.operate("sync of the directory", |part| {
            if part == Part::All {
                self.drive.state().sync_names();
            }
            Ok(())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (name(from)?, name(to)?);
        self.operate(to, |_| {
            let now = self.drive.stamp();
            self.drive.state().rename(from, to, now);
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let name = name(path)?;
        let removed = self.operate(name, |_| {
            let now = self.drive.stamp();
            let mut state = self.drive.state();
            if !state.names.contains_key(name) {
                return Err(io::ErrorKind::NotFound.into());
            }
            state.remove(name, now);
            Ok(())
        });
        let reported = self.reported.lock().unwrap().take();
        if let (Some(inode), true) = (reported, self.dead.load(Ordering::SeqCst)) {
            self.drive.state().unreport(inode);
        }
        removed
    }
}

impl DiskFile for Open {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let written = self.disk.operate("write", |part| {
            let drive = &self.disk.drive;
            let (now, at) = (drive.stamp(), offset as usize);
            let cut = drive.world.roll(|dice| dice.below(bytes.len() as u64 + 1)) as usize;
            let mut state = drive.state();
            if state.full && at + bytes.len() > state.files[&self.inode].bytes.len() {
                state.write(self.inode, &bytes[..cut / 2], at, now);
                return Err(io::ErrorKind::StorageFull.into());
            }
            let done = if part == Part::All { bytes } else { &bytes[..cut] };
            state.write(self.inode, done, at, now);
            Ok(())
        });
        if self.disk.is(Broken::FailedWriteIgnored) { Ok(()) } else { written }
    }

    fn sync(&self) -> io::Result<()> {
        if self.disk.is(Broken::AnsweredBeforeTheSync) {
            return Ok(());
        }
        let drive = &self.disk.drive;
        let lost = drive.state().files.get(&self.inode).is_some_and(|file| file.unreported);
        let synced = self.disk.operate("sync", |part| match part {
            Part::All if drive.state().sync(self.inode) => Ok(()),
            Part::All => Err(io::Error::other("something was lost before")),
            Part::Some => Ok(()),
        });
        if lost && self.disk.dead.load(Ordering::SeqCst) {
            // Not covered: a process that is killed in the moment between the kernel's report of a
            // lost write, which is made once, and what it does about it.
            drive.state().unreport(self.inode);
        }
        if synced.is_err() && !self.disk.dead.load(Ordering::SeqCst) {
            if lost {
                *self.disk.reported.lock().unwrap() = Some(self.inode);
            }
            // Nobody will ever try again with what was not written: it counts as clean now.
            let cached = drive.world.chance(50);
            drive.state().drop_unsynced(self.inode, cached);
        }
        if self.disk.is(Broken::FailedSyncIgnored) { Ok(()) } else { synced }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn facts(&self) -> io::Result<FileFacts> {
        self.disk.operate("stat", |_| Ok(self.disk.drive.state().facts(self.inode)))
    }

    fn empty(&self) -> io::Result<()> {
        self.disk.operate("truncate", |_| {
            self.disk.drive.state().empty(self.inode);
            Ok(())
        })
    }
}

impl DirectoryLease for Lease {}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut state = self.0.drive.state();
        if state.owner == Some(self.0.number) {
            state.owner = None;
        }
    }
}
