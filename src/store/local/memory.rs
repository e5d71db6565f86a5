//! One memory: the one place that knows which tokens with its `mem` were used.
//!
//! A memory ends for good. Tokens name it, so what it recorded is asked of no other; nothing it
//! recorded needs to be carried over. Revocations do: sessions outlive memories.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;

use super::{
    executor::beside_the_executor,
    journal::{Journal, Place},
    manifest::Durability,
    record::Record,
    recorder::{Recorder, Submitted},
};
use crate::gate::{
    denial::Denial,
    id::{MemoryId, TokenId},
    revoked::{Revocation, Revoked},
    seen::{NotSpent, SeenSet, Spent},
};

/// Memories whose revocations are known, at most.
const MAX_LINEAGE: usize = 1024;

/// Revocations recorded together.
const TOGETHER: usize = 4096;

/// A memory, with or without a journal.
#[derive(Debug)]
pub(super) struct Memory {
    /// Its id, which tokens name.
    pub mem: MemoryId,
    /// The tokens used.
    pub seen: SeenSet,
    /// What was taken back.
    pub known: Known,
    /// The memories before it, and of other gates, whose revocations it knows, oldest first.
    lineage: ArcSwap<Vec<MemoryId>>,
    /// Writes its journal, if it has one.
    pub(super) recorder: Option<Recorder>,
    /// Held from taking a revocation in to sending it to the journal: who finds it known may then
    /// wait for what was sent, and has waited for it.
    pub(super) taking: Mutex<()>,
    /// Held while the lineage changes, or what may be issued.
    pub(super) extending: Mutex<()>,
    ended: AtomicBool,
}

/// What is known of what was taken back; shared with the memory that comes after.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// What was taken back.
    pub revoked: Arc<Revoked>,
    /// Names the list of its changes.
    pub list: [u8; 16],
    /// The latest second that anything issued bears: under a clock that went back, taking a user
    /// back has to reach that far.
    pub issued_until: Arc<AtomicU64>,
}

impl Known {
    /// Nothing was taken back yet.
    pub(super) fn new(max_revocations: usize, random: fn() -> [u8; 16]) -> Self {
        let revoked = Arc::new(Revoked::new(max_revocations));
        Self { revoked, list: random(), issued_until: Arc::default() }
    }
}

/// A use that this process has recorded, and the disk perhaps has not yet.
#[derive(Debug)]
pub(super) struct Recorded {
    spent: Spent,
    submitted: Submitted,
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
        known: Known,
    ) -> io::Result<Self> {
        bound(&mut lineage);
        let journal = match place {
            Some(place) => {
                let (lineage, revoked) = (lineage.clone(), &known.revoked);
                let issued_until = known.issued_until.load(Ordering::SeqCst);
                let (revocations, horizon) = (revoked.all(), revoked.horizon());
                Some(Journal::create(place, mem, lineage, &revocations, horizon, issued_until)?)
            }
            None => None,
        };
        Self::new(mem, lineage, SeenSet::new(max_entries), known, journal)
    }

    /// A memory around what was read back.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub(super) fn new(
        mem: MemoryId,
        lineage: Vec<MemoryId>,
        seen: SeenSet,
        known: Known,
        journal: Option<Journal>,
    ) -> io::Result<Self> {
        if let Some(journal) = &journal {
            known.issued_until.fetch_max(journal.issued_until(), Ordering::SeqCst);
        }
        Ok(Self {
            mem,
            seen,
            known,
            lineage: ArcSwap::from_pointee(lineage),
            recorder: journal.map(Recorder::new).transpose()?,
            taking: Mutex::default(),
            extending: Mutex::default(),
            ended: AtomicBool::new(false),
        })
    }

    /// Records the uses of tokens, each with its expiry, in their order, and sends them on their way
    /// to the disk together; see [`Self::recorded`].
    pub(super) fn record(
        &self,
        uses: &[(TokenId, u64)],
        now: impl Fn() -> u64,
    ) -> Vec<Result<Recorded, Refused>> {
        if let Err(why) = self.check() {
            return uses.iter().map(|_| Err(Refused::Ended(why.clone()))).collect();
        }
        let outcomes = self.seen.spend_all(uses, now);
        let spent = outcomes.iter().zip(uses).filter(|(outcome, _)| outcome.is_ok());
        let records = spent.map(|(_, (id, expires))| Record::Spent { id: *id, expires: *expires });
        let mut submitted = self.submit_each(&records.collect::<Vec<_>>()).into_iter();
        let each = outcomes.into_iter().map(|outcome| {
            let spent = outcome.map_err(Refused::Seen)?;
            let missed = || Refused::Unrecorded("not all were recorded".to_owned());
            Ok(Recorded { spent, submitted: submitted.next().ok_or_else(missed)? })
        });
        each.collect()
    }

    /// Returns when a use that was recorded is as durable as configured.
    ///
    /// # Errors
    /// [`Refused::Unrecorded`].
    pub(super) async fn recorded(&self, recorded: Recorded) -> Result<Spent, Refused> {
        let Recorded { spent, submitted } = recorded;
        self.kept(submitted).await.map_err(Refused::Unrecorded)?;
        Ok(spent)
    }

    /// Takes something back: at once for this process, on return as durable as a spend.
    ///
    /// # Errors
    /// [`Denial::StoreFull`]; [`Denial::StoreUnavailable`], where asking again is safe.
    pub(super) async fn revoke(&self, revocation: Revocation) -> Result<(), Denial> {
        let submitted = {
            let _taking = self.taking.lock().unwrap_or_else(PoisonError::into_inner);
            let news =
                self.known.revoked.insert(revocation)?.then_some(Record::Revoked(revocation));
            self.submit(news.as_slice())
        };
        let kept = self.kept(submitted).await;
        kept.map_err(|why| Denial::StoreUnavailable { unspent: true, why })
    }

    /// Takes in what other gates took back, and the memories that these are all revocations of;
    /// tells how many were news.
    ///
    /// # Errors
    /// Why this memory has ended: it must be told again.
    pub(super) async fn merge(
        &self,
        revocations: &[Revocation],
        lineage: &[MemoryId],
    ) -> Result<usize, String> {
        let mut count = 0;
        for some in revocations.chunks(TOGETHER) {
            let submitted = {
                let _taking = self.taking.lock().unwrap_or_else(PoisonError::into_inner);
                let news = some.iter().filter(|revocation| self.known.revoked.hear(**revocation));
                let news: Vec<_> = news.copied().map(Record::Revoked).collect();
                count += news.len();
                self.submit(&news)
            };
            self.kept(submitted).await?;
        }
        // Only now: who is believed to know of a memory must know all of it.
        self.extend(lineage)?;
        self.check()?;
        Ok(count)
    }

    fn extend(&self, more: &[MemoryId]) -> Result<(), String> {
        if more.iter().all(|mem| self.knows(*mem)) {
            return Ok(());
        }
        beside_the_executor(|| {
            let _extending = self.extending.lock().unwrap_or_else(PoisonError::into_inner);
            let mut lineage = Vec::clone(&self.lineage.load());
            let news = more.iter().filter(|mem| !self.knows(**mem));
            lineage.extend(news);
            bound(&mut lineage);
            if let Some(recorder) = &self.recorder {
                recorder.journal().set_lineage(lineage.clone())?;
            }
            self.lineage.store(Arc::new(lineage));
            Ok(())
        })
    }

    /// Whether every revocation of a session begun under `mem` is known.
    pub(super) fn knows(&self, mem: MemoryId) -> bool {
        mem == self.mem || self.lineage.load().contains(&mem)
    }

    /// The memories whose revocations are all known, this one last.
    pub(super) fn lineage(&self) -> Vec<MemoryId> {
        self.lineage.load().iter().copied().chain([self.mem]).collect()
    }

    fn submit_each(&self, records: &[Record]) -> Vec<Submitted> {
        match &self.recorder {
            Some(recorder) => recorder.submit_each(records),
            None => records.iter().map(|_| Submitted::Done(Ok(()))).collect(),
        }
    }

    fn submit(&self, records: &[Record]) -> Submitted {
        self.recorder
            .as_ref()
            .map_or_else(|| Submitted::Done(Ok(())), |recorder| recorder.submit(records))
    }

    async fn kept(&self, submitted: Submitted) -> Result<(), String> {
        submitted.kept().await?;
        // A memory that ended meanwhile answers for nothing: what takes its place copied the
        // revocations after its end, and may have missed this one.
        self.check()
    }

    /// Whether the clock is so far behind what this memory has seen that it must be replaced.
    pub(super) fn clock_went_back(&self, now: u64) -> bool {
        self.seen.clock_went_back(now) || self.known.revoked.misled_by(now)
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
            let _ = recorder.submit(&[]).kept().await;
            let closed = beside_the_executor(|| {
                recorder.journal().close(|| self.known.issued_until.load(Ordering::SeqCst))
            });
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

/// Lets the oldest go.
fn bound(lineage: &mut Vec<MemoryId>) {
    lineage.drain(..lineage.len().saturating_sub(MAX_LINEAGE));
}
