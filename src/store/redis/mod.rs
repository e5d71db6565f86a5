//! One memory for several gates: Redis or Valkey, a single server or one that Sentinel names.
//!
//! What makes it exact is judged in the same atomic step that records a use: that the memory is
//! the one the token names, and that this server still holds all of it. A server that was
//! restarted or promoted has another replication id than the one the memory was made on; one that
//! evicted something lacks a bucket that its own list has.

mod asking;
mod checks;
mod hearing;
mod line;
mod options;
pub mod protocol;
mod revoking;
mod scripts;
mod server;
mod shared;
mod wire;

pub use asking::Questions;
pub use line::Address;
pub use options::{Login, RedisOptions, Tls, Whereabouts};
pub use server::Redis;
pub use shared::{Shared, SharedOptions};
pub use wire::Prefix;
