//! How a journal begins: in place of what is there, or where one was left.

use std::{collections::VecDeque, io, sync::Arc};

use super::{
    journal::{Journal, Place},
    manifest::{Horizons, Manifest},
    record::Record,
    segment::{self, Segment},
    tail::Tail,
};
use crate::gate::{id::MemoryId, revoked::Revocation};

impl Journal {
    /// Creates the journal of a new memory in place of whatever is there.
    ///
    /// `revocations` are written before it counts; `lineage` are the memories they are of, and
    /// `revoked_horizon` tells which of theirs are forgotten already, and `issued_until` the latest
    /// second that anything issued under them bears.
    ///
    /// # Errors
    /// Whatever the disk says; the journal before, or nothing whole, is in place then.
    pub(super) fn create(
        place: Place,
        mem: MemoryId,
        lineage: Vec<MemoryId>,
        revocations: &[Revocation],
        revoked_horizon: u64,
        issued_until: u64,
    ) -> io::Result<Self> {
        let (disk, dir) = (Arc::clone(&place.disk), place.dir.clone());
        let first = segment::numbers(&*disk, &dir)?.into_iter().max().unwrap_or(0) + 1;
        let horizons = Horizons { spent: 0, revoked: revoked_horizon };
        let created =
            Self::create_from(first, place, mem, (lineage, revocations, horizons, issued_until));
        if created.is_err() {
            for number in
                segment::numbers(&*disk, &dir)?.into_iter().filter(|number| *number >= first)
            {
                let _ = disk.remove(&dir.join(segment::name(number)));
            }
        }
        created
    }

    fn create_from(
        first: u64,
        place: Place,
        mem: MemoryId,
        known: (Vec<MemoryId>, &[Revocation], Horizons, u64),
    ) -> io::Result<Self> {
        let (lineage, revocations, horizons, issued_until) = known;
        let new_segment =
            |number| Segment::create(&*place.disk, &place.dir, mem, number, place.segment_size);
        let records: Vec<_> = revocations.iter().copied().map(Record::Revoked).collect();
        let (mut full, mut number) = (Vec::new(), first);
        let mut current = new_segment(number)?;
        let mut next = 0;
        for chunk in records.chunks(current.capacity().max(1) as usize) {
            if next > 0 {
                number += 1;
                full.push(std::mem::replace(&mut current, new_segment(number)?));
            }
            current.write(mem, 0, chunk)?;
            current.sync()?;
            next = u32::try_from(chunk.len()).map_err(io::Error::other)?;
        }
        let spares = VecDeque::from([new_segment(number + 1)?]);
        let tail = Tail { full, current, next, spares };
        let journal = Self::new(place, mem, lineage, tail, number + 2, horizons, issued_until);
        journal.place.disk.sync_dir(&journal.place.dir)?;
        journal.write_manifest(&journal.lock_upkeep(), false)?;
        journal.remove_unlisted();
        Ok(journal)
    }

    /// Goes on with a journal that was read and found whole.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub(super) fn resume(
        place: Place,
        manifest: &Manifest,
        tail: Tail,
        issued_until: u64,
    ) -> io::Result<Self> {
        let next = segment::numbers(&*place.disk, &place.dir)?.into_iter().max().unwrap_or(0) + 1;
        let lineage = manifest.lineage.clone();
        let horizons = Horizons { spent: manifest.horizon, revoked: manifest.revoked_horizon };
        let mem = manifest.mem;
        let journal = Self::new(place, mem, lineage, tail, next, horizons, issued_until);
        // Not closed any more, and of this boot, before it takes a record.
        journal.write_manifest(&journal.lock_upkeep(), false)?;
        journal.remove_unlisted();
        Ok(journal)
    }
}
