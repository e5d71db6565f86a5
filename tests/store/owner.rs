//! Two processes never own one state directory.

use oncegate::store::StoreError;

use super::*;

#[tokio::test]
async fn a_second_gate_waits_and_then_says_who_is_in_the_way() {
    let dir = state();
    let first = open(options(dir.path(), Durability::Process));
    let error = Local::open(options(dir.path(), Durability::Process), NOW, random).unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }));
    let text = error.to_string();
    assert!(text.contains(&dir.path().display().to_string()) && text.contains("another gate"));
    drop(first);
    open(options(dir.path(), Durability::Process));
}

#[tokio::test]
async fn a_successor_goes_on_where_its_predecessor_closed() {
    for durability in [Durability::Process, Durability::Power] {
        let dir = state();
        let first = open(options(dir.path(), durability));
        let mem = spend_all(&first, 9).await;
        let mut options = options(dir.path(), durability);
        options.journal.as_mut().unwrap().lock_wait = Duration::from_secs(60);
        let second = std::thread::spawn(move || open(options));
        let clone = first.clone();
        first.close().await;
        let second = second.join().unwrap();
        // What the first still holds can spend nothing any more.
        let late = spend(&clone, id(100), mem).await;
        assert!(matches!(late, Err(Denial::StoreUnavailable { unspent: true, .. })));
        clone.tick(NOW + 1);
        assert!(clone.mem(NOW + 2).is_err());
        assert_all_used(&second, 9, mem).await;
        assert_eq!(spend(&second, id(100), mem).await, Ok(()));
    }
}

#[tokio::test]
async fn a_foreign_file_is_told_and_left_alone() {
    let dir = state();
    std::fs::write(dir.path().join("notes.txt"), "mine").unwrap();
    std::fs::write(dir.path().join("segment-0000000099"), "a leftover").unwrap();
    let store = open(options(dir.path(), Durability::Process));
    assert!(store.take_notices().contains(&StoreNotice::Foreign("notes.txt".to_owned())));
    assert!(dir.path().join("notes.txt").exists());
    assert!(!dir.path().join("segment-0000000099").exists());
}

#[tokio::test]
async fn without_a_journal_every_start_is_a_new_memory() {
    let open = || Local::open(StoreOptions::memory("gate-a", 100), NOW, random).unwrap();
    let store = open();
    let mem = spend_all(&store, 5).await;
    assert_all_used(&store, 5, mem).await;
    drop(store);
    assert_all_fenced(&open(), 5, mem).await;
}
