//! Whether a path has one reading only, and what else it could be read as.
//!
//! Browsers, proxies and applications differ in what they decode, merge and resolve. A path on
//! which all of them agree is *canonical*; one on which they disagree but land in the same
//! place is *settled*, and may be a destination; anything else is refused.

use std::borrow::Cow;

/// What ends a segment, or the path itself, for some readers: servers that know parameters drop
/// all behind a `;`, so that `/admin;.css` is `/admin` to them.
const DIVIDES: [char; 12] = [
    '/', '\\', ';', '?', '#',
    // What Unicode's normal forms make of these: `;`, `?` and `#` again.
    '\u{37e}', '\u{fe14}', '\u{fe54}', '\u{fe16}', '\u{fe56}', '\u{fe5f}', '\u{ff03}',
];

/// The path and the query of a request's target, as received.
///
/// # Errors
/// What in it does not read one way only: it does not begin with `/`, holds a character that no
/// URL is written in, a fragment, or a NUL.
pub fn of_target(target: &str) -> Result<(&str, Option<&str>), &'static str> {
    if !target.starts_with('/') {
        return Err("the target has no path");
    }
    // Without branches, so that many bytes are judged at a time.
    let (mut odd, mut fragment, mut encoded) = (false, false, false);
    for byte in target.bytes() {
        odd |= !byte.is_ascii_graphic();
        odd |= byte == b'\\';
        fragment |= byte == b'#';
        encoded |= byte == b'%';
    }
    if odd {
        return Err("the target has a character that must be percent-encoded");
    }
    if fragment {
        return Err("the target has a fragment");
    }
    let (path, query) =
        target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    if encoded && path.contains("%00") {
        return Err("the path has a NUL");
    }
    Ok((path, query))
}

/// Whether a request's path has one reading only, whoever reads it.
///
/// It begins with one `/`, is visible ASCII, and holds no `\`, no empty segment, no dot segment
/// in any spelling, no `;`, no encoded slash, backslash, `?`, `#` or control character, and no percent sign that
/// is malformed, encodes bytes that are not UTF-8, or hides any of these behind another one.
pub fn canonical_path(path: &str) -> bool {
    is_plain(path)
        || settled(path).is_ok()
            && path
                .split('/')
                .all(|segment| !decoded(segment).chars().any(|c| DIVIDES.contains(&flat(c))))
}

/// Whether nothing in a path is read in two ways by anybody, seen at a glance: letters, digits,
/// `-`, `_`, `~` and `.`, no empty segment but the last, none that begins with a dot. Most are so.
pub(in crate::gate) fn is_plain(path: &str) -> bool {
    path.starts_with('/')
        && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-_~.".contains(&byte))
        && !path.contains("//")
        && !path.contains("/.")
}

/// Whether a path stays what it is for all who decode it further, once or often: as
/// [`canonical_path`], save that a segment may hold an encoded slash or backslash where it
/// makes no empty and no dot segment.
///
/// # Errors
/// What is wrong with it.
pub fn settled(path: &str) -> Result<(), &'static str> {
    if is_plain(path) { Ok(()) } else { read_closely(path) }
}

fn read_closely(path: &str) -> Result<(), &'static str> {
    let Some(rest) = path.strip_prefix('/') else {
        return Err("its path must begin with /");
    };
    written(path)?;
    percent_encoded(path)?;
    let text = decoded(rest);
    if text.contains(char::REPLACEMENT_CHARACTER) {
        return Err("it encodes bytes that are not UTF-8");
    }
    if text.chars().any(char::is_control) {
        return Err("it encodes a control character");
    }
    let text = flattened(text);
    let mut segments = text.split(['/', '\\']).peekable();
    while let Some(segment) = segments.next() {
        // Parameters (RFC 3986, 3.3) and blanks are dropped by some before they resolve.
        let (name, parameters) =
            segment.split_once(';').map_or((segment, false), |(n, _)| (n, true));
        let name = name.trim();
        if matches!(name, "." | ".." | "\u{2025}") {
            return Err("it holds a dot segment");
        }
        if name.is_empty() && (parameters || segments.peek().is_some() || !segment.is_empty()) {
            return Err("it holds an empty segment");
        }
    }
    Ok(())
}

/// The most generous reading of a path: decoded until nothing is left to decode, `\` read as
/// `/`, parameters dropped, slashes merged, dot segments resolved. It begins with `/`, and ends
/// without one unless it is all there is.
///
/// To be compared with another path's, never to be proxied.
pub fn decoded_path(path: &str) -> String {
    let text = flattened(decoded(path));
    let mut segments: Vec<&str> = Vec::new();
    for segment in text.split(['/', '\\']) {
        match segment.split(';').next().unwrap_or_default().trim() {
            "" | "." => {}
            ".." | "\u{2025}" => drop(segments.pop()),
            name => segments.push(name),
        }
    }
    format!("/{}", segments.join("/"))
}

/// Whether an application could take a request for `path` as one for `target`, a canonical path.
///
/// ASCII case and a trailing slash do not count: many routers ignore them. Where `path` is not
/// canonical, nobody can list its readings; it is then enough that its decoded text holds the
/// last segment of `target`, without which no reading can end there.
pub fn may_reach(path: &str, target: &str) -> bool {
    let target = decoded_path(target).to_ascii_lowercase();
    if decoded_path(path).to_ascii_lowercase() == target {
        return true;
    }
    let last = target.rsplit('/').next().unwrap_or_default();
    let text = flattened(decoded(path));
    // What is no text can be anything to anybody.
    let divides =
        |c: char| DIVIDES.contains(&c) || c == char::REPLACEMENT_CHARACTER || c.is_control();
    !canonical_path(path)
        && text.split(divides).any(|segment| segment.trim().eq_ignore_ascii_case(last))
}

/// Whether every character is one a URL is written in, before any decoding: visible ASCII
/// without `\`, which browsers read as `/`, and without `"`, `<`, `>` and the backtick, which
/// they encode and careless pages do not.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn written(text: &str) -> Result<(), &'static str> {
    if text.contains('\\') {
        return Err("it holds a backslash");
    }
    if text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>`".contains(&byte)) {
        return Ok(());
    }
    Err("it holds a character that must be percent-encoded")
}

/// Whether every `%` is followed by two hexadecimal digits.
fn percent_encoded(text: &str) -> Result<(), &'static str> {
    for rest in text.split('%').skip(1) {
        let mut digits = rest.bytes().take(2).filter(u8::is_ascii_hexdigit);
        if digits.by_ref().count() != 2 {
            return Err("it holds a % without two hexadecimal digits");
        }
    }
    Ok(())
}

/// Percent-decoded until no sequence is left, those that decoding made included; bytes that are
/// not UTF-8 become U+FFFD. One pass: what ends the text so far is all that can be new.
pub(crate) fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut bytes: Vec<u8> = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        bytes.push(byte);
        while let [.., b'%', high, low] = *bytes.as_slice()
            && let (Some(high), Some(low)) = (hexadecimal(high), hexadecimal(low))
        {
            bytes.truncate(bytes.len() - 3);
            bytes.push(high << 4 | low);
        }
    }
    let text = String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    Cow::Owned(text)
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// [`flat`], of all that is not ASCII already.
fn flattened(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.is_ascii() { text } else { Cow::Owned(text.chars().map(flat).collect()) }
}

/// The ASCII character that Unicode's compatibility forms (NFKC) make of a full-width or small
/// dot, slash, backslash or semicolon.
fn flat(character: char) -> char {
    match character {
        '\u{2024}' | '\u{FE52}' | '\u{FF0E}' => '.',
        '\u{FF0F}' => '/',
        '\u{FE68}' | '\u{FF3C}' => '\\',
        '\u{FE54}' | '\u{FF1B}' => ';',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_plain_at_a_glance_is_so_looked_at_closely() {
        const CHARACTERS: [&str; 9] = ["/", ".", "a", "-", "%", "2", "F", ";", "\\"];
        let mut plain = 0;
        let mut texts = vec!["/".to_owned()];
        for _ in 0..5 {
            texts = texts.iter().flat_map(|t| CHARACTERS.map(|c| [t, c].concat())).collect();
            for path in texts.iter().filter(|path| is_plain(path)) {
                plain += 1;
                assert_eq!(read_closely(path), Ok(()), "{path}");
                assert_eq!(decoded_path(path), format!("/{}", path.trim_matches('/')), "{path}");
                assert!(!path.chars().any(|c| c != '/' && DIVIDES.contains(&flat(c))), "{path}");
            }
        }
        assert!(plain > 100, "{plain}");
    }
}
