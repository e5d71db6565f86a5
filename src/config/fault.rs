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
///
/// Where the directory's file has faults, they follow in a report of their own, or stand alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults {
    file: String,
    unreadable: Option<Unreadable>,
    list: Vec<Fault>,
    of_directory: Option<Box<Faults>>,
}

/// Why a file could not be read at all, and what to do but to write it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Unreadable {
    why: String,
    instead: &'static str,
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
        Self { file: file.to_owned(), unreadable: None, list, of_directory: None }
    }

    /// `file` could not be read at all.
    pub(super) fn unreadable(file: &str, why: &impl ToString, instead: &'static str) -> Self {
        let unreadable = Some(Unreadable { why: why.to_string(), instead });
        Self { file: file.to_owned(), unreadable, list: Vec::new(), of_directory: None }
    }

    /// Together with those of the directory's file that this one names.
    pub(super) fn and_of_directory(self, faults: Option<Faults>) -> Self {
        Self { of_directory: faults.map(Box::new), ..self }
    }

    /// Why the file could not be read at all, if that is so.
    pub fn why_unreadable(&self) -> Option<&str> {
        self.unreadable.as_ref().map(|unreadable| unreadable.why.as_str())
    }

    /// The faults of the file itself; empty if it could not be read at all.
    pub fn list(&self) -> &[Fault] {
        &self.list
    }

    /// The faults of the directory's file, where it has any.
    pub fn of_directory(&self) -> Option<&Faults> {
        self.of_directory.as_deref()
    }
}

impl std::error::Error for Faults {}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Unreadable { why, instead }) = &self.unreadable {
            writeln!(f, "{} cannot be read: {why}", self.file)?;
            return write!(f, "  do: write it, as the README shows, or {instead}");
        }
        if let (true, Some(directory)) = (self.list.is_empty(), &self.of_directory) {
            return directory.fmt(f);
        }
        f.write_str(&self.file)?;
        let have = if self.list.iter().any(|fault| matches!(fault.place, Place::Variable(_))) {
            "and the environment have"
        } else {
            "has"
        };
        let faults = if self.list.len() == 1 { "fault" } else { "faults" };
        write!(f, " {have} {} {faults}", self.list.len())?;
        self.list.iter().try_for_each(|fault| write!(f, "\n  {fault}"))?;
        self.of_directory.iter().try_for_each(|directory| write!(f, "\n{directory}"))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A key in quotes may hold what would move a terminal's cursor.
        let key = self.key.replace(char::is_control, "\u{fffd}");
        match &self.place {
            Place::Line(line) if key.is_empty() => write!(f, "line {line}")?,
            Place::Line(line) => write!(f, "line {line}, {key}")?,
            Place::File => f.write_str(&key)?,
            Place::Variable(name) if key.is_empty() => f.write_str(name)?,
            Place::Variable(name) => write!(f, "{name}, {key}")?,
        }
        write!(f, ": {}", self.what)
    }
}
