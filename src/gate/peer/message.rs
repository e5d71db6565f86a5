//! The questions and answers themselves, as JSON: strict, each of a closed list.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::gate::{
    claims,
    denial::Denial,
    id::{Id, MemoryId, SessionId, TokenId},
    revoked::{CallerTag, Revocation, Revoke, UserKey},
};

/// Records the use of a token.
pub const SPEND: &str = "/_once/peer/spend";
/// What [`SPEND`] would say; records nothing.
pub const LOOK: &str = "/_once/peer/look";
/// What was taken back.
pub const REVOCATIONS: &str = "/_once/peer/revocations";
/// Takes something back.
pub const REVOKE: &str = "/_once/peer/revoke";
/// Asks the gate to ask for [`REVOCATIONS`] at once.
pub const HEAR: &str = "/_once/peer/hear";

/// Marks the random bits of one question.
#[derive(Debug)]
pub enum Asking {}
/// 128 random bits of one question. Of a spend they name the attempt: sent again, the owner
/// recognises it by them.
pub type Nonce = Id<Asking>;

/// Marks the numbering of a gate's revocations.
#[derive(Debug)]
pub enum Counting {}
/// Names one numbering of one gate's revocations: under another one a number means something else.
pub type Numbering = Id<Counting>;

/// What one gate asks of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// [`SPEND`]
    Spend(Spending),
    /// [`LOOK`]
    Look(Spending),
    /// [`REVOCATIONS`] after the one numbered `heard`, under `numbering`.
    Revocations {
        /// None where nothing was heard before.
        numbering: Option<Numbering>,
        /// The number of the last one heard of.
        heard: u64,
        /// Stands for the lineage heard of last; none where nothing was.
        lineage: Option<Numbering>,
        /// Random.
        nonce: Nonce,
    },
    /// [`REVOKE`]
    Revoke {
        /// What is taken back.
        revocations: Vec<Revocation>,
        /// Random.
        nonce: Nonce,
    },
    /// [`HEAR`]
    Hear {
        /// Random.
        nonce: Nonce,
    },
}

/// The use of a token, as its owner needs to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spending {
    /// The token's id.
    pub jti: TokenId,
    /// The memory it names.
    pub mem: MemoryId,
    /// When it expires, seconds since the Unix epoch.
    pub exp: u64,
    /// Names the attempt.
    pub nonce: Nonce,
}

/// What one gate tells another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To [`SPEND`] and [`LOOK`].
    Spending(Outcome),
    /// To [`REVOCATIONS`].
    Revocations(Told),
    /// To [`REVOKE`]: taken back.
    Revoked(Revoked),
    /// To [`HEAR`]: whether it has heard.
    Heard(bool),
}

/// What a gate made of a revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoked {
    /// The latest moment up to which a user is taken back there: later than asked for where its
    /// clock is ahead, or what it has issued before would be missed. Of anything else 0.
    pub at: u64,
}

/// What became of a use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Recorded, by this attempt.
    Spent,
    /// Nothing speaks against recording it; the answer to a look alone.
    Unspent,
    /// Another attempt used it.
    AlreadyUsed,
    /// The owner has another memory than the token names.
    Fenced,
    /// Expired by the owner's clock, or at or before its horizon.
    Expired,
    /// The owner has no room.
    StoreFull,
    /// The owner cannot record, and has not.
    StoreUnavailable,
    /// The owner could not record, and perhaps has.
    PerhapsSpent,
}

/// What was taken back, and whose sessions that covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What [`Told::heard`] counts under.
    pub numbering: Numbering,
    /// The number to ask with next.
    pub heard: u64,
    /// Whether there is nothing more to tell.
    pub all: bool,
    /// In their order.
    pub revocations: Vec<Revocation>,
    /// The memories all of whose sessions' revocations are known to whoever heard all of these;
    /// none where they are the ones heard of, or where there is more to tell.
    pub lineage: Option<Lineage>,
}

/// Memories, and what stands for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lineage {
    /// Stands for them in the next question.
    pub name: Numbering,
    /// Oldest first; the last one is the memory in force.
    pub memories: Vec<MemoryId>,
}

impl Question {
    /// Where it is asked.
    pub fn path(&self) -> &'static str {
        match self {
            Self::Spend(_) => SPEND,
            Self::Look(_) => LOOK,
            Self::Revocations { .. } => REVOCATIONS,
            Self::Revoke { .. } => REVOKE,
            Self::Hear { .. } => HEAR,
        }
    }

    /// As JSON.
    pub fn written(&self) -> Vec<u8> {
        match self {
            Self::Spend(spending) | Self::Look(spending) => json(spending),
            Self::Revocations { numbering, heard, lineage, nonce } => {
                let (numbering, heard, lineage, nonce) = (*numbering, *heard, *lineage, *nonce);
                json(&AskRevocations { numbering, heard, lineage, nonce })
            }
            Self::Revoke { revocations, nonce } => json(&AskRevoke {
                revocations: revocations.iter().map(Wire::of).collect(),
                nonce: *nonce,
            }),
            Self::Hear { nonce } => json(&AskHear { nonce: *nonce }),
        }
    }

    /// Reads what was asked at `path`; none where nothing is, or not so.
    pub fn read(path: &str, body: &[u8]) -> Option<Self> {
        match path {
            SPEND => read(body).map(Self::Spend),
            LOOK => read(body).map(Self::Look),
            REVOCATIONS => read(body).map(|AskRevocations { numbering, heard, lineage, nonce }| {
                Self::Revocations { numbering, heard, lineage, nonce }
            }),
            REVOKE => read(body).map(|AskRevoke { revocations, nonce }| Self::Revoke {
                revocations: revocations.into_iter().map(Wire::into).collect(),
                nonce,
            }),
            HEAR => read(body).map(|AskHear { nonce }| Self::Hear { nonce }),
            _ => None,
        }
    }
}

impl Answer {
    /// As JSON.
    pub fn written(&self) -> Vec<u8> {
        match self {
            Self::Spending(outcome) => json(&AnswerSpending { outcome: *outcome }),
            Self::Revocations(told) => json(&AnswerRevocations {
                numbering: told.numbering,
                heard: told.heard,
                all: told.all,
                revocations: told.revocations.iter().map(Wire::of).collect(),
                lineage: told.lineage.clone(),
            }),
            Self::Revoked(revoked) => json(revoked),
            Self::Heard(heard) => json(&AnswerHeard { heard: *heard }),
        }
    }

    /// Reads the answer to `question`; none where it is no such answer.
    pub fn read(question: &Question, body: &[u8]) -> Option<Self> {
        match question {
            Question::Spend(_) | Question::Look(_) => {
                read(body).map(|AnswerSpending { outcome }| Self::Spending(outcome))
            }
            Question::Revocations { .. } => read(body).map(|told: AnswerRevocations| {
                Self::Revocations(Told {
                    numbering: told.numbering,
                    heard: told.heard,
                    all: told.all,
                    revocations: told.revocations.into_iter().map(Wire::into).collect(),
                    lineage: told.lineage,
                })
            }),
            Question::Revoke { .. } => read(body).map(Self::Revoked),
            Question::Hear { .. } => read(body).map(|AnswerHeard { heard }| Self::Heard(heard)),
        }
    }
}

impl Outcome {
    /// What the owner says of a refusal.
    pub fn of(denial: &Denial) -> Self {
        match denial {
            Denial::AlreadyUsed => Self::AlreadyUsed,
            Denial::Fenced(_) => Self::Fenced,
            Denial::Expired(_) => Self::Expired,
            Denial::StoreFull => Self::StoreFull,
            Denial::StoreUnavailable { unspent: false, .. } => Self::PerhapsSpent,
            // The store has no other reasons but an expiry that no record can hold.
            _ => Self::StoreUnavailable,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AskRevocations {
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "claims::present"
    )]
    numbering: Option<Numbering>,
    heard: u64,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "claims::present"
    )]
    lineage: Option<Numbering>,
    nonce: Nonce,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AskRevoke {
    revocations: Vec<Wire>,
    nonce: Nonce,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AskHear {
    nonce: Nonce,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerSpending {
    outcome: Outcome,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerRevocations {
    numbering: Numbering,
    heard: u64,
    all: bool,
    revocations: Vec<Wire>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "claims::present"
    )]
    lineage: Option<Lineage>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerHeard {
    heard: bool,
}

/// A revocation as JSON.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Wire {
    Link { id: TokenId, caller: Bits<5>, until: u64 },
    User { key: Bits<16>, at: u64, until: u64 },
    Session { id: SessionId, until: u64 },
}

impl Wire {
    fn of(revocation: &Revocation) -> Self {
        let Revocation { what, at, until } = *revocation;
        match what {
            Revoke::Link(id, CallerTag(tag)) => Self::Link { id, caller: Bits(tag), until },
            Revoke::User(UserKey(key)) => Self::User { key: Bits(key), at, until },
            Revoke::Session(id) => Self::Session { id, until },
        }
    }

    fn into(self) -> Revocation {
        match self {
            Self::Link { id, caller, until } => {
                Revocation { what: Revoke::Link(id, CallerTag(caller.0)), at: 0, until }
            }
            Self::User { key, at, until } => {
                Revocation { what: Revoke::User(UserKey(key.0)), at, until }
            }
            Self::Session { id, until } => Revocation::session(id, until),
        }
    }
}

/// Bytes in base64url, spelled in exactly one way.
struct Bits<const N: usize>([u8; N]);

impl<const N: usize> Serialize for Bits<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl<'de, const N: usize> Deserialize<'de> for Bits<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let bytes = URL_SAFE_NO_PAD.decode(&*text).map_err(D::Error::custom)?;
        bytes.try_into().map(Self).map_err(|_| D::Error::custom("of another length"))
    }
}

#[expect(clippy::expect_used, reason = "structs of strings and numbers always serialise")]
fn json(message: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(message).expect("a message is plain JSON")
}

fn read<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Option<T> {
    claims::from_json(body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spending() -> Spending {
        let (jti, mem) = (TokenId::from_bytes([1; 16]), MemoryId::from_bytes([2; 16]));
        Spending { jti, mem, exp: 1_764_000_060, nonce: Nonce::from_bytes([3; 16]) }
    }

    fn revocations() -> Vec<Revocation> {
        vec![
            Revocation::link(TokenId::from_bytes([4; 16]), "mail", 9),
            Revocation::user("panel", "joe", 7, 9),
            Revocation::session(SessionId::from_bytes([5; 16]), 9),
        ]
    }

    #[test]
    fn every_question_reads_back_at_its_path_alone() {
        let nonce = Nonce::from_bytes([3; 16]);
        let name = Some(Numbering::from_bytes([6; 16]));
        let questions = [
            Question::Spend(spending()),
            Question::Look(spending()),
            Question::Revocations { numbering: name, heard: 7, lineage: name, nonce },
            Question::Revocations { numbering: None, heard: 0, lineage: None, nonce },
            Question::Revoke { revocations: revocations(), nonce },
            Question::Hear { nonce },
        ];
        for question in questions {
            let (path, body) = (question.path(), question.written());
            assert_eq!(Question::read(path, &body), Some(question));
            assert!(path.starts_with(super::super::PATH));
            assert_eq!(Question::read("/_once/peer/other", &body), None);
        }
    }

    #[test]
    fn every_answer_reads_back() {
        let nonce = Nonce::from_bytes([3; 16]);
        let name = Numbering::from_bytes([6; 16]);
        let lineage = Lineage { name, memories: vec![MemoryId::from_bytes([8; 16])] };
        let revocations = revocations();
        let told = Told { numbering: name, heard: 3, all: true, revocations, lineage: None };
        let asked = Question::Revocations { numbering: None, heard: 0, lineage: None, nonce };
        for told in [told.clone(), Told { lineage: Some(lineage), ..told }] {
            let answer = Answer::Revocations(told);
            assert_eq!(Answer::read(&asked, &answer.written()), Some(answer));
        }
        for outcome in [
            Outcome::Spent,
            Outcome::Unspent,
            Outcome::AlreadyUsed,
            Outcome::Fenced,
            Outcome::Expired,
            Outcome::StoreFull,
            Outcome::StoreUnavailable,
            Outcome::PerhapsSpent,
        ] {
            let answer = Answer::Spending(outcome);
            let read = Answer::read(&Question::Spend(spending()), &answer.written());
            assert_eq!(read, Some(answer));
        }
        for heard in [Answer::Heard(true), Answer::Heard(false)] {
            let read = Answer::read(&Question::Hear { nonce }, &heard.written());
            assert_eq!(read, Some(heard));
        }
        let revoked = Answer::Revoked(Revoked { at: 7 });
        let asked = Question::Revoke { revocations: vec![], nonce };
        assert_eq!(Answer::read(&asked, &revoked.written()), Some(revoked));
    }

    #[test]
    fn the_names_of_a_spend_are_the_documented_ones() {
        let body = String::from_utf8(Question::Spend(spending()).written()).unwrap();
        let names = [r#"{"jti":""#, r#"","mem":""#, r#"","exp":1764000060,"nonce":""#];
        assert!(names.iter().all(|name| body.contains(name)), "{body}");
    }

    #[test]
    fn what_is_not_exactly_a_question_is_none() {
        let good = String::from_utf8(Question::Spend(spending()).written()).unwrap();
        let exp = r#""exp":1764000060"#;
        for bad in [
            good.replace(exp, r#""exp":"1764000060""#),
            good.replace(exp, r#""exp":-1"#),
            good.replace(exp, r#""exp":1.5"#),
            good.replace(exp, r#""exp":null"#),
            good.replace(exp, r#""exp":1764000060,"exp":1764000060"#),
            good.replace(exp, r#""exp":1764000060,"more":1"#),
            good.replace(&format!("{exp},"), ""),
            format!("{good}{good}"),
            format!("[{good}]"),
            String::new(),
            "{}".to_owned(),
        ] {
            assert_eq!(Question::read(SPEND, bad.as_bytes()), None, "{bad}");
        }
        let revoke = |of: &str| {
            let body = format!(r#"{{"revocations":[{of}],"nonce":"AwMDAwMDAwMDAwMDAwMDAw"}}"#);
            Question::read(REVOKE, body.as_bytes())
        };
        let session = r#"{"session":{"id":"BQUFBQUFBQUFBQUFBQUFBQ","until":9}}"#;
        assert!(revoke(session).is_some());
        for bad in [
            r#"{"session":{"id":"BQUFBQUFBQUFBQUFBQUFBQ","until":9,"at":1}}"#,
            r#"{"session":{"id":"BQUF","until":9}}"#,
            r#"{"user":{"key":"BQUF","at":1,"until":9}}"#,
            r#"{"other":{"until":9}}"#,
            r#""session""#,
        ] {
            assert_eq!(revoke(bad), None, "{bad}");
        }
    }
}
