//! Texts as JSON, written behind what is there already.

use std::fmt::{self, Write as _};

/// Writes a text.
pub(crate) fn text(json: &mut Vec<u8>, text: &str) {
    as_text(json, |json| json.extend_from_slice(text.as_bytes()));
}

/// Writes as a text what a value shows of itself.
pub(crate) fn shown(json: &mut Vec<u8>, value: fmt::Arguments<'_>) {
    // Writing to a vector cannot fail; a value that does is shown as far as it came.
    as_text(json, |json| {
        let _ = Pieces(json).write_fmt(value);
    });
}

/// Writes as a text what `write` does. Most has nothing to escape: it stays where it is.
fn as_text(json: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let begun = json.len();
    json.push(b'"');
    write(json);
    let stands = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
    let written = json.get(begun + 1..).unwrap_or_default();
    // All of it is looked at, whatever is found: so it is looked at in wide steps.
    if written.iter().fold(true, |all, byte| all & stands(*byte)) {
        json.push(b'"');
        return;
    }
    let text = String::from_utf8_lossy(written).into_owned();
    json.truncate(begun);
    // Neither can this fail.
    let _ = serde_json::to_writer(json, &text);
}

/// Text, as bytes.
struct Pieces<'a>(&'a mut Vec<u8>);

impl fmt::Write for Pieces<'_> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        self.0.extend_from_slice(piece.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_what_serde_makes_of_it() {
        for code in 0..=0x250 {
            let joe = format!("joe{}\u{e9}", char::from_u32(code).unwrap());
            let mut json = b",".to_vec();
            text(&mut json, &joe);
            shown(&mut json, format_args!("{joe}"));
            let expected = serde_json::to_string(&joe).unwrap();
            assert_eq!(String::from_utf8(json).unwrap(), format!(",{expected}{expected}"));
        }
    }

    #[test]
    fn a_value_that_fails_to_show_itself_is_shown_as_far_as_it_came() {
        struct Fails;
        impl fmt::Display for Fails {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("so far")?;
                Err(fmt::Error)
            }
        }
        let mut json = Vec::new();
        shown(&mut json, format_args!("{Fails}"));
        assert_eq!(json, br#""so far""#);
    }
}
