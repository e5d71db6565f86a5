//! How many connections a listener has, and which of them gives way when there are too many.
//!
//! A connection that is idle holds its place only as long as nobody else wants it: who opens
//! connections and asks for nothing locks out nobody.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

/// How long a connection that was asked to give way is waited for before another one is asked.
const GIVING_WAY: Duration = Duration::from_millis(100);

/// The places of a listener.
#[derive(Debug, Clone)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    taken: Arc<Mutex<BTreeMap<u64, Arc<Activity>>>>,
    next: Arc<AtomicU64>,
    open: Gauge,
}

/// A place, until it is dropped. It outlives what was said on the connection where that was
/// upgraded.
pub(super) struct Place {
    _permit: Option<OwnedSemaphorePermit>,
    open: Gauge,
}

/// What is going on on a connection.
#[derive(Debug)]
pub(super) struct Activity {
    began: Instant,
    asked: AtomicBool,
    under_way: AtomicUsize,
    /// Since when nothing is under way: milliseconds after it began.
    idle_since: AtomicU64,
    is_to_leave: AtomicBool,
    leave: Notify,
}

/// A request under way, until its answer is written or it is dropped.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Activity>);

/// A connection among those that may be asked to give way, until it is dropped.
pub(super) struct Listed {
    places: Places,
    number: u64,
    pub(super) activity: Arc<Activity>,
}

impl Places {
    pub(super) fn new(most: usize, open: Gauge) -> Self {
        let free = Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
        Self { free, taken: Arc::default(), next: Arc::default(), open }
    }

    /// A place for a connection that was accepted. Where all are taken, the one that is idle the
    /// longest gives way; where all are busy, it waits.
    pub(super) async fn take(&self) -> Place {
        loop {
            if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
                return self.place(Some(permit));
            }
            if let Some(idle) = self.longest_idle() {
                idle.is_to_leave();
            }
            let free = Arc::clone(&self.free).acquire_owned();
            if let Ok(Ok(permit)) = tokio::time::timeout(GIVING_WAY, free).await {
                return self.place(Some(permit));
            }
        }
    }

    /// A place beyond their number.
    pub(super) fn another(&self) -> Place {
        self.place(None)
    }

    fn place(&self, permit: Option<OwnedSemaphorePermit>) -> Place {
        self.open.inc();
        Place { _permit: permit, open: self.open.clone() }
    }

    /// Lists a connection that begins now.
    pub(super) fn list(&self) -> Listed {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let activity = Arc::new(Activity::new());
        self.locked(|taken| taken.insert(number, activity.clone()));
        Listed { places: self.clone(), number, activity }
    }

    fn longest_idle(&self) -> Option<Arc<Activity>> {
        self.locked(|taken| {
            let idle = taken.values().filter_map(|activity| Some((activity.idle()?, activity)));
            idle.max_by_key(|(time, _)| *time).map(|(_, activity)| activity.clone())
        })
    }

    fn locked<T>(&self, act: impl FnOnce(&mut BTreeMap<u64, Arc<Activity>>) -> T) -> T {
        act(&mut self.taken.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Activity {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            asked: AtomicBool::new(false),
            under_way: AtomicUsize::new(0),
            idle_since: AtomicU64::new(0),
            is_to_leave: AtomicBool::new(false),
            leave: Notify::new(),
        }
    }

    /// A request has begun.
    pub(super) fn begin(self: &Arc<Self>) -> UnderWay {
        self.asked.store(true, Ordering::Relaxed);
        self.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(self.clone())
    }

    /// Whether anything was ever asked for.
    pub(super) fn has_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// When it was accepted.
    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// How long nothing has been under way. None while something is, and for one that leaves.
    fn idle(&self) -> Option<Duration> {
        let leaves = self.is_to_leave.load(Ordering::Relaxed);
        if leaves || self.under_way.load(Ordering::Relaxed) > 0 {
            return None;
        }
        let since = Duration::from_millis(self.idle_since.load(Ordering::Relaxed));
        Some(self.began.elapsed().saturating_sub(since))
    }

    /// Waits until nothing has been under way for so long, counted from now at the earliest.
    pub(super) async fn idle_for(&self, time: Duration) {
        let mut until = Instant::now() + time;
        loop {
            tokio::time::sleep_until(until).await;
            if self.under_way.load(Ordering::Relaxed) > 0 {
                until = Instant::now() + time;
                continue;
            }
            let since = Duration::from_millis(self.idle_since.load(Ordering::Relaxed));
            let over = self.began + since + time;
            if over <= Instant::now() {
                return;
            }
            until = over;
        }
    }

    /// Waits until another connection wants its place.
    pub(super) async fn gives_way(&self) {
        self.leave.notified().await;
    }

    fn is_to_leave(&self) {
        self.is_to_leave.store(true, Ordering::Relaxed);
        // Kept for it if it does not wait yet.
        self.leave.notify_one();
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let Self(activity) = self;
        let since = u64::try_from(activity.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        activity.idle_since.store(since, Ordering::Relaxed);
        activity.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let Self { places, number, .. } = self;
        places.locked(|taken| taken.remove(number));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.dec();
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Place")
    }
}
