//! Stage one: the configuration as typed, each value with its place.
//!
//! TOML that is broken in one place is still read in all others: a broken line is set aside and
//! the rest read again, so that one report names every fault.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use toml::de::{DeTable, DeValue};

use crate::config::fault::{Fault, Faults, Place};

/// The keys of a table.
pub(super) type Table = BTreeMap<String, Node>;

/// A value and where it was written.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// The line of its key, or of itself in a list.
    pub(super) place: Place,
    /// What was written.
    pub(super) value: Value,
}

/// A value as typed.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// A string of the file.
    Text(String),
    /// An integer, in decimal.
    Integer(String),
    /// `true` or `false`.
    Flag(bool),
    /// What no key takes: its description.
    Other(&'static str),
    /// An array, or an array of tables.
    List(Vec<Node>),
    /// A table.
    Table(Table),
    /// The text of an environment variable: whatever its key wants it to be.
    Variable(String),
}

/// A file as typed.
#[derive(Debug, Default)]
pub(super) struct Raw {
    /// What could be read.
    pub(super) table: Table,
    /// The lines that are not TOML, and why.
    pub(super) broken: Vec<(usize, String)>,
    /// The text of the lines that had to be set aside, so that what stands in them is not called
    /// missing; `None` if nothing can be said about what is missing.
    pub(super) aside: Option<String>,
}

/// More broken lines than this are not worth the time of whoever reads the report.
const ROUNDS: usize = 20;

/// The text of a file; without it, `instead` is what to do but to write it.
pub(super) fn text_of(path: &Path, instead: &'static str) -> Result<String, Faults> {
    text_and_mode(path, instead).map(|(text, _)| text)
}

/// The same, and the mode of the file.
pub(super) fn text_and_mode(path: &Path, instead: &'static str) -> Result<(String, u32), Faults> {
    let file = path.display().to_string();
    let (bytes, mode) =
        bytes_and_mode(path).map_err(|error| Faults::unreadable(&file, &error, instead))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
        let line = 1 + before.filter(|byte| **byte == b'\n').count();
        let what = "is not UTF-8; save the file as UTF-8".to_owned();
        let fault = Fault { place: Place::Line(line), key: String::new(), what };
        Faults::new(&file, vec![fault])
    })?;
    Ok((text, mode))
}

fn bytes_and_mode(path: &Path) -> io::Result<(Vec<u8>, u32)> {
    let mut file = File::open(path)?;
    // Asked of the open file, so that what is judged is what is read.
    let mode = file.metadata()?.mode() & 0o7777;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok((bytes, mode))
}

/// Reads TOML, as much of it as can be read.
pub(super) fn read(text: &str) -> Raw {
    let mut lines: Vec<&str> = text.split('\n').collect();
    let mut raw = Raw { aside: Some(String::new()), ..Raw::default() };
    let mut blanked = BTreeSet::new();
    for round in 0..ROUNDS {
        let current = lines.join("\n");
        let starts = Lines::of(&current);
        let (table, errors) = DeTable::parse_recoverable(&current);
        raw.table = tree(table.get_ref(), &starts);
        let mut found: Vec<(usize, String)> = errors
            .iter()
            .map(|error| (starts.at(error.span().map_or(0, |span| span.start)), error))
            .map(|(line, error)| blame(&lines, line, error.message()))
            .collect();
        if found.is_empty() {
            return raw;
        }
        found.sort_by_key(|(line, _)| *line);
        found.dedup_by_key(|(line, _)| *line);
        // What stands below something left open, such as a list, was read as if inside it.
        let open = found.iter().position(|(_, why)| why.starts_with("unclosed"));
        found.truncate(open.map_or(found.len(), |open| open + 1));
        // An error on the line below one set aside is the rest of that one: nothing below is sure.
        let rest = |(line, _): &(usize, String)| above(&lines, &blanked, *line);
        if let Some(from) = (round > 0).then(|| found.iter().find_map(rest)).flatten() {
            lines.truncate(from - 1);
            raw.aside = None;
            let sure = lines.join("\n");
            let (table, _) = DeTable::parse_recoverable(&sure);
            raw.table = tree(table.get_ref(), &Lines::of(&sure));
            return raw;
        }
        for (line, why) in found {
            set_aside(&mut lines, line, &mut blanked, raw.aside.get_or_insert_default());
            raw.broken.push((line, why));
        }
    }
    raw.aside = None;
    raw
}

/// Where an error belongs: what was left open is noticed only where it cannot go on.
fn blame(lines: &[&str], line: usize, why: &str) -> (usize, String) {
    let text = |line: usize| lines.get(line - 1).copied().unwrap_or_default();
    let list = |line: &usize| text(*line).split_once('=').is_some_and(|(_, v)| v.contains('['));
    let long = |line: &usize| [r#"""""#, "'''"].iter().any(|open| text(*line).contains(open));
    let header = text(line).starts_with('[');
    let (opener, what) = if why.contains("multi-line") {
        ((1..=line).rev().find(long), "unclosed multi-line string, expected its end")
    } else if why.contains("array") && (header || text(line).contains('=') && !list(&line)) {
        ((1..line).rev().find(list), "unclosed array, expected `]`")
    } else {
        (None, why)
    };
    (opener.unwrap_or(line), what.to_owned())
}

/// The line that was set aside of which `line` is the rest: only blank ones stand between.
fn above(lines: &[&str], blanked: &BTreeSet<usize>, line: usize) -> Option<usize> {
    let stops = |line: &usize| {
        let blank = lines.get(line - 1).is_none_or(|text| text.trim().is_empty());
        blanked.contains(line) || !blank
    };
    (1..line).rev().find(stops).filter(|above| blanked.contains(above))
}

/// Empties a line; for a table's header, its keys too: they belong to no other table.
fn set_aside(lines: &mut [&str], line: usize, blanked: &mut BTreeSet<usize>, aside: &mut String) {
    let mut header = false;
    for (number, text) in (1..).zip(lines.iter_mut()).skip(line - 1) {
        let opens = text.trim_start().starts_with('[');
        if number == line {
            header = opens;
        } else if !header || opens {
            break;
        }
        aside.push_str(text);
        aside.push('\n');
        *text = "";
        blanked.insert(number);
    }
}

/// Where the lines of a text begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.match_indices('\n').map(|(at, _)| at).collect())
    }

    /// The line of a byte, counted from 1.
    fn at(&self, byte: usize) -> usize {
        self.0.partition_point(|end| *end < byte) + 1
    }
}

fn tree(table: &DeTable<'_>, lines: &Lines) -> Table {
    let node = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
        let place = Place::Line(lines.at(key.span().start));
        let key: &std::borrow::Cow<'_, str> = key.get_ref();
        (key.clone().into_owned(), Node { place, value: value_of(value.get_ref(), lines) })
    };
    table.iter().map(node).collect()
}

fn value_of(value: &DeValue<'_>, lines: &Lines) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.clone().into_owned()),
        DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
            .map_or(Value::Other("a number that is too large"), |n| Value::Integer(n.to_string())),
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Float(_) => Value::Other("a number with a fraction"),
        DeValue::Datetime(_) => Value::Other("a date"),
        DeValue::Table(table) => Value::Table(tree(table, lines)),
        DeValue::Array(items) => {
            let node = |item: &toml::Spanned<DeValue<'_>>| Node {
                place: Place::Line(lines.at(item.span().start)),
                value: value_of(item.get_ref(), lines),
            };
            Value::List(items.iter().map(node).collect())
        }
    }
}

impl Node {
    /// What was written, for a report; long text is cut, and what may hold a password is hidden.
    pub(super) fn shown(&self) -> String {
        match &self.value {
            Value::Text(text) | Value::Variable(text) => quoted(text),
            Value::Integer(number) => number.clone(),
            Value::Flag(flag) => flag.to_string(),
            Value::Other(what) => (*what).to_owned(),
            Value::List(_) => "a list".to_owned(),
            Value::Table(_) => "a table".to_owned(),
        }
    }
}

/// `text` in quotes, for a report.
pub(super) fn quoted(text: &str) -> String {
    if text.contains("://") && text.contains('@') {
        return "the URL".to_owned();
    }
    if text.chars().count() > 60 {
        let start: String = text.chars().take(60).collect();
        return format!("{start:?}…");
    }
    format!("{text:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_broken_line_does_not_hide_another_nor_what_is_whole() {
        let raw = read("a = 1\nb 2\nc = 3\n[d\ne = 4\n[f]\ng = 60s\nh = 5\n");
        let lines: Vec<usize> = raw.broken.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [2, 4, 7]);
        assert_eq!(raw.table.keys().collect::<Vec<_>>(), ["a", "c", "f"]);
        assert!(raw.aside.is_some_and(|aside| aside.contains("e = 4")));
    }

    #[test]
    fn what_a_line_leaves_open_is_not_blamed_on_the_lines_below() {
        for open in ["[\"x\",", "\"\"\"", "'''x"] {
            let raw = read(&format!("[a]\nb = {open}\nc = 1\n[d]\ne = 3\n"));
            let [(2, why)] = &raw.broken[..] else { panic!("{:?}", raw.broken) };
            assert!(why.starts_with("unclosed"), "{why}");
            assert_eq!(raw.table.keys().collect::<Vec<_>>(), ["a", "d"]);
        }
        let raw = read("[a]\nb = [\n  \"x\",\n  \"y\",\nc = 1\n[d]\ne = 3\n");
        assert_eq!(raw.broken.len(), 1, "{:?}", raw.broken);
        assert!(raw.aside.is_none(), "nothing is sure below the list");
    }

    #[test]
    fn a_place_is_the_line_of_the_key() {
        let raw = read("\n[a]\n\n\"b\" = [\n  1,\n  2]\n");
        let Some(Value::Table(table)) = raw.table.get("a").map(|node| &node.value) else {
            panic!("{raw:?}")
        };
        assert_eq!(table["b"].place, Place::Line(4));
        let Value::List(items) = &table["b"].value else { panic!("{table:?}") };
        assert_eq!(items[1].place, Place::Line(6));
    }
}
