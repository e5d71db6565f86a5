//! The one wall clock.

use std::{
    cell::RefCell,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustls::{pki_types::UnixTime, time_provider::TimeProvider};
use time::OffsetDateTime;

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
    let mut text = String::with_capacity(20);
    write(&mut text, seconds);
    text.push('Z');
    text
}

/// Up to the seconds; every answer to a link has two of them.
fn write(text: &mut String, seconds: u64) {
    let time = i64::try_from(seconds).ok().map(OffsetDateTime::from_unix_timestamp);
    let Some(Ok(time)) = time else { return text.push_str("9999-12-31T23:59:59") };
    let mut two = |number: u8, behind: &str| {
        text.push(char::from(b'0' + number / 10 % 10));
        text.push(char::from(b'0' + number % 10));
        text.push_str(behind);
    };
    let year = time.year().unsigned_abs();
    two((year / 100) as u8, "");
    two((year % 100) as u8, "-");
    two(time.month().into(), "-");
    two(time.day(), "T");
    two(time.hour(), ":");
    two(time.minute(), ":");
    two(time.second(), "");
}

/// A moment, for a line of the log: RFC 3339 in UTC, with microseconds.
#[derive(Debug, Clone, Copy)]
pub struct Timestamp(Duration);

/// Now, by the system's clock: a log tells when it was, whatever a test has the gate believe.
pub fn timestamp() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        thread_local! {
            /// A second and its text: most lines are of the same as the line before.
            static SECOND: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
        }
        SECOND.with_borrow_mut(|(second, text)| {
            if *second != self.0.as_secs() || text.is_empty() {
                *second = self.0.as_secs();
                text.clear();
                write(text, *second);
            }
            f.write_str(text)
        })?;
        write!(f, ".{:06}Z", self.0.subsec_micros())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_six_digits_behind_its_second() {
        let moment = |micros| Timestamp(Duration::from_micros(micros)).to_string();
        assert_eq!(moment(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(moment(1_764_000_000_000_007), "2025-11-24T16:00:00.000007Z");
        assert_eq!(moment(1_764_000_000_999_999), "2025-11-24T16:00:00.999999Z");
        assert_eq!(moment(1_764_000_001_000_000), "2025-11-24T16:00:01.000000Z");
    }

    #[test]
    fn times_are_rfc_3339_in_utc_with_seconds() {
        assert_eq!(rfc3339(1_764_000_000), "2025-11-24T16:00:00Z");
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(rfc3339(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(253_402_300_799), "9999-12-31T23:59:59Z");
        assert_eq!(rfc3339(u64::MAX), "9999-12-31T23:59:59Z");
    }
}
