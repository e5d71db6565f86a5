//! jsonwebtoken's own `decode`, as another gate might use it: the independent second opinion.

use std::sync::Once;

use ed25519_dalek::{Signature, VerifyingKey};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Validation,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    decode, decode_header,
    errors::{ErrorKind, Result},
    jwk::{Jwk, JwkSet, ThumbprintHash},
    signature::{Error, Verifier},
};
use sha2::{Digest as _, Sha256};

/// Ed25519 by dalek, strictly; nothing else.
static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: no_signer,
    verifier_factory: verifier,
    key_utils: KeyUtils { compute_digest: digest, ..KeyUtils::new_unimplemented() },
};

/// Whether jsonwebtoken takes `token` under one of these keys. Time and audience are judged
/// elsewhere.
pub(crate) fn accepts(jwks: &str, token: &str) -> bool {
    install();
    let keys: JwkSet = serde_json::from_str(jwks).unwrap();
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.required_spec_claims.clear();
    (validation.validate_exp, validation.validate_nbf, validation.validate_aud) =
        (false, false, false);
    decode_header(token)
        .ok()
        .and_then(|header| keys.find(&header.kid?))
        .and_then(|jwk| DecodingKey::from_jwk(jwk).ok())
        .is_some_and(|key| decode::<serde_json::Value>(token, &key, &validation).is_ok())
}

/// The RFC 7638 thumbprint as jsonwebtoken computes it.
pub(crate) fn thumbprint(jwk: &serde_json::Value) -> String {
    install();
    let jwk: Jwk = serde_json::from_value(jwk.clone()).unwrap();
    jwk.thumbprint(ThumbprintHash::SHA256).unwrap()
}

fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| PROVIDER.install_default().expect("nobody else installs one"));
}

struct Ed25519(VerifyingKey);

impl Verifier<Vec<u8>> for Ed25519 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        let signature = Signature::from_slice(signature).map_err(|_| Error::new())?;
        self.0.verify_strict(message, &signature).map_err(|_| Error::new())
    }
}

impl JwtVerifier for Ed25519 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "jsonwebtoken's signature")]
fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    if *algorithm != Algorithm::EdDSA {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    let bytes = key.try_get_as_bytes()?.try_into().map_err(|_| ErrorKind::InvalidEddsaKey)?;
    let key = VerifyingKey::from_bytes(bytes).map_err(|_| ErrorKind::InvalidEddsaKey)?;
    Ok(Box::new(Ed25519(key)))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "jsonwebtoken's signature")]
fn no_signer(_: &Algorithm, _: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    Err(ErrorKind::InvalidAlgorithm.into())
}

#[expect(
    clippy::needless_pass_by_value,
    clippy::unnecessary_wraps,
    reason = "jsonwebtoken's signature"
)]
fn digest(data: &[u8], hash: ThumbprintHash) -> Result<Vec<u8>> {
    assert_eq!(hash, ThumbprintHash::SHA256);
    Ok(Sha256::digest(data).to_vec())
}
