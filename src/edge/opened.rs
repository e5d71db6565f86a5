//! Sessions that were opened a moment ago, by the text that was opened.
//!
//! What is remembered is only what the seal says, which never changes: whether a session is over,
//! ended or taken back is judged for each request. Losing one costs opening it again.

use std::{
    fmt,
    hash::{BuildHasher, Hasher},
    sync::Arc,
};

use quick_cache::{
    Weighter,
    sync::{Cache, DefaultLifecycle},
};
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::{
    gate::session::{Session, SessionKeys},
    ops::{entropy, metrics::CacheCounts},
};

/// The most bytes of sealed sessions that are kept, with what each takes beside its own text.
const KEPT: usize = 16 << 20;
/// Bytes that one takes beside the text: what it says, and its place.
const BESIDE: usize = 640;
/// Bytes that one takes as a rule; what is kept is counted as it is.
const USUAL: usize = 1 << 10;

/// Sessions opened by one set of keys.
pub(super) struct Opened(Cache<Box<[u8]>, Arc<Session>, Size, Seed>);

impl Default for Opened {
    fn default() -> Self {
        let seed = Seed(u64::from_ne_bytes(entropy::random()));
        Self(Cache::with(KEPT / USUAL, KEPT as u64, Size, seed, DefaultLifecycle::default()))
    }
}

impl Opened {
    /// The session that `text` seals for this site, as `keys` open it; the same keys each time.
    pub(super) fn open(
        &self,
        keys: &SessionKeys,
        text: &[u8],
        site: &str,
        counts: &CacheCounts,
    ) -> Option<Arc<Session>> {
        if let Some(session) = self.0.get(text) {
            counts.hits.inc();
            return (session.site == site).then_some(session);
        }
        counts.misses.inc();
        // What does not open is not remembered: anybody can make up any number of texts.
        let session = Arc::new(keys.open(std::str::from_utf8(text).ok()?, site)?);
        self.0.insert(text.into(), session.clone());
        Some(session)
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opened({})", self.0.len())
    }
}

#[derive(Clone)]
struct Size;

impl Weighter<Box<[u8]>, Arc<Session>> for Size {
    /// Bytes that a text takes, with what was opened.
    fn weight(&self, text: &Box<[u8]>, session: &Arc<Session>) -> u64 {
        let ctx =
            session.ctx.iter().flat_map(|ctx| ctx.as_object().values()).map(within).sum::<usize>();
        (text.len() + BESIDE + ctx) as u64
    }
}

/// Bytes that a claim takes beside what it is written as: five written ones may be an object, which
/// takes room for eleven members.
fn within(claim: &Value) -> usize {
    match claim {
        Value::Array(items) => {
            items.capacity() * size_of::<Value>() + items.iter().map(within).sum::<usize>()
        }
        Value::Object(members) => {
            let members_of_a_node = size_of::<(String, Value)>() * 11;
            members_of_a_node * members.len().div_ceil(5)
                + members.values().map(within).sum::<usize>()
        }
        _ => 0,
    }
}

/// Hashes long texts in a single step. The texts that are kept are the gate's own making.
#[derive(Clone)]
struct Seed(u64);

struct Hash(u64);

impl BuildHasher for Seed {
    type Hasher = Hash;

    fn build_hasher(&self) -> Hash {
        Hash(self.0)
    }
}

impl Hasher for Hash {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    /// How long a text in a key of several parts is; there is one.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        gate::{
            id::{MemoryId, SessionId, TokenId},
            secret::Secret,
        },
        ops::metrics::Caches,
    };

    fn keys(byte: u8) -> SessionKeys {
        let mut key = [byte; 32];
        key[0] ^= 1;
        SessionKeys::new(Secret::new(key), Vec::new()).unwrap()
    }

    fn session() -> Session {
        Session {
            user: "joe".into(),
            site: "panel".into(),
            caller: "billing".into(),
            link: TokenId::from_bytes([1; 16]),
            id: SessionId::from_bytes([2; 16]),
            mem: MemoryId::from_bytes([3; 16]),
            begun: 1,
            issued: 1,
            seen: 1,
            expires: 2,
            ctx: None,
        }
    }

    #[test]
    fn a_remembered_session_is_of_its_own_site_alone() {
        let (opened, counts) = (Opened::default(), Caches::default().sessions);
        let sealed = keys(1).seal(&session(), [7; 24]).unwrap();
        for _ in 0..2 {
            assert_eq!(
                opened.open(&keys(1), sealed.as_bytes(), "panel", &counts).unwrap().user,
                "joe"
            );
            assert!(opened.open(&keys(1), sealed.as_bytes(), "other", &counts).is_none());
        }
        assert_eq!((counts.hits.get(), counts.misses.get()), (3, 1));
        let other = Opened::default();
        assert!(other.open(&keys(1), sealed.as_bytes(), "other", &counts).is_none());
        assert!(other.open(&keys(1), sealed.as_bytes(), "panel", &counts).is_some());
    }

    #[test]
    fn claims_that_take_more_room_than_their_text_weigh_more() {
        let weight = |json: &str| {
            let ctx = serde_json::from_str(json).unwrap();
            let session = Arc::new(Session { ctx: Some(ctx), ..session() });
            Size.weight(&[].into(), &session) as usize - BESIDE
        };
        assert_eq!(weight(r#"{"plan":"gold"}"#), 0);
        assert!(weight(r#"{"a":[1,2,3]}"#) >= 3 * size_of::<Value>());
        let objects = ["{}"; 100].join(",");
        let empty = weight(&format!(r#"{{"a":[{objects}]}}"#));
        assert!((100..200).contains(&(empty / size_of::<Value>())));
        let full = [r#"{"":1}"#; 50].join(",");
        assert!(weight(&format!(r#"{{"a":[{full}]}}"#)) > 50 * 11 * size_of::<Value>());
    }

    #[test]
    fn what_does_not_open_is_not_remembered() {
        let (opened, counts) = (Opened::default(), Caches::default().sessions);
        let sealed = keys(1).seal(&session(), [7; 24]).unwrap();
        for text in [&sealed[1..], "", "x"] {
            assert!(opened.open(&keys(1), text.as_bytes(), "panel", &counts).is_none());
        }
        assert!(opened.open(&keys(2), sealed.as_bytes(), "panel", &counts).is_none());
        assert_eq!(opened.0.len(), 0);
    }
}
