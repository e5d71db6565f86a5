//! The journal stays within about twice what is live, however long some of that lives.

use std::os::unix::fs::FileExt as _;

use oncegate::gate::{id::SessionId, revoked::Revocation};

use super::{
    villain::{FAULTS, Villain},
    *,
};

const DAY: u64 = 86_400;
/// Records of a segment here.
const ROOM: usize = 4;

/// What the full segments may hold, and the ones at hand.
fn bound(live: usize) -> usize {
    2 * live / ROOM + 3
}

fn session(n: u64) -> Revocation {
    let id = u128::from(n).to_le_bytes();
    Revocation::session(SessionId::from_bytes(id), NOW + 30 * DAY)
}

/// Looks after the store until there is nothing more to do.
fn settle(store: &Local, now: u64) {
    for _ in 0..500 {
        let before = store.status().segments;
        store.tick(now);
        if store.status().segments == before {
            return;
        }
    }
    panic!("no end to it");
}

#[tokio::test]
async fn one_token_that_lives_long_keeps_no_segment_of_short_ones() {
    let dir = state();
    let store = open(options(dir.path(), Durability::Process));
    let mem = store.mem(NOW).unwrap();
    let long = |n: u64| n.is_multiple_of(ROOM as u64);
    let mut now = NOW;
    for n in 0..1_200 {
        now = NOW + n / 4;
        let expires = if long(n) { NOW + DAY } else { now + 20 };
        let _ = store.spend(id(n), mem, expires, || now).await.unwrap();
        if n % 4 == 0 {
            store.tick(now);
            let status = store.status();
            assert!(status.segments <= bound(status.entries), "{n}: {}", status.segments);
        }
    }
    now += 60;
    settle(&store, now);
    let status = store.status();
    assert_eq!(status.entries, 300);
    assert!(status.segments <= bound(300), "{}", status.segments);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), status.segments + 1);
    drop(store);
    let store = Local::open(options(dir.path(), Durability::Process), now, random).unwrap();
    assert_eq!((why_replaced(&store), store.status().entries), (None, 300));
    for n in (0..1_200).filter(|n| long(*n)) {
        let again = store.spend(id(n), mem, NOW + DAY, || now).await;
        assert_eq!(again, Err(Denial::AlreadyUsed), "{n}");
    }
}

#[tokio::test]
async fn one_revocation_that_matters_long_keeps_no_segment_of_others() {
    let dir = state();
    let store = open(options(dir.path(), Durability::Process));
    // In each segment one that matters for a month, and some that do not.
    for n in 0..100 {
        store.revoke(session(n), NOW).await.unwrap();
        for m in 0..3 {
            let link = Revocation::link(id(n * 3 + m), "billing", NOW + 60);
            store.revoke(link, NOW).await.unwrap();
        }
    }
    assert!(store.status().segments >= 100);
    let later = NOW + DAY;
    settle(&store, later);
    let status = store.status();
    assert_eq!(status.revocations, 100);
    assert!(status.segments <= bound(100), "{}", status.segments);
    drop(store);
    let store = Local::open(options(dir.path(), Durability::Process), later, random).unwrap();
    let ended = |n: u64| store.session_ended(SessionId::from_bytes(u128::from(n).to_le_bytes()));
    assert!((0..100).all(ended));
}

#[tokio::test]
async fn taking_the_same_back_again_and_again_takes_room_once() {
    let dir = state();
    let store = open(options(dir.path(), Durability::Process));
    for second in 0..500 {
        let now = NOW + second;
        let joe = Revocation::user("panel", "joe", now, now + 30 * DAY);
        store.revoke(joe, now).await.unwrap();
        store.tick(now);
        assert!(store.status().segments <= bound(1) + 1, "{}", store.status().segments);
    }
    drop(store);
    let store = open_at(dir.path(), NOW + 500);
    assert!(store.user_revoked("panel", "joe", NOW + 499));
}

#[tokio::test]
async fn what_the_kernel_has_lost_of_a_segment_is_not_compacted_away() {
    let dir = state();
    let store = open(options(dir.path(), Durability::Process));
    let mem = store.mem(NOW).unwrap();
    assert_eq!(why_replaced(&store), Some(NewMemory::First));
    for n in 1..ROOM as u64 {
        store.revoke(Revocation::link(id(n), "billing", NOW + 60), NOW).await.unwrap();
    }
    // The last in its segment, and one that begins the next.
    store.revoke(session(7), NOW).await.unwrap();
    store.revoke(Revocation::link(id(8), "billing", NOW + 60), NOW).await.unwrap();
    let (header, record) = (64, 32);
    let file = std::fs::OpenOptions::new().write(true).open(dir.path().join("segment-0000000001"));
    let last = header + (ROOM as u64 - 1) * record;
    file.unwrap().write_all_at(&[0; 32], last).unwrap();
    store.tick(NOW + DAY);
    store.tick(NOW + DAY);
    let replaced = why_replaced(&store);
    let why = "3 records instead of 4";
    assert!(
        matches!(&replaced, Some(NewMemory::Failed(told)) if told.contains(why)),
        "{replaced:?}"
    );
    let ended = |store: &Local| store.session_ended(SessionId::from_bytes(7_u128.to_le_bytes()));
    assert!(ended(&store) && store.knows_sessions_of(mem));
    drop(store);
    let store = open_at(dir.path(), NOW + DAY);
    assert!(ended(&store) && store.knows_sessions_of(mem));
}

fn open_at(dir: &Path, now: u64) -> Local {
    Local::open(options(dir, Durability::Process), now, random).unwrap()
}

#[tokio::test]
async fn whatever_fails_while_it_is_made_small_nothing_is_forgotten() {
    let (mut moved, until) = (0, NOW + DAY);
    for fault in FAULTS {
        for durability in [Durability::Process, Durability::Power] {
            for strike in (0..200).step_by(9) {
                let what = format!("{fault:?} {durability:?} after {strike}");
                let (dir, villain) = (state(), Arc::new(Villain::new(fault)));
                let disk = Arc::clone(&villain) as Arc<dyn Disk>;
                let store = open(options_on(dir.path(), durability, disk));
                let mem = store.mem(NOW).unwrap();
                for n in 0..48 {
                    let expires = if n % 6 == 0 { until } else { NOW + 20 };
                    let _ = store.spend(id(n), mem, expires, || NOW).await.unwrap();
                    if n % 12 == 0 {
                        store.revoke(session(n), NOW).await.unwrap();
                    }
                }
                let (later, before) = (NOW + 60, store.status().segments);
                villain.strike_after(strike);
                store.tick(later);
                let whole = store.status().healthy;
                moved += usize::from(whole && store.status().segments < before);
                drop(store);
                villain.lose_unsynced(durability == Durability::Power);
                let options = options(dir.path(), durability);
                let store = Local::open(options, later, random).unwrap();
                for n in (0..48).step_by(6) {
                    let again = store.spend(id(n), mem, until, || later).await;
                    assert!(again.is_err(), "{what}: {n} twice");
                }
                let ended = |n: u64| {
                    store.session_ended(SessionId::from_bytes(u128::from(n).to_le_bytes()))
                };
                let kept = (0..48).step_by(12).all(ended);
                assert!(kept || !store.knows_sessions_of(mem), "{what}: a session came back");
            }
        }
    }
    assert!(moved > 30, "it was made small {moved} times only");
}
