//! Taking something back, at every gate.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{
    protocol::{Ask, Told, Unanswered},
    shared::{Shared, TRIES},
};
use crate::gate::{denial::Denial, id::MemoryId, revoked::Revocation};

/// How long a revocation waits until all other gates have heard of it.
const HEARD_WITHIN: Duration = Duration::from_millis(1_500);
/// How often it looks whether they have.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

impl Shared {
    /// Takes something back: at once here, on return in the memory, and at every gate that
    /// listens; or a second and a half were over for one that did not answer.
    ///
    /// # Errors
    /// [`Denial::StoreFull`]; [`Denial::StoreUnavailable`]: it holds here while this process
    /// lives, is put into the memory when that answers, and should be asked for again.
    pub async fn revoke(&self, revocation: Revocation) -> Result<(), Denial> {
        self.0.revoked.load().insert(revocation)?;
        self.known().owed.revocations.push(revocation);
        let recorded = self.put(revocation).await;
        recorded
            .map_err(|Unanswered { why, .. }| Denial::StoreUnavailable { unspent: true, why })?
    }

    /// Whether all that it takes back is taken back here.
    pub fn holds(&self, revocation: &Revocation) -> bool {
        self.0.revoked.load().holds(revocation)
    }

    async fn put(&self, revocation: Revocation) -> Result<Result<(), Denial>, Unanswered> {
        for _ in 0..TRIES {
            self.open()?;
            let Some(mem) = self.known().mem else {
                self.hear().await?;
                continue;
            };
            let ask = Ask::Revoke {
                mem,
                revocations: vec![revocation],
                lineage: Vec::new(),
                horizon: 0,
                max_revocations: self.0.max_revocations as u64,
            };
            match self.0.asking.ask_twice(ask).await.0? {
                Told::Revoked(number) => {
                    self.known().owed.revocations.retain(|owed| *owed != revocation);
                    if self.heard_by_all(mem, number).await? {
                        return Ok(Ok(()));
                    }
                    // Another memory is there, begun perhaps by who had not heard of this yet.
                    self.0.revoked.load().restore(revocation);
                }
                Told::Full => {
                    self.known().owed.revocations.retain(|owed| *owed != revocation);
                    return Ok(Err(Denial::StoreFull));
                }
                Told::Broken(why) => self.replace(mem, why).await?,
                // Whoever finds a new memory puts all that it knows into it; this waits for that.
                _ => self.hear().await?,
            }
        }
        Err(Unanswered { unasked: true, why: "the memory is replaced too often".to_owned() })
    }

    /// Waits until all that listen have heard of a revocation, or that takes too long; not so where
    /// the memory it is in has been replaced meanwhile.
    async fn heard_by_all(&self, mem: MemoryId, mut number: u64) -> Result<bool, Unanswered> {
        let (began, mut all_heard) = (Instant::now(), false);
        loop {
            self.hear().await?;
            let (there, heard, confirmed) = {
                let known = self.known();
                (known.mem, known.heard, known.confirmed)
            };
            if there != Some(mem) {
                return Ok(false);
            }
            if began.elapsed() >= HEARD_WITHIN {
                return Ok(true);
            }
            if confirmed >= number {
                // By now the others have put in what their clocks make of it, where more is needed.
                if all_heard || heard == number {
                    return Ok(true);
                }
                (number, all_heard) = (heard, true);
            }
            sleep(LOOK_AGAIN).await;
        }
    }
}
