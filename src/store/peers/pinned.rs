//! The memories of several gates, as one of them reaches them.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use arc_swap::ArcSwap;
use futures_util::future::join_all;

use super::{
    answer::Attempts,
    error::StoreNotice,
    local::Local,
    options::PeerStatus,
    peer::{Peer, lock},
    road::{Road, Unanswered},
};
use crate::{
    gate::{
        denial::Denial,
        id::MemoryId,
        peer::{Answer, Nonce, Outcome, PeerKeys, Question, Revoked, Spending},
        revoked::Revocation,
        seen::Spent,
        session::SessionKeys,
    },
    store::Use,
};

/// How long an owner may take to answer.
pub(super) const TIMEOUT: Duration = Duration::from_secs(1);
/// How long it may take when asked once more, after it was not heard the first time.
pub(super) const ONCE_MORE: Duration = Duration::from_millis(500);

/// The other gates, and how to reach them.
#[derive(Debug, Clone)]
pub struct PeerOptions {
    /// Their names, without this gate's own.
    pub names: Vec<String>,
    /// The way to them.
    pub road: Arc<dyn Road>,
    /// By which gates know each other.
    pub keys: PeerKeys,
}

/// This gate's own memory, and the way to the others'. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Pinned(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    /// This gate's memory.
    pub local: Local,
    /// This gate.
    pub own: String,
    /// The others.
    pub peers: BTreeMap<String, Peer>,
    pub road: Arc<dyn Road>,
    pub keys: ArcSwap<PeerKeys>,
    /// What was asked of this gate lately.
    pub attempts: Attempts,
    pub random: fn() -> [u8; 16],
    pub notices: Mutex<VecDeque<StoreNotice>>,
}

impl Pinned {
    /// `local` is the memory of the gate `own`; `random` gives 128 random bits.
    pub fn new(local: Local, own: &str, options: PeerOptions, random: fn() -> [u8; 16]) -> Self {
        let PeerOptions { names, road, keys } = options;
        let peers = names.into_iter().filter(|name| name != own);
        Self(Arc::new(Inner {
            local,
            own: own.to_owned(),
            peers: peers.map(|name| (name.clone(), Peer::new(name))).collect(),
            road,
            keys: ArcSwap::from_pointee(keys),
            attempts: Attempts::default(),
            random,
            notices: Mutex::default(),
        }))
    }

    /// This gate's own memory.
    pub fn local(&self) -> &Local {
        &self.0.local
    }

    /// The names of the other gates.
    pub fn peers(&self) -> Vec<String> {
        self.0.peers.keys().cloned().collect()
    }

    /// Takes up new keys, together with whoever seals sessions.
    pub fn take_up_keys(&self, sessions: &SessionKeys) {
        self.0.keys.store(Arc::new(PeerKeys::of(sessions)));
    }

    /// Has the use of a token recorded by the gate it names.
    ///
    /// # Errors
    /// As [`Local::spend`]; [`Denial::WrongGate`] for a token of a gate that is not known here,
    /// [`Denial::OwnerSilent`] where its gate certainly was not asked, and
    /// [`Denial::StoreUnavailable`] where what it made of the question is not known.
    pub async fn spend(
        &self,
        token: &Use,
        now: impl Fn() -> u64 + Send + Sync,
    ) -> Result<Spent, Denial> {
        let Some(owner) = self.owner(token)? else {
            let spent = self.0.local.spend(token.id, token.mem, token.expires, now).await?;
            self.0.be_heard_of(token.mem).await;
            return Ok(spent);
        };
        let question = Question::Spend(self.spending(token));
        let mut perhaps = false;
        let mut answer = self.0.ask(owner, &question, TIMEOUT).await;
        if let Err(Unanswered { unasked: false, .. }) = &answer {
            // It may have been recorded, and the answer lost. The owner knows the attempt again.
            perhaps = true;
            answer = self.0.ask_anyway(owner, &question, ONCE_MORE).await;
        }
        let outcome = match answer {
            Ok(Answer::Spending(outcome)) => outcome,
            Ok(_) => Outcome::PerhapsSpent,
            Err(unanswered) => {
                return Err(silent(&owner.name, &unanswered, unanswered.unasked && !perhaps));
            }
        };
        let spent = judged(token, outcome, perhaps)?;
        if !self.0.local.knows_sessions_of(token.mem) {
            // A memory so new that it was not heard of: the session that begins now names it.
            let _ = self.0.hear_of(owner, TIMEOUT).await;
        }
        Ok(spent)
    }

    /// Whether [`Pinned::spend`] would refuse the token now; records nothing, promises nothing.
    ///
    /// # Errors
    /// As [`Pinned::spend`], without [`Denial::StoreFull`].
    pub async fn look(
        &self,
        token: &Use,
        now: impl Fn() -> u64 + Send + Sync,
    ) -> Result<(), Denial> {
        let Some(owner) = self.owner(token)? else {
            return self.0.local.look(token.id, token.mem, token.expires, now());
        };
        let question = Question::Look(self.spending(token));
        match self.0.ask(owner, &question, TIMEOUT).await {
            Ok(Answer::Spending(Outcome::Unspent)) => Ok(()),
            Ok(Answer::Spending(outcome)) => judged(token, outcome, false).map(drop),
            // Read as the answer to a spend, it is of one.
            Ok(_) => Err(Denial::OwnerSilent(format!("{}: another answer", owner.name))),
            Err(unanswered) => Err(silent(&owner.name, &unanswered, true)),
        }
    }

    /// Takes something back: as durably as a spend here, and at every gate that answers. The
    /// others hear of it when they do.
    ///
    /// # Errors
    /// As [`Local::revoke`].
    pub async fn revoke(&self, revocation: Revocation, now: u64) -> Result<(), Denial> {
        self.0.local.revoke(revocation, now).await?;
        let at = self.push(revocation).await;
        if at > revocation.at {
            // Some gate has issued by a clock ahead of this one: the others must know as well.
            let further = Revocation { at, ..revocation };
            self.0.local.merge(&[further], &[]).await?;
            self.push(further).await;
        }
        Ok(())
    }

    /// Has every gate that answers take something back; the latest moment up to which one did.
    async fn push(&self, revocation: Revocation) -> u64 {
        let question = Question::Revoke { revocations: vec![revocation], nonce: self.nonce() };
        let told = self.0.peers.values().map(|peer| self.0.ask(peer, &question, TIMEOUT));
        // Who was not told now asks for it.
        let at = |told| if let Ok(Answer::Revoked(Revoked { at })) = told { at } else { 0 };
        join_all(told).await.into_iter().map(at).max().unwrap_or_default()
    }

    /// Whether each peer answers.
    pub fn peer_status(&self) -> Vec<PeerStatus> {
        let status = |peer: &Peer| PeerStatus { name: peer.name.clone(), silence: peer.silence() };
        self.0.peers.values().map(status).collect()
    }

    /// What happened since this was last asked, for the log.
    pub fn take_notices(&self) -> Vec<StoreNotice> {
        let mut notices = self.0.local.take_notices();
        notices.extend(lock(&self.0.notices).drain(..));
        notices
    }

    /// The gate that records the token's use; none where that is this one.
    fn owner(&self, token: &Use) -> Result<Option<&Peer>, Denial> {
        match &token.gate {
            Some(gate) if *gate == self.0.own => Ok(None),
            Some(gate) => match self.0.peers.get(gate) {
                Some(peer) => Ok(Some(peer)),
                None => Err(Denial::WrongGate(gate.clone())),
            },
            None => Err(Denial::WrongGate(String::new())),
        }
    }

    fn spending(&self, token: &Use) -> Spending {
        Spending { jti: token.id, mem: token.mem, exp: token.expires, nonce: self.nonce() }
    }

    fn nonce(&self) -> Nonce {
        Nonce::from_bytes((self.0.random)())
    }
}

/// What the owner's answer means here. `perhaps`: an earlier try of the same attempt may have been
/// recorded, so that nothing is certainly unspent.
fn judged(token: &Use, outcome: Outcome, perhaps: bool) -> Result<Spent, Denial> {
    let mem: MemoryId = token.mem;
    let unavailable =
        |unspent, why: &str| Denial::StoreUnavailable { unspent, why: why.to_owned() };
    Err(match outcome {
        Outcome::Spent => return Ok(Spent::elsewhere(token.id)),
        Outcome::AlreadyUsed => Denial::AlreadyUsed,
        Outcome::Fenced => Denial::Fenced(mem.to_string()),
        Outcome::Expired => Denial::Expired(token.expires),
        Outcome::StoreFull if perhaps => unavailable(false, "the gate it names is full"),
        Outcome::StoreFull => Denial::StoreFull,
        Outcome::StoreUnavailable => unavailable(!perhaps, "the gate it names cannot record"),
        Outcome::PerhapsSpent | Outcome::Unspent => {
            unavailable(false, "the gate it names could not record")
        }
    })
}

fn silent(owner: &str, unanswered: &Unanswered, unspent: bool) -> Denial {
    let why = format!("{owner}: {unanswered}");
    if unspent { Denial::OwnerSilent(why) } else { Denial::StoreUnavailable { unspent, why } }
}
