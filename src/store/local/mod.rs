//! The memory of this gate alone: in this process, and in a journal on local disk.

mod begin;
pub mod disk;
mod executor;
mod heard;
mod journal;
mod load;
mod local_disk;
mod lock;
mod manifest;
mod memory;
mod owning;
mod record;
mod recorder;
mod revoking;
mod segment;
mod spenders;
mod spending;
mod tail;
mod upkeep;
mod written;

use super::{error, fullness, options};

pub use heard::Heard;
pub use manifest::Durability;
pub use spending::Local;
