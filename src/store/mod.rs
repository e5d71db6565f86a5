//! What must be remembered: which tokens were used, what was taken back, the keys; and the
//! [`directory`] that issuing may ask, which is only read.
//!
//! A token names the one **memory** in which its use is recorded. A memory that cannot be shown
//! to be whole is not repaired, it is replaced, and every outstanding token of the old one is
//! fenced. The price of any doubt is a link that must be asked for again, never a second
//! admission.
//!
//! [`Store`] is that memory, wherever it is: [`local`] to this gate, in its process or in a journal
//! on its disk; one for each gate, which as [`peers`] record each other's tokens; or one that all
//! gates share in [`redis`].

pub mod certificates;
pub mod directory;
mod error;
mod fullness;
pub mod keys;
pub mod local;
mod once;
mod options;
pub mod outgoing;
pub mod peers;
pub mod redis;

pub use error::{NewMemory, StoreError, StoreNotice};
pub use local::Durability;
pub use once::{Store, Use};
pub use options::{JournalOptions, JournalWritten, PeerStatus, StoreOptions, StoreStatus};
