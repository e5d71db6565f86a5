//! Asking another gate: proven both ways, within a time, and not at all while it is silent.

use std::time::Duration;

use bytes::Bytes;

use super::{
    error::StoreNotice,
    peer::{Peer, Turn, lock},
    pinned::Inner,
    road::{Sealed, Unanswered},
};
use crate::gate::peer::{Answer, Question, Route};

/// Notices kept until somebody takes them.
const MAX_NOTICES: usize = 64;

impl Inner {
    /// Asks a gate that answers, as far as is known; of any other nothing is asked.
    pub(super) async fn ask(
        &self,
        peer: &Peer,
        question: &Question,
        limit: Duration,
    ) -> Result<Answer, Unanswered> {
        match peer.silence() {
            Some(why) => Err(Unanswered { unasked: true, why }),
            None => self.ask_anyway(peer, question, limit).await,
        }
    }

    /// Asks, whatever became of the last question.
    pub(super) async fn ask_anyway(
        &self,
        peer: &Peer,
        question: &Question,
        limit: Duration,
    ) -> Result<Answer, Unanswered> {
        let before = peer.answers();
        let answered = self.proven(peer, question, limit).await;
        let turn = match &answered {
            Ok(_) => peer.note_answer(),
            Err(unanswered) => peer.note_silence(before, unanswered),
        };
        if let Some(turn) = turn {
            self.notice(match turn {
                Turn::Silent(why) => StoreNotice::PeerSilent(peer.name.clone(), why),
                Turn::Answers => StoreNotice::PeerAnswers(peer.name.clone()),
            });
        }
        answered
    }

    async fn proven(
        &self,
        peer: &Peer,
        question: &Question,
        limit: Duration,
    ) -> Result<Answer, Unanswered> {
        let route = Route { asker: &self.own, asked: &peer.name, path: question.path() };
        let body = Bytes::from(question.written());
        let (proof, proven) = self.keys.load().ask(&route, &body);
        let sent = self.road.send(&peer.name, question.path(), Sealed { proof, body });
        let unanswered = |why: String| Unanswered { unasked: false, why };
        let Ok(answer) = tokio::time::timeout(limit, sent).await else {
            return Err(unanswered(format!("no answer within {limit:?}")));
        };
        let answer = answer?;
        // Before it is read: nothing is believed that anybody on the way may have written.
        if !proven.is_answered_by(&route, &answer.proof, &answer.body) {
            let why = "its answer is not proven; both need the same session keys, each the other's \
                       name and address, and the same version";
            return Err(unanswered(why.to_owned()));
        }
        Answer::read(question, &answer.body)
            .ok_or_else(|| unanswered("its answer cannot be read".to_owned()))
    }

    fn notice(&self, notice: StoreNotice) {
        let mut notices = lock(&self.notices);
        if notices.len() >= MAX_NOTICES {
            notices.pop_front();
        }
        notices.push_back(notice);
    }
}
