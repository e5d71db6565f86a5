//! Which header fields are the gate's own to send, in any spelling an upstream may read as theirs.

use crate::gate::site::Identity;

/// Families of names that are never a client's to send.
const GATE_PREFIXES: [&str; 3] = ["x-oncegate-", "x-forwarded-", "proxy-"];
/// What the families begin with, as [`letter`] has it.
const PREFIX_LETTERS: u32 = letters(&GATE_PREFIXES);

/// Names of so many signs that are never a client's to send. The hop-by-hop ones are of RFC 9110,
/// 7.6.1. By their length: most fields of a request are then compared with one name or none.
const fn gate_names(length: usize) -> &'static [&'static str] {
    match length {
        2 => &["te"],
        4 => &["host"],
        5 => &["proxy"],            // becomes HTTP_PROXY in a CGI environment
        6 => &["expect", "x-host"], // the gate's own server answers `Expect`
        7 => &["trailer", "upgrade"],
        9 => &["forwarded", "x-real-ip", "client-ip"],
        10 => &["connection", "keep-alive"],
        11 => &["x-client-ip", "x-forwarded"],
        // Some frameworks route by these: the path judged must be the path served.
        13 => &["x-rewrite-url"],
        14 => &[
            "content-length", // set anew from the body itself
            "http2-settings",
            "true-client-ip",
            "x-original-url",
            "x-original-uri",
        ],
        15 => &["x-original-host"],
        17 => &["transfer-encoding"],
        19 => &["x-cluster-client-ip"],
        24 => &["x-original-forwarded-for"],
        _ => &[],
    }
}

/// Whether a field of this name, in any spelling an upstream may read as it, is the gate's own.
pub(super) fn is_gates(name: &str, mapping: &[(String, Identity)]) -> bool {
    let first = name.bytes().next().unwrap_or_default();
    (PREFIX_LETTERS & letter(first) != 0 && GATE_PREFIXES.iter().any(|prefix| begins(name, prefix)))
        || gate_names(name.len()).iter().any(|gates| begins(name, gates))
        || mapping.iter().any(|(mapped, _)| reads_as(name, mapped))
}

/// Whether two names are one to an upstream that folds signs together.
pub(super) fn reads_as(name: &str, other: &str) -> bool {
    name.len() == other.len() && begins(name, other)
}

pub(super) fn begins(name: &str, prefix: &str) -> bool {
    let name = name.as_bytes();
    let mut signs = prefix.bytes().enumerate();
    signs.all(|(place, sign)| name.get(place).is_some_and(|other| folded(*other) == folded(sign)))
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
    fn every_name_of_the_gates_is_known_in_either_case() {
        let names = (0..32).flat_map(|length| {
            let names = gate_names(length);
            assert!(names.iter().all(|name| name.len() == length), "{names:?}");
            names
        });
        assert_eq!(names.clone().count(), 24);
        for name in names.copied().chain(GATE_PREFIXES) {
            assert!(is_gates(name, &[]) && is_gates(&name.to_ascii_uppercase(), &[]), "{name}");
            assert!(is_gates(&name.replace('-', "_"), &[]), "{name}");
        }
        for name in ["accept", "user-agent", "cookie", "x-custom", "hosts", "_host", "", "p", "x"] {
            assert!(!is_gates(name, &[]), "{name}");
        }
    }
}
