//! One other gate, as this one knows it.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use super::{local::Heard, road::Unanswered};
use crate::gate::{id::MemoryId, peer::Numbering};

/// Another gate.
#[derive(Debug)]
pub(super) struct Peer {
    /// Its name, which tokens bear.
    pub name: String,
    /// How far its revocations were heard. Held while they are asked for: one asks at a time.
    pub heard: tokio::sync::Mutex<HeardOf>,
    /// Held by a redemption while it is told of this gate's memory.
    pub telling: tokio::sync::Mutex<()>,
    /// The memory of this gate's own that it was told of last, and whether it could take that in.
    told: Mutex<Option<(MemoryId, bool)>>,
    /// How often it answered.
    answers: AtomicU64,
    /// Why it does not answer, if so.
    silence: Mutex<Option<String>>,
}

/// How far another gate's revocations were heard.
#[derive(Debug, Default)]
pub(super) struct HeardOf {
    /// Which list of this gate's own they were taken into: with a new one, all is to be heard again.
    pub into: [u8; 16],
    /// Up to where.
    pub heard: Option<Heard>,
    /// Which lineage.
    pub lineage: Option<Numbering>,
}

/// That a peer stopped answering, or started again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Turn {
    /// Why it does not answer.
    Silent(String),
    /// It answers.
    Answers,
}

impl Peer {
    /// One that is taken to answer until it does not.
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            heard: tokio::sync::Mutex::default(),
            telling: tokio::sync::Mutex::default(),
            told: Mutex::default(),
            answers: AtomicU64::new(0),
            silence: Mutex::default(),
        }
    }

    /// Whether it knows of `mem`, this gate's memory.
    pub(super) fn knows(&self, mem: MemoryId) -> bool {
        *lock(&self.told) == Some((mem, true))
    }

    /// Whether it was told of `mem`, this gate's memory, in vain or not.
    pub(super) fn was_told(&self, mem: MemoryId) -> bool {
        lock(&self.told).is_some_and(|(told, _)| told == mem)
    }

    /// It was told of `mem`.
    pub(super) fn note_told(&self, mem: MemoryId, knows: bool) {
        *lock(&self.told) = Some((mem, knows));
    }

    /// Why it does not answer, if so.
    pub(super) fn silence(&self) -> Option<String> {
        lock(&self.silence).clone()
    }

    /// How often it has answered: to be asked before a question.
    pub(super) fn answers(&self) -> u64 {
        self.answers.load(Ordering::SeqCst)
    }

    /// It answered; what that changes, if anything.
    pub(super) fn note_answer(&self) -> Option<Turn> {
        self.answers.fetch_add(1, Ordering::SeqCst);
        lock(&self.silence).take().map(|_| Turn::Answers)
    }

    /// It did not answer a question, before which it had answered `before` times; what that
    /// changes, if anything. One question that is lost among others that are answered says
    /// nothing of the gate; a connection that is not to be had does.
    pub(super) fn note_silence(&self, before: u64, unanswered: &Unanswered) -> Option<Turn> {
        let mut silence = lock(&self.silence);
        if !unanswered.unasked && self.answers() != before {
            return None;
        }
        let was = silence.replace(unanswered.why.clone());
        was.is_none().then(|| Turn::Silent(unanswered.why.clone()))
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(unasked: bool) -> Unanswered {
        Unanswered { unasked, why: "refused".to_owned() }
    }

    #[test]
    fn a_turn_is_told_once() {
        let peer = Peer::new("gate-b".to_owned());
        assert_eq!((peer.note_answer(), peer.silence()), (None, None));
        let before = peer.answers();
        let silent = Some(Turn::Silent("refused".to_owned()));
        assert_eq!(peer.note_silence(before, &lost(false)), silent);
        assert_eq!(peer.note_silence(before, &lost(true)), None);
        assert_eq!(peer.silence(), Some("refused".to_owned()));
        assert_eq!((peer.note_answer(), peer.note_answer()), (Some(Turn::Answers), None));
    }

    #[test]
    fn one_question_lost_among_others_that_are_answered_is_no_silence() {
        let peer = Peer::new("gate-b".to_owned());
        let before = peer.answers();
        peer.note_answer();
        assert_eq!((peer.note_silence(before, &lost(false)), peer.silence()), (None, None));
        assert!(peer.note_silence(before, &lost(true)).is_some(), "nobody is there");
    }
}
