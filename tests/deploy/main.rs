//! What `deploy/` says about running the gate itself: each file is judged by the real tool of its
//! kind, and then run, as it stands but for ports and paths.

#![cfg(test)]

mod compose;
mod container;
mod kubernetes;
mod machine;
mod manifests;
mod secret;
#[path = "../support/mod.rs"]
mod support;
mod systemd;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// A file or folder below `deploy/`.
fn deployed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
}

/// What stands in a file below `deploy/`.
fn text_of(name: &str) -> String {
    fs::read_to_string(deployed(name)).unwrap_or_else(|why| panic!("deploy/{name}: {why}"))
}

/// The text with `from`, which must be there, replaced.
fn with(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "nothing has {from:?} in it:\n{text}");
    text.replace(from, to)
}

/// Runs a command that must succeed, and gives what it printed.
fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } =
        command.output().unwrap_or_else(|why| panic!("{command:?}: {why}"));
    let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n{said}");
    said
}
