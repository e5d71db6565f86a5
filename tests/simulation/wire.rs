//! The wire between a gate and the servers. A connection leads to one process of a server, in
//! order, and delivers nothing twice; but what it has taken may arrive long after whoever sent it
//! gave up, and an answer may never arrive.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::{BoxFuture, FutureExt as _};
use oncegate::store::redis::protocol::{Ask, Connection, Server, Told, Unanswered};
use tokio::{sync::oneshot, time::timeout};

use crate::{
    broken::Broken,
    cluster::{Cluster, Silence},
    world::World,
};

/// How long a gate waits for an answer, in milliseconds.
const PATIENCE: u64 = 200;

/// One gate's way to the servers.
#[derive(Clone)]
pub struct Wire {
    cluster: Arc<Cluster>,
    /// True time, in milliseconds, until when nothing arrives.
    cut_until: Arc<AtomicU64>,
    /// Until when messages get lost.
    rough_until: Arc<AtomicU64>,
    dead: Arc<AtomicBool>,
}

struct Line {
    wire: Wire,
    server: usize,
    process: u64,
    /// When the last question arrives: none overtakes it.
    last: AtomicU64,
}

impl Wire {
    /// A wire that works, until its gate is `dead`.
    pub fn new(cluster: &Arc<Cluster>, dead: Arc<AtomicBool>) -> Self {
        let (cut_until, rough_until) = Default::default();
        Self { cluster: Arc::clone(cluster), cut_until, rough_until, dead }
    }

    /// Nothing gets through for so many milliseconds.
    pub fn cut(&self, milliseconds: u64) {
        self.cut_until.store(self.world().time.elapsed() + milliseconds, Ordering::SeqCst);
    }

    /// Some of it is lost, or comes late, for so many milliseconds.
    pub fn roughen(&self, milliseconds: u64) {
        self.rough_until.store(self.world().time.elapsed() + milliseconds, Ordering::SeqCst);
    }

    fn world(&self) -> &World {
        &self.cluster.world
    }

    fn is_cut(&self) -> bool {
        self.cut_until.load(Ordering::SeqCst) > self.world().time.elapsed()
    }

    /// How long a message is on its way; none if it never arrives.
    fn way(&self) -> Option<u64> {
        let rough = self.rough_until.load(Ordering::SeqCst) > self.world().time.elapsed();
        self.world().roll(|dice| match dice.below(100) {
            0..20 if rough => None,
            20..50 if rough => Some(dice.below(2_000)),
            _ => Some(dice.below(3)),
        })
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Line({}, {})", self.server, self.process)
    }
}

fn unasked(why: &str) -> Unanswered {
    Unanswered { unasked: true, why: why.to_owned() }
}

impl Server for Wire {
    fn connect(&self) -> BoxFuture<'_, Result<Arc<dyn Connection>, Unanswered>> {
        async {
            let way = self.way().filter(|_| !self.is_cut());
            self.world().wait(way.unwrap_or(PATIENCE).min(PATIENCE)).await;
            if way.is_none() || self.is_cut() || self.dead.load(Ordering::SeqCst) {
                return Err(unasked("no connection"));
            }
            let late = self.world().chance(30);
            let server = self.cluster.in_charge(late);
            let process = self.cluster.listens(server).ok_or_else(|| unasked("nobody listens"))?;
            let line = Line { wire: self.clone(), server, process, last: AtomicU64::new(0) };
            Ok(Arc::new(line) as Arc<dyn Connection>)
        }
        .boxed()
    }
}

impl Connection for Line {
    fn ask(&self, ask: Ask) -> BoxFuture<'_, Result<Told, Unanswered>> {
        match (self.wire.world().broken, &ask) {
            (Some(Broken::TwoSteps), Ask::Spend { mem, id, expires, .. }) => {
                let look = Ask::Look { mem: *mem, id: *id, expires: *expires };
                self.in_two_steps(look, ask).boxed()
            }
            _ => self.send(ask).boxed(),
        }
    }
}

impl Line {
    /// Looks, then records; what the second finds is not what the first was told.
    async fn in_two_steps(&self, look: Ask, spend: Ask) -> Result<Told, Unanswered> {
        match self.send(look).await? {
            Told::Spent => self.send(spend).await.map(|_| Told::Spent),
            told => Ok(told),
        }
    }

    async fn send(&self, ask: Ask) -> Result<Told, Unanswered> {
        {
            if self.wire.dead.load(Ordering::SeqCst) {
                return Err(unasked("this process is dead"));
            }
            let (answers, answered) = oneshot::channel();
            if let Some(way) = self.wire.way().filter(|_| !self.wire.is_cut()) {
                let arrives = self.wire.world().time.elapsed() + way;
                let arrives = self.last.fetch_max(arrives, Ordering::SeqCst).max(arrives);
                let (cluster, server, process) =
                    (Arc::clone(&self.wire.cluster), self.server, self.process);
                let ask = altered(self.wire.world().broken, ask);
                let back = self.wire.way();
                // On its way, whoever waits for the answer.
                tokio::spawn(async move {
                    let told = arrive(&cluster, server, process, &ask, arrives).await;
                    if let Some(back) = back {
                        cluster.world.wait(back).await;
                        let _ = answers.send(told);
                    } else {
                        cluster.world.wait(10 * PATIENCE).await;
                    }
                });
            } else {
                // Held, so that the wait below is for the whole time.
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(10 * PATIENCE)).await;
                    drop(answers);
                });
            }
            let lost = |why: &str| Unanswered { unasked: false, why: why.to_owned() };
            match timeout(Duration::from_millis(PATIENCE), answered).await {
                Ok(Ok(told)) if !self.wire.is_cut() => told,
                Ok(_) => Err(lost("the connection was lost")),
                Err(_) => Err(lost("no answer")),
            }
        }
    }
}

/// The question arrives, and is answered in one step.
async fn arrive(
    cluster: &Cluster,
    server: usize,
    process: u64,
    ask: &Ask,
    at: u64,
) -> Result<Told, Unanswered> {
    cluster.world.wait(at.saturating_sub(cluster.world.time.elapsed())).await;
    loop {
        match cluster.answer(server, process, ask) {
            Ok(told) => return Ok(told),
            Err(Silence::Until(then)) => {
                cluster.world.wait(then.saturating_sub(cluster.world.time.elapsed())).await;
            }
            Err(Silence::Refuses) => return Err(unasked("the server refuses")),
            Err(Silence::Gone) => {
                return Err(Unanswered { unasked: false, why: "reset".to_owned() });
            }
        }
    }
}

fn altered(broken: Option<Broken>, mut ask: Ask) -> Ask {
    if let (Some(Broken::AttemptConstant), Ask::Spend { attempt, .. }) = (broken, &mut ask) {
        *attempt = [7; 16];
    }
    ask
}
