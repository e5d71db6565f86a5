//! Checks the signatures of tokens: one at once, a crowd together.
//!
//! Whoever comes first leads. The leader lets every task that is ready come in before it looks who
//! is there: it waits for nobody, on no clock. Then it checks its own signature with those that
//! came, [`MOST`] at a time, and tells each. Meanwhile the next to come leads the next crowd, on
//! another core if there is one.
//!
//! A crowd holds its thread for as long as its signatures take: 0.7 ms for 64 good ones, 3 ms for
//! 64 of which most are forged, where the next are fewer already: see [`pace`].
//!
//! Nobody is lost with somebody else: who leads and goes away passes the lead on, even if that
//! was just passed to it, and who waits for a crowd that came to nothing is refused.

use std::{
    cell::Cell,
    collections::VecDeque,
    future::poll_fn,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

use tokio::{sync::oneshot, task};

use self::pace::Pace;
use crate::{
    gate::{
        denial::Denial,
        token::{self, Proven, Unproven},
    },
    ops::{
        entropy,
        metrics::{Metrics, Verifications},
    },
};

mod pace;

pub use pace::MOST;

/// Where signatures are checked.
#[derive(Debug)]
pub struct Verifier(Box<[Arc<Lane>]>);

/// Those who come together. Threads share one, or have one each.
#[derive(Debug)]
struct Lane {
    line: Mutex<Line>,
    counted: Verifications,
}

#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<Waiting>,
    /// Whether somebody leads them.
    led: bool,
    pace: Pace,
}

#[derive(Debug)]
struct Waiting {
    token: Unproven,
    turn: oneshot::Sender<Turn>,
}

/// What happens to one who waits.
#[derive(Debug)]
enum Turn {
    Judged(Result<Proven, Denial>),
    Leads(Unproven, Lead),
}

#[derive(Debug)]
enum Entered {
    /// None are checked together now.
    Alone(Unproven),
    Leads(Unproven, Lead),
    Waits(oneshot::Receiver<Turn>),
}

/// Leads those who wait in a lane; passes that on when it is dropped.
#[derive(Debug)]
struct Lead(Option<Arc<Lane>>);

impl Verifier {
    /// As many lanes as this, at least one; a thread always takes the same.
    pub fn new(lanes: usize, metrics: &Metrics) -> Self {
        let counted = &metrics.verifications;
        counted.limit.set(i64::try_from(MOST).unwrap_or(i64::MAX));
        let lane = || Arc::new(Lane { line: Mutex::default(), counted: counted.clone() });
        Self((0..lanes.max(1)).map(|_| lane()).collect())
    }

    /// Checks the signature of a token.
    ///
    /// # Errors
    /// [`Denial::BadSignature`]; [`Denial::Internal`] if the crowd it was in came to nothing.
    pub async fn prove(&self, token: Unproven) -> Result<Proven, Denial> {
        let Some(lane) = self.lane() else { return token.prove() };
        match lane.enter(token) {
            Entered::Alone(token) => lane.prove(token),
            Entered::Leads(token, lead) => {
                let lead = lead.gather().await;
                lead.prove(token)
            }
            Entered::Waits(turn) => match turn.await {
                Ok(Turn::Judged(verdict)) => verdict,
                // Many were in while it waited.
                Ok(Turn::Leads(token, lead)) => lead.prove(token),
                Err(_) => Err(Denial::Internal("signatures were not checked to the end".into())),
            },
        }
    }

    fn lane(&self) -> Option<&Arc<Lane>> {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static THREAD: Cell<usize> = Cell::new(THREADS.fetch_add(1, Ordering::Relaxed));
        }
        self.0.get(THREAD.get() % self.0.len().max(1))
    }
}

impl Lane {
    fn enter(self: &Arc<Self>, token: Unproven) -> Entered {
        let mut line = self.line();
        if line.pace.limit() == 1 {
            Entered::Alone(token)
        } else if line.led {
            let (turn, turns) = oneshot::channel();
            line.waiting.push_back(Waiting { token, turn });
            Entered::Waits(turns)
        } else {
            line.led = true;
            Entered::Leads(token, Lead(Some(self.clone())))
        }
    }

    fn prove(&self, token: Unproven) -> Result<Proven, Denial> {
        let verdict = token.prove();
        self.count(1, usize::from(verdict.is_ok()), false);
        verdict
    }

    fn count(&self, number: usize, good: usize, split: bool) {
        self.counted.sizes.observe(number);
        if split {
            self.counted.splits.inc();
        }
        let mut line = self.line();
        let before = line.pace.limit();
        line.pace.checked(number, good, split);
        let limit = line.pace.limit();
        if limit != before {
            self.counted.limit.set(i64::try_from(limit).unwrap_or(i64::MAX));
        }
    }

    /// Takes out of the line those who are checked with its leader.
    fn company(&self) -> Vec<Waiting> {
        let mut line = self.line();
        let places = line.pace.limit() - 1;
        let mut company = Vec::with_capacity(places.min(line.waiting.len()));
        while company.len() < places
            && let Some(next) = line.waiting.pop_front()
        {
            if !next.turn.is_closed() {
                company.push(next);
            }
        }
        company
    }

    /// Takes out who leads next; nobody leads any more if nobody waits.
    fn next(&self) -> Option<Waiting> {
        let mut line = self.line();
        let next = line.waiting.pop_front();
        line.led = next.is_some();
        next
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lead {
    /// Lets all come in that are ready to.
    async fn gather(self) -> Self {
        // First behind what the network brings: requests that are there are read. Their tasks may
        // still be run after this one; so, once more, behind whatever is ready now.
        task::yield_now().await;
        let mut ready = false;
        poll_fn(|context| {
            if ready {
                return Poll::Ready(());
            }
            ready = true;
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        self
    }

    /// Checks the leader's own and the first that wait; another leads the rest.
    fn prove(mut self, own: Unproven) -> Result<Proven, Denial> {
        let Some(lane) = self.0.take() else { return own.prove() };
        let company = lane.company();
        pass_on(&lane);
        if company.is_empty() {
            return lane.prove(own);
        }
        let mut tokens = Vec::with_capacity(1 + company.len());
        tokens.push(own);
        let mut turns = Vec::with_capacity(company.len());
        for Waiting { token, turn } in company {
            tokens.push(token);
            turns.push(turn);
        }
        let proved = token::prove(tokens, &entropy::random());
        let good = proved.each.iter().filter(|verdict| verdict.is_ok()).count();
        lane.count(proved.each.len(), good, proved.split);
        let mut each = proved.each.into_iter();
        let own = each.next();
        for (turn, verdict) in turns.into_iter().zip(each) {
            // Who is gone needs no verdict.
            let _ = turn.send(Turn::Judged(verdict));
        }
        own.unwrap_or(Err(Denial::BadSignature))
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        if let Some(lane) = self.0.take() {
            pass_on(&lane);
        }
    }
}

/// Makes the first who still waits lead the others; nobody leads where nobody waits.
fn pass_on(lane: &Arc<Lane>) {
    loop {
        let Some(next) = lane.next() else { return };
        match next.turn.send(Turn::Leads(next.token, Lead(Some(lane.clone())))) {
            // If it goes away before it learns of it, this is dropped with it.
            Ok(()) => return,
            Err(Turn::Leads(_, mut lead)) => lead.0 = None,
            Err(Turn::Judged(_)) => {}
        }
    }
}

#[cfg(test)]
mod tests;
