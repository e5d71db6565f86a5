//! How many links a caller may ask for.

use std::num::NonZeroU32;

use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
};

use crate::gate::{caller::Rate, denial::Denial};

/// The largest batch, and so the burst that a batch may have.
pub const MAX_BATCH: u32 = 1_000;

/// One caller's limiter: its rate for single links, the same rate with a larger burst for all.
#[derive(Debug)]
pub struct Limiter {
    singles: DefaultDirectRateLimiter,
    all: DefaultDirectRateLimiter,
    clock: DefaultClock,
}

impl Limiter {
    /// A limiter that has seen nothing yet.
    pub fn new(rate: Rate) -> Self {
        let count = NonZeroU32::new(rate.count).unwrap_or(NonZeroU32::MIN);
        let batch = NonZeroU32::new(MAX_BATCH).unwrap_or(NonZeroU32::MIN).max(count);
        let period = std::time::Duration::from_secs(u64::from(rate.seconds)) / count.get();
        // Only a period of zero has no quota, and a rate has at least one second.
        let quota = |burst| {
            Quota::with_period(period).unwrap_or(Quota::per_second(count)).allow_burst(burst)
        };
        let clock = DefaultClock::default();
        Self {
            singles: RateLimiter::direct(quota(count)),
            all: RateLimiter::direct(quota(batch)),
            clock,
        }
    }

    /// Takes one link.
    ///
    /// # Errors
    /// [`Denial::RateLimited`].
    pub fn take_one(&self) -> Result<(), Denial> {
        for limiter in [&self.singles, &self.all] {
            limiter.check().map_err(|until| self.limited(until.earliest_possible()))?;
        }
        Ok(())
    }

    /// Takes a batch of `count` links, all or none.
    ///
    /// # Errors
    /// [`Denial::RateLimited`].
    pub fn take_batch(&self, count: u32) -> Result<(), Denial> {
        let Some(count) = NonZeroU32::new(count) else { return Ok(()) };
        // What a batch takes is gone for single links too; one no larger than their burst is
        // held to it, or batches of one would have the larger.
        let larger = match self.singles.check_n(count) {
            Ok(Err(until)) => return Err(self.limited(until.earliest_possible())),
            Ok(Ok(())) => false,
            Err(_) => true,
        };
        match self.all.check_n(count) {
            Ok(Ok(())) => {
                while larger && self.singles.check().is_ok() {}
                Ok(())
            }
            Ok(Err(until)) => Err(self.limited(until.earliest_possible())),
            Err(_) => Err(Denial::PayloadTooLarge(u64::from(MAX_BATCH))),
        }
    }

    fn limited(&self, until: <DefaultClock as governor::clock::Clock>::Instant) -> Denial {
        let wait = until.duration_since(self.clock.now());
        Denial::RateLimited(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn singles_burst_to_the_rate_and_batches_to_a_thousand() {
        let limiter = Limiter::new(Rate { count: 2, seconds: 3_600 });
        assert_eq!(limiter.take_one(), Ok(()));
        assert_eq!(limiter.take_one(), Ok(()));
        assert!(matches!(limiter.take_one(), Err(Denial::RateLimited(1..=1_800))));
        assert_eq!(limiter.take_batch(900), Ok(()));
        assert!(matches!(limiter.take_batch(900), Err(Denial::RateLimited(_))));
    }

    #[test]
    fn batches_of_one_are_single_links() {
        let limiter = Limiter::new(Rate { count: 2, seconds: 3_600 });
        assert_eq!(limiter.take_batch(1), Ok(()));
        assert_eq!(limiter.take_batch(1), Ok(()));
        assert!(matches!(limiter.take_batch(1), Err(Denial::RateLimited(_))));
    }

    #[test]
    fn a_batch_counts_against_single_links() {
        let limiter = Limiter::new(Rate { count: 2, seconds: 3_600 });
        assert_eq!(limiter.take_batch(1_000), Ok(()));
        assert!(matches!(limiter.take_one(), Err(Denial::RateLimited(_))));
    }
}
