//! What other gates took back is taken in, kept, and told on.

use oncegate::gate::{id::SessionId, revoked::Revocation};

use super::{
    villain::{Fault, Villain},
    *,
};

const LATER: u64 = NOW + 3_600;

fn session(n: u8) -> Revocation {
    Revocation::session(SessionId::from_bytes([n; 16]), LATER)
}

fn ended(store: &Local, n: u8) -> bool {
    store.session_ended(SessionId::from_bytes([n; 16]))
}

fn mem(n: u8) -> MemoryId {
    MemoryId::from_bytes([n; 16])
}

#[tokio::test]
async fn what_was_merged_outlives_a_loss_of_power() {
    for gather in [true, false] {
        let (dir, villain) = (state(), Arc::new(Villain::new(Fault::Sync)));
        let disk = Arc::clone(&villain) as Arc<dyn Disk>;
        let mut options_on = options_on(dir.path(), Durability::Power, disk);
        options_on.journal.as_mut().unwrap().gather = gather;
        let store = open(options_on);
        let own = store.mem(NOW).unwrap();
        let told: Vec<_> = (0..30).map(session).collect();
        assert_eq!(store.merge(&told, &[mem(1), mem(2)]).await, Ok(30));
        assert_eq!(store.merge(&told, &[mem(2), own, mem(3)]).await, Ok(0));
        drop(store);
        villain.lose_unsynced(true);
        let store = open(after_a_restart(options(dir.path(), Durability::Power)));
        assert!((0..30).all(|n| ended(&store, n)));
        assert_eq!(store.lineage(), [mem(1), mem(2), mem(3), own]);
        assert!(store.knows_sessions_of(mem(3)) && !store.knows_sessions_of(mem(4)));
    }
}

#[tokio::test]
async fn only_news_is_recorded() {
    let dir = state();
    let store = open(options(dir.path(), Durability::Process));
    let told: Vec<_> = (0..4).map(session).collect();
    store.merge(&told, &[mem(1)]).await.unwrap();
    store.tick(NOW);
    let manifest = std::fs::read(dir.path().join("manifest")).unwrap();
    let segments = store.status().segments;
    for _ in 0..20 {
        assert_eq!(store.merge(&told, &[mem(1)]).await, Ok(0));
        store.revoke(told[0], NOW).await.unwrap();
        store.tick(NOW);
    }
    assert_eq!(store.status().segments, segments);
    assert_eq!(std::fs::read(dir.path().join("manifest")).unwrap(), manifest);
}

#[tokio::test]
async fn a_lineage_is_believed_only_with_all_of_its_revocations() {
    for fault in [Fault::Write, Fault::Sync] {
        let (dir, villain) = (state(), Arc::new(Villain::new(fault)));
        let disk = Arc::clone(&villain) as Arc<dyn Disk>;
        let store = open(options_on(dir.path(), Durability::Power, disk));
        villain.strike_after(0);
        let refused = store.merge(&[session(1)], &[mem(1)]).await;
        assert!(matches!(refused, Err(Denial::StoreUnavailable { unspent: true, .. })));
        assert!(ended(&store, 1), "at once, recorded or not");
        assert!(!store.knows_sessions_of(mem(1)));
        villain.relent();
        store.tick(NOW + 1);
        assert_eq!(store.merge(&[session(1)], &[mem(1)]).await, Ok(0));
        drop(store);
        let store = open(options(dir.path(), Durability::Power));
        assert!(ended(&store, 1) && store.knows_sessions_of(mem(1)));
    }
}

#[tokio::test]
async fn what_was_merged_outlives_the_memory_it_was_merged_into() {
    let store = Local::open(StoreOptions::memory("gate-a", 100), NOW, random).unwrap();
    store.merge(&[session(1)], &[mem(1)]).await.unwrap();
    let old = spend_all(&store, 1).await;
    store.tick(NOW + 3_600);
    store.tick(NOW);
    assert_ne!(store.mem(NOW), Ok(old));
    assert!(ended(&store, 1) && store.knows_sessions_of(mem(1)) && store.knows_sessions_of(old));
}

#[tokio::test]
async fn a_gate_whose_clock_is_ahead_costs_the_others_nothing() {
    let store = Local::open(StoreOptions::memory("gate-a", 100), NOW, random).unwrap();
    let own = store.mem(NOW).unwrap();
    let joe = Revocation::user("panel", "joe", LATER, LATER + 60);
    store.merge(&[joe], &[]).await.unwrap();
    store.tick(NOW);
    assert_eq!(store.mem(NOW), Ok(own));
    assert!(store.user_revoked("panel", "joe", NOW));
}

#[tokio::test]
async fn a_lineage_is_bounded_and_the_oldest_go() {
    let store = Local::open(StoreOptions::memory("gate-a", 100), NOW, random).unwrap();
    let many: Vec<_> = (0..2_000_u128).map(|n| MemoryId::from_bytes(n.to_le_bytes())).collect();
    store.merge(&[], &many).await.unwrap();
    assert_eq!(store.lineage().len(), 1_025);
    assert!(store.knows_sessions_of(many[1_999]) && !store.knows_sessions_of(many[0]));
}

#[tokio::test]
async fn a_gate_that_starts_anew_is_heard_from_the_beginning() {
    let dir = state();
    let store = open(options(dir.path(), Durability::Process));
    for n in 1..=3 {
        store.revoke(session(n), NOW).await.unwrap();
    }
    let (first, heard) = store.since(None, 2);
    assert_eq!(first, [session(1), session(2)]);
    assert_eq!(store.since(Some(heard), 9), (vec![session(3)], store.latest()));
    let all = store.latest();
    assert_eq!(store.since(Some(all), 9), (vec![], all));
    drop(store);
    let store = open(options(dir.path(), Durability::Process));
    assert_eq!(store.since(Some(all), 9).0.len(), 3, "its numbers are others now");
}
