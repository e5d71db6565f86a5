//! The connection in use, and its replacement.
//!
//! A question without an answer costs the connection: what else was asked on it may still be
//! answered there, what comes next goes over a new one.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use super::protocol::{Ask, Connection, Server, Told, Unanswered};

/// Between two attempts to connect: a server in trouble is not stormed.
const APART: Duration = Duration::from_millis(50);

/// The connection in use, if any.
#[derive(Debug)]
pub(super) struct Asking {
    server: Arc<dyn Server>,
    current: Mutex<Option<Numbered>>,
    connecting: tokio::sync::Mutex<Attempts>,
    counted: Counted,
}

/// A connection, and how many there were before it.
type Numbered = (u64, Arc<dyn Connection>);

#[derive(Debug, Default)]
struct Attempts {
    last: Option<Instant>,
    failed: Option<(Instant, Unanswered)>,
    made: u64,
}

#[derive(Debug, Default)]
struct Counted {
    connections: AtomicU64,
    questions: AtomicU64,
    unanswered: AtomicU64,
    resends: AtomicU64,
}

/// How the questions went since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Questions {
    /// Connections made.
    pub connections: u64,
    /// Questions asked, those asked again included.
    pub asked: u64,
    /// Those without an answer.
    pub unanswered: u64,
    /// Those asked again.
    pub resent: u64,
}

impl Asking {
    pub(super) fn new(server: Arc<dyn Server>) -> Self {
        Self {
            server,
            current: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
            counted: Counted::default(),
        }
    }

    /// Asks once.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub(super) async fn ask(&self, ask: Ask) -> Result<Told, Unanswered> {
        self.counted.questions.fetch_add(1, Ordering::Relaxed);
        let answer = match self.connection().await {
            Ok((number, connection)) => {
                let answer = connection.ask(ask).await;
                if answer.is_err() {
                    self.discard(number);
                }
                answer
            }
            Err(why) => Err(why),
        };
        if answer.is_err() {
            self.counted.unanswered.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }

    /// Asks, and where there is no answer once more, over another connection. Tells as well
    /// whether no question without an answer can still have an effect.
    pub(super) async fn ask_twice(&self, ask: Ask) -> (Result<Told, Unanswered>, bool) {
        let first = match self.ask(ask.clone()).await {
            Ok(told) => return (Ok(told), true),
            Err(why) => why,
        };
        self.counted.resends.fetch_add(1, Ordering::Relaxed);
        let again = self.ask(ask).await;
        let sure = first.unasked && again.as_ref().err().is_none_or(|why| why.unasked);
        (again, sure)
    }

    /// How the questions went.
    pub(super) fn questions(&self) -> Questions {
        let Counted { connections, questions, unanswered, resends } = &self.counted;
        let [connections, asked, unanswered, resent] =
            [connections, questions, unanswered, resends].map(|n| n.load(Ordering::Relaxed));
        Questions { connections, asked, unanswered, resent }
    }

    /// Lets the connection go.
    pub(super) fn end(&self) {
        self.current().take();
    }

    async fn connection(&self) -> Result<Numbered, Unanswered> {
        let began = Instant::now();
        if let Some(numbered) = self.current().clone() {
            return Ok(numbered);
        }
        let mut attempts = self.connecting.lock().await;
        // Whoever was before this one may have connected, or failed to, meanwhile.
        if let Some(numbered) = self.current().clone() {
            return Ok(numbered);
        }
        if let Some((at, why)) = &attempts.failed
            && *at > began
        {
            return Err(why.clone());
        }
        if let Some(last) = attempts.last {
            sleep_until(last + APART).await;
        }
        let connected = self.server.connect().await;
        attempts.last = Some(Instant::now());
        match connected {
            Ok(connection) => {
                attempts.made += 1;
                attempts.failed = None;
                self.counted.connections.fetch_add(1, Ordering::Relaxed);
                let numbered = (attempts.made, connection);
                *self.current() = Some(numbered.clone());
                Ok(numbered)
            }
            // Nothing was asked, whatever became of the connection.
            Err(Unanswered { why, .. }) => {
                let why = Unanswered { unasked: true, why };
                attempts.failed = Some((Instant::now(), why.clone()));
                Err(why)
            }
        }
    }

    /// Throws a connection away, unless there is a newer one.
    fn discard(&self, number: u64) {
        let mut current = self.current();
        if current.as_ref().is_some_and(|(held, _)| *held == number) {
            current.take();
        }
    }

    fn current(&self) -> MutexGuard<'_, Option<Numbered>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
