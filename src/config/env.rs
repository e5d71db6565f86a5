//! `ONCEGATE_SECTION__KEY`: environment variables that override the file.
//!
//! A variable is put into the tree in the place of what it overrides, so that it is judged like
//! a line of the file, and named where it is wrong. Names without `__` are not configuration:
//! Kubernetes sets some of its own.

use crate::config::{
    fault::Place,
    ledger::Ledger,
    raw::{Node, Table, Value},
};

const PREFIX: &str = "ONCEGATE_";

/// `oncegate link` reads these; they configure no gate.
const OF_COMMANDS: [&str; 2] = ["ONCEGATE_LINK__API", "ONCEGATE_LINK__KEY"];

/// Puts the variables that are configuration into `root`.
pub(super) fn apply(
    root: &mut Table,
    variables: impl Iterator<Item = (String, String)>,
    ledger: &Ledger,
) {
    let mut ours: Vec<(String, String)> = variables
        .filter(|(name, _)| !OF_COMMANDS.contains(&name.as_str()))
        .filter(|(name, _)| name.strip_prefix(PREFIX).is_some_and(|path| path.contains("__")))
        .collect();
    // One order, whatever the process was given: faults and overrides never depend on it.
    ours.sort();
    for (name, text) in ours {
        let path = name.strip_prefix(PREFIX).unwrap_or_default();
        let segments: Vec<&str> = path.split("__").collect();
        let place = Place::Variable(name.clone());
        let leaf = Node { place: place.clone(), value: Value::Variable(text) };
        if segments.iter().any(|segment| segment.is_empty()) {
            ledger.fault_at(&place, "", "names no key; write ONCEGATE_SECTION__KEY");
        } else if let Err(what) = set(root, &segments, leaf) {
            ledger.fault_at(&place, &path.replace("__", ".").to_lowercase(), what);
        }
    }
}

fn set(table: &mut Table, segments: &[&str], leaf: Node) -> Result<(), String> {
    let Some((first, rest)) = segments.split_first() else {
        return Err("names a table; write __ and a key after it".to_owned());
    };
    let mut matching = table.keys().filter(|key| spelled(key) == spelled(first));
    let key = matching.next().cloned().unwrap_or_else(|| first.to_lowercase());
    if matching.next().is_some() {
        return Err("names two keys of the file; change one of them there".to_owned());
    }
    if rest.is_empty() {
        table.insert(key, leaf);
        return Ok(());
    }
    let place = leaf.place.clone();
    let node =
        table.entry(key).or_insert_with(|| Node { place, value: Value::Table(Table::new()) });
    match &mut node.value {
        Value::Table(inner) => set(inner, rest, leaf),
        Value::List(items) => set_named(items, rest, leaf),
        _ => Err("has no keys of its own; remove what follows its name".to_owned()),
    }
}

/// Among tables that have names, the one that is meant is the one so called.
fn set_named(items: &mut [Node], segments: &[&str], leaf: Node) -> Result<(), String> {
    let Some((name, rest)) = segments.split_first() else {
        return Err("names a table; write __ and a key after it".to_owned());
    };
    for item in items {
        let Value::Table(table) = &mut item.value else { continue };
        let Some(Value::Text(called)) = table.get("name").map(|node| &node.value) else { continue };
        if spelled(called) == spelled(name) {
            return set(table, rest, leaf);
        }
    }
    Err("the file has none of that name; write it there first".to_owned())
}

/// How a key is spelled in a variable's name.
fn spelled(key: &str) -> String {
    key.to_uppercase().replace(['-', '.'], "_")
}
