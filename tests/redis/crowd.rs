//! The big one: a crowd at two gates, every token at both at once and again later, while a fault a
//! second befalls the store.
//!
//! `ONCEGATE_TEST_TOKENS` says how many tokens; each is presented three times.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use oncegate::{gate::denial::Denial, store::Use};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::{Member, RedisServer, SHORT, failover::Watched, spend, support::dice::Dice, token};

/// Tokens, where nobody says how many.
const TOKENS: usize = 70_000;
/// Who presents them.
const VISITORS: usize = 48;
/// Between two faults.
const APART: Duration = Duration::from_secs(1);

/// What befalls the store, one after the other, and again.
const FAULTS: [Fault; 10] = [
    Fault::RestartWithData,
    Fault::Flush,
    Fault::RestartWithOldData,
    Fault::Pause,
    Fault::Failover,
    Fault::RestartWithoutData,
    Fault::Evict,
    Fault::LaggingFailover,
    Fault::ForgetScripts,
    Fault::DeleteBuckets,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    RestartWithData,
    RestartWithOldData,
    RestartWithoutData,
    Failover,
    LaggingFailover,
    Flush,
    DeleteBuckets,
    Pause,
    Evict,
    ForgetScripts,
}

/// The store, and who harms it.
struct Harm {
    watched: Watched,
    snapshot: Option<TempDir>,
}

impl Harm {
    fn primary(&self) -> usize {
        let port = self.watched.sentinel.primary();
        self.watched.servers.iter().position(|server| server.port == port).unwrap()
    }

    fn server(&self) -> &RedisServer {
        &self.watched.servers[self.primary()]
    }

    fn befall(&mut self, fault: Fault) {
        let primary = self.primary();
        match fault {
            Fault::RestartWithData => {
                self.snapshot = Some(self.server().snapshot());
                self.watched.servers[primary].restart();
            }
            Fault::RestartWithOldData => {
                let server = &mut self.watched.servers[primary];
                server.kill();
                if let Some(old) = &self.snapshot {
                    server.put_back(old.path());
                }
                server.run();
            }
            Fault::RestartWithoutData => {
                let server = &mut self.watched.servers[primary];
                server.kill();
                server.wipe();
                server.run();
            }
            Fault::Failover => self.fail_over(primary),
            Fault::LaggingFailover => {
                // What is written from now on arrives nowhere else.
                let _ = self.watched.servers[1 - primary]
                    .try_ask::<redis::Value>(&["CLIENT", "KILL", "TYPE", "master"]);
                let _ = self.watched.servers[1 - primary]
                    .try_ask::<redis::Value>(&["DEBUG", "SLEEP", "0.3"]);
                self.fail_over(primary);
            }
            Fault::Flush => self.server().tell(&["FLUSHALL"]),
            Fault::DeleteBuckets => {
                let keys: Vec<String> = self.server().ask(&["KEYS", "*:used:*"]);
                for key in keys.iter().step_by(2) {
                    self.server().tell(&["DEL", key]);
                }
            }
            Fault::Pause => self.server().tell(&["CLIENT", "PAUSE", "300", "ALL"]),
            Fault::Evict => {
                let server = self.server();
                server.tell(&["CONFIG", "SET", "maxmemory-policy", "allkeys-random"]);
                let used: u64 = server.info("used_memory").parse().unwrap();
                server.tell(&["CONFIG", "SET", "maxmemory", &(used - used / 50).to_string()]);
                std::thread::park_timeout(Duration::from_millis(50));
                server.tell(&["CONFIG", "SET", "maxmemory", "0"]);
                server.tell(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
            }
            Fault::ForgetScripts => self.server().tell(&["SCRIPT", "FLUSH"]),
        }
    }

    /// Kills the primary; another is in its place before it is back.
    fn fail_over(&mut self, primary: usize) {
        let old = self.watched.servers[primary].port;
        self.watched.servers[primary].kill();
        let began = Instant::now();
        while self.watched.sentinel.primary() == old && began.elapsed() < Duration::from_secs(15) {
            std::thread::park_timeout(Duration::from_millis(20));
        }
        self.watched.servers[primary].run();
        let new = self.watched.sentinel.primary();
        assert_ne!(new, old, "Sentinel promotes nobody");
        self.watched.servers[primary].tell(&["REPLICAOF", "127.0.0.1", &new.to_string()]);
    }
}

/// Befalls the store until told to stop.
fn harm(
    watched: Watched,
    ended: Arc<AtomicBool>,
    befell: Arc<AtomicUsize>,
) -> (JoinHandle<BTreeMap<Fault, usize>>, mpsc::Receiver<Watched>) {
    let (done, watched_again) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let mut harm = Harm { watched, snapshot: None };
        let mut befallen = BTreeMap::new();
        for fault in FAULTS.iter().cycle() {
            let next = Instant::now() + APART;
            if ended.load(Ordering::SeqCst) {
                break;
            }
            harm.befall(*fault);
            *befallen.entry(*fault).or_default() += 1;
            befell.fetch_add(1, Ordering::SeqCst);
            while let Some(left) = next.checked_duration_since(Instant::now()) {
                std::thread::park_timeout(left);
            }
        }
        let _ = done.send(harm.watched);
        befallen
    });
    (thread, watched_again)
}

/// What came of all the presenting.
#[derive(Debug, Default)]
struct Tally {
    admitted: usize,
    /// Good tokens that no gate admitted, by why at last.
    refused: BTreeMap<&'static str, usize>,
    presented: usize,
    /// The moments of admissions, for how long there were none.
    last: Option<Instant>,
    gaps: Vec<Duration>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_a_second_and_nobody_gets_in_twice() {
    let wanted = std::env::var("ONCEGATE_TEST_TOKENS");
    let wanted = wanted.map_or(TOKENS, |wanted| wanted.parse().unwrap());
    let watched = Watched::start();
    let gates = Arc::new([
        Member::with(watched.options(SHORT), "gate-a").await,
        Member::with(watched.options(SHORT), "gate-b").await,
    ]);
    gates[0].ready().await;
    let (issued, befell) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let ended = Arc::new(AtomicBool::new(false));
    let tally = Arc::new(Mutex::new(Tally::default()));
    let began = Instant::now();
    let (harm, given_back) = harm(watched, ended.clone(), befell.clone());
    let mut visitors = JoinSet::new();
    let mut dice = Dice::new();
    for _ in 0..VISITORS {
        let (gates, issued, tally) = (gates.clone(), issued.clone(), tally.clone());
        let (ended, befell, mut dice) = (ended.clone(), befell.clone(), dice.fork());
        visitors.spawn(async move {
            let mut mine: Vec<(Use, usize)> = Vec::new();
            while !ended.load(Ordering::SeqCst) {
                let gate = dice.below(2);
                let Ok(mem) = gates[gate].mem() else {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    continue;
                };
                let enough = issued.fetch_add(1, Ordering::SeqCst) + 1 >= wanted;
                if enough && befell.load(Ordering::SeqCst) >= FAULTS.len() {
                    ended.store(true, Ordering::SeqCst);
                }
                let token = token(mem);
                let (one, other) = tokio::join!(spend(&gates[0], &token), spend(&gates[1], &token));
                let admitted = usize::from(one.is_ok()) + usize::from(other.is_ok());
                note(&tally, &one, &other);
                mine.push((token, admitted));
                let before = dice.below(mine.len());
                let (token, admitted) = &mut mine[before];
                let again = spend(&gates[dice.below(2)], token).await;
                *admitted += usize::from(again.is_ok());
                assert!(*admitted <= 1, "admitted twice: {token:?}, then {again:?}");
            }
            mine
        });
    }
    let mut all = Vec::new();
    while let Some(mine) = visitors.join_next().await {
        all.extend(mine.unwrap());
    }
    let took = began.elapsed();
    let befallen = tokio::task::spawn_blocking(|| harm.join().unwrap()).await.unwrap();
    let _watched = given_back.recv().unwrap();
    gates[0].recovers().await;
    // Once more, all of the last ones, when everything works.
    let last = all.len().saturating_sub(5_000);
    for (token, admitted) in &mut all[last..] {
        *admitted += usize::from(spend(&gates[1], token).await.is_ok());
    }
    let twice = all.iter().filter(|(_, admitted)| *admitted > 1).count();
    let tally = tally.lock().unwrap();
    let mut gaps = tally.gaps.clone();
    gaps.sort_unstable();
    println!(
        "{} tokens presented {} times in {took:?}: {} admitted, {twice} twice; refused good ones: \
         {:?}; faults: {befallen:?}; longest times without an admission: {:?}; changes of the \
         memory: {:?}; {:?}",
        all.len(),
        tally.presented + all.len(),
        tally.admitted,
        tally.refused,
        gaps.iter().rev().take(10).collect::<Vec<_>>(),
        gates[0].status().new_memories,
        gates[0].status().questions,
    );
    assert_eq!(twice, 0);
    assert!(all.len() >= wanted && tally.admitted > wanted / 2, "{}", tally.admitted);
    assert_eq!(befallen.len(), FAULTS.len(), "{befallen:?}");
}

fn note(tally: &Mutex<Tally>, one: &Result<(), Denial>, other: &Result<(), Denial>) {
    let mut tally = tally.lock().unwrap();
    tally.presented += 2;
    if one.is_ok() || other.is_ok() {
        let now = Instant::now();
        tally.admitted += 1;
        if let Some(gap) = tally.last.map(|last| now - last)
            && gap > Duration::from_millis(100)
        {
            tally.gaps.push(gap);
        }
        tally.last = Some(now);
        return;
    }
    // Of the two refusals the one that says more.
    let code = |outcome: &Result<(), Denial>| {
        outcome.as_ref().map_or_else(|denial| denial.public().code, |()| "admitted")
    };
    let why = code(one).max(code(other));
    *tally.refused.entry(why).or_default() += 1;
}
