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
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::atomic::{AtomicU16, Ordering},
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

/// An address on loopback that was free a moment ago, of a port that no outgoing connection takes
/// (those begin at 32,768).
fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = u16::try_from(std::process::id() % 1_000).unwrap() * 20;
    loop {
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        let port = 11_000 + (begin + number) % 20_000;
        if let Ok(socket) = TcpListener::bind(("127.0.0.1", port)) {
            return socket.local_addr().unwrap();
        }
    }
}
