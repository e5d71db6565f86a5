//! Runs: one seed, one world; many seeds, on all cores.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use crate::{broken::Broken, world::World, worlds::Kind};

/// What came of a run.
#[derive(Debug, PartialEq, Eq)]
pub struct Run {
    /// The first thing that did not hold.
    pub violation: Option<String>,
    /// Of everything that happened, in order.
    pub hash: u64,
    /// The last of that in words, where they were kept.
    pub lines: String,
    /// How often what happened.
    pub totals: BTreeMap<String, u64>,
}

/// Lives through the world of one seed, on this thread alone.
pub fn run(kind: Kind, seed: u64, broken: Option<Broken>, read: bool) -> Run {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async {
        let world = World::new(seed, broken, read);
        kind.live(&world).await;
        let (hash, lines) = world.course();
        let ledger = world.ledger();
        Run { violation: ledger.violation(), hash, lines, totals: ledger.totals().clone() }
    })
}

/// What came of many runs.
#[derive(Debug, Default)]
pub struct Sum {
    /// How often what happened, in all of them.
    pub totals: BTreeMap<String, u64>,
    /// The seed of a run in which something did not hold.
    pub failed: Option<u64>,
}

/// Runs all of these seeds, over all cores; stops at the first that fails. Each `every`th run, if
/// that is not 0, is told.
pub fn run_all(kind: Kind, seeds: Range<u64>, broken: Option<Broken>, every: u64) -> Sum {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let (next, stop) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
    let sum = Mutex::new(Sum::default());
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                let mut totals = BTreeMap::new();
                while !stop.load(Ordering::SeqCst) {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= seeds.end {
                        break;
                    }
                    let run = run(kind, seed, broken, false);
                    add(&mut totals, &run.totals);
                    if run.violation.is_some() {
                        stop.store(true, Ordering::SeqCst);
                        // The earliest, whichever thread is the faster.
                        let mut sum = sum.lock().unwrap();
                        sum.failed = Some(sum.failed.map_or(seed, |other| other.min(seed)));
                    }
                    let done = seed + 1 - seeds.start;
                    if every > 0 && done.is_multiple_of(every) {
                        println!("{kind:?}: {done} of {} runs", seeds.end - seeds.start);
                    }
                }
                add(&mut sum.lock().unwrap().totals, &totals);
            });
        }
    });
    sum.into_inner().unwrap()
}

/// The trace of a run that failed, for whoever mends it.
pub fn story(kind: Kind, seed: u64, broken: Option<Broken>) -> String {
    let run = run(kind, seed, broken, true);
    let violation = run.violation.unwrap_or_else(|| "nothing fails this time".to_owned());
    format!("{}\n{kind:?}, seed {seed}: {violation}", run.lines)
}

fn add(totals: &mut BTreeMap<String, u64>, more: &BTreeMap<String, u64>) {
    for (what, count) in more {
        match totals.get_mut(what) {
            Some(total) => *total += count,
            None => drop(totals.insert(what.clone(), *count)),
        }
    }
}
