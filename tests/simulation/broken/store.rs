//! A store around the real one, careless in one respect.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    sync::{Arc, Mutex},
};

use futures_util::future::{BoxFuture, FutureExt as _};
use oncegate::{
    gate::{denial::Denial, id::TokenId, seen::bucket_end},
    store::{Store, Use},
};

use super::Broken;
use crate::{once::Once, time::Clock, world::World};

/// Uses that the forgetful one remembers.
const FEW: usize = 3;

/// A careless store.
pub struct Careless {
    store: Store,
    gate: String,
    broken: Broken,
    world: Arc<World>,
    /// What a bounded cache has of the last uses.
    latest: Mutex<VecDeque<TokenId>>,
    /// Uses by the end of their bucket.
    buckets: Mutex<BTreeMap<u64, BTreeSet<[u8; 16]>>>,
}

impl fmt::Debug for Careless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Careless({:?})", self.broken)
    }
}

impl Careless {
    /// Careless as `broken` says.
    pub fn new(store: Store, gate: &str, broken: Broken, world: &Arc<World>) -> Self {
        let (latest, buckets) = Default::default();
        Self { store, gate: gate.to_owned(), broken, world: Arc::clone(world), latest, buckets }
    }

    async fn careless(&self, token: &Use, spelling: u64, clock: &Clock) -> Result<(), Denial> {
        let now = || clock.now();
        match self.broken {
            Broken::NoMemory => {
                let token = Use { mem: self.store.mem(now())?, ..token.clone() };
                self.store.spend(&token, now).await.map(drop)
            }
            Broken::LookedThenAdmitted => {
                self.store.look(token, now).await?;
                self.world.dawdle().await;
                drop(self.store.spend(token, now).await);
                Ok(())
            }
            Broken::KeyIsTheText => {
                let mut id = *token.id.as_bytes();
                id[0] ^= spelling as u8;
                let token = Use { id: TokenId::from_bytes(id), ..token.clone() };
                self.store.spend(&token, now).await.map(drop)
            }
            Broken::SpentWhereItArrives => {
                let (gate, mem) = (Some(self.gate.clone()), self.store.mem(now())?);
                let token = Use { gate, mem, ..token.clone() };
                self.store.spend(&token, now).await.map(drop)
            }
            Broken::AnswerNotBound => {
                let id = *token.id.as_bytes();
                let spent = self.store.spend(token, now).await.map(drop);
                let mut overheard = self.world.overheard.lock().unwrap();
                // Somebody on the road has kept the owner's "spent", and hands it out once more.
                if spent.is_ok() || (overheard.contains(&id) && self.world.chance(30)) {
                    overheard.insert(id);
                    return Ok(());
                }
                spent
            }
            Broken::EvictsWhenFull => {
                // All but the uses is the real one's.
                self.store.look(token, now).await?;
                let mut latest = self.latest.lock().unwrap();
                if latest.contains(&token.id) {
                    return Err(Denial::AlreadyUsed);
                }
                if latest.len() == FEW {
                    latest.pop_front();
                }
                latest.push_back(token.id);
                Ok(())
            }
            _ => {
                self.store.look(token, now).await?;
                // It was in time, and the lock is waited for.
                self.world.dawdle().await;
                let mut buckets = self.buckets.lock().unwrap();
                buckets.retain(|end, _| *end > clock.now());
                let bucket = buckets.entry(bucket_end(token.expires)).or_default();
                let new = bucket.insert(*token.id.as_bytes());
                new.then_some(()).ok_or(Denial::AlreadyUsed)
            }
        }
    }
}

impl Once for Careless {
    fn store(&self) -> &Store {
        &self.store
    }

    fn spend<'a>(
        &'a self,
        token: &'a Use,
        spelling: u64,
        clock: &'a Clock,
    ) -> BoxFuture<'a, Result<(), Denial>> {
        self.careless(token, spelling, clock).boxed()
    }
}
