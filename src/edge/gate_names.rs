//! Which header fields are the gate's own to send, in any spelling an upstream may read as theirs.

use crate::gate::site::Identity;

/// Families of names that are never a client's to send.
const GATE_PREFIXES: [&str; 3] = ["x-oncegate-", "x-forwarded-", "proxy-"];
/// Names that are never a client's to send. The hop-by-hop ones are of RFC 9110, 7.6.1.
const GATE_NAMES: [&str; 24] = [
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "content-length", // set anew from the body itself
    "upgrade",
    "http2-settings",
    "expect", // the gate's own server answers it
    "host",
    "forwarded",
    "x-real-ip",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "client-ip",
    "x-forwarded",
    "x-original-forwarded-for",
    "x-original-url", // some frameworks route by these: the path judged must be the path served
    "x-rewrite-url",
    "x-original-uri",
    "x-original-host",
    "x-host",
    "proxy", // becomes HTTP_PROXY in a CGI environment
];
/// What the families begin with, as [`letter`] has it.
const PREFIX_LETTERS: u32 = letters(&GATE_PREFIXES);
/// What the names begin with, and how long they are, as [`shape`] has it.
const NAME_SHAPES: u128 = shapes(&GATE_NAMES);

/// Whether a field of this name, in any spelling an upstream may read as it, is the gate's own.
pub(super) fn is_gates(name: &str, mapping: &[(String, Identity)]) -> bool {
    // Most names look like none of the gate's at first sight.
    let first = name.bytes().next().unwrap_or_default();
    (PREFIX_LETTERS & letter(first) != 0 && GATE_PREFIXES.iter().any(|prefix| begins(name, prefix)))
        || (NAME_SHAPES & shape(first, name.len()) != 0
            && GATE_NAMES.iter().any(|gates| reads_as(name, gates)))
        || mapping.iter().any(|(mapped, _)| reads_as(name, mapped))
}

/// Whether two names are one to an upstream that folds signs together.
pub(super) fn reads_as(name: &str, other: &str) -> bool {
    name.len() == other.len() && begins(name, other)
}

pub(super) fn begins(name: &str, prefix: &str) -> bool {
    name.len() >= prefix.len()
        && name.bytes().zip(prefix.bytes()).all(|(a, b)| folded(a) == folded(b))
}

const fn letters(mut names: &[&str]) -> u32 {
    let mut all = 0;
    while let [name, others @ ..] = names {
        if let [first, ..] = name.as_bytes() {
            all |= letter(*first);
        }
        names = others;
    }
    all
}

const fn shapes(mut names: &[&str]) -> u128 {
    let mut all = 0;
    while let [name, others @ ..] = names {
        if let [first, ..] = name.as_bytes() {
            all |= shape(*first, name.len());
        }
        names = others;
    }
    all
}

/// A bit for a name that begins so, in either case, and is so long. Others share it, but few.
const fn shape(first: u8, length: usize) -> u128 {
    1 << ((first & 3) as usize * 32 + length % 32)
}

/// A bit for a letter in either case; of what is no letter, at least one.
const fn letter(byte: u8) -> u32 {
    1 << (byte & 31)
}

/// CGI, WSGI and their like turn `-`, and some of them every other sign, into `_`.
fn folded(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_gates_is_known_by_its_first_letter_in_either_case() {
        assert!(!GATE_NAMES.is_empty() && !GATE_PREFIXES.is_empty());
        for name in GATE_NAMES.into_iter().chain(GATE_PREFIXES) {
            assert!(is_gates(name, &[]) && is_gates(&name.to_ascii_uppercase(), &[]), "{name}");
            assert!(is_gates(&name.replace('-', "_"), &[]), "{name}");
        }
        for name in ["accept", "user-agent", "cookie", "x-custom", "hosts", "_host", "", "p", "x"] {
            assert!(!is_gates(name, &[]), "{name}");
        }
    }
}
