//! Runs: one seed, one world; many seeds, on all cores.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
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
    /// The seeds of runs in which something did not hold.
    pub failed: BTreeSet<u64>,
}

/// How long many runs go on, and what they tell meanwhile.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// So many may fail before they stop.
    pub failures: usize,
    /// Every so many runs, how far they are; 0: nothing.
    pub told: u64,
}

impl Pace {
    /// Stops at the first that fails, and says nothing.
    pub const TO_FIRST: Self = Self { failures: 1, told: 0 };
}

/// Runs all of these seeds, over all cores.
pub fn run_all(kind: Kind, seeds: Range<u64>, broken: Option<Broken>, pace: Pace) -> Sum {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let next = AtomicU64::new(seeds.start);
    let sum = Mutex::new(Sum::default());
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                let mut totals = BTreeMap::new();
                while sum.lock().unwrap().failed.len() < pace.failures {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= seeds.end {
                        break;
                    }
                    let run = run(kind, seed, broken, false);
                    add(&mut totals, &run.totals);
                    if let Some(violation) = run.violation {
                        sum.lock().unwrap().failed.insert(seed);
                        if pace.told > 0 {
                            println!("{kind:?}, seed {seed}: {violation}");
                        }
                    }
                    let done = seed + 1 - seeds.start;
                    if pace.told > 0 && done.is_multiple_of(pace.told) {
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
