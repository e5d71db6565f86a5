//! How tasks do together what costs less so, and take turns.

pub mod crowd;
pub mod yielding;
