//! Keys in a mounted Secret of Kubernetes: symbolic links to files of root in a directory that
//! seems open to everybody, and is read-only.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use oncegate::{
    ops::{clock::Clock, entropy},
    store::keys,
};

use crate::support::installed;

/// What the pod's user sees of keys with this mode and group: the exit code, and what is printed.
fn listed(mode: &str, group: &str) -> Option<(Option<i32>, String)> {
    let root = rustix::process::geteuid().is_root();
    if !installed::all(&[
        ("root, to mount files of root", root),
        ("the right to mount (unshare --mount)", installed::mounts()),
    ]) {
        return None;
    }
    let (mount_point, keys_made) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    keys::make(keys_made.path(), Clock::default().now(), entropy::random).unwrap();
    fs::remove_file(keys_made.path().join(".lock")).unwrap();
    let mut secret =
        Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/deploy/secret.sh"));
    secret.arg(mount_point.path()).arg(keys_made.path()).arg(env!("CARGO_BIN_EXE_oncegate"));
    let Output { status, stdout, stderr } = secret.args([mode, group]).output().unwrap();
    let said = [stdout, stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    Some((status.code(), said))
}

#[test]
fn keys_of_a_secret_are_taken_as_the_manifests_mount_them() {
    let Some((code, said)) = listed("0440", "65532") else { return };
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said.lines().filter(|line| line.contains("current")).count(), 2, "{said}");
}

#[test]
fn keys_of_a_secret_with_kubernetes_own_mode_are_refused() {
    let Some((code, said)) = listed("0644", "65532") else { return };
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("can be read by others (mode 0644)"), "{said}");
}

#[test]
fn keys_of_a_secret_without_the_pods_group_say_why_they_cannot_be_read() {
    let Some((code, said)) = listed("0440", "0") else { return };
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("cannot read") && said.contains("Permission denied"), "{said}");
}

#[test]
fn a_running_gate_follows_a_secret_that_is_changed() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    for day in ["..one", "..two"] {
        keys::make(&dir.path().join(day), Clock::default().now(), entropy::random).unwrap();
    }
    symlink("..one", dir.path().join("..data")).unwrap();
    for name in ["current.pem", "next.pem", "session.key"] {
        symlink(format!("..data/{name}"), dir.path().join(name)).unwrap();
    }
    let (mut watch, first, _) = keys::Watch::start(dir.path()).unwrap();
    assert!(watch.changed().is_none());
    // As the kubelet does: in one step, and no name of a key changes.
    symlink("..two", dir.path().join("..next")).unwrap();
    fs::rename(dir.path().join("..next"), dir.path().join("..data")).unwrap();
    let (second, _) = watch.changed().unwrap().unwrap();
    assert_ne!(first.current_kid(), second.current_kid());
}
