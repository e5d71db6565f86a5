//! One JSON object a line: `timestamp`, `level`, `message` and the event's fields, `target`.
//!
//! Every decision is such a line, so that it is on the way of every request: written straight into
//! one buffer a thread, and from there to standard error in one piece.

use std::{
    cell::RefCell,
    fmt,
    io::{self, Write as _},
};

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

thread_local! {
    static LINES: RefCell<Lines> = const { RefCell::new(Lines::new()) };
}

/// Runs `work`, and writes the lines of this thread that come of it together: at its end, or sooner
/// where they are many. None is lost if it panics. On a terminal each is written at once.
pub fn together<T>(work: impl FnOnce() -> T) -> T {
    let _gathering = Gathering::begin();
    work()
}

/// Writes events to standard error.
#[derive(Debug)]
pub(super) struct JsonLines;

impl<S: Subscriber> Layer<S> for JsonLines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let (timestamp, level) = (clock::timestamp(), *event.metadata().level());
        let added = LINES.try_with(|lines| match lines.try_borrow_mut() {
            Ok(mut lines) => lines.add(event, timestamp, level),
            // A value that logs while it is written: its line comes first, by itself.
            Err(_) => Lines::new().add(event, timestamp, level),
        });
        if added.is_err() {
            // The thread is about to end, and its buffer is gone.
            Lines::new().add(event, timestamp, level);
        }
    }
}

/// The lines of one thread that are not written yet.
struct Lines {
    text: Vec<u8>,
    /// How many are gathering, one in the other.
    gathering: u32,
}

impl Lines {
    const fn new() -> Self {
        Self { text: Vec::new(), gathering: 0 }
    }

    fn add(&mut self, event: &Event<'_>, timestamp: Timestamp, level: Level) {
        self.write_line(event, timestamp, level);
        if self.gathering == 0 || self.text.len() >= LARGEST {
            self.write();
        }
    }

    fn write_line(&mut self, event: &Event<'_>, timestamp: Timestamp, level: Level) {
        let text = &mut self.text;
        // What a value broke off by panicking while it was written is no line.
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        text.truncate(whole);
        text.reserve(512);
        // Writing to a vector cannot fail.
        let _ = write!(text, r#"{{"timestamp":"{timestamp}","level":"{level}""#);
        event.record(&mut Members(text));
        json::text(Members(text).named("target"), event.metadata().target());
        text.extend_from_slice(b"}\n");
    }

    fn write(&mut self) {
        // With nobody to tell, the decision stands all the same.
        let _ = io::stderr().write_all(&self.text);
        self.text.clear();
        self.text.shrink_to(LARGEST);
    }
}

struct Gathering;

impl Gathering {
    fn begin() -> Self {
        LINES.with_borrow_mut(|lines| lines.gathering += 1);
        Self
    }
}

impl Drop for Gathering {
    fn drop(&mut self) {
        LINES.with_borrow_mut(|lines| {
            lines.gathering = lines.gathering.saturating_sub(1);
            if lines.gathering == 0 && !lines.text.is_empty() {
                lines.write();
            }
        });
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
    use serde_json::{Value, json};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// What is gathered of `work`, line by line.
    fn lines_of(work: impl FnOnce()) -> Vec<String> {
        let subscriber = tracing_subscriber::registry().with(JsonLines);
        tracing::subscriber::with_default(subscriber, || {
            LINES.with_borrow_mut(|lines| lines.gathering += 1);
            work();
            let text = LINES.with_borrow_mut(|lines| {
                lines.gathering -= 1;
                std::mem::take(&mut lines.text)
            });
            String::from_utf8(text).unwrap().lines().map(str::to_owned).collect()
        })
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

    #[test]
    fn lines_are_gathered_until_the_outermost_end_whatever_happens() {
        let lines = lines_of(|| {
            together(|| tracing::info!("one"));
            let ended = std::panic::catch_unwind(|| together(|| panic!("ended")));
            assert!(ended.is_err());
            tracing::info!("two");
        });
        assert_eq!(lines.len(), 2);
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
