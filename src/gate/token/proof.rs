//! From a text that came as a token to claims under a good signature, one token or many.
//!
//! What is read before the signature, and what after it, is read token by token. The signatures
//! between may be checked together ([`prove`]), which costs a third of what each alone costs, and
//! says of each what [`Keyring::verify`] says.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    LinkClaims, MAX_TIME, Presented, Verified, decode,
    header::{self, Typ},
    is_user,
};
use crate::gate::{
    claims,
    denial::Denial,
    keyring::{Keyring, PublicKey},
    signatures::{self, Signature},
};

/// A token under a key known here, whose signature is still to be checked.
#[derive(Debug)]
pub struct Unproven {
    presented: Presented,
    typ: Typ,
    key: PublicKey,
    signature: Signature,
}

/// A token whose signature is good. Only [`Unproven::prove`] and [`prove`]
/// make one.
#[derive(Debug)]
pub struct Proven {
    presented: Presented,
    typ: Typ,
}

/// What came of tokens whose signatures were checked together.
#[derive(Debug)]
pub struct Proved {
    /// Of each, in the order in which they came; [`Denial::BadSignature`] is the only refusal.
    pub each: Vec<Result<Proven, Denial>>,
    /// Whether some that were checked together were not all good, so that it was done again in
    /// smaller numbers.
    pub split: bool,
}

impl Keyring {
    /// Reads what comes before the signature. The key is this keyring's for good: a token is
    /// judged by one keyring, though another may take its place meanwhile.
    ///
    /// # Errors
    /// What [`Keyring::verify`] refuses before [`Denial::WrongType`]. A [`Denial::BadSignature`]
    /// only where the signature could be none of anything.
    pub fn read(&self, presented: Presented) -> Result<Unproven, Denial> {
        let (typ, key, signature) = self.before(&presented)?;
        let key = key.clone();
        Ok(Unproven { presented, typ, key, signature })
    }

    /// Verifies that a token is a link of this gate's, unchanged.
    ///
    /// # Errors
    /// In this order: [`Denial::Malformed`] with `header` (not exactly `alg`, `typ`, `kid`, each
    /// a text, once) or `alg` (not `EdDSA`); [`Denial::UnknownKey`]; [`Denial::Malformed`] with
    /// `signature` (not 64 bytes, canonically written); [`Denial::BadSignature`];
    /// [`Denial::WrongType`]; [`Denial::Malformed`] with `claims` (not these members, once, of
    /// exactly these types), `sub`, or `exp` (not after `iat`, or past the year 9999).
    pub fn verify(&self, token: &Presented) -> Result<Verified, Denial> {
        let (typ, key, signature) = self.before(token)?;
        if !key.multiples().verifies(&signature) {
            return Err(Denial::BadSignature);
        }
        after(token, typ)
    }

    fn before(&self, token: &Presented) -> Result<(Typ, &PublicKey, Signature), Denial> {
        let (typ, key) = header::read(token.header(), self)?;
        let mut bytes = [0; 64];
        match URL_SAFE_NO_PAD.decode_slice(token.signature(), &mut bytes) {
            Ok(64) => {}
            _ => return Err(Denial::Malformed("signature")),
        }
        let signature = Signature::read(&bytes, key.as_bytes(), token.signed().as_bytes());
        Ok((typ, key, signature.ok_or(Denial::BadSignature)?))
    }
}

impl Unproven {
    /// Checks this signature alone.
    ///
    /// # Errors
    /// [`Denial::BadSignature`].
    pub fn prove(self) -> Result<Proven, Denial> {
        let good = self.key.multiples().verifies(&self.signature);
        self.proven(good)
    }

    fn proven(self, good: bool) -> Result<Proven, Denial> {
        if good {
            Ok(Proven { presented: self.presented, typ: self.typ })
        } else {
            Err(Denial::BadSignature)
        }
    }
}

impl Proven {
    /// What the link says.
    ///
    /// # Errors
    /// What [`Keyring::verify`] refuses from [`Denial::WrongType`] on.
    pub fn verified(&self) -> Result<Verified, Denial> {
        after(&self.presented, self.typ)
    }
}

/// Checks the signatures of many tokens, together where that is cheaper: from three on, and those
/// of each key by themselves. A check that fails says nothing of any one: halves are checked, and
/// halves of halves, and in the end each alone; never for longer than each alone would take twice.
///
/// `seed` is 32 random bytes that nobody knows who made one of these signatures, and new for each
/// call: see [`signatures`] for what rests on it.
pub fn prove(tokens: Vec<Unproven>, seed: &[u8; 32]) -> Proved {
    let mut good = vec![false; tokens.len()];
    let mut split = false;
    let mut left: Vec<usize> = (0..tokens.len()).collect();
    let mut keys: u8 = 0;
    while let Some(key) = left.first().and_then(|at| tokens.get(*at)).map(|first| &first.key) {
        let has_it = |at: &usize| tokens.get(*at).is_some_and(|token| token.key == *key);
        let (of_key, others): (Vec<usize>, Vec<usize>) = left.into_iter().partition(has_it);
        let those: Vec<_> =
            of_key.iter().filter_map(|at| Some(&tokens.get(*at)?.signature)).collect();
        let found = signatures::check(key.multiples(), &those, seed, keys);
        split |= found.split;
        for (at, verdict) in of_key.into_iter().zip(found.good) {
            if let Some(good) = good.get_mut(at) {
                *good = verdict;
            }
        }
        left = others;
        keys = keys.wrapping_add(1);
    }
    let each = tokens.into_iter().zip(good).map(|(token, good)| token.proven(good)).collect();
    Proved { each, split }
}

fn after(token: &Presented, typ: Typ) -> Result<Verified, Denial> {
    if let Typ::Other(what) = typ {
        return Err(Denial::WrongType(what));
    }
    let payload = decode(token.payload()).ok_or(Denial::Malformed("claims"))?;
    let claims: LinkClaims =
        claims::from_json(&payload).map_err(|_| Denial::Malformed("claims"))?;
    if !is_user(&claims.sub) {
        return Err(Denial::Malformed("sub"));
    }
    if claims.exp <= claims.iat || claims.exp > MAX_TIME {
        return Err(Denial::Malformed("exp"));
    }
    Ok(Verified { claims })
}
