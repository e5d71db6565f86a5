//! Reads a table key by key, and keeps account of everything that is wrong with it.
//!
//! A [`Section`] knows which keys were asked for: what is left over at the end is unknown. No
//! fault stops the reading; each goes to the [`Ledger`].

use std::{
    cell::{Ref, RefCell},
    collections::BTreeMap,
};

use crate::config::{
    fault::{Fault, Place},
    raw::{Node, Table, Value, quoted},
};

/// A value, or what is wrong with it and what to write instead.
pub(super) type Reading<T> = Result<T, String>;

/// The faults and warnings found so far, and where each key was written.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    faults: RefCell<Vec<Fault>>,
    warnings: RefCell<Vec<String>>,
    places: RefCell<BTreeMap<String, Place>>,
    /// The text that could not be read; `None` if nothing can be said about what is missing.
    aside: Option<String>,
}

impl Ledger {
    /// An empty one. What stands in `aside` is not reported missing; `None`: nothing is.
    pub(super) fn new(aside: Option<String>) -> Self {
        Self { aside, ..Self::default() }
    }

    /// Records that `what` is wrong with `key`, at the place it was read from, or else the table
    /// it belongs in.
    pub(super) fn fault(&self, key: &str, what: impl Into<String>) {
        self.fault_at(&self.place_of(key), key, what);
    }

    /// Records a fault at a place that is no key's.
    pub(super) fn fault_at(&self, place: &Place, key: &str, what: impl Into<String>) {
        let fault = Fault { place: place.clone(), key: key.to_owned(), what: what.into() };
        self.faults.borrow_mut().push(fault);
    }

    /// Records that `key` is missing, unless it may stand in what could not be read.
    pub(super) fn missing(&self, key: &str, example: &str) {
        if !self.unsure(key) {
            self.fault(key, format!("is missing; write {example}"));
        }
    }

    /// Whether `key` may stand in what could not be read.
    pub(super) fn unsure(&self, key: &str) -> bool {
        let name = key.rsplit('.').next().unwrap_or(key);
        self.aside.as_ref().is_none_or(|aside| aside.contains(name))
    }

    /// Records something that is allowed and dangerous.
    pub(super) fn warn(&self, key: &str, what: &str) {
        self.warnings.borrow_mut().push(format!("{key}: {what}"));
    }

    /// The faults so far.
    pub(super) fn faults(&self) -> Ref<'_, Vec<Fault>> {
        self.faults.borrow()
    }

    /// All faults and all warnings.
    pub(super) fn close(self) -> (Vec<Fault>, Vec<String>) {
        (self.faults.into_inner(), self.warnings.into_inner())
    }

    fn seen(&self, key: &str, place: &Place) {
        self.places.borrow_mut().insert(key.to_owned(), place.clone());
    }

    fn place_of(&self, key: &str) -> Place {
        let places = self.places.borrow();
        let mut path = key;
        loop {
            if let Some(place) = places.get(path) {
                return place.clone();
            }
            match path.rsplit_once('.') {
                Some((parent, _)) => path = parent,
                None => return Place::File,
            }
        }
    }
}

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
        self.ledger.places.borrow().contains_key(&self.path_of(key))
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
        let table = match self.take(key).map(|node| (node.shown(), node.value)) {
            None => Table::new(),
            Some((_, Value::Table(table))) => table,
            Some((shown, _)) => {
                let path = self.path_of(key);
                self.fault(key, format!("{shown} is not a table; write [{path}]"));
                Table::new()
            }
        };
        Section { ledger: self.ledger, path: self.path_of(key), table, known: Vec::new() }
    }

    /// The tables of an array of tables, each called by its name, or else its number.
    pub(super) fn sections(&mut self, key: &'static str) -> Vec<Section<'l>> {
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
        for (number, item) in (1..).zip(items) {
            let Value::Table(table) = item.value else {
                let what = format!("{} is not a table; write [[{path}]]", item.shown());
                self.ledger.fault_at(&item.place, &path, what);
                continue;
            };
            let named = table.get("name").and_then(name_of).map(|name| join(&path, name));
            let taken = named.as_ref().filter(|named| sections.iter().any(|s| s.path == **named));
            if let (Some(_), Some(name)) = (taken, table.get("name")) {
                let what = format!("{} is the name of another one above; change it", name.shown());
                self.ledger.fault_at(&name.place, &join(&path, &format!("{number}.name")), what);
            }
            let called = match named {
                Some(named) if taken.is_none() => named,
                _ => join(&path, &number.to_string()),
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

    /// Refuses a key that a later version takes; `instead` says what to do today.
    pub(super) fn not_yet(&mut self, key: &'static str, instead: &str) {
        if let Some(node) = self.table.remove(key) {
            self.ledger.seen(&self.path_of(key), &node.place);
            self.fault(key, format!("not in this version of Oncegate; {instead}"));
        }
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

/// Reads one word out of a few: `values` are allowed, `later` are of a later version.
pub(super) fn one_of<T: Copy>(
    values: &[(&str, T)],
    later: &[&str],
) -> impl FnOnce(&Node) -> Reading<T> {
    move |node| {
        let (Value::Text(text) | Value::Variable(text)) = &node.value else {
            return Err(format!("{} is not a word; write {}", node.shown(), words(values)));
        };
        if later.contains(&text.as_str()) {
            let what = quoted(text);
            return Err(format!(
                "{what} is not in this version of Oncegate; write {}",
                words(values)
            ));
        }
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
        _ => None,
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The known key that was probably meant.
fn nearest<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
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
