//! The roads between gates with memories of their own. They are trusted with nothing: they lose,
//! delay, carry twice, and hand out the answers to other questions.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::future::{BoxFuture, FutureExt as _};
use oncegate::store::peers::{Road, Sealed, Unanswered};
use tokio::sync::oneshot;

use crate::{machine::Machine, world::World};

/// Longer than anybody waits, in milliseconds.
const TOO_LONG: u64 = 5_000;

/// All roads of a world.
pub struct Roads {
    world: Arc<World>,
    /// Theirs is the world, and not the other way round.
    gates: Mutex<BTreeMap<String, Weak<Machine>>>,
    /// True time, in milliseconds, until when a gate can neither be reached nor reach another.
    cut: Mutex<BTreeMap<String, u64>>,
    rough_until: Mutex<u64>,
    /// The last answers at each path: who listens has them.
    overheard: Mutex<BTreeMap<&'static str, Sealed>>,
}

/// The roads as one process of a gate has them.
#[derive(Clone)]
pub struct Way {
    roads: Arc<Roads>,
    from: String,
    dead: Arc<AtomicBool>,
}

impl Roads {
    /// Roads that lead nowhere yet.
    pub fn new(world: &Arc<World>) -> Arc<Self> {
        let (gates, cut, rough_until, overheard) = Default::default();
        Arc::new(Self { world: Arc::clone(world), gates, cut, rough_until, overheard })
    }

    /// A gate lies at them.
    pub fn lead_to(&self, machine: &Arc<Machine>) {
        self.gates.lock().unwrap().insert(machine.gate.clone(), Arc::downgrade(machine));
    }

    /// The way of a process.
    pub fn way(self: &Arc<Self>, from: &str, dead: &Arc<AtomicBool>) -> Way {
        Way { roads: Arc::clone(self), from: from.to_owned(), dead: Arc::clone(dead) }
    }

    /// Cuts a gate off for so many milliseconds.
    pub fn cut(&self, gate: &str, milliseconds: u64) {
        let until = self.world.time.elapsed() + milliseconds;
        self.cut.lock().unwrap().insert(gate.to_owned(), until);
    }

    /// Everything gets lost, late, and mixed up now and then for so many milliseconds.
    pub fn roughen(&self, milliseconds: u64) {
        *self.rough_until.lock().unwrap() = self.world.time.elapsed() + milliseconds;
    }

    /// All is well again.
    pub fn heal(&self) {
        self.cut.lock().unwrap().clear();
        self.roughen(0);
    }

    fn machine(&self, gate: &str) -> Option<Arc<Machine>> {
        self.gates.lock().unwrap().get(gate)?.upgrade()
    }

    fn is_cut(&self, gate: &str) -> bool {
        let until = self.cut.lock().unwrap().get(gate).copied().unwrap_or(0);
        until > self.world.time.elapsed()
    }

    fn is_rough(&self) -> bool {
        *self.rough_until.lock().unwrap() > self.world.time.elapsed()
    }

    /// How long something is on its way; none if it never arrives.
    fn takes(&self) -> Option<u64> {
        let rough = self.is_rough();
        self.world.roll(|dice| match dice.below(100) {
            0..20 if rough => None,
            20..50 if rough => Some(dice.below(2_500)),
            _ => Some(dice.below(3)),
        })
    }

    /// A question arrives; whoever it was asked by has gone, it is answered to its end.
    async fn arrive(&self, to: &str, path: &'static str, question: &Sealed) -> Option<Sealed> {
        let machine = self.machine(to)?;
        let process = machine.listening()?;
        let clock = process.clock.clone();
        let answer = process.store().answer(path, question, || clock.now()).await;
        answer.filter(|_| !process.is_dead())
    }
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Way(from {})", self.from)
    }
}

impl Road for Way {
    fn send<'a>(
        &'a self,
        peer: &'a str,
        path: &'static str,
        question: Sealed,
    ) -> BoxFuture<'a, Result<Sealed, Unanswered>> {
        let unanswered = |unasked, why: &str| Err(Unanswered { unasked, why: why.to_owned() });
        async move {
            let roads = Arc::clone(&self.roads);
            if self.dead.load(Ordering::SeqCst) {
                return unanswered(true, "this process is dead");
            }
            let listens =
                || roads.machine(peer).is_some_and(|machine| machine.listening().is_some());
            let cut = roads.is_cut(peer) || roads.is_cut(&self.from);
            if !cut && !listens() {
                return unanswered(true, "nobody listens");
            }
            let Some(way) = roads.takes().filter(|_| !cut) else {
                roads.world.wait(TOO_LONG).await;
                return unanswered(false, "nothing came back");
            };
            let (answers, answered) = oneshot::channel();
            let (to, twice) = (peer.to_owned(), roads.is_rough() && roads.world.chance(10));
            tokio::spawn(async move {
                roads.world.wait(way).await;
                let answer = roads.arrive(&to, path, &question).await;
                if let Some(answer) = &answer {
                    roads.overheard.lock().unwrap().insert(path, answer.clone());
                }
                // Now and then the answer to another question.
                let other = roads.overheard.lock().unwrap().get(path).cloned();
                let mixed_up = roads.is_rough() && roads.world.chance(10);
                let answer = if mixed_up { other } else { answer };
                if let Some(back) = roads.takes() {
                    roads.world.wait(back).await;
                    let _ = answers.send(answer);
                } else {
                    roads.world.wait(TOO_LONG).await;
                }
                if twice {
                    let later = roads.world.roll(|dice| dice.below(10_000));
                    roads.world.wait(later).await;
                    drop(roads.arrive(&to, path, &question).await);
                }
            });
            match answered.await {
                Ok(Some(answer)) => Ok(answer),
                _ => unanswered(false, "no answer"),
            }
        }
        .boxed()
    }
}
