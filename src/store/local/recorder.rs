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
    done: oneshot::Sender<Result<(), Ended>>,
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

    /// Keeps a record; returns when it is as durable as configured.
    ///
    /// If the caller goes away meanwhile, the record is kept all the same.
    ///
    /// # Errors
    /// Why the journal has ended. The record may be kept or not.
    pub(super) async fn record(&self, record: Record) -> Result<(), Ended> {
        match &self.group {
            None => self.journal.write(&[record]),
            Some(group) => group.ask(Some(record)).await,
        }
    }

    /// Returns when everything that was asked for before has been answered.
    pub(super) async fn drain(&self) {
        if let Some(group) = &self.group {
            let _ = group.ask(None).await;
        }
    }

    /// The journal recorded into.
    pub(super) fn journal(&self) -> &Journal {
        &self.journal
    }
}

impl GroupCommit {
    async fn ask(&self, record: Option<Record>) -> Result<(), Ended> {
        let (done, answer) = oneshot::channel();
        let gone = || "the journal's thread is gone".to_owned();
        {
            let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            let queue = queue.as_ref().ok_or_else(gone)?;
            queue.send(Waiting { record, done }).map_err(|_| gone())?;
        }
        answer.await.map_err(|_| gone())?
    }
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
        for waiting in group {
            // Whoever does not wait any more misses nothing.
            let _ = waiting.done.send(outcome.clone());
        }
    }
}
