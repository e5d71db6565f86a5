//! The manifest: what must be there for a journal to be whole.
//!
//! Three parts: the line `oncegate-journal VERSION`, JSON, and the line `xxh3 CHECKSUM` over
//! everything before it. The first and the last are the same in every version, so that a newer
//! one is told from a damaged one. It is only ever replaced as a whole, and it names its own
//! inode: put back in place from a backup it is noticed, like a copied segment.

use std::{io, path::Path, time::Duration};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::disk::{Disk, FileFacts, FileIdentity};
use crate::gate::id::MemoryId;

/// What the times of two files may differ by that were changed at once.
const TICK: Duration = Duration::from_secs(2);

/// The manifest's file name.
pub(super) const NAME: &str = "manifest";
/// The name under which the next one is written.
pub(super) const NEXT: &str = "manifest.new";

/// The version of the format, with all that it lists. In version 1 nothing was noted of what is
/// issued.
pub(super) const VERSION: u32 = 2;

const TITLE: &str = "oncegate-journal ";
const SEAL: &str = "xxh3 ";

/// When an answer may leave: once its record outlives a crash of this process, or a loss of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Written: the kernel has it.
    Process,
    /// Synced: the disk has it.
    Power,
}

/// What a journal consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    /// The gate whose journal it is.
    pub gate: String,
    /// The memory it holds.
    pub mem: MemoryId,
    /// The memories before it whose revocations it holds too, oldest first.
    pub lineage: Vec<MemoryId>,
    /// The kernel's boot id at the time of writing, where it has one.
    pub boot: Option<String>,
    /// How durable the records after this manifest are.
    pub durability: Durability,
    /// Closed, and all of it synced: nothing follows.
    pub closed: bool,
    /// The latest expiry whose tokens may be gone from it.
    pub horizon: u64,
    /// The latest `until` whose revocations may be gone from it.
    pub revoked_horizon: u64,
    /// The latest second that anything issued bears, as far as it was known by then; exactly that
    /// in a closed journal.
    #[serde(default)]
    pub issued_until: u64,
    /// Its segments, in the order of their records.
    pub segments: Vec<Listed>,
    /// Of the file that holds this.
    pub identity: FileIdentity,
    /// The version it was read in; it is written in [`VERSION`].
    #[serde(skip)]
    pub version: u32,
}

/// A segment as the manifest knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listed {
    /// Its number.
    pub number: u64,
    /// Its size in bytes.
    pub size: u64,
    /// What tells it from a copy.
    pub identity: FileIdentity,
    /// It holds at least so many records; exactly so many in a closed journal.
    pub records: u32,
}

/// Why there is no manifest to go by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unusable {
    /// There is none.
    Absent,
    /// It is not as it was written, or not where.
    Damaged(String),
    /// It is whole, and of a version this program does not know.
    Newer(String),
}

/// How far a journal's memory has forgotten: of tokens, of revocations.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Horizons {
    /// The latest expiry whose tokens were dropped.
    pub spent: u64,
    /// The latest `until` whose revocations were dropped.
    pub revoked: u64,
}

impl Manifest {
    /// Puts this manifest in place of the one before, on disk before this returns.
    ///
    /// # Errors
    /// Whatever the disk says; either of the two may be in place then.
    pub(super) fn write(&mut self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        let next = dir.join(NEXT);
        match disk.remove(&next) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = disk.create(&next)?;
        self.identity = file.facts()?.identity;
        file.write_at(self.encode()?.as_bytes(), 0)?;
        file.sync()?;
        disk.rename(&next, &dir.join(NAME))?;
        disk.sync_dir(dir)
    }

    /// Reads the manifest of `dir`.
    ///
    /// # Errors
    /// Why it is not one to go by.
    pub(super) fn read(disk: &dyn Disk, dir: &Path) -> Result<Self, Unusable> {
        let path = dir.join(NAME);
        let bytes = match disk.read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Unusable::Absent),
            Err(error) => return Err(Unusable::Damaged(format!("{NAME}: {error}"))),
            Ok(bytes) => bytes,
        };
        let manifest = Self::decode(&bytes)?;
        let here = disk.facts(&path).ok();
        if here.map(|facts| facts.identity) != Some(manifest.identity) {
            return Err(Unusable::Damaged(format!("{NAME} is a copy")));
        }
        if written_in_place(here, disk.facts(dir).ok()) {
            return Err(Unusable::Damaged(format!("{NAME} was written over")));
        }
        Ok(manifest)
    }

    fn encode(&self) -> io::Result<String> {
        let body = serde_json::to_string_pretty(self).map_err(io::Error::other)?;
        let text = format!("{TITLE}{VERSION}\n{body}\n");
        let sum = xxh3_128(text.as_bytes());
        Ok(format!("{text}{SEAL}{sum:032x}\n"))
    }

    fn decode(bytes: &[u8]) -> Result<Self, Unusable> {
        let damaged = |why: &str| Unusable::Damaged(format!("{NAME} {why}"));
        let text = std::str::from_utf8(bytes).map_err(|_| damaged("is not text"))?;
        let sealed =
            bytes.len().checked_sub(SEAL.len() + 33).and_then(|at| text.split_at_checked(at));
        let (text, seal) = sealed.ok_or_else(|| damaged("is cut short"))?;
        if seal != format!("{SEAL}{:032x}\n", xxh3_128(text.as_bytes())) {
            return Err(damaged("does not match its checksum"));
        }
        let (title, body) = text.split_once('\n').ok_or_else(|| damaged("has no content"))?;
        let known = (1..=VERSION).find(|version| title == format!("{TITLE}{version}"));
        let version = known.ok_or_else(|| Unusable::Newer(title.chars().take(80).collect()))?;
        let manifest: Self = serde_json::from_str(body)
            .map_err(|error| damaged(&format!("cannot be read: {error}")))?;
        Ok(Self { version, ..manifest })
    }
}

/// Whether the manifest was written to since it was put in place: that is done by a rename, which
/// is the later change of the directory. A backup restored over the same files shows so, unless it
/// restores their times, too.
fn written_in_place(manifest: Option<FileFacts>, dir: Option<FileFacts>) -> bool {
    let modified = |facts: Option<FileFacts>| facts?.modified;
    match (modified(manifest), modified(dir)) {
        (Some(manifest), Some(dir)) => manifest > dir + TICK,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let identity = FileIdentity { inode: 5, born: Some(6) };
        Manifest {
            gate: "gate-a".to_owned(),
            mem: MemoryId::from_bytes([1; 16]),
            lineage: vec![MemoryId::from_bytes([2; 16])],
            boot: Some("boot".to_owned()),
            durability: Durability::Process,
            closed: false,
            horizon: 7,
            revoked_horizon: 8,
            issued_until: 9,
            segments: vec![Listed { number: 1, size: 4096, identity, records: 3 }],
            identity,
            version: VERSION,
        }
    }

    #[test]
    fn it_comes_back_as_it_was_and_no_flipped_byte_passes() {
        let bytes = manifest().encode().unwrap().into_bytes();
        assert_eq!(Manifest::decode(&bytes), Ok(manifest()));
        for at in 0..bytes.len() {
            for flip in [1, 0x20, 0x80] {
                let mut flipped = bytes.clone();
                flipped[at] ^= flip;
                assert!(matches!(Manifest::decode(&flipped), Err(Unusable::Damaged(_))), "{at}");
            }
            assert!(matches!(Manifest::decode(&bytes[..at]), Err(Unusable::Damaged(_))), "{at}");
        }
    }

    #[test]
    fn a_newer_version_is_not_taken_for_a_damaged_one() {
        let text = format!("{TITLE}3\nsomething else\n");
        let sealed = format!("{text}{SEAL}{:032x}\n", xxh3_128(text.as_bytes()));
        let newer = Unusable::Newer(format!("{TITLE}3"));
        assert_eq!(Manifest::decode(sealed.as_bytes()), Err(newer));
    }
}
