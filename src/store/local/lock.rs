//! Who owns a state directory: one process at a time, on a file system of this machine.

use std::{
    fs::{DirBuilder, File, TryLockError},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::Path,
    time::{Duration, Instant},
};

use super::error::StoreError;

/// The ownership of a directory; given back when dropped, and by the kernel if the process dies.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    _dir: File,
}

impl DirectoryLock {
    /// Makes `dir` this process's own, waiting up to `wait` for a predecessor to give it back.
    ///
    /// The directory is created if need be, readable by this user alone. The lock is on the
    /// directory itself: a lock file could be tidied away while it is held.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::Network`], [`StoreError::Io`].
    pub(super) fn acquire(dir: &Path, wait: Duration) -> Result<Self, StoreError> {
        let failed = |doing, error| StoreError::io(doing, dir, error);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|error| failed("create the state directory", error))?;
        if let Some(kind) = network_file_system(dir)? {
            return Err(StoreError::Network { dir: dir.to_owned(), kind });
        }
        let deadline = Instant::now() + wait;
        loop {
            let file = File::open(dir).map_err(|error| failed("open", error))?;
            match file.try_lock() {
                Ok(()) if is_still(dir, &file) => return Ok(Self { _dir: file }),
                // Moved away while we waited: the one that is there now is another's to lock.
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(failed("lock", error)),
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
}

fn is_still(dir: &Path, file: &File) -> bool {
    let identity = |metadata: &std::fs::Metadata| (metadata.dev(), metadata.ino());
    match (std::fs::metadata(dir), file.metadata()) {
        (Ok(there), Ok(ours)) => identity(&there) == identity(&ours),
        _ => false,
    }
}

/// File systems on which a lock or a sync may mean less than it says (statfs(2), `linux/magic.h`).
#[cfg(target_os = "linux")]
const NETWORK: [(u32, &str); 14] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    (0x00c3_6400, "Ceph"),
    (0x0102_1997, "9P"),
    (0x6573_5546, "FUSE"),
    (0x0bd0_0bd0, "Lustre"),
    (0x0116_1970, "GFS2"),
    (0x7461_636f, "OCFS2"),
    (0x4750_4653, "GPFS"),
];

#[cfg(target_os = "linux")]
fn network_file_system(dir: &Path) -> Result<Option<&'static str>, StoreError> {
    let status = rustix::fs::statfs(dir)
        .map_err(|error| StoreError::io("ask for the file system of", dir, error.into()))?;
    let magic = u32::try_from(status.f_type & 0xffff_ffff).unwrap_or_default();
    Ok(NETWORK.iter().find(|(known, _)| *known == magic).map(|(_, name)| *name))
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "the shape of the one above")]
fn network_file_system(_: &Path) -> Result<Option<&'static str>, StoreError> {
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_owner_at_a_time() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("deep/state");
        let first = DirectoryLock::acquire(&dir, Duration::ZERO).unwrap();
        assert_eq!(std::fs::metadata(&dir).unwrap().mode() & 0o777, 0o700);
        let second = DirectoryLock::acquire(&dir, Duration::from_millis(30));
        let error = second.unwrap_err();
        assert!(matches!(error, StoreError::Locked { .. }));
        assert!(error.to_string().contains("deep/state"));
        drop(first);
        DirectoryLock::acquire(&dir, Duration::ZERO).unwrap();
    }

    #[test]
    fn a_successor_that_waits_gets_it() {
        let dir = tempfile::tempdir().unwrap();
        let first = DirectoryLock::acquire(dir.path(), Duration::ZERO).unwrap();
        let path = dir.path().to_owned();
        let waiting =
            std::thread::spawn(move || DirectoryLock::acquire(&path, Duration::from_secs(60)));
        drop(first);
        waiting.join().unwrap().unwrap();
    }
}
