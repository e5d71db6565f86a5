//! The hashes of a caller's API keys: in the file, or in one beside it.

use std::path::Path;

use crate::{
    config::{
        raw::Node,
        reader::{Reading, Section},
        units,
    },
    gate::caller::KeyHash,
};

/// Keys that anybody would try.
const GUESSABLE: [&str; 9] =
    ["", "key", "secret", "password", "changeme", "test", "admin", "demo", "oncegate"];
/// A file of hashes is never larger than this, in bytes.
const LARGEST_FILE: u64 = 1 << 20;

/// Reads `key_sha256` or `key_sha256_file`; a caller has one or the other, or neither where it is
/// known by something else.
pub(super) fn read(section: &mut Section<'_>, base: &Path, known_otherwise: bool) -> Vec<KeyHash> {
    let listed = section.list("key_sha256", |node| hash(&text(node)?));
    let filed = section.read("key_sha256_file", |node| {
        let path = units::path(node)?;
        file(&base.join(&path)).map_err(|why| format!("{}: {why}", path.display()))
    });
    let path = section.path_of("key_sha256");
    match (section.has("key_sha256"), section.has("key_sha256_file")) {
        (true, true) => {
            section.fault("key_sha256_file", "is given beside key_sha256; remove one of them");
        }
        (false, false) if !known_otherwise => {
            let example = "key_sha256 = [\"…\"], as `oncegate caller new NAME` prints it";
            section.ledger.missing(&path, example);
        }
        (true, false)
            if !known_otherwise
                && listed.as_ref().is_some_and(Vec::is_empty)
                && !faulty(section, &path) =>
        {
            let what =
                "is empty: nobody could be this caller; `oncegate caller new NAME` prints one";
            section.fault("key_sha256", what);
        }
        _ => {}
    }
    listed.or(filed).unwrap_or_default()
}

fn faulty(section: &Section<'_>, path: &str) -> bool {
    section.ledger.faults().iter().any(|fault| fault.key == path)
}

// What stands here by mistake may be the key itself: no report quotes it.
fn text(node: &Node) -> Reading<String> {
    units::text(node).map_err(|_| not_a_hash())
}

fn not_a_hash() -> String {
    "is not the SHA-256 of a key; write its 64 hexadecimal digits, as \
     `oncegate caller new NAME` prints them"
        .to_owned()
}

fn hash(text: &str) -> Reading<KeyHash> {
    let bytes = bytes(text).ok_or_else(not_a_hash)?;
    let guessable = GUESSABLE.iter().any(|key| KeyHash::of(key.as_bytes()).0 == bytes);
    let filler = bytes.iter().all(|byte| Some(byte) == bytes.first());
    if guessable || filler {
        let what = "is the hash of no key, or of one that anybody would try; \
                    `oncegate caller new NAME` makes a good one";
        return Err(what.to_owned());
    }
    Ok(KeyHash(bytes))
}

fn bytes(text: &str) -> Option<[u8; 32]> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    let digits = digits.filter(|digits| digits.len() == 64)?;
    let bytes: Vec<u8> =
        digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, d| (byte << 4) | d)).collect();
    bytes.try_into().ok()
}

/// One hash a line; empty lines and those that begin with `#` are not read.
fn file(path: &Path) -> Reading<Vec<KeyHash>> {
    let unreadable = |error| format!("cannot be read: {error}");
    if std::fs::metadata(path).map_err(unreadable)?.len() > LARGEST_FILE {
        return Err("is larger than 1 MiB; write one hash on each line".to_owned());
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let lines = (1..).zip(text.lines().map(str::trim));
    let hashes: Vec<KeyHash> = lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| hash(line).map_err(|what| format!("line {number} {what}")))
        .collect::<Reading<_>>()?;
    if hashes.is_empty() {
        return Err("has no hash in it; write one on each line".to_owned());
    }
    Ok(hashes)
}
