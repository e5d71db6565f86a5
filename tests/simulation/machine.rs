//! A machine: a clock, a disk, and the processes of one gate on it, one after the other.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use oncegate::{
    gate::{peer::PeerKeys, reach::Reach, secret::Secret, session::SessionKeys},
    store::{Durability, JournalOptions, Store, StoreError, StoreOptions, peers::PeerOptions},
};

use crate::{
    broken::{self, Broken},
    dice,
    disk::ProcessDisk,
    drive::{Drive, Mishap},
    process::Process,
    road::Roads,
    time::Clock,
    world::World,
};

/// The state directory's name.
pub const DIR: &str = "state";

/// A machine that one gate runs on.
pub struct Machine {
    /// The gate's name.
    pub gate: String,
    /// Its clock.
    pub clock: Clock,
    world: Arc<World>,
    drive: Arc<Drive>,
    durability: Durability,
    max_entries: usize,
    reach: Reach,
    /// The roads to the other gates, where there are any.
    roads: Option<Arc<Roads>>,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    started: u64,
    processes: Vec<Arc<Process>>,
    backup: Option<BTreeMap<String, Vec<u8>>>,
}

impl Machine {
    /// A machine with an empty disk, on which nothing runs yet.
    pub fn new(
        world: &Arc<World>,
        gate: &str,
        reach: Reach,
        durability: Durability,
        max_entries: usize,
        roads: Option<Arc<Roads>>,
    ) -> Arc<Self> {
        let clock = world.clock();
        let drive = Drive::new(world, &clock);
        let (gate, world, running) = (gate.to_owned(), Arc::clone(world), Mutex::default());
        Arc::new(Self { gate, clock, world, drive, durability, max_entries, reach, roads, running })
    }

    /// The processes that live, and have heard what there is to hear.
    pub fn processes(&self) -> Vec<Arc<Process>> {
        let mut running = self.running.lock().unwrap();
        running.processes.retain(|process| !process.is_dead());
        running.processes.iter().filter(|process| process.is_ready()).cloned().collect()
    }

    /// The one that other gates ask.
    pub fn listening(&self) -> Option<Arc<Process>> {
        let running = self.running.lock().unwrap();
        running.processes.iter().rfind(|process| !process.is_dead()).cloned()
    }

    /// Starts the gate, unless another process of it has the directory, or the disk refuses.
    pub fn start(&self) {
        let number = {
            let mut running = self.running.lock().unwrap();
            running.started += 1;
            running.started
        };
        let name = format!("{}/{number}", self.gate);
        let dead = self.drive.starts();
        let disk = ProcessDisk::new(&self.drive, number, &dead);
        let boot = match self.world.broken {
            Some(Broken::BootIgnored) => 1,
            _ => self.drive.state().boots,
        };
        let options = StoreOptions {
            gate: self.gate.clone(),
            journal: Some(JournalOptions {
                dir: PathBuf::from(DIR),
                durability: self.durability,
                gather: false,
                lock_wait: Duration::ZERO,
                // Four records, so that every run crosses some.
                segment_size: 64 + 4 * 32,
                boot: Some(format!("boot {boot}")),
                disk,
            }),
            max_entries: self.max_entries,
            max_revocations: 1_000,
            peers: self.peers(&dead),
        };
        match Store::open(options, self.clock.now(), dice::bits) {
            Ok(store) if !dead.load(Ordering::SeqCst) => {
                let notices: Vec<_> =
                    store.take_notices().iter().map(ToString::to_string).collect();
                self.world.tell(format_args!("{name} starts: {}", notices.join(", ")));
                let once = broken::wrapped(store, &self.gate, &self.world);
                let process =
                    Process::new(name, self.clock.clone(), once, self.reach.clone(), dead);
                let ticking = ticks(Arc::clone(&self.world), Arc::clone(&process));
                tokio::spawn(ticking);
                tokio::spawn(hears(Arc::clone(&self.world), Arc::clone(&process)));
                self.running.lock().unwrap().processes.push(process);
            }
            Ok(_) => self.world.tell(format_args!("{name} died as it started")),
            Err(StoreError::Locked { .. }) => {
                self.world.tell(format_args!("{name} waits for its predecessor"));
            }
            Err(why) => {
                self.world.tell(format_args!("{name} does not start: {why}"));
            }
        }
    }

    /// The other gates, and a key that all of them have.
    fn peers(&self, dead: &Arc<AtomicBool>) -> Option<PeerOptions> {
        let (roads, Reach::Pinned { peers, .. }) = (self.roads.as_ref()?, &self.reach) else {
            return None;
        };
        let mut key = [7; 32];
        key[0] = 8;
        let keys = PeerKeys::of(&SessionKeys::new(Secret::new(key), Vec::new()).unwrap());
        let road = Arc::new(roads.way(&self.gate, dead));
        Some(PeerOptions { names: peers.clone(), road, keys })
    }

    /// Kills everything on the machine, between two operations of its disk.
    pub fn kill(&self) {
        self.drive.state().kill_all();
    }

    /// Whether a loss of power loses anything that was written.
    pub fn owes(&self) -> bool {
        self.drive.owes()
    }

    /// The power goes and comes again, between two operations of the disk.
    pub fn lose_power(&self) {
        self.drive.lose_power();
    }

    /// Ends the oldest process in good order.
    pub async fn close(&self) {
        if let Some(process) = self.processes().first().cloned() {
            self.world.tell(format_args!("{process:?} closes"));
            process.store().clone().close().await;
            process.gone();
        }
    }

    /// Lets something go wrong at one of the next operations of the disk.
    pub fn plan(&self, mishap: Mishap) {
        let after = self.world.roll(|dice| dice.below(24));
        self.drive.plan(after, mishap);
    }

    /// No space is left; or there is again.
    pub fn fill(&self, full: bool) {
        self.drive.state().full = full;
        self.world.ledger().lasts(full, self.world.time.elapsed());
    }

    /// The kernel fails to write something back, and has told nobody yet.
    pub fn lose_writeback(&self) {
        let mut state = self.drive.state();
        let inodes: Vec<_> = state.files.keys().copied().collect();
        for inode in inodes {
            let cached = self.world.chance(50);
            state.fail_behind_the_back(inode, cached);
        }
    }

    /// Takes a backup of the state directory, whatever is going on in it.
    pub fn back_up(&self) {
        self.running.lock().unwrap().backup = Some(self.drive.state().copy());
    }

    /// Puts the last backup in place of what is there; without one, nothing.
    pub fn restore(&self, in_place: bool) {
        let Some(backup) = self.running.lock().unwrap().backup.clone() else { return };
        let now = self.drive.stamp();
        let mut state = self.drive.state();
        // Not covered: bytes put back into the files that are there under a clock that is behind
        // the directory's last change, or with the removal of what the backup lacks, which is such
        // a change. Only those times show it.
        let in_place = in_place
            && state.changed_before(now.saturating_sub(3_000))
            && state.names_are_in(&backup);
        state.put_back(&backup, in_place, now);
    }

    /// A byte of one of the files is another than was written.
    pub fn rot(&self) {
        self.world.roll(|dice| self.drive.state().rot(dice));
    }

    /// The state directory is emptied.
    pub fn delete(&self) {
        self.drive.state().put_back(&BTreeMap::new(), false, self.drive.stamp());
    }

    /// Nothing more will go wrong here; what went wrong stays.
    pub fn heal(&self) {
        if self.drive.state().full {
            self.fill(false);
        }
        self.drive.heal();
        self.clock.correct();
    }
}

/// Looks after the store, as `app/upkeep.rs` does.
async fn ticks(world: Arc<World>, process: Arc<Process>) {
    while !process.is_dead() {
        process.store().tick(process.clock.now());
        world.wait(500).await;
    }
}

/// Hears of the other gates before it is ready, and then all the time, as `app.rs` has it do; less
/// often, which is within what is promised.
async fn hears(world: Arc<World>, process: Arc<Process>) {
    process.store().catch_up().await;
    process.becomes_ready();
    for peer in process.store().peers() {
        let (world, process) = (Arc::clone(&world), Arc::clone(&process));
        tokio::spawn(async move {
            while !process.is_dead() {
                let answers = process.store().hear(&peer).await;
                world.wait(if answers { 900 } else { 400 }).await;
            }
        });
    }
}
