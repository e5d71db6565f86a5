//! JSON that is written as it comes: a thousand links are one text, and nothing else besides.

use serde::Serialize;

/// What is written so far.
#[derive(Debug)]
pub(super) struct Written(Vec<u8>);

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

    /// A text. Most have nothing to escape: that is seen many bytes at a time.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        let stands = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
        // All of it is looked at, whatever is found: so it is looked at in wide steps.
        if text.bytes().fold(true, |all, byte| all & stands(byte)) {
            self.raw("\"").raw(text).raw("\"")
        } else {
            self.value(text)
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_what_serde_makes_of_it() {
        for code in 0..=0x250 {
            let text = format!("joe{}\u{e9}", char::from_u32(code).unwrap());
            let mut written = Written::with_capacity(0);
            written.text(&text);
            assert_eq!(written.into_bytes(), serde_json::to_vec(&text).unwrap(), "{code:#x}");
        }
    }
}
