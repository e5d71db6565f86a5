//! Logs: text for a person at a terminal, JSON for everything else; to standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// The environment variable that filters logs, e.g. `info,oncegate::edge=debug`.
pub const FILTER: &str = "ONCEGATE_LOG";

/// Sends logs to standard error from here on. A second call changes nothing.
///
/// `filter` is what [`FILTER`] says; one that cannot be read counts as `info`.
pub fn init(filter: Option<&str>) {
    let filter = EnvFilter::try_new(filter.unwrap_or("info")).unwrap_or_else(|_| "info".into());
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    // A second subscriber can only come from a process that set up its own: leave that one.
    let _ = if std::io::stderr().is_terminal() {
        registry.with(lines.with_target(false)).try_init()
    } else {
        registry.with(lines.json().flatten_event(true).with_current_span(false)).try_init()
    };
}
