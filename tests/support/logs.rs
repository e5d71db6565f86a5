//! Everything that is logged in this process, kept in memory at the level TRACE.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, Once},
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer, Registry,
    layer::{Context, SubscriberExt as _},
};

/// One event: its fields as text, the message under `message`.
#[derive(Debug, Clone)]
pub struct Line {
    pub level: Level,
    pub target: String,
    pub fields: BTreeMap<String, String>,
}

impl Line {
    /// A field, or "" where there is none.
    pub fn get(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

static LINES: Mutex<Vec<Line>> = Mutex::new(Vec::new());
static ONCE: Once = Once::new();

/// Keeps what is logged from here on; a second call changes nothing.
pub fn keep() {
    ONCE.call_once(|| {
        tracing::subscriber::set_global_default(Registry::default().with(Kept)).unwrap();
    });
}

/// Everything so far.
pub fn all() -> Vec<Line> {
    LINES.lock().unwrap().clone()
}

/// The audit lines of one request.
pub fn audit(request: &str) -> Vec<Line> {
    let mut lines = all();
    lines.retain(|line| line.target == "audit" && line.get("request") == request);
    lines
}

struct Kept;

impl<S: Subscriber> Layer<S> for Kept {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields(BTreeMap::new());
        event.record(&mut fields);
        let (level, target) = (*event.metadata().level(), event.metadata().target().to_owned());
        LINES.lock().unwrap().push(Line { level, target, fields: fields.0 });
    }
}

struct Fields(BTreeMap<String, String>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}
