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

/// Named destinations; under each name a template for each number of values that it takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalogue(BTreeMap<String, BTreeMap<usize, Template>>);

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

    /// The path with each value, percent-encoded, in its place; there are as many as places.
    fn fill(&self, values: &[String]) -> Result<String, Denial> {
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
    /// The path of this name with each value, percent-encoded, in its place; the whole is still to
    /// be judged. Nothing where no destination has this name.
    ///
    /// # Errors
    /// [`Denial::Invalid`] of `destination_values` that are too many, too few, or not to be put
    /// into a path.
    pub(crate) fn fill(&self, name: &str, values: &[String]) -> Option<Result<String, Denial>> {
        let templates = self.0.get(name)?;
        let template = templates.get(&values.len()).ok_or_else(|| {
            let takes: Vec<String> = templates.keys().map(ToString::to_string).collect();
            let (takes, came) = (takes.join(" or "), values.len());
            invalid(&format!("this destination takes {takes}, and {came} came"))
        });
        Some(template.and_then(|template| template.fill(values)))
    }

    /// Adds a template beside those of its name that take another number of values; the one that
    /// takes as many, if any, gives way and is given back.
    pub fn insert(&mut self, name: String, template: Template) -> Option<Template> {
        self.0.entry(name).or_default().insert(template.places(), template)
    }

    /// Of names and the texts of their templates; a name may be there with several, which take
    /// different numbers of values.
    ///
    /// # Errors
    /// As [`Template::parse`], of the first that is none.
    pub fn parse(templates: &[(&str, &str)]) -> Result<Self, BadTemplate> {
        templates
            .iter()
            .map(|(name, text)| Ok(((*name).to_owned(), Template::parse(text)?)))
            .collect()
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl FromIterator<(String, Template)> for Catalogue {
    fn from_iter<I: IntoIterator<Item = (String, Template)>>(templates: I) -> Self {
        let mut catalogue = Self::default();
        for (name, template) in templates {
            catalogue.insert(name, template);
        }
        catalogue
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

#[cfg(test)]
mod tests {
    use super::*;

    fn values(values: &[&str]) -> Vec<String> {
        values.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_number_of_values_chooses_among_the_templates_of_a_name() {
        let catalogue =
            Catalogue::parse(&[("order", "/order/{0}"), ("order", "/order/{0}/{1}")]).unwrap();
        let fill = |given: &[&str]| catalogue.fill("order", &values(given)).unwrap();
        assert_eq!(fill(&["hosting"]).unwrap(), "/order/hosting");
        assert_eq!(fill(&["a/b", "7"]).unwrap(), "/order/a%2Fb/7");
        let refused = fill(&[]).unwrap_err();
        assert_eq!(refused, invalid("this destination takes 1 or 2, and 0 came"));
        assert!(catalogue.fill("Order", &values(&["hosting"])).is_none());
    }

    #[test]
    fn a_template_gives_way_to_one_that_takes_as_many_values() {
        let mut catalogue = Catalogue::default();
        let [first, second] = ["/a/{0}", "/b/{0}"].map(|text| Template::parse(text).unwrap());
        assert_eq!(catalogue.insert("x".to_owned(), first.clone()), None);
        assert_eq!(catalogue.insert("x".to_owned(), second), Some(first));
        assert_eq!(catalogue.fill("x", &values(&["7"])), Some(Ok("/b/7".to_owned())));
        assert_eq!(catalogue.names().collect::<Vec<_>>(), ["x"]);
    }
}
