//! Recording: from a record to the answer that it is kept.
//!
//! `durability = process` writes in place. `durability = power` gathers: one thread takes
//! everything that waits, writes it at once, syncs it once, and answers all; unless told not to
//! gather: then it writes and syncs in place, too.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, Sender},
    },
    thread::JoinHandle,
};

use tokio::sync::oneshot;

use super::{
    journal::{Ended, Journal},
    record::Record,
};

/// Records that one sync may be for.
const GROUP: usize = 4096;

/// Records into one journal.
#[derive(Debug)]
pub(super) struct Recorder {
    journal: Arc<Journal>,
    group: Option<GroupCommit>,
}

#[derive(Debug)]
struct GroupCommit {
    queue: Mutex<Option<Sender<Waiting>>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Waiting {
    /// None asks only for everything before it to be done.
    record: Option<Record>,
    /// Whom to tell; none where a later one is asked for the same outcome.
    done: Option<Done>,
}

#[derive(Debug)]
enum Done {
    Task(oneshot::Sender<Result<(), Ended>>),
    Thread(Sender<Result<(), Ended>>),
}

impl Done {
    /// Whoever does not wait any more misses nothing.
    fn tell(self, outcome: Result<(), Ended>) {
        match self {
            Self::Task(task) => drop(task.send(outcome)),
            Self::Thread(thread) => drop(thread.send(outcome)),
        }
    }
}

/// Records on their way.
#[derive(Debug)]
#[must_use = "what was not waited for may be lost"]
pub(super) enum Submitted {
    /// Written in place.
    Done(Result<(), Ended>),
    /// Waiting for their sync.
    Waiting(oneshot::Receiver<Result<(), Ended>>),
}

impl Submitted {
    /// Returns when they, and all that was submitted before them, are as durable as configured.
    ///
    /// # Errors
    /// Why the journal has ended. Any of the records may be kept or not.
    pub(super) async fn kept(self) -> Result<(), Ended> {
        match self {
            Self::Done(outcome) => outcome,
            Self::Waiting(answer) => answer.await.map_err(|_| gone())?,
        }
    }
}

impl Recorder {
    /// Records into `journal`, as durably as that is.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub(super) fn new(journal: Journal) -> io::Result<Self> {
        let journal = Arc::new(journal);
        let group = if journal.gathers() {
            let (queue, waiting) = mpsc::channel();
            let journal = Arc::clone(&journal);
            let thread = std::thread::Builder::new()
                .name("oncegate-journal".to_owned())
                .spawn(move || commit_groups(&journal, &waiting))?;
            Some(GroupCommit { queue: Mutex::new(Some(queue)), thread: Some(thread) })
        } else {
            None
        };
        Ok(Self { journal, group })
    }

    /// Sends records on their way to the disk. None: what was submitted before is waited for.
    ///
    /// If the caller goes away afterwards, they are kept all the same.
    pub(super) fn submit(&self, records: &[Record]) -> Submitted {
        match &self.group {
            None => Submitted::Done(self.journal.write(records)),
            Some(group) => group
                .submit(records)
                .map_or_else(|| Submitted::Done(Err(gone())), Submitted::Waiting),
        }
    }

    /// As [`Recorder::submit`], for records that are answered for one by one. Those that are written
    /// in place are written at once.
    pub(super) fn submit_each(&self, records: &[Record]) -> Vec<Submitted> {
        if self.group.is_some() {
            return records.chunks(1).map(|record| self.submit(record)).collect();
        }
        let outcome = self.journal.write(records);
        records.iter().map(|_| Submitted::Done(outcome.clone())).collect()
    }

    /// Waits, blocking, until all that was submitted before has been written, or has failed.
    pub(super) fn settle(&self) {
        if let Some(group) = &self.group {
            let (done, answer) = mpsc::channel();
            if group.send(Waiting { record: None, done: Some(Done::Thread(done)) }).is_some() {
                let _ = answer.recv();
            }
        }
    }

    /// The journal recorded into.
    pub(super) fn journal(&self) -> &Journal {
        &self.journal
    }
}

impl GroupCommit {
    /// None if the thread is gone.
    fn submit(&self, records: &[Record]) -> Option<oneshot::Receiver<Result<(), Ended>>> {
        let (done, answer) = oneshot::channel();
        let (last, before) = match records.split_last() {
            Some((last, before)) => (Some(*last), before),
            None => (None, records),
        };
        for record in before {
            self.send(Waiting { record: Some(*record), done: None })?;
        }
        // A journal that ended with any before it has ended for this one.
        self.send(Waiting { record: last, done: Some(Done::Task(done)) })?;
        Some(answer)
    }

    /// None if the thread is gone.
    fn send(&self, waiting: Waiting) -> Option<()> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.as_ref()?.send(waiting).ok()
    }
}

fn gone() -> Ended {
    "the journal's thread is gone".to_owned()
}

impl Drop for GroupCommit {
    fn drop(&mut self) {
        // The thread ends with its queue. Nothing may be written once this is gone: the lock on
        // the directory goes next.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn commit_groups(journal: &Journal, waiting: &Receiver<Waiting>) {
    while let Ok(first) = waiting.recv() {
        let group: Vec<_> = std::iter::once(first).chain(waiting.try_iter().take(GROUP)).collect();
        let records: Vec<_> = group.iter().filter_map(|waiting| waiting.record).collect();
        let outcome = journal.write(&records);
        for done in group.into_iter().filter_map(|waiting| waiting.done) {
            done.tell(outcome.clone());
        }
    }
}
