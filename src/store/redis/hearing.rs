//! What a gate has heard of the shared memory, and how it goes on listening.

use std::collections::HashSet;

use tokio::time::Instant;

use super::{
    protocol::{Ask, Breakage, Heard, KEEP, Told, Unanswered},
    shared::Shared,
};
use crate::{
    gate::{
        id::MemoryId,
        revoked::{Revocation, Revoked},
    },
    store::error::{NewMemory, StoreNotice},
};

/// Revocations told, and put back, in one step.
const AT_ONCE: usize = 500;

/// Memories whose revocations are known, at most.
const MAX_LINEAGE: usize = 1024;

/// More than a million revocations take, and a memory or two that breaks meanwhile.
const ROUNDS: usize = 10_000;

/// What was heard.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The memory heard of last.
    pub(super) mem: Option<MemoryId>,
    /// The number of the latest revocation heard of, under that memory.
    pub(super) heard: u64,
    /// The number up to which all gates have.
    pub(super) confirmed: u64,
    /// When the last question was asked whose answer completed what is known.
    pub(super) fresh: Option<Instant>,
    /// The memories whose revocations are all known here.
    pub(super) lineage: Vec<MemoryId>,
    /// Uses remembered there.
    pub(super) entries: u64,
    /// The latest expiry whose uses were dropped there.
    pub(super) horizon: u64,
    /// What is to be put back.
    pub(super) owed: Owed,
    /// The memory this gate tried to begin last, and why.
    made: Option<(MemoryId, NewMemory)>,
    /// The memory that was taken up last: the one heard of, unless that is not whole.
    taken_up: Option<MemoryId>,
}

/// What the memory there may lack.
#[derive(Debug, Default)]
pub(super) struct Owed {
    /// Revocations.
    pub(super) revocations: Vec<Revocation>,
    /// Memories whose revocations were all known here before.
    lineage: Vec<MemoryId>,
}

impl Known {
    /// Another memory is there, of which nothing is heard yet: it may lack what is known here.
    fn meet(&mut self, mem: MemoryId, revoked: &Revoked) {
        self.owed = Owed { revocations: revoked.all(), lineage: self.lineage.clone() };
        self.mem = Some(mem);
        self.heard = 0;
        self.confirmed = 0;
        self.fresh = None;
    }
}

/// What is to be done after something was heard.
enum Next {
    Nothing,
    Hear,
    Make(Option<MemoryId>, NewMemory),
}

impl Shared {
    /// Hears all there is to hear, begins a memory where there is none that is whole, and puts
    /// back what it lacks.
    ///
    /// # Errors
    /// [`Unanswered`]: what was heard before counts until it is too old.
    pub(super) async fn hear(&self) -> Result<(), Unanswered> {
        let began = Instant::now();
        let _alone = self.0.hearing.lock().await;
        // Whoever was before this one may have asked meanwhile.
        if self.known().fresh.is_some_and(|asked| asked > began) {
            return Ok(());
        }
        self.hear_alone().await
    }

    /// Puts a new memory in place of `old`, which is not whole, unless that is done already.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub(super) async fn replace(&self, old: MemoryId, why: Breakage) -> Result<(), Unanswered> {
        let _alone = self.0.hearing.lock().await;
        if self.known().mem == Some(old) {
            self.make(Some(old), of(why)).await?;
        }
        self.hear_alone().await
    }

    async fn hear_alone(&self) -> Result<(), Unanswered> {
        for _ in 0..ROUNDS {
            let (mem, heard) = {
                let known = self.known();
                (known.mem, known.heard)
            };
            let gate = self.0.name.clone();
            let asked = Instant::now();
            let told = self.0.asking.ask(Ask::Hear { gate, mem, heard, limit: AT_ONCE }).await?;
            let Told::Heard(heard) = told else { return Err(not_an_answer()) };
            match self.take_in(&heard, asked) {
                Next::Nothing => return self.refill().await,
                // Before this gate says that it has heard: what it has to add comes first.
                Next::Hear => self.refill().await?,
                Next::Make(old, why) => self.make(old, why).await?,
            }
        }
        Err(Unanswered { unasked: true, why: "the shared memory does not come to rest".to_owned() })
    }

    fn take_in(&self, told: &Heard, asked: Instant) -> Next {
        let mut known = self.known();
        let revoked = self.0.revoked.load_full();
        if revoked.horizon() > told.now {
            // Something forgotten may be valid again: no session from before is taken.
            self.0.revoked.store(Revoked::new(self.0.max_revocations).into());
            *known = Known::default();
            return Next::Hear;
        }
        known.entries = told.entries;
        known.horizon = told.horizon;
        let Some(mem) = told.mem else {
            let first = known.lineage.is_empty();
            return Next::Make(None, if first { NewMemory::First } else { NewMemory::StoreLost });
        };
        let before = if known.mem == Some(mem) {
            known.heard
        } else {
            known.meet(mem, &revoked);
            0
        };
        self.take_back(&mut known, &revoked, &told.revocations);
        if let Some(why) = told.broken {
            // What it still tells of is heard first: with the next memory it is gone.
            if why == Breakage::Moved && before < told.heard && told.heard < told.latest {
                known.heard = told.heard;
                return Next::Hear;
            }
            // One that has lost something, or has dropped it by a time that is not over, does not
            // tell of all that it was told.
            let heard = if why == Breakage::Moved { told.heard } else { before };
            if heard < told.latest {
                known.lineage.clear();
            }
            return Next::Make(Some(mem), of(why));
        }
        if known.taken_up != Some(mem) {
            self.take_up(&mut known, mem, told.entries);
        }
        known.heard = told.heard;
        known.confirmed = told.confirmed;
        if told.heard < told.latest {
            return Next::Hear;
        }
        for mem in told.lineage.iter().chain([&mem]) {
            if !known.lineage.contains(mem) {
                known.lineage.push(*mem);
            }
        }
        let over = known.lineage.len().saturating_sub(MAX_LINEAGE);
        known.lineage.drain(..over);
        revoked.forget(told.revoked_horizon);
        known.fresh = Some(asked);
        // Asked once more after any news, so that whoever revokes learns that it was heard.
        if told.revocations.is_empty() { Next::Nothing } else { Next::Hear }
    }

    /// Takes in what others took back, and what their clocks make it miss here.
    fn take_back(&self, known: &mut Known, revoked: &Revoked, told: &[Revocation]) {
        for revocation in told {
            let beyond = revoked.beyond(revocation, self.issued_until());
            if let (true, Some(beyond)) = (revoked.restore(*revocation), beyond) {
                revoked.restore(beyond);
                known.owed.revocations.push(beyond);
            }
        }
    }

    /// Says that another memory than before is taken up, and why.
    fn take_up(&self, known: &mut Known, mem: MemoryId, entries: u64) {
        let notice = match known.made.take() {
            Some((made, why)) if made == mem => StoreNotice::Replaced(why),
            _ if known.taken_up.is_none() && known.lineage.is_empty() => {
                StoreNotice::Joined(entries)
            }
            _ => StoreNotice::Replaced(NewMemory::StoreElsewhere),
        };
        if let StoreNotice::Replaced(why) = &notice {
            self.count(why);
        }
        self.notice(notice);
        known.taken_up = Some(mem);
    }

    async fn make(&self, old: Option<MemoryId>, why: NewMemory) -> Result<(), Unanswered> {
        let new = MemoryId::from_bytes((self.0.random)());
        {
            let mut known = self.known();
            // What is issued with it from now on would be fenced.
            known.fresh = None;
            known.made = Some((new, why));
        }
        match self.0.asking.ask(Ask::Make { old, new }).await? {
            Told::Made | Told::Kept(_) => Ok(()),
            _ => Err(not_an_answer()),
        }
    }

    /// Puts back what the memory there lacks: the revocations first, and only with the last of
    /// them the word that these were all.
    async fn refill(&self) -> Result<(), Unanswered> {
        loop {
            let (mem, revocations, lineage) = {
                let known = self.known();
                let Owed { revocations, lineage } = &known.owed;
                let Some(mem) = known.mem else { return Ok(()) };
                if revocations.is_empty() && lineage.is_empty() {
                    return Ok(());
                }
                let some: Vec<_> = revocations.iter().take(AT_ONCE).copied().collect();
                let last = some.len() == revocations.len();
                (mem, some, if last { lineage.clone() } else { Vec::new() })
            };
            let horizon = if lineage.is_empty() { 0 } else { self.0.revoked.load().horizon() };
            let put: HashSet<_> = revocations.iter().copied().collect();
            let told = self.0.asking.ask(Ask::Revoke {
                mem,
                revocations,
                lineage: lineage.clone(),
                horizon,
                // What was taken back stays so, room or not.
                max_revocations: u64::MAX,
            });
            let Told::Revoked(_) = told.await? else { return Ok(()) };
            let mut known = self.known();
            if known.mem != Some(mem) {
                return Ok(());
            }
            // Not by what is taken back: that may be owed anew meanwhile, with a later end.
            known.owed.revocations.retain(|revocation| !put.contains(revocation));
            if !lineage.is_empty() {
                known.owed.lineage.clear();
            }
        }
    }

    /// Has the server drop what is over; sooner where room gets short.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub(super) async fn sweep(&self) -> Result<(), Unanswered> {
        let (mem, entries) = {
            let known = self.known();
            (known.mem, known.entries)
        };
        let Some(mem) = mem else { return Ok(()) };
        let keep = if entries > self.0.max_entries / 2 { 0 } else { KEEP };
        match self.0.asking.ask(Ask::Sweep { mem, keep }).await? {
            Told::Broken(why) => self.replace(mem, why).await,
            _ => Ok(()),
        }
    }
}

fn of(why: Breakage) -> NewMemory {
    match why {
        Breakage::Moved => NewMemory::StoreMoved,
        Breakage::Lost => NewMemory::StoreLost,
        Breakage::ClockWentBack => NewMemory::StoreClock,
    }
}

pub(super) fn not_an_answer() -> Unanswered {
    Unanswered { unasked: false, why: "an answer to another question".to_owned() }
}
