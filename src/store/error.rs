//! Why a store does not open, why a memory ended, and what an operator should hear of.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

/// Why the store cannot be opened. What could be answered by a new memory is not an error.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused something.
    #[error("cannot {doing} {}: {source}\n  do: check that once.dir is writable and its disk has room", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Another process has the directory.
    #[error("{} is in use: another gate holds it\n  do: stop that one, or give this one its own once.dir", dir.display())]
    Locked {
        /// The state directory.
        dir: PathBuf,
    },
    /// The directory is on a network file system.
    #[error("{} is on {kind}, where neither locks nor syncs can be trusted\n  do: put once.dir on a local disk", dir.display())]
    Network {
        /// The state directory.
        dir: PathBuf,
        /// The file system's name.
        kind: &'static str,
    },
    /// The directory belongs to another gate.
    #[error("{} belongs to gate {found:?}, and this is gate {ours:?}\n  do: give each gate its own once.dir, or set gate.name to {found:?}", dir.display())]
    OtherGate {
        /// The state directory.
        dir: PathBuf,
        /// Whose it is.
        found: String,
        /// Who asks.
        ours: String,
    },
    /// The way to the shared store cannot be made.
    #[error("the shared store cannot be used: {0}\n  do: correct once.redis")]
    Redis(String),
    /// The journal was written by a newer version.
    #[error("{} holds a journal of another version ({found:?})\n  do: run the version that wrote it, or empty the directory: outstanding links are then refused", dir.display())]
    Newer {
        /// The state directory.
        dir: PathBuf,
        /// How the journal calls itself.
        found: String,
    },
}

impl StoreError {
    pub(in crate::store) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { doing, path: path.to_owned(), source }
    }
}

/// Why there is a new memory in place of the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewMemory {
    /// There was none before, or it was never meant to be kept.
    First,
    /// The journal is not whole.
    Damaged(String),
    /// The machine was restarted, and the journal was neither synced nor closed.
    Restarted,
    /// The clock is behind what it showed before.
    ClockWentBack,
    /// A write or a sync failed.
    Failed(String),
    /// The shared memory's server was restarted, or another one took its place.
    StoreMoved,
    /// Something is gone from the shared memory, or all of it.
    StoreLost,
    /// The clock of the shared memory's server is behind what it showed before.
    StoreClock,
    /// Another gate began the one that is there now.
    StoreElsewhere,
}

impl NewMemory {
    /// All labels, for counting.
    pub const LABELS: [&'static str; 9] = [
        "first",
        "damaged",
        "restarted",
        "clock_went_back",
        "failed",
        "store_moved",
        "store_lost",
        "store_clock",
        "store_elsewhere",
    ];

    /// A short name of the reason.
    pub fn label(&self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Damaged(_) => "damaged",
            Self::Restarted => "restarted",
            Self::ClockWentBack => "clock_went_back",
            Self::Failed(_) => "failed",
            Self::StoreMoved => "store_moved",
            Self::StoreLost => "store_lost",
            Self::StoreClock => "store_clock",
            Self::StoreElsewhere => "store_elsewhere",
        }
    }
}

impl fmt::Display for NewMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => f.write_str("there was none before"),
            Self::Damaged(why) => write!(f, "the journal is not whole: {why}"),
            Self::Restarted => {
                f.write_str("the machine was restarted before the journal was closed")
            }
            Self::ClockWentBack => f.write_str("the clock went back"),
            Self::Failed(why) => write!(f, "recording failed: {why}"),
            Self::StoreMoved => {
                f.write_str("the shared store was restarted, or another server took its place")
            }
            Self::StoreLost => f.write_str("the shared store has lost something"),
            Self::StoreClock => f.write_str("the shared store's clock went back"),
            Self::StoreElsewhere => f.write_str("another gate began one in the shared store"),
        }
    }
}

/// Something that happened in the store, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreNotice {
    /// A new memory took the place of the one before; outstanding links are fenced.
    Replaced(NewMemory),
    /// The journal was read back.
    Resumed {
        /// Uses that are still remembered.
        entries: usize,
        /// Revocations that are.
        revocations: usize,
    },
    /// Recording ended; redemption is refused until a new memory can be made.
    Ended(String),
    /// Less than a tenth of the room is left while links are issued.
    NearlyFull {
        /// Uses remembered.
        entries: usize,
        /// Uses that may be remembered.
        max_entries: usize,
    },
    /// There is room again.
    RoomAgain {
        /// Uses remembered.
        entries: usize,
        /// Uses that may be remembered.
        max_entries: usize,
    },
    /// A file in the state directory that is not ours. It is left alone.
    Foreign(String),
    /// Something failed that can be tried again.
    Upkeep(String),
    /// The shared memory that is there, with this many uses, is taken up.
    Joined(u64),
    /// The shared memory does not answer, or cannot be used; redemption is refused.
    Down(String),
    /// It does again.
    Answers,
    /// Another gate does not answer, and why.
    PeerSilent(String, String),
    /// It answers again.
    PeerAnswers(String),
}

impl fmt::Display for StoreNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replaced(NewMemory::First) => f.write_str("a first memory begins"),
            Self::Replaced(why) => write!(f, "new memory, outstanding links are fenced: {why}"),
            Self::Resumed { entries, revocations } => {
                write!(f, "journal read: {entries} uses, {revocations} revocations")
            }
            Self::Ended(why) => write!(f, "recording ended, redemption is refused: {why}"),
            Self::NearlyFull { entries, max_entries } => write!(
                f,
                "nearly full: {entries} of {max_entries} uses are remembered; at that many, \
                 redemption is refused; raise once.max_entries or issue links that live shorter"
            ),
            Self::RoomAgain { entries, max_entries } => {
                write!(f, "room again: {entries} of {max_entries} uses are remembered")
            }
            Self::Foreign(name) => {
                write!(f, "{name:?} in the state directory is not the gate's; it is left alone")
            }
            Self::Joined(entries) => write!(f, "shared memory taken up: {entries} uses"),
            Self::Down(why) => {
                write!(f, "the shared store cannot be used, redemption is refused: {why}")
            }
            Self::Answers => f.write_str("the shared store can be used again"),
            Self::Upkeep(why) => write!(f, "journal upkeep failed, will be tried again: {why}"),
            Self::PeerSilent(peer, why) => {
                write!(f, "gate {peer:?} does not answer, its links are refused here: {why}")
            }
            Self::PeerAnswers(peer) => write!(f, "gate {peer:?} answers again"),
        }
    }
}
