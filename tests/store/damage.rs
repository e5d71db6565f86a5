//! A journal that is not as it was left is not repaired.

use std::{fs, os::unix::fs::FileExt as _, path::PathBuf};

use oncegate::store::StoreError;

use super::*;

/// Bytes of a segment before its first record.
const HEADER: usize = 64;

const COUNT: u64 = 6;

/// A state directory with a journal in it, closed or left behind by a crash.
async fn journal(closed: bool) -> (TempDir, MemoryId) {
    let dir = state();
    let store = open(options(dir.path(), Durability::Process));
    let mem = spend_all(&store, COUNT).await;
    // One full segment, one half full, and now a spare.
    store.tick(NOW);
    if closed {
        store.close().await;
    }
    (dir, mem)
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 4, "a manifest and three segments: {files:?}");
    files
}

async fn assert_replaced(dir: &Path, mem: MemoryId, what: &str) {
    let store = open(options(dir, Durability::Process));
    let why = why_replaced(&store);
    assert!(matches!(why, Some(NewMemory::Damaged(_))), "{what}: {why:?}");
    assert!(!store.knows_sessions_of(mem), "{what}");
    assert_all_fenced(&store, COUNT, mem).await;
    let new = store.mem(NOW).unwrap();
    drop(store);
    // The new one is whole, and nothing of the old is left.
    let store = open(options(dir, Durability::Process));
    assert_eq!(store.mem(NOW), Ok(new), "{what}");
}

#[tokio::test]
async fn a_journal_left_by_a_crash_is_whole() {
    for closed in [false, true] {
        let (dir, mem) = journal(closed).await;
        let store = open(options(dir.path(), Durability::Process));
        assert_eq!(why_replaced(&store), None);
        assert_all_used(&store, COUNT, mem).await;
        drop(store);
        let store = open(options(dir.path(), Durability::Power));
        assert_all_used(&store, COUNT + 1, mem).await;
    }
}

#[tokio::test]
async fn every_flipped_byte_is_noticed() {
    let (template, _) = journal(false).await;
    for (file, path) in files(template.path()).iter().enumerate() {
        let size = fs::metadata(path).unwrap().len();
        assert!(size > 0);
        for at in 0..size {
            let (dir, mem) = journal(at % 2 == 0).await;
            let path = &files(dir.path())[file];
            let handle = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
            let mut byte = [0];
            if handle.read_at(&mut byte, at).unwrap() == 0 {
                continue; // This manifest is a digit shorter than the first one.
            }
            handle.write_all_at(&[byte[0] ^ (1 << (at % 8))], at).unwrap();
            assert_replaced(dir.path(), mem, &format!("{path:?} flipped at {at}")).await;
        }
    }
}

#[tokio::test]
async fn every_cut_is_noticed() {
    let (template, _) = journal(false).await;
    for (file, path) in files(template.path()).iter().enumerate() {
        let size = fs::metadata(path).unwrap().len();
        for length in 0..size {
            let (dir, mem) = journal(length % 2 == 0).await;
            let path = &files(dir.path())[file];
            let handle = fs::OpenOptions::new().write(true).open(path).unwrap();
            if length >= handle.metadata().unwrap().len() {
                continue;
            }
            handle.set_len(length).unwrap();
            assert_replaced(dir.path(), mem, &format!("{path:?} cut at {length}")).await;
        }
    }
}

#[tokio::test]
async fn every_deleted_file_is_noticed() {
    let (template, _) = journal(false).await;
    for file in 0..files(template.path()).len() {
        for closed in [false, true] {
            let (dir, mem) = journal(closed).await;
            let path = &files(dir.path())[file];
            fs::remove_file(path).unwrap();
            assert_replaced(dir.path(), mem, &format!("{path:?} deleted")).await;
        }
    }
}

#[tokio::test]
async fn a_moved_or_exchanged_record_is_noticed() {
    for (from, to) in [(0, 1), (1, 0), (0, 3), (3, 2)] {
        let (dir, mem) = journal(false).await;
        let path = &files(dir.path())[1];
        let mut bytes = fs::read(path).unwrap();
        let at = |n: usize| HEADER + n * 32..HEADER + (n + 1) * 32;
        let record = bytes[at(from)].to_vec();
        bytes[at(to)].copy_from_slice(&record);
        fs::write(path, bytes).unwrap();
        assert_replaced(dir.path(), mem, "moved").await;
    }
}

#[tokio::test]
async fn a_lost_tail_of_a_closed_journal_is_noticed() {
    let (dir, mem) = journal(true).await;
    let path = &files(dir.path())[2];
    let handle = fs::OpenOptions::new().write(true).open(path).unwrap();
    handle.write_all_at(&[0; 32], HEADER as u64 + 32).unwrap();
    assert_replaced(dir.path(), mem, "lost tail").await;
}

#[tokio::test]
async fn a_copied_directory_is_noticed() {
    let (dir, mem) = journal(true).await;
    let copy = state();
    for path in files(dir.path()) {
        fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    assert_replaced(copy.path(), mem, "copied").await;
}

#[tokio::test]
async fn a_directory_linked_from_elsewhere_is_noticed() {
    let (dir, mem) = journal(true).await;
    let twin = state();
    for path in files(dir.path()) {
        fs::hard_link(&path, twin.path().join(path.file_name().unwrap())).unwrap();
    }
    assert_replaced(twin.path(), mem, "linked").await;
}

#[tokio::test]
async fn a_backup_written_over_the_same_files_is_noticed() {
    let (dir, mem) = journal(true).await;
    for path in files(dir.path()) {
        // As a restored file: the same in all but its time.
        let file = fs::File::options().write(true).open(&path).unwrap();
        let later =
            file.metadata().unwrap().modified().unwrap() + std::time::Duration::from_secs(9);
        file.set_modified(later).unwrap();
    }
    assert_replaced(dir.path(), mem, "written over").await;
}

#[tokio::test]
async fn a_copied_segment_is_noticed() {
    let (dir, mem) = journal(false).await;
    let path = &files(dir.path())[2];
    let copy = dir.path().join("copy");
    fs::copy(path, &copy).unwrap();
    fs::rename(&copy, path).unwrap();
    assert_replaced(dir.path(), mem, "copied").await;
}

#[tokio::test]
async fn a_manifest_put_back_in_place_is_noticed() {
    let (dir, mem) = journal(true).await;
    let path = &files(dir.path())[0];
    let before = fs::read(path).unwrap();
    let store = open(options(dir.path(), Durability::Process));
    spend(&store, id(COUNT), mem).await.unwrap();
    drop(store);
    fs::write(path, before).unwrap();
    assert_replaced(dir.path(), mem, "put back").await;
}

#[tokio::test]
async fn another_version_and_another_gate_are_refused_and_left_alone() {
    let (dir, mem) = journal(true).await;
    let mut other = options(dir.path(), Durability::Process);
    other.gate = "gate-b".to_owned();
    let error = Local::open(other, NOW, random).unwrap_err();
    assert!(matches!(&error, StoreError::OtherGate { found, .. } if found == "gate-a"));
    let store = open(options(dir.path(), Durability::Process));
    assert_all_used(&store, COUNT, mem).await;
    drop(store);

    let text = "oncegate-journal 3\nwhatever that is\n";
    let sum = xxhash_rust::xxh3::xxh3_128(text.as_bytes());
    fs::write(dir.path().join("manifest"), format!("{text}xxh3 {sum:032x}\n")).unwrap();
    let before = files(dir.path());
    let error = Local::open(options(dir.path(), Durability::Process), NOW, random).unwrap_err();
    assert!(matches!(error, StoreError::Newer { .. }), "{error}");
    assert_eq!(files(dir.path()), before);
}

/// What is done to a file.
type Deed = fn(&Path) -> std::io::Result<()>;

#[tokio::test]
async fn whatever_is_wrong_is_told_with_the_name_of_the_file() {
    const SECOND: &str = "segment-0000000002";
    let flip: fn(&Path, usize) -> std::io::Result<()> = |path, at| {
        let mut bytes = fs::read(path)?;
        bytes[at] ^= 1;
        fs::write(path, bytes)
    };
    // A copy in its place; under a name that is removed before anything is told of it.
    let copied: Deed = |path| {
        let copy = path.with_file_name("segment-0000000999");
        fs::copy(path, &copy)?;
        fs::rename(copy, path)
    };
    let deeds: [(&str, Deed, &str); 12] = [
        ("manifest", |path| fs::remove_file(path), "manifest is missing"),
        ("manifest", |path| fs::write(path, ""), "manifest is cut short"),
        ("manifest", |path| fs::write(path, [0xff; 99]), "manifest is not text"),
        ("manifest", copied, "manifest is a copy"),
        (
            "manifest",
            |path| fs::remove_file(path).and_then(|()| fs::create_dir(path)),
            "manifest: ",
        ),
        (SECOND, |path| fs::remove_file(path), "segment-0000000002: No such file"),
        (SECOND, |path| fs::write(path, "x"), "segment-0000000002 has 1 bytes instead of 192"),
        (SECOND, copied, "segment-0000000002 is a copy"),
        (SECOND, |path| fs::write(path, [0; 192]), "segment-0000000002 has a damaged header"),
        (SECOND, |path| fs::hard_link(path, path.with_extension("also")), "linked from elsewhere"),
        (SECOND, |path| fs::remove_file(path).and_then(|()| fs::create_dir(path)), SECOND),
        (
            SECOND,
            |path| fs::rename(path, path.with_extension("away")),
            "segment-0000000002: No such",
        ),
    ];
    for (name, deed, told) in deeds {
        let (dir, mem) = journal(false).await;
        deed(&dir.path().join(name)).unwrap();
        let opened = Local::open(options(dir.path(), Durability::Process), NOW, random);
        assert_told(opened, told, mem).await;
    }
    for (at, told) in [(0, "a damaged record at 0"), (3, "something after its last record")] {
        let (dir, mem) = journal(false).await;
        flip(&dir.path().join(SECOND), HEADER + at * 32).unwrap();
        let opened = Local::open(options(dir.path(), Durability::Process), NOW, random);
        assert_told(opened, told, mem).await;
    }
}

/// The journal was replaced for this reason; or where the damage stands in the way of a new one,
/// the gate does not start and says why.
async fn assert_told(opened: Result<Local, StoreError>, told: &str, mem: MemoryId) {
    match opened {
        Ok(store) => {
            let Some(NewMemory::Damaged(why)) = why_replaced(&store) else { panic!("{told}") };
            assert!(why.contains(told), "{why} instead of {told}");
            assert_all_fenced(&store, COUNT, mem).await;
        }
        Err(error) => assert!(error.to_string().contains("check that once.dir"), "{told}: {error}"),
    }
}

#[tokio::test]
async fn a_restart_of_the_machine_fences_what_was_not_synced() {
    for (durability, closed, whole) in [
        (Durability::Process, false, false),
        (Durability::Process, true, true),
        (Durability::Power, false, true),
        (Durability::Power, true, true),
    ] {
        let dir = state();
        let store = open(options(dir.path(), durability));
        let mem = spend_all(&store, COUNT).await;
        if closed {
            store.close().await;
        } else {
            drop(store);
        }
        let store = open(after_a_restart(options(dir.path(), durability)));
        if whole {
            assert_all_used(&store, COUNT, mem).await;
        } else {
            assert_eq!(why_replaced(&store), Some(NewMemory::Restarted));
            assert_all_fenced(&store, COUNT, mem).await;
        }
    }
}

#[tokio::test]
async fn a_clean_close_counts_once() {
    let (dir, mem) = journal(true).await;
    let store = open(options(dir.path(), Durability::Process));
    spend(&store, id(COUNT), mem).await.unwrap();
    drop(store);
    let store = open(after_a_restart(options(dir.path(), Durability::Process)));
    assert_all_fenced(&store, COUNT + 1, mem).await;
}
