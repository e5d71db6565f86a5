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
    /// Those of them that have something for the client which it has not taken.
    waiting: AtomicUsize,
    /// Whether the system took less than was written.
    is_blocked: AtomicBool,
    /// Since when nothing is under way: milliseconds after it began.
    idle_since: AtomicU64,
    /// How often something was put there for the client, or taken.
    moves: AtomicU64,
    is_to_leave: AtomicBool,
    leave: Notify,
}

/// A request under way, until all of its answer is handed to the connection or it is dropped. What
/// the system has not yet taken of it keeps the connection from being idle
/// ([`Activity::has_written`]).
#[derive(Debug)]
pub(super) struct UnderWay {
    activity: Arc<Activity>,
    pieces: AtomicUsize,
}

/// A piece of an answer that the client has not taken, until it is dropped.
#[derive(Debug)]
pub(super) struct Waiting(Arc<UnderWay>);

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
            self.make_room();
            let free = Arc::clone(&self.free).acquire_owned();
            if let Ok(Ok(permit)) = tokio::time::timeout(GIVING_WAY, free).await {
                return self.place(Some(permit));
            }
        }
    }

    /// Asks the one that is idle the longest to give way; whether there is one.
    pub(super) fn make_room(&self) -> bool {
        let idle = self.longest_idle();
        if let Some(idle) = &idle {
            idle.is_to_leave();
        }
        idle.is_some()
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
            waiting: AtomicUsize::new(0),
            is_blocked: AtomicBool::new(false),
            idle_since: AtomicU64::new(0),
            moves: AtomicU64::new(0),
            is_to_leave: AtomicBool::new(false),
            leave: Notify::new(),
        }
    }

    /// A request has begun.
    pub(super) fn begin(self: &Arc<Self>) -> Arc<UnderWay> {
        self.asked.store(true, Ordering::Relaxed);
        self.under_way.fetch_add(1, Ordering::AcqRel);
        Arc::new(UnderWay { activity: self.clone(), pieces: AtomicUsize::new(0) })
    }

    /// Whether a request is under way, or an answer not yet written.
    fn is_busy(&self) -> bool {
        self.under_way.load(Ordering::Acquire) > 0 || self.is_blocked.load(Ordering::Acquire)
    }

    /// The system took `all` that was written, or less than that.
    pub(super) fn has_written(&self, all: bool) {
        if self.is_blocked.swap(!all, Ordering::AcqRel) && all {
            self.moves();
        }
    }

    fn moves(&self) {
        self.moves.fetch_add(1, Ordering::AcqRel);
    }

    /// Milliseconds since it was accepted.
    fn age(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
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
        if self.is_to_leave.load(Ordering::Relaxed) || self.is_busy() {
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
            if self.is_busy() {
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

    /// Waits until all that is under way has waited for so long for a client that takes nothing of
    /// it. Where the system does not take it, it is for the system to say when the client is gone;
    /// an answer of which there is nothing to take is waited for.
    pub(super) async fn untaken_for(&self, time: Duration) {
        // Looked at now and then, so that those who move need not look at the time: it may take a
        // quarter longer.
        let (mut moves, mut since) = (self.moves.load(Ordering::Acquire), Instant::now());
        loop {
            tokio::time::sleep(time / 4).await;
            let now = Instant::now();
            let so_far = self.moves.load(Ordering::Acquire);
            if so_far != moves || !self.only_waits() {
                (moves, since) = (so_far, now);
            } else if since + time <= now {
                return;
            }
        }
    }

    fn only_waits(&self) -> bool {
        let under_way = self.under_way.load(Ordering::Acquire);
        under_way > 0
            && self.waiting.load(Ordering::Acquire) == under_way
            && !self.is_blocked.load(Ordering::Acquire)
    }

    /// Waits until another connection wants its place.
    pub(super) async fn gives_way(&self) {
        self.leave.notified().await;
    }

    pub(super) fn is_to_leave(&self) {
        self.is_to_leave.store(true, Ordering::Relaxed);
        // Kept for it if it does not wait yet.
        self.leave.notify_one();
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let Self { activity, .. } = self;
        activity.idle_since.store(activity.age(), Ordering::Relaxed);
        activity.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Waiting {
    /// A piece of the answer to this request.
    pub(super) fn of(under_way: &Arc<UnderWay>) -> Self {
        under_way.activity.moves();
        if under_way.pieces.fetch_add(1, Ordering::AcqRel) == 0 {
            under_way.activity.waiting.fetch_add(1, Ordering::AcqRel);
        }
        Self(under_way.clone())
    }

    /// Some of it was taken.
    pub(super) fn moves(&self) {
        self.0.activity.moves();
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Self(under_way) = self;
        under_way.activity.moves();
        if under_way.pieces.fetch_sub(1, Ordering::AcqRel) == 1 {
            under_way.activity.waiting.fetch_sub(1, Ordering::AcqRel);
        }
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
