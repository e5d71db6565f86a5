//! What a gate asks of the shared memory, and what it is told. Each question is one atomic step.
//!
//! The server holds, under one prefix for each issuer and version of this format:
//!
//! | key | what |
//! |---|---|
//! | `mem` | the memory's id, the server's replication id when it was made, both horizons, the number of the latest revocation, how many uses and revocations there are, and by its end how many uses each bucket has |
//! | `used:<mem>:<end>` | one bucket: by token id the attempt that used it |
//! | `revoked:<mem>`, `times:<mem>`, `ends:<mem>` | what was taken back: in the order in which it was; until when each matters; which are over when |
//! | `lineage:<mem>` | the memories whose revocations this one holds too |
//! | `gates` | by gate: when it asked last, under which memory, and what it had heard by then; and since when this is kept |
//!
//! All but [`Ask::Make`] and [`Ask::Hear`] begin with the same judgement of the memory, in this
//! order, and what it finds is all that they do and tell:
//!
//! 1. no `mem`, or another id in it than is meant: [`Told::Fenced`];
//! 2. this server's replication id is another than the one noted: [`Breakage::Moved`];
//! 3. its clock is more than `CLOCK_SLACK` behind the horizon of the uses, or behind that of the
//!    revocations: [`Breakage::ClockWentBack`];
//! 4. what the question needs is not there as counted: the token's bucket for [`Ask::Spend`] and
//!    [`Ask::Look`], the revocations for [`Ask::Revoke`]: [`Breakage::Lost`].
//!
//! A server that is a replica answers none of them: [`Unanswered`], as does one that cannot write.

use std::{fmt, sync::Arc};

use futures_util::future::BoxFuture;

use crate::gate::{
    id::{MemoryId, TokenId},
    revoked::Revocation,
};

/// Seconds for which a bucket, or a revocation, is kept after its end: a server's clock that is
/// corrected by less costs nothing.
pub const KEEP: u64 = 3_600;

/// Seconds after its last question for which a gate counts as one that must hear.
pub const LISTENING: u64 = 3;

/// The 128 random bits of one attempt to spend: a resend recognises itself by them.
pub type Attempt = [u8; 16];

/// What a gate asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Record the use of a token, once.
    ///
    /// After the judgement, in this order: recorded by this very attempt: [`Told::Spent`]; expired
    /// at or before the server's clock or the horizon: [`Told::Expired`]; recorded by another:
    /// [`Told::Used`]; a later revocation than `heard`: [`Told::Behind`]; as many uses as
    /// `max_entries`: [`Told::Full`]; else it is recorded: [`Told::Spent`].
    Spend {
        /// The memory the token names.
        mem: MemoryId,
        /// The token.
        id: TokenId,
        /// When it expires, seconds since the Unix epoch; judged by the server's clock.
        expires: u64,
        /// Who tries.
        attempt: Attempt,
        /// The number of the latest revocation this gate has heard of.
        heard: u64,
        /// Uses remembered at most.
        max_entries: u64,
    },
    /// What [`Ask::Spend`] would be told, [`Told::Spent`] for "nothing speaks against it": the
    /// judgement, [`Told::Expired`], [`Told::Used`]; room and revocations are not looked at.
    Look {
        /// The memory the token names.
        mem: MemoryId,
        /// The token.
        id: TokenId,
        /// When it expires.
        expires: u64,
    },
    /// Begin a memory in place of `old`, if that is still the one there, whole or not: empty, with
    /// this server's replication id, its horizons and numbers at 0. All of the old one is dropped;
    /// `gates` stays. Otherwise [`Told::Kept`].
    Make {
        /// The one found, if any.
        old: Option<MemoryId>,
        /// The new one.
        new: MemoryId,
    },
    /// Which memory is there, and what was taken back since; notes that `gate` has heard up to
    /// `heard` under `mem`. Told [`Told::Heard`] in any case: of a memory that is broken too.
    Hear {
        /// Who asks: one name for each process.
        gate: String,
        /// The memory under which `heard` counts; another one there: everything is told.
        mem: Option<MemoryId>,
        /// The number of the latest revocation heard of.
        heard: u64,
        /// Revocations told at most.
        limit: usize,
    },
    /// Take something back, or put back what an emptied server lacks: all of it or nothing.
    ///
    /// Of a known one the later `at` and the later `until` hold; one that changes nothing takes no
    /// number, one that is new or changes takes the next. [`Told::Full`] if there would be more
    /// than `max_revocations` and any of them is new.
    Revoke {
        /// The memory meant.
        mem: MemoryId,
        /// What.
        revocations: Vec<Revocation>,
        /// Memories whose revocations the asking gate knows all of, these included.
        lineage: Vec<MemoryId>,
        /// The latest `until` that the asking gate has dropped: raises the horizon of the
        /// revocations to at least this.
        horizon: u64,
        /// Revocations remembered at most.
        max_revocations: u64,
    },
    /// Drop every bucket of uses that ended `keep` seconds ago or earlier, and every revocation
    /// whose bucket of `until` ended [`KEEP`] seconds ago or earlier, a thousand at most; the
    /// horizons rise to the latest end dropped.
    Sweep {
        /// The memory meant.
        mem: MemoryId,
        /// [`KEEP`]; less where room is short, which a clock gone back then costs the memory.
        keep: u64,
    },
}

/// What a gate is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Recorded, now or by an earlier try of the same attempt.
    Spent,
    /// Another attempt used it.
    Used,
    /// It has expired by the server's clock, or its bucket is dropped.
    Expired,
    /// There is no room.
    Full,
    /// Something was taken back that this gate has not heard of. Nothing is recorded: hear first.
    Behind,
    /// Another memory is there, or none; nothing is recorded.
    Fenced(Option<MemoryId>),
    /// The memory meant is there and cannot be shown to be whole: replace it. Nothing is recorded.
    Broken(Breakage),
    /// The new memory is in force.
    Made,
    /// Another memory is there than the one to be replaced; this one, if any.
    Kept(Option<MemoryId>),
    /// What there is to hear.
    Heard(Heard),
    /// Taken back; the number of the latest revocation.
    Revoked(u64),
    /// Swept.
    Swept,
}

/// How a memory shows that it is not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breakage {
    /// The server was restarted or promoted since: its replication id is another.
    Moved,
    /// A key is gone that should be there.
    Lost,
    /// The server's clock is behind what it showed before.
    ClockWentBack,
}

/// What there is to hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The memory there, if any.
    pub mem: Option<MemoryId>,
    /// Why it is not whole, if so.
    pub broken: Option<Breakage>,
    /// The server's clock, seconds since the Unix epoch.
    pub now: u64,
    /// Uses remembered.
    pub entries: u64,
    /// The latest expiry whose uses were dropped.
    pub horizon: u64,
    /// The latest `until` whose revocations were dropped.
    pub revoked_horizon: u64,
    /// The number of the latest revocation there is.
    pub latest: u64,
    /// The number up to which these reach.
    pub heard: u64,
    /// The number up to which every gate has heard that asked within [`LISTENING`] seconds, this
    /// one as it asked; of a gate that asked under another memory that is 0, and so it is for all
    /// in the first [`LISTENING`] seconds in which `gates` is kept.
    pub confirmed: u64,
    /// Revocations after the one heard of, in order.
    pub revocations: Vec<Revocation>,
    /// The memories whose revocations are all there.
    pub lineage: Vec<MemoryId>,
}

/// Why there is no answer. Whether the step was done is unknown unless `unasked`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered {
    /// The question certainly had no effect.
    pub unasked: bool,
    /// What went wrong, for the log; it holds no password.
    pub why: String,
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

/// The way to the server that is in charge now.
pub trait Server: fmt::Debug + Send + Sync {
    /// A new connection to it, checked: no cluster, no eviction, no replica, not too old.
    fn connect(&self) -> BoxFuture<'_, Result<Arc<dyn Connection>, Unanswered>>;
}

/// One connection to one process of a server. Questions may be asked at once; none is ever sent
/// again by the connection itself.
pub trait Connection: fmt::Debug + Send + Sync {
    /// Asks, and waits for the answer as long as configured.
    fn ask(&self, ask: Ask) -> BoxFuture<'_, Result<Told, Unanswered>>;
}
