//! Redis servers: a primary, a replica that lags behind it, and what can befall them.

use std::sync::{Arc, Mutex, MutexGuard};

use oncegate::store::redis::protocol::{Ask, Told};

use crate::{
    time::Clock,
    twin::{Data, Here},
    world::World,
};

/// What somebody with the server's console, a power cord or bad luck can do to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mischief {
    /// Killed, and started again with all its data, with an old snapshot of it, or without any.
    Restarted(Snapshot),
    /// The replica takes over with what it has; the old primary follows it.
    FailedOver,
    /// The same, but the old primary hears of it only later.
    Split,
    /// `FLUSHALL`.
    Flushed,
    /// Something is evicted.
    Evicts,
    /// `CLIENT PAUSE`.
    Paused,
    /// No memory is left for writes.
    Full,
    /// Every connection is reset.
    Reset,
    /// A first replica is attached, or the last is gone for an hour: another replication id.
    Renamed,
}

/// What a server finds when it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snapshot {
    /// All it had.
    Current,
    /// What it saved a while ago.
    Old,
    /// Nothing.
    Nothing,
}

/// Longer than any run, in milliseconds.
pub const FOREVER: u64 = 1 << 40;

/// The servers.
pub struct Cluster {
    /// The world they are in.
    pub world: Arc<World>,
    servers: Vec<Mutex<Server>>,
    clocks: Vec<Clock>,
    primary: Mutex<usize>,
}

/// One server.
#[derive(Debug, Default)]
struct Server {
    data: Data,
    saved: Data,
    here: Here,
    /// Which of its processes runs; connections lead to one.
    process: u64,
    /// None while it is a primary.
    follows: Option<usize>,
    /// True time, in milliseconds, until when it does not run, or answers nobody.
    down_until: u64,
    paused_until: u64,
    full_until: u64,
}

/// Why a server does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// The connection is gone, and what was asked with it.
    Gone,
    /// It refuses, and has done nothing.
    Refuses,
    /// Ask again at this true time.
    Until(u64),
}

impl Cluster {
    /// A primary and a replica.
    pub fn new(world: &Arc<World>) -> Arc<Self> {
        let servers = (0..2).map(|number| {
            let here = Here {
                replid: world.roll(crate::dice::Dice::next),
                broken: world.broken,
                ..Here::default()
            };
            Mutex::new(Server { here, follows: (number == 1).then_some(0), ..Server::default() })
        });
        let (servers, clocks) = (servers.collect(), vec![world.clock(), world.clock()]);
        let cluster = Self { world: Arc::clone(world), servers, clocks, primary: Mutex::new(0) };
        let cluster = Arc::new(cluster);
        tokio::spawn(replicate(Arc::downgrade(&cluster)));
        cluster
    }

    /// The number of the server that is in charge, as one that asks around is told; `late`: as
    /// somebody is told who has not heard of the last change.
    pub fn in_charge(&self, late: bool) -> usize {
        let primary = *self.primary.lock().unwrap();
        let other = 1 - primary;
        if late && self.server(other).follows.is_none() { other } else { primary }
    }

    /// The process that listens at a server now, if one does and it is no replica.
    pub fn listens(&self, number: usize) -> Option<u64> {
        let server = self.server(number);
        let up = server.down_until <= self.world.time.elapsed();
        (up && server.follows.is_none()).then_some(server.process)
    }

    /// What a server answers, if the connection still leads to its process.
    pub fn answer(&self, number: usize, process: u64, ask: &Ask) -> Result<Told, Silence> {
        let now = self.world.time.elapsed();
        let mut server = self.server(number);
        if server.process != process || server.down_until > now {
            return Err(Silence::Gone);
        }
        if server.paused_until > now {
            return Err(Silence::Until(server.paused_until));
        }
        // All but these begin with something that takes room.
        let frees =
            matches!(ask, Ask::Make { old: Some(_), .. } | Ask::Look { .. } | Ask::Sweep { .. });
        if server.follows.is_some() || (server.full_until > now && !frees) {
            return Err(Silence::Refuses);
        }
        server.here.now = self.clocks[number].now();
        let Server { data, here, .. } = &mut *server;
        Ok(data.answer(here, ask.clone()))
    }

    /// Does it; returns when it is over.
    pub async fn suffer(&self, mischief: Mischief) {
        let world = &self.world;
        world.ledger().lasts(true, world.time.elapsed());
        // What is evicted is missed only when somebody asks for it.
        let hidden = if mischief == Mischief::Evicts { FOREVER } else { 0 };
        world.hidden_fault(mischief.name(), hidden);
        let primary = *self.primary.lock().unwrap();
        let pause = world.roll(|dice| dice.between(50, 3_000));
        let until = world.time.elapsed() + pause;
        let bits = world.roll(crate::dice::Dice::next);
        match mischief {
            Mischief::Restarted(snapshot) => self.server(primary).restart(snapshot, until, bits),
            Mischief::FailedOver => {
                self.fail_over();
                self.follow(primary);
            }
            Mischief::Split => {
                world.ledger().splits(world.time.elapsed());
                self.fail_over();
                world.wait(pause).await;
                self.follow(primary);
            }
            // The scripts stay, and so does the replication id.
            Mischief::Flushed => self.server(primary).data = Data::default(),
            Mischief::Evicts => self.server(primary).data.evict(bits),
            Mischief::Paused => self.server(primary).paused_until = until,
            Mischief::Full => self.server(primary).full_until = until,
            Mischief::Reset => self.server(primary).process += 1,
            Mischief::Renamed => self.server(primary).here.replid = bits,
        }
        if world.time.elapsed() < until && mischief.lasts() {
            world.wait(until - world.time.elapsed()).await;
        }
        world.ledger().lasts(false, world.time.elapsed());
    }

    /// The replica takes over with what it has got so far, under a replication id of its own.
    fn fail_over(&self) {
        let mut primary = self.primary.lock().unwrap();
        *primary = 1 - *primary;
        let mut server = self.server(*primary);
        server.follows = None;
        server.here.replid = self.world.roll(crate::dice::Dice::next);
    }

    /// A server follows the one in charge, and drops what it had for what that one has.
    fn follow(&self, number: usize) {
        let primary = *self.primary.lock().unwrap();
        if number == primary {
            return;
        }
        let (data, replid) = {
            let server = self.server(primary);
            (server.data.clone(), server.here.replid)
        };
        let mut server = self.server(number);
        (server.follows, server.data, server.here.replid) = (Some(primary), data, replid);
    }

    fn replicate(&self, saved: bool) {
        let primary = *self.primary.lock().unwrap();
        let (data, replid) = {
            let mut server = self.server(primary);
            if saved {
                server.saved = server.data.clone();
            }
            (server.data.clone(), server.here.replid)
        };
        let mut other = self.server(1 - primary);
        if other.follows == Some(primary) {
            (other.data, other.here.replid) = (data, replid);
        }
    }

    /// Steps the clock of the server in charge.
    pub fn step_clock(&self, milliseconds: i64) {
        self.clocks[*self.primary.lock().unwrap()].step(milliseconds);
    }

    /// Milliseconds by which that clock is ahead.
    pub fn clock_ahead(&self) -> i64 {
        self.clocks[*self.primary.lock().unwrap()].ahead()
    }

    /// All clocks are right again.
    pub fn heal(&self) {
        self.clocks.iter().for_each(Clock::correct);
    }

    fn server(&self, number: usize) -> MutexGuard<'_, Server> {
        self.servers[number].lock().unwrap()
    }
}

impl Server {
    fn restart(&mut self, snapshot: Snapshot, down_until: u64, replid: u64) {
        self.process += 1;
        (self.down_until, self.here.replid) = (down_until, replid);
        self.here.scripts.clear();
        match snapshot {
            Snapshot::Current => {}
            Snapshot::Old => self.data = self.saved.clone(),
            Snapshot::Nothing => self.data = Data::default(),
        }
    }
}

impl Mischief {
    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Restarted(Snapshot::Current) => "redis restarted with its data",
            Self::Restarted(Snapshot::Old) => "redis restarted with old data",
            Self::Restarted(Snapshot::Nothing) => "redis restarted without data",
            Self::FailedOver => "redis failed over",
            Self::Split => "redis failed over, unheard of",
            Self::Flushed => "redis flushed",
            Self::Evicts => "redis evicted something",
            Self::Paused => "redis paused",
            Self::Full => "redis full",
            Self::Reset => "redis connections reset",
            Self::Renamed => "redis got its first replica",
        }
    }

    fn lasts(self) -> bool {
        matches!(self, Self::Restarted(_) | Self::Paused | Self::Full)
    }
}

/// The replica gets what the primary has, now and then; the primary saves what it has.
async fn replicate(cluster: std::sync::Weak<Cluster>) {
    while let Some(cluster) = cluster.upgrade() {
        let world = Arc::clone(&cluster.world);
        cluster.replicate(world.chance(30));
        drop(cluster);
        let pause =
            world.roll(|dice| if dice.chance(80) { dice.below(300) } else { dice.below(5_000) });
        world.wait(pause).await;
    }
}
