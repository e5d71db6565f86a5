//! What a memory does between requests, so that they need not: it lets go of what has expired,
//! keeps its journal small, and records ahead how far things are issued.

use std::{
    collections::HashSet,
    sync::{PoisonError, atomic::Ordering},
};

use super::{
    executor::beside_the_executor, manifest::Horizons, memory::Memory, record::Record,
    recorder::Recorder, segment::Segment,
};
use crate::gate::seen::bucket_end;

/// Seconds for which issuing is recorded in advance. After a crash a user is taken back that far
/// beyond the last link: less than a clock is corrected by without anyone's notice.
const AHEAD: u64 = 4;

/// Records that are looked through at one time, more or less.
const AT_ONCE: usize = 1 << 18;

/// Records that are rewritten in one step, at most: spends wait that long.
const STEP: usize = 4096;

impl Memory {
    /// Notes that something dated `now` is issued: on record before this returns, a few seconds
    /// ahead, so that it costs a record only now and then.
    ///
    /// # Errors
    /// Why this memory has ended.
    pub(super) fn issuing(&self, now: u64) -> Result<(), String> {
        // First: a memory that takes this one's place reads it when this one has ended.
        self.known.issued_until.fetch_max(now, Ordering::SeqCst);
        if now > self.issuing_until() {
            beside_the_executor(|| self.issue_ahead(now))?;
        }
        self.check()
    }

    /// The latest second at which things can be issued without another record.
    pub(super) fn issuing_until(&self) -> u64 {
        self.recorder.as_ref().map_or(u64::MAX, |recorder| recorder.journal().issued_until())
    }

    fn issue_ahead(&self, now: u64) -> Result<(), String> {
        let _extending = self.extending.lock().unwrap_or_else(PoisonError::into_inner);
        match &self.recorder {
            Some(recorder) if now + AHEAD / 2 > self.issuing_until() => {
                recorder.journal().issue_until(now.saturating_add(AHEAD))
            }
            _ => Ok(()),
        }
    }

    /// Drops what has expired: from memory first, which raises the horizons, then from disk.
    ///
    /// # Errors
    /// Something that can be tried again; what cannot has ended this memory.
    pub(super) fn drop_expired(&self, now: u64) -> Result<(), String> {
        self.check()?;
        // While things are being issued, none of them has to wait for a record.
        if self.known.issued_until.load(Ordering::SeqCst).abs_diff(now) < AHEAD / 2 {
            self.issue_ahead(now)?;
        }
        if let Some(horizon) = self.known.revoked.due(now) {
            // A link whose revocation is forgotten must not come back with the clock.
            self.seen.raise_horizon(horizon);
            self.known.revoked.forget(horizon);
        }
        self.seen.drop_expired(now);
        let Some(recorder) = &self.recorder else { return Ok(()) };
        let journal = recorder.journal();
        let revoked = self.known.revoked.horizon();
        let over =
            |segment: &Segment| segment.spent_until() <= now && segment.revoked_until() <= revoked;
        let over: Vec<_> = journal.full().into_iter().filter(|segment| over(segment)).collect();
        if !over.is_empty() {
            // Their own, too: a clock stepped to and fro can have kept the sweep from a late entry.
            let spent = over.iter().map(|segment| segment.spent_until()).max().unwrap_or(0);
            journal.drop_segments(&over, self.horizons(spent))?;
        }
        self.compact(recorder)?;
        journal.add_segment().map_err(|error| format!("cannot prepare a segment: {error}"))
    }

    /// Rewrites the oldest segments as long as the full ones hold twice as many records as matter:
    /// so one token or revocation that lives long keeps no more than its share, and nothing is
    /// written more than about twice as often as it came.
    fn compact(&self, recorder: &Recorder) -> Result<(), String> {
        let journal = recorder.journal();
        let mut seen = 0;
        for oldest in journal.full() {
            let live = self.seen.entries() + self.known.revoked.entries();
            if journal.full_records() <= 2 * live as u64 || seen > AT_ONCE {
                break;
            }
            let horizon = self.seen.horizon();
            let records = journal.records_in(&oldest)?;
            seen += records.len();
            let mut once = HashSet::new();
            let live = |record: &Record| match record {
                Record::Spent { expires, .. } => bucket_end(*expires) > horizon,
                Record::Revoked(revocation) => {
                    self.known.revoked.rests_on(revocation) && once.insert(*revocation)
                }
                // The manifest says it.
                Record::Issuing { .. } => false,
            };
            let live: Vec<_> = {
                let _taking = self.taking.lock().unwrap_or_else(PoisonError::into_inner);
                records.into_iter().filter(live).collect()
            };
            // What takes the place of a record that is dropped is kept before that is.
            recorder.settle();
            self.check()?;
            for some in live.chunks(STEP) {
                journal.write(some)?;
            }
            journal.drop_segments(&[oldest], self.horizons(horizon))?;
        }
        Ok(())
    }

    fn horizons(&self, spent: u64) -> Horizons {
        Horizons { spent: spent.max(self.seen.horizon()), revoked: self.known.revoked.horizon() }
    }
}
