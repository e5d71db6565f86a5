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

/// A directory that is moved away under a gate, and another gate where it was.
async fn usurped(parent: &Path) -> (Local, Local, MemoryId) {
    let path = parent.join("state");
    let first = open(options(&path, Durability::Process));
    spend_all(&first, 3).await;
    std::fs::rename(&path, parent.join("moved")).unwrap();
    let second = open(options(&path, Durability::Process));
    let mem = spend_all(&second, 3).await;
    (first, second, mem)
}

#[tokio::test]
async fn a_gate_whose_directory_is_anothers_now_writes_nothing_there() {
    let parent = state();
    let (first, second, mem) = usurped(parent.path()).await;
    // Whatever makes it look for a new memory.
    for now in [NOW, NOW + 3_600, NOW, NOW + 1, NOW + 2] {
        first.tick(now);
    }
    assert!(!first.status().healthy, "{:?}", first.status());
    assert!(first.mem(NOW + 3).is_err());
    assert_eq!(spend(&second, id(3), mem).await, Ok(()));
    drop(second);
    let third = open(options(&parent.path().join("state"), Durability::Process));
    assert_all_used(&third, 4, mem).await;
    first.close().await;
}

#[tokio::test]
async fn what_it_wrote_there_before_it_noticed_costs_links_and_admits_none_twice() {
    let parent = state();
    let (first, second, mem) = usurped(parent.path()).await;
    let old = first.mem(NOW).unwrap();
    for n in 10..30 {
        spend(&first, id(n), old).await.unwrap();
    }
    for now in [NOW, NOW + 3_600, NOW] {
        first.tick(now);
    }
    drop(second);
    let third = open(options(&parent.path().join("state"), Durability::Process));
    for n in 0..3 {
        assert!(spend(&third, id(n), mem).await.is_err(), "{n}");
        assert!(spend(&third, id(n), old).await.is_err(), "{n}");
    }
    // Whichever memory the third has, the first has it not.
    assert_ne!(first.mem(NOW).ok(), third.mem(NOW).ok());
    assert!(spend(&first, id(40), third.mem(NOW).unwrap()).await.is_err());
}

#[tokio::test]
async fn a_gate_whose_directory_is_gone_begins_anew_where_it_was() {
    for emptied in [false, true] {
        let parent = state();
        let path = parent.path().join("state");
        let store = open(options(&path, Durability::Process));
        let mem = spend_all(&store, 3).await;
        std::fs::remove_dir_all(&path).unwrap();
        if emptied {
            std::fs::create_dir(&path).unwrap();
        }
        store.tick(NOW + 1);
        store.tick(NOW + 2);
        assert!(store.knows_sessions_of(mem), "what it remembers it still knows");
        assert_all_fenced(&store, 3, mem).await;
        // It is this gate's alone again.
        let error = Local::open(options(&path, Durability::Process), NOW, random).unwrap_err();
        assert!(matches!(error, StoreError::Locked { .. }), "{error}");
        let new = store.mem(NOW).unwrap();
        drop(store);
        let store = open(options(&path, Durability::Process));
        assert_eq!(store.mem(NOW), Ok(new));
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
