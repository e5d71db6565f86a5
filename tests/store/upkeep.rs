//! What has expired goes, on disk too; what has not stays.

use oncegate::gate::{id::SessionId, revoked::Revocation};

use super::*;

#[tokio::test]
async fn expired_segments_go_and_the_horizon_stays() {
    let dir = state();
    let store = open(options(dir.path(), Durability::Process));
    let mem = spend_all(&store, 40).await;
    assert!(store.status().segments >= 10);
    store.tick(EXPIRES + 16);
    let status = store.status();
    assert_eq!((status.entries, status.segments), (0, 2), "the current one and a spare");
    assert!(status.horizon >= EXPIRES);
    drop(store);
    // Even a clock that went back over the restart does not bring them back.
    let store = open(options(dir.path(), Durability::Process));
    assert_eq!(why_replaced(&store), Some(NewMemory::ClockWentBack));
    assert!(store.knows_sessions_of(mem));
    assert_all_fenced(&store, 40, mem).await;
}

#[tokio::test]
async fn the_journal_stays_small_under_a_steady_stream() {
    let dir = state();
    let store = open(options(dir.path(), Durability::Process));
    let mem = store.mem(NOW).unwrap();
    for second in 0..500 {
        let now = NOW + second;
        for n in 0..4 {
            let _ = store.spend(id(second * 4 + n), mem, now + 30, || now).await.unwrap();
        }
        store.tick(now);
        // 46 seconds of four records, and what is at hand.
        assert!(store.status().segments <= 50, "{}", store.status().segments);
    }
    let _ = store.take_notices();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), store.status().segments + 1);
}

#[tokio::test]
async fn revocations_move_on_when_their_segment_goes() {
    let dir = state();
    let store = open(options(dir.path(), Durability::Process));
    let mem = store.mem(NOW).unwrap();
    let session = |n| SessionId::from_bytes([n; 16]);
    let until = NOW + 8 * 3_600;
    for n in 0..20_u8 {
        store.revoke(Revocation::session(session(n), until), NOW).await.unwrap();
        for m in 0..7 {
            spend(&store, id(u64::from(n) * 7 + m), mem).await.unwrap();
        }
    }
    assert!(store.status().segments >= 40);
    store.tick(EXPIRES + 16);
    assert!(store.status().segments <= 12, "{}", store.status().segments);
    drop(store);
    let open_at = |now| Local::open(options(dir.path(), Durability::Process), now, random).unwrap();
    let store = open_at(EXPIRES + 20);
    assert!((0..20).all(|n| store.session_ended(session(n))));
    // An hour and a bucket after the last of it, nothing is left but the horizon.
    let over = until + 3_600 + 600;
    store.tick(over);
    assert_eq!((store.status().revocations, store.status().segments), (0, 2));
    assert!(store.forgotten(until) && !store.forgotten(over));
    assert!(store.knows_sessions_of(mem));
    drop(store);
    let store = open_at(over);
    assert!(store.forgotten(until) && store.knows_sessions_of(mem));
    drop(store);
    // Back before it, no session from before counts any more.
    let store = open_at(until - 10);
    assert!(!store.knows_sessions_of(mem));
}

#[tokio::test]
async fn a_full_revocation_list_refuses() {
    let dir = state();
    let mut options = options(dir.path(), Durability::Process);
    options.max_revocations = 2;
    let store = open(options);
    let session = |n| Revocation::session(SessionId::from_bytes([n; 16]), NOW + 60);
    store.revoke(session(1), NOW).await.unwrap();
    store.revoke(session(2), NOW).await.unwrap();
    assert_eq!(store.revoke(session(3), NOW).await, Err(Denial::StoreFull));
    assert_eq!(store.revoke(session(1), NOW).await, Ok(()));
}

#[tokio::test]
async fn an_expiry_past_all_time_is_refused() {
    let store = Local::open(StoreOptions::memory("gate-a", 10), NOW, random).unwrap();
    let mem = store.mem(NOW).unwrap();
    let refused = store.spend(id(1), mem, u64::MAX, || NOW).await;
    assert!(matches!(refused, Err(Denial::Malformed(_))));
}
