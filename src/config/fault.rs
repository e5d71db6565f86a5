//! What is wrong with a configuration: every fault, where it stands and what to write instead.

use std::fmt;

/// Everything that is wrong with one configuration, in the order of its lines.
///
/// `Display` is the whole report, one line a fault:
///
/// ```text
/// oncegate.toml has 2 faults
///   line 14, links.max_ttl: "15 minutes" is not a duration; write "15m"
///   line 31, sites.panel.destinations.invoice: {1} is used but {0} is not
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults {
    file: String,
    unreadable: Option<String>,
    list: Vec<Fault>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where it was written.
    pub place: Place,
    /// The path of the key, as in `sites.panel.origin`; empty where the text is not TOML.
    pub key: String,
    /// What is wrong, and what to write instead.
    pub what: String,
}

/// Where something was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// On this line of the file, counted from 1.
    Line(usize),
    /// In the file as a whole: something is missing there.
    File,
    /// In this environment variable.
    Variable(String),
}

impl Faults {
    /// The faults found in `file`, put in order. A fault found twice is one.
    pub(super) fn new(file: &str, mut list: Vec<Fault>) -> Self {
        list.sort_by(|left, right| left.place.cmp(&right.place));
        list.dedup();
        Self { file: file.to_owned(), unreadable: None, list }
    }

    /// `file` could not be read at all.
    pub(super) fn unreadable(file: &str, why: &impl ToString) -> Self {
        Self { file: file.to_owned(), unreadable: Some(why.to_string()), list: Vec::new() }
    }

    /// The faults; empty if the file could not be read at all.
    pub fn list(&self) -> &[Fault] {
        &self.list
    }
}

impl std::error::Error for Faults {}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(why) = &self.unreadable {
            writeln!(f, "{} cannot be read: {why}", self.file)?;
            return write!(f, "  do: write it, as the README shows, or name another with --config");
        }
        f.write_str(&self.file)?;
        let have = if self.list.iter().any(|fault| matches!(fault.place, Place::Variable(_))) {
            "and the environment have"
        } else {
            "has"
        };
        let faults = if self.list.len() == 1 { "fault" } else { "faults" };
        write!(f, " {have} {} {faults}", self.list.len())?;
        self.list.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Line(line) if self.key.is_empty() => write!(f, "line {line}")?,
            Place::Line(line) => write!(f, "line {line}, {}", self.key)?,
            Place::File => f.write_str(&self.key)?,
            Place::Variable(name) if self.key.is_empty() => f.write_str(name)?,
            Place::Variable(name) => write!(f, "{name}, {}", self.key)?,
        }
        write!(f, ": {}", self.what)
    }
}
