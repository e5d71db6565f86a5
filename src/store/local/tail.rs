//! The segments of a journal in the order of their records, and where the next one goes.

use std::{cmp::Ordering, collections::VecDeque, sync::Arc};

use super::{manifest::Listed, segment::Segment};

/// The segments: full ones, the one being written, empty ones.
#[derive(Debug)]
pub(super) struct Tail {
    /// Full ones.
    pub full: Vec<Arc<Segment>>,
    /// The one being written.
    pub current: Arc<Segment>,
    /// Records in `current`.
    pub next: u32,
    /// Empty ones, listed already.
    pub spares: VecDeque<Arc<Segment>>,
}

impl Tail {
    /// All segments, in order.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.full.iter().chain([&self.current]).chain(&self.spares)
    }

    /// All segments, as a manifest lists them.
    pub(super) fn listed(&self) -> Vec<Listed> {
        let records = |segment: &Segment| match segment.number.cmp(&self.current.number) {
            Ordering::Less => segment.capacity(),
            Ordering::Equal => self.next,
            Ordering::Greater => 0,
        };
        self.all().map(|segment| segment.listed(records(segment))).collect()
    }
}
