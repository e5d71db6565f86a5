//! The table, as it is printed.

use crate::contest::Figures;

/// Below this part of the time, the server's core was not what limited a rate.
const BUSY: f64 = 0.9;

/// What is compared of two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Good answers a second.
    Rate,
    /// Bytes of bodies a second.
    Bytes,
    /// The time in which 99 of 100 are answered.
    P99,
}

/// What the ratio must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

/// One row.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub what: String,
    pub unit: Unit,
    pub ours: Figures,
    pub against: String,
    pub theirs: Figures,
    pub target: Option<Target>,
    /// Whether it tells of another's server, and not of a choice in ours.
    pub of_others: bool,
    saturated: bool,
}

impl Row {
    pub(crate) fn new(what: &str, unit: Unit, ours: Figures) -> Self {
        Self {
            what: what.to_owned(),
            unit,
            ours,
            against: String::new(),
            theirs: Figures::default(),
            target: None,
            of_others: true,
            saturated: true,
        }
    }

    pub(crate) fn against(self, whom: &str, theirs: Figures) -> Self {
        Self { against: whom.to_owned(), theirs, ..self }
    }

    pub(crate) fn at_least(self, ratio: f64) -> Self {
        Self { target: Some(Target::AtLeast(ratio)), ..self }
    }

    pub(crate) fn at_most(self, ratio: f64) -> Self {
        Self { target: Some(Target::AtMost(ratio)), ..self }
    }

    /// A row that is not meant to keep the server's core busy.
    pub(crate) fn unsaturated(self) -> Self {
        Self { saturated: false, ..self }
    }

    /// A row between two gates, whose disk or Redis is what limits them.
    pub(crate) fn among_ourselves(self) -> Self {
        Self { saturated: false, of_others: false, ..self }
    }

    /// Ours in their measure.
    pub(crate) fn ratio(&self) -> f64 {
        self.value(&self.ours) / self.value(&self.theirs)
    }

    /// What is compared.
    pub(crate) fn value(&self, side: &Figures) -> f64 {
        match self.unit {
            Unit::Rate => side.rate,
            Unit::Bytes => side.bytes,
            Unit::P99 => side.p99,
        }
    }

    /// What is compared, for a person.
    pub(crate) fn shown(&self, side: &Figures) -> String {
        let value = self.value(side);
        match self.unit {
            Unit::Rate => format!("{}/s", thousands(value)),
            Unit::Bytes => format!("{:.2} GB/s", value / 1e9),
            Unit::P99 => format!("{:.2} ms", value / 1e3),
        }
    }

    fn target(&self) -> (String, &'static str) {
        let said = |good| if good { "yes" } else { "no" };
        match self.target {
            None => (String::new(), ""),
            Some(Target::AtLeast(least)) => (format!("≥ {least:.2}"), said(self.ratio() >= least)),
            Some(Target::AtMost(most)) => (format!("≤ {most:.2}"), said(self.ratio() <= most)),
        }
    }

    /// Whether the load, and not the server, may have been what limited a side.
    fn idle(&self) -> bool {
        self.saturated && (self.ours.busy < BUSY || self.theirs.busy < BUSY)
    }
}

/// Prints these rows as a table of Markdown.
pub(crate) fn print(rows: &[Row]) {
    println!(
        "| what | ours | against | theirs | ratio | target | reached | CPU µs a request | busy | load's CPU µs | p50, p99 ms |\n\
         |---|--:|---|--:|--:|--:|---|--:|--:|--:|--:|"
    );
    for row in rows {
        let (target, reached) = row.target();
        let Row { ours, theirs, .. } = row;
        let time = |side: &Figures| format!("{:.2} {:.2}", side.p50 / 1e3, side.p99 / 1e3);
        let times = if theirs.p99 > 0.0 {
            format!("{} / {}", time(ours), time(theirs))
        } else {
            time(ours)
        };
        println!(
            "| {} | {} | {} | {} | {:.2}{} | {target} | {reached} | {:.1} / {:.1} | {:.0} % / {:.0} % | {:.1} / {:.1} | {times} |",
            row.what,
            row.shown(ours),
            row.against,
            row.shown(theirs),
            row.ratio(),
            if row.idle() { "*" } else { "" },
            ours.cpu,
            theirs.cpu,
            ours.busy * 100.0,
            theirs.busy * 100.0,
            ours.load,
            theirs.load,
        );
    }
    if rows.iter().any(Row::idle) {
        println!(
            "* The server's core was idle for more than a tenth of the time: the rate is that of the \
             load, or of\n  what is behind the server; compare the processor time."
        );
    }
}

/// A whole number with commas.
pub(crate) fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
