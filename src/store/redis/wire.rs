//! Questions as the keys and arguments of their scripts; answers, read back.

use ::redis::{Cmd, Value};
use sha2::{Digest as _, Sha256};

use super::protocol::{Ask, Breakage, Heard, LISTENING, Told};
use crate::gate::{
    id::{MemoryId, SessionId, TokenId},
    revoked::{CallerTag, Revocation, Revoke, UserKey},
    seen::bucket_end,
};

/// The version of this format. Another one has other keys, and so other memories.
const FORMAT: u8 = 1;

/// What stands before all keys of one issuer: several may share a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(String);

impl Prefix {
    /// The prefix of the gates of `issuer`: `oncegate:1:` and twelve hexadecimal digits.
    pub fn of(issuer: &str) -> Self {
        let short = number_of(Sha256::digest(issuer).into_iter().take(6));
        Self(format!("oncegate:{FORMAT}:{short:012x}:"))
    }

    /// The prefix itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn key(&self, kind: &str) -> String {
        format!("{}{kind}", self.0)
    }

    fn of_memory(&self, kind: &str, mem: MemoryId) -> String {
        format!("{}{kind}:{mem}", self.0)
    }
}

/// Adds to `command` the number of keys, the keys and the arguments of a question.
pub(super) fn arguments(command: &mut Cmd, prefix: &Prefix, ask: &Ask) {
    let state = prefix.key("mem");
    let keys = |command: &mut Cmd, more: &[String]| {
        command.arg(more.len() + 1).arg(&state).arg(more);
    };
    let bucket = |mem: &MemoryId, end: u64| format!("{}:{end}", prefix.of_memory("used", *mem));
    match ask {
        Ask::Spend { mem, id, expires, attempt, heard, max_entries } => {
            let end = bucket_end(*expires);
            keys(command, &[bucket(mem, end)]);
            command.arg(mem.to_string()).arg(id.as_bytes()).arg(end).arg(*expires);
            command.arg(attempt).arg(*heard).arg(*max_entries);
        }
        Ask::Look { mem, id, expires } => {
            let end = bucket_end(*expires);
            keys(command, &[bucket(mem, end)]);
            command.arg(mem.to_string()).arg(id.as_bytes()).arg(end).arg(*expires);
        }
        Ask::Make { old, new } => {
            keys(command, &[]);
            command.arg(new.to_string()).arg(text_of(*old)).arg(&prefix.0);
        }
        Ask::Hear { gate, mem, heard, limit } => {
            keys(command, &[prefix.key("gates")]);
            command.arg(text_of(*mem)).arg(gate).arg(*heard).arg(*limit);
            command.arg(&prefix.0).arg(LISTENING);
        }
        Ask::Revoke { mem, revocations, lineage, horizon, max_revocations } => {
            let kinds = ["revoked", "times", "ends", "lineage"];
            keys(command, &kinds.map(|kind| prefix.of_memory(kind, *mem)));
            command.arg(mem.to_string()).arg(*max_revocations).arg(*horizon);
            command.arg(revocations.len());
            for revocation in revocations {
                let Revocation { what, at, until } = *revocation;
                command.arg(word(what)).arg(at).arg(until).arg(revocation.end());
            }
            for mem in lineage {
                command.arg(mem.to_string());
            }
        }
        Ask::Sweep { mem, keep } => {
            keys(command, &["revoked", "times", "ends"].map(|kind| prefix.of_memory(kind, *mem)));
            command.arg(mem.to_string()).arg(*keep).arg(&prefix.0);
        }
    }
}

/// Reads an answer; nothing where it is none of ours.
pub(super) fn told(value: &Value) -> Option<Told> {
    let Value::Array(parts) = value else { return None };
    let (word, rest) = parts.split_first()?;
    Some(match (text(word)?, rest) {
        ("spent", []) => Told::Spent,
        ("used", []) => Told::Used,
        ("expired", []) => Told::Expired,
        ("full", []) => Told::Full,
        ("behind", []) => Told::Behind,
        // A script's table ends at its first nothing.
        ("fenced", []) => Told::Fenced(None),
        ("fenced", [mem]) => Told::Fenced(memory(mem)?),
        ("broken", [why]) => Told::Broken(breakage(text(why)?)?),
        ("made", []) => Told::Made,
        ("kept", []) => Told::Kept(None),
        ("kept", [mem]) => Told::Kept(memory(mem)?),
        ("revoked", [latest]) => Told::Revoked(number(latest)?),
        ("swept", []) => Told::Swept,
        ("heard", rest) => Told::Heard(heard(rest)?),
        _ => return None,
    })
}

fn heard(parts: &[Value]) -> Option<Heard> {
    let [mem, broken, now, entries, horizon, revoked, latest, heard, confirmed, news, lineage] =
        parts
    else {
        return None;
    };
    let (Value::Array(news), Value::Array(lineage)) = (news, lineage) else { return None };
    let revocation = |pair: &[Value]| {
        let [what, times] = pair else { return None };
        let (at, until) = text(times)?.split_once(' ')?;
        let (at, until) = (at.parse().ok()?, until.parse().ok()?);
        Some(Revocation { what: revoke(text(what)?)?, at, until })
    };
    Some(Heard {
        mem: memory(mem)?,
        broken: match broken {
            Value::Nil => None,
            why => Some(breakage(text(why)?)?),
        },
        now: number(now)?,
        entries: number(entries)?,
        horizon: number(horizon)?,
        revoked_horizon: number(revoked)?,
        latest: number(latest)?,
        heard: number(heard)?,
        confirmed: number(confirmed)?,
        revocations: news.chunks(2).map(revocation).collect::<Option<_>>()?,
        lineage: lineage.iter().map(|mem| memory(mem)?).collect::<Option<_>>()?,
    })
}

fn breakage(word: &str) -> Option<Breakage> {
    match word {
        "moved" => Some(Breakage::Moved),
        "lost" => Some(Breakage::Lost),
        "clock" => Some(Breakage::ClockWentBack),
        _ => None,
    }
}

/// What is taken back, as its kind and its id.
fn word(what: Revoke) -> String {
    // All three are 128 bits, with one spelling.
    let spelled = |bytes: [u8; 16]| TokenId::from_bytes(bytes).to_string();
    match what {
        Revoke::Link(id, CallerTag(tag)) => {
            format!("link {id} {:010x}", number_of(tag.into_iter()))
        }
        Revoke::User(UserKey(key)) => format!("user {}", spelled(key)),
        Revoke::Session(id) => format!("session {id}"),
    }
}

fn revoke(word: &str) -> Option<Revoke> {
    let (kind, rest) = word.split_once(' ')?;
    match kind {
        "link" => {
            let (id, digits) = rest.split_once(' ')?;
            let [0, 0, 0, tag @ ..] = u64::from_str_radix(digits, 16).ok()?.to_be_bytes() else {
                return None;
            };
            Some(Revoke::Link(id.parse().ok()?, CallerTag(tag)))
        }
        "user" => Some(Revoke::User(UserKey(*rest.parse::<TokenId>().ok()?.as_bytes()))),
        "session" => Some(Revoke::Session(rest.parse::<SessionId>().ok()?)),
        _ => None,
    }
}

/// Bytes as one number, the first of them its highest.
fn number_of(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0, |number, byte| number << 8 | u64::from(byte))
}

fn text_of(mem: Option<MemoryId>) -> String {
    mem.map(|mem| mem.to_string()).unwrap_or_default()
}

/// A memory's id or nothing; `None` for anything else.
#[expect(clippy::option_option, reason = "unreadable, absent, there")]
fn memory(value: &Value) -> Option<Option<MemoryId>> {
    match value {
        Value::Nil => Some(None),
        value => Some(Some(text(value)?.parse().ok()?)),
    }
}

fn number(value: &Value) -> Option<u64> {
    text(value)?.parse().ok()
}

/// The text of an answer.
pub(super) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuers_and_versions_have_keys_of_their_own() {
        let (one, other) = (Prefix::of("https://a.example"), Prefix::of("https://b.example"));
        assert_ne!(one, other);
        assert!(one.as_str().starts_with("oncegate:1:") && one.as_str().ends_with(':'));
        assert_eq!(one.as_str().len(), "oncegate:1:".len() + 12 + 1);
    }

    #[test]
    fn what_is_taken_back_has_one_spelling() {
        let of = |byte| [byte; 16];
        for what in [
            Revoke::Link(TokenId::from_bytes(of(1)), CallerTag([0, 1, 0x7f, 0x80, 0xff])),
            Revoke::User(UserKey(of(2))),
            Revoke::Session(SessionId::from_bytes(of(3))),
        ] {
            assert_eq!(revoke(&word(what)), Some(what));
        }
        for wrong in ["", "link", "link x", "user short", "gate abc"] {
            assert_eq!(revoke(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_answer_that_is_not_ours_is_none() {
        let bulk = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let table = |parts: &[&str]| Value::Array(parts.iter().map(|part| bulk(part)).collect());
        assert_eq!(told(&table(&["spent"])), Some(Told::Spent));
        assert_eq!(told(&table(&["fenced"])), Some(Told::Fenced(None)));
        assert_eq!(told(&table(&["broken", "lost"])), Some(Told::Broken(Breakage::Lost)));
        for wrong in [
            Value::Nil,
            Value::Okay,
            table(&[]),
            table(&["spent", "twice"]),
            table(&["broken", "badly"]),
            table(&["fenced", "no id"]),
            table(&["heard"]),
        ] {
            assert_eq!(told(&wrong), None, "{wrong:?}");
        }
    }
}
