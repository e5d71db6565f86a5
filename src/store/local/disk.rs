//! What the journal asks of a disk: few operations, each of which can fail.
//!
//! Traits, so that tests can put a villain in the place of the operating system: one that fails,
//! tears or forgets, on real files or in memory. Nothing of the journal goes round them.

use std::{fmt, io, path::Path, time::SystemTime};

use serde::{Deserialize, Serialize};

pub use super::local_disk::LocalDisk;

/// The operations on a disk, each as the operating system means it.
///
/// Every method asks the disk [beneath](Disk::beneath) unless it is written anew; a disk of its
/// own writes all of them.
pub trait Disk: fmt::Debug + Send + Sync {
    /// The disk that does what this one does not do itself.
    fn beneath(&self) -> &dyn Disk {
        &LocalDisk
    }

    /// Creates a directory and those above it, for this user alone; one that exists is left as it
    /// is.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        self.beneath().make_dir(dir)
    }

    /// What kind of network file system a directory is on, if it is on one.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn network(&self, dir: &Path) -> io::Result<Option<&'static str>> {
        self.beneath().network(dir)
    }

    /// Makes a directory this process's own until the lease is dropped, or the process ends;
    /// `None` while another has it. Never waits.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn try_lock(&self, dir: &Path) -> io::Result<Option<Box<dyn DirectoryLease>>> {
        self.beneath().try_lock(dir)
    }

    /// The names of what is in a directory, in any order; what is not UTF-8 in them is replaced.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn names(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.beneath().names(dir)
    }

    /// What is known of a file or directory without opening it.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn facts(&self, path: &Path) -> io::Result<FileFacts> {
        self.beneath().facts(path)
    }

    /// Creates a file that must not exist, for reading and writing by this user alone.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.beneath().create(path)
    }

    /// Opens a file for reading and writing.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.beneath().open(path)
    }

    /// Reads a whole file.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.beneath().read(path)
    }

    /// Returns when the names in a directory will outlive a loss of power.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.beneath().sync_dir(dir)
    }

    /// Puts one file in the place of another, in one step.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.beneath().rename(from, to)
    }

    /// Removes a file.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.beneath().remove(path)
    }
}

/// A file of a [`Disk`], open for reading and writing; it outlives its name.
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// Whatever the operating system says; any part may have been written then.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Returns when everything written to the file will outlive a loss of power.
    ///
    /// # Errors
    /// Whatever the operating system says; what was written may be lost then, now or later.
    fn sync(&self) -> io::Result<()>;

    /// As [`DiskFile::sync`], for a file whose size does not change.
    ///
    /// # Errors
    /// As [`DiskFile::sync`].
    fn sync_data(&self) -> io::Result<()>;

    /// What is known of the file.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn facts(&self) -> io::Result<FileFacts>;

    /// Cuts the file to nothing, which gives its space back even while it is open.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn empty(&self) -> io::Result<()>;
}

/// The ownership of a directory; dropped, it is given back.
pub trait DirectoryLease: fmt::Debug + Send + Sync {
    /// Whether the directory is still where it was when it was locked: one that was moved or
    /// removed is owned for nothing, and what is there now may be another's.
    fn holds(&self) -> bool {
        true
    }
}

/// What a disk tells of a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileFacts {
    /// Its bytes.
    pub len: u64,
    /// Its names.
    pub links: u64,
    /// What tells it from a copy.
    pub identity: FileIdentity,
    /// When its content last changed, where the file system keeps that.
    pub modified: Option<SystemTime>,
}

/// What tells a file from a copy of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileIdentity {
    /// The inode's number.
    pub inode: u64,
    /// Nanoseconds from the Unix epoch to the file's creation, where the file system keeps it.
    pub born: Option<u64>,
}
