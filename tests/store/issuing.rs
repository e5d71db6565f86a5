//! How far things were issued is known after a crash: a revocation must reach them all.

use oncegate::gate::{revoked::Revocation, seen::CLOCK_SLACK};

use super::{
    villain::{Fault, Villain},
    *,
};

#[tokio::test]
async fn after_a_crash_or_a_loss_of_power_it_reaches_all_that_was_issued_and_hardly_more() {
    for gather in [true, false] {
        for seconds in 0..40 {
            let (dir, villain) = (state(), Arc::new(Villain::new(Fault::Sync)));
            let disk = Arc::clone(&villain) as Arc<dyn Disk>;
            let mut options_on = options_on(dir.path(), Durability::Power, disk);
            options_on.journal.as_mut().unwrap().gather = gather;
            let store = open(options_on);
            for second in 0..=seconds {
                store.issuing(NOW + second).unwrap();
                if second % 3 == 0 {
                    store.tick(NOW + second);
                }
            }
            assert_eq!(store.issued_until(), NOW + seconds);
            drop(store);
            villain.lose_unsynced(true);
            let store = open(after_a_restart(options(dir.path(), Durability::Power)));
            let until = store.issued_until();
            assert!((NOW + seconds..NOW + seconds + CLOCK_SLACK / 2).contains(&until), "{until}");
        }
    }
}

#[tokio::test]
async fn after_an_orderly_end_it_is_exact() {
    for durability in [Durability::Process, Durability::Power] {
        let dir = state();
        let store = open(options(dir.path(), durability));
        store.issuing(NOW).unwrap();
        assert_eq!(store.beginning(NOW + 2), NOW + 2);
        let clone = store.clone();
        store.close().await;
        assert!(clone.issuing(NOW + 3).is_err());
        assert_eq!(open(options(dir.path(), durability)).issued_until(), NOW + 2);
    }
}

#[tokio::test]
async fn what_cannot_be_put_on_record_is_not_issued_and_a_session_bears_what_is() {
    let (dir, villain) = (state(), Arc::new(Villain::new(Fault::Write)));
    let disk = Arc::clone(&villain) as Arc<dyn Disk>;
    let store = open(options_on(dir.path(), Durability::Process, disk));
    store.issuing(NOW).unwrap();
    villain.strike_after(0);
    let refused = store.issuing(NOW + 60);
    assert!(matches!(refused, Err(Denial::StoreUnavailable { unspent: true, .. })));
    let begun = store.beginning(NOW + 60);
    assert!((NOW..NOW + 60).contains(&begun));
    // The memory after it knows of both.
    villain.relent();
    store.tick(NOW + 61);
    drop(store);
    assert!(open(options(dir.path(), Durability::Process)).issued_until() >= NOW + 60);
}

#[tokio::test]
async fn it_outlives_the_segment_it_was_recorded_in() {
    let dir = state();
    let store = open(options(dir.path(), Durability::Process));
    store.issuing(NOW).unwrap();
    spend_all(&store, 20).await;
    store.tick(EXPIRES + 16);
    assert_eq!(store.status().segments, 2);
    drop(store);
    let store = Local::open(options(dir.path(), Durability::Process), EXPIRES + 16, random);
    assert!(store.unwrap().issued_until() >= NOW);
}

#[tokio::test]
async fn it_goes_with_a_memory_that_takes_nothing_along() {
    let dir = state();
    let store = open(options(dir.path(), Durability::Process));
    let later = NOW + 3_600;
    store.issuing(later).unwrap();
    store.revoke(Revocation::user("panel", "joe", later, later + 60), later).await.unwrap();
    store.tick(NOW);
    assert_eq!(store.issued_until(), 0, "nothing of before is taken any more");
}
