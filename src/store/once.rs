//! The store as the rest of the gate sees it: where uses are recorded, and what was taken back.

use std::sync::Arc;

use super::{
    error::{StoreError, StoreNotice},
    local::Local,
    options::{StoreOptions, StoreStatus},
    peers::{Pinned, Sealed},
    redis::Shared,
};
use crate::gate::{
    denial::Denial,
    id::{MemoryId, SessionId, TokenId},
    redeem::LEEWAY,
    revoked::Revocation,
    seen::Spent,
    session::SessionKeys,
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
    /// Each gate, of its own tokens.
    Pinned(Pinned),
    /// A server that several gates share.
    Shared(Shared),
}

/// Where this gate looks what it knows up.
enum Known<'a> {
    /// In a memory of its own.
    Here(&'a Local),
    /// In what it heard of the one that all share.
    Heard(&'a Shared),
}

use Known::{Heard, Here};

impl Store {
    /// Opens a store of this gate's own: takes the lock, reads the journal, or begins a new
    /// memory.
    ///
    /// Blocks: for up to `lock_wait` for a predecessor, and while the journal is read. `now` is
    /// seconds since the Unix epoch; `random` gives 128 random bits.
    ///
    /// # Errors
    /// [`StoreError`]: the directory is held, another gate's, of a newer version or unusable. A
    /// journal that is not whole is no error: see [`Store::take_notices`].
    pub fn open(
        mut options: StoreOptions,
        now: u64,
        random: fn() -> [u8; 16],
    ) -> Result<Self, StoreError> {
        let (own, peers) = (options.gate.clone(), options.peers.take());
        let local = Local::open(options, now, random)?;
        Ok(Self(Arc::new(match peers {
            Some(peers) => Keeper::Pinned(Pinned::new(local, &own, peers, random)),
            None => Keeper::Local(local),
        })))
    }

    /// A store in a server that several gates share; see [`Store::listen`].
    pub fn shared(shared: Shared) -> Self {
        Self(Arc::new(Keeper::Shared(shared)))
    }

    /// The memory to issue with.
    ///
    /// # Errors
    /// [`Denial::StoreUnavailable`] while there is none: a link issued now could not be used.
    pub fn mem(&self, now: u64) -> Result<MemoryId, Denial> {
        match self.known() {
            Here(local) => local.mem(now),
            Heard(shared) => shared.mem(),
        }
    }

    /// Records the use of a token; once, and as durably as configured on return.
    ///
    /// `now` is asked under the lock that decides.
    ///
    /// # Errors
    /// [`Denial::Fenced`], [`Denial::Expired`], [`Denial::AlreadyUsed`], [`Denial::StoreFull`],
    /// [`Denial::StoreUnavailable`]; [`Denial::Malformed`] for an expiry past the year 36,000;
    /// [`Denial::WrongGate`], [`Denial::OwnerSilent`] for a token of another gate.
    pub async fn spend(
        &self,
        token: &Use,
        now: impl Fn() -> u64 + Send + Sync,
    ) -> Result<Spent, Denial> {
        match &*self.0 {
            Keeper::Local(local) => local.spend(token.id, token.mem, token.expires, now).await,
            Keeper::Pinned(pinned) => pinned.spend(token, now).await,
            Keeper::Shared(shared) => shared.spend(token).await,
        }
    }

    /// Whether [`Store::spend`] would refuse the token now; records nothing, promises nothing.
    ///
    /// # Errors
    /// As [`Store::spend`], without [`Denial::StoreFull`].
    pub async fn look(
        &self,
        token: &Use,
        now: impl Fn() -> u64 + Send + Sync,
    ) -> Result<(), Denial> {
        match &*self.0 {
            Keeper::Local(local) => local.look(token.id, token.mem, token.expires, now()),
            Keeper::Pinned(pinned) => pinned.look(token, now).await,
            Keeper::Shared(shared) => shared.look(token).await,
        }
    }

    /// Takes something back: at once here, on return as durably as a spend, and at every other
    /// gate that answers.
    ///
    /// # Errors
    /// [`Denial::StoreFull`]; [`Denial::StoreUnavailable`]: it holds while this process lives,
    /// and must be asked for again.
    pub async fn revoke(&self, revocation: Revocation, now: u64) -> Result<(), Denial> {
        match &*self.0 {
            Keeper::Local(local) => local.revoke(revocation, now).await,
            Keeper::Pinned(pinned) => pinned.revoke(revocation, now).await,
            Keeper::Shared(shared) => shared.revoke(revocation).await,
        }?;
        self.still_holds(&revocation)
    }

    /// Whether what was taken back is so still, as whoever answers that it is must know: while it
    /// waited for other gates, or for a second to be over, a clock that went back may have had the
    /// memory replaced, with all that it knew.
    ///
    /// # Errors
    /// [`Denial::StoreUnavailable`]: it must be asked for again.
    pub fn still_holds(&self, revocation: &Revocation) -> Result<(), Denial> {
        let holds = match self.known() {
            Here(local) => local.holds(revocation),
            Heard(shared) => shared.holds(revocation),
        };
        let why = || "the memory was replaced meanwhile".to_owned();
        if holds { Ok(()) } else { Err(Denial::StoreUnavailable { unspent: true, why: why() }) }
    }

    /// Notes that something is issued at `now` for `user` on `site`: taking the user back reaches
    /// it, whatever the clock shows by then, also after a restart. Tells the second that it is to
    /// bear.
    ///
    /// That is `now`, or the one after that up to which the user was taken back: what is issued
    /// after a revocation was heard of bears a later time than that, also where another gate's
    /// clock is ahead of this one, or a crash had it reach further, by no more than a token's
    /// `iat` may be.
    ///
    /// # Errors
    /// [`Denial::StoreUnavailable`]: it must not be issued.
    pub fn issuing(&self, now: u64, site: &str, user: &str) -> Result<u64, Denial> {
        let at = self.dated(now, site, user);
        match self.known() {
            Here(local) => local.issuing(at)?,
            Heard(shared) => shared.issuing(at),
        }
        Ok(at)
    }

    /// As [`Store::issuing`], for a session whose link is spent already: where only an earlier
    /// second could be noted, it is to bear that.
    pub fn beginning(&self, now: u64, site: &str, user: &str) -> u64 {
        let at = self.dated(now, site, user);
        match self.known() {
            Here(local) => local.beginning(at),
            Heard(shared) => {
                shared.issuing(at);
                at
            }
        }
    }

    /// The latest second that anything issued, or any session begun, bears.
    pub fn issued_until(&self) -> u64 {
        match self.known() {
            Here(local) => local.issued_until(),
            Heard(shared) => shared.issued_until(),
        }
    }

    /// Whether `caller` has taken back the link `id`.
    pub fn link_revoked_by(&self, id: TokenId, caller: &str) -> bool {
        match self.known() {
            Here(local) => local.link_revoked_by(id, caller),
            Heard(shared) => shared.link_revoked_by(id, caller),
        }
    }

    /// Whether what was issued to `user` on `site` at `issued_at` was taken back.
    pub fn user_revoked(&self, site: &str, user: &str, issued_at: u64) -> bool {
        match self.known() {
            Here(local) => local.user_revoked(site, user, issued_at),
            Heard(shared) => shared.user_revoked(site, user, issued_at),
        }
    }

    /// Whether the session was ended.
    pub fn session_ended(&self, id: SessionId) -> bool {
        match self.known() {
            Here(local) => local.session_ended(id),
            Heard(shared) => shared.session_ended(id),
        }
    }

    /// Whether revocations of what expires at `expires` may have been dropped already. By a right
    /// clock that has expired; after one that was wrong, refusing it here is what keeps a session
    /// that was ended from coming back.
    pub fn forgotten(&self, expires: u64) -> bool {
        match self.known() {
            Here(local) => local.forgotten(expires),
            Heard(shared) => shared.forgotten(expires),
        }
    }

    /// Whether every revocation of a session begun under `mem` is known here.
    pub fn knows_sessions_of(&self, mem: MemoryId) -> bool {
        match self.known() {
            Here(local) => local.knows_sessions_of(mem),
            Heard(shared) => shared.knows_sessions_of(mem),
        }
    }

    /// How the store is doing.
    pub fn status(&self) -> StoreStatus {
        match &*self.0 {
            Keeper::Local(local) => local.status(),
            Keeper::Pinned(pinned) => {
                StoreStatus { peers: pinned.peer_status(), ..pinned.local().status() }
            }
            Keeper::Shared(shared) => shared.status(),
        }
    }

    /// What happened since this was last asked, for the log; the oldest go first past 64.
    pub fn take_notices(&self) -> Vec<StoreNotice> {
        match &*self.0 {
            Keeper::Local(local) => local.take_notices(),
            Keeper::Pinned(pinned) => pinned.take_notices(),
            Keeper::Shared(shared) => shared.take_notices(),
        }
    }

    /// From time to time, at least each second: heals a memory that failed, notices a clock gone
    /// back, drops what expired.
    ///
    /// Blocks while it uses the disk: keep it off the threads that answer requests.
    pub fn tick(&self, now: u64) {
        match self.known() {
            Here(local) => local.tick(now),
            Heard(_) => {}
        }
    }

    /// Listens to what other gates put into a shared memory, and heals that: at least each second,
    /// in a task that waits for nothing else.
    pub async fn listen(&self) {
        if let Heard(shared) = self.known() {
            shared.listen().await;
        }
    }

    /// Stops spending, answers what is under way, syncs, marks the journal as closed, and gives
    /// the directory back. Clones of this store refuse from then on.
    pub async fn close(self) {
        match self.known() {
            Here(local) => local.clone().close().await,
            Heard(shared) => shared.close(),
        }
    }

    /// The other gates, as far as they have memories of their own.
    pub fn peers(&self) -> Vec<String> {
        self.pinned().map(Pinned::peers).unwrap_or_default()
    }

    /// Hears what was taken back at the gate `peer`; tells whether it answered. To be called every
    /// moment for each of [`Store::peers`].
    pub async fn hear(&self, peer: &str) -> bool {
        match self.pinned() {
            Some(pinned) => pinned.hear(peer).await,
            None => false,
        }
    }

    /// Hears what was taken back everywhere while this gate was not there, once [`Store::answer`]
    /// is being called and before anything else is.
    pub async fn catch_up(&self) {
        if let Some(pinned) = self.pinned() {
            pinned.catch_up().await;
        }
    }

    /// Whether this `proof` claims to be of a peer: of anybody else nothing needs to be read.
    pub fn may_ask(&self, proof: &str) -> bool {
        self.pinned().is_some_and(|pinned| pinned.may_ask(proof))
    }

    /// Answers a peer's question at `path`; none where it is not one. See [`Pinned::answer`].
    pub async fn answer(
        &self,
        path: &str,
        question: &Sealed,
        now: impl Fn() -> u64 + Send + Sync,
    ) -> Option<Sealed> {
        self.pinned()?.answer(path, question, now).await
    }

    /// Takes up new keys, together with whoever seals sessions.
    pub fn take_up_keys(&self, sessions: &SessionKeys) {
        if let Some(pinned) = self.pinned() {
            pinned.take_up_keys(sessions);
        }
    }

    fn known(&self) -> Known<'_> {
        match &*self.0 {
            Keeper::Local(local) => Here(local),
            Keeper::Pinned(pinned) => Here(pinned.local()),
            Keeper::Shared(shared) => Heard(shared),
        }
    }

    fn pinned(&self) -> Option<&Pinned> {
        match &*self.0 {
            Keeper::Pinned(pinned) => Some(pinned),
            Keeper::Local(_) | Keeper::Shared(_) => None,
        }
    }

    /// The second that what is issued at `now` bears.
    fn dated(&self, now: u64, site: &str, user: &str) -> u64 {
        let taken_back = match self.known() {
            Here(local) => local.user_revoked_until(site, user),
            Heard(shared) => shared.user_revoked_until(site, user),
        };
        let after = taken_back.saturating_add(1);
        if after <= now.saturating_add(LEEWAY) { after.max(now) } else { now }
    }
}
