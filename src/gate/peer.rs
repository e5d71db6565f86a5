//! What gates with memories of their own ask of each other, and how they know each other.
//!
//! A question is a `POST` to one of [`Question`]'s paths, an answer the body of its 200. Both are
//! JSON and carry a proof: an HMAC-SHA256 under a key derived from the session keys, which all
//! gates share. A question's proof covers this protocol's version, who asks whom, the path and
//! the body; an answer's covers the question's proof and its own body, so that it answers that
//! one question alone. Each question holds 128 random bits of its own, its `nonce`.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::gate::{secret::Secret, session::SessionKeys};

mod message;

pub use message::{
    Answer, HEAR, LOOK, Lineage, Nonce, Numbering, Outcome, Question, REVOCATIONS, REVOKE, Revoked,
    SPEND, Spending, Told,
};

/// Below this are the paths on which gates ask each other.
pub const PATH: &str = "/_once/peer/";

/// The header that carries version, names and proof, of questions and answers.
pub const PROOF_HEADER: &str = "oncegate-peer";

/// The version of questions, answers and proofs. Gates of another one refuse each other.
const VERSION: &str = "1";

/// What the key is derived for.
const LABEL: &[u8] = b"oncegate peer";

/// Between two gates: who says something to whom, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route<'a> {
    /// The gate that asks.
    pub asker: &'a str,
    /// The gate that is asked.
    pub asked: &'a str,
    /// The path of the question.
    pub path: &'a str,
}

/// The keys by which gates know each other, one for each session key.
#[derive(Debug, Clone)]
pub struct PeerKeys {
    current: Key,
    others: Vec<Key>,
}

type Key = Secret<[u8; 32]>;
type Tag = [u8; 32];

/// What a question was proven with: its answer is proven with the same.
#[derive(Debug, Clone)]
pub struct Proven {
    key: Key,
    question: Tag,
}

/// The value of [`PROOF_HEADER`], read. Nothing is proven by that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claimed<'a> {
    /// Who says that it speaks.
    pub from: &'a str,
    /// Whom it means.
    pub to: &'a str,
    tag: Tag,
}

impl PeerKeys {
    /// The keys that follow from the session keys: the current one asks, all may be asked with.
    pub fn of(sessions: &SessionKeys) -> Self {
        let current = derived(sessions.current());
        Self { current, others: sessions.others().map(derived).collect() }
    }

    /// The header of a question, and what its answer must be proven with.
    pub fn ask(&self, route: &Route<'_>, body: &[u8]) -> (String, Proven) {
        let question = tag_of(question_mac(&self.current, route, body));
        let proven = Proven { key: self.current.clone(), question };
        (written(route.asker, route.asked, &question), proven)
    }

    /// Whether `claimed` proves that the question comes from a gate with one of these keys, to
    /// this one.
    pub fn check(&self, route: &Route<'_>, body: &[u8], claimed: &Claimed<'_>) -> Option<Proven> {
        if (claimed.from, claimed.to) != (route.asker, route.asked) {
            return None;
        }
        // A gate that has taken up the next keys already asks with what is another's here.
        let mut keys = std::iter::once(&self.current).chain(&self.others);
        let key =
            keys.find(|key| question_mac(key, route, body).verify_slice(&claimed.tag).is_ok())?;
        Some(Proven { key: key.clone(), question: claimed.tag })
    }
}

impl Proven {
    /// The header of the answer.
    pub fn answer(&self, route: &Route<'_>, body: &[u8]) -> String {
        written(route.asked, route.asker, &tag_of(self.mac(route, body)))
    }

    /// Whether `header` proves that this body answers this question.
    pub fn is_answered_by(&self, route: &Route<'_>, header: &str, body: &[u8]) -> bool {
        Claimed::read(header).is_some_and(|claimed| {
            (claimed.from, claimed.to) == (route.asked, route.asker)
                && self.mac(route, body).verify_slice(&claimed.tag).is_ok()
        })
    }

    fn mac(&self, route: &Route<'_>, body: &[u8]) -> Hmac<Sha256> {
        let Route { asker, asked, path } = route;
        let parts: [&[u8]; 7] = [
            b"answer",
            VERSION.as_bytes(),
            asked.as_bytes(),
            asker.as_bytes(),
            path.as_bytes(),
            &self.question,
            body,
        ];
        mac(&self.key, &parts)
    }
}

impl<'a> Claimed<'a> {
    /// Reads `VERSION FROM TO PROOF`; none of another version.
    pub fn read(header: &'a str) -> Option<Self> {
        let mut words = header.split(' ');
        let (version, from, to) = (words.next()?, words.next()?, words.next()?);
        let mut tag = Tag::default();
        let read = URL_SAFE_NO_PAD.decode_slice(words.next()?, &mut tag);
        let whole = read == Ok(tag.len()) && words.next().is_none() && version == VERSION;
        whole.then_some(Self { from, to, tag })
    }
}

fn derived(session: &Secret<[u8; 32]>) -> Key {
    Secret::new(tag_of(mac(session, &[LABEL])))
}

fn question_mac(key: &Key, route: &Route<'_>, body: &[u8]) -> Hmac<Sha256> {
    let Route { asker, asked, path } = route;
    let parts: [&[u8]; 6] = [
        b"question",
        VERSION.as_bytes(),
        asker.as_bytes(),
        asked.as_bytes(),
        path.as_bytes(),
        body,
    ];
    mac(key, &parts)
}

/// Each part after its length: no two lists of parts read alike.
fn mac(key: &Key, parts: &[&[u8]]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length (RFC 2104, 2)")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose()).expect("a key of 32 bytes");
    for part in parts {
        mac.update(&(part.len() as u64).to_le_bytes());
        mac.update(part);
    }
    mac
}

fn tag_of(mac: Hmac<Sha256>) -> Tag {
    mac.finalize().into_bytes().into()
}

fn written(from: &str, to: &str, tag: &Tag) -> String {
    format!("{VERSION} {from} {to} {}", URL_SAFE_NO_PAD.encode(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTE: Route<'static> = Route { asker: "gate-b", asked: "gate-a", path: SPEND };

    fn keys(current: u8, others: &[u8]) -> PeerKeys {
        let key = |byte: u8| {
            let mut key = [byte; 32];
            key[0] ^= 1;
            Secret::new(key)
        };
        let others = others.iter().copied().map(key).collect();
        PeerKeys::of(&SessionKeys::new(key(current), others).unwrap())
    }

    fn checked(keys: &PeerKeys, route: &Route<'_>, header: &str, body: &[u8]) -> Option<Proven> {
        keys.check(route, body, &Claimed::read(header)?)
    }

    #[test]
    fn a_question_is_of_one_gate_to_one_gate_at_one_path() {
        let keys = keys(1, &[]);
        let (header, _) = keys.ask(&ROUTE, b"{}");
        assert!(checked(&keys, &ROUTE, &header, b"{}").is_some());
        for route in [
            Route { asker: "gate-c", ..ROUTE },
            Route { asked: "gate-c", ..ROUTE },
            Route { asker: "gate-a", asked: "gate-b", ..ROUTE },
            Route { path: LOOK, ..ROUTE },
        ] {
            assert!(checked(&keys, &route, &header, b"{}").is_none(), "{route:?}");
            // Nor with the names changed to fit.
            let tag = header.rsplit(' ').next().unwrap();
            let renamed = format!("1 {} {} {tag}", route.asker, route.asked);
            assert!(checked(&keys, &route, &renamed, b"{}").is_none(), "{route:?}");
        }
        assert!(checked(&keys, &ROUTE, &header, b"{ }").is_none());
    }

    #[test]
    fn names_and_bodies_do_not_run_into_each_other() {
        let keys = keys(1, &[]);
        let (header, _) = keys.ask(&Route { asker: "a", asked: "bc", path: "/d" }, b"e");
        let tag = header.rsplit(' ').next().unwrap();
        let other = Route { asker: "ab", asked: "c", path: "/d" };
        assert!(checked(&keys, &other, &format!("1 ab c {tag}"), b"e").is_none());
    }

    #[test]
    fn an_answer_is_to_one_question() {
        let keys = keys(1, &[]);
        let (_, first) = keys.ask(&ROUTE, br#"{"nonce":1}"#);
        let (_, second) = keys.ask(&ROUTE, br#"{"nonce":2}"#);
        let answer = first.answer(&ROUTE, b"spent");
        assert!(first.is_answered_by(&ROUTE, &answer, b"spent"));
        assert!(!second.is_answered_by(&ROUTE, &answer, b"spent"));
        assert!(!first.is_answered_by(&ROUTE, &answer, b"Spent"));
        let other = Route { asked: "gate-c", ..ROUTE };
        assert!(!first.is_answered_by(&other, &answer, b"spent"));
        // A question's proof is none of an answer, and the other way round.
        let (question, proven) = keys.ask(&ROUTE, b"spent");
        assert!(!proven.is_answered_by(&ROUTE, &question, b"spent"));
        let turned = question.replacen("gate-b gate-a", "gate-a gate-b", 1);
        assert!(!proven.is_answered_by(&ROUTE, &turned, b"spent"));
    }

    #[test]
    fn keys_half_rotated_still_know_each_other_and_the_answer_uses_the_same() {
        // Who has taken up the new key, and who has not: both have both.
        let (old, new) = (keys(1, &[2]), keys(2, &[1]));
        for (asker, asked) in [(&old, &new), (&new, &old)] {
            let (header, proven) = asker.ask(&ROUTE, b"{}");
            let heard = checked(asked, &ROUTE, &header, b"{}").unwrap();
            assert!(proven.is_answered_by(&ROUTE, &heard.answer(&ROUTE, b"yes"), b"yes"));
        }
        let (header, _) = keys(3, &[]).ask(&ROUTE, b"{}");
        assert!(checked(&new, &ROUTE, &header, b"{}").is_none());
    }

    #[test]
    fn a_header_reads_one_way_and_of_this_version_alone() {
        let (header, _) = keys(1, &[]).ask(&ROUTE, b"{}");
        let claimed = Claimed::read(&header).unwrap();
        assert_eq!((claimed.from, claimed.to), ("gate-b", "gate-a"));
        for other in [
            header.replacen('1', "2", 1),
            header.replacen(' ', "  ", 1),
            format!("{header} "),
            format!(" {header}"),
            format!("{header}="),
            header[..header.len() - 1].to_owned(),
            "1 gate-b gate-a".to_owned(),
            String::new(),
        ] {
            assert_eq!(Claimed::read(&other), None, "{other}");
        }
    }

    #[test]
    fn the_key_is_neither_a_session_key_nor_printed() {
        let keys = keys(1, &[2]);
        assert_ne!(keys.current.expose()[1..], [1; 31]);
        let said = format!("{keys:?} {:?}", keys.ask(&ROUTE, b"").1);
        assert!(said.contains("current: [secret], others: [[secret]]"), "{said}");
    }
}
