//! What PHP's `serialize` writes, for a flat array.
//!
//! Written here: `serde_php` and its successor `php_serde` are above all readers of whatever PHP
//! may have written, and of their writers an answer would need the lines below.

use std::borrow::Cow;

use serde::Serialize;

/// The value of an array's member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(super) enum Value<'a> {
    /// A whole number, as wide as PHP's.
    Integer(i64),
    /// A text.
    Text(Cow<'a, str>),
}

/// The array with these members, in order. Lengths count bytes, and nothing is escaped.
pub(super) fn array(members: &[(&str, Value<'_>)]) -> String {
    let members_written: String =
        members.iter().map(|(name, value)| [text(name), scalar(value)].concat()).collect();
    format!("a:{}:{{{members_written}}}", members.len())
}

fn scalar(value: &Value<'_>) -> String {
    match value {
        Value::Integer(integer) => format!("i:{integer};"),
        Value::Text(value) => text(value),
    }
}

fn text(value: &str) -> String {
    format!("s:{}:\"{value}\";", value.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_counted_in_bytes() {
        let members = [
            ("zoë", Value::Text("é\";}".into())),
            ("no", Value::Integer(-1)),
            ("", Value::Text("".into())),
        ];
        assert_eq!(array(&members), r#"a:3:{s:4:"zoë";s:5:"é";}";s:2:"no";i:-1;s:0:"";s:0:"";}"#);
        assert_eq!(array(&[]), "a:0:{}");
    }
}
