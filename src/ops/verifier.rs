//! Checks the signatures of tokens: one at once, a crowd together.
//!
//! A crowd holds its thread for as long as its signatures take: 0.7 ms for 64 good ones, 3 ms for
//! 64 of which most are forged, where the next are fewer already: see [`pace`].

use std::sync::{Mutex, MutexGuard, PoisonError};

use self::pace::Pace;
use crate::{
    gate::{
        denial::Denial,
        token::{self, Proven, Unproven},
    },
    ops::{
        entropy,
        metrics::{Metrics, Verifications},
    },
    sync::crowd::{Crowd, Work},
};

mod pace;

pub use pace::MOST;

/// Where signatures are checked.
#[derive(Debug)]
pub struct Verifier {
    crowd: Crowd<Unproven, Result<Proven, Denial>>,
    checks: Checks,
}

/// How they are.
#[derive(Debug)]
struct Checks {
    pace: Mutex<Pace>,
    counted: Verifications,
}

impl Verifier {
    /// One for all threads.
    pub fn new(metrics: &Metrics) -> Self {
        let counted = metrics.verifications.clone();
        counted.limit.set(i64::try_from(MOST).unwrap_or(i64::MAX));
        Self { crowd: Crowd::default(), checks: Checks { pace: Mutex::default(), counted } }
    }

    /// Checks the signature of a token.
    ///
    /// # Errors
    /// [`Denial::BadSignature`]; [`Denial::Internal`] if the crowd it was in came to nothing.
    pub async fn prove(&self, token: Unproven) -> Result<Proven, Denial> {
        self.crowd.join(token, &self.checks).await.unwrap_or_else(|_| {
            Err(Denial::Internal("signatures were not checked to the end".into()))
        })
    }
}

impl Work for Checks {
    type Brought = Unproven;
    type Done = Result<Proven, Denial>;

    fn most(&self) -> usize {
        self.pace().limit()
    }

    fn alone(&self, token: Unproven) -> Result<Proven, Denial> {
        let verdict = token.prove();
        self.count(1, usize::from(verdict.is_ok()), false);
        verdict
    }

    fn together(&self, tokens: Vec<Unproven>) -> Vec<Result<Proven, Denial>> {
        let proved = token::prove(tokens, &entropy::random());
        let good = proved.each.iter().filter(|verdict| verdict.is_ok()).count();
        self.count(proved.each.len(), good, proved.split);
        proved.each
    }
}

impl Checks {
    fn count(&self, number: usize, good: usize, split: bool) {
        self.counted.sizes.observe(number);
        if split {
            self.counted.splits.inc();
        }
        let mut pace = self.pace();
        let before = pace.limit();
        pace.checked(number, good, split);
        let limit = pace.limit();
        if limit != before {
            self.counted.limit.set(i64::try_from(limit).unwrap_or(i64::MAX));
        }
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
