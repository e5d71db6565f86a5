//! The memory of this gate alone: in this process, and in a journal on local disk.

pub mod disk;
mod journal;
mod load;
mod local_disk;
mod lock;
mod manifest;
mod memory;
mod record;
mod recorder;
mod segment;
mod spending;
mod tail;

use super::{error, options};

pub use manifest::Durability;
pub use spending::Local;
