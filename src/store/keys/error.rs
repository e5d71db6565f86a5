//! What can be wrong with a key directory. `Display` says what, where, and on a second line what
//! to do; it never holds anything out of a file.

use std::{io, path::PathBuf};

/// What is wrong with a key directory.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is no `current.pem`, or no `session.key`.
    #[error("there is no key in {0}\n  do: oncegate keys new --dir {0}", dir.display())]
    NoKey {
        /// The directory.
        dir: PathBuf,
    },
    /// Nothing is missing: a new key would replace one.
    #[error(
        "{0} has its keys already\n  do: oncegate keys rotate --dir {0}, or choose another directory",
        dir.display()
    )]
    Exists {
        /// The directory.
        dir: PathBuf,
    },
    /// Others may read or write a key.
    #[error("{0} can be {verb} by others (mode {mode:04o})\n  do: chmod 600 {0}", path.display(), verb = if mode & 0o004 == 0 { "reached" } else { "read" })]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Others may put keys into the directory.
    #[error("{0} can be written by others (mode {mode:04o})\n  do: chmod 700 {0}", dir.display())]
    DirectoryOpenToOthers {
        /// The directory.
        dir: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A file is not what its name says.
    #[error("{}: {why}\n  do: {fix}", path.display())]
    NotAKey {
        /// The file.
        path: PathBuf,
        /// What is wrong; nothing of what it holds.
        why: String,
        /// What to do.
        fix: String,
    },
    /// A placeholder, or a key under which nearly anything verifies.
    #[error("{0} is a weak key\n  do: remove it, then oncegate keys new --dir {1}", path.display(), path.parent().unwrap_or(path).display())]
    Weak {
        /// The file.
        path: PathBuf,
    },
    /// The next key is too young to sign: not everybody knows it yet.
    #[error(
        "{0} is {age} s old: other gates and readers of the JWKS may not know it yet\n  do: wait {1} s, or give --force if none of them matters",
        path.display(),
        crate::store::keys::MIN_AGE.saturating_sub(*age)
    )]
    TooYoung {
        /// The file of the next key.
        path: PathBuf,
        /// How old it is, in seconds.
        age: u64,
    },
    /// Another process changes the keys.
    #[error("another `oncegate keys` is at work in {}\n  do: try again when it is done", dir.display())]
    Busy {
        /// The directory.
        dir: PathBuf,
    },
    /// The keys changed each time they were read.
    #[error("the keys in {} change while they are read\n  do: try again when that is over", dir.display())]
    Changing {
        /// The directory.
        dir: PathBuf,
    },
    /// The file system refused.
    #[error("cannot {doing} {}: {source}\n  do: see that its directory is there and belongs to the user that runs this", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl KeyError {
    pub(super) fn io(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }
}
