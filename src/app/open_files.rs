//! How many files the process may have open: every connection is one, and one to an upstream more.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// What a gate has open besides its connections: its journal, its sockets, its keys.
const OWN: u64 = 64;

/// Raises what the system grants at first to the most that it allows, and says so where even that
/// is less than `max_connections` of a listener need, each with one to an upstream.
pub(super) fn raise(max_connections: usize) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        // What it may not raise stays as it is: the limit that results is judged.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
    let needed = needed(max_connections);
    if let Some(allowed) = getrlimit(Resource::Nofile).current.filter(|allowed| *allowed < needed) {
        warn!(
            allowed,
            needed,
            "limits.max_connections needs more open files than the system allows; set \
             LimitNOFILE= in the unit (ulimit -Hn in a shell), or lower limits.max_connections"
        );
    }
}

fn needed(max_connections: usize) -> u64 {
    u64::try_from(max_connections).unwrap_or(u64::MAX).saturating_mul(2).saturating_add(OWN)
}
