//! What must be remembered: which tokens were used, what was taken back, the keys; and the
//! [`directory`] that issuing may ask, which is only read.
//!
//! A token names the one **memory** in which its use is recorded. A memory that cannot be shown
//! to be whole is not repaired, it is replaced, and every outstanding token of the old one is
//! fenced. The price of any doubt is a link that must be asked for again, never a second
//! admission.

pub mod directory;
mod error;
mod fullness;
pub mod keys;
pub mod local;
mod once;
mod options;
pub mod redis;

pub use error::{NewMemory, StoreError, StoreNotice};
pub use local::Durability;
pub use once::{Store, Use};
pub use options::{JournalOptions, StoreOptions, StoreStatus};
