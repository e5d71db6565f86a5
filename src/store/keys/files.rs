//! Files of a key directory: read only if nobody else can, written whole or not at all.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{self, Read as _, Write as _},
    os::unix::fs::{
        DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
    },
    path::{Path, PathBuf},
};

use rustix::fs::StatVfsMountFlags;

use crate::{
    gate::secret::Secret,
    store::keys::{CURRENT, KeyError, NEXT, SESSION},
};

/// No key file comes near this.
const MAX_FILE: u64 = 64 * 1024;

/// A key directory that others cannot write to.
pub(super) struct Directory(PathBuf);

/// A key directory that this process alone changes, until it is dropped.
pub(super) struct Locked {
    dir: Directory,
    lock: File,
}

/// What a key file holds, and when it was last written.
pub(super) struct Text {
    pub(super) text: Secret<String>,
    /// Seconds since the Unix epoch; counts where the text names no time itself.
    pub(super) mtime: u64,
}

/// The names, sizes, inodes and times of the key files; nothing of what they hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fingerprint(Vec<(String, [i128; 3])>);

/// The fingerprint of a key directory. What cannot be read does not count.
///
/// The time is that of the inode's last change: a `chmod` that mends a file counts too.
pub fn fingerprint(dir: &Path) -> Fingerprint {
    let mut files: Vec<_> = names(dir)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|name| {
            let of = fs::metadata(dir.join(&name)).ok()?;
            let changed = i128::from(of.ctime()) * 1_000_000_000 + i128::from(of.ctime_nsec());
            Some((name, [of.size().into(), of.ino().into(), changed]))
        })
        .collect();
    files.sort();
    Fingerprint(files)
}

impl Directory {
    pub(super) fn open(path: &Path) -> Result<Self, KeyError> {
        let metadata = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(KeyError::NoKey { dir: path.to_owned() });
            }
            other => other.map_err(KeyError::io("open", path))?,
        };
        let mode = metadata.mode() & 0o7777;
        // A mounted secret of Kubernetes has mode 1777 and is read-only: nobody writes there.
        let read_only = || {
            rustix::fs::statvfs(path).is_ok_and(|of| of.f_flag.contains(StatVfsMountFlags::RDONLY))
        };
        if mode & 0o002 != 0 && !read_only() {
            return Err(KeyError::DirectoryOpenToOthers { dir: path.to_owned(), mode });
        }
        Ok(Self(path.to_owned()))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The names of the previous keys' files, sorted.
    pub(super) fn previous(&self) -> Result<Vec<String>, KeyError> {
        let mut names = names(&self.0).map_err(KeyError::io("list", &self.0))?;
        names.retain(|name| name.starts_with("previous-"));
        names.sort();
        Ok(names)
    }

    /// What a file holds, or `None` if it is not there.
    ///
    /// # Errors
    /// Others may read or write it, it is no text of a key file's size, or the system refused.
    pub(super) fn read(&self, name: &str) -> Result<Option<Text>, KeyError> {
        let path = self.join(name);
        // A pipe would be waited for.
        match std::fs::metadata(&path) {
            Ok(metadata) if !metadata.is_file() => return Err(not_a_key(path)),
            _ => {}
        }
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(KeyError::io("read", &path))?,
        };
        // Asked of the open file, so that what was judged is what is read.
        let metadata = file.metadata().map_err(KeyError::io("read", &path))?;
        let mode = metadata.mode() & 0o7777;
        if mode & 0o007 != 0 {
            return Err(KeyError::OpenToOthers { path, mode });
        }
        if !metadata.is_file() || metadata.len() > MAX_FILE {
            return Err(not_a_key(path));
        }
        let mut text = String::new();
        (&mut file)
            .take(MAX_FILE)
            .read_to_string(&mut text)
            .map_err(KeyError::io("read", &path))?;
        let mtime = u64::try_from(metadata.mtime()).unwrap_or_default();
        Ok(Some(Text { text: Secret::new(text), mtime }))
    }

    /// Takes the lock, without waiting: two rotations at once would lose a key.
    pub(super) fn lock(self) -> Result<Locked, KeyError> {
        let path = self.join(".lock");
        let lock = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(KeyError::io("open", &path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Locked { dir: self, lock }),
            Err(TryLockError::WouldBlock) => Err(KeyError::Busy { dir: self.0 }),
            Err(TryLockError::Error(error)) => Err(KeyError::io("lock", path)(error)),
        }
    }
}

impl Locked {
    /// Makes the directory, mode 0700, if it is not there, and takes its lock.
    pub(super) fn make(path: &Path) -> Result<Self, KeyError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(KeyError::io("make", path))?;
        Directory::open(path)?.lock()
    }

    pub(super) const fn dir(&self) -> &Directory {
        &self.dir
    }

    /// Writes a file whole or not at all, for the same readers as the key that signs.
    ///
    /// Mode 0600, unless the current key may also be read by a group: whoever rotates, perhaps
    /// root, must not lock the gate out.
    pub(super) fn write(&self, name: &str, text: &Secret<String>) -> Result<(), KeyError> {
        let (path, new) = (self.dir.join(name), self.dir.join(&format!(".new-{name}")));
        let like = fs::metadata(self.dir.join(CURRENT));
        let mode = like.as_ref().map_or(0o600, |like| (like.mode() & 0o640) | 0o600);
        let like = like
            .or_else(|_| fs::metadata(self.dir.path()))
            .map_err(KeyError::io("read", self.dir.path()))?;

        // Left by a writer that was cut short; the lock says it is gone.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(KeyError::io("remove", new)(error));
            }
            _ => {}
        }
        let written = (|| {
            let mut file =
                OpenOptions::new().create_new(true).write(true).mode(0o600).open(&new)?;
            file.write_all(text.expose().as_bytes())?;
            let of = file.metadata()?;
            if (of.uid(), of.gid()) != (like.uid(), like.gid()) {
                std::os::unix::fs::fchown(&file, Some(like.uid()), Some(like.gid()))?;
            }
            file.set_permissions(Permissions::from_mode(mode))?;
            file.sync_all()
        })();
        written.map_err(KeyError::io("write", &path))?;
        fs::rename(&new, &path).map_err(KeyError::io("write", &path))?;
        self.sync()
    }

    /// Gives one file the name of another, replacing that in one step.
    pub(super) fn rename(&self, from: &str, to: &str) -> Result<(), KeyError> {
        fs::rename(self.dir.join(from), self.dir.join(to))
            .map_err(KeyError::io("rename", self.dir.join(from)))?;
        self.sync()
    }

    pub(super) fn remove(&self, name: &str) -> Result<(), KeyError> {
        let path = self.dir.join(name);
        fs::remove_file(&path).map_err(KeyError::io("remove", path))?;
        self.sync()
    }

    /// A name is durable once its directory is.
    fn sync(&self) -> Result<(), KeyError> {
        let path = self.dir.path();
        File::open(path).and_then(|dir| dir.sync_all()).map_err(KeyError::io("sync", path))
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // Closing it is not enough where a child forked meanwhile still has it open. If this
        // fails, the end of the process unlocks it.
        let _ = self.lock.unlock();
    }
}

/// The names of the key files in a directory.
fn names(dir: &Path) -> io::Result<Vec<String>> {
    let is_key = |name: &String| {
        matches!(name.as_str(), CURRENT | NEXT | SESSION)
            || name.strip_prefix("previous-").and_then(|rest| rest.strip_suffix(".pem")).is_some()
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        found.extend(entry?.file_name().into_string().ok().filter(is_key));
    }
    Ok(found)
}

fn not_a_key(path: PathBuf) -> KeyError {
    KeyError::NotAKey {
        path,
        why: "is not a key file".to_owned(),
        fix: "put the right file there".to_owned(),
    }
}
