//! One record of the journal: 32 bytes that are whole or not a record.
//!
//! | bytes | what |
//! |---|---|
//! | 0–15 | the id: of a token, a session, the key of a user; or zeros |
//! | 16 | the kind; never zero |
//! | 17–21 | until when it matters; until when things may be issued; seconds since the Unix epoch |
//! | 22–26 | the time it speaks of, or the tag of the caller |
//! | 27–31 | checksum: XXH3 over memory, segment, place and the bytes before |
//!
//! Numbers are little-endian. The checksum covers where the record stands: at another place, in
//! another segment or of another memory it is not a record. All zero is "nothing here yet", and
//! nothing else is.

use xxhash_rust::xxh3::xxh3_64;

use crate::gate::{
    id::{MemoryId, SessionId, TokenId},
    revoked::{CallerTag, Revocation, Revoke, UserKey},
};

/// Bytes of a record.
pub(super) const RECORD: usize = 32;

/// The latest time a record can hold: the year 36812.
pub(super) const LATEST: u64 = (1 << 40) - 1;

const SPENT: u8 = 1;
const LINK: u8 = 2;
const USER: u8 = 3;
const SESSION: u8 = 4;
const ISSUING: u8 = 5;

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Record {
    /// A token was used.
    Spent {
        /// Its id.
        id: TokenId,
        /// When it expires.
        expires: u64,
    },
    /// Something was taken back.
    Revoked(Revocation),
    /// Things are being issued, dated up to this second. Since version 2 of the manifest.
    Issuing {
        /// The latest second that they may bear.
        until: u64,
    },
}

/// Where a record stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The memory it belongs to.
    pub mem: MemoryId,
    /// The segment's number.
    pub segment: u64,
    /// The record's, counted from 0.
    pub index: u32,
}

impl Record {
    /// The bytes of this record at `place`. Times past [`LATEST`] become that.
    pub(super) fn encode(&self, place: Place) -> [u8; RECORD] {
        let (id, kind, until, last) = match self {
            Self::Spent { id, expires } => (*id.as_bytes(), SPENT, *expires, [0; 5]),
            Self::Issuing { until } => ([0; 16], ISSUING, *until, [0; 5]),
            Self::Revoked(Revocation { what, at, until }) => match what {
                Revoke::Link(id, tag) => (*id.as_bytes(), LINK, *until, tag.0),
                Revoke::User(key) => (key.0, USER, *until, five(*at)),
                Revoke::Session(id) => (*id.as_bytes(), SESSION, *until, [0; 5]),
            },
        };
        let mut bytes = [0; RECORD];
        put(&mut bytes, 0, &id);
        put(&mut bytes, 16, &[kind]);
        put(&mut bytes, 17, &five(until));
        put(&mut bytes, 22, &last);
        let sum = checksum(&bytes, place);
        put(&mut bytes, RECORD - 5, &sum);
        bytes
    }

    /// Reads the record at `place`; `None` if these bytes are not one.
    pub(super) fn decode(bytes: &[u8; RECORD], place: Place) -> Option<Self> {
        let (id, rest) = bytes.split_first_chunk::<16>()?;
        let (&[kind], rest) = rest.split_first_chunk::<1>()?;
        let (until, rest) = rest.split_first_chunk::<5>()?;
        let (last, sum) = rest.split_first_chunk::<5>()?;
        if sum != checksum(bytes, place) {
            return None;
        }
        let until = number(*until);
        let revoked = |what, at| Some(Self::Revoked(Revocation { what, at, until }));
        match kind {
            SPENT => Some(Self::Spent { id: TokenId::from_bytes(*id), expires: until }),
            LINK => revoked(Revoke::Link(TokenId::from_bytes(*id), CallerTag(*last)), 0),
            USER => revoked(Revoke::User(UserKey(*id)), number(*last)),
            ISSUING => Some(Self::Issuing { until }),
            SESSION => revoked(Revoke::Session(SessionId::from_bytes(*id)), 0),
            _ => None,
        }
    }
}

fn checksum(record: &[u8; RECORD], place: Place) -> [u8; 5] {
    let mut covered = [0; 16 + 8 + 4 + RECORD - 5];
    put(&mut covered, 0, place.mem.as_bytes());
    put(&mut covered, 16, &place.segment.to_le_bytes());
    put(&mut covered, 24, &place.index.to_le_bytes());
    let [spoken @ .., _, _, _, _, _] = record;
    put(&mut covered, 28, spoken);
    five(xxh3_64(&covered) & LATEST)
}

/// Puts `part` at the byte `at`. Whole pieces at constant places: it is done for each record at a
/// start, a byte at a time took longer than the checksum.
fn put<const PART: usize>(bytes: &mut [u8], at: usize, part: &[u8; PART]) {
    if let Some(to) = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *to = *part;
    }
}

fn five(number: u64) -> [u8; 5] {
    let bytes = number.min(LATEST).to_le_bytes();
    bytes.first_chunk().copied().unwrap_or_default()
}

fn number(five: [u8; 5]) -> u64 {
    let mut bytes = [0; 8];
    put(&mut bytes, 0, &five);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Place = Place { mem: MemoryId::from_bytes([9; 16]), segment: 3, index: 7 };

    fn records() -> [Record; 6] {
        let revoked = |what, at| Record::Revoked(Revocation { what, at, until: 1_764_000_060 });
        [
            Record::Spent { id: TokenId::from_bytes([1; 16]), expires: 1_764_000_060 },
            Record::Spent { id: TokenId::from_bytes([0; 16]), expires: 0 },
            revoked(Revoke::Link(TokenId::from_bytes([2; 16]), CallerTag([1, 2, 3, 4, 5])), 0),
            revoked(Revoke::User(UserKey([3; 16])), 1_764_000_000),
            revoked(Revoke::Session(SessionId::from_bytes([4; 16])), 0),
            Record::Issuing { until: 1_764_000_005 },
        ]
    }

    #[test]
    fn a_record_comes_back_at_its_place_and_nowhere_else() {
        for record in records() {
            let bytes = record.encode(AT);
            assert_ne!(bytes, [0; RECORD]);
            assert_eq!(Record::decode(&bytes, AT), Some(record));
            for elsewhere in [
                Place { index: 8, ..AT },
                Place { segment: 4, ..AT },
                Place { mem: MemoryId::from_bytes([8; 16]), ..AT },
            ] {
                assert_eq!(Record::decode(&bytes, elsewhere), None);
            }
        }
    }

    #[test]
    fn no_flipped_bit_passes() {
        for record in records() {
            let bytes = record.encode(AT);
            for bit in 0..RECORD * 8 {
                let mut flipped = bytes;
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Record::decode(&flipped, AT), None, "bit {bit}");
            }
        }
    }

    #[test]
    fn a_time_too_late_to_write_down_is_the_latest() {
        let record = Record::Spent { id: TokenId::from_bytes([1; 16]), expires: u64::MAX };
        let read = Record::decode(&record.encode(AT), AT);
        let expected = Record::Spent { id: TokenId::from_bytes([1; 16]), expires: LATEST };
        assert_eq!(read, Some(expected));
    }
}
