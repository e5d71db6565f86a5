//! Ed25519 signatures (RFC 8032), one alone or many together.
//!
//! **Alone**, a signature is good exactly where `verify_strict` of ed25519-dalek says so: `s` is
//! canonical, `R` is not of small order, and `R` is, byte for byte, what `sB - kA` is written as,
//! which no spelling but the canonical is. Strictly, so that no second signature of the same
//! message can be made from the first. The key's own multiples are at hand, so that this takes
//! two thirds of what it takes for a key never seen before.
//!
//! **Together**, `n` signatures of one key are good if `s` and `R` of each are as above and
//! `Σ zᵢRᵢ + (Σ zᵢkᵢ)A - (Σ zᵢsᵢ)B = 0`, where the `zᵢ` are 128 random bits each (Bernstein and
//! others, "High-speed high-security signatures", 5). A signature that is bad passes in a crowd
//! with odds of 2⁻¹²⁸, with one exception: where `R` differs from `sB - kA` by a point of small
//! order, the odds are 1/8 to 1/2 that the crowd's equation does not notice, where alone it is
//! refused. Only who holds the secret key can sign so (it takes the logarithm of the rest of
//! `R`), and who holds it needs no forgery; nor is anything gained by a second signature of a
//! token, whose use is recorded under its `jti`. What a crowd's equation refuses is no verdict on
//! any one: in the end each is checked alone.

use std::fmt;

use curve25519_dalek::{
    constants::{ED25519_BASEPOINT_POINT, ED25519_BASEPOINT_TABLE},
    edwards::{
        CompressedEdwardsY, EdwardsBasepointTable, EdwardsPoint, VartimeEdwardsPrecomputation,
    },
    scalar::Scalar,
    traits::{BasepointTable as _, IsIdentity as _, VartimePrecomputedMultiscalarMul as _},
};
use sha2::{Digest as _, Sha512};

pub(crate) mod halves;
pub(crate) mod signing;

use halves::{Checks, FEW};

/// A signature that could be one: read, and not yet checked.
pub(crate) struct Signature {
    r: CompressedEdwardsY,
    s: Scalar,
    /// What ties it to key and message: SHA-512 of `R`, key and message, modulo the group's order.
    k: Scalar,
}

/// A key's multiples, for which it is worked once: 50 kB, and a millisecond.
pub(crate) struct Multiples {
    /// Of `-A`.
    alone: Box<EdwardsBasepointTable>,
    /// Of `A` and of `B`.
    together: VartimeEdwardsPrecomputation,
}

/// What came of a check of many.
pub(crate) struct Checked {
    /// Whether each is good, in their order.
    pub(crate) good: Vec<bool>,
    /// Whether some that were checked together were not all good.
    pub(crate) split: bool,
}

impl Signature {
    /// Reads the signature `bytes` of `message` under `key`. `None` where it could be none of
    /// anything: `s` or `R` is not canonical, or `R` of small order.
    pub(crate) fn read(bytes: &[u8; 64], key: &[u8; 32], message: &[u8]) -> Option<Self> {
        let (r, s) = bytes.split_first_chunk::<32>()?;
        let s = Option::from(Scalar::from_canonical_bytes(*s.first_chunk()?))?;
        if !could_be_r(r) {
            return None;
        }
        let k = Sha512::new().chain_update(r).chain_update(key).chain_update(message).finalize();
        let k = Scalar::from_bytes_mod_order_wide(&k.into());
        Some(Self { r: CompressedEdwardsY(*r), s, k })
    }
}

impl Multiples {
    /// Those of the key `a`.
    pub(crate) fn of(a: EdwardsPoint) -> Self {
        Self {
            alone: Box::new(EdwardsBasepointTable::create(&-a)),
            together: VartimeEdwardsPrecomputation::new([a, ED25519_BASEPOINT_POINT]),
        }
    }

    /// Whether this one is good.
    pub(crate) fn verifies(&self, signature: &Signature) -> bool {
        let r = ED25519_BASEPOINT_TABLE * &signature.s + &*self.alone * &signature.k;
        r.compress() == signature.r
    }
}

/// Whether each is good of these, all of one key.
///
/// `seed` and `number` choose the coefficients. The seed is random, and unknown to whoever made a
/// signature; a crowd has a number of its own under one seed.
pub(crate) fn check(
    key: &Multiples,
    signatures: &[&Signature],
    seed: &[u8; 32],
    number: u8,
) -> Checked {
    if signatures.len() < FEW {
        let good = signatures.iter().map(|signature| key.verifies(signature)).collect();
        return Checked { good, split: false };
    }
    let mut good = vec![false; signatures.len()];
    // What is no point of the curve is nobody's `R`.
    let on_curve = |(at, signature): (usize, &&Signature)| Some((at, signature.r.decompress()?));
    let (places, points): (Vec<_>, Vec<_>) =
        signatures.iter().enumerate().filter_map(on_curve).unzip();
    let of = places.iter().filter_map(|at| signatures.get(*at)).copied().collect();
    let mut crowd = Crowd { key, of, points, seed, number, equations: 0 };
    let (verdicts, split) = halves::judge(places.len(), &mut crowd);
    for (at, verdict) in places.into_iter().zip(verdicts) {
        if let Some(good) = good.get_mut(at) {
            *good = verdict;
        }
    }
    Checked { good, split }
}

struct Crowd<'a> {
    key: &'a Multiples,
    of: Vec<&'a Signature>,
    /// The `R` of each.
    points: Vec<EdwardsPoint>,
    seed: &'a [u8; 32],
    /// Its own, under this seed.
    number: u8,
    equations: u32,
}

impl Checks for Crowd<'_> {
    fn alone(&mut self, at: usize) -> bool {
        self.of.get(at).is_some_and(|signature| self.key.verifies(signature))
    }

    fn together(&mut self, of: std::ops::Range<usize>) -> bool {
        let (Some(signatures), Some(points)) = (self.of.get(of.clone()), self.points.get(of))
        else {
            return false;
        };
        self.equations += 1;
        let zs = coefficients(signatures.len(), self.seed, self.number, self.equations);
        let (mut a, mut b) = (Scalar::ZERO, Scalar::ZERO);
        for (signature, z) in signatures.iter().zip(&zs) {
            a += z * signature.k;
            b -= z * signature.s;
        }
        self.key.together.vartime_mixed_multiscalar_mul([a, b], &zs, points).is_identity()
    }
}

/// 128 bits each, out of SHA-512 of all that tells one equation from another.
fn coefficients(number: usize, seed: &[u8; 32], crowd: u8, equation: u32) -> Vec<Scalar> {
    let mut zs = Vec::with_capacity(number.next_multiple_of(4));
    for block in 0_u32.. {
        if zs.len() >= number {
            break;
        }
        let hash: [u8; 64] = Sha512::new()
            .chain_update(seed)
            .chain_update([crowd])
            .chain_update(equation.to_le_bytes())
            .chain_update(block.to_le_bytes())
            .finalize()
            .into();
        zs.extend(hash.as_chunks().0.iter().map(|z| Scalar::from(u128::from_le_bytes(*z))));
    }
    zs.truncate(number);
    zs
}

/// Whether this can be the `R` of a signature, by its spelling alone: `y` below `p` (RFC 8032,
/// 5.1.3), and no point whose order divides eight. Of the latter there are five `y`, each with
/// either sign; that of a point with `x = 0` may only be positive, and those two are among them.
fn could_be_r(r: &[u8; 32]) -> bool {
    let mut y = *r;
    let [first, .., last] = &mut y;
    *last &= 0x7f;
    let below_p = *last != 0x7f || *first < 0xed || r.get(1..31) != Some(&[0xff; 30]);
    below_p && !SMALL_ORDER.contains(&y)
}

/// Every `y` of a point whose order divides eight.
const SMALL_ORDER: [[u8; 32]; 5] = [
    // 1: the neutral point.
    *b"\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    // -1: order 2.
    *b"\xec\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    // 0: order 4.
    [0; 32],
    // Order 8.
    *b"\x26\xe8\x95\x8f\xc2\xb2\x27\xb0\x45\xc3\xf4\x89\xf2\xef\x98\xf0\xd5\xdf\xac\x05\xd3\xc6\x33\x39\xb1\x38\x02\x88\x6d\x53\xfc\x05",
    *b"\xc7\x17\x6a\x70\x3d\x4d\xd8\x4f\xba\x3c\x0b\x76\x0d\x10\x67\x0f\x2a\x20\x53\xfa\x2c\x39\xcc\xc6\x4e\xc7\xfd\x77\x92\xac\x03\x7a",
];

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature")
    }
}

impl fmt::Debug for Multiples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Multiples")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use curve25519_dalek::constants::EIGHT_TORSION;

    use super::*;

    #[test]
    fn the_points_of_small_order_are_those_of_the_curve() {
        let mut found = BTreeSet::new();
        for point in EIGHT_TORSION {
            let r = point.compress().to_bytes();
            assert!(!could_be_r(&r), "{r:?}");
            let mut y = r;
            y[31] &= 0x7f;
            found.insert(y);
        }
        assert_eq!(found, BTreeSet::from(SMALL_ORDER));
        assert!(could_be_r(ED25519_BASEPOINT_POINT.compress().as_bytes()));
    }

    #[test]
    fn coefficients_differ_and_have_128_bits() {
        let mut seen = BTreeSet::new();
        for (seed, crowd, equation) in [(1, 0, 1), (2, 0, 1), (1, 1, 1), (1, 0, 2)] {
            let zs = coefficients(5, &[seed; 32], crowd, equation);
            assert_eq!(zs.len(), 5);
            for z in zs {
                assert_eq!(z.to_bytes()[16..], [0; 16]);
                assert!(seen.insert(z.to_bytes()));
            }
        }
    }
}
