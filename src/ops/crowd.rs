//! Does for many at once what costs less so: for one at once, for a crowd together.
//!
//! Whoever comes first leads. The leader lets every task that is ready come in before it looks who
//! is there: it waits for nobody, on no clock. Then it does its own work with that of those who
//! came, [`Work::most`] at a time, and tells each. Meanwhile the next to come leads the next crowd,
//! on another core if there is one.
//!
//! Nobody is lost with somebody else: who leads and goes away passes the lead on, even if that
//! was just passed to it, and who waits for a crowd that came to nothing is told.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{sync::oneshot, task};

use crate::ops::yielding::yield_to_the_ready;

/// What costs less for many at once. It holds its thread for as long as it takes.
pub(super) trait Work: Send + Sync + 'static {
    /// What each brings.
    type Brought: Send;
    /// What each gets.
    type Done: Send;

    /// The most that is done at once now, at least 1; where that is 1, nobody waits for others.
    fn most(&self) -> usize;
    /// Does it for one.
    fn alone(&self, one: Self::Brought) -> Self::Done;
    /// Does it for some; returns theirs in their order.
    fn together(&self, some: Vec<Self::Brought>) -> Vec<Self::Done>;
}

/// Those who come with the same work.
pub(super) struct Crowd<W: Work>(Arc<Line<W>>);

/// The crowd that one was in came to nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Abandoned;

struct Line<W: Work> {
    work: W,
    places: Mutex<Places<W>>,
}

struct Places<W: Work> {
    waiting: VecDeque<Waiting<W>>,
    /// Whether somebody leads them.
    led: bool,
}

struct Waiting<W: Work> {
    brought: W::Brought,
    turn: oneshot::Sender<Turn<W>>,
}

/// What happens to one who waits.
enum Turn<W: Work> {
    Done(W::Done),
    Leads(W::Brought, Lead<W>),
}

enum Entered<W: Work> {
    Leads(W::Brought, Lead<W>),
    Waits(oneshot::Receiver<Turn<W>>),
}

/// Leads those who wait; passes that on when it is dropped.
struct Lead<W: Work>(Option<Arc<Line<W>>>);

impl<W: Work> Crowd<W> {
    pub(super) fn new(work: W) -> Self {
        let places = Mutex::new(Places { waiting: VecDeque::new(), led: false });
        Self(Arc::new(Line { work, places }))
    }

    /// Does the work, with others' where there are any.
    ///
    /// # Errors
    /// [`Abandoned`].
    pub(super) async fn join(&self, brought: W::Brought) -> Result<W::Done, Abandoned> {
        if self.0.work.most() == 1 {
            return Ok(self.0.work.alone(brought));
        }
        match self.0.enter(brought) {
            Entered::Leads(brought, lead) => lead.gather().await.work(brought),
            Entered::Waits(turn) => match turn.await {
                Ok(Turn::Done(done)) => Ok(done),
                // Many were in while it waited.
                Ok(Turn::Leads(brought, lead)) => lead.work(brought),
                Err(_) => Err(Abandoned),
            },
        }
    }
}

impl<W: Work> fmt::Debug for Crowd<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Crowd({} waiting)", self.0.places().waiting.len())
    }
}

impl<W: Work> Line<W> {
    fn enter(self: &Arc<Self>, brought: W::Brought) -> Entered<W> {
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

    /// Takes out of the line those who come with its leader.
    fn company(&self) -> Vec<Waiting<W>> {
        let most = self.work.most().saturating_sub(1);
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
    fn next(&self) -> Option<Waiting<W>> {
        let mut places = self.places();
        let next = places.waiting.pop_front();
        places.led = next.is_some();
        next
    }

    fn places(&self) -> MutexGuard<'_, Places<W>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: Work> Lead<W> {
    /// Lets all come in that are ready to.
    async fn gather(self) -> Self {
        // First behind what the network brings: requests that are there are read. Their tasks may
        // still be run after this one; so, once more, behind whatever is ready now.
        task::yield_now().await;
        yield_to_the_ready().await;
        self
    }

    /// Does the leader's own and that of the first who wait; another leads the rest.
    fn work(mut self, own: W::Brought) -> Result<W::Done, Abandoned> {
        let line = self.0.take().ok_or(Abandoned)?;
        let company = line.company();
        pass_on(&line);
        if company.is_empty() {
            return Ok(line.work.alone(own));
        }
        let mut all = Vec::with_capacity(1 + company.len());
        all.push(own);
        let mut turns = Vec::with_capacity(company.len());
        for Waiting { brought, turn } in company {
            all.push(brought);
            turns.push(turn);
        }
        let mut done = line.work.together(all).into_iter();
        let own = done.next();
        for (turn, done) in turns.into_iter().zip(done) {
            // Who is gone needs nothing.
            let _ = turn.send(Turn::Done(done));
        }
        own.ok_or(Abandoned)
    }
}

impl<W: Work> Drop for Lead<W> {
    fn drop(&mut self) {
        if let Some(line) = self.0.take() {
            pass_on(&line);
        }
    }
}

/// Makes the first who still waits lead the others; nobody leads where nobody waits.
fn pass_on<W: Work>(line: &Arc<Line<W>>) {
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
