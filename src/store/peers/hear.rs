//! Hearing what other gates took back, and telling them.

use std::time::Duration;

use futures_util::future::join_all;
use sha2::{Digest as _, Sha256};

use super::{
    local::Heard,
    peer::{HeardOf, Peer},
    pinned::{Inner, ONCE_MORE, Pinned, TIMEOUT},
    road::Unanswered,
};
use crate::gate::{
    id::MemoryId,
    peer::{Answer, Lineage, Nonce, Numbering, Question, Told},
};

/// Revocations told at a time: some 120 KiB of JSON.
const AT_A_TIME: usize = 1_000;
/// How long a gate that starts waits for each of the others.
const AT_START: Duration = Duration::from_secs(2);
/// How long a silent one may take to show that it is back.
const SILENT: Duration = Duration::from_millis(500);
/// Memories known, past which only the one in force at a peer is learnt: what two gates let go of
/// for want of room they must not teach each other again and again.
const ROOM: usize = 512;

impl Pinned {
    /// Hears all that the gate `peer` knows and this one does not, and has it know of this gate's
    /// memory. To be called every moment for each of [`Pinned::peers`]; tells whether it answered.
    pub async fn hear(&self, peer: &str) -> bool {
        let Some(peer) = self.0.peers.get(peer) else { return false };
        let limit = if peer.silence().is_some() { SILENT } else { TIMEOUT };
        self.0.hear_and_be_heard(peer, limit).await.is_ok()
    }

    /// As [`Pinned::hear`], of all of them, as a gate does that starts: none that is silent is
    /// waited for longer than two seconds.
    pub async fn catch_up(&self) {
        let all = self.0.peers.values().map(|peer| self.0.hear_and_be_heard(peer, AT_START));
        drop(join_all(all).await);
    }
}

impl Inner {
    async fn hear_and_be_heard(&self, peer: &Peer, limit: Duration) -> Result<(), Unanswered> {
        self.hear_of(peer, limit).await?;
        match self.local.lineage().last() {
            Some(mem) if !peer.knows(*mem) => self.tell_of(peer, *mem, limit).await,
            _ => Ok(()),
        }
    }

    /// Has every gate that answers know of `mem`, this gate's memory: a session that begins under
    /// it may be shown to any of them next.
    pub(super) async fn be_heard_of(&self, mem: MemoryId) {
        let untold = |peer: &&Peer| !peer.was_told(mem) && peer.silence().is_none();
        let untold: Vec<_> = self.peers.values().filter(untold).collect();
        if untold.is_empty() {
            return;
        }
        let telling = untold.into_iter().map(async |peer| {
            // Many may find at once that it was not told; one tells it.
            let _turn = peer.telling.lock().await;
            if !peer.was_told(mem) {
                drop(self.tell_of(peer, mem, ONCE_MORE).await);
            }
        });
        join_all(telling).await;
    }

    async fn tell_of(&self, peer: &Peer, mem: MemoryId, limit: Duration) -> Result<(), Unanswered> {
        let nonce = Nonce::from_bytes((self.random)());
        let answer = self.ask_anyway(peer, &Question::Hear { nonce }, limit).await?;
        peer.note_told(mem, answer == Answer::Heard(true));
        Ok(())
    }

    /// Hears all that `peer` knows and this gate does not; tells whether it has taken all of it in.
    pub(super) async fn hear_of(&self, peer: &Peer, limit: Duration) -> Result<bool, Unanswered> {
        let mut so_far = peer.heard.lock().await;
        loop {
            let into = self.local.latest().list;
            if so_far.into != into {
                *so_far = HeardOf { into, ..HeardOf::default() };
            }
            let HeardOf { heard, lineage, .. } = *so_far;
            let question = Question::Revocations {
                numbering: heard.map(|heard| Numbering::from_bytes(heard.list)),
                heard: heard.map_or(0, |heard| heard.number),
                lineage,
                nonce: Nonce::from_bytes((self.random)()),
            };
            let Answer::Revocations(mut told) = self.ask_anyway(peer, &question, limit).await?
            else {
                return Ok(false);
            };
            let memories = told.lineage.as_ref().map_or(&[][..], |lineage| &lineage.memories);
            let news = self.unknown(memories);
            told.revocations.extend(self.local.beyond(&told.revocations));
            if self.local.merge(&told.revocations, &news).await.is_err() {
                // It cannot be recorded here now, and is asked for again.
                return Ok(false);
            }
            let list = *told.numbering.as_bytes();
            so_far.heard = Some(Heard { list, number: told.heard });
            if let Some(lineage) = &told.lineage {
                so_far.lineage = Some(lineage.name);
            }
            if told.all {
                return Ok(true);
            }
        }
    }

    /// The memories that this gate does not know of yet.
    fn unknown(&self, memories: &[MemoryId]) -> Vec<MemoryId> {
        let known = self.local.lineage();
        let unknown = memories.iter().filter(|mem| !known.contains(mem)).copied();
        let mut unknown: Vec<_> = unknown.collect();
        if known.len() + unknown.len() > ROOM {
            unknown.retain(|mem| memories.last() == Some(mem));
        }
        unknown
    }

    /// Tells a peer what it has not heard of.
    pub(super) fn tell(
        &self,
        numbering: Option<Numbering>,
        heard: u64,
        lineage: Option<Numbering>,
    ) -> Told {
        let heard = numbering.map(|list| Heard { list: *list.as_bytes(), number: heard });
        // The lineage first: what is told after that covers it, unless the list was begun anew
        // meanwhile.
        let before = self.local.lineage();
        let latest = self.local.latest();
        let (revocations, mut upto) = self.local.since(heard, AT_A_TIME);
        let all = revocations.len() < AT_A_TIME;
        if all && latest.list == upto.list {
            // What lies between was dropped.
            upto.number = upto.number.max(latest.number);
        }
        let lineage = (all && before == self.local.lineage())
            .then(|| Lineage { name: name_of(&before), memories: before })
            .filter(|told| lineage != Some(told.name));
        let numbering = Numbering::from_bytes(upto.list);
        Told { numbering, heard: upto.number, all, revocations, lineage }
    }
}

/// Stands for these memories, in this order.
fn name_of(memories: &[MemoryId]) -> Numbering {
    let mut digest = Sha256::new();
    for mem in memories {
        digest.update(mem.as_bytes());
    }
    let mut name = [0; 16];
    name.iter_mut().zip(digest.finalize()).for_each(|(to, from)| *to = from);
    Numbering::from_bytes(name)
}
