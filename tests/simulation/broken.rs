//! What is wrong on purpose: each leaves out one thing that "one time, exactly" rests on, and the
//! simulation must notice.
//!
//! They are put in at the seams: around a store ([`store`]), in the files that a disk gives
//! ([`files`]), in the twin of Redis and on the wire to it. Production code has no switch for them.

pub mod files;
pub mod store;

use std::sync::Arc;

use oncegate::store::Store;

use crate::{once::Once, world::World};

/// A gate, a disk or a server with something left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// A token of a memory that is gone is recorded in the one there is.
    NoMemory,
    /// Looked for first, then admitted, whatever became of it meanwhile.
    LookedThenAdmitted,
    /// A set that is full forgets the oldest.
    EvictsWhenFull,
    /// Expiry is judged before the lock that drops what expired.
    HorizonOutsideTheLock,
    /// What is remembered is how the token was written.
    KeyIsTheText,
    /// A write that failed counts as done.
    FailedWriteIgnored,
    /// A sync that failed counts as done.
    FailedSyncIgnored,
    /// `durability = power` answers without a sync.
    AnsweredBeforeTheSync,
    /// Whatever segments are found are taken.
    NoManifest,
    /// A record is taken for what it says, whatever its checksum.
    NoChecksum,
    /// A loss of power goes unnoticed.
    BootIgnored,
    /// Two processes own one state directory.
    LockAlwaysGranted,
    /// Nothing tells a memory that was lost or rolled back.
    NoGuard,
    /// The memory's id stands in the script's text, and a script is loaded for whatever memory is
    /// found in the data.
    ScriptReloaded,
    /// The same, but a script is loaded only by whoever makes its memory, and no replication id is
    /// compared: a server that lost the lead and got it back has both script and memory, and
    /// lacks what it never got to replicate.
    ScriptNeverReloaded,
    /// Every attempt to spend has the same id.
    AttemptConstant,
    /// Expiry is judged by the gate's clock, and a use is dropped by the server's as soon as its
    /// token has expired.
    KeysExpireWithTheToken,
    /// Redis does not notice that something was evicted.
    EvictionUnnoticed,
    /// One question looks, another records.
    TwoSteps,
    /// A gate records a use in its own memory, whichever gate the token names.
    SpentWhereItArrives,
    /// An owner's "spent" is taken from whoever repeats it: it is bound to no question.
    AnswerNotBound,
}

/// The store as a gate gets it.
pub fn wrapped(store: Store, gate: &str, world: &Arc<World>) -> Arc<dyn Once> {
    match world.broken {
        Some(
            broken @ (Broken::NoMemory
            | Broken::LookedThenAdmitted
            | Broken::EvictsWhenFull
            | Broken::HorizonOutsideTheLock
            | Broken::KeyIsTheText
            | Broken::SpentWhereItArrives
            | Broken::AnswerNotBound),
        ) => Arc::new(store::Careless::new(store, gate, broken, world)),
        _ => Arc::new(store),
    }
}
