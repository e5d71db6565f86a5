//! The twin of a Redis server's data: what its scripts answer, in the order in which they judge.
//!
//! Written from `src/store/redis/protocol.rs` and `scripts/*.lua`, of which `tests/redis` asks a real
//! server: whoever changes a script changes this.
#![expect(clippy::result_large_err, reason = "what a gate is told may be all that was taken back")]

use std::collections::{BTreeMap, BTreeSet};

use oncegate::{
    gate::{
        id::{MemoryId, TokenId},
        revoked::{Revocation, Revoke},
        seen::{CLOCK_SLACK, bucket_end},
    },
    store::redis::protocol::{Ask, Attempt, Breakage, Heard, KEEP, LISTENING, Told},
};

use crate::broken::Broken;

/// Seconds of `until` that are dropped together.
const BUCKET_OF_REVOCATIONS: u64 = 600;

/// A memory's id, as a key is named by it.
pub type Key = [u8; 16];

/// What a server holds under one prefix. A clone is what a replica or a snapshot has of it.
#[derive(Debug, Clone, Default)]
pub struct Data {
    /// The hash `mem`.
    pub mem: Option<Mem>,
    /// `used:<mem>:<end>`; and when the server itself lets go of each.
    pub used: BTreeMap<(Key, u64), Bucket>,
    /// `revoked:<mem>`, `times:<mem>` and `ends:<mem>`.
    pub revoked: BTreeMap<Key, Vec<Taken>>,
    /// `lineage:<mem>`, in the order in which they came.
    pub lineage: BTreeMap<Key, Vec<MemoryId>>,
    gates: BTreeMap<String, Noted>,
    gates_since: Option<u64>,
}

/// What stands in `mem`.
#[derive(Debug, Clone)]
pub struct Mem {
    /// Its id.
    pub id: MemoryId,
    replid: u64,
    horizon: u64,
    revoked_horizon: u64,
    latest: u64,
    entries: u64,
    revocations: u64,
    /// By its end: how many uses a bucket has.
    buckets: BTreeMap<u64, u64>,
}

/// A bucket of uses.
#[derive(Debug, Clone, Default)]
pub struct Bucket {
    by: BTreeMap<[u8; 16], Attempt>,
    expires: u64,
}

/// Something that was taken back.
#[derive(Debug, Clone)]
pub struct Taken {
    number: u64,
    revocation: Revocation,
    over: u64,
}

#[derive(Debug, Clone)]
struct Noted {
    at: u64,
    mem: Option<MemoryId>,
    heard: u64,
}

/// The server that answers: what its process knows by itself.
#[derive(Debug, Clone, Default)]
pub struct Here {
    /// Its replication id.
    pub replid: u64,
    /// Its clock, seconds since the Unix epoch.
    pub now: u64,
    /// What is left out on purpose.
    pub broken: Option<Broken>,
    /// The memories in whose scripts' text their id stands: only where that is what guards them.
    pub scripts: BTreeSet<Key>,
}

impl Data {
    /// Answers a question in one step.
    pub fn answer(&mut self, here: &mut Here, ask: Ask) -> Told {
        // What the server lets go of by itself.
        self.used.retain(|_, bucket| bucket.expires > here.now);
        match ask {
            Ask::Spend { mem, id, expires, attempt, heard, max_entries } => {
                let spend = Spend { id, expires, attempt, heard, max_entries };
                self.judged(here, mem).map_or_else(|told| told, |()| self.spend(here, mem, &spend))
            }
            Ask::Look { mem, id, expires } => self
                .judged(here, mem)
                .map_or_else(|told| told, |()| self.look(here, mem, id, expires)),
            Ask::Make { old, new } => {
                here.scripts.insert(*new.as_bytes());
                self.make(here, old, new)
            }
            Ask::Hear { gate, mem, heard, limit } => {
                if let (Some(Broken::ScriptReloaded), Some(there)) = (here.broken, &self.mem) {
                    here.scripts.insert(*there.id.as_bytes());
                }
                self.hear(here, gate, mem, heard, limit)
            }
            Ask::Revoke { mem, revocations, lineage, horizon, max_revocations } => {
                match self.judged(here, mem) {
                    Err(told) => told,
                    Ok(()) if self.revocations_lost(mem) => Told::Broken(Breakage::Lost),
                    Ok(()) => self.revoke(mem, &revocations, lineage, horizon, max_revocations),
                }
            }
            Ask::Sweep { mem, keep } => {
                self.judged(here, mem).map_or_else(|told| told, |()| self.sweep(here, mem, keep))
            }
        }
    }

    fn judged(&self, here: &Here, mem: MemoryId) -> Result<(), Told> {
        match &self.mem {
            Some(there) if there.id == mem => {
                there.breakage(here).map_or(Ok(()), |why| Err(Told::Broken(why)))
            }
            there => Err(Told::Fenced(there.as_ref().map(|there| there.id))),
        }
    }

    /// The bucket that a token belongs to, if it is as counted.
    fn bucket(&self, here: &Here, mem: MemoryId, end: u64) -> Result<Option<&Bucket>, Told> {
        let counted = self.mem.as_ref().and_then(|mem| mem.buckets.get(&end)).copied().unwrap_or(0);
        let bucket = self.used.get(&(*mem.as_bytes(), end));
        let there = bucket.map_or(0, |bucket| bucket.by.len() as u64);
        let unnoticed = [Broken::EvictionUnnoticed, Broken::KeysExpireWithTheToken].map(Some);
        if there != counted && !unnoticed.contains(&here.broken) {
            return Err(Told::Broken(Breakage::Lost));
        }
        Ok(bucket)
    }

    fn spend(&mut self, here: &Here, mem: MemoryId, spend: &Spend) -> Told {
        let Spend { id, expires, attempt, heard, max_entries } = *spend;
        let end = bucket_end(expires);
        let by = match self.bucket(here, mem, end) {
            Err(told) => return told,
            Ok(bucket) => bucket.and_then(|bucket| bucket.by.get(id.as_bytes())).copied(),
        };
        let Some(there) = &mut self.mem else { return Told::Fenced(None) };
        if by == Some(attempt) {
            return Told::Spent;
        }
        if there.expired(here, expires) && here.broken != Some(Broken::KeysExpireWithTheToken) {
            return Told::Expired;
        }
        if by.is_some() {
            return Told::Used;
        }
        if there.latest > heard {
            return Told::Behind;
        }
        if there.entries >= max_entries {
            return Told::Full;
        }
        *there.buckets.entry(end).or_default() += 1;
        there.entries += 1;
        let bucket = self.used.entry((*mem.as_bytes(), end)).or_default();
        bucket.by.insert(*id.as_bytes(), attempt);
        bucket.expires = match here.broken {
            // The token's own key, gone when the token has expired.
            Some(Broken::KeysExpireWithTheToken) => expires,
            _ => end + 2 * KEEP,
        };
        Told::Spent
    }

    fn look(&self, here: &Here, mem: MemoryId, id: TokenId, expires: u64) -> Told {
        let bucket = match self.bucket(here, mem, bucket_end(expires)) {
            Err(told) => return told,
            Ok(bucket) => bucket,
        };
        if self.mem.as_ref().is_some_and(|mem| mem.expired(here, expires)) {
            Told::Expired
        } else if bucket.is_some_and(|bucket| bucket.by.contains_key(id.as_bytes())) {
            Told::Used
        } else {
            Told::Spent
        }
    }

    fn make(&mut self, here: &Here, old: Option<MemoryId>, new: MemoryId) -> Told {
        let there = self.mem.as_ref().map(|mem| mem.id);
        if there != old {
            return Told::Kept(there);
        }
        if let Some(there) = self.mem.take() {
            for end in there.buckets.keys() {
                self.used.remove(&(*there.id.as_bytes(), *end));
            }
            self.revoked.remove(there.id.as_bytes());
            self.lineage.remove(there.id.as_bytes());
        }
        self.mem = Some(Mem {
            id: new,
            replid: here.replid,
            horizon: 0,
            revoked_horizon: 0,
            latest: 0,
            entries: 0,
            revocations: 0,
            buckets: BTreeMap::new(),
        });
        Told::Made
    }

    fn hear(
        &mut self,
        here: &Here,
        gate: String,
        mem: Option<MemoryId>,
        heard: u64,
        limit: usize,
    ) -> Told {
        let there = self.mem.as_ref().map(|mem| mem.id);
        let heard = if there.is_some() && there == mem { heard } else { 0 };
        let since = self.gates_since.filter(|since| *since <= here.now).unwrap_or(here.now);
        self.gates_since = Some(since);
        self.gates.insert(gate, Noted { at: here.now, mem: there, heard });
        self.gates.retain(|_, noted| here.now.abs_diff(noted.at) <= 20 * LISTENING);
        let listening =
            self.gates.values().filter(|noted| here.now < noted.at.saturating_add(LISTENING));
        let confirmed = listening
            .map(|noted| if noted.mem == there { noted.heard } else { 0 })
            .fold(heard, u64::min);
        let confirmed = if here.now - since < LISTENING { 0 } else { confirmed };
        let Some(there) = &self.mem else {
            return Told::Heard(Heard {
                mem: None,
                broken: None,
                now: here.now,
                entries: 0,
                horizon: 0,
                revoked_horizon: 0,
                latest: 0,
                heard: 0,
                confirmed: 0,
                revocations: Vec::new(),
                lineage: Vec::new(),
            });
        };
        let lost = self.revocations_lost(there.id).then_some(Breakage::Lost);
        let taken = self.revoked.get(there.id.as_bytes()).map_or(&[][..], Vec::as_slice);
        let news: Vec<_> = taken.iter().filter(|taken| taken.number > heard).take(limit).collect();
        let upto = if news.len() == limit { news.last().map(|last| last.number) } else { None };
        Told::Heard(Heard {
            mem: Some(there.id),
            broken: there.breakage(here).or(lost),
            now: here.now,
            entries: there.entries,
            horizon: there.horizon,
            revoked_horizon: there.revoked_horizon,
            latest: there.latest,
            heard: upto.unwrap_or(there.latest),
            confirmed,
            revocations: news.iter().map(|taken| taken.revocation).collect(),
            lineage: self.lineage.get(there.id.as_bytes()).cloned().unwrap_or_default(),
        })
    }

    fn revocations_lost(&self, mem: MemoryId) -> bool {
        let counted = self.mem.as_ref().map_or(0, |mem| mem.revocations);
        self.revoked.get(mem.as_bytes()).map_or(0, Vec::len) as u64 != counted
    }

    fn revoke(
        &mut self,
        mem: MemoryId,
        revocations: &[Revocation],
        lineage: Vec<MemoryId>,
        horizon: u64,
        max_revocations: u64,
    ) -> Told {
        let Some(there) = &mut self.mem else { return Told::Fenced(None) };
        let taken = self.revoked.entry(*mem.as_bytes()).or_default();
        let new: BTreeSet<_> = revocations
            .iter()
            .filter(|asked| taken.iter().all(|taken| taken.revocation.what != asked.what))
            .map(|asked| name(&asked.what))
            .collect();
        if !new.is_empty() && there.revocations + new.len() as u64 > max_revocations {
            return Told::Full;
        }
        for asked in revocations {
            let known = taken.iter().position(|taken| taken.revocation.what == asked.what);
            let over = asked.until.div_ceil(BUCKET_OF_REVOCATIONS) * BUCKET_OF_REVOCATIONS;
            let mut next = Taken { number: there.latest + 1, revocation: *asked, over };
            if let Some(place) = known {
                let before = &taken[place];
                next.revocation.at = next.revocation.at.max(before.revocation.at);
                next.revocation.until = next.revocation.until.max(before.revocation.until);
                next.over = next.over.max(before.over);
                if next.revocation == before.revocation {
                    continue;
                }
                taken.remove(place);
            } else {
                there.revocations += 1;
            }
            there.latest += 1;
            taken.push(next);
        }
        let known = self.lineage.entry(*mem.as_bytes()).or_default();
        for mem in lineage {
            if !known.contains(&mem) {
                known.push(mem);
            }
        }
        known.drain(..known.len().saturating_sub(1_024));
        there.revoked_horizon = there.revoked_horizon.max(horizon);
        Told::Revoked(there.latest)
    }

    fn sweep(&mut self, here: &Here, mem: MemoryId, keep: u64) -> Told {
        let Some(there) = &mut self.mem else { return Told::Fenced(None) };
        while let Some(first) = there.buckets.first_entry()
            && *first.key() + keep <= here.now
        {
            let (end, count) = first.remove_entry();
            self.used.remove(&(*mem.as_bytes(), end));
            there.horizon = there.horizon.max(end);
            there.entries -= count;
        }
        let taken = self.revoked.entry(*mem.as_bytes()).or_default();
        let before = taken.len();
        for over in taken.iter().map(|taken| taken.over).filter(|over| over + KEEP <= here.now) {
            there.revoked_horizon = there.revoked_horizon.max(over);
        }
        taken.retain(|taken| taken.over + KEEP > here.now);
        there.revocations -= (before - taken.len()) as u64;
        Told::Swept
    }

    /// A key is evicted: the `choice`th of those there are.
    pub fn evict(&mut self, choice: u64) {
        let buckets: Vec<_> = self.used.keys().copied().collect();
        let choice = choice as usize % (buckets.len() + 2);
        match buckets.get(choice) {
            Some(bucket) => drop(self.used.remove(bucket)),
            None if choice == buckets.len() => self.revoked.clear(),
            None => self.mem = None,
        }
    }
}

struct Spend {
    id: TokenId,
    expires: u64,
    attempt: Attempt,
    heard: u64,
    max_entries: u64,
}

impl Mem {
    fn breakage(&self, here: &Here) -> Option<Breakage> {
        let moved = match here.broken {
            Some(Broken::NoGuard) => false,
            Some(Broken::ScriptReloaded | Broken::ScriptNeverReloaded) => {
                !here.scripts.contains(self.id.as_bytes())
            }
            _ => self.replid != here.replid,
        };
        if moved {
            Some(Breakage::Moved)
        } else if self.horizon > here.now + CLOCK_SLACK || self.revoked_horizon > here.now {
            Some(Breakage::ClockWentBack)
        } else {
            None
        }
    }

    fn expired(&self, here: &Here, expires: u64) -> bool {
        expires <= here.now || expires <= self.horizon
    }
}

/// Something to order what was taken back by.
fn name(what: &Revoke) -> Vec<u8> {
    match what {
        Revoke::Link(id, tag) => [&id.as_bytes()[..], &tag.0].concat(),
        Revoke::User(key) => [&[1][..], &key.0].concat(),
        Revoke::Session(id) => [&[2][..], id.as_bytes()].concat(),
    }
}
