//! Who owns a state directory: one process at a time, on a file system of this machine.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use super::{
    disk::{DirectoryLease, Disk},
    error::StoreError,
};

/// The ownership of a directory; given back when dropped, and by the kernel if the process dies.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    lease: Box<dyn DirectoryLease>,
}

impl DirectoryLock {
    /// Makes `dir` this process's own, waiting up to `wait` for a predecessor to give it back.
    ///
    /// The directory is created if need be, readable by this user alone.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::Network`], [`StoreError::Io`].
    pub(super) fn acquire(disk: &dyn Disk, dir: &Path, wait: Duration) -> Result<Self, StoreError> {
        let failed = |doing| move |error| StoreError::io(doing, dir, error);
        disk.make_dir(dir).map_err(failed("create the state directory"))?;
        if let Some(kind) = disk.network(dir).map_err(failed("ask for the file system of"))? {
            return Err(StoreError::Network { dir: dir.to_owned(), kind });
        }
        let deadline = Instant::now() + wait;
        loop {
            if let Some(lease) = disk.try_lock(dir).map_err(failed("lock"))? {
                return Ok(Self { lease });
            }
            if Instant::now() >= deadline {
                return Err(StoreError::Locked { dir: dir.to_owned() });
            }
            #[expect(
                clippy::disallowed_methods,
                reason = "before anything is served, and no \
                     lock can be waited for with a limit"
            )]
            std::thread::sleep(Duration::from_millis(20).min(wait));
        }
    }

    /// Whether the directory is still where it was locked.
    pub(super) fn holds(&self) -> bool {
        self.lease.holds()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::{super::disk::LocalDisk, *};

    #[test]
    fn a_directory_has_one_owner_at_a_time() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("deep/state");
        let first = DirectoryLock::acquire(&LocalDisk, &dir, Duration::ZERO).unwrap();
        assert_eq!(std::fs::metadata(&dir).unwrap().mode() & 0o777, 0o700);
        let second = DirectoryLock::acquire(&LocalDisk, &dir, Duration::from_millis(30));
        let error = second.unwrap_err();
        assert!(matches!(error, StoreError::Locked { .. }));
        assert!(error.to_string().contains("deep/state"));
        drop(first);
        DirectoryLock::acquire(&LocalDisk, &dir, Duration::ZERO).unwrap();
    }

    #[test]
    fn a_successor_that_waits_gets_it() {
        let dir = tempfile::tempdir().unwrap();
        let first = DirectoryLock::acquire(&LocalDisk, dir.path(), Duration::ZERO).unwrap();
        let path = dir.path().to_owned();
        let waiting = std::thread::spawn(move || {
            DirectoryLock::acquire(&LocalDisk, &path, Duration::from_secs(60))
        });
        drop(first);
        waiting.join().unwrap().unwrap();
    }
}
