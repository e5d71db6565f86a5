//! A directory in a TOML file, read again when it changes.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;

use crate::{
    config::{self, Faults},
    gate::directory::Records,
    store::directory::notice::DirectoryNotice,
};

/// How often it is read at the start until it stands still.
const TRIES: usize = 5;

/// The file, and what it said when it was last without fault.
#[derive(Debug)]
pub(super) struct RecordsFile {
    path: PathBuf,
    records: ArcSwap<Records>,
    seen: Mutex<Seen>,
}

/// What the file looked like.
#[derive(Debug)]
struct Seen {
    /// When it was last looked at.
    fingerprint: Option<Fingerprint>,
    /// Whether it was read since it had that fingerprint at a look before: what is written twice
    /// within one tick of the file system's clock has one fingerprint, and what was read at the
    /// start may have been in between.
    settled: bool,
    /// The faults that were told.
    told: Option<Faults>,
}

/// Size, inode and the time of the inode's last change, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fingerprint([i128; 3]);

impl RecordsFile {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn open(path: &Path) -> Result<Self, Faults> {
        let (fingerprint, records) = read_whole(path);
        Ok(Self {
            path: path.to_owned(),
            records: ArcSwap::from_pointee(records?),
            seen: Mutex::new(Seen { fingerprint, settled: false, told: None }),
        })
    }

    pub(super) fn records(&self) -> Arc<Records> {
        self.records.load_full()
    }

    /// Reads the file again if it has changed and stands still: if it looks at this look as it did
    /// at the last one. Cheap enough to ask every few seconds.
    ///
    /// One with faults, one that ends amid a line or is suddenly empty, and one that is gone leave
    /// the old one in force and are told of once.
    pub(super) fn notice(&self) -> Option<DirectoryNotice> {
        // Held until the records are in place: of two that look at once, the later must not lose.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = fingerprint(&self.path).ok();
        if now != seen.fingerprint {
            *seen = Seen { fingerprint: now, settled: false, told: seen.told.take() };
            return None;
        }
        if seen.settled {
            return None;
        }
        let old = self.records();
        let read = config::records_again(&self.path, &old);
        let after = fingerprint(&self.path).ok();
        if after != now {
            // Half of it may be from before somebody wrote it.
            seen.fingerprint = after;
            return None;
        }
        match read {
            Ok(records) => {
                seen.settled = true;
                seen.told = None;
                if records == *old {
                    return None;
                }
                self.records.store(Arc::new(records));
                Some(DirectoryNotice::Changed(self.path.clone()))
            }
            Err(faults) => {
                // What the system refused to read it may let be read at the next look.
                seen.settled = faults.why_unreadable().is_none();
                if seen.told.as_ref() == Some(&faults) {
                    return None;
                }
                seen.told = Some(faults.clone());
                Some(DirectoryNotice::Faulty(faults))
            }
        }
    }
}

/// The file as it stood at one moment, not half before and half after somebody wrote it.
fn read_whole(path: &Path) -> (Option<Fingerprint>, Result<Records, Faults>) {
    let mut before = fingerprint(path).ok();
    for _ in 1..TRIES {
        let records = config::records(path);
        let after = fingerprint(path).ok();
        if before == after {
            return (after, records);
        }
        before = after;
    }
    // It is written all the time; the looks to come see that.
    (None, config::records(path))
}

fn fingerprint(path: &Path) -> io::Result<Fingerprint> {
    let of = fs::metadata(path)?;
    let changed = i128::from(of.ctime()) * 1_000_000_000 + i128::from(of.ctime_nsec());
    Ok(Fingerprint([of.size().into(), of.ino().into(), changed]))
}
