//! What must be remembered: which tokens were used, what was taken back, the keys.
//!
//! A token names the one **memory** in which its use is recorded. A memory that cannot be shown
//! to be whole is not repaired, it is replaced, and every outstanding token of the old one is
//! fenced. The price of any doubt is a link that must be asked for again, never a second
//! admission.

pub mod disk;
pub mod error;
pub mod journal;
pub mod keys;
pub mod load;
pub mod lock;
pub mod manifest;
pub mod memory;
pub mod options;
pub mod record;
pub mod recorder;
pub mod segment;
mod spending;
pub mod tail;

pub use error::{NewMemory, StoreError, StoreNotice};
pub use manifest::Durability;
pub use options::{JournalOptions, StoreOptions, StoreStatus};
pub use spending::Store;
