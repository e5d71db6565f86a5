//! Somebody else's programs and packages, which `tests/run` installs.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Whether all of this is there: each with its name, and whether it was found.
///
/// If not, the test that asks is skipped, and a line on standard error says why; with `CI` set it
/// is a panic instead, so that nothing is skipped unnoticed.
pub fn all(wanted: &[(&str, bool)]) -> bool {
    let missing: Vec<&str> =
        wanted.iter().filter_map(|(what, found)| (!found).then_some(*what)).collect();
    if missing.is_empty() {
        return true;
    }
    let missing = missing.join(", ");
    assert!(std::env::var_os("CI").is_none(), "missing: {missing}; see tests/run");
    eprintln!("skipped: without {missing}, which tests/run installs");
    false
}

/// Whether a program can be run.
pub fn runs(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// Whether this machine lets a process mount what nobody else sees, as root within a container
/// often may not.
pub fn mounts() -> bool {
    let probe = Command::new("unshare").args(["--mount", "true"]).output();
    probe.is_ok_and(|probe| probe.status.success())
}

/// [`all`] of these programs.
pub fn programs(programs: &[&str]) -> bool {
    let wanted: Vec<_> = programs.iter().map(|program| (*program, runs(program))).collect();
    all(&wanted)
}

/// The folder that has the packages: `venv` of Python, `npm/node_modules`.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from)
}

/// A program that a Python package brings along; `None`, and skipped as by [`all`], without it.
pub fn packaged(program: &str) -> Option<PathBuf> {
    let file = target().join("venv/bin").join(program);
    all(&[(program, file.exists())]).then_some(file)
}
