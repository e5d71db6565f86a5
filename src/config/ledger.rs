//! The account of everything that is wrong with a file, while it is read.

use std::{
    cell::{Ref, RefCell},
    collections::BTreeMap,
};

use crate::config::fault::{Fault, Place};

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

    /// Records lines that are not TOML, and why.
    pub(super) fn not_toml(&self, broken: Vec<(usize, String)>) {
        for (line, why) in broken {
            let what = match why.as_str() {
                "duplicate key" => "is written twice; remove one".to_owned(),
                why => format!("is not TOML: {why}"),
            };
            self.fault_at(&Place::Line(line), "", what);
        }
    }

    /// Whether `key` was read, well or not: what was written wrong is not missing.
    pub(super) fn has(&self, key: &str) -> bool {
        self.places.borrow().contains_key(key)
    }

    /// Records that `key` is missing, unless it may stand in what could not be read.
    pub(super) fn missing(&self, key: &str, example: &str) {
        // Of a whole section, any line that could not be read may be the header.
        let is_section = !key.contains('.');
        let some_aside = self.aside.as_ref().is_none_or(|aside| !aside.is_empty());
        if !(self.unsure(key) || is_section && some_aside) {
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

    /// Remembers where the value of `key` was read from.
    pub(super) fn seen(&self, key: &str, place: &Place) {
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
