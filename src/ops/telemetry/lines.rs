//! One JSON object a line: `timestamp`, `level`, `message` and the event's fields, `target`.
//!
//! Every decision is such a line, so that it is on the way of every request: written straight into
//! one buffer, and from there to standard error in one piece. Whoever answers a request may wait for
//! that with others ([`together`]): one write then takes the lines of all of them.

use std::{
    cell::{Cell, RefCell},
    fmt,
    future::Future,
    io::{self, Write as _},
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{self, Poll, ready},
};

use pin_project_lite::pin_project;
use serde::Serialize;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::layer::{Context, Layer};

use crate::{
    gate::json,
    ops::clock::{self, Timestamp},
};

/// Past this many bytes lines that are gathered are written, and a buffer is not kept.
const LARGEST: usize = 64 * 1024;

/// The lines of this process.
static LINES: Lines = Lines::to(|text| {
    // With nobody to tell, the decision stands all the same.
    let _ = io::stderr().write_all(text);
});

thread_local! {
    /// The line that is put together now.
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// What becomes of lines that this thread adds now.
    static TURN: Cell<Turn> = const { Cell::new(Turn::WriteAtOnce) };
}

/// Does what a request asks for, and returns with all who are ready to come as far: the lines that
/// came of it are written by then, in one piece with theirs. On a terminal each is written at once.
pub const fn together<F: Future>(work: F) -> Together<F> {
    LINES.together(work)
}

pin_project! {
    /// See [`together`]. Not an `async fn`, which would move the work, and be twice as large.
    #[derive(Debug)]
    pub struct Together<F: Future> {
        #[pin]
        work: F,
        lines: &'static Lines,
        done: Option<(F::Output, Option<Unwritten>)>,
    }
}

impl<F: Future> Future for Together<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if let Some((done, written_when_dropped)) = this.done.take() {
            drop(written_when_dropped);
            return Poll::Ready(done);
        }
        let turn = Gathering::begin(this.lines);
        // Who waits for something else keeps no line back: the turn is over with this.
        let done = ready!(this.work.poll(context));
        // Behind all that are ready: the first of them to come back writes the lines of all.
        *this.done = Some((done, turn.end()));
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Writes events to standard error.
#[derive(Debug)]
pub(super) struct JsonLines(&'static Lines);

impl Default for JsonLines {
    fn default() -> Self {
        Self(&LINES)
    }
}

impl<S: Subscriber> Layer<S> for JsonLines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let (timestamp, level) = (clock::timestamp(), *event.metadata().level());
        let added = LINE.try_with(|line| match line.try_borrow_mut() {
            Ok(mut line) => self.0.add(&mut line, event, timestamp, level),
            // A value that logs while it is written: its line comes first, by itself.
            Err(_) => self.0.add(&mut Vec::new(), event, timestamp, level),
        });
        if added.is_err() {
            // The thread is about to end, and its buffer is gone.
            self.0.add(&mut Vec::new(), event, timestamp, level);
        }
    }
}

/// Lines on their way to where they are read.
#[derive(Debug)]
struct Lines {
    /// Not written yet. Held while they are, so that whoever comes next comes behind them.
    gathered: Mutex<Vec<u8>>,
    write: fn(&[u8]),
}

/// What becomes of the lines of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    WriteAtOnce,
    /// They are gathered, and there is none yet.
    Gather,
    /// There are some.
    Gathered,
}

impl Lines {
    const fn to(write: fn(&[u8])) -> Self {
        Self { gathered: Mutex::new(Vec::new()), write }
    }

    const fn together<F: Future>(&'static self, work: F) -> Together<F> {
        Together { work, lines: self, done: None }
    }

    fn add(&self, line: &mut Vec<u8>, event: &Event<'_>, timestamp: Timestamp, level: Level) {
        // What a value broke off by panicking while it was written is no line.
        line.clear();
        line.reserve(512);
        // Writing to a vector cannot fail.
        let _ = write!(line, r#"{{"timestamp":"{timestamp}","level":"{level}""#);
        event.record(&mut Members(line));
        json::text(Members(line).named("target"), event.metadata().target());
        line.extend_from_slice(b"}\n");
        let at_once = TURN.try_with(|turn| match turn.get() {
            Turn::WriteAtOnce => true,
            Turn::Gather | Turn::Gathered => {
                turn.set(Turn::Gathered);
                false
            }
        });
        self.gather(line, at_once.unwrap_or(true));
        line.shrink_to(LARGEST);
    }

    /// Adds lines to those that are gathered; all of them are written `at_once`, or where they are
    /// many.
    fn gather(&self, lines: &[u8], at_once: bool) {
        let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        gathered.extend_from_slice(lines);
        if (at_once && !gathered.is_empty()) || gathered.len() >= LARGEST {
            (self.write)(&gathered);
            gathered.clear();
            gathered.shrink_to(LARGEST);
        }
    }
}

/// While a thread gathers lines. They are written when this is dropped.
struct Gathering {
    lines: &'static Lines,
    /// What became of lines before, and will again.
    before: Turn,
}

/// Lines that are written when this is dropped, if nobody has by then.
#[derive(Debug)]
struct Unwritten(&'static Lines);

impl Gathering {
    fn begin(lines: &'static Lines) -> Self {
        Self { lines, before: TURN.replace(Turn::Gather) }
    }

    /// The lines that were gathered, if any.
    fn end(self) -> Option<Unwritten> {
        (TURN.replace(Turn::Gather) == Turn::Gathered).then(|| Unwritten(self.lines))
    }
}

impl Drop for Gathering {
    fn drop(&mut self) {
        if TURN.replace(self.before) == Turn::Gathered {
            drop(Unwritten(self.lines));
        }
    }
}

impl Drop for Unwritten {
    fn drop(&mut self) {
        self.0.gather(&[], true);
    }
}

/// Members of the object that is written.
struct Members<'a>(&'a mut Vec<u8>);

impl Members<'_> {
    /// Begins a member; its value is to follow.
    fn named(&mut self, name: &str) -> &mut Vec<u8> {
        self.0.extend_from_slice(b",\"");
        // The name of a field is an identifier: nothing in it is to be escaped.
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
        self.0
    }

    fn member(&mut self, name: &str, value: impl Serialize) {
        let json = self.named(name);
        let begun = json.len();
        if serde_json::to_writer(&mut *json, &value).is_err() {
            json.truncate(begun);
            json.extend_from_slice(b"null");
        }
    }
}

impl Visit for Members<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        json::text(self.named(field.name()), value);
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field.name(), value);
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field.name(), value);
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field.name(), value);
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.member(field.name(), value);
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        json::shown(self.named(field.name()), format_args!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::{future::ready, panic::AssertUnwindSafe};

    use futures_util::{FutureExt as _, future::join_all};
    use serde_json::{Value, json};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    thread_local! {
        /// What was written on this thread, each time.
        static WRITTEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    }

    /// Lines that go to [`WRITTEN`].
    fn lines() -> (&'static Lines, tracing::subscriber::DefaultGuard) {
        let lines: &'static Lines = Box::leak(Box::new(Lines::to(|text| {
            let text = String::from_utf8(text.to_vec()).unwrap();
            WRITTEN.with_borrow_mut(|written| written.push(text));
        })));
        let subscriber = tracing_subscriber::registry().with(JsonLines(lines));
        (lines, tracing::subscriber::set_default(subscriber))
    }

    /// How many lines were written each time.
    fn written() -> Vec<usize> {
        WRITTEN.with_borrow(|written| written.iter().map(|text| text.lines().count()).collect())
    }

    /// What is written of `work`, line by line.
    fn lines_of(work: impl FnOnce()) -> Vec<String> {
        let _lines = lines();
        work();
        WRITTEN.with_borrow(|written| written.concat()).lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_line_is_one_object_with_its_members_in_order() {
        let user = "\"joe\"\n\u{1}é";
        let lines = lines_of(|| {
            tracing::warn!(
                target: "audit", user, id = %"a\"b", count = 7_u64, less = -1_i64, yes = true,
                left_out = None::<&str>, why = ?Some("x"), part = 0.5, "used {}", "twice"
            );
        });
        let line: Value = serde_json::from_str(&lines[0]).unwrap();
        let timestamp = line["timestamp"].as_str().unwrap();
        let pattern = "0000-00-00T00:00:00.000000Z";
        let digits = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "0");
        assert_eq!(digits(timestamp), pattern);
        let expected = json!({
            "timestamp": timestamp, "level": "WARN", "message": "used twice", "user": user,
            "id": "a\"b", "count": 7, "less": -1, "yes": true, "why": "Some(\"x\")", "part": 0.5,
            "target": "audit",
        });
        assert_eq!(line, expected);
        let places = ["timestamp", "level", "message", "user", "target"]
            .map(|name| lines[0].find(&format!("\"{name}\":")).unwrap());
        assert!(places.is_sorted(), "{}", lines[0]);
        assert_eq!(lines.len(), 1);
    }

    #[tokio::test]
    async fn lines_of_all_who_are_as_far_are_written_at_once_and_before_each_goes_on() {
        let (lines, _guard) = lines();
        let each = (0..10).map(|number| async move {
            let given = lines
                .together(async {
                    tracing::info!("first of {number}");
                    tracing::info!("second of {number}");
                    number
                })
                .await;
            assert_eq!((given, written()), (number, vec![20]));
        });
        // Each a task of its own, as requests on many connections are.
        let tasks = tokio::task::LocalSet::new();
        let each: Vec<_> = each.map(|one| tasks.spawn_local(one)).collect();
        tasks.await;
        assert!(join_all(each).await.iter().all(Result::is_ok));
        assert_eq!(written(), [20]);
    }

    #[tokio::test]
    async fn nothing_is_kept_back_by_who_waits_goes_away_panics_or_does_not_gather() {
        let (lines, _guard) = lines();
        let mut waits = Box::pin(lines.together(async {
            tracing::info!("then it waits");
            std::future::pending::<()>().await;
        }));
        assert!(waits.as_mut().now_or_never().is_none());
        assert_eq!(written(), [1]);
        let mut gone = Box::pin(lines.together(async { tracing::info!("then it is gone") }));
        assert!(gone.as_mut().now_or_never().is_none());
        assert_eq!(written(), [1]);
        drop(gone);
        assert_eq!(written(), [1, 1]);
        let panics = lines.together(async {
            tracing::info!("then it panics");
            panic!("ended");
        });
        assert!(AssertUnwindSafe(panics).catch_unwind().await.is_err());
        assert_eq!(written(), [1, 1, 1]);
        let mut gathered = Box::pin(lines.together(async { tracing::info!("before the other") }));
        assert!(gathered.as_mut().now_or_never().is_none());
        tracing::info!("of nobody's request");
        assert_eq!(written(), [1, 1, 1, 2]);
        gathered.await;
        assert_eq!(written(), [1, 1, 1, 2]);
    }

    #[tokio::test]
    async fn what_is_gathered_within_what_is_gathered_takes_nothing_from_it() {
        let (lines, _guard) = lines();
        let outer = lines.together(async {
            tracing::info!("before");
            lines.together(async { tracing::info!("inside") }).await;
            tracing::info!("after");
            lines.together(ready(())).await;
        });
        outer.await;
        assert_eq!(written().iter().sum::<usize>(), 3);
    }

    #[tokio::test]
    async fn who_says_nothing_writes_nothing_and_who_says_much_is_written_in_between() {
        let (lines, _guard) = lines();
        let mut gathered = Box::pin(lines.together(async { tracing::info!("waits for more") }));
        assert!(gathered.as_mut().now_or_never().is_none());
        assert_eq!(lines.together(ready(7)).await, 7);
        assert!(written().is_empty(), "what others wait for is not its to write");
        gathered.await;
        let long = "x".repeat(1_000);
        lines.together(async { (0..100).for_each(|_| tracing::info!("{long}")) }).await;
        let written = written();
        assert_eq!((written.len(), written.iter().sum()), (3, 101));
    }

    #[test]
    fn a_line_that_was_broken_off_is_no_part_of_the_next() {
        struct Breaks;
        impl fmt::Debug for Breaks {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                panic!("broken off")
            }
        }
        let lines = lines_of(|| {
            let broken = std::panic::catch_unwind(|| tracing::info!(value = ?Breaks, "broken"));
            assert!(broken.is_err());
            tracing::info!("whole");
        });
        assert_eq!(lines.len(), 1);
        assert!(lines[0].contains("whole") && !lines[0].contains("broken"), "{}", lines[0]);
    }

    #[test]
    fn a_value_that_logs_while_it_is_written_is_no_fault() {
        struct Talks;
        impl fmt::Debug for Talks {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                tracing::info!("inside");
                f.write_str("talks")
            }
        }
        let lines = lines_of(|| tracing::info!(value = ?Talks, "outside"));
        assert_eq!(lines.len(), 1);
        assert!(lines[0].contains(r#""value":"talks""#), "{}", lines[0]);
    }
}
