//! Several gates on one Redis: its servers fail, fail over, lose and forget; the wires to them
//! break; gates die and others take their place.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use oncegate::{
    gate::reach::Reach,
    store::{
        Store,
        redis::{Shared, SharedOptions, protocol::KEEP},
    },
};

use crate::{
    broken,
    clients::Clients,
    cluster::{Cluster, FOREVER, Mischief, Snapshot},
    dice,
    ledger::TwoFaults,
    process::Process,
    wire::Wire,
    world::World,
};

/// Steps of a run.
const STEPS: u64 = 60;

#[derive(Clone, Copy)]
enum Event {
    Redis(Mischief),
    ServerClock,
    GateClock,
    Cut,
    Rough,
    GateDies,
    GateJoins,
    TimePasses,
}

struct Gates {
    world: Arc<World>,
    cluster: Arc<Cluster>,
    max_entries: usize,
    started: u64,
    up: Vec<Up>,
}

/// A gate's process that lives.
struct Up {
    process: Arc<Process>,
    wire: Wire,
    dead: Arc<AtomicBool>,
    store: Store,
}

/// A run of it.
pub(super) async fn live(world: &Arc<World>) {
    let max_entries = if world.chance(15) { 6 } else { 1_000 };
    world.ledger().tight = max_entries < 1_000;
    world.ledger().two_faults_lose = TwoFaults::Ends;
    let cluster = Cluster::new(world);
    let (up, started) = (Vec::new(), 0);
    let mut gates =
        Gates { world: Arc::clone(world), cluster: Arc::clone(&cluster), max_entries, started, up };
    world.fault("gates begin to listen");
    for _ in 0..world.roll(|dice| dice.between(2, 3)) {
        gates.start();
    }
    world.wait(1_000).await;
    let faults = world.roll(|dice| dice.weighed(&[(2, 0), (3, 4), (3, 12), (2, 30)]));
    let mut clients = Clients::new(world);
    for _ in 0..STEPS {
        if world.violated() {
            return;
        }
        let pause =
            world.roll(|dice| if dice.chance(70) { dice.below(100) } else { dice.below(1_000) });
        world.wait(pause).await;
        if gates.up.is_empty() {
            gates.start();
        }
        if world.chance(faults) {
            gates.happen();
        } else {
            clients.act(&gates.ready());
        }
    }
    if gates.up.is_empty() {
        gates.start();
    }
    cluster.heal();
    gates.up.iter().for_each(|up| {
        up.process.clock.correct();
        up.wire.cut(0);
        up.wire.roughen(0);
    });
    world.fault("all is put right");
    world.hurry();
    world.wait(5_000).await;
    clients.settle().await;
    clients.try_everything(&gates.ready()).await;
    if !world.ledger().tight {
        clients.start_afresh(&gates.ready()).await;
    }
}

impl Gates {
    /// Those that are ready: a gate that has heard nothing yet is asked nothing.
    fn ready(&self) -> Vec<Arc<Process>> {
        let ready = self.up.iter().filter(|up| up.store.status().started);
        ready.map(|up| Arc::clone(&up.process)).collect()
    }

    fn start(&mut self) {
        self.started += 1;
        let name = format!("gate-{}", self.started);
        let dead = Arc::new(AtomicBool::new(false));
        let wire = Wire::new(&self.cluster, Arc::clone(&dead));
        let options = SharedOptions {
            gate: name.clone(),
            max_entries: self.max_entries,
            max_revocations: 1_000,
        };
        let store = Store::shared(Shared::new(Arc::new(wire.clone()), options, dice::bits));
        let (world, clock) = (&self.world, self.world.clock());
        let once = broken::wrapped(store.clone(), &name, world);
        let process = Process::new(name, clock, once, Reach::Shared, Arc::clone(&dead));
        process.becomes_ready();
        world.tell(format_args!("{process:?} starts"));
        tokio::spawn(listens(Arc::clone(world), Arc::clone(&process), store.clone()));
        self.up.push(Up { process, wire, dead, store });
    }

    fn happen(&mut self) {
        let world = Arc::clone(&self.world);
        let event = world.roll(|dice| {
            dice.weighed(&[
                (3, Event::Redis(Mischief::Restarted(Snapshot::Current))),
                (3, Event::Redis(Mischief::Restarted(Snapshot::Old))),
                (2, Event::Redis(Mischief::Restarted(Snapshot::Nothing))),
                (8, Event::Redis(Mischief::FailedOver)),
                (4, Event::Redis(Mischief::Split)),
                (2, Event::Redis(Mischief::Flushed)),
                (4, Event::Redis(Mischief::Evicts)),
                (3, Event::Redis(Mischief::Paused)),
                (2, Event::Redis(Mischief::Full)),
                (3, Event::Redis(Mischief::Reset)),
                (1, Event::Redis(Mischief::Renamed)),
                (6, Event::ServerClock),
                (3, Event::GateClock),
                (5, Event::Cut),
                (8, Event::Rough),
                (4, Event::GateDies),
                (4, Event::GateJoins),
                (5, Event::TimePasses),
            ])
        });
        let gate = world.roll(|dice| dice.below(self.up.len() as u64)) as usize;
        match event {
            Event::Redis(mischief) => {
                // Beside everything else that goes on.
                let cluster = Arc::clone(&self.cluster);
                tokio::spawn(async move { cluster.suffer(mischief).await });
            }
            Event::ServerClock => {
                let by = world.roll(dice::Dice::step_of_a_clock);
                let ahead = self.cluster.clock_ahead() + by;
                if ahead.abs() < 70_000_000 {
                    // By then buckets expire whose time is not over. That is missed only when
                    // somebody asks for one of them.
                    let hidden =
                        if ahead > 1_000 * i64::try_from(KEEP).unwrap() { FOREVER } else { 0 };
                    world.hidden_fault("the clock of redis stepped", hidden);
                    world.tell(format_args!("  by {by} ms"));
                    self.cluster.step_clock(by);
                }
            }
            Event::GateClock => {
                let by = world.roll(dice::Dice::step_of_a_clock);
                let clock = &self.up[gate].process.clock;
                if (clock.ahead() + by).abs() < 70_000_000 {
                    world.clock_steps();
                    world.tell(format_args!("  by {by} ms"));
                    clock.step(by);
                }
            }
            Event::Cut => {
                let time = world.roll(|dice| dice.below(6_000));
                world.hidden_fault("a gate cut off", time);
                self.up[gate].wire.cut(time);
            }
            Event::Rough => {
                let time = world.roll(|dice| dice.below(6_000));
                // What was sent in that time may arrive for two seconds after it.
                world.hidden_fault("a wire gets rough", time + 2_000);
                self.up[gate].wire.roughen(time);
            }
            Event::GateDies => {
                if !world.calm() {
                    // It may be the only one that knows of a session's end.
                    world.fault("a gate dies amid something else");
                }
                world.mishap("a gate dies");
                let up = self.up.remove(gate);
                up.process.clock.correct();
                up.dead.store(true, Ordering::SeqCst);
            }
            Event::GateJoins if self.up.len() < 4 => {
                world.mishap("a gate joins");
                self.start();
            }
            Event::GateJoins => {}
            Event::TimePasses => {
                let by = world.roll(|dice| dice.weighed(&[(3, 10), (3, 60), (2, 600), (2, 3_000)]));
                world.tell(format_args!("{by} s pass"));
                world.time.skip(by * 1_000);
                world.ledger().slept(world.time.elapsed());
            }
        }
    }
}

/// Listens, as `app/upkeep.rs` has a gate do; half as often, which is within what is promised.
async fn listens(world: Arc<World>, process: Arc<Process>, store: Store) {
    while !process.is_dead() {
        let since = world.time.so_far();
        store.listen().await;
        process.has_listened(since);
        for notice in store.take_notices() {
            world.tell(format_args!("{process:?}: {notice}"));
        }
        world.wait(500).await;
    }
}
