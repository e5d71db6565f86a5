//! A JSON request, read field by field: what is wrong is named by its field.

use serde_json::{Map, Value};

use crate::gate::{
    claims,
    claims::Claims,
    denial::Denial,
    page::{NotAPage, Page},
};

/// The members of a JSON object that nobody has taken yet.
#[derive(Debug)]
pub(super) struct Fields(Map<String, Value>);

/// Reads the bytes of a JSON text, strictly: no member twice, nothing behind it.
///
/// # Errors
/// [`Denial::Unreadable`].
pub(super) fn json(bytes: &[u8]) -> Result<Value, Denial> {
    claims::value_from_json(bytes).map_err(|error| Denial::Unreadable(format!("not JSON: {error}")))
}

impl Fields {
    /// The members of an object.
    ///
    /// # Errors
    /// [`Denial::Unreadable`] for any other value.
    pub(super) fn of(value: Value) -> Result<Self, Denial> {
        match value {
            Value::Object(members) => Ok(Self(members)),
            _ => Err(Denial::Unreadable("a JSON object is expected".to_owned())),
        }
    }

    /// A text that may be left out; `null` counts as left out.
    ///
    /// # Errors
    /// [`Denial::Invalid`] naming the field.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Denial> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Denial::invalid(name, "a string is expected")),
        }
    }

    /// A text that must be there.
    ///
    /// # Errors
    /// [`Denial::Invalid`] naming the field.
    pub(super) fn required(&mut self, name: &str) -> Result<String, Denial> {
        self.text(name)?.ok_or_else(|| Denial::invalid(name, "is required"))
    }

    /// A whole number of seconds that may be left out.
    ///
    /// # Errors
    /// [`Denial::Invalid`] for anything else: negative, with a fraction, as text.
    pub(super) fn seconds(&mut self, name: &str) -> Result<Option<u64>, Denial> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Number(number)) if number.is_u64() => Ok(number.as_u64()),
            Some(_) => {
                Err(Denial::invalid(name, "a whole number of seconds, at least 1, is expected"))
            }
        }
    }

    /// One text or a list of them, that may be left out.
    ///
    /// # Errors
    /// [`Denial::Invalid`] naming the field.
    pub(super) fn texts(&mut self, name: &str) -> Result<Option<Vec<String>>, Denial> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(vec![text])),
            Some(Value::Array(values)) => values
                .into_iter()
                .map(|value| match value {
                    Value::String(text) => Ok(text),
                    _ => Err(Denial::invalid(name, "a string or a list of strings is expected")),
                })
                .collect::<Result<_, _>>()
                .map(Some),
            Some(_) => Err(Denial::invalid(name, "a string or a list of strings is expected")),
        }
    }

    /// A list of texts or whole numbers, as texts; left out: empty.
    ///
    /// # Errors
    /// [`Denial::Invalid`] naming the field.
    pub(super) fn values(&mut self, name: &str) -> Result<Vec<String>, Denial> {
        let wrong = || Denial::invalid(name, "a list of strings or whole numbers is expected");
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(values)) => values
                .into_iter()
                .map(|value| match value {
                    Value::String(text) => Ok(text),
                    Value::Number(number) if number.is_u64() || number.is_i64() => {
                        Ok(number.to_string())
                    }
                    _ => Err(wrong()),
                })
                .collect(),
            Some(_) => Err(wrong()),
        }
    }

    /// Extra claims, that may be left out.
    ///
    /// # Errors
    /// [`Denial::Invalid`] naming the field.
    pub(super) fn claims(&mut self, name: &str) -> Result<Option<Claims>, Denial> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(members)) => Claims::new(members)
                .map(Some)
                .map_err(|error| Denial::invalid(name, error.to_string())),
            Some(_) => Err(Denial::invalid(name, "an object is expected")),
        }
    }

    /// What a link's page does, that may be left out.
    ///
    /// # Errors
    /// [`Denial::Invalid`] naming the field.
    pub(super) fn page(&mut self, name: &str) -> Result<Option<Page>, Denial> {
        self.text(name)?
            .map(|page| {
                page.parse().map_err(|NotAPage| Denial::invalid(name, NotAPage.to_string()))
            })
            .transpose()
    }

    /// Nothing is left that nobody has taken.
    ///
    /// # Errors
    /// [`Denial::Invalid`] naming the first one: a misspelt field must not silently do nothing.
    pub(super) fn end(self) -> Result<(), Denial> {
        match self.0.into_iter().next() {
            None => Ok(()),
            Some((name, _)) => {
                // The name is the client's own text; what is echoed of it is bounded.
                let name: String = name.chars().take(64).collect();
                Err(Denial::invalid(&name, "there is no such field"))
            }
        }
    }
}
