//! The disk of the operating system.

use std::{
    fs::{DirBuilder, File, Metadata, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use super::disk::{DirectoryLease, Disk, DiskFile, FileFacts, FileIdentity};

/// The most bytes that are written in one step. The page cache of Linux may keep what comes in one
/// step as one large folio, and then looks at all of its blocks for each record that is written
/// into it later: 1.2 us in a segment of 1 MiB at once, 0.4 us in one of such pieces.
const PIECE: usize = 64 * 1024;

/// The disk of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalDisk;

impl Disk for LocalDisk {
    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)
    }

    fn network(&self, dir: &Path) -> io::Result<Option<&'static str>> {
        network_file_system(dir)
    }

    fn try_lock(&self, dir: &Path) -> io::Result<Option<Box<dyn DirectoryLease>>> {
        // On the directory itself: a lock file could be tidied away while it is held.
        let file = File::open(dir)?;
        match file.try_lock() {
            // Moved away meanwhile: the one that is there now is another's to lock.
            Ok(()) => {
                Ok(is_still(dir, &file).then(|| Box::new(Lease { dir: dir.to_owned(), file }) as _))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn names(&self, dir: &Path) -> io::Result<Vec<String>> {
        let name = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
        std::fs::read_dir(dir)?.map(|entry| entry.map(name)).collect()
    }

    fn facts(&self, path: &Path) -> io::Result<FileFacts> {
        std::fs::metadata(path).map(|metadata| facts(&metadata))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).mode(0o600).open(path)?;
        Ok(Box::new(file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OpenOptions::new().read(true).write(true).open(path)?))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }
}

impl DiskFile for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let offsets = (offset..).step_by(PIECE);
        bytes.chunks(PIECE).zip(offsets).try_for_each(|(piece, at)| self.write_all_at(piece, at))
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_all()
    }

    fn sync_data(&self) -> io::Result<()> {
        Self::sync_data(self)
    }

    fn facts(&self) -> io::Result<FileFacts> {
        self.metadata().map(|metadata| facts(&metadata))
    }

    fn empty(&self) -> io::Result<()> {
        self.set_len(0)
    }
}

/// The kernel gives the lock back when the file is closed, also by the end of the process.
#[derive(Debug)]
struct Lease {
    dir: PathBuf,
    file: File,
}

impl DirectoryLease for Lease {
    fn holds(&self) -> bool {
        is_still(&self.dir, &self.file)
    }
}

fn facts(metadata: &Metadata) -> FileFacts {
    let born = metadata.created().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let identity = FileIdentity {
        inode: metadata.ino(),
        born: born.and_then(|since| u64::try_from(since.as_nanos()).ok()),
    };
    let modified = metadata.modified().ok();
    FileFacts { len: metadata.len(), links: metadata.nlink(), identity, modified }
}

fn is_still(dir: &Path, file: &File) -> bool {
    let identity = |metadata: &Metadata| (metadata.dev(), metadata.ino());
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
fn network_file_system(dir: &Path) -> io::Result<Option<&'static str>> {
    let magic = u32::try_from(rustix::fs::statfs(dir)?.f_type & 0xffff_ffff).unwrap_or_default();
    Ok(NETWORK.iter().find(|(known, _)| *known == magic).map(|(_, name)| *name))
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "the shape of the one above")]
fn network_file_system(_: &Path) -> io::Result<Option<&'static str>> {
    Ok(None)
}
