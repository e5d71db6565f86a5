//! A service that may request links, and what it may do.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::gate::{
    certificate::CertificateName, client_ip::Networks, dialect::Dialect, glob::Globs, page::Page,
    password::PasswordHash, secret,
};

/// A service that may request links.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Its name, as links and the audit log show it.
    pub name: String,
    /// The hash of each API key it may use.
    pub keys: Vec<KeyHash>,
    /// The names in certificates by which it is known.
    pub certificates: Vec<CertificateName>,
    /// The names of the sites it may open.
    pub sites: Vec<String>,
    /// What it may do.
    pub may: Permissions,
    /// The users it may sign in.
    pub users: Globs,
    /// The destinations it may name: names, and paths.
    pub destinations: Globs,
    /// The claims it may set.
    pub claims: Globs,
    /// The networks it may call from; empty: any.
    pub from: Networks,
    /// The longest lifetime of its links, in seconds.
    pub max_ttl: u64,
    /// What its links show, where it sets that.
    pub page: Option<Page>,
    /// How many links it may ask for.
    pub rate: Rate,
    /// The dialects it may speak.
    pub dialects: Vec<Dialect>,
    /// Its name in dialects that send a name and a password.
    pub username: Option<String>,
    /// The password to that name.
    pub password: Option<PasswordHash>,
    /// ActivePlatform: the reseller whose manager it is.
    pub reseller: Option<u64>,
    /// AllClients: whether it may sign in to accounts for which the directory does not say so.
    pub sign_on_url: bool,
}

/// The SHA-256 of an API key's text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyHash(pub [u8; 32]);

/// What a caller may do. All are off until the configuration says otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "four independent permissions")]
pub struct Permissions {
    /// Ask for links.
    pub issue: bool,
    /// Redeem tokens over the API.
    pub redeem: bool,
    /// Revoke links and sessions.
    pub revoke: bool,
    /// Look into a token.
    pub inspect: bool,
}

/// `count` links in each `seconds`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many, at least 1.
    pub count: u32,
    /// In how long: 1, 60 or 3600.
    pub seconds: u32,
}

impl KeyHash {
    /// Hashes a key as it was sent.
    pub fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }
}

/// As the configuration has it: 64 hex digits.
impl fmt::LowerHex for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[key hash]")
    }
}

/// The caller whom a verified certificate names, among all the `names` in it: nobody where they
/// name two.
///
/// # Errors
/// [`TwoCallers`].
pub fn by_certificate<'a, C>(
    callers: &'a [C],
    names: &[CertificateName],
) -> Result<Option<&'a C>, TwoCallers>
where
    C: AsRef<Caller>,
{
    let known = |caller: &&C| caller.as_ref().certificates.iter().any(|name| names.contains(name));
    let mut known = callers.iter().filter(known);
    match (known.next(), known.next()) {
        (_, Some(_)) => Err(TwoCallers),
        (caller, None) => Ok(caller),
    }
}

/// A certificate that names more than one caller is nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TwoCallers;

/// The caller whose key this is.
///
/// Every key of every caller is compared, each in constant time: how long it takes tells nothing
/// about which one came near.
pub fn by_key<'a, C>(callers: &'a [C], key: &[u8]) -> Option<&'a C>
where
    C: AsRef<Caller>,
{
    let hash = KeyHash::of(key);
    let mut found = None;
    for caller in callers {
        for known in &caller.as_ref().keys {
            if secret::equal(&known.0, &hash.0) {
                found = Some(caller);
            }
        }
    }
    found
}
