//! README's tables of what survives what: each row names the tests that show it, and they exist.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

use std::{fs, path::PathBuf};

#[test]
fn each_row_of_what_survives_what_names_tests_that_there_are() {
    let readme = fs::read_to_string(here("README.md")).unwrap();
    let (_, section) = readme.split_once("### What survives what").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let (mut rows, mut named) = (0, 0);
    for line in section.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
        let (event, shown_by) = (cells[0], cells.last().unwrap());
        if shown_by.contains("shown by") {
            continue;
        }
        rows += 1;
        let tests: Vec<&str> = shown_by.split('`').filter(|text| text.contains("::")).collect();
        // What is said not to be noticed has nothing to show.
        assert_eq!(tests.is_empty(), line.contains("**not noticed**"), "{event}");
        for test in tests {
            assert!(is_there(test), "{event}: there is no test {test}");
            named += 1;
        }
    }
    assert!(rows > 20 && named > 25, "{rows} rows, {named} tests");
    assert!(!is_there("store::clock::nothing_of_that_name"));
}

/// Whether `tests/` has the function of this path.
fn is_there(path: &str) -> bool {
    let (file, name) = path.rsplit_once("::").unwrap();
    let file = here(&format!("tests/{}.rs", file.replace("::", "/")));
    fs::read_to_string(file).is_ok_and(|text| text.contains(&format!("fn {name}(")))
}

fn here(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}
