//! Spending: the uses that come together are recorded together, by one wait for memory and one write.

use std::sync::{Arc, atomic::Ordering};

use super::{
    error::NewMemory,
    memory::{Memory, Recorded, Refused},
    record::LATEST,
    spending::Local,
};
use crate::{
    gate::{
        denial::Denial,
        id::{MemoryId, TokenId},
        seen::{NotSpent, Spent},
    },
    sync::crowd::{Crowd, Work},
};

/// The most uses that are recorded together: as many as there are signatures checked together.
const MOST: usize = 64;

/// Those who spend at the same time.
pub(super) type Spenders = Crowd<Asked, Result<Recording, Denial>>;

/// The use of a token that is to be recorded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    id: TokenId,
    mem: MemoryId,
    expires: u64,
}

/// A use on its way to the disk, and the memory that answers for it.
#[derive(Debug)]
pub(super) struct Recording {
    memory: Arc<Memory>,
    recorded: Recorded,
}

/// How they do.
struct Spends<'a, N> {
    store: &'a Local,
    now: N,
}

impl Local {
    /// Records that the token `id` was used; once, and as durably as configured on return.
    ///
    /// `mem` and `expires` are the token's. `now` is asked under the lock that decides, or that of
    /// another who spends at the same time: all must tell the time of one clock. To be polled to its
    /// end: who goes away may leave a use recorded that nobody is told of.
    ///
    /// # Errors
    /// [`Denial::Fenced`], [`Denial::Expired`], [`Denial::AlreadyUsed`], [`Denial::StoreFull`],
    /// [`Denial::StoreUnavailable`]; [`Denial::Malformed`] for an expiry past the year 36,000.
    pub async fn spend(
        &self,
        id: TokenId,
        mem: MemoryId,
        expires: u64,
        now: impl Fn() -> u64 + Send + Sync,
    ) -> Result<Spent, Denial> {
        if expires > LATEST {
            return Err(Denial::Malformed("exp is too late to be recorded"));
        }
        let (asked, spends) = (Asked { id, mem, expires }, Spends { store: self, now });
        let joined = self.0.spenders.join(asked, &spends).await;
        let Recording { memory, recorded } = joined.unwrap_or_else(|_| Err(unrecorded()))?;
        let spent = memory.recorded(recorded).await;
        let spent = spent.map_err(|refused| spends.denial(asked, refused, &memory))?;
        // Whoever was there at the same time: this is the record of no other's token.
        if spent.id() == id { Ok(spent) } else { Err(unrecorded()) }
    }
}

impl<N: Fn() -> u64> Work for Spends<'_, N> {
    type Brought = Asked;
    type Done = Result<Recording, Denial>;
    /// Their signatures were checked together before.
    const FIRST: bool = false;

    fn most(&self) -> usize {
        MOST
    }

    fn alone(&self, one: Asked) -> Self::Done {
        self.record(&[one]).next().unwrap_or_else(|| Err(unrecorded()))
    }

    fn together(&self, some: Vec<Asked>) -> Vec<Self::Done> {
        self.record(&some).collect()
    }
}

impl<N: Fn() -> u64> Spends<'_, N> {
    fn record(&self, some: &[Asked]) -> impl Iterator<Item = Result<Recording, Denial>> {
        // One memory throughout: checked, recorded and answered for by the same.
        let memory = self.store.0.current.load_full();
        let its = some.iter().filter(|asked| asked.mem == memory.mem);
        let uses: Vec<_> = its.map(|asked| (asked.id, asked.expires)).collect();
        let mut recorded = memory.record(&uses, &self.now).into_iter();
        some.iter().map(move |asked| {
            if asked.mem != memory.mem {
                return Err(Denial::Fenced(asked.mem.to_string()));
            }
            match recorded.next() {
                Some(Ok(recorded)) => Ok(Recording { memory: Arc::clone(&memory), recorded }),
                Some(Err(refused)) => Err(self.denial(*asked, refused, &memory)),
                None => Err(unrecorded()),
            }
        })
    }

    /// What the refusal means, once what it asks for is done.
    fn denial(&self, asked: Asked, refused: Refused, memory: &Arc<Memory>) -> Denial {
        let shared = &self.store.0;
        match refused {
            Refused::Seen(NotSpent::Denied(denial)) => {
                if denial == Denial::StoreFull {
                    shared.refused_full.fetch_add(1, Ordering::Relaxed);
                }
                denial
            }
            Refused::Seen(NotSpent::ClockWentBack) => {
                self.store.replace(memory, &NewMemory::ClockWentBack, (self.now)());
                Denial::Fenced(asked.mem.to_string())
            }
            Refused::Ended(why) => Denial::StoreUnavailable { unspent: true, why },
            Refused::Unrecorded(why) => Denial::StoreUnavailable { unspent: false, why },
        }
    }
}

/// It may have been recorded, or not.
fn unrecorded() -> Denial {
    let why = "uses were not recorded to the end".to_owned();
    Denial::StoreUnavailable { unspent: false, why }
}
