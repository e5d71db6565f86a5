//! One time, exactly: worlds of gates, clients, clocks, disks and servers in which everything goes
//! wrong, from a seed.
//!
//! A run is one world, lived through on one thread in no time: [`world`] has its time (tokio's,
//! paused: it moves when everybody waits) and its chance ([`dice`]: the seed alone decides). In it
//! [`clients`] ask for links, use them again and again, and take back; the gates' processes
//! ([`process`]) do what the edge does around the real stores of `oncegate::store`; under those lie
//! a [`drive`] that loses, tears and forgets ([`disk`] is one process's way to it), a [`cluster`]
//! of servers with the [`twin`] of Redis's data and a [`wire`] to it, or a [`road`] between gates,
//! which delay and lose.
//! [`worlds`] says what happens in which kind of world; the [`ledger`] knows each token, and what
//! must hold. [`broken`] leaves out, one at a time, what that rests on, and [`caught`] shows that
//! it is noticed.
//!
//! A run that fails prints its seed and the trace of its last steps. To see one again:
//!
//! ```text
//! ONCEGATE_SIM_SEED=17 cargo test --test simulation journal -- --nocapture
//! ```
//!
//! A soak: as many runs of each kind, over all cores, with the totals of what happened in them.
//!
//! ```text
//! ONCEGATE_SIM_RUNS=10000000 cargo test --release --test simulation -- --ignored --nocapture soak
//! ```
#![cfg(test)]
#![allow(unreachable_pub, reason = "a test is a crate of its own: nothing leads out of it")]

mod broken;
mod caught;
mod clients;
mod cluster;
mod dice;
mod disk;
mod drive;
mod ledger;
mod machine;
mod once;
mod process;
mod road;
mod run;
mod time;
mod trace;
mod twin;
mod wire;
mod world;
mod worlds;

use std::env;

use worlds::Kind;

/// What happens in every so many runs, lest they show nothing.
const HAPPENS: [&str; 4] =
    ["admitted", "refused, already_used", "refused, fenced", "session ended"];

#[test]
fn a_journal_admits_once_and_not_in_vain() {
    holds(Kind::Journal, 15_000);
}

#[test]
fn gates_on_one_redis_admit_once_and_not_in_vain() {
    holds(Kind::Shared, 3_500);
}

#[test]
fn pinned_gates_admit_once_and_not_in_vain() {
    holds(Kind::Pinned, 1_500);
}

#[test]
fn a_seed_has_one_world() {
    for kind in Kind::ALL {
        for seed in 0..50 {
            let (once, again) =
                (run::run(kind, seed, None, false), run::run(kind, seed, None, false));
            assert_eq!(once, again, "{kind:?}, seed {seed}");
        }
        let [one, other] = [1, 2].map(|seed| run::run(kind, seed, None, false).hash);
        assert_ne!(one, other);
    }
}

#[test]
#[ignore = "as long as you like; see above"]
fn soak() {
    let runs = number("ONCEGATE_SIM_RUNS").unwrap_or(100_000);
    for kind in Kind::ALL {
        report(kind, runs, (runs / 100).max(1));
    }
}

fn holds(kind: Kind, runs: u64) {
    if let Some(seed) = number("ONCEGATE_SIM_SEED") {
        println!("{}", run::story(kind, seed, None));
        return;
    }
    let totals = report(kind, runs, 0);
    for what in HAPPENS {
        assert!(totals.get(what).is_some_and(|count| *count > runs), "{what} hardly ever happens");
    }
}

/// Runs, and prints what came of it.
fn report(kind: Kind, runs: u64, every: u64) -> std::collections::BTreeMap<String, u64> {
    let sum = run::run_all(kind, 0..runs, None, every);
    for (what, count) in &sum.totals {
        println!("{count:>12} {what}");
    }
    println!("{kind:?}: {runs} runs");
    if let Some(seed) = sum.failed {
        panic!("{}", run::story(kind, seed, None));
    }
    sum.totals
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|number| number.parse().expect(name))
}
