//! Reads a table key by key, and keeps account of everything that is wrong with it.
//!
//! A [`Section`] knows which keys were asked for: what is left over at the end is unknown. No
//! fault stops the reading; each goes to the [`Ledger`].

use std::collections::BTreeSet;

use crate::config::{
    fault::Place,
    ledger::Ledger,
    raw::{Node, Table, Value, quoted},
};

/// A value, or what is wrong with it and what to write instead.
pub(super) type Reading<T> = Result<T, String>;

/// A table being read.
#[derive(Debug)]
pub(super) struct Section<'l> {
    /// Where faults go.
    pub(super) ledger: &'l Ledger,
    path: String,
    table: Table,
    known: Vec<&'static str>,
}

impl<'l> Section<'l> {
    /// The whole file.
    pub(super) fn root(ledger: &'l Ledger, table: Table) -> Self {
        Self { ledger, path: String::new(), table, known: Vec::new() }
    }

    /// The path of one of its keys.
    pub(super) fn path_of(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// Its own path.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The text of its `name`, good or not.
    pub(super) fn name(&self) -> Option<String> {
        self.table.get("name").and_then(name_of).map(str::to_owned)
    }

    /// Records a fault of one of its keys.
    pub(super) fn fault(&self, key: &str, what: impl Into<String>) {
        self.ledger.fault(&self.path_of(key), what);
    }

    /// Whether `key` was read, well or not: what was written wrong is not missing.
    pub(super) fn has(&self, key: &str) -> bool {
        self.ledger.has(&self.path_of(key))
    }

    /// Reads `key` if it is there.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        how: impl FnOnce(&Node) -> Reading<T>,
    ) -> Option<T> {
        let node = self.take(key)?;
        how(&node).map_err(|what| self.fault(key, what)).ok()
    }

    /// Reads `key`; without it, it is `default`.
    pub(super) fn read_or<T>(
        &mut self,
        key: &'static str,
        how: impl FnOnce(&Node) -> Reading<T>,
        default: T,
    ) -> T {
        self.read(key, how).unwrap_or(default)
    }

    /// Reads `key`, which must be there; `example` is a line that would do.
    pub(super) fn require<T>(
        &mut self,
        key: &'static str,
        how: impl FnOnce(&Node) -> Reading<T>,
        example: &str,
    ) -> Option<T> {
        if !self.table.contains_key(key) {
            self.known.push(key);
            self.ledger.missing(&self.path_of(key), example);
            return None;
        }
        self.read(key, how)
    }

    /// Reads a list, each item with `how`; each wrong item is a fault at its own line.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        how: impl Fn(&Node) -> Reading<T>,
    ) -> Option<Vec<T>> {
        let node = self.take(key)?;
        let items = match &node.value {
            Value::List(items) => items.clone(),
            Value::Variable(text) => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                let node = |part: &str| Node {
                    place: node.place.clone(),
                    value: Value::Variable(part.to_owned()),
                };
                parts.map(node).collect()
            }
            Value::Text(_) => {
                self.fault(key, format!("is a list; write [{}]", node.shown()));
                return None;
            }
            _ => {
                self.fault(key, format!("{} is not a list; write [\"…\"]", node.shown()));
                return None;
            }
        };
        let read = |item: &Node| {
            how(item)
                .map_err(|what| self.ledger.fault_at(&item.place, &self.path_of(key), what))
                .ok()
        };
        Some(items.iter().filter_map(read).collect())
    }

    /// A table inside this one; without it, an empty one.
    pub(super) fn section(&mut self, key: &'static str) -> Section<'l> {
        let path = self.path_of(key);
        let empty = Section { ledger: self.ledger, path, table: Table::new(), known: Vec::new() };
        self.optional(key).unwrap_or(empty)
    }

    /// A table inside this one, if it is there and one.
    pub(super) fn optional(&mut self, key: &'static str) -> Option<Section<'l>> {
        let node = self.take(key)?;
        let path = self.path_of(key);
        let shown = node.shown();
        let Value::Table(table) = node.value else {
            self.fault(key, format!("{shown} is not a table; write [{path}]"));
            return None;
        };
        Some(Section { ledger: self.ledger, path, table, known: Vec::new() })
    }

    /// The tables of an array of tables, each called by its name, or else its number.
    pub(super) fn sections(&mut self, key: &'static str) -> Vec<Section<'l>> {
        self.sections_by(key, &["name"])
    }

    /// The tables of an array of tables, each called by the first of the keys `by` that it has, or
    /// else its number. No two may be called alike.
    pub(super) fn sections_by(
        &mut self,
        key: &'static str,
        by: &[&'static str],
    ) -> Vec<Section<'l>> {
        let path = self.path_of(key);
        let items = match self.take(key).map(|node| (node.place, node.value)) {
            None => Vec::new(),
            Some((_, Value::List(items))) => items,
            Some((Place::Variable(_), _)) => {
                self.fault(key, format!("the file has no [[{path}]] of that name"));
                Vec::new()
            }
            Some(_) => {
                self.fault(key, format!("there may be several; write [[{path}]]"));
                Vec::new()
            }
        };
        let mut sections: Vec<Section<'l>> = Vec::new();
        let mut taken = BTreeSet::new();
        for (number, item) in (1..).zip(items) {
            let Value::Table(table) = item.value else {
                let what = format!("{} is not a table; write [[{path}]]", item.shown());
                self.ledger.fault_at(&item.place, &path, what);
                continue;
            };
            let name = by.iter().find_map(|by| {
                let node = table.get(*by)?;
                Some((*by, node, name_of(node)?))
            });
            let numbered = join(&path, &number.to_string());
            let called = match name {
                Some((_, _, name)) if taken.insert(name.to_owned()) => join(&path, name),
                Some((by, node, _)) => {
                    let (shown, key) = (node.shown(), join(&numbered, by));
                    let what = format!("{shown} is the {by} of another one above; change it");
                    self.ledger.fault_at(&node.place, &key, what);
                    numbered
                }
                None => numbered,
            };
            self.ledger.seen(&called, &item.place);
            sections.push(Section { ledger: self.ledger, path: called, table, known: Vec::new() });
        }
        sections
    }

    /// Every key of a table whose keys are the user's own, each read with `how`.
    pub(super) fn entries<T>(
        &mut self,
        key: &'static str,
        how: impl Fn(&str, &Node) -> Reading<T>,
    ) -> Vec<(String, T)> {
        let section = self.section(key);
        let read = |(key, node): (String, Node)| {
            self.ledger.seen(&section.path_of(&key), &node.place);
            how(&key, &node)
                .map_err(|what| section.fault(&key, what))
                .ok()
                .map(|value| (key, value))
        };
        section.table.clone().into_iter().filter_map(read).collect()
    }

    /// Reports the keys nobody asked for.
    pub(super) fn done(self) {
        for (key, node) in &self.table {
            let near = nearest(key, &self.known);
            let instead = near.map_or_else(
                || format!("known here: {}", self.known.join(", ")),
                |near| format!("did you mean {near:?}?"),
            );
            let is = match (&node.value, self.path.is_empty()) {
                (Value::Table(_) | Value::List(_), true) => "section",
                _ => "key",
            };
            let what = format!("unknown {is}; {instead}");
            self.ledger.fault_at(&node.place, &self.path_of(key), what);
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Node> {
        self.known.push(key);
        let node = self.table.remove(key)?;
        self.ledger.seen(&self.path_of(key), &node.place);
        Some(node)
    }
}

/// Reads one word out of a few.
pub(super) fn one_of<T: Copy>(values: &[(&str, T)]) -> impl FnOnce(&Node) -> Reading<T> {
    move |node| {
        let (Value::Text(text) | Value::Variable(text)) = &node.value else {
            return Err(format!("{} is not a word; write {}", node.shown(), words(values)));
        };
        let found = values.iter().find(|(word, _)| word == text).map(|(_, value)| *value);
        found.ok_or_else(|| format!("{} is not known here; write {}", quoted(text), words(values)))
    }
}

fn words<T>(values: &[(&str, T)]) -> String {
    let words: Vec<String> = values.iter().map(|(word, _)| format!("{word:?}")).collect();
    words.join(" or ")
}

fn name_of(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Text(name) | Value::Variable(name) if !name.is_empty() => Some(name),
        Value::Integer(number) => Some(number),
        _ => None,
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The known key that was probably meant.
pub(super) fn nearest<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    let distance = |other: &str| edits(&key.to_lowercase().replace('-', "_"), other);
    let near = known.iter().map(|other| (distance(other), *other)).min()?;
    (near.0 <= 1 + near.1.len() / 4).then_some(near.1)
}

/// The Levenshtein distance, in bytes.
fn edits(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.bytes().enumerate() {
        let mut previous = i;
        let mut before = i + 1;
        for (r, cell) in right.bytes().zip(row.iter_mut().skip(1)) {
            let changed = previous + usize::from(l != r);
            previous = *cell;
            before = changed.min(before + 1).min(*cell + 1);
            *cell = before;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_key() {
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(nearest("max-ttl", &["ttl", "max_ttl", "page"]), Some("max_ttl"));
        assert_eq!(nearest("tttl", &["ttl", "max_ttl", "page"]), Some("ttl"));
        assert_eq!(nearest("colour", &["ttl", "max_ttl", "page"]), None);
    }
}
