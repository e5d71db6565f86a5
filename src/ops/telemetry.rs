//! Logs: text for a person at a terminal, JSON for everything else; to standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

mod lines;

pub use lines::together;

/// The environment variable that filters logs, e.g. `info,oncegate::edge=debug`.
pub const FILTER: &str = "ONCEGATE_LOG";

/// Sends logs to standard error from here on. A second call changes nothing.
///
/// `filter` is what [`FILTER`] says; an empty one, and one that cannot be read, count as `info`.
pub fn init(filter: Option<&str>) {
    let registry = tracing_subscriber::registry().with(targets(filter));
    // A second subscriber can only come from a process that set up its own: leave that one.
    let _ = if std::io::stderr().is_terminal() {
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        registry.with(lines.with_target(false)).try_init()
    } else {
        registry.with(lines::JsonLines::default()).try_init()
    };
}

/// Levels, one for all and one a target: no event here is in a span, so that there is no more to
/// filter by.
fn targets(filter: Option<&str>) -> Targets {
    let all = || Targets::new().with_default(LevelFilter::INFO);
    // Nothing between two commas would stand for a level of its own, and a space for a part of a name.
    let parts =
        filter.unwrap_or_default().split(',').map(str::trim).filter(|part| !part.is_empty());
    let filter = parts.collect::<Vec<_>>().join(",");
    // An empty one is what a script passes on that has none.
    if filter.is_empty() { all() } else { filter.parse().unwrap_or_else(|_| all()) }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn a_filter_names_a_level_for_all_and_one_for_a_target() {
        let both = targets(Some("warn,audit=info,oncegate::edge=debug"));
        assert!(both.would_enable("audit", &Level::INFO));
        assert!(both.would_enable("oncegate::edge::api", &Level::DEBUG));
        assert!(both.would_enable("oncegate::app", &Level::WARN));
        assert!(!both.would_enable("oncegate::app", &Level::INFO));
        assert!(!targets(Some("off")).would_enable("oncegate::app", &Level::ERROR));
        assert!(targets(Some("DEBUG")).would_enable("oncegate::app", &Level::DEBUG));
        for spaced in ["info,", " info", "warn, audit=info", ",info,,"] {
            assert!(targets(Some(spaced)).would_enable("audit", &Level::INFO), "{spaced:?}");
        }
    }

    #[test]
    fn no_filter_an_empty_one_and_one_that_cannot_be_read_are_info() {
        for filter in [None, Some(""), Some(" , "), Some("oncegate=loud"), Some("audit=[]=")] {
            let targets = targets(filter);
            assert!(targets.would_enable("oncegate::app", &Level::INFO), "{filter:?}");
            assert!(!targets.would_enable("oncegate::app", &Level::DEBUG), "{filter:?}");
        }
    }
}
