//! Fields of queries and urlencoded forms, read strictly.

use http::{HeaderMap, header::CONTENT_TYPE};

use crate::gate::denial::Denial;

/// The media type of a form.
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// The fields of a query or a form, decoded.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads `application/x-www-form-urlencoded`.
    ///
    /// # Errors
    /// [`Denial::Unreadable`] where it encodes bytes that are not UTF-8; a NUL among them is left
    /// to whoever reads the field.
    pub(super) fn parse(encoded: &[u8]) -> Result<Self, Denial> {
        let bad = || Denial::Unreadable("the form is not UTF-8".to_owned());
        let text = std::str::from_utf8(encoded).map_err(|_| bad())?;
        let decode = |part: &str| {
            let part = part.replace('+', " ");
            let decoded = percent_encoding::percent_decode_str(&part).decode_utf8();
            decoded.map(std::borrow::Cow::into_owned).map_err(|_| bad())
        };
        text.split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Ok((decode(name)?, decode(value)?))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The value of a field; empty where it is not there.
    ///
    /// # Errors
    /// [`Denial::Invalid`] where it is there twice with two values: servers differ in which counts.
    pub(super) fn get(&self, name: &str) -> Result<&str, Denial> {
        let mut values = self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value);
        let Some(first) = values.next() else { return Ok("") };
        if values.any(|other| other != first) {
            return Err(Denial::invalid(name, "it is sent twice"));
        }
        Ok(first)
    }

    /// Whether the field is there at all.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }
}

/// Whether a body is a form: where `Content-Type` says so, or nothing.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let Some(declared) = headers.get(CONTENT_TYPE) else { return true };
    let essence = declared.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case(FORM)
}

/// A number in its one spelling: decimal, no sign, no leading zeros.
pub(super) fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_browsers_and_php_write_them() {
        let fields = Fields::parse(b"a=x+y%2Bz&&b&%63=%C3%AB&d=%zz%").unwrap();
        let value = |name| fields.get(name).unwrap();
        assert_eq!(
            [value("a"), value("b"), value("c"), value("d")],
            ["x y+z", "", "\u{eb}", "%zz%"]
        );
        assert!(fields.has("b") && !fields.has("e"));
        assert_eq!(value("e"), "");
    }

    #[test]
    fn a_field_that_is_there_twice_must_say_the_same() {
        let fields = Fields::parse(b"a=1&a=%31&b=1&b=2&c=&c").unwrap();
        assert_eq!(fields.get("a"), Ok("1"));
        assert_eq!(fields.get("b"), Err(Denial::invalid("b", "it is sent twice")));
        assert_eq!(fields.get("c"), Ok(""));
    }

    #[test]
    fn what_is_not_utf_8_is_no_form() {
        for form in [&b"a=%ff"[..], b"%ff=a", b"a=\xff", b"b=1&a=%C3"] {
            assert!(matches!(Fields::parse(form), Err(Denial::Unreadable(_))), "{form:?}");
        }
    }

    #[test]
    fn a_number_has_one_spelling() {
        assert_eq!(number("505"), Some(505));
        assert_eq!(number("18446744073709551615"), Some(u64::MAX));
        for text in ["", "+505", "-505", "0505", "00", " 505", "505.0", "%35", "5e2", "٥"] {
            assert_eq!(number(text), None, "{text}");
        }
        assert_eq!(number("18446744073709551616"), None);
    }

    #[test]
    fn a_form_is_what_says_so_or_says_nothing() {
        let is = |declared: &str| {
            let value = declared.parse().unwrap();
            is_form(&HeaderMap::from_iter([(CONTENT_TYPE, value)]))
        };
        assert!(is_form(&HeaderMap::new()));
        assert!(is(FORM) && is("Application/X-WWW-Form-Urlencoded ; charset=UTF-8"));
        for other in ["", "multipart/form-data; boundary=x", "text/plain", "é"] {
            assert!(!is(other), "{other}");
        }
    }
}
