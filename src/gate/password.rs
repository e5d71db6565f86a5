//! Passwords at rest: argon2id over the hex MD5 of what is typed.
//!
//! Some vendors' clients send the word itself, others its MD5 in hex; both must match one hash.
//! The MD5 is no protection here, only the form in which a credential travels.

use std::{fmt, str::FromStr};

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::{PasswordHasher as _, phc},
};
use md5::{Digest as _, Md5};
use zeroize::Zeroize as _;

use crate::gate::secret::{self, Secret};

/// The most memory that a hash may take, in KiB: two are verified at once.
const MAX_MEMORY: u32 = 256 * 1024;
/// The most passes over that memory.
const MAX_PASSES: u32 = 16;
/// The most lanes.
const MAX_LANES: u32 = 16;
/// The fewest bytes of salt (RFC 9106, 3.1).
const MIN_SALT: usize = 8;
/// The fewest bytes of output: fewer, and a guess may match by chance.
const MIN_OUTPUT: usize = 16;
/// The least that a [`Memory`] keeps, in blocks of 1 KiB. An allocator that keeps what is freed for
/// the thread that freed it (glibc) does so up to this size: what is larger goes back at once.
const KEPT: usize = 32 * 1024;
/// Argon2 1.3 (RFC 9106).
const VERSION: u32 = 0x13;

/// A credential as it is hashed: 32 lower-case hex digits.
#[derive(Debug, Clone)]
pub struct Credential(Secret<String>);

/// A stored hash, as `oncegate password` prints it: a PHC string of argon2id.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    text: String,
    costs: Params,
    salt: Vec<u8>,
    output: Vec<u8>,
}

/// What takes the place of a hash where there is none: it takes as long, and nothing matches it.
#[derive(Debug, Clone)]
pub struct Decoy(Params);

/// What hashing works in, used again and again: tens of megabytes that were allocated anew each
/// time would stay with the allocator, for as many threads as ever hashed.
///
/// It is allocated at its first use, resident as far as it was used, and wiped after each.
pub struct Memory {
    blocks: Vec<Block>,
    kept: usize,
}

/// The text is not the hash of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a hash that `oncegate password` prints")]
pub struct NotAHash;

/// Hashing could not be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no memory to hash a password in")]
pub struct NoMemory;

impl Credential {
    /// What a client sent: an MD5 as [`Self::is_md5`] knows it, or else the word itself.
    pub fn of(sent: &str) -> Self {
        if Self::is_md5(sent) {
            return Self(Secret::new(sent.to_ascii_lowercase()));
        }
        let digest = Md5::digest(sent.as_bytes());
        let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let hex = digits.filter_map(|digit| char::from_digit(digit.into(), 16));
        Self(Secret::new(hex.collect()))
    }

    /// Whether this is taken as an MD5: 32 hex digits, in either case. A word that looks so is
    /// nobody's password.
    pub fn is_md5(sent: &str) -> bool {
        sent.len() == 32 && sent.bytes().all(|byte| byte.is_ascii_hexdigit())
    }

    /// Whether it is that of no password at all, sent as such or as its MD5.
    pub fn is_empty(&self) -> bool {
        self.expose() == "d41d8cd98f00b204e9800998ecf8427e"
    }

    /// The 32 hex digits; every use of this is a place to look at.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl PasswordHash {
    /// Hashes a credential with 16 random bytes of salt. It takes tens of milliseconds.
    ///
    /// # Errors
    /// [`NoMemory`].
    pub fn make(credential: &Credential, salt: &[u8; 16]) -> Result<Self, NoMemory> {
        let hash = Argon2::default().hash_password_with_salt(credential.expose().as_bytes(), salt);
        // What the crate makes by its own defaults keeps the bounds above.
        hash.map_err(|_| NoMemory)?.to_string().parse().map_err(|_| NoMemory)
    }

    /// Whether the credential is the one that was hashed. It takes tens of milliseconds, or what
    /// the costs of this hash ask for.
    ///
    /// # Errors
    /// [`NoMemory`]: it is not known.
    pub fn matches(&self, credential: &Credential, memory: &mut Memory) -> Result<bool, NoMemory> {
        let output = memory.hashed(credential, &self.salt, &self.costs, self.output.len())?;
        Ok(secret::equal(&output, &self.output))
    }

    /// The PHC string.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How long it takes, as far as hashes can be compared: passes times memory.
    fn weight(&self) -> u64 {
        u64::from(self.costs.m_cost()) * u64::from(self.costs.t_cost())
    }
}

impl Decoy {
    /// One that costs as much as the costliest of these hashes; without any, as much as one that
    /// `oncegate password` prints.
    ///
    /// Where they cost differently, the time of an answer tells a name with a cheaper hash from
    /// one that is not there: hash all of them alike.
    pub fn like<'a>(hashes: impl IntoIterator<Item = &'a PasswordHash>) -> Self {
        let costliest = hashes.into_iter().max_by_key(|hash| hash.weight());
        Self(costliest.map_or(Params::DEFAULT, |hash| hash.costs.clone()))
    }

    /// Does what [`PasswordHash::matches`] does; the credential never is the one.
    ///
    /// # Errors
    /// [`NoMemory`].
    pub fn matches(&self, credential: &Credential, memory: &mut Memory) -> Result<bool, NoMemory> {
        let length = self.0.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
        let output = memory.hashed(credential, &[0; 16], &self.0, length)?;
        Ok(output.is_empty())
    }
}

impl Memory {
    /// Keeps what this decoy's hashes work in, and 32 MiB at least. What a costlier hash needs
    /// beyond that is given back after it.
    pub fn for_hashes_like(decoy: &Decoy) -> Self {
        Self { blocks: Vec::new(), kept: decoy.0.block_count().max(KEPT) }
    }

    fn hashed(
        &mut self,
        credential: &Credential,
        salt: &[u8],
        costs: &Params,
        length: usize,
    ) -> Result<Vec<u8>, NoMemory> {
        let (mut output, count) = (vec![0; length], costs.block_count());
        let blocks = self.blocks(count)?;
        // Salt, length and costs were checked when the hash was read.
        let hashed = Argon2::new(Algorithm::Argon2id, Version::V0x13, costs.clone())
            .hash_password_into_with_memory(
                credential.expose().as_bytes(),
                salt,
                &mut output,
                &mut *blocks,
            );
        blocks.iter_mut().for_each(Block::zeroize);
        if count > self.kept {
            self.blocks = Vec::new();
        }
        hashed.map(|()| output).map_err(|_| NoMemory)
    }

    fn blocks(&mut self, count: usize) -> Result<&mut [Block], NoMemory> {
        if self.blocks.capacity() < count.max(self.kept) {
            // The old one first: there is never more than one. All that is kept is asked for at
            // once, so that it does not move as it grows.
            self.blocks = Vec::new();
            self.blocks.try_reserve_exact(count.max(self.kept)).map_err(|_| NoMemory)?;
        }
        if self.blocks.len() < count {
            self.blocks.resize(count, Block::new());
        }
        self.blocks.get_mut(..count).ok_or(NoMemory)
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self { blocks: Vec::new(), kept: KEPT }
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memory({} KiB)", self.blocks.len())
    }
}

impl FromStr for PasswordHash {
    type Err = NotAHash;

    /// Reads a PHC string of argon2id, version 19, with salt and output, and with costs that
    /// cannot stop the gate: at most 256 MiB, 16 passes, 16 lanes.
    fn from_str(text: &str) -> Result<Self, NotAHash> {
        let hash = phc::PasswordHash::new(text).map_err(|_| NotAHash)?;
        if hash.algorithm.as_str() != "argon2id" || hash.version != Some(VERSION) {
            return Err(NotAHash);
        }
        // `keyid` and `data` are of drafts before RFC 9106: nothing else is read.
        if hash.params.iter().count() != 3 {
            return Err(NotAHash);
        }
        let cost = |name| hash.params.get_decimal(name).ok_or(NotAHash);
        let (memory, passes, lanes) = (cost("m")?, cost("t")?, cost("p")?);
        if memory > MAX_MEMORY || passes > MAX_PASSES || lanes > MAX_LANES {
            return Err(NotAHash);
        }
        let (Some(salt), Some(output)) = (hash.salt, hash.hash) else { return Err(NotAHash) };
        let (salt, output) = (salt.as_ref().to_vec(), output.as_bytes().to_vec());
        if salt.len() < MIN_SALT || output.len() < MIN_OUTPUT {
            return Err(NotAHash);
        }
        let costs = Params::new(memory, passes, lanes, Some(output.len())).map_err(|_| NotAHash)?;
        Ok(Self { text: text.to_owned(), costs, salt, output })
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[password hash]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by argon2-cffi 25.1 (the reference C implementation) of the MD5 in hex of each word.
    const OF_THE_REFERENCE: [(&str, &str); 3] = [
        (
            "pass word",
            "$argon2id$v=19$m=19456,t=2,p=1$b25jZWdhdGUncyBzYWx0IQ\
             $oPOB/zNTUV8zisSQkmRkZJ5w//gLqElD3FoSqBfXTIQ",
        ),
        ("zo\u{eb}", "$argon2id$v=19$m=64,t=3,p=4$OCBieXRlcy4$dHqZ3WIldGmByHPnLSB7ng"),
        (
            "x",
            "$argon2id$v=19$m=32,t=1,p=2$AAECAwQFBgcICQoLDA0ODw\
             $AKVsYcnmuNwOEhWIBlhDE8bgcoMzD7KUeF366OZdsSwzmzyCMfyqRpx1Qxgj3OvUUM1NzXnKilteZe6h5gSVQg",
        ),
    ];

    fn md5(word: &str) -> String {
        Credential::of(word).expose().to_owned()
    }

    #[test]
    fn a_word_and_its_md5_in_either_case_match_what_the_reference_implementation_hashed() {
        for (word, text) in OF_THE_REFERENCE {
            let hash: PasswordHash = text.parse().unwrap();
            for sent in [word.to_owned(), md5(word), md5(word).to_uppercase()] {
                assert_eq!(
                    hash.matches(&Credential::of(&sent), &mut Memory::default()),
                    Ok(true),
                    "{sent}"
                );
            }
            for sent in ["", "other", &format!("{word} "), text] {
                assert_eq!(
                    hash.matches(&Credential::of(sent), &mut Memory::default()),
                    Ok(false),
                    "{sent}"
                );
            }
        }
    }

    #[test]
    fn a_hash_is_read_again_as_it_was_printed() {
        let (word, salt) = (Credential::of("pass word"), *b"oncegate's salt!");
        let made = PasswordHash::make(&word, &salt).unwrap();
        assert_eq!(made.as_str(), OF_THE_REFERENCE[0].1);
        assert_eq!(made.as_str().parse(), Ok(made.clone()));
        assert_ne!(PasswordHash::make(&word, b"oncegate's tlas!"), Ok(made));
    }

    #[test]
    fn a_word_of_32_hex_digits_is_an_md5() {
        let digits = "0123456789ABCDEF0123456789abcdef";
        assert_eq!(Credential::of(digits).expose(), digits.to_lowercase());
        for word in [&digits[1..], "0123456789abcdef0123456789abcdeg", " 0123456789abcdef01234567"]
        {
            assert_ne!(Credential::of(word).expose(), word.to_lowercase(), "{word}");
        }
        assert_eq!(md5("password"), "5f4dcc3b5aa765d61d8327deb882cf99");
    }

    #[test]
    fn no_password_and_its_md5_are_both_empty() {
        assert!(Credential::of("").is_empty());
        assert!(Credential::of("D41D8CD98F00B204E9800998ECF8427E").is_empty());
        assert!(!Credential::of(" ").is_empty());
    }

    #[test]
    fn what_is_not_argon2id_of_today_or_could_stop_the_gate_is_no_hash() {
        let (salt, output) = ("AAECAwQFBgcICQoLDA0ODw", "dHqZ3WIldGmByHPnLSB7ng");
        let of = |head: &str| format!("{head}${salt}${output}");
        let good = "$argon2id$v=19$m=64,t=3,p=4";
        assert!(of(good).parse::<PasswordHash>().is_ok());
        assert!(of("$argon2id$v=19$m=262144,t=16,p=16").parse::<PasswordHash>().is_ok());
        for text in [
            String::new(),
            "pass word".to_owned(),
            md5("pass word"),
            of("$argon2i$v=19$m=64,t=3,p=4"),
            of("$argon2d$v=19$m=64,t=3,p=4"),
            of("$argon2id$v=16$m=64,t=3,p=4"),
            of("$argon2id$m=64,t=3,p=4"),
            of("$argon2id$v=19"),
            of("$argon2id$v=19$m=64,t=3"),
            of("$argon2id$v=19$m=64,t=3,p=4,keyid=Hj5+dsK0"),
            of("$argon2id$v=19$m=64,t=3,p=4,data=sRlHhRmKUGzdOmXn01XmXygd5Kc"),
            of("$argon2id$v=19$m=262145,t=3,p=4"),
            of("$argon2id$v=19$m=4294967295,t=3,p=4"),
            of("$argon2id$v=19$m=64,t=17,p=4"),
            of("$argon2id$v=19$m=64,t=0,p=4"),
            of("$argon2id$v=19$m=262144,t=3,p=17"),
            of("$argon2id$v=19$m=31,t=3,p=4"),
            of("$argon2id$v=19$m=64,t=3,p=0"),
            good.to_owned(),
            format!("{good}${salt}"),
            format!("{good}$c2hvcnQ${output}"),
            format!("{good}${salt}$dHqZ3WIldGmByHPn"),
            format!("{}$more", of(good)),
            format!(" {}", of(good)),
            format!("{}\n", of(good)),
        ] {
            assert_eq!(text.parse::<PasswordHash>(), Err(NotAHash), "{text}");
        }
    }

    #[test]
    fn nothing_matches_a_decoy_and_it_costs_what_the_costliest_hash_does() {
        let hashes: Vec<PasswordHash> =
            OF_THE_REFERENCE[1..].iter().map(|(_, text)| text.parse().unwrap()).collect();
        let decoy = Decoy::like(&hashes);
        assert_eq!(decoy.0, hashes[0].costs);
        assert_eq!(decoy.matches(&Credential::of("zo\u{eb}"), &mut Memory::default()), Ok(false));
        assert_eq!(Decoy::like([]).0, Params::DEFAULT);
        assert_eq!(Decoy::like([]).matches(&Credential::of(""), &mut Memory::default()), Ok(false));
    }

    #[test]
    fn memory_is_wiped_kept_where_it_is_and_given_back_where_it_is_more_than_that() {
        let hashes = OF_THE_REFERENCE.map(|(_, text)| text.parse::<PasswordHash>().unwrap());
        let mut memory = Memory::for_hashes_like(&Decoy::like(&hashes));
        let is_wiped = |memory: &Memory| {
            memory.blocks.iter().all(|block| block.as_ref().iter().all(|word| *word == 0))
        };
        let mut place = None;
        for n in [2, 0, 1, 0] {
            let (word, hash) = (Credential::of(OF_THE_REFERENCE[n].0), &hashes[n]);
            assert_eq!(hash.matches(&word, &mut memory), Ok(true), "{n}");
            assert!(is_wiped(&memory), "{n}");
            assert_eq!(*place.get_or_insert(memory.blocks.as_ptr()), memory.blocks.as_ptr());
        }
        assert_eq!(memory.blocks.capacity(), KEPT);
        assert_eq!(memory.blocks.len(), 19_456, "no more is touched than was needed");
        let larger = Params::new(33 * 1024, 1, 1, None).unwrap();
        memory.hashed(&Credential::of("x"), &[0; 16], &larger, 32).unwrap();
        assert_eq!(memory.blocks.capacity(), 0);
        assert_eq!(Decoy(larger.clone()).matches(&Credential::of("x"), &mut memory), Ok(false));
        let mut memory = Memory::for_hashes_like(&Decoy(larger.clone()));
        memory.hashed(&Credential::of("x"), &[0; 16], &larger, 32).unwrap();
        assert_eq!(memory.blocks.len(), 33 * 1024, "callers' hashes are what it is for");
        assert!(is_wiped(&memory));
    }

    #[test]
    fn a_hash_is_not_printed_by_debug() {
        let hash: PasswordHash = OF_THE_REFERENCE[1].1.parse().unwrap();
        assert_eq!(format!("{hash:?}"), "[password hash]");
    }
}
