//! Time: the true one, and the clocks that believe in another.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use tokio::time::Instant;

/// Milliseconds since the Unix epoch at which every world begins.
const BEGINNING: u64 = 1_764_000_000_000;

/// True time. It runs with tokio's paused clock, which moves when everybody waits.
#[derive(Debug)]
pub struct Time {
    began: Instant,
    skipped: AtomicU64,
}

impl Time {
    /// Begins; within a runtime.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { began: Instant::now(), skipped: AtomicU64::new(0) })
    }

    /// Milliseconds since the Unix epoch.
    pub fn now(&self) -> u64 {
        BEGINNING + self.elapsed() + self.skipped.load(Ordering::SeqCst)
    }

    /// Milliseconds in which everybody could do something.
    pub fn elapsed(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap()
    }

    /// Lets all clocks go on by `milliseconds` in which nobody does anything, as when all machines
    /// sleep: hours would else be thousands of ticks.
    pub fn skip(&self, milliseconds: u64) {
        self.skipped.fetch_add(milliseconds, Ordering::SeqCst);
    }

    /// How many milliseconds of the run are over, and how many were skipped besides.
    pub fn so_far(&self) -> (u64, u64) {
        (self.elapsed(), self.skipped.load(Ordering::SeqCst))
    }
}

/// The wall clock of one machine.
#[derive(Debug, Clone)]
pub struct Clock {
    time: Arc<Time>,
    /// Milliseconds by which it is ahead.
    ahead: Arc<AtomicI64>,
}

impl Clock {
    /// A clock that is right.
    pub fn new(time: &Arc<Time>) -> Self {
        Self { time: Arc::clone(time), ahead: Arc::default() }
    }

    /// Seconds since the Unix epoch, as this clock has it.
    pub fn now(&self) -> u64 {
        self.time.now().saturating_add_signed(self.ahead.load(Ordering::SeqCst)) / 1_000
    }

    /// Steps it by so many milliseconds.
    pub fn step(&self, milliseconds: i64) {
        self.ahead.fetch_add(milliseconds, Ordering::SeqCst);
    }

    /// Sets it right.
    pub fn correct(&self) {
        self.ahead.store(0, Ordering::SeqCst);
    }

    /// Milliseconds by which it is ahead of the true time.
    pub fn ahead(&self) -> i64 {
        self.ahead.load(Ordering::SeqCst)
    }
}
