//! The store as the rest of the gate sees it: where uses are recorded, and what was taken back.

use std::sync::Arc;

use super::{
    error::{StoreError, StoreNotice},
    local::Local,
    options::{StoreOptions, StoreStatus},
    redis::Shared,
};
use crate::gate::{
    denial::Denial,
    id::{MemoryId, SessionId, TokenId},
    revoked::Revocation,
    seen::Spent,
    token::LinkClaims,
};

/// The use of one token, as a store needs to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// The token's id.
    pub id: TokenId,
    /// The memory that records it.
    pub mem: MemoryId,
    /// The gate that memory is of; none for the shared one.
    pub gate: Option<String>,
    /// When the token expires, seconds since the Unix epoch.
    pub expires: u64,
}

impl Use {
    /// The use of the token that says this.
    pub fn of(claims: &LinkClaims) -> Self {
        let LinkClaims { jti, mem, gate, exp, .. } = claims;
        Self { id: *jti, mem: *mem, gate: gate.clone(), expires: *exp }
    }
}

/// Which tokens were used, and what was taken back. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store(Arc<Keeper>);

/// Who remembers.
#[derive(Debug)]
enum Keeper {
    /// This gate.
    Local(Local),
    /// A server that several gates share.
    Shared(Shared),
}

impl Store {
    /// Opens the store: takes the lock, reads the journal, or begins a new memory.
    ///
    /// Blocks: for up to `lock_wait` for a predecessor, and while the journal is read. `now` is
    /// seconds since the Unix epoch; `random` gives 128 random bits.
    ///
    /// # Errors
    /// [`StoreError`]: the directory is held, another gate's, of a newer version or unusable. A
    /// journal that is not whole is no error: see [`Store::take_notices`].
    pub fn open(
        options: StoreOptions,
        now: u64,
        random: fn() -> [u8; 16],
    ) -> Result<Self, StoreError> {
        Ok(Self(Arc::new(Keeper::Local(Local::open(options, now, random)?))))
    }

    /// A store in a server that several gates share; see [`Store::listen`].
    pub fn shared(shared: Shared) -> Self {
        Self(Arc::new(Keeper::Shared(shared)))
    }

    /// Listens to what other gates put into a shared memory, and heals that: at least each second,
    /// in a task that waits for nothing else.
    pub async fn listen(&self) {
        match &*self.0 {
            Keeper::Local(_) => {}
            Keeper::Shared(shared) => shared.listen().await,
        }
    }

    /// The memory to issue with.
    ///
    /// # Errors
    /// [`Denial::StoreUnavailable`] while there is none: a link issued now could not be used.
    pub fn mem(&self, now: u64) -> Result<MemoryId, Denial> {
        match &*self.0 {
            Keeper::Local(local) => local.mem(now),
            Keeper::Shared(shared) => shared.mem(),
        }
    }

    /// Records the use of a token; once, and as durably as configured on return.
    ///
    /// `now` is asked under the lock that decides.
    ///
    /// # Errors
    /// [`Denial::Fenced`], [`Denial::Expired`], [`Denial::AlreadyUsed`], [`Denial::StoreFull`],
    /// [`Denial::StoreUnavailable`]; [`Denial::Malformed`] for an expiry past the year 36,000.
    pub async fn spend(
        &self,
        token: &Use,
        now: impl Fn() -> u64 + Send + Sync,
    ) -> Result<Spent, Denial> {
        match &*self.0 {
            Keeper::Local(local) => local.spend(token.id, token.mem, token.expires, now).await,
            Keeper::Shared(shared) => shared.spend(token).await,
        }
    }

    /// Whether [`Store::spend`] would refuse the token now; records nothing, promises nothing.
    ///
    /// # Errors
    /// [`Denial::Fenced`], [`Denial::StoreUnavailable`], [`Denial::Expired`],
    /// [`Denial::AlreadyUsed`].
    pub async fn look(
        &self,
        token: &Use,
        now: impl Fn() -> u64 + Send + Sync,
    ) -> Result<(), Denial> {
        match &*self.0 {
            Keeper::Local(local) => local.look(token.id, token.mem, token.expires, now()),
            Keeper::Shared(shared) => shared.look(token).await,
        }
    }

    /// Takes something back: at once here, and as durably as a spend on return.
    ///
    /// # Errors
    /// [`Denial::StoreFull`]; [`Denial::StoreUnavailable`]: it holds while this process lives,
    /// and must be asked for again.
    pub async fn revoke(&self, revocation: Revocation, now: u64) -> Result<(), Denial> {
        match &*self.0 {
            Keeper::Local(local) => local.revoke(revocation, now).await,
            Keeper::Shared(shared) => shared.revoke(revocation).await,
        }
    }

    /// Notes that something dated `now` is issued: taking its user back reaches it, whatever the
    /// clock shows by then, also after a restart.
    ///
    /// # Errors
    /// [`Denial::StoreUnavailable`]: it must not be issued.
    pub fn issuing(&self, now: u64) -> Result<(), Denial> {
        match &*self.0 {
            Keeper::Local(local) => local.issuing(now),
            Keeper::Shared(shared) => {
                shared.issuing(now);
                Ok(())
            }
        }
    }

    /// As [`Store::issuing`], for a session whose link is spent already: tells the second that it
    /// is to bear, which is `now` unless only an earlier one could be noted.
    pub fn beginning(&self, now: u64) -> u64 {
        match &*self.0 {
            Keeper::Local(local) => local.beginning(now),
            Keeper::Shared(shared) => {
                shared.issuing(now);
                now
            }
        }
    }

    /// The latest second that anything issued, or any session begun, bears.
    pub fn issued_until(&self) -> u64 {
        match &*self.0 {
            Keeper::Local(local) => local.issued_until(),
            Keeper::Shared(shared) => shared.issued_until(),
        }
    }

    /// Whether `caller` has taken back the link `id`.
    pub fn link_revoked_by(&self, id: TokenId, caller: &str) -> bool {
        match &*self.0 {
            Keeper::Local(local) => local.link_revoked_by(id, caller),
            Keeper::Shared(shared) => shared.link_revoked_by(id, caller),
        }
    }

    /// Whether what was issued to `user` on `site` at `issued_at` was taken back.
    pub fn user_revoked(&self, site: &str, user: &str, issued_at: u64) -> bool {
        match &*self.0 {
            Keeper::Local(local) => local.user_revoked(site, user, issued_at),
            Keeper::Shared(shared) => shared.user_revoked(site, user, issued_at),
        }
    }

    /// Whether the session was ended.
    pub fn session_ended(&self, id: SessionId) -> bool {
        match &*self.0 {
            Keeper::Local(local) => local.session_ended(id),
            Keeper::Shared(shared) => shared.session_ended(id),
        }
    }

    /// Whether revocations of what expires at `expires` may have been dropped already. By a right
    /// clock that has expired; after one that was wrong, refusing it here is what keeps a session
    /// that was ended from coming back.
    pub fn forgotten(&self, expires: u64) -> bool {
        match &*self.0 {
            Keeper::Local(local) => local.forgotten(expires),
            Keeper::Shared(shared) => shared.forgotten(expires),
        }
    }

    /// Whether every revocation of a session begun under `mem` is known here.
    pub fn knows_sessions_of(&self, mem: MemoryId) -> bool {
        match &*self.0 {
            Keeper::Local(local) => local.knows_sessions_of(mem),
            Keeper::Shared(shared) => shared.knows_sessions_of(mem),
        }
    }

    /// How the store is doing.
    pub fn status(&self) -> StoreStatus {
        match &*self.0 {
            Keeper::Local(local) => local.status(),
            Keeper::Shared(shared) => shared.status(),
        }
    }

    /// What happened since this was last asked, for the log; the oldest go first past 64.
    pub fn take_notices(&self) -> Vec<StoreNotice> {
        match &*self.0 {
            Keeper::Local(local) => local.take_notices(),
            Keeper::Shared(shared) => shared.take_notices(),
        }
    }

    /// From time to time, at least each second: heals a memory that failed, notices a clock gone
    /// back, drops what expired.
    ///
    /// Blocks while it uses the disk: keep it off the threads that answer requests.
    pub fn tick(&self, now: u64) {
        match &*self.0 {
            Keeper::Local(local) => local.tick(now),
            Keeper::Shared(_) => {}
        }
    }

    /// Stops spending, answers what is under way, syncs, marks the journal as closed, and gives
    /// the directory back. Clones of this store refuse from then on.
    pub async fn close(self) {
        match &*self.0 {
            Keeper::Local(local) => local.clone().close().await,
            Keeper::Shared(shared) => shared.close(),
        }
    }
}
