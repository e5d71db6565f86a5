//! The journal: the uses of tokens, and what was taken back, on local disk.
//!
//! A sequence of segments that a manifest lists. A segment is on disk and listed before a record
//! in it is answered for, so what is missing shows. What cannot be written ends the journal: it
//! takes no record after that, and a new memory takes its place.
//!
//! Lock order: `upkeep`, then `tail`. `tail` is held for one write; `upkeep` for changes of the
//! manifest. Both see [`Journal::end`] before they write anything.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use super::{
    disk::{Disk, FileIdentity},
    executor::beside_the_executor,
    manifest::{self, Durability, Horizons, Manifest},
    record::Record,
    segment::{self, Segment},
    tail::Tail,
    written::Written,
};
use crate::gate::id::MemoryId;

/// Where journals are kept, and how.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The state directory; this process has its lock.
    pub dir: PathBuf,
    /// The gate's name.
    pub gate: String,
    /// The kernel's boot id, where it has one.
    pub boot: Option<String>,
    /// When a record counts as kept.
    pub durability: Durability,
    /// Whether a thread gathers what one sync is for.
    pub gather: bool,
    /// Bytes of a new segment.
    pub segment_size: u64,
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// What was written there, by whichever memory.
    pub written: Arc<Written>,
}

/// One memory's journal.
#[derive(Debug)]
pub(super) struct Journal {
    /// Where it is.
    pub(super) place: Place,
    mem: MemoryId,
    upkeep: Mutex<Upkeep>,
    tail: Mutex<Tail>,
    /// Up to which second it is on record that things are issued.
    issued_until: AtomicU64,
    segments: AtomicUsize,
    bytes: AtomicU64,
    /// Why it takes no more records.
    ended: OnceLock<String>,
}

/// What changes with the manifest.
#[derive(Debug)]
pub(super) struct Upkeep {
    next_number: u64,
    horizons: Horizons,
    lineage: Vec<MemoryId>,
}

/// Why a record is not kept; the journal has ended.
pub(super) type Ended = String;

impl Journal {
    /// A journal around its segments; nothing is written.
    pub(super) fn new(
        place: Place,
        mem: MemoryId,
        lineage: Vec<MemoryId>,
        tail: Tail,
        next_number: u64,
        horizons: Horizons,
        issued_until: u64,
    ) -> Self {
        let journal = Self {
            place,
            mem,
            upkeep: Mutex::new(Upkeep { next_number, horizons, lineage }),
            tail: Mutex::new(tail),
            issued_until: AtomicU64::new(issued_until),
            segments: AtomicUsize::new(0),
            bytes: AtomicU64::new(0),
            ended: OnceLock::new(),
        };
        journal.measure();
        journal
    }

    /// Keeps `records`, as durably as configured; all of them, or the journal ends.
    ///
    /// # Errors
    /// Why the journal has ended. Any of the records may be kept or not.
    pub(super) fn write(&self, records: &[Record]) -> Result<(), Ended> {
        let mut rest = records;
        while !rest.is_empty() {
            let mut tail = self.lock_tail();
            self.check()?;
            let room = tail.current.capacity().saturating_sub(tail.next);
            if room == 0 {
                let Some(spare) = tail.spares.pop_front() else {
                    drop(tail);
                    // Hardly ever: upkeep has one ready.
                    beside_the_executor(|| self.add_segment())
                        .map_err(|error| self.fail("add a segment", &error))?;
                    continue;
                };
                let full = std::mem::replace(&mut tail.current, spare);
                tail.full.push(full);
                tail.next = 0;
                continue;
            }
            let (now, later) = rest.split_at(rest.len().min(room as usize));
            tail.current
                .write(self.mem, tail.next, now)
                .map_err(|error| self.fail("write a record", &error))?;
            self.place.written.wrote(now.len());
            if self.place.durability == Durability::Power {
                let synced = tail.current.sync();
                let any = synced.map_err(|error| self.fail("sync a record", &error))?;
                self.place.written.synced(any);
            }
            tail.next += u32::try_from(now.len()).unwrap_or(room);
            rest = later;
        }
        Ok(())
    }

    /// Up to which second it is on record that things are issued.
    pub(super) fn issued_until(&self) -> u64 {
        self.issued_until.load(Ordering::SeqCst)
    }

    /// Puts on record that things are issued, dated up to `until`.
    ///
    /// # Errors
    /// Why the journal has ended.
    pub(super) fn issue_until(&self, until: u64) -> Result<(), Ended> {
        self.write(&[Record::Issuing { until }])?;
        self.issued_until.fetch_max(until, Ordering::SeqCst);
        Ok(())
    }

    /// Makes sure that there is an empty segment to go on with.
    ///
    /// # Errors
    /// Whatever the disk says. If it was the segment that could not be created, nothing changed.
    pub(super) fn add_segment(&self) -> io::Result<()> {
        let mut upkeep = self.lock_upkeep();
        self.check().map_err(io::Error::other)?;
        if !self.lock_tail().spares.is_empty() {
            return Ok(());
        }
        let Place { disk, dir, segment_size, .. } = &self.place;
        // A number is not tried twice: what failed may have left its file.
        let number = upkeep.next_number;
        upkeep.next_number += 1;
        let segment = Segment::create(&**disk, dir, self.mem, number, *segment_size)?;
        let listed = disk
            .sync_dir(dir)
            .and_then(|()| self.write_manifest_with(&upkeep, Some(&segment), false))
            // Whether it is listed is unknown now: what is written to it may be lost.
            .inspect_err(|error| drop(self.fail("list a segment", error)));
        // Not before it is listed: whoever finds it there writes to it.
        self.lock_tail().spares.push_back(segment);
        self.measure();
        listed
    }

    /// Puts on disk what `durability = process` has left to the kernel, so that a disk that fails
    /// is noticed while this memory still knows everything.
    ///
    /// # Errors
    /// Why the journal has ended.
    pub(super) fn sync(&self) -> Result<(), Ended> {
        let _upkeep = self.lock_upkeep();
        self.check()?;
        self.sync_segments().map_err(|error| self.fail("sync", &error))
    }

    /// The full segments, the oldest first.
    pub(super) fn full(&self) -> Vec<Arc<Segment>> {
        self.lock_tail().full.clone()
    }

    /// The records in those.
    pub(super) fn full_records(&self) -> u64 {
        self.lock_tail().full.iter().map(|segment| u64::from(segment.capacity())).sum()
    }

    /// The records in a full segment.
    ///
    /// # Errors
    /// Why the journal has ended: it cannot be read back.
    pub(super) fn records_in(&self, segment: &Segment) -> Result<Vec<Record>, Ended> {
        let Place { disk, dir, .. } = &self.place;
        let records = segment.records(&**disk, dir, self.mem);
        records.map_err(|error| self.fail("read back", &error))
    }

    /// Drops `segments`, of which nothing is needed past `horizons`: the manifest first.
    ///
    /// # Errors
    /// Why the journal has ended.
    pub(super) fn drop_segments(
        &self,
        segments: &[Arc<Segment>],
        horizons: Horizons,
    ) -> Result<(), Ended> {
        let mut upkeep = self.lock_upkeep();
        self.check()?;
        upkeep.horizons.spent = upkeep.horizons.spent.max(horizons.spent);
        upkeep.horizons.revoked = upkeep.horizons.revoked.max(horizons.revoked);
        let gone = |kept: &Arc<Segment>| segments.iter().any(|s| s.number == kept.number);
        self.lock_tail().full.retain(|segment| !gone(segment));
        self.measure();
        // What they said of that, the manifest says from here on.
        let issuing = segments.iter().map(|segment| segment.issuing_until()).max().unwrap_or(0);
        self.issued_until.fetch_max(issuing, Ordering::SeqCst);
        self.write_manifest(&upkeep, false)
            .map_err(|error| self.fail("drop expired segments", &error))?;
        for segment in segments {
            // One that stays is not listed, and removed at the next start.
            let _ = self.place.disk.remove(&self.place.dir.join(segment::name(segment.number)));
        }
        Ok(())
    }

    /// Notes whose revocations it holds from now on.
    ///
    /// # Errors
    /// Why the journal has ended.
    pub(super) fn set_lineage(&self, lineage: Vec<MemoryId>) -> Result<(), Ended> {
        let mut upkeep = self.lock_upkeep();
        self.check()?;
        upkeep.lineage = lineage;
        self.write_manifest(&upkeep, false).map_err(|error| self.fail("note a lineage", &error))
    }

    /// Takes no record from here on. When this returns nothing of this journal is written any
    /// more, not even its manifest.
    pub(super) fn end(&self, why: &str) {
        let _upkeep = self.lock_upkeep();
        let _tail = self.lock_tail();
        let _ = self.ended.set(why.to_owned());
    }

    /// Ends the journal, all of it on disk and marked so. `issued_until` is asked once it has
    /// ended, when nothing is issued any more.
    ///
    /// # Errors
    /// Whatever the disk says; the mark is not made then.
    pub(super) fn close(&self, issued_until: impl FnOnce() -> u64) -> io::Result<()> {
        let upkeep = self.lock_upkeep();
        {
            let _tail = self.lock_tail();
            self.check().map_err(io::Error::other)?;
            let _ = self.ended.set("closed".to_owned());
        }
        self.sync_segments()?;
        self.issued_until.store(issued_until(), Ordering::SeqCst);
        self.write_manifest(&upkeep, true)
    }

    /// Gives the space back that an ended journal still takes, as far as that can be done.
    pub(super) fn discard(&self) {
        let _upkeep = self.lock_upkeep();
        let Place { disk, dir, .. } = &self.place;
        if self.ended.get().is_some() && disk.remove(&dir.join(manifest::NAME)).is_ok() {
            let _ = disk.sync_dir(dir);
            let tail = self.lock_tail();
            for segment in tail.all() {
                let _ = segment.release();
                let _ = disk.remove(&dir.join(segment::name(segment.number)));
            }
        }
    }

    /// Why it takes no more records, if so.
    pub(super) fn ended(&self) -> Option<&str> {
        self.ended.get().map(String::as_str)
    }

    /// How durable a record is.
    pub(super) fn durability(&self) -> Durability {
        self.place.durability
    }

    /// Whether a thread is to gather what one sync is for.
    pub(super) fn gathers(&self) -> bool {
        self.place.gather && self.place.durability == Durability::Power
    }

    /// How many segments there are, and their bytes; without waiting for what is being written.
    pub(super) fn size(&self) -> (usize, u64) {
        (self.segments.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }

    fn measure(&self) {
        let tail = self.lock_tail();
        self.segments.store(tail.all().count(), Ordering::Relaxed);
        self.bytes.store(tail.all().map(|segment| segment.size).sum(), Ordering::Relaxed);
    }

    fn check(&self) -> Result<(), Ended> {
        self.ended.get().map_or(Ok(()), |why| Err(why.clone()))
    }

    fn fail(&self, doing: &str, error: &io::Error) -> Ended {
        let why = format!("cannot {doing} in {}: {error}", self.place.dir.display());
        self.ended.get_or_init(|| why).clone()
    }

    fn sync_segments(&self) -> io::Result<()> {
        let segments: Vec<_> = self.lock_tail().all().cloned().collect();
        let Place { disk, dir, .. } = &self.place;
        let sync = |segment: &Segment| segment.sync().map(|any| self.place.written.synced(any));
        segments.iter().try_for_each(|segment| sync(segment)).inspect_err(|_| {
            // What was answered for may be gone from the file: it must not be read back.
            let removed = disk.remove(&dir.join(manifest::NAME));
            drop(removed.or_else(|_| segments.iter().try_for_each(|segment| segment.release())));
        })
    }

    /// Writes down what there is now.
    ///
    /// # Errors
    /// Whatever the disk says; either manifest may be in place then.
    pub(super) fn write_manifest(&self, upkeep: &Upkeep, closed: bool) -> io::Result<()> {
        self.write_manifest_with(upkeep, None, closed)
    }

    fn write_manifest_with(
        &self,
        upkeep: &Upkeep,
        new: Option<&Segment>,
        closed: bool,
    ) -> io::Result<()> {
        let Place { dir, gate, boot, durability, disk, .. } = &self.place;
        let mut segments = self.lock_tail().listed();
        segments.extend(new.map(|segment| segment.listed(0)));
        let mut manifest = Manifest {
            gate: gate.clone(),
            mem: self.mem,
            lineage: upkeep.lineage.clone(),
            boot: boot.clone(),
            durability: *durability,
            closed,
            horizon: upkeep.horizons.spent,
            revoked_horizon: upkeep.horizons.revoked,
            issued_until: self.issued_until(),
            segments,
            identity: FileIdentity { inode: 0, born: None },
            version: manifest::VERSION,
        };
        manifest.write(&**disk, dir)
    }

    /// Removes what is no part of it: of a journal before, or of a segment that was dropped.
    pub(super) fn remove_unlisted(&self) {
        let Place { dir, disk, .. } = &self.place;
        let listed: Vec<_> = self.lock_tail().all().map(|segment| segment.number).collect();
        for number in segment::numbers(&**disk, dir).unwrap_or_default() {
            if !listed.contains(&number) {
                let _ = disk.remove(&dir.join(segment::name(number)));
            }
        }
    }

    /// For changes of the manifest.
    pub(super) fn lock_upkeep(&self) -> MutexGuard<'_, Upkeep> {
        self.upkeep.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        gate::id::TokenId,
        store::{JournalWritten, local::disk::LocalDisk},
    };

    #[test]
    fn an_ended_journal_writes_nothing_over_its_successor() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place {
            dir: dir.path().to_owned(),
            gate: "gate-a".to_owned(),
            boot: None,
            durability: Durability::Process,
            gather: true,
            segment_size: 64 + 32,
            disk: Arc::new(LocalDisk),
            written: Arc::default(),
        };
        let mem = |n| MemoryId::from_bytes([n; 16]);
        let old = Journal::create(place.clone(), mem(1), Vec::new(), &[], 0, 0).unwrap();
        let record = Record::Spent { id: TokenId::from_bytes([1; 16]), expires: 60 };
        old.write(&[record]).unwrap();
        old.end("replaced");
        let _new = Journal::create(place, mem(2), Vec::new(), &[], 0, 0).unwrap();
        // What was under way when it ended: records, a rotation, upkeep, a close.
        assert_eq!(old.write(&[record, record]), Err("replaced".to_owned()));
        assert!(old.add_segment().is_err() && old.sync().is_err() && old.close(|| 0).is_err());
        assert!(old.drop_segments(&old.full(), Horizons::default()).is_err());
        assert_eq!(Manifest::read(&LocalDisk, dir.path()).unwrap().mem, mem(2));
        assert_eq!(segment::numbers(&LocalDisk, dir.path()).unwrap().len(), 2);
        let written = old.place.written.by_now();
        assert_eq!(written, JournalWritten { records: 1, writes: 1, syncs: 0 });
    }
}
