//! Being asked by another gate.

use std::{
    fmt,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use lru::LruCache;
use tokio::sync::OnceCell;

use super::{
    pinned::{Inner, Pinned, TIMEOUT},
    road::Sealed,
};
use crate::gate::{
    peer::{Answer, Claimed, Outcome, Proven, Question, Revoked, Route, Spending},
    revoked::Revocation,
};

/// Attempts remembered, to know one again that is sent once more.
const ATTEMPTS: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// The latest attempts of peers, and what became of each. One that is lost costs a link: sent once
/// more, it finds the token used.
pub(super) struct Attempts(Mutex<Latest>);

type Latest = LruCache<(String, Spending), Arc<OnceCell<Outcome>>>;

impl Default for Attempts {
    fn default() -> Self {
        Self(Mutex::new(LruCache::sparse(ATTEMPTS)))
    }
}

impl Attempts {
    /// This one's outcome, which there may not be yet.
    fn of(&self, peer: &str, spending: Spending) -> Arc<OnceCell<Outcome>> {
        self.latest().get_or_insert((peer.to_owned(), spending), Arc::default).clone()
    }

    fn latest(&self) -> MutexGuard<'_, Latest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Attempts({})", self.latest().len())
    }
}

impl Pinned {
    /// Whether `proof` claims to be of a peer's question to this gate: only then is the body worth
    /// reading. Nothing is proven by that.
    pub fn may_ask(&self, proof: &str) -> bool {
        Claimed::read(proof).is_some_and(|claimed| {
            claimed.to == self.0.own && self.0.peers.contains_key(claimed.from)
        })
    }

    /// Answers a peer's question; none where it is not one: not proven to be of a peer, to this
    /// gate, at this path, in this version, or not readable.
    ///
    /// Once begun it must run to its end, whoever hangs up.
    pub async fn answer(
        &self,
        path: &str,
        question: &Sealed,
        now: impl Fn() -> u64 + Send + Sync,
    ) -> Option<Sealed> {
        let claimed = Claimed::read(&question.proof)?;
        let peer = self.0.peers.get(claimed.from)?;
        let route = Route { asker: &peer.name, asked: &self.0.own, path };
        let proven: Proven = self.0.keys.load().check(&route, &question.body, &claimed)?;
        let answer = match Question::read(path, &question.body)? {
            Question::Spend(spending) => {
                Answer::Spending(self.0.spend_for(&peer.name, spending, &now).await)
            }
            Question::Look(Spending { jti, mem, exp, .. }) => {
                let looked = self.0.local.look(jti, mem, exp, now());
                Answer::Spending(looked.map_or_else(|no| Outcome::of(&no), |()| Outcome::Unspent))
            }
            Question::Revocations { numbering, heard, lineage, .. } => {
                Answer::Revocations(self.0.tell(numbering, heard, lineage))
            }
            Question::Revoke { revocations, .. } => {
                Answer::Revoked(self.0.revoke_for(revocations).await)
            }
            // It answers: it asked.
            Question::Hear { .. } => Answer::Heard(self.0.hear_of(peer, TIMEOUT).await == Ok(true)),
        };
        let body = Bytes::from(answer.written());
        Some(Sealed { proof: proven.answer(&route, &body), body })
    }
}

impl Inner {
    async fn spend_for(
        &self,
        peer: &str,
        spending: Spending,
        now: impl Fn() -> u64 + Send + Sync,
    ) -> Outcome {
        let Spending { jti, mem, exp, .. } = spending;
        let attempt = self.attempts.of(peer, spending);
        // The same attempt, sent once more while this one is under way, waits for it.
        let outcome = attempt.get_or_init(async || {
            let spent = self.local.spend(jti, mem, exp, now).await;
            spent.map_or_else(|no| Outcome::of(&no), |_| Outcome::Spent)
        });
        let outcome = *outcome.await;
        if outcome == Outcome::Spent {
            self.be_heard_of(mem).await;
        }
        outcome
    }

    /// Takes back what a peer did; of users also what this gate has issued up to now, by a clock
    /// that may be ahead of the peer's.
    async fn revoke_for(&self, mut revocations: Vec<Revocation>) -> Revoked {
        revocations.extend(self.local.beyond(&revocations));
        // What cannot be recorded here now is asked for again.
        drop(self.local.merge(&revocations, &[]).await);
        Revoked { at: revocations.iter().map(|taken| taken.at).max().unwrap_or_default() }
    }
}
