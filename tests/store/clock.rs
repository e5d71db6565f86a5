//! A clock that jumps costs links, and admits none twice.

use std::sync::atomic::{AtomicU64, Ordering};

use oncegate::gate::{id::SessionId, revoked::Revocation};
use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Act {
    /// The clock moves by so many seconds.
    Step(i64),
    Tick,
    /// A link with this lifetime is issued.
    Issue(u64),
    /// The link of this number, counted from the latest, is opened.
    Spend(usize),
    /// Somebody signs in for so long.
    SignIn(u64),
    /// The session of this number, counted from the latest, is ended.
    SignOut(usize),
    /// The process ends, closed or killed, and starts again.
    Restart(bool),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => prop_oneof![-9_000..9_000_i64, -40..40_i64, Just(16), Just(60), Just(-3_600)]
            .prop_map(Act::Step),
        2 => Just(Act::Tick),
        4 => (1..900_u64).prop_map(Act::Issue),
        8 => (0..6_usize).prop_map(Act::Spend),
        1 => (60..9_000_u64).prop_map(Act::SignIn),
        1 => (0..3_usize).prop_map(Act::SignOut),
        1 => any::<bool>().prop_map(Act::Restart),
    ]
}

struct Link {
    id: TokenId,
    mem: MemoryId,
    expires: u64,
    admitted: u32,
}

struct Session {
    id: SessionId,
    mem: MemoryId,
    expires: u64,
    ended: bool,
}

/// As the gate judges one.
fn is_signed_in(store: &Local, session: &Session, now: u64) -> bool {
    now < session.expires
        && store.knows_sessions_of(session.mem)
        && !store.session_ended(session.id)
        && !store.forgotten(session.expires)
}

async fn play(options: StoreOptions, acts: Vec<Act>) {
    let mut now = NOW;
    let mut store = Some(Local::open(options.clone(), now, random).unwrap());
    let (mut links, mut sessions): (Vec<Link>, Vec<Session>) = (Vec::new(), Vec::new());
    for act in acts {
        let open = store.as_ref().unwrap();
        match act {
            Act::Step(by) => now = now.saturating_add_signed(by),
            Act::Tick => {
                open.tick(now);
                // Whatever happened before: a new link works.
                let mem = open.mem(now).unwrap();
                let new = open.spend(TokenId::from_bytes(random()), mem, now + 60, || now).await;
                assert!(new.is_ok(), "{new:?}");
            }
            Act::Issue(ttl) => {
                let (id, mem) = (TokenId::from_bytes(random()), open.mem(now).unwrap());
                links.push(Link { id, mem, expires: now + ttl, admitted: 0 });
            }
            Act::Spend(back) => {
                if let Some(link) = links.iter_mut().rev().nth(back) {
                    let spent = open.spend(link.id, link.mem, link.expires, || now).await;
                    link.admitted += u32::from(spent.is_ok());
                    assert!(spent.is_err() || now < link.expires);
                }
            }
            Act::SignIn(ttl) => {
                let (id, mem) = (SessionId::from_bytes(random()), open.mem(now).unwrap());
                sessions.push(Session { id, mem, expires: now + ttl, ended: false });
            }
            Act::SignOut(back) => {
                if let Some(session) = sessions.iter_mut().rev().nth(back) {
                    let ended = Revocation::session(session.id, session.expires);
                    open.revoke(ended, now).await.unwrap();
                    session.ended = true;
                }
            }
            Act::Restart(clean) => {
                let old = store.take().unwrap();
                if clean {
                    old.close().await;
                } else {
                    drop(old);
                }
                store = Some(Local::open(options.clone(), now, random).unwrap());
            }
        }
        let open = store.as_ref().unwrap();
        assert!(links.iter().all(|link| link.admitted <= 1), "admitted twice");
        let back = sessions.iter().find(|s| s.ended && is_signed_in(open, s, now));
        assert!(back.is_none(), "an ended session came back");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_clock_admits_anything_twice(
        acts in proptest::collection::vec(act(), 1..120),
        journal in any::<bool>(),
    ) {
        let dir = state();
        let options = if journal {
            options(dir.path(), Durability::Process)
        } else {
            StoreOptions::memory("gate-a", 1_000)
        };
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(play(options, acts));
    }
}

#[tokio::test]
async fn a_clock_that_goes_back_costs_links_and_nothing_else() {
    let dir = state();
    let store = open(options(dir.path(), Durability::Process));
    let mem = spend_all(&store, 5).await;
    store.tick(NOW + 3_600);
    store.tick(NOW);
    assert_eq!(why_replaced(&store), Some(NewMemory::First));
    assert!(store.status().new_memories.contains(&("clock_went_back", 1)));
    assert!(store.knows_sessions_of(mem));
    assert_all_fenced(&store, 5, mem).await;
}

#[tokio::test]
async fn a_clock_gone_back_is_noticed_by_the_spend_itself() {
    let store = Local::open(StoreOptions::memory("gate-a", 100), NOW, random).unwrap();
    let mem = store.mem(NOW).unwrap();
    let _ = store.spend(id(1), mem, EXPIRES, || NOW).await.unwrap();
    store.tick(NOW + 3_600);
    let fenced = Err(Denial::Fenced(mem.to_string()));
    assert_eq!(store.spend(id(1), mem, EXPIRES, || NOW).await, fenced);
    assert_ne!(store.mem(NOW), Ok(mem));
}

#[tokio::test]
async fn a_token_delayed_past_the_drop_of_its_bucket_is_refused() {
    let store = Local::open(StoreOptions::memory("gate-a", 100), NOW, random).unwrap();
    let mem = store.mem(NOW).unwrap();
    let expires = NOW / 16 * 16 + 32;
    let _ = store.spend(id(1), mem, expires, || NOW).await.unwrap();
    // Judged in time; but before the store asks for the time, the bucket is dropped, and the
    // clock then corrected by less than would count as gone back.
    let asked = AtomicU64::new(0);
    let refused = store
        .spend(id(65), mem, expires, || match asked.fetch_add(1, Ordering::SeqCst) {
            0 => expires,
            _ => expires - 10,
        })
        .await;
    assert_eq!(refused, Err(Denial::Expired(expires)));
    store.tick(expires);
    let refused = store.spend(id(1), mem, expires, || expires - 10).await;
    assert_eq!(refused, Err(Denial::Expired(expires)));
}

#[tokio::test]
async fn a_user_taken_back_in_the_future_can_sign_in_again_when_the_clock_returns() {
    let dir = state();
    let store = open(options(dir.path(), Durability::Process));
    let mem = store.mem(NOW).unwrap();
    let later = NOW + 3_600;
    store.revoke(Revocation::user("panel", "joe", later, later + 60), later).await.unwrap();
    assert!(store.user_revoked("panel", "joe", NOW));
    store.tick(NOW);
    // Up to now, and not to a time to come.
    assert!(store.user_revoked("panel", "joe", NOW));
    assert!(!store.user_revoked("panel", "joe", NOW + 1));
    assert!(!store.knows_sessions_of(mem), "begun in that future, perhaps");
    assert_all_fenced(&store, 0, mem).await;
}

#[tokio::test]
async fn a_link_taken_back_stays_back_when_the_clock_returns() {
    let store = Local::open(StoreOptions::memory("gate-a", 100), NOW, random).unwrap();
    let mem = store.mem(NOW).unwrap();
    store.revoke(Revocation::link(id(1), "billing", EXPIRES), NOW).await.unwrap();
    store.tick(NOW + 7_200);
    assert!(!store.link_revoked_by(id(1), "billing"), "long over, by that clock");
    assert_eq!(spend(&store, id(1), mem).await, Err(Denial::Fenced(mem.to_string())));
}

#[tokio::test]
async fn a_new_memory_inherits_how_far_the_one_before_forgot() {
    let (dir, session) = (state(), SessionId::from_bytes([1; 16]));
    let store = open(options(dir.path(), Durability::Process));
    let (mem, expires) = (store.mem(NOW).unwrap(), NOW + 600);
    store.revoke(Revocation::session(session, expires), NOW).await.unwrap();
    // Forgotten by a clock that runs ahead; one that returns halfway replaces the memory.
    let ahead = NOW + 7_200;
    let _ = store.spend(id(1), mem, ahead + 60, || ahead).await.unwrap();
    store.tick(ahead + 120);
    store.tick(NOW + 5_400);
    assert!(store.knows_sessions_of(mem) && !store.session_ended(session));
    assert_ne!(store.mem(NOW + 5_400), Ok(mem));
    drop(store);
    // The rest of the way over a restart: the session would be valid again.
    let store = open(options(dir.path(), Durability::Process));
    assert!(!store.knows_sessions_of(mem) || store.forgotten(expires));
}

#[tokio::test]
async fn what_went_with_a_memory_is_not_answered_as_taken_back() {
    let store = Store::open(StoreOptions::memory("gate-a", 100), NOW, random).unwrap();
    let revocation = Revocation::user("panel", "joe", NOW, NOW + 3_600);
    assert_eq!(store.revoke(revocation, NOW).await, Ok(()));
    store.tick(NOW - 5);
    assert_eq!(store.still_holds(&revocation), Ok(()));
    store.tick(NOW - 60);
    let lost = store.still_holds(&revocation);
    assert!(matches!(lost, Err(Denial::StoreUnavailable { unspent: true, .. })), "{lost:?}");
    assert_eq!(store.revoke(revocation, NOW).await, Ok(()));
}

#[tokio::test]
async fn a_clock_that_goes_back_a_little_puts_no_sync_off() {
    let dir = state();
    let store = open(options(dir.path(), Durability::Process));
    let mem = store.mem(NOW).unwrap();
    store.tick(NOW);
    let _ = store.spend(id(1), mem, EXPIRES, || NOW).await.unwrap();
    let syncs = || store.status().journal_written.unwrap().syncs;
    let before = syncs();
    store.tick(NOW + 1);
    assert_eq!(syncs(), before, "ten seconds are not over");
    store.tick(NOW - 8);
    assert_eq!(syncs(), before + 1);
}
