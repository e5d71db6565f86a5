//! The one wall clock.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustls::{pki_types::UnixTime, time_provider::TimeProvider};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Tells the time: the system's, or one that a test sets.
#[derive(Debug, Clone, Default)]
pub struct Clock(Option<Arc<AtomicU64>>);

impl Clock {
    /// A clock that stands at `now` until [`Clock::set`] moves it.
    pub fn manual(now: u64) -> Self {
        Self(Some(Arc::new(AtomicU64::new(now))))
    }

    /// Seconds since the Unix epoch.
    pub fn now(&self) -> u64 {
        match &self.0 {
            Some(manual) => manual.load(Ordering::SeqCst),
            #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
            None => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        }
    }

    /// Waits until `second` is over: what happens after that happens later by this clock.
    ///
    /// A manual clock moves when a test says so: there is nothing to wait for. Nor is there where
    /// the clock goes back meanwhile, after more than two seconds.
    pub async fn past(&self, second: u64) {
        let system = self.0.is_none();
        for _ in 0..80 {
            if !system || self.now() > second {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// Moves a manual clock, in either direction; the system's stays as it is.
    pub fn set(&self, now: u64) {
        if let Some(manual) = &self.0 {
            manual.store(now, Ordering::SeqCst);
        }
    }
}

/// TLS judges certificates by the same time.
impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.now())))
    }
}

/// Seconds since the Unix epoch as RFC 3339 in UTC, with seconds.
pub fn rfc3339(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| "9999-12-31T23:59:59Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_in_utc_with_seconds() {
        assert_eq!(rfc3339(1_764_000_000), "2025-11-24T16:00:00Z");
        assert_eq!(rfc3339(u64::MAX), "9999-12-31T23:59:59Z");
    }
}
