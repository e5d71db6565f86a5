//! Reading a journal back: whole, or not at all.
//!
//! Whatever cannot be shown to be as it was left is not repaired: the answer is a new memory.

use std::{
    collections::VecDeque,
    io::ErrorKind,
    num::NonZero,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use super::{
    disk::Disk,
    error::{NewMemory, StoreError, StoreNotice},
    journal::{Journal, Place},
    manifest::{self, Durability, Listed, Manifest, Unusable},
    record::Record,
    segment::{self, Segment},
    tail::Tail,
};
use crate::gate::{
    id::MemoryId,
    revoked::{Revocation, Revoked},
    seen::SeenSet,
};

/// Bytes of the journal that one more thread is begun for.
const WORTH_A_THREAD: u64 = 1 << 20;

/// What a state directory holds.
#[derive(Debug)]
pub(super) enum Found {
    /// A journal that is whole: go on with it.
    Whole {
        /// The memory's id.
        mem: MemoryId,
        /// The memories before it whose revocations it knows.
        lineage: Vec<MemoryId>,
        /// The journal, ready for the next record.
        journal: Box<Journal>,
    },
    /// Nothing to go on with.
    Lost(NewMemory),
}

/// Reads the journal at `place`, filling `seen` and `revoked` with what it holds.
///
/// Where nothing whole is found the two may hold anything, and must be thrown away.
///
/// # Errors
/// The journal is another gate's or of a newer version, or the disk refuses.
pub(super) fn load(
    place: &Place,
    seen: &SeenSet,
    revoked: &Revoked,
    now: u64,
) -> Result<Found, StoreError> {
    let Place { disk, dir, .. } = place;
    let io = |error| StoreError::io("read", dir, error);
    let manifest = match Manifest::read(&**disk, dir) {
        Ok(manifest) => manifest,
        Err(Unusable::Newer(found)) => return Err(StoreError::Newer { dir: dir.clone(), found }),
        Err(Unusable::Damaged(why)) => return Ok(Found::Lost(NewMemory::Damaged(why))),
        Err(Unusable::Absent) if segment::numbers(&**disk, dir).map_err(io)?.is_empty() => {
            return Ok(Found::Lost(NewMemory::First));
        }
        Err(Unusable::Absent) => {
            let why = format!("{} is missing", manifest::NAME);
            return Ok(Found::Lost(NewMemory::Damaged(why)));
        }
    };
    if manifest.gate != place.gate {
        let (found, ours) = (manifest.gate, place.gate.clone());
        return Err(StoreError::OtherGate { dir: dir.clone(), found, ours });
    }
    // What the kernel had not written yet is gone with it. Unknown boots are different ones.
    let same_boot = manifest.boot.is_some() && manifest.boot == place.boot;
    if manifest.durability == Durability::Process && !manifest.closed && !same_boot {
        return Ok(Found::Lost(NewMemory::Restarted));
    }
    let read = hear_of_lost_writes(place, &manifest)
        .and_then(|()| read_segments(place, &manifest, seen, revoked, now));
    let (tail, issued_until) = match read {
        Ok(read) => read,
        Err(fault) => return Ok(Found::Lost(NewMemory::Damaged(fault))),
    };
    seen.raise_horizon(manifest.horizon);
    revoked.forget(manifest.revoked_horizon);
    let journal = Journal::resume(place.clone(), &manifest, tail, issued_until)
        .map_err(|error| StoreError::io("go on with the journal in", dir, error))?;
    let Manifest { mem, lineage, .. } = manifest;
    Ok(Found::Whole { mem, lineage, journal: Box::new(journal) })
}

/// Has the kernel report what it could not write behind our predecessor's back.
///
/// It does so once. Whoever hears it and then dies, or cannot begin another journal, must not
/// leave this one to a next start that hears nothing: meanwhile the manifest is out of its place.
fn hear_of_lost_writes(place: &Place, manifest: &Manifest) -> Result<(), String> {
    let Place { disk, dir, .. } = place;
    let (there, aside) = (dir.join(manifest::NAME), dir.join(manifest::NEXT));
    let moved = |error| format!("{}: {error}", manifest::NAME);
    disk.rename(&there, &aside).map_err(moved)?;
    for listed in &manifest.segments {
        let name = segment::name(listed.number);
        let synced = disk.open(&dir.join(&name)).and_then(|file| file.sync_data());
        synced.map_err(|error| format!("{name}: {error}"))?;
    }
    disk.rename(&aside, &there).map_err(moved)
}

/// What a segment holds, but for the uses of tokens: of those the order says nothing.
struct Read {
    segment: Arc<Segment>,
    records: u32,
    revocations: Vec<Revocation>,
    /// Up to which second it says that things are issued, if it does.
    issuing_until: Option<u64>,
}

/// Reads every segment; tells up to which second things were issued.
fn read_segments(
    place: &Place,
    manifest: &Manifest,
    seen: &SeenSet,
    revoked: &Revoked,
    now: u64,
) -> Result<(Tail, u64), String> {
    if !manifest.segments.is_sorted_by(|before, after| before.number < after.number) {
        return Err(format!("{} lists segments out of order", manifest::NAME));
    }
    let mut issued_until = manifest.issued_until;
    let mut full = Vec::new();
    let mut spares = VecDeque::new();
    let mut current = None;
    let read = |listed: &Listed| read_segment(place, manifest.mem, listed, seen, now);
    for (listed, read) in manifest.segments.iter().zip(on_all_cores(&manifest.segments, read)?) {
        let Read { segment, records, revocations, issuing_until } = read;
        let name = segment::name(listed.number);
        if records < listed.records || (manifest.closed && records != listed.records) {
            return Err(format!("{name} has {records} records instead of {}", listed.records));
        }
        if records == segment.capacity() && current.is_none() {
            full.push(segment);
        } else if current.is_none() {
            current = Some((segment, records));
        } else if records == 0 {
            spares.push_back(segment);
        } else {
            return Err(format!("{name} has records after the last one"));
        }
        for revocation in revocations {
            revoked.restore(revocation);
        }
        if issuing_until.is_some() && manifest.version < 2 {
            return Err(format!("{name} has a record of a later version"));
        }
        // A closed journal says it exactly.
        if !manifest.closed {
            issued_until = issued_until.max(issuing_until.unwrap_or(0));
        }
    }
    let (current, next) = match current {
        Some(current) => current,
        // Every segment is full: the last is the current one, without room.
        None => full
            .pop()
            .map(|last| {
                let records = last.capacity();
                (last, records)
            })
            .ok_or_else(|| format!("{} lists no segment", manifest::NAME))?,
    };
    Ok((Tail { full, current, next, spares }, issued_until))
}

fn read_segment(
    place: &Place,
    mem: MemoryId,
    listed: &Listed,
    seen: &SeenSet,
    now: u64,
) -> Result<Read, String> {
    let known = (listed.number, listed.size, listed.identity);
    let (mut revocations, mut issuing_until) = (Vec::new(), None);
    let (segment, records) =
        Segment::load(&*place.disk, &place.dir, mem, known, |record| match record {
            Record::Spent { id, expires } => seen.restore(id, expires, now),
            Record::Revoked(revocation) => revocations.push(revocation),
            Record::Issuing { until } => issuing_until = issuing_until.max(Some(until)),
        })?;
    Ok(Read { segment, records, revocations, issuing_until })
}

/// Reads each of the segments, in any order, and several at a time where there is much to read;
/// gives what was read in theirs.
///
/// # Errors
/// What is wrong with the first of those that cannot be read.
fn on_all_cores<T: Send>(
    listed: &[Listed],
    read: impl Fn(&Listed) -> Result<T, String> + Sync,
) -> Result<Vec<T>, String> {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let work = || {
        let mut done = Vec::new();
        while !failed.load(Ordering::Relaxed) {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(listed) = listed.get(place) else { break };
            let outcome = read(listed);
            failed.fetch_or(outcome.is_err(), Ordering::Relaxed);
            done.push((place, outcome));
        }
        done
    };
    let bytes: u64 = listed.iter().map(|listed| listed.size).sum();
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = cores.min(usize::try_from(bytes / WORTH_A_THREAD).unwrap_or(cores)).max(1);
    let mut done = std::thread::scope(|scope| {
        let begin = || std::thread::Builder::new().spawn_scoped(scope, work);
        // Where there is no other thread, this one does it all.
        let others: Vec<_> = (1..threads).map_while(|_| begin().ok()).collect();
        let mut done = work();
        for other in others {
            done.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    });
    done.sort_unstable_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}

/// Makes sure that a journal that was found wanting is never read again, before anything else is
/// changed: the next start may not see any more what this one saw. That a manifest was written over
/// shows by the directory being older.
///
/// # Errors
/// [`StoreError::Io`]: it may be in place still, and nothing else was touched.
pub(super) fn renounce(place: &Place) -> Result<(), StoreError> {
    let Place { disk, dir, .. } = place;
    let io = |error| StoreError::io("remove the manifest in", dir, error);
    match disk.remove(&dir.join(manifest::NAME)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io(error)),
        Ok(()) => disk.sync_dir(dir).map_err(io),
    }
}

/// The files in `dir` that are none of ours. What a file system puts there itself is not told.
pub(super) fn foreign(disk: &dyn Disk, dir: &Path) -> Vec<StoreNotice> {
    let mut names = disk.names(dir).unwrap_or_default();
    names.sort();
    names
        .into_iter()
        .filter(|name| {
            ![manifest::NAME, manifest::NEXT, "lost+found"].contains(&name.as_str())
                && segment::number(name).is_none()
        })
        .map(StoreNotice::Foreign)
        .collect()
}
