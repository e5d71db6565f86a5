//! A disk that fails costs links, never a second admission.

use futures_util::future::join_all;

use super::{
    villain::{FAULTS, Fault, Villain},
    *,
};

/// A token, the memory it names, and when it expires.
type Token = (TokenId, MemoryId, u64);

/// Issues some tokens a step and spends them at once, ticking in between; every one acknowledged
/// must be refused ever after. Returns those.
async fn run(store: &Local, steps: u64, mut each: impl FnMut(u64)) -> Vec<Token> {
    let mut used = Vec::new();
    for step in 0..steps {
        each(step);
        let now = NOW + step * 3;
        if let Ok(mem) = store.mem(now) {
            let tokens = (0..crowd(step)).map(|n| (id(step * 3 + n), mem, now + 20));
            let spend = async |token: Token| {
                let spent = store.spend(token.0, mem, token.2, || now).await;
                spent.is_ok().then_some(token)
            };
            used.extend(join_all(tokens.map(spend)).await.into_iter().flatten());
        }
        if step % 3 == 0 {
            store.tick(now);
        }
        assert_none_passes(store, &used, now, &format!("step {step}")).await;
    }
    used
}

/// How many come in a step: one, which is alone, two or three.
fn crowd(step: u64) -> u64 {
    step % 3 + 1
}

async fn assert_none_passes(store: &Local, used: &[Token], now: u64, when: &str) {
    for (id, mem, expires) in used {
        assert!(store.spend(*id, *mem, *expires, || now).await.is_err(), "{when}: {id} twice");
    }
}

#[tokio::test]
async fn whatever_fails_at_any_moment_nothing_is_admitted_twice() {
    for fault in FAULTS {
        for durability in [Durability::Process, Durability::Power] {
            for strike in 0..70 {
                let what = format!("{fault:?} {durability:?} after {strike}");
                let (dir, villain) = (state(), Arc::new(Villain::new(fault)));
                let disk = Arc::clone(&villain) as Arc<dyn Disk>;
                let store = open(options_on(dir.path(), durability, disk));
                villain.strike_after(strike);
                let used = run(&store, 30, |_| ()).await;
                // Killed; then read back by a disk that works, at a time when all could be valid.
                drop(store);
                let store = open(options(dir.path(), durability));
                assert_none_passes(&store, &used, NOW, &what).await;
                let mem = store.mem(NOW).unwrap();
                spend(&store, id(1_000), mem).await.expect(&what);
            }
        }
    }
}

#[tokio::test]
async fn a_loss_of_power_at_any_moment_admits_nothing_twice() {
    for durability in [Durability::Process, Durability::Power] {
        for steps in 0..40 {
            for all in [true, false] {
                let (dir, villain) = (state(), Arc::new(Villain::new(Fault::Sync)));
                let disk = Arc::clone(&villain) as Arc<dyn Disk>;
                let store = open(options_on(dir.path(), durability, disk));
                let used = run(&store, steps, |_| ()).await;
                assert_eq!(used.len() as u64, (0..steps).map(crowd).sum::<u64>());
                drop(store);
                villain.lose_unsynced(all);
                let options = after_a_restart(options(dir.path(), durability));
                let store = Local::open(options, NOW, random).unwrap();
                assert_none_passes(&store, &used, NOW, "after the restart").await;
            }
        }
    }
}

#[tokio::test]
async fn a_record_synced_in_place_outlives_a_loss_of_power() {
    let (dir, villain) = (state(), Arc::new(Villain::new(Fault::Sync)));
    let disk = Arc::clone(&villain) as Arc<dyn Disk>;
    let store = open(in_place(options_on(dir.path(), Durability::Power, disk)));
    let mem = spend_all(&store, 9).await;
    // Still running, so that no thread of its own can have had the time.
    villain.lose_unsynced(true);
    villain.strike_after(0);
    assert!(spend(&store, id(9), mem).await.is_err());
    drop(store);
    let options = after_a_restart(options(dir.path(), Durability::Power));
    assert_all_used(&Local::open(options, NOW, random).unwrap(), 9, mem).await;
}

#[tokio::test]
async fn a_failed_write_ends_the_memory_and_the_next_tick_heals() {
    for fault in FAULTS {
        let (dir, villain) = (state(), Arc::new(Villain::new(fault)));
        let disk = Arc::clone(&villain) as Arc<dyn Disk>;
        let store = open(options_on(dir.path(), Durability::Power, disk));
        let mem = spend_all(&store, 7).await;
        villain.strike_after(0);
        // Full disks are felt when the segments at hand are used up.
        let mut refused = None;
        for n in 7..20 {
            if let Err(denial) = spend(&store, id(n), mem).await {
                refused = Some((n, denial));
                break;
            }
        }
        let (n, denial) = refused.unwrap();
        assert!(
            matches!(denial, Denial::StoreUnavailable { unspent: false, .. }),
            "{fault:?}: {denial}"
        );
        let again = spend(&store, id(n + 1), mem).await;
        assert!(matches!(again, Err(Denial::StoreUnavailable { unspent: true, .. })));
        assert!(matches!(store.mem(NOW), Err(Denial::StoreUnavailable { unspent: true, .. })));
        store.tick(NOW + 1);
        assert!(!store.status().healthy, "{fault:?}");
        villain.relent();
        store.tick(NOW + 2);
        assert!(store.status().healthy, "{fault:?}: {:?}", store.status().why);
        assert!(store.knows_sessions_of(mem));
        assert_all_fenced(&store, n + 1, mem).await;
    }
}

#[tokio::test]
async fn revocations_outlive_the_memory_they_were_made_in() {
    use oncegate::gate::{id::SessionId, revoked::Revocation};
    let (dir, villain) = (state(), Arc::new(Villain::new(Fault::Write)));
    let disk = Arc::clone(&villain) as Arc<dyn Disk>;
    let store = open(options_on(dir.path(), Durability::Process, disk));
    let mem = store.mem(NOW).unwrap();
    let session = |n| SessionId::from_bytes([n; 16]);
    for n in 0..9 {
        store.revoke(Revocation::session(session(n), NOW + 3_600), NOW).await.unwrap();
    }
    store.revoke(Revocation::user("panel", "joe", NOW, NOW + 3_600), NOW).await.unwrap();
    store.revoke(Revocation::link(id(1), "billing", NOW + 60), NOW).await.unwrap();
    villain.strike_after(0);
    let lost = store.revoke(Revocation::session(session(9), NOW + 3_600), NOW).await;
    assert!(matches!(lost, Err(Denial::StoreUnavailable { .. })));
    assert!(store.session_ended(session(9)), "at once, recorded or not");
    villain.relent();
    store.tick(NOW + 1);
    drop(store);
    let store = open(options(dir.path(), Durability::Process));
    assert_ne!(store.mem(NOW), Ok(mem));
    assert!(store.knows_sessions_of(mem));
    assert!((0..10).all(|n| store.session_ended(session(n))));
    assert!(store.user_revoked("panel", "joe", NOW) && store.link_revoked_by(id(1), "billing"));
    assert!(!store.user_revoked("panel", "joe", NOW + 1));
}

#[tokio::test]
async fn what_a_failed_sync_lost_is_not_read_back() {
    let (dir, villain) = (state(), Arc::new(Villain::new(Fault::Sync)));
    let disk = Arc::clone(&villain) as Arc<dyn Disk>;
    let store = open(options_on(dir.path(), Durability::Process, disk));
    let mem = spend_all(&store, 3).await;
    villain.strike_after(0);
    // The kernel drops what it could not write; this process is killed before it can do more.
    store.tick(NOW + 10);
    assert!(!store.status().healthy);
    drop(store);
    let store = open(options(dir.path(), Durability::Process));
    assert!(matches!(why_replaced(&store), Some(NewMemory::Damaged(_))));
    assert_all_fenced(&store, 3, mem).await;
}
