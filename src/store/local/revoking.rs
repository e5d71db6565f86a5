//! What was taken back: here, and by other gates.

use std::sync::atomic::Ordering;

use super::{heard::Heard, memory::Known, spending::Local};
use crate::gate::{
    denial::Denial,
    id::{MemoryId, SessionId, TokenId},
    revoked::Revocation,
};

impl Local {
    /// Takes something back: at once here, and as durably as a spend on return.
    ///
    /// # Errors
    /// [`Denial::StoreFull`]; [`Denial::StoreUnavailable`]: it holds while this process lives,
    /// and must be asked for again.
    pub async fn revoke(&self, revocation: Revocation, now: u64) -> Result<(), Denial> {
        self.mem(now)?;
        let memory = self.0.current.load_full();
        memory.revoke(revocation).await
    }

    /// Takes in what other gates took back: at once here, and as durably as a spend on return;
    /// tells how many were news. `lineage` are the memories all of whose revocations are known
    /// with these: of what comes in parts, it goes with the last.
    ///
    /// # Errors
    /// [`Denial::StoreUnavailable`]: it must be told again. The lineage is not extended then.
    pub async fn merge(
        &self,
        revocations: &[Revocation],
        lineage: &[MemoryId],
    ) -> Result<usize, Denial> {
        let memory = self.0.current.load_full();
        let merged = memory.merge(revocations, lineage).await;
        merged.map_err(|why| Denial::StoreUnavailable { unspent: true, why })
    }

    /// Whether all that it takes back is taken back here.
    pub fn holds(&self, revocation: &Revocation) -> bool {
        self.0.current.load().known.revoked.holds(revocation)
    }

    /// What is to be taken in besides what another gate took back, by whose clock this gate has
    /// issued some of it later: see [`Revoked::beyond`](crate::gate::revoked::Revoked::beyond).
    pub fn beyond(&self, revocations: &[Revocation]) -> Vec<Revocation> {
        let memory = self.0.current.load();
        let issued_until = self.issued_until();
        let beyond = |revocation| memory.known.revoked.beyond(revocation, issued_until);
        revocations.iter().filter_map(beyond).collect()
    }

    /// What was taken back after `heard`, by anyone, in that order, `limit` at most; and what to
    /// ask with next. All of it, where nothing or another list was heard of.
    pub fn since(&self, heard: Option<Heard>, limit: usize) -> (Vec<Revocation>, Heard) {
        let memory = self.0.current.load();
        let Known { revoked, list, .. } = &memory.known;
        let heard = heard.filter(|heard| heard.list == *list).map_or(0, |heard| heard.number);
        let (revocations, number) = revoked.since(heard, limit);
        (revocations, Heard { list: *list, number })
    }

    /// The latest change there is to hear of.
    pub fn latest(&self) -> Heard {
        let Known { revoked, list, .. } = &self.0.current.load().known;
        Heard { list: *list, number: revoked.latest() }
    }

    /// The memories all of whose revocations are known here, the one in force last.
    ///
    /// To be asked before [`Local::since`]: what is heard then is all of theirs.
    pub fn lineage(&self) -> Vec<MemoryId> {
        self.0.current.load().lineage()
    }

    /// Notes that something dated `now` is issued, or a session begun: taking its user back reaches
    /// it, whatever the clock shows by then, and whether this process lives or not.
    ///
    /// # Errors
    /// [`Denial::StoreUnavailable`]: it must not be issued.
    pub fn issuing(&self, now: u64) -> Result<(), Denial> {
        let memory = self.0.current.load();
        let (entries, max_entries) = (memory.seen.entries(), memory.seen.max_entries());
        let warning = self.0.fullness.issuing(entries, max_entries, now);
        if let Some(warning) = warning {
            self.notice(warning);
        }
        memory.issuing(now).map_err(|why| Denial::StoreUnavailable { unspent: true, why })
    }

    /// As [`Local::issuing`], for what cannot be refused any more: tells the second that it is to
    /// bear instead of `now`, where only an earlier one is on record.
    pub fn beginning(&self, now: u64) -> u64 {
        let memory = self.0.current.load();
        memory.issuing(now).map_or_else(|_| now.min(memory.issuing_until()), |()| now)
    }

    /// The latest second that anything issued bears.
    pub fn issued_until(&self) -> u64 {
        self.0.current.load().known.issued_until.load(Ordering::SeqCst)
    }

    /// The latest moment up to which `user` was taken back on `site`; 0 where that never was.
    pub fn user_revoked_until(&self, site: &str, user: &str) -> u64 {
        self.0.current.load().known.revoked.user_until(site, user)
    }

    /// Whether `caller` has taken back the link `id`.
    pub fn link_revoked_by(&self, id: TokenId, caller: &str) -> bool {
        self.0.current.load().known.revoked.link(id, caller)
    }

    /// Whether what was issued to `user` on `site` at `issued_at` was taken back.
    pub fn user_revoked(&self, site: &str, user: &str, issued_at: u64) -> bool {
        self.0.current.load().known.revoked.user(site, user, issued_at)
    }

    /// Whether the session was ended.
    pub fn session_ended(&self, id: SessionId) -> bool {
        self.0.current.load().known.revoked.session(id)
    }

    /// Whether revocations of what expires at `expires` may have been dropped already. By a right
    /// clock that has expired; after one that was wrong, refusing it here is what keeps a session
    /// that was ended from coming back.
    pub fn forgotten(&self, expires: u64) -> bool {
        expires <= self.0.current.load().known.revoked.horizon()
    }

    /// Whether every revocation of a session begun under `mem` is known here: of none any more
    /// once this store is closed, when a successor may take something back.
    pub fn knows_sessions_of(&self, mem: MemoryId) -> bool {
        !self.0.closed.load(Ordering::SeqCst) && self.0.current.load().knows(mem)
    }
}
