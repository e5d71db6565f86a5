//! JSON that is written as it comes: a thousand links are one text, and nothing else besides.

use std::fmt;

use serde::Serialize;

use crate::gate::json;

/// What is written so far: tokens, among others, which its `Debug` does not show.
pub(super) struct Written(Vec<u8>);

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Written({} bytes)", self.0.len())
    }
}

impl Written {
    /// Nothing yet, with room for so many bytes.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// What is JSON already.
    pub(super) fn raw(&mut self, json: &str) -> &mut Self {
        self.0.extend_from_slice(json.as_bytes());
        self
    }

    /// A text.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        json::text(&mut self.0, text);
        self
    }

    /// Any value.
    pub(super) fn value(&mut self, value: &(impl Serialize + ?Sized)) -> &mut Self {
        let begun = self.0.len();
        if serde_json::to_writer(&mut self.0, value).is_err() {
            self.0.truncate(begun);
            self.0.extend_from_slice(b"null");
        }
        self
    }

    /// Whether there is nothing yet.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of it.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}
