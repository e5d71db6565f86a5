//! Named destinations: paths with places for the values a caller sends.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::gate::{denial::Denial, path};

/// Everything but the unreserved characters (RFC 3986, 2.3).
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The longest value, in characters.
const MAX_VALUE: usize = 256;
/// How many different places a template may have.
const MAX_PLACES: usize = 16;

/// A path with places, such as `/clientarea/invoices/{0}`; they may stand in its query too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
    places: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Place(usize),
}

/// A text that is not a template; says what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadTemplate(String);

/// A site's named destinations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalogue(BTreeMap<String, Template>);

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// It is not a path that may be a destination, its places have a gap, or a brace is no place's.
    pub fn parse(text: &str) -> Result<Self, BadTemplate> {
        let bad = |why: &str| BadTemplate(why.to_owned());
        let mut parts = Vec::new();
        let mut used = [false; MAX_PLACES];
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (place, after) = after.split_once('}').ok_or_else(|| bad("a { is not closed"))?;
            let index =
                (0..MAX_PLACES).find(|index| index.to_string() == place).ok_or_else(|| {
                    bad(&format!("{{{place}}} is not a place; write {{0}} to {{15}}"))
                })?;
            if let Some(used) = used.get_mut(index) {
                *used = true;
            }
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Place(index));
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        if parts.iter().any(|part| matches!(part, Part::Text(text) if text.contains('}'))) {
            return Err(bad("a } closes nothing"));
        }
        let places = used.iter().filter(|used| **used).count();
        if let Some(gap) = used.iter().take(places).position(|used| !used) {
            let last = used.iter().rposition(|used| *used).unwrap_or_default();
            return Err(BadTemplate(format!("{{{last}}} is used but {{{gap}}} is not")));
        }
        let template = Self { parts, places };
        // Any harmless value will do: what a value may be is judged when it is there.
        let sample = template.with(|_| "0");
        path::written(&sample).map_err(bad)?;
        path::settled(sample.split(['?', '#']).next().unwrap_or_default()).map_err(bad)?;
        Ok(template)
    }

    /// How many values it takes.
    pub fn places(&self) -> usize {
        self.places
    }

    /// The path with each value, percent-encoded, in its place. The whole is still to be judged.
    pub(crate) fn fill(&self, values: &[String]) -> Result<String, Denial> {
        if values.len() != self.places {
            return Err(invalid(&format!(
                "this destination takes {}, and {} came",
                self.places,
                values.len()
            )));
        }
        for value in values {
            if value.is_empty() || value == "." || value == ".." {
                return Err(invalid("a value must not be empty, \".\" or \"..\""));
            }
            if value.chars().any(char::is_control) {
                return Err(invalid("a value must not hold control characters"));
            }
            if value.chars().count() > MAX_VALUE {
                return Err(invalid("a value has at most 256 characters"));
            }
        }
        let values: Vec<String> =
            values.iter().map(|value| utf8_percent_encode(value, VALUE).to_string()).collect();
        Ok(self.with(|place| values.get(place).map_or("", String::as_str)))
    }

    fn with<'a>(&'a self, value: impl Fn(usize) -> &'a str) -> String {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text,
                Part::Place(place) => value(*place),
            })
            .collect()
    }
}

impl Catalogue {
    /// The template of this name.
    pub fn get(&self, name: &str) -> Option<&Template> {
        self.0.get(name)
    }

    /// Adds a template; the one that had its name before, if any, is given back.
    pub fn insert(&mut self, name: String, template: Template) -> Option<Template> {
        self.0.insert(name, template)
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl FromIterator<(String, Template)> for Catalogue {
    fn from_iter<I: IntoIterator<Item = (String, Template)>>(templates: I) -> Self {
        Self(templates.into_iter().collect())
    }
}

/// Whether a text may name a destination: `[A-Za-z0-9._-]+`.
pub fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// The refusal of a request's values.
pub(crate) fn invalid(why: &str) -> Denial {
    Denial::invalid("destination_values", why)
}
