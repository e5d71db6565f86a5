//! How a journal begins: in place of what is there, or where one was left.

use std::{collections::VecDeque, io, sync::Arc};

use super::{
    journal::{Horizons, Journal, Place, segment_numbers},
    manifest::Manifest,
    record::Record,
    segment::{self, Segment},
    tail::Tail,
};
use crate::gate::{id::MemoryId, revoked::Revocation};

impl Journal {
    /// Creates the journal of a new memory in place of whatever is there.
    ///
    /// `revocations` are written before it counts; `lineage` are the memories they are of, and
    /// `revoked_horizon` tells which of theirs are forgotten already.
    ///
    /// # Errors
    /// Whatever the disk says; the journal before, or nothing whole, is in place then.
    pub(super) fn create(
        place: Place,
        mem: MemoryId,
        lineage: Vec<MemoryId>,
        revocations: &[Revocation],
        revoked_horizon: u64,
    ) -> io::Result<Self> {
        let (disk, dir) = (Arc::clone(&place.disk), place.dir.clone());
        let first = segment_numbers(&*disk, &dir)?.into_iter().max().unwrap_or(0) + 1;
        let created = Self::create_from(first, place, mem, lineage, revocations, revoked_horizon);
        if created.is_err() {
            for number in
                segment_numbers(&*disk, &dir)?.into_iter().filter(|number| *number >= first)
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
        lineage: Vec<MemoryId>,
        revocations: &[Revocation],
        revoked_horizon: u64,
    ) -> io::Result<Self> {
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
        let horizons = Horizons { spent: 0, revoked: revoked_horizon };
        let journal = Self::new(place, mem, lineage, tail, number + 2, horizons);
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
        horizons: Horizons,
    ) -> io::Result<Self> {
        let next = segment_numbers(&*place.disk, &place.dir)?.into_iter().max().unwrap_or(0) + 1;
        let lineage = manifest.lineage.clone();
        let journal = Self::new(place, manifest.mem, lineage, tail, next, horizons);
        // Not closed any more, and of this boot, before it takes a record.
        journal.write_manifest(&journal.lock_upkeep(), false)?;
        journal.remove_unlisted();
        Ok(journal)
    }
}
