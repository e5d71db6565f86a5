//! A world: its time, its chance, what happened in it, and what must hold.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use oncegate::gate::denial::Denial;

use crate::{
    broken::Broken,
    dice::{self, Dice},
    ledger::{DRIFT, Ledger},
    time::{Clock, Time},
    trace::Trace,
};

/// Everything that a run is made of, but its gates, disks and servers.
#[derive(Debug)]
pub struct World {
    /// True time.
    pub time: Arc<Time>,
    /// What is wrong on purpose, if anything.
    pub broken: Option<Broken>,
    /// Which tokens there are, and what became of them.
    pub ledger: Mutex<Ledger>,
    /// The tokens whose spending somebody on a road has overheard, where that matters.
    pub overheard: Mutex<BTreeSet<[u8; 16]>>,
    clocks: Mutex<Vec<Clock>>,
    dice: Mutex<Dice>,
    in_a_hurry: AtomicBool,
    trace: Mutex<Trace>,
}

impl World {
    /// The world of one seed; `read` keeps the words of its trace.
    pub fn new(seed: u64, broken: Option<Broken>, read: bool) -> Arc<Self> {
        dice::seed_bits(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
        Arc::new(Self {
            time: Time::new(),
            broken,
            ledger: Mutex::new(Ledger::new(broken.is_some())),
            overheard: Mutex::default(),
            clocks: Mutex::default(),
            dice: Mutex::new(Dice::new(seed)),
            in_a_hurry: AtomicBool::new(false),
            trace: Mutex::new(Trace::new(read)),
        })
    }

    /// The clock of another machine.
    pub fn clock(&self) -> Clock {
        let clock = Clock::new(&self.time);
        self.clocks.lock().unwrap().push(clock.clone());
        clock
    }

    /// The latest time that any clock shows, in seconds since the Unix epoch.
    pub fn latest_clock(&self) -> u64 {
        self.clocks.lock().unwrap().iter().map(Clock::now).max().unwrap_or(0)
    }

    /// Lets chance decide.
    pub fn roll<T>(&self, decide: impl FnOnce(&mut Dice) -> T) -> T {
        decide(&mut self.dice.lock().unwrap())
    }

    /// True in `percent` of a hundred cases.
    pub fn chance(&self, percent: u64) -> bool {
        self.roll(|dice| dice.chance(percent))
    }

    /// One of these, if there are any.
    pub fn one_of<T: Clone>(&self, choices: &[T]) -> Option<T> {
        choices.get(self.roll(|dice| dice.below(choices.len() as u64)) as usize).cloned()
    }

    /// Waits so many milliseconds, in which others go on.
    pub async fn wait(&self, milliseconds: u64) {
        if milliseconds > 0 {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        }
    }

    /// Waits as long as work takes that is done elsewhere: mostly next to nothing.
    pub async fn dawdle(&self) {
        let milliseconds = self.roll(|dice| match dice.below(100) {
            0..60 => 0,
            60..95 => dice.between(1, 20),
            _ if self.in_a_hurry.load(Ordering::SeqCst) => 20,
            95..98 => dice.between(20, 2_000),
            _ => dice.between(2_000, 20_000),
        });
        self.wait(milliseconds).await;
    }

    /// From here on nobody dawdles for long: the run is to end.
    pub fn hurry(&self) {
        self.in_a_hurry.store(true, Ordering::SeqCst);
    }

    /// Takes down what happened.
    pub fn tell(&self, what: fmt::Arguments<'_>) {
        self.trace.lock().unwrap().tell(self.time.now(), what);
    }

    /// What is known of the tokens.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap()
    }

    /// Something that may cost every link that is out now; that it costs more must not be.
    pub fn fault(&self, name: &'static str) {
        self.tell(format_args!("FAULT {name}"));
        self.ledger().fault(name, self.time.elapsed());
    }

    /// As [`World::fault`], noticed only after up to so many milliseconds.
    pub fn hidden_fault(&self, name: &'static str, milliseconds: u64) {
        self.tell(format_args!("FAULT {name}"));
        self.ledger().fault(name, self.time.elapsed() + milliseconds);
    }

    /// Something that must cost no link, but that nobody waits for an answer any more.
    pub fn mishap(&self, name: &'static str) {
        self.tell(format_args!("mishap: {name}"));
        self.ledger().count(name);
    }

    /// The clock of a gate steps: what it has issued may be dated later than others can know.
    pub fn clock_steps(&self) {
        self.fault("the clock of a gate stepped");
        self.ledger().dated_ahead = true;
    }

    /// Whether nothing has failed for so long that everything must work.
    pub fn calm(&self) -> bool {
        let clocks: Vec<_> = self.clocks.lock().unwrap().iter().map(Clock::now).collect();
        let spread = clocks.iter().max().zip(clocks.iter().min()).map_or(0, |(max, min)| max - min);
        spread < DRIFT && self.ledger().calm(self.time.elapsed())
    }

    /// A revocation was refused; `calm`: all was well when it was asked for.
    pub fn not_revoked(&self, why: &Denial, calm: bool) {
        let calm = calm && self.calm();
        self.ledger().not_revoked(why, calm);
    }

    /// Whether something did not hold.
    pub fn violated(&self) -> bool {
        self.ledger().violation().is_some()
    }

    /// The hash of the trace, and its last lines where they were kept.
    pub fn course(&self) -> (u64, String) {
        let trace = self.trace.lock().unwrap();
        (trace.hash(), trace.lines())
    }
}
