//! The house law, read from the source: who may import whom, what the gate may not touch, and how
//! long a file may be.
//!
//! A file imports from its own room or from lower layers; rooms of one layer do not import each
//! other. The checker itself is tested on made-up offenders, so that a filter that never matches
//! is noticed.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// Every room with its layer. `main.rs` and `lib.rs` are free.
const LAYERS: &[(&str, u8)] = &[
    ("gate", 0),
    ("config", 1),
    ("dialects", 1),
    ("sync", 1),
    ("store", 2),
    ("ops", 2),
    ("edge", 3),
    ("app", 4),
    ("cli", 5),
];

/// What the gate may not name: it takes values, not capabilities. A path stands for itself and all
/// below it.
const NOT_IN_THE_GATE: &[&str] = &[
    "tokio",
    "hyper",
    "hyper_util",
    "tracing",
    "getrandom",
    "rand",
    "tempfile",
    "rustix",
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::UdpSocket",
    "std::net::ToSocketAddrs",
    "std::time::SystemTime",
    "std::time::Instant",
];

/// Files that must stay shorter than others, and where `jsonwebtoken` lives.
const SHORT: &[&str] = &["app.rs", "edge/redeem.rs", "gate/denial.rs"];
const JSONWEBTOKEN: &str = "gate/token.rs";
const MOST_LINES: usize = 400;
const MOST_LINES_SHORT: usize = 250;

#[test]
fn every_file_keeps_the_law() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = rust_files(&src);
    assert!(files.len() > 10, "only {} files under src", files.len());
    let mut faults = Vec::new();
    let mut imports = 0;
    for file in &files {
        let name = file.strip_prefix(&src).unwrap().to_str().unwrap();
        let source = fs::read_to_string(file).unwrap();
        imports += paths(&source).iter().filter(|path| path.starts_with("crate::")).count();
        faults.extend(faults_of(name, &source));
    }
    assert!(imports > 5, "only {imports} imports seen in {} files", files.len());
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn every_room_has_a_layer_and_every_room_of_the_first_version_is_there() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let rooms: Vec<String> = fs::read_dir(&src)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .filter(|room| room != "main" && room != "lib")
        .collect();
    for room in &rooms {
        assert!(layer(room).is_some(), "src/{room} has no layer");
    }
    for room in ["gate", "config", "store", "ops", "edge", "app", "cli"] {
        assert!(rooms.iter().any(|r| r == room), "there is no src/{room}");
    }
}

#[test]
fn the_checker_sees_what_offends() {
    let offenders: &[(&str, &str, &str)] = &[
        ("gate/id.rs", "use crate::{gate::id::TokenId, ops::clock::Clock};", "ops"),
        ("gate/id.rs", "use crate::{\n    gate::id::{A, B},\n    cli,\n};", "cli"),
        ("gate/id.rs", "fn f() { let _ = crate::edge::serve(); }", "edge"),
        ("gate/id.rs", "use super::super::config::Config;", "config"),
        ("gate/deep/id.rs", "use super::super::super::config::Config;", "config"),
        ("gate/deep/mod.rs", "use super::super::config::Config;", "config"),
        ("gate/mod.rs", "use super::config::Config;", "config"),
        ("store/mod.rs", "use crate::ops::clock::Clock;", "ops"),
        ("store/journal.rs", "pub use crate :: ops::clock;", "ops"),
        ("config/check.rs", "use crate::dialects::native;", "dialects"),
        ("app.rs", "use super::cli::demo;", "cli"),
        ("ops/clock.rs", "use crate::nowhere::X;", "nowhere"),
        ("ops/clock.rs", "use crate::*;", "whole crate"),
        ("edge/pages.rs", "use crate::gate::id as x; use crate::app as y;", "app"),
        ("gate/id.rs", "use std::time::{Duration, SystemTime};", "std::time::SystemTime"),
        ("gate/id.rs", "fn f() { std::env::var(\"X\"); }", "std::env"),
        ("gate/id.rs", "use std::net::{IpAddr, TcpStream};", "std::net::TcpStream"),
        ("gate/id.rs", "fn f() { tracing::info!(\"x\"); }", "tracing"),
        ("gate/id.rs", "use ::getrandom::fill;", "getrandom"),
        ("gate/id.rs", "use ::{getrandom::fill, std::fmt};", "getrandom"),
        ("gate/id.rs", "use {std::fmt, tokio as t};", "tokio"),
        ("gate/id.rs", "fn f() -> impl ::tokio::X {}", "tokio"),
        ("gate/id.rs", "use self::super::super::config::Config;", "config"),
        ("gate/id.rs", "#[cfg(test)]\nmod tests {\n    use crate::ops::clock;\n}", "ops"),
        ("gate/id.rs", "#[cfg(test)]\nmod tests {\n}\nuse std::fs;", "std::fs"),
        ("gate/id.rs", "#[cfg(test)]\nmod tests;\nuse std::fs;", "std::fs"),
        ("gate/id.rs", "use jsonwebtoken::Header;", "jsonwebtoken"),
        ("edge/issue.rs", "fn f() -> jsonwebtoken::Header {}", "jsonwebtoken"),
    ];
    assert!(!offenders.is_empty());
    for (file, source, about) in offenders {
        let faults = faults_of(file, &format!("//! x\n{source}\n"));
        assert_eq!(faults.len(), 1, "{file}: {source}: {faults:?}");
        assert!(faults[0].contains(about), "{file}: {source}: {faults:?}");
    }
}

#[test]
fn the_checker_lets_pass_what_keeps_the_law() {
    let lawful: &[(&str, &str)] = &[
        ("gate/id.rs", "use crate::gate::{denial::Denial, secret::Secret};"),
        ("gate/id.rs", "#[cfg(test)]\nmod tests {\n    use super::super::denial::Denial;\n}"),
        ("gate/id.rs", "#[cfg(test)]\nmod tests {\n    use {jsonwebtoken as j, std::fs};\n}"),
        ("gate/token.rs", "use jsonwebtoken::Header;"),
        ("gate/id.rs", "use std::net::{IpAddr, SocketAddr}; use std::time::Duration;"),
        ("gate/id.rs", "// use crate::store::Store;\n/* std::fs */ const X: &str = \"std::fs\";"),
        ("gate/id.rs", "/// [`crate::store`] keeps them; tokio::spawn does not.\nfn f() {}"),
        (
            "gate/id.rs",
            "const C: [char; 3] = ['\"', '\\\\', '\\'']; // crate::store\nconst D: &str = r#\"crate::ops\"#;",
        ),
        ("gate/id.rs", "fn f<'a>(x: &'a str) -> &'a str { x } // crate::store"),
        ("app.rs", "use crate::edge::serve; use super::gate::id;"),
        ("main.rs", "use crate::anything;"),
        ("gate/glob.rs", "pub(crate) fn f() {} pub(in crate::gate) fn g() {}"),
    ];
    assert!(!lawful.is_empty());
    for (file, source) in lawful {
        let faults = faults_of(file, &format!("//! x\n{source}\n"));
        assert!(faults.is_empty(), "{file}: {source}: {faults:?}");
    }
}

#[test]
fn the_checker_counts_lines_without_the_tests() {
    let long = |lines: usize| format!("//! x\n{}", "fn f() {}\n".repeat(lines - 1));
    assert!(faults_of("gate/id.rs", &long(400)).is_empty());
    assert_eq!(faults_of("gate/id.rs", &long(401)).len(), 1);
    assert!(faults_of("gate/denial.rs", &long(250)).is_empty());
    assert_eq!(faults_of("gate/denial.rs", &long(251)).len(), 1);
    let tested = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", long(400), "\n".repeat(500));
    assert!(faults_of("gate/id.rs", &tested).is_empty());
    // Only the tests module ends the count: one conditional item in the middle does not.
    let middle = format!("//! x\n#[cfg(test)]\nfn f() {{}}\n{}", long(450));
    assert_eq!(faults_of("gate/id.rs", &middle).len(), 1);
    assert_eq!(faults_of("gate/id.rs", "fn f() {}\n"), ["gate/id.rs: does not open with //!"]);
}

/// Everything that is wrong with one file. `name` is relative to src/.
fn faults_of(name: &str, source: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if !source.starts_with("//!") {
        faults.push(format!("{name}: does not open with //!"));
    }
    let most = if SHORT.contains(&name) { MOST_LINES_SHORT } else { MOST_LINES };
    let (code, tests) = without_tests(source);
    let lines = code.lines().count();
    if lines > most {
        faults.push(format!("{name}: {lines} lines without its tests; at most {most}"));
    }
    let room = room_of(name);
    let code = paths(code);
    for path in &code {
        if is_or_is_below(path, "jsonwebtoken") && name != JSONWEBTOKEN {
            faults.push(format!("{name}: names {path}; jsonwebtoken stays in {JSONWEBTOKEN}"));
        }
        let forbidden = NOT_IN_THE_GATE.iter().find(|bad| is_or_is_below(path, bad));
        if let (Some("gate"), Some(bad)) = (room, forbidden) {
            faults.push(format!("{name}: names {path}; the gate does without {bad}"));
        }
    }
    // Tests may read files and take a second opinion, but they know no higher room either. What
    // `super` means in them depends on where they stand, so only `crate::` is judged there.
    let tests = paths(tests).into_iter().filter(|path| is_or_is_below(path, "crate"));
    for path in code.into_iter().chain(tests) {
        if let Some(fault) = room.and_then(|room| import_fault(name, room, &path)) {
            faults.push(format!("{name}: {fault}"));
        }
    }
    faults
}

/// Why a file of `room` may not name `path`.
fn import_fault(name: &str, room: &str, path: &str) -> Option<String> {
    let target = match absolute(name, path)?.as_str() {
        "*" => return Some(format!("{path} imports the whole crate")),
        target => target.to_owned(),
    };
    if target == room {
        return None;
    }
    let Some(theirs) = layer(&target) else {
        return Some(format!("names {path}, but there is no room {target}"));
    };
    let ours = layer(room)?;
    (theirs >= ours)
        .then(|| format!("{room} (layer {ours}) names {path}, but {target} is layer {theirs}"))
}

/// The room that a path within the crate leads to; `None` for other crates and for paths that stay
/// in the room.
fn absolute(name: &str, path: &str) -> Option<String> {
    let mut parts = path.trim_start_matches("self::").split("::").peekable();
    if parts.peek() == Some(&"crate") {
        return parts.nth(1).map(str::to_owned);
    }
    // How many `super` lead out of the file's module to the crate's root.
    let depth = name.trim_end_matches(".rs").trim_end_matches("/mod").split('/').count();
    let mut up = 0;
    while parts.next_if_eq(&"super").is_some() {
        up += 1;
    }
    (up == depth).then(|| parts.next().map(str::to_owned)).flatten()
}

fn room_of(name: &str) -> Option<&str> {
    let room = name.split('/').next()?.trim_end_matches(".rs");
    (room != "main" && room != "lib").then_some(room)
}

fn layer(room: &str) -> Option<u8> {
    LAYERS.iter().find(|(name, _)| *name == room).map(|(_, layer)| *layer)
}

fn is_or_is_below(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The code, and the tests module that ends the file: an inline `#[cfg(test)] mod` whose closing
/// brace is the last line. What stands after it would be code again, so then all of it is code.
fn without_tests(source: &str) -> (&str, &str) {
    const MARK: &str = "\n#[cfg(test)]\n";
    let Some((code, tests)) = source.rsplit_once(MARK) else { return (source, "") };
    let mut lines = tests.lines().skip_while(|line| line.starts_with("#["));
    let opens = lines.next().is_some_and(|line| line.starts_with("mod ") && line.ends_with('{'));
    let closes = lines.position(|line| line == "}").is_some() && lines.next().is_none();
    if opens && closes { (code, tests) } else { (source, "") }
}

/// Every path of two names or more, and what `use` names, with its trees written out. Comments and
/// strings are left out.
fn paths(source: &str) -> Vec<String> {
    let tokens = tokens(source);
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let token = tokens[at].as_str();
        // `use ::x::y` and `as ::x::y` name x::y, not use::x::y.
        if BEFORE_A_PATH.contains(&token) || !(is_name(token) || token == "{") {
            at += 1;
            continue;
        }
        let before = at.checked_sub(1).map_or("", |before| tokens[before].as_str());
        let imports = before == "use" || (before == "::" && at > 1 && tokens[at - 2] == "use");
        if token == "{" && !imports {
            at += 1;
            continue;
        }
        let mut here = Vec::new();
        // The empty prefix of `use {a, b}` is a `use` tree too.
        at = tree(&tokens, at, if token == "{" { "::" } else { "" }, &mut here);
        here.retain(|path| imports || path.contains("::"));
        // `pub(in crate::gate)` grants, it does not import.
        if before != "in" {
            found.extend(here.iter().map(|path| path.trim_start_matches("::").to_owned()));
        }
    }
    found
}

const BEFORE_A_PATH: &[&str] =
    &["use", "as", "in", "dyn", "impl", "mut", "return", "else", "for", "where", "if", "match"];

/// Reads one path or `use` tree that begins at `at` and gives where it ends.
fn tree(tokens: &[String], mut at: usize, prefix: &str, found: &mut Vec<String>) -> usize {
    let mut path = prefix.to_owned();
    loop {
        match tokens.get(at).map(String::as_str) {
            Some("{") if path.ends_with("::") => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token != "}") {
                    let next = tree(tokens, at, &path, found);
                    at = if next == at { at + 1 } else { next };
                }
                return at + 1;
            }
            Some(name) if is_name(name) || (name == "*" && path.ends_with("::")) => {
                path.push_str(name);
                at += 1;
            }
            _ => break,
        }
        if tokens.get(at).is_none_or(|token| token != "::") {
            break;
        }
        path.push_str("::");
        at += 1;
    }
    if path != prefix {
        found.push(path.trim_end_matches("::").to_owned());
    }
    at
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Names, `::` and single signs, without comments, strings and characters.
fn tokens(source: &str) -> Vec<String> {
    let mut rest = source;
    let mut tokens: Vec<String> = Vec::new();
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if first == '"' {
            string_length(rest)
        } else if first == '\'' {
            character_length(rest)
        } else if let Some(length) = raw_string_length(rest) {
            length
        } else {
            let name = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            let length = match name {
                0 if rest.starts_with("::") => 2,
                0 => first.len_utf8(),
                length => length,
            };
            if !first.is_whitespace() {
                tokens.push(rest[..length].to_owned());
            }
            length
        };
        rest = &rest[length..];
    }
    tokens
}

fn string_length(rest: &str) -> usize {
    let mut escaped = false;
    let end = rest.char_indices().skip(1).find(|&(_, c)| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    end.map_or(rest.len(), |(at, _)| at + 1)
}

/// `'x'` and `'\n'` whole; of a lifetime the apostrophe alone.
fn character_length(rest: &str) -> usize {
    if let Some(escape) = rest.strip_prefix("'\\") {
        return escape.char_indices().skip(1).find(|&(_, c)| c == '\'').map_or(1, |(i, _)| i + 3);
    }
    let mut characters = rest.char_indices().skip(2);
    characters.next().filter(|&(_, c)| c == '\'').map_or(1, |(at, _)| at + 1)
}

fn raw_string_length(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'))?;
    let hashes = after.find(|c| c != '#')?;
    let body = after[hashes..].strip_prefix('"')?;
    let closing = format!("\"{}", "#".repeat(hashes));
    let opened = rest.len() - body.len();
    Some(body.find(&closing).map_or(rest.len(), |end| opened + end + closing.len()))
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}
