//! One gate with a journal: its process dies and starts again, its disk fails, its clock jumps,
//! and somebody puts a backup back.

use std::sync::Arc;

use oncegate::{gate::reach::Reach, store::Durability};

use crate::{
    clients::Clients, dice::Dice, drive::Mishap, ledger::GRACE, machine::Machine, world::World,
};

/// Steps of a run.
const STEPS: u64 = 60;

#[derive(Clone, Copy)]
enum Event {
    Killed,
    PowerLost,
    Restarted,
    Overlap,
    ClockDrifts,
    ClockSteps,
    DiskFails(Mishap),
    Full,
    LostWriteback,
    BackedUp,
    Restored,
    Deleted,
    Rotten,
    TimePasses,
}

/// A run of it.
pub(super) async fn live(world: &Arc<World>) {
    let power = world.chance(50);
    let durability = if power { Durability::Power } else { Durability::Process };
    // In some worlds there is too little room.
    let max_entries = if world.chance(15) { 6 } else { 1_000 };
    let reach = Reach::Pinned { own: "gate-a".to_owned(), peers: Vec::new() };
    let machine = Machine::new(world, "gate-a", reach, durability, max_entries, None);
    world.tell(format_args!("{durability:?}, room for {max_entries}"));
    world.ledger().tight = max_entries < 1_000;
    // How often something fails: in some worlds never.
    let faults = world.roll(|dice| dice.weighed(&[(2, 0), (3, 4), (3, 12), (2, 30)]));
    let mut clients = Clients::new(world);
    machine.start();
    for _ in 0..STEPS {
        if world.violated() {
            return;
        }
        let pause =
            world.roll(|dice| if dice.chance(70) { dice.below(100) } else { dice.below(1_500) });
        world.wait(pause).await;
        if machine.processes().is_empty() && world.chance(60) {
            machine.start();
        }
        if world.chance(faults) {
            happen(world, &machine, power).await;
        } else {
            clients.act(&machine.processes());
        }
    }
    // The villain's last idea, before everything is put right: a time at which most links lived.
    if faults > 0 && world.chance(40) {
        step_clock(world, &machine);
        clients.try_everything(&machine.processes()).await;
    }
    machine.heal();
    world.fault("all is put right");
    world.hurry();
    for _ in 0..10 {
        if machine.processes().is_empty() {
            machine.start();
        }
        world.wait(GRACE / 4).await;
    }
    clients.settle().await;
    clients.try_everything(&machine.processes()).await;
    if !world.ledger().tight {
        clients.start_afresh(&machine.processes()).await;
    }
}

async fn happen(world: &Arc<World>, machine: &Machine, power: bool) {
    let event = world.roll(|dice| {
        dice.weighed(&[
            (6, Event::Killed),
            (5, Event::PowerLost),
            (4, Event::Restarted),
            (4, Event::Overlap),
            (3, Event::ClockDrifts),
            (6, Event::ClockSteps),
            (5, Event::DiskFails(Mishap::Fails)),
            (6, Event::DiskFails(Mishap::Killed)),
            (6, Event::DiskFails(Mishap::PowerLost)),
            (3, Event::Full),
            (3, Event::LostWriteback),
            (4, Event::BackedUp),
            (4, Event::Restored),
            (1, Event::Deleted),
            (3, Event::Rotten),
            (5, Event::TimePasses),
        ])
    });
    match event {
        // What is written is with the kernel: this costs nobody a link.
        Event::Killed => {
            world.mishap("killed");
            machine.kill();
        }
        // What is synced is on the platter. What nobody had an answer to may be damage there, and
        // so may what a failed sync has left in the cache alone.
        Event::PowerLost if power && !machine.owes() => {
            world.mishap("power lost, all synced");
            machine.lose_power();
        }
        Event::PowerLost => {
            world.fault("power lost");
            machine.lose_power();
        }
        Event::Restarted => {
            world.mishap("restarted");
            machine.close().await;
            machine.start();
        }
        // A successor that comes too early.
        Event::Overlap => {
            world.mishap("two at once");
            machine.start();
        }
        Event::ClockDrifts if machine.clock.ahead().abs() > 1_000 => {}
        Event::ClockDrifts => {
            let by = i64::try_from(world.roll(|dice| dice.below(2_000))).unwrap() - 1_000;
            machine.clock.correct();
            machine.clock.step(by);
            world.mishap("clock corrected");
        }
        Event::ClockSteps => step_clock(world, machine),
        Event::DiskFails(mishap) => machine.plan(mishap),
        Event::Full => {
            world.fault("disk full");
            machine.fill(true);
            let pause = world.roll(|dice| dice.below(3_000));
            world.wait(pause).await;
            machine.fill(false);
        }
        Event::LostWriteback => {
            // The store syncs each ten seconds what `process` leaves to the kernel.
            world.hidden_fault("the kernel lost writes", 11_000);
            machine.lose_writeback();
        }
        Event::BackedUp => {
            world.mishap("backed up");
            machine.back_up();
        }
        Event::Restored => {
            world.fault("a backup put back");
            let in_place = world.chance(30);
            if in_place {
                machine.kill();
                // Within two seconds of the last change of a name it could not be told.
                world.wait(4_000).await;
            }
            // Or under a gate that goes on for a while with files that have no names any more.
            machine.restore(in_place);
            let pause = world.roll(|dice| dice.below(2_000));
            world.wait(pause).await;
            world.fault("killed after that");
            machine.kill();
        }
        Event::Deleted => {
            world.fault("state deleted");
            machine.kill();
            machine.delete();
        }
        Event::Rotten => {
            world.fault("a byte rotted");
            machine.kill();
            machine.rot();
        }
        Event::TimePasses => {
            let by = world
                .roll(|dice| dice.weighed(&[(3, 10), (3, 60), (2, 600), (1, 4_000), (1, 9_000)]));
            world.tell(format_args!("{by} s pass"));
            world.time.skip(by * 1_000);
        }
    }
}

fn step_clock(world: &World, machine: &Machine) {
    let by = world.roll(Dice::step_of_a_clock);
    // A link that is taken back by a clock a day behind is remembered a day too short.
    if (machine.clock.ahead() + by).abs() > 70_000_000 {
        return;
    }
    world.fault("clock stepped");
    world.tell(format_args!("  by {by} ms"));
    machine.clock.step(by);
}
