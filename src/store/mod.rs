//! What must be remembered: which tokens were used, what was taken back, the keys; and the
//! [`directory`] that issuing may ask, which is only read.
//!
//! A token names the one **memory** in which its use is recorded. A memory that cannot be shown
//! to be whole is not repaired, it is replaced, and every outstanding token of the old one is
//! fenced. The price of any doubt is a link that must be asked for again, never a second
//! admission.

pub mod directory;
pub mod disk;
mod error;
mod journal;
pub mod keys;
mod load;
mod lock;
mod manifest;
mod memory;
mod options;
mod record;
mod recorder;
mod segment;
mod spending;
mod tail;

pub use error::{NewMemory, StoreError, StoreNotice};
pub use manifest::Durability;
pub use options::{JournalOptions, StoreOptions, StoreStatus};
pub use spending::Store;
