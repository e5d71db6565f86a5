//! What a gate asks of the shared memory, and what it is told. Each question is one atomic step.
//!
//! The server holds, under one prefix for each issuer and version of this format:
//!
//! | key | what |
//! |---|---|
//! | `mem` | the memory's id, the server's replication id when it was made, the horizons, the counts, and the end of every bucket there is |
//! | `used:<mem>:<end>` | one bucket: by token id the attempt that used it |
//! | `revoked:<mem>` | what was taken back, in the order in which it was |
//! | `lineage:<mem>` | the memories whose revocations this one holds too |
//! | `gates` | by gate: when it asked last, and what it had heard by then |

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
    /// What [`Ask::Spend`] would be told, [`Told::Spent`] for "nothing speaks against it".
    Look {
        /// The memory the token names.
        mem: MemoryId,
        /// The token.
        id: TokenId,
        /// When it expires.
        expires: u64,
    },
    /// Begin a memory in place of `old`, if that is still the one there, whole or not.
    Make {
        /// The one found, if any.
        old: Option<MemoryId>,
        /// The new one.
        new: MemoryId,
    },
    /// Which memory is there, and what was taken back since.
    Hear {
        /// Who asks.
        gate: String,
        /// The memory under which `heard` counts; another one there: everything is told.
        mem: Option<MemoryId>,
        /// The number of the latest revocation heard of.
        heard: u64,
        /// Revocations told at most.
        limit: usize,
    },
    /// Take something back, or put back what an emptied server lacks.
    Revoke {
        /// The memory meant.
        mem: MemoryId,
        /// What; none that is known already takes room or a number.
        revocations: Vec<Revocation>,
        /// Memories whose revocations the asking gate knows all of, these included.
        lineage: Vec<MemoryId>,
        /// Revocations remembered at most.
        max_revocations: u64,
    },
    /// Drop what ended [`KEEP`] seconds ago, a bucket at a time.
    Sweep {
        /// The memory meant.
        mem: MemoryId,
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
    /// The number up to which every listening gate has heard, this one as it asked.
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
