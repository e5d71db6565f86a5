//! A segment: a file of the journal with room for a fixed number of records.
//!
//! It is written full of zeros and synced before its first record, so that recording never
//! changes a size nor needs a new block, and what is missing shows. Real zeros instead of
//! `fallocate`: every file system can, and the sync of a group needs no change of metadata.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use super::{
    disk::{Disk, DiskFile, FileIdentity},
    manifest::Listed,
    record::{Place, RECORD, Record},
};
use crate::gate::{id::MemoryId, seen::bucket_end};

/// Bytes of the header: magic, version, size, number, memory, and zeros.
pub(super) const HEADER: usize = 64;

/// The version of the format of segment and record.
pub(super) const VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"ONCEGATE";

/// One segment file, and what upkeep must know about the records in it.
#[derive(Debug)]
pub(super) struct Segment {
    /// Its number: never used twice in one directory while any file of it exists.
    pub number: u64,
    /// Its size in bytes, header included.
    pub size: u64,
    /// What tells it from a copy.
    pub identity: FileIdentity,
    file: Box<dyn DiskFile>,
    /// Holds what was not synced yet.
    dirty: AtomicBool,
    /// When the bucket of the last token in it ends.
    spent_until: AtomicU64,
    /// The latest `until` of a revocation in it.
    revoked_until: AtomicU64,
    /// Up to which second it says that things are issued.
    issuing_until: AtomicU64,
}

/// Why a segment is not whole.
pub(super) type Fault = String;

impl Segment {
    /// Creates a segment with nothing in it, on disk before this returns; its directory is not.
    ///
    /// # Errors
    /// Whatever the disk says; nothing of the file is left then, if that can be done.
    pub(super) fn create(
        disk: &dyn Disk,
        dir: &Path,
        mem: MemoryId,
        number: u64,
        size: u64,
    ) -> io::Result<Arc<Self>> {
        let path = dir.join(name(number));
        let file = disk.create(&path)?;
        let made = (|| {
            let mut bytes = vec![0; usize::try_from(size).map_err(io::Error::other)?];
            let header = header(mem, number, size);
            bytes.iter_mut().zip(header).for_each(|(to, from)| *to = from);
            file.write_at(&bytes, 0)?;
            file.sync()?;
            file.facts()
        })();
        match made {
            Ok(facts) => Ok(Arc::new(Self::new(number, size, facts.identity, file))),
            Err(error) => {
                let _ = disk.remove(&path);
                Err(error)
            }
        }
    }

    /// Opens a segment and reads every record in it, in order, or says why it is not whole; tells
    /// how many there are. It may be found not to be whole when some were read already.
    ///
    /// `size` and `identity` are what the manifest says of it.
    ///
    /// # Errors
    /// What is wrong, for the operator.
    pub(super) fn load(
        disk: &dyn Disk,
        dir: &Path,
        mem: MemoryId,
        (number, size, identity): (u64, u64, FileIdentity),
        mut read: impl FnMut(Record),
    ) -> Result<(Arc<Self>, u32), Fault> {
        let name = name(number);
        let path = dir.join(&name);
        let at = |error: io::Error| format!("{name}: {error}");
        let file = disk.open(&path).map_err(at)?;
        let facts = file.facts().map_err(at)?;
        if facts.len != size {
            return Err(format!("{name} has {} bytes instead of {size}", facts.len));
        }
        if facts.identity != identity {
            return Err(format!("{name} is a copy"));
        }
        // Another gate may be writing to it under its other name.
        if facts.links != 1 {
            return Err(format!("{name} is linked from elsewhere, too"));
        }
        let bytes = disk.read(&path).map_err(at)?;
        let segment = Self::new(number, size, identity, file);
        let records = segment.decode(mem, &bytes, |record| {
            segment.note(&record);
            read(record);
        })?;
        Ok((Arc::new(segment), records))
    }

    fn new(number: u64, size: u64, identity: FileIdentity, file: Box<dyn DiskFile>) -> Self {
        Self {
            number,
            size,
            identity,
            file,
            dirty: AtomicBool::new(false),
            spent_until: AtomicU64::new(0),
            revoked_until: AtomicU64::new(0),
            issuing_until: AtomicU64::new(0),
        }
    }

    /// Reads the records in `bytes`, the whole of this segment's file, in order; tells how many.
    ///
    /// # Errors
    /// What is wrong with them, when some may have been read already.
    pub(super) fn decode(
        &self,
        mem: MemoryId,
        bytes: &[u8],
        mut read: impl FnMut(Record),
    ) -> Result<u32, Fault> {
        let Self { number, size, .. } = *self;
        let name = name(number);
        if bytes.len() as u64 != size {
            return Err(format!("{name} has {} bytes instead of {size}", bytes.len()));
        }
        let (head, body) =
            bytes.split_first_chunk::<HEADER>().ok_or_else(|| format!("{name} has no header"))?;
        if *head != header(mem, number, size) {
            return Err(format!("{name} has a damaged header, or one of another version"));
        }
        let (slots, rest) = body.as_chunks::<RECORD>();
        if rest.iter().any(|byte| *byte != 0) {
            return Err(format!("{name} does not end in zeros"));
        }
        let mut records = 0;
        for (slot, index) in slots.iter().zip(0..) {
            if *slot == [0; RECORD] {
                continue;
            }
            if index != records {
                return Err(format!("{name} has something after its last record"));
            }
            let record = Record::decode(slot, Place { mem, segment: number, index })
                .ok_or_else(|| format!("{name} has a damaged record at {index}"))?;
            read(record);
            records += 1;
        }
        Ok(records)
    }

    /// Reads back what is in it, which is full.
    ///
    /// # Errors
    /// Whatever the disk says, or what is wrong with it: that it holds less than was written, too.
    pub(super) fn records(
        &self,
        disk: &dyn Disk,
        dir: &Path,
        mem: MemoryId,
    ) -> io::Result<Vec<Record>> {
        let mut records = Vec::with_capacity(self.capacity() as usize);
        let bytes = disk.read(&dir.join(name(self.number)))?;
        let (name, full) = (name(self.number), self.capacity());
        match self.decode(mem, &bytes, |record| records.push(record)) {
            Ok(number) if number == full => Ok(records),
            Ok(less) => {
                Err(io::Error::other(format!("{name} has {less} records instead of {full}")))
            }
            Err(fault) => Err(io::Error::other(fault)),
        }
    }

    /// Records that fit.
    pub(super) fn capacity(&self) -> u32 {
        capacity(self.size)
    }

    /// Writes `records` from place `index` on, which must have room for them.
    ///
    /// # Errors
    /// Whatever the disk says; any part may have been written then.
    pub(super) fn write(&self, mem: MemoryId, index: u32, records: &[Record]) -> io::Result<()> {
        let offset = HEADER as u64 + u64::from(index) * RECORD as u64;
        let place = |index| Place { mem, segment: self.number, index };
        for record in records {
            self.note(record);
        }
        let written = if let [record] = records {
            self.file.write_at(&record.encode(place(index)), offset)
        } else {
            let encoded = records.iter().zip(index..).map(|(r, index)| r.encode(place(index)));
            self.file.write_at(encoded.collect::<Vec<_>>().as_flattened(), offset)
        };
        // After the write: a sync that runs meanwhile may have missed it.
        self.dirty.store(true, Ordering::SeqCst);
        written
    }

    /// Puts on disk what is not there yet; tells whether there was any.
    ///
    /// # Errors
    /// Whatever the disk says; records may be lost then.
    pub(super) fn sync(&self) -> io::Result<bool> {
        let dirty = self.dirty.swap(false, Ordering::SeqCst);
        if dirty {
            self.file.sync_data()?;
        }
        Ok(dirty)
    }

    /// As a manifest lists it, with so many records in it.
    pub(super) fn listed(&self, records: u32) -> Listed {
        let Self { number, size, identity, .. } = *self;
        Listed { number, size, identity, records }
    }

    /// Gives its space back, even while its file is open.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub(super) fn release(&self) -> io::Result<()> {
        self.file.empty()
    }

    /// When no token in it needs to be remembered any more.
    pub(super) fn spent_until(&self) -> u64 {
        self.spent_until.load(Ordering::SeqCst)
    }

    /// The latest `until` of a revocation in it.
    pub(super) fn revoked_until(&self) -> u64 {
        self.revoked_until.load(Ordering::SeqCst)
    }

    /// Up to which second it says that things are issued; 0 where it does not.
    pub(super) fn issuing_until(&self) -> u64 {
        self.issuing_until.load(Ordering::SeqCst)
    }

    fn note(&self, record: &Record) {
        match record {
            Record::Spent { expires, .. } => {
                self.spent_until.fetch_max(bucket_end(*expires), Ordering::SeqCst);
            }
            Record::Issuing { until } => {
                self.issuing_until.fetch_max(*until, Ordering::SeqCst);
            }
            Record::Revoked(revocation) => {
                self.revoked_until.fetch_max(revocation.until, Ordering::SeqCst);
            }
        }
    }
}

/// The file name of segment `number`.
pub(super) fn name(number: u64) -> String {
    format!("segment-{number:010}")
}

/// The number of the segment with that file name.
pub(super) fn number(file_name: &str) -> Option<u64> {
    let number = file_name.strip_prefix("segment-")?.parse().ok()?;
    (name(number) == file_name).then_some(number)
}

/// The numbers of all segment files in `dir`.
pub(super) fn numbers(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<u64>> {
    Ok(disk.names(dir)?.iter().filter_map(|name| number(name)).collect())
}

/// A size near `size` with room for at least one record.
pub(super) fn sound_size(size: u64) -> u64 {
    size.clamp((HEADER + RECORD) as u64, 1 << 30)
}

/// Records that fit into a segment of `size` bytes.
pub(super) fn capacity(size: u64) -> u32 {
    u32::try_from(size.saturating_sub(HEADER as u64) / RECORD as u64).unwrap_or(u32::MAX)
}

fn header(mem: MemoryId, number: u64, size: u64) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    let (version, size, number) = (VERSION.to_le_bytes(), size.to_le_bytes(), number.to_le_bytes());
    let content = MAGIC.iter().chain(&version).chain(&size).chain(&number).chain(mem.as_bytes());
    header.iter_mut().zip(content).for_each(|(to, from)| *to = *from);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_spelling() {
        assert_eq!(number(&name(7)), Some(7));
        assert_eq!(number(&name(12_345_678_901)), Some(12_345_678_901));
        for other in
            ["segment-7", "segment-+000000007", "segment-", "segment", "segment-00000000x7"]
        {
            assert_eq!(number(other), None, "{other}");
        }
        assert_eq!((capacity(1 << 20), capacity(0), capacity(96)), (32_766, 0, 1));
    }
}
