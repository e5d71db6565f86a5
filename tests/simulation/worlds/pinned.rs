//! Several gates, each with a journal of its own, that spend each other's tokens: their processes
//! die and start again, their disks fail, their clocks differ, and the roads between them break.

use std::sync::Arc;

use oncegate::{gate::reach::Reach, store::Durability};

use crate::{
    clients::Clients, dice::Dice, drive::Mishap, ledger::TwoFaults, machine::Machine,
    process::Process, road::Roads, world::World,
};

/// Steps of a run.
const STEPS: u64 = 50;

const NAMES: [&str; 3] = ["gate-a", "gate-b", "gate-c"];

#[derive(Clone, Copy)]
enum Event {
    Killed,
    PowerLost,
    Restarted,
    ClockSteps,
    DiskFails(Mishap),
    Restored,
    Cut,
    Rough,
    TimePasses,
}

/// A run of it.
pub(super) async fn live(world: &Arc<World>) {
    world.ledger().two_faults_lose = TwoFaults::All;
    let roads = Roads::new(world);
    let gates: Vec<_> = NAMES.map(|name| machine(world, &roads, name)).into_iter().collect();
    world.fault("gates begin to hear of each other");
    for gate in &gates {
        gate.start();
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
        for gate in gates.iter().filter(|gate| gate.listening().is_none()) {
            // Others ask it in vain until it is there again.
            world.fault("a gate is down");
            if world.chance(40) {
                gate.start();
            }
        }
        if world.chance(faults) {
            happen(world, &gates, &roads).await;
        } else {
            clients.act(&ready(&gates));
        }
    }
    roads.heal();
    for gate in &gates {
        gate.heal();
    }
    world.fault("all is put right");
    world.hurry();
    for _ in 0..12 {
        for gate in gates.iter().filter(|gate| gate.listening().is_none()) {
            world.fault("a gate is down");
            gate.start();
        }
        world.wait(500).await;
    }
    clients.settle().await;
    clients.try_everything(&ready(&gates)).await;
    clients.start_afresh(&ready(&gates)).await;
}

fn machine(world: &Arc<World>, roads: &Arc<Roads>, name: &str) -> Arc<Machine> {
    let durability = if world.chance(50) { Durability::Power } else { Durability::Process };
    let peers = NAMES.iter().filter(|other| **other != name).map(|other| (*other).to_owned());
    let reach = Reach::Pinned { own: name.to_owned(), peers: peers.collect() };
    let machine = Machine::new(world, name, reach, durability, 1_000, Some(Arc::clone(roads)));
    roads.lead_to(&machine);
    machine
}

fn ready(gates: &[Arc<Machine>]) -> Vec<Arc<Process>> {
    gates.iter().flat_map(|gate| gate.processes()).collect()
}

async fn happen(world: &Arc<World>, gates: &[Arc<Machine>], roads: &Roads) {
    let Some(gate) = world.one_of(gates) else { return };
    let event = world.roll(|dice| {
        dice.weighed(&[
            (8, Event::Killed),
            (4, Event::PowerLost),
            (4, Event::Restarted),
            (5, Event::ClockSteps),
            (3, Event::DiskFails(Mishap::Fails)),
            (3, Event::DiskFails(Mishap::Killed)),
            (3, Event::DiskFails(Mishap::PowerLost)),
            (2, Event::Restored),
            (8, Event::Cut),
            (10, Event::Rough),
            (4, Event::TimePasses),
        ])
    });
    match event {
        Event::Killed => {
            world.fault("a gate killed");
            gate.kill();
        }
        Event::PowerLost => {
            world.fault("a gate loses power");
            gate.lose_power();
        }
        Event::Restarted => {
            world.fault("a gate restarted");
            gate.close().await;
            gate.start();
        }
        Event::ClockSteps => {
            let by = world.roll(Dice::step_of_a_clock);
            if (gate.clock.ahead() + by).abs() < 70_000_000 {
                world.clock_steps();
                world.tell(format_args!("  {} by {by} ms", gate.gate));
                gate.clock.step(by);
            }
        }
        Event::DiskFails(mishap) => gate.plan(mishap),
        Event::Restored => {
            world.fault("an older state put back");
            gate.kill();
            if world.chance(50) {
                gate.restore(false);
            } else {
                gate.back_up();
            }
        }
        Event::Cut => {
            let time = world.roll(|dice| dice.below(6_000));
            world.hidden_fault("a gate cut off", time + 1_000);
            roads.cut(&gate.gate, time);
        }
        Event::Rough => {
            let time = world.roll(|dice| dice.below(6_000));
            // What was sent in that time may arrive for a while after it.
            world.hidden_fault("the roads get rough", time + 5_000);
            roads.roughen(time);
        }
        Event::TimePasses => {
            let by = world
                .roll(|dice| dice.weighed(&[(3, 10), (3, 60), (2, 600), (1, 4_000), (1, 9_000)]));
            world.tell(format_args!("{by} s pass"));
            world.time.skip(by * 1_000);
        }
    }
}
