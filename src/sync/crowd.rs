//! Does for many at once what costs less so: for one at once, for a crowd together.
//!
//! Whoever comes first leads. The leader lets every task that is ready come in before it looks who
//! is there: it waits for nobody, on no clock. Then it does its own work with that of those who
//! came, [`Work::most`] at a time, and tells each. Meanwhile the next to come leads the next crowd.
//!
//! There are as many lines as processors, and a thread always takes the same: so those that it runs
//! wait for no other thread, which may be busy, but for one that shares its line.
//!
//! Nobody is lost with somebody else: who leads and goes away passes the lead on, even if that
//! was just passed to it, and who waits for a crowd that came to nothing is told.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread::available_parallelism,
};

use tokio::{sync::oneshot, task};

use super::yielding::yield_to_the_ready;

/// What costs less for many at once. It holds its thread for as long as it takes.
pub trait Work {
    /// What each brings.
    type Brought;
    /// What each gets.
    type Done;
    /// Whether this is what requests do first: then those are let in, too, that the network brings.
    const FIRST: bool = true;

    /// The most that is done at once now, at least 1; where that is 1, nobody waits for others.
    fn most(&self) -> usize;
    /// Does it for one.
    fn alone(&self, one: Self::Brought) -> Self::Done;
    /// Does it for some; returns theirs in their order.
    fn together(&self, some: Vec<Self::Brought>) -> Vec<Self::Done>;
}

/// Those who come with the same work, in lines by thread. Whoever leads does the work for all of
/// them: it must be the same whoever that is.
pub struct Crowd<B, D>(Box<[Arc<Line<B, D>>]>);

/// The crowd that one was in came to nothing.
#[derive(Debug, PartialEq, Eq)]
pub struct Abandoned;

struct Line<B, D>(Mutex<Places<B, D>>);

struct Places<B, D> {
    waiting: VecDeque<Waiting<B, D>>,
    /// Whether somebody leads them.
    led: bool,
}

struct Waiting<B, D> {
    brought: B,
    turn: oneshot::Sender<Turn<B, D>>,
}

/// What happens to one who waits.
enum Turn<B, D> {
    Done(D),
    Leads(B, Lead<B, D>),
}

enum Entered<B, D> {
    Leads(B, Lead<B, D>),
    Waits(oneshot::Receiver<Turn<B, D>>),
}

/// Leads those who wait; passes that on when it is dropped.
struct Lead<B, D>(Option<Arc<Line<B, D>>>);

impl<B, D> Default for Crowd<B, D> {
    fn default() -> Self {
        Self::in_lines(available_parallelism().map_or(1, usize::from))
    }
}

impl<B, D> Crowd<B, D> {
    /// In so many lines, at least 1, which threads share where they are more.
    pub fn in_lines(number: usize) -> Self {
        Self((0..number.max(1)).map(|_| Arc::default()).collect())
    }

    /// Does the work, with others' where there are any.
    ///
    /// # Errors
    /// [`Abandoned`].
    pub async fn join<W: Work<Brought = B, Done = D>>(
        &self,
        brought: B,
        work: &W,
    ) -> Result<D, Abandoned> {
        if work.most() == 1 {
            return Ok(work.alone(brought));
        }
        match self.line().enter(brought) {
            Entered::Leads(brought, lead) => lead.gather(W::FIRST).await.work(brought, work),
            Entered::Waits(turn) => match turn.await {
                Ok(Turn::Done(done)) => Ok(done),
                // Many were in while it waited.
                Ok(Turn::Leads(brought, lead)) => lead.work(brought, work),
                Err(_) => Err(Abandoned),
            },
        }
    }

    /// This thread's.
    #[expect(clippy::indexing_slicing, reason = "a remainder by the length is within it")]
    fn line(&self) -> &Arc<Line<B, D>> {
        &self.0[thread_number() % self.0.len()]
    }
}

impl<B, D> fmt::Debug for Crowd<B, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting: usize = self.0.iter().map(|line| line.places().waiting.len()).sum();
        write!(f, "Crowd({waiting} waiting)")
    }
}

/// The number of this thread among those that ever came.
fn thread_number() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: usize = THREADS.fetch_add(1, Ordering::Relaxed);
    }
    // None where the thread is about to end.
    NUMBER.try_with(|number| *number).unwrap_or_default()
}

impl<B, D> Default for Line<B, D> {
    fn default() -> Self {
        Self(Mutex::new(Places { waiting: VecDeque::new(), led: false }))
    }
}

impl<B, D> Line<B, D> {
    fn enter(self: &Arc<Self>, brought: B) -> Entered<B, D> {
        let mut places = self.places();
        if places.led {
            let (turn, turns) = oneshot::channel();
            places.waiting.push_back(Waiting { brought, turn });
            Entered::Waits(turns)
        } else {
            places.led = true;
            Entered::Leads(brought, Lead(Some(self.clone())))
        }
    }

    /// Takes out of the line those who come with its leader, of `most` in all.
    fn company(&self, most: usize) -> Vec<Waiting<B, D>> {
        let most = most.saturating_sub(1);
        let mut places = self.places();
        let mut company = Vec::with_capacity(most.min(places.waiting.len()));
        while company.len() < most
            && let Some(next) = places.waiting.pop_front()
        {
            if !next.turn.is_closed() {
                company.push(next);
            }
        }
        company
    }

    /// Takes out who leads next; nobody leads any more if nobody waits.
    fn next(&self) -> Option<Waiting<B, D>> {
        let mut places = self.places();
        let next = places.waiting.pop_front();
        places.led = next.is_some();
        next
    }

    fn places(&self) -> MutexGuard<'_, Places<B, D>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B, D> Lead<B, D> {
    /// Lets all come in that are ready to.
    async fn gather(self, from_the_network: bool) -> Self {
        if from_the_network {
            // Requests that are there are read. Their tasks may still be run after this one; so,
            // once more, behind whatever is ready then.
            task::yield_now().await;
        }
        yield_to_the_ready().await;
        self
    }

    /// Does the leader's own and that of the first who wait; another leads the rest.
    fn work(mut self, own: B, work: &impl Work<Brought = B, Done = D>) -> Result<D, Abandoned> {
        let line = self.0.take().ok_or(Abandoned)?;
        let company = line.company(work.most());
        pass_on(&line);
        if company.is_empty() {
            return Ok(work.alone(own));
        }
        let mut all = Vec::with_capacity(1 + company.len());
        all.push(own);
        let mut turns = Vec::with_capacity(company.len());
        for Waiting { brought, turn } in company {
            all.push(brought);
            turns.push(turn);
        }
        let mut done = work.together(all).into_iter();
        let own = done.next();
        for (turn, done) in turns.into_iter().zip(done) {
            // Who is gone needs nothing.
            let _ = turn.send(Turn::Done(done));
        }
        own.ok_or(Abandoned)
    }
}

impl<B, D> Drop for Lead<B, D> {
    fn drop(&mut self) {
        if let Some(line) = self.0.take() {
            pass_on(&line);
        }
    }
}

/// Makes the first who still waits lead the others; nobody leads where nobody waits.
fn pass_on<B, D>(line: &Arc<Line<B, D>>) {
    loop {
        let Some(next) = line.next() else { return };
        match next.turn.send(Turn::Leads(next.brought, Lead(Some(line.clone())))) {
            // If it goes away before it learns of it, this is dropped with it.
            Ok(()) => return,
            Err(Turn::Leads(_, mut lead)) => lead.0 = None,
            Err(Turn::Done(_)) => {}
        }
    }
}

#[cfg(test)]
mod tests;
