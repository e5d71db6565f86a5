//! Journals of other versions: taken up, refused, or fenced; never misread.

use std::{fs, path::PathBuf};

use oncegate::store::StoreError;
use xxhash_rust::xxh3::xxh3_128;

use super::*;

/// A directory in which a gate spent five tokens, in two segments, and issued something.
async fn journal(closed: bool) -> (TempDir, MemoryId) {
    let dir = state();
    let store = open(options(dir.path(), Durability::Process));
    let mem = spend_all(&store, 5).await;
    if closed {
        store.close().await;
    }
    (dir, mem)
}

fn manifest(dir: &Path) -> String {
    fs::read_to_string(dir.join("manifest")).unwrap()
}

/// Rewrites the manifest in its place, with a good checksum.
fn rewrite(dir: &Path, change: impl FnOnce(&str) -> String) {
    let text = manifest(dir);
    let (text, _) = text.rsplit_once("xxh3 ").unwrap();
    let text = change(text);
    let sum = xxh3_128(text.as_bytes());
    fs::write(dir.join("manifest"), format!("{text}xxh3 {sum:032x}\n")).unwrap();
}

/// As the version before wrote it: without what it did not know of.
fn as_version_1(text: &str) -> String {
    let text = text.replacen("oncegate-journal 2\n", "oncegate-journal 1\n", 1);
    let lines = text.split_inclusive('\n');
    let older: String = lines.filter(|line| !line.contains("issued_until")).collect();
    assert_eq!(older.lines().count(), text.lines().count() - 1);
    older
}

fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    files.sort();
    files
}

#[tokio::test]
async fn a_journal_of_version_1_is_taken_up_and_becomes_one_of_this() {
    for closed in [false, true] {
        let (dir, mem) = journal(closed).await;
        rewrite(dir.path(), as_version_1);
        let store = open(options(dir.path(), Durability::Process));
        assert_eq!(why_replaced(&store), None);
        assert_all_used(&store, 5, mem).await;
        // Before anything is recorded that the version before cannot read.
        assert!(manifest(dir.path()).starts_with("oncegate-journal 2\n"));
        store.issuing(NOW).unwrap();
        drop(store);
        assert_all_used(&open(options(dir.path(), Durability::Process)), 6, mem).await;
    }
}

#[tokio::test]
async fn a_manifest_of_version_1_over_records_of_this_is_fenced() {
    let dir = state();
    let store = open(options(dir.path(), Durability::Process));
    let mem = spend_all(&store, 5).await;
    store.issuing(NOW).unwrap();
    drop(store);
    rewrite(dir.path(), as_version_1);
    let store = open(options(dir.path(), Durability::Process));
    let Some(NewMemory::Damaged(why)) = why_replaced(&store) else { panic!("taken up") };
    assert!(why.contains("segment-0000000002 has a record of a later version"), "{why}");
    assert_all_fenced(&store, 5, mem).await;
}

#[tokio::test]
async fn a_newer_manifest_is_refused_whatever_its_segments_and_left_alone() {
    for closed in [false, true] {
        let (dir, mem) = journal(closed).await;
        rewrite(dir.path(), |text| text.replacen("journal 2\n", "journal 3\n", 1));
        let before = contents(dir.path());
        for _ in 0..2 {
            let error = Local::open(options(dir.path(), Durability::Process), NOW, random);
            let error = error.unwrap_err();
            assert!(
                matches!(&error, StoreError::Newer { found, .. } if found == "oncegate-journal 3")
            );
            assert!(error.to_string().contains("run the version that wrote it"), "{error}");
        }
        assert_eq!(contents(dir.path()), before);
        // Back to the newer version, as it were: nothing was lost.
        rewrite(dir.path(), |text| text.replacen("journal 3\n", "journal 2\n", 1));
        assert_all_used(&open(options(dir.path(), Durability::Process)), 5, mem).await;
    }
}

#[tokio::test]
async fn a_segment_of_another_version_is_fenced_by_name() {
    for version in [0_u8, 2, 3] {
        let (dir, mem) = journal(true).await;
        let path = dir.path().join("segment-0000000001");
        let mut bytes = fs::read(&path).unwrap();
        assert_eq!(bytes[8..12], [1, 0, 0, 0]);
        bytes[8] = version;
        fs::write(&path, bytes).unwrap();
        let store = open(options(dir.path(), Durability::Process));
        let Some(NewMemory::Damaged(why)) = why_replaced(&store) else { panic!("taken up") };
        assert!(why.contains("segment-0000000001") && why.contains("version"), "{why}");
        assert_all_fenced(&store, 5, mem).await;
    }
}
