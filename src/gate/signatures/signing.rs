//! Signing many messages together.
//!
//! A signature of RFC 8032, 5.1.6, writes one point of the curve, and to write a point takes a
//! division, a seventh of the whole. Those of many points are one division and some products, so
//! each of many signatures takes less time than one alone, and is the same to the last bit.

use curve25519_dalek::{edwards::EdwardsPoint, scalar::Scalar};
use ed25519_dalek::hazmat::ExpandedSecretKey;
use sha2::{Digest as _, Sha512};
use zeroize::Zeroize as _;

/// The signatures of `messages` in their order. `public` must be the key of this very secret.
pub(crate) fn sign(
    secret: &ExpandedSecretKey,
    public: &[u8; 32],
    messages: &[impl AsRef<[u8]>],
) -> Vec<[u8; 64]> {
    let mut nonces: Vec<Scalar> = messages
        .iter()
        .map(|message| scalar(Sha512::new().chain_update(secret.hash_prefix), message))
        .collect();
    let points: Vec<EdwardsPoint> = nonces.iter().map(EdwardsPoint::mul_base).collect();
    let written = EdwardsPoint::compress_batch_alloc(&points);
    let signatures = nonces
        .iter()
        .zip(&written)
        .zip(messages)
        .map(|((nonce, r), message)| {
            let k = scalar(Sha512::new().chain_update(r.as_bytes()).chain_update(public), message);
            let s = k * secret.scalar + nonce;
            let mut signature = [0; 64];
            let (left, right) = signature.split_at_mut(32);
            left.copy_from_slice(r.as_bytes());
            right.copy_from_slice(s.as_bytes());
            signature
        })
        .collect();
    // Any of them gives the secret away.
    nonces.zeroize();
    signatures
}

/// What the hash so far, and of `message`, is modulo the group's order.
fn scalar(hash: Sha512, message: &impl AsRef<[u8]>) -> Scalar {
    let mut wide: [u8; 64] = hash.chain_update(message.as_ref()).finalize().into();
    let scalar = Scalar::from_bytes_mod_order_wide(&wide);
    wide.zeroize();
    scalar
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};

    use super::*;

    #[test]
    fn many_are_signed_as_each_alone_is() {
        for number in [0, 1, 2, 3, 32, 100_u8] {
            let secret = [number ^ 0x5a; 32];
            let key = SigningKey::from_bytes(&secret);
            let messages: Vec<Vec<u8>> =
                (0..number).map(|n| vec![n; usize::from(n) * 11]).collect();
            let together =
                sign(&ExpandedSecretKey::from(&secret), key.verifying_key().as_bytes(), &messages);
            let alone: Vec<_> =
                messages.iter().map(|message| key.sign(message).to_bytes()).collect();
            assert_eq!(together, alone);
        }
    }
}
