//! Roads that lose, delay, double and forge what they carry.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures_util::{FutureExt as _, future::BoxFuture};
use oncegate::{
    gate::{
        denial::Denial,
        id::{SessionId, TokenId},
        peer::{PeerKeys, SPEND},
        revoked::Revocation,
        secret::Secret,
        session::SessionKeys,
    },
    ops::entropy,
    store::{
        Store, StoreNotice, StoreOptions, Use,
        peers::{PeerOptions, Road, Sealed, Unanswered},
    },
};

use crate::{fleet::NAMES, support::gate::NOW};

/// What becomes of what is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weather {
    Fair,
    /// The questions are lost on the way.
    LosesQuestions,
    /// So many answers to spends are lost on the way.
    LosesAnswers(usize),
    /// Nobody is there.
    Refuses,
    /// Every question arrives twice.
    Doubles,
    /// The question arrives, and an answer to an earlier one comes back.
    Replays,
    /// "Spent", says whoever sits on the way.
    Forges,
}

/// Stores that reach each other without a network.
#[derive(Debug, Clone)]
struct Land(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    stores: BTreeMap<String, Store>,
    weather: Weather,
    /// Spends that were asked for.
    carried: usize,
    earlier: Option<Sealed>,
}

impl Road for Land {
    fn send<'a>(
        &'a self,
        peer: &'a str,
        path: &'static str,
        question: Sealed,
    ) -> BoxFuture<'a, Result<Sealed, Unanswered>> {
        self.carry(peer, path, question).boxed()
    }
}

impl Land {
    /// Gates A and B, with these keys.
    fn new(keys: [PeerKeys; 2]) -> Self {
        let (stores, weather) = (BTreeMap::new(), Weather::Fair);
        let land = Self(Arc::new(Mutex::new(Inner { stores, weather, carried: 0, earlier: None })));
        for (name, keys) in NAMES.into_iter().zip(keys) {
            land.open(name, keys);
        }
        land
    }

    fn open(&self, name: &str, keys: PeerKeys) {
        let names = NAMES[..2].iter().map(|name| (*name).to_owned()).collect();
        let road = Arc::new(self.clone());
        let options = StoreOptions {
            peers: Some(PeerOptions { names, road, keys }),
            ..StoreOptions::memory(name, 1_000)
        };
        let store = Store::open(options, NOW, entropy::random).unwrap();
        self.0.lock().unwrap().stores.insert(name.to_owned(), store);
    }

    fn store(&self, name: &str) -> Store {
        self.0.lock().unwrap().stores[name].clone()
    }

    fn set(&self, weather: Weather) {
        let mut inner = self.0.lock().unwrap();
        inner.weather = weather;
        inner.carried = 0;
    }

    fn carried(&self) -> usize {
        self.0.lock().unwrap().carried
    }

    async fn carry(
        &self,
        peer: &str,
        path: &'static str,
        question: Sealed,
    ) -> Result<Sealed, Unanswered> {
        let (weather, carried, store) = {
            let mut inner = self.0.lock().unwrap();
            inner.carried += usize::from(path == SPEND);
            (inner.weather, inner.carried, inner.stores[peer].clone())
        };
        let lost = |unasked| Unanswered { unasked, why: "lost".to_owned() };
        let answer = async |question: &Sealed| {
            let answer = store.answer(path, question, || NOW).await;
            answer.ok_or_else(|| Unanswered { unasked: false, why: "404".to_owned() })
        };
        match weather {
            Weather::Fair => {
                let answer = answer(&question).await?;
                self.0.lock().unwrap().earlier = Some(answer.clone());
                Ok(answer)
            }
            Weather::LosesQuestions => std::future::pending().await,
            Weather::LosesAnswers(many) => match answer(&question).await {
                Ok(_) if path == SPEND && carried <= many => Err(lost(false)),
                answered => answered,
            },
            Weather::Refuses => Err(lost(true)),
            Weather::Doubles => {
                let (first, second) = tokio::join!(answer(&question), answer(&question));
                assert_eq!(first.as_ref().unwrap().body, second.as_ref().unwrap().body);
                first
            }
            Weather::Replays => {
                drop(answer(&question).await);
                Ok(self.0.lock().unwrap().earlier.clone().unwrap())
            }
            Weather::Forges => {
                let body = Bytes::from_static(br#"{"outcome":"spent"}"#);
                Ok(Sealed { proof: format!("1 {peer} gate-b {}", "A".repeat(43)), body })
            }
        }
    }
}

fn session_keys(current: u8, others: &[u8]) -> SessionKeys {
    let key = |byte: u8| {
        let mut key = [byte; 32];
        key[0] ^= 1;
        Secret::new(key)
    };
    SessionKeys::new(key(current), others.iter().copied().map(key).collect()).unwrap()
}

fn same_keys() -> [PeerKeys; 2] {
    [1, 1].map(|key| PeerKeys::of(&session_keys(key, &[])))
}

/// A token of gate A, and B, at which it is presented.
fn token(land: &Land) -> Use {
    let mem = land.store("gate-a").mem(NOW).unwrap();
    let id = TokenId::from_bytes(entropy::random());
    Use { id, mem, gate: Some("gate-a".to_owned()), expires: NOW + 60 }
}

async fn spend(land: &Land, token: &Use) -> Result<(), Denial> {
    land.store("gate-b").spend(token, || NOW).await.map(drop)
}

fn unavailable(unspent: bool) -> impl Fn(&Result<(), Denial>) -> bool {
    move |outcome| match outcome {
        Err(Denial::OwnerSilent(_)) => unspent,
        Err(Denial::StoreUnavailable { unspent: said, .. }) => *said == unspent,
        _ => false,
    }
}

/// Until B finds out that A answers.
async fn fair(land: &Land) {
    land.set(Weather::Fair);
    assert!(land.store("gate-b").hear("gate-a").await);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_lost_is_asked_for_once_more_and_admits() {
    let land = Land::new(same_keys());
    let token = token(&land);
    land.set(Weather::LosesAnswers(1));
    assert_eq!(spend(&land, &token).await, Ok(()));
    assert_eq!(land.store("gate-a").status().entries, 1);
    assert_eq!(spend(&land, &token).await, Err(Denial::AlreadyUsed), "another attempt");
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_forgot_the_attempt_between_record_and_answer_admits_nobody() {
    let land = Land::new(same_keys());
    let token = token(&land);
    land.set(Weather::LosesAnswers(2));
    let outcome = spend(&land, &token).await;
    assert!(unavailable(false)(&outcome), "perhaps spent: {outcome:?}");
    // The owner has another memory now, and so nobody else is admitted either.
    let keys = PeerKeys::of(&session_keys(1, &[]));
    land.open("gate-a", keys);
    fair(&land).await;
    assert_eq!(spend(&land, &token).await, Err(Denial::Fenced(token.mem.to_string())));
}

#[tokio::test(start_paused = true)]
async fn questions_that_are_lost_leave_the_token_perhaps_spent_and_are_not_piled_up() {
    let land = Land::new(same_keys());
    let tokens: Vec<Use> = (0..100).map(|_| token(&land)).collect();
    land.set(Weather::LosesQuestions);
    let outcome = spend(&land, &tokens[0]).await;
    assert!(unavailable(false)(&outcome), "{outcome:?}");
    let carried = land.carried();
    assert_eq!(carried, 2, "asked once, and once more");
    for token in &tokens {
        let outcome = spend(&land, token).await;
        assert!(unavailable(true)(&outcome), "certainly unspent: {outcome:?}");
    }
    assert_eq!(land.carried(), carried, "nothing is asked of a gate that is silent");
    let notices = land.store("gate-b").take_notices();
    let silent = |notice: &&StoreNotice| matches!(notice, StoreNotice::PeerSilent(..));
    assert_eq!(notices.iter().filter(silent).count(), 1, "{notices:?}");
    fair(&land).await;
    for token in &tokens {
        assert_eq!(spend(&land, token).await, Ok(()));
    }
    assert!(
        land.store("gate-b")
            .take_notices()
            .iter()
            .any(|notice| { *notice == StoreNotice::PeerAnswers("gate-a".to_owned()) })
    );
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_refuses_connections_has_spent_nothing() {
    let land = Land::new(same_keys());
    let token = token(&land);
    land.set(Weather::Refuses);
    let outcome = spend(&land, &token).await;
    assert!(unavailable(true)(&outcome), "{outcome:?}");
    let looked = land.store("gate-b").look(&token, || NOW).await;
    assert!(unavailable(true)(&looked), "not called good: {looked:?}");
    fair(&land).await;
    assert_eq!(spend(&land, &token).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_question_that_arrives_twice_is_one_attempt() {
    let land = Land::new(same_keys());
    let token = token(&land);
    land.set(Weather::Doubles);
    assert_eq!(spend(&land, &token).await, Ok(()));
    assert_eq!(land.store("gate-a").status().entries, 1);
    assert_eq!(spend(&land, &token).await, Err(Denial::AlreadyUsed));
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_another_question_admits_nobody() {
    let land = Land::new(same_keys());
    let (good, other) = (token(&land), token(&land));
    assert_eq!(spend(&land, &good).await, Ok(()));
    land.set(Weather::Replays);
    // The same "spent", now to one that somebody else has used.
    assert!(land.store("gate-a").spend(&other, || NOW).await.is_ok());
    let outcome = spend(&land, &other).await;
    assert!(unavailable(false)(&outcome), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn a_forged_answer_admits_nobody() {
    let land = Land::new(same_keys());
    land.set(Weather::Forges);
    let outcome = spend(&land, &token(&land)).await;
    assert!(unavailable(false)(&outcome), "{outcome:?}");
    assert_eq!(land.store("gate-a").status().entries, 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_with_a_key_that_the_other_only_opens_with_is_answered_with_the_same() {
    let keys = [session_keys(1, &[2]), session_keys(2, &[1])];
    let land = Land::new(keys.each_ref().map(PeerKeys::of));
    assert_eq!(spend(&land, &token(&land)).await, Ok(()));
    // And of a gate that has none of them nothing is believed.
    land.store("gate-b").take_up_keys(&session_keys(3, &[]));
    let token = token(&land);
    let outcome = spend(&land, &token).await;
    assert!(unavailable(false)(&outcome), "{outcome:?}");
    land.store("gate-b").take_up_keys(&session_keys(1, &[]));
    fair(&land).await;
    assert_eq!(spend(&land, &token).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_back_while_a_gate_is_cut_off_reaches_it_after() {
    let land = Land::new(same_keys());
    let (a, b) = (land.store("gate-a"), land.store("gate-b"));
    let session = |n: u8| SessionId::from_bytes([n; 16]);
    land.set(Weather::LosesQuestions);
    for n in 0..250 {
        a.revoke(Revocation::session(session(n), NOW + 600), NOW).await.unwrap();
    }
    assert!(!b.session_ended(session(0)), "it was cut off");
    // More than are told at a time.
    for n in 0..2_500_u64 {
        let id = SessionId::from_bytes(u128::from(n + 1_000).to_le_bytes());
        a.revoke(Revocation::session(id, NOW + 600), NOW).await.unwrap();
    }
    fair(&land).await;
    assert!((0..250).all(|n| b.session_ended(session(n))));
    assert_eq!((b.status().revocations, a.status().revocations), (2_750, 2_750));
    assert!(b.knows_sessions_of(a.mem(NOW).unwrap()));
    // Heard once: nothing is told again.
    assert!(b.hear("gate-a").await);
    assert_eq!(b.status().revocations, 2_750);
}

#[tokio::test(start_paused = true)]
async fn what_was_forgotten_meanwhile_holds_nothing_up() {
    let land = Land::new(same_keys());
    let (a, b) = (land.store("gate-a"), land.store("gate-b"));
    assert!(b.hear("gate-a").await);
    land.set(Weather::LosesQuestions);
    let session = SessionId::from_bytes([1; 16]);
    a.revoke(Revocation::session(session, NOW + 10), NOW).await.unwrap();
    // Dropped at A before B has heard of it.
    a.tick(NOW + 10_000);
    assert_eq!(a.status().revocations, 0);
    fair(&land).await;
    assert!(b.knows_sessions_of(a.mem(NOW + 10_000).unwrap()));
    // A lineage that changes after that is told all the same.
    land.open("gate-a", PeerKeys::of(&session_keys(1, &[])));
    assert!(b.hear("gate-a").await);
    assert!(b.knows_sessions_of(land.store("gate-a").mem(NOW).unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_gate_whose_clock_was_set_back_hears_everything_again() {
    let land = Land::new(same_keys());
    let (a, b) = (land.store("gate-a"), land.store("gate-b"));
    let ended = SessionId::from_bytes([1; 16]);
    a.revoke(Revocation::session(ended, NOW + 100_000), NOW).await.unwrap();
    assert!(b.hear("gate-a").await && b.session_ended(ended));
    // It takes back a user by a clock far ahead; set right again, it trusts no session before it
    // has heard what it may have forgotten. What it remembers goes on.
    let later = NOW + 50_000;
    b.revoke(Revocation::user("panel", "ann", later, later + 60), later).await.unwrap();
    b.tick(NOW);
    assert!(b.session_ended(ended) && !b.knows_sessions_of(a.mem(NOW).unwrap()));
    assert!(b.user_revoked("panel", "ann", NOW) && !b.user_revoked("panel", "ann", NOW + 1));
    assert!(b.hear("gate-a").await);
    assert!(b.session_ended(ended) && b.knows_sessions_of(a.mem(NOW).unwrap()));
}

#[tokio::test]
async fn only_the_paths_of_peers_are_answered() {
    let land = Land::new(same_keys());
    let body = Bytes::from_static(b"{}");
    let question = Sealed { proof: String::new(), body };
    assert_eq!(land.store("gate-a").answer(SPEND, &question, || NOW).await, None);
    let alone = Store::open(StoreOptions::memory("gate-a", 1_000), NOW, entropy::random).unwrap();
    assert!(alone.peers().is_empty() && !alone.may_ask("1 gate-b gate-a A"));
    assert!(!alone.hear("gate-b").await);
}
