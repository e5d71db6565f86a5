//! What is counted of verifying passwords.

use prometheus_client::metrics::counter::Counter;

use crate::ops::metrics::{How, Metrics, Why};

/// See [`Metrics`].
pub(super) struct Counts {
    pub memory: Counter,
    pub argon2: Counter,
    pub wrong: Counter,
    pub limited: Counter,
    pub busy: Counter,
}

impl Counts {
    pub(super) fn of(metrics: &Metrics) -> Self {
        let checked = |how| metrics.passwords.get_or_create(&How { how }).clone();
        let refused = |why| metrics.passwords_refused.get_or_create(&Why { why }).clone();
        Self {
            memory: checked("memory"),
            argon2: checked("argon2"),
            wrong: refused("wrong"),
            limited: refused("limited"),
            busy: refused("busy"),
        }
    }
}
