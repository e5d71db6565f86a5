//! One memory: the one place that knows which tokens with its `mem` were used.
//!
//! A memory ends for good. Tokens name it, so what it recorded is asked of no other; nothing it
//! recorded needs to be carried over. Revocations do: sessions outlive memories.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    journal::{Horizons, Journal, Place},
    manifest::Durability,
    record::Record,
    recorder::Recorder,
};
use crate::gate::{
    denial::Denial,
    id::{MemoryId, TokenId},
    revoked::{Revocation, Revoked},
    seen::{NotSpent, SeenSet, Spent},
};

/// Memories whose revocations are known, at most.
const MAX_LINEAGE: usize = 1024;

/// A memory, with or without a journal.
#[derive(Debug)]
pub(super) struct Memory {
    /// Its id, which tokens name.
    pub mem: MemoryId,
    /// The memories before it whose revocations it knows, oldest first.
    pub lineage: Vec<MemoryId>,
    /// The tokens used.
    pub seen: SeenSet,
    /// What was taken back. Shared with the memory after it.
    pub revoked: Arc<Revoked>,
    recorder: Option<Recorder>,
    ended: AtomicBool,
}

/// Why a spend was not made.
#[derive(Debug)]
pub(super) enum Refused {
    /// The seen-set refused it.
    Seen(NotSpent),
    /// This memory had ended before: the token is unspent.
    Ended(String),
    /// It could not be recorded: the token is perhaps spent.
    Unrecorded(String),
}

impl Memory {
    /// A new memory, with a journal at `place` if there is one.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub(super) fn create(
        place: Option<Place>,
        mem: MemoryId,
        mut lineage: Vec<MemoryId>,
        max_entries: usize,
        revoked: Arc<Revoked>,
    ) -> io::Result<Self> {
        lineage.drain(..lineage.len().saturating_sub(MAX_LINEAGE));
        let journal = match place {
            Some(place) => {
                let (lineage, horizon) = (lineage.clone(), revoked.horizon());
                Some(Journal::create(place, mem, lineage, &revoked.all(), horizon)?)
            }
            None => None,
        };
        Self::new(mem, lineage, SeenSet::new(max_entries), revoked, journal)
    }

    /// A memory around what was read back.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub(super) fn new(
        mem: MemoryId,
        lineage: Vec<MemoryId>,
        seen: SeenSet,
        revoked: Arc<Revoked>,
        journal: Option<Journal>,
    ) -> io::Result<Self> {
        let recorder = journal.map(Recorder::new).transpose()?;
        Ok(Self { mem, lineage, seen, revoked, recorder, ended: AtomicBool::new(false) })
    }

    /// Records that the token `id` was used; returns when that is as durable as configured.
    ///
    /// # Errors
    /// [`Refused`].
    pub(super) async fn spend(
        &self,
        id: TokenId,
        expires: u64,
        now: impl Fn() -> u64,
    ) -> Result<Spent, Refused> {
        self.check().map_err(Refused::Ended)?;
        let spent = self.seen.spend(id, expires, now).map_err(Refused::Seen)?;
        self.record(Record::Spent { id, expires }).await.map_err(Refused::Unrecorded)?;
        Ok(spent)
    }

    /// Takes something back: at once for this process, on return as durable as a spend.
    ///
    /// # Errors
    /// [`Denial::StoreFull`]; [`Denial::StoreUnavailable`], where asking again is safe.
    pub(super) async fn revoke(&self, revocation: Revocation) -> Result<(), Denial> {
        self.revoked.insert(revocation)?;
        let recorded = self.record(Record::Revoked(revocation)).await;
        recorded.map_err(|why| Denial::StoreUnavailable { unspent: true, why })
    }

    async fn record(&self, record: Record) -> Result<(), String> {
        if let Some(recorder) = &self.recorder {
            recorder.record(record).await?;
        }
        // A memory that ended meanwhile answers for nothing: what takes its place copied the
        // revocations after its end, and may have missed this one.
        self.check()
    }

    /// Whether the clock is so far behind what this memory has seen that it must be replaced.
    pub(super) fn clock_went_back(&self, now: u64) -> bool {
        self.seen.clock_went_back(now) || self.revoked.misled_by(now)
    }

    /// Drops what has expired: from memory first, which raises the horizons, then from disk.
    ///
    /// # Errors
    /// Something that can be tried again; what cannot has ended this memory.
    pub(super) fn drop_expired(&self, now: u64) -> Result<(), String> {
        self.check()?;
        if let Some(horizon) = self.revoked.due(now) {
            // A link whose revocation is forgotten must not come back with the clock.
            self.seen.raise_horizon(horizon);
            self.revoked.forget(horizon);
        }
        self.seen.drop_expired(now);
        let Some(recorder) = &self.recorder else { return Ok(()) };
        let journal = recorder.journal();
        let mut over = Vec::new();
        for segment in journal.expired(now) {
            let (until, count) = segment.revocations();
            // Rewritten when that frees at least half a segment; so what is live stays within
            // twice its size, and is written at most twice as often as it came.
            if count > 0 && until > self.revoked.horizon() {
                if count > segment.capacity() / 2 {
                    continue;
                }
                let live = journal.revocations_in(&segment)?.into_iter();
                let live: Vec<_> = live
                    .filter(|revocation| self.revoked.still_matters(revocation))
                    .map(Record::Revoked)
                    .collect();
                journal.write(&live)?;
            }
            over.push(segment);
        }
        if !over.is_empty() {
            let horizons = Horizons { spent: self.seen.horizon(), revoked: self.revoked.horizon() };
            journal.drop_segments(&over, horizons)?;
        }
        journal.add_segment().map_err(|error| format!("cannot prepare a segment: {error}"))
    }

    /// Syncs what `durability = process` leaves to the kernel.
    ///
    /// # Errors
    /// Why this memory has ended.
    pub(super) fn sync(&self) -> Result<(), String> {
        match &self.recorder {
            Some(recorder) if recorder.journal().durability() == Durability::Process => {
                recorder.journal().sync()
            }
            _ => Ok(()),
        }
    }

    /// Why this memory takes no more records.
    ///
    /// # Errors
    /// That, if so.
    pub(super) fn check(&self) -> Result<(), String> {
        if let Some(why) = self.recorder.as_ref().and_then(|recorder| recorder.journal().ended()) {
            return Err(why.to_owned());
        }
        if self.ended.load(Ordering::SeqCst) {
            return Err("this memory was replaced".to_owned());
        }
        Ok(())
    }

    /// Ends it. When this returns, nothing it is asked to record is answered for any more.
    pub(super) fn end(&self, why: &str) {
        if let Some(recorder) = &self.recorder {
            recorder.journal().end(why);
        }
        self.ended.store(true, Ordering::SeqCst);
    }

    /// Gives back the disk space of a memory that has ended.
    pub(super) fn discard(&self) {
        if let Some(recorder) = &self.recorder {
            recorder.journal().discard();
        }
    }

    /// Answers what waits, ends it, syncs it, marks it as closed.
    ///
    /// # Errors
    /// Whatever the disk says: it is not marked then.
    pub(super) async fn close(&self) -> io::Result<()> {
        if let Some(recorder) = &self.recorder {
            recorder.drain().await;
            let closed = recorder.journal().close();
            self.ended.store(true, Ordering::SeqCst);
            return closed;
        }
        self.ended.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// Segments of the journal, and their bytes.
    pub(super) fn journal_size(&self) -> (usize, u64) {
        self.recorder.as_ref().map_or((0, 0), |recorder| recorder.journal().size())
    }
}
