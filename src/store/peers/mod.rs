//! Gates with a memory each, that know of each other: a token names its gate, and is spent there.
//!
//! The gate that receives a token judges everything; only the spend travels to the owner, which
//! records it by its own clock and answers for it. What was taken back is held by every gate: it
//! is recorded where it was asked for, pushed to the others at once, and each asks each of the
//! others every moment for what it has not heard of.
//!
//! A peer that does not answer is left alone: what needs it is refused at once, and only the
//! asking for revocations goes on, which finds out when it is back.

mod answer;
mod ask;
mod hear;
mod http;
mod peer;
mod pinned;
mod road;

pub use http::HttpRoad;
pub use pinned::{PeerOptions, Pinned};
pub use road::{Road, Sealed, Unanswered};

use super::{error, local, options, outgoing};
