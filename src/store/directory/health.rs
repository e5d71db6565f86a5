//! Whether the user's own service answers at all, as far as its answers tell.

use std::collections::BTreeSet;

use tokio::time::{Duration, Instant};

use crate::store::directory::notice::DirectoryNotice;

/// How long after a failure nobody is made to wait for another one.
const QUIET: Duration = Duration::from_secs(1);
/// How many different questions the service must leave unanswered, one after the other and over
/// a second at least, before nobody asks it anything for a moment: who knows names that it trips
/// on shuts out nobody whom it answers meanwhile.
const IN_A_ROW: usize = 3;

/// Whether the service answers at all.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// What it was asked and left unanswered since it last answered, of each collection.
    unanswered: BTreeSet<(&'static str, String)>,
    /// When it was asked the first of these.
    since: Option<Instant>,
    /// When it last answered.
    answered: Option<Instant>,
    /// Why nobody asks it, or did not when it was last tried.
    failure: Option<Failure>,
    /// Whether that was told.
    told: bool,
}

/// Why there is no answer, and until when that counts.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    /// For the log: no token, no body.
    pub(super) why: String,
    until: Instant,
}

impl Health {
    /// What happened since this was last asked: that it stopped answering, or started again.
    pub(super) fn notice(&mut self) -> Option<DirectoryNotice> {
        match (&self.failure, self.told) {
            (Some(failure), false) => {
                self.told = true;
                Some(DirectoryNotice::Silent(failure.why.clone()))
            }
            (None, true) => {
                self.told = false;
                Some(DirectoryNotice::Answers)
            }
            _ => None,
        }
    }

    /// Why the service need not be asked for a moment.
    pub(super) fn paused(&self) -> Option<Failure> {
        self.failure.clone().filter(|failure| !failure.is_over())
    }

    /// Nobody asks it for as long as this failure counts.
    pub(super) fn pause(&mut self, failure: &Failure) {
        self.failure = Some(failure.clone());
    }

    /// It answered a question.
    pub(super) fn note_answer(&mut self) {
        *self = Self { answered: Some(Instant::now()), told: self.told, ..Self::default() };
    }

    /// Notes a question that was asked when it `began` and had no answer.
    pub(super) fn note_silence(
        &mut self,
        question: (&'static str, String),
        began: Instant,
        failure: &Failure,
    ) {
        // It answered somebody else meanwhile: it is this question that it trips on.
        if self.answered.is_some_and(|answered| answered >= began) {
            return;
        }
        let since = self.since.map_or(began, |since| since.min(began));
        self.since = Some(since);
        // Of a crowd of questions the first few tell enough.
        if self.unanswered.len() < IN_A_ROW {
            self.unanswered.insert(question);
        }
        if self.unanswered.len() >= IN_A_ROW && since.elapsed() >= QUIET {
            // Once it is over, one question more is not yet a row again.
            self.unanswered.clear();
            self.since = None;
            self.pause(failure);
        }
    }
}

impl Failure {
    /// One that counts from now on.
    pub(super) fn of(why: String) -> Self {
        Self { why, until: Instant::now() + QUIET }
    }

    /// Whether it counts no more.
    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }
}
