//! Signatures checked together: of each token the same verdict as alone, and as by others.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use curve25519_dalek::{constants::EIGHT_TORSION, edwards::CompressedEdwardsY, scalar::Scalar};
use ed25519_dalek::{Signer as _, VerifyingKey};
use oncegate::gate::{
    denial::Denial,
    keyring::Keyring,
    token::{LinkClaims, Presented, prove},
};
use proptest::{prelude::*, test_runner::Config};
use sha2::{Digest as _, Sha512};

use crate::{
    generator::{self, claims, key, keyring, secret},
    second_opinion, verify,
};

/// The verdict on each, checked together: what is refused before never joins.
fn together(
    keyring: &Keyring,
    tokens: &[String],
    seed: &[u8; 32],
) -> Vec<Result<LinkClaims, Denial>> {
    let mut verdicts: Vec<_> = Vec::new();
    let mut crowd = Vec::new();
    for token in tokens {
        match Presented::new(token).and_then(|token| keyring.read(token)) {
            Ok(unproven) => {
                verdicts.push(None);
                crowd.push(unproven);
            }
            Err(denial) => verdicts.push(Some(Err(denial))),
        }
    }
    let mut proved = prove(crowd, seed).each.into_iter();
    let verdicts = verdicts.into_iter().map(|refused| {
        let read = || Ok(proved.next().unwrap()?.verified()?.into_claims());
        refused.unwrap_or_else(read)
    });
    let verdicts = verdicts.collect();
    assert!(proved.next().is_none());
    verdicts
}

/// What dalek's `verify_strict` says of the signature, whatever else the token is.
fn strictly_good(keyring: &Keyring, token: &str) -> Option<bool> {
    let (signed, signature) = token.rsplit_once('.')?;
    let header = URL_SAFE_NO_PAD.decode(signed.split_once('.')?.0).ok()?;
    let header: serde_json::Value = serde_json::from_slice(&header).ok()?;
    let key = keyring.find(header["kid"].as_str()?)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?.try_into().ok()?;
    let signature = ed25519_dalek::Signature::from_bytes(&signature);
    let key = VerifyingKey::from_bytes(key.as_bytes()).unwrap();
    Some(key.verify_strict(signed.as_bytes(), &signature).is_ok())
}

fn agree(tokens: &[String], seed: &[u8; 32]) -> Vec<Result<LinkClaims, Denial>> {
    let keyring = keyring();
    let jwks = keyring.jwks();
    let found = together(&keyring, tokens, seed);
    for (token, found) in tokens.iter().zip(&found) {
        let alone = verify(&keyring, token).map(oncegate::gate::token::Verified::into_claims);
        assert_eq!(*found, alone, "{token}");
        let bad = *found == Err(Denial::BadSignature);
        if let Some(good) = strictly_good(&keyring, token) {
            // Of what is refused before it, verify_strict may say what it likes.
            assert!(good != bad || matches!(found, Err(Denial::Malformed(_))), "{token}");
        }
        // jsonwebtoken has no opinion of claims, and a laxer one of headers.
        let theirs = second_opinion::accepts(&jwks, token);
        assert!(theirs || found.is_err(), "{token}");
        assert!(!theirs || !bad, "{token}");
    }
    found
}

/// The scalar that a key signs with, and the prefix of its nonces (RFC 8032, 5.1.6).
fn expanded(byte: u8) -> Scalar {
    let mut a: [u8; 32] = Sha512::digest(secret(byte))[..32].try_into().unwrap();
    a[0] &= 0xf8;
    a[31] = (a[31] & 0x7f) | 0x40;
    Scalar::from_bytes_mod_order(a)
}

/// A signature whose `R` is off by a point of small order: only who has the key can make it.
fn with_torsion(text: &str, torsion: usize, nonce: u64) -> [u8; 64] {
    let nonce = Scalar::from(nonce) + Scalar::from(1_u8);
    let r = curve25519_dalek::EdwardsPoint::mul_base(&nonce) + EIGHT_TORSION[torsion % 8];
    finish(text, r.compress().as_bytes(), nonce)
}

/// The `s` with which the equation would hold for this `R`, were it the nonce's multiple.
fn finish(text: &str, r: &[u8; 32], nonce: Scalar) -> [u8; 64] {
    let k: [u8; 64] = Sha512::new()
        .chain_update(r)
        .chain_update(key(1).public().as_bytes())
        .chain_update(text)
        .finalize()
        .into();
    let s = nonce + Scalar::from_bytes_mod_order_wide(&k) * expanded(1);
    [*r, s.to_bytes()].concat().try_into().unwrap()
}

/// What is done to a token.
#[derive(Debug, Clone)]
enum Done {
    Nothing,
    Flip(prop::sample::Index),
    FlipInSignature(usize),
    SignatureOfTheNext,
    SmallOrderR(usize),
    NegativeZero,
    NotCanonicalR(u8, bool),
    PlusOrder,
    OtherKey,
    WrongKey,
    NobodysKid,
    Twice,
    AnyR([u8; 32]),
    AnyS([u8; 32]),
    Assertion,
    BadClaims,
}

fn done() -> impl Strategy<Value = Done> {
    prop_oneof![
        6 => Just(Done::Nothing),
        1 => any::<prop::sample::Index>().prop_map(Done::Flip),
        1 => (0..512_usize).prop_map(Done::FlipInSignature),
        1 => Just(Done::SignatureOfTheNext),
        1 => (0..8_usize).prop_map(Done::SmallOrderR),
        1 => Just(Done::NegativeZero),
        1 => (0..19_u8, any::<bool>()).prop_map(|(y, sign)| Done::NotCanonicalR(y, sign)),
        1 => Just(Done::PlusOrder),
        2 => Just(Done::OtherKey),
        1 => Just(Done::WrongKey),
        1 => Just(Done::NobodysKid),
        1 => Just(Done::Twice),
        1 => any::<[u8; 32]>().prop_map(Done::AnyR),
        1 => any::<[u8; 32]>().prop_map(Done::AnyS),
        1 => Just(Done::Assertion),
        1 => Just(Done::BadClaims),
    ]
}

fn make(number: u64, done: &Done, before: Option<&String>) -> String {
    let claims = LinkClaims { sub: format!("user{number}"), ..claims() };
    let good = keyring().sign(&claims);
    let (text, signature) = good.rsplit_once('.').unwrap();
    let signature: [u8; 64] = URL_SAFE_NO_PAD.decode(signature).unwrap().try_into().unwrap();
    let with = |bytes: &[u8]| format!("{text}.{}", URL_SAFE_NO_PAD.encode(bytes));
    let with_r = |r: &[u8; 32]| with(&finish(text, r, Scalar::ZERO));
    match done {
        Done::Nothing => good.clone(),
        Done::Flip(at) => {
            let mut bytes = good.clone().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            String::from_utf8(bytes).unwrap()
        }
        Done::FlipInSignature(bit) => {
            let mut changed = signature;
            changed[bit / 8] ^= 1 << (bit % 8);
            with(&changed)
        }
        Done::SignatureOfTheNext => {
            let next = keyring().sign(&LinkClaims { sub: "next".into(), ..claims });
            format!("{text}.{}", next.rsplit_once('.').unwrap().1)
        }
        Done::SmallOrderR(which) => with_r(EIGHT_TORSION[*which].compress().as_bytes()),
        Done::NegativeZero => {
            let mut r = [0; 32];
            (r[0], r[31]) = (1, 0x80);
            with_r(&r)
        }
        Done::NotCanonicalR(y, sign) => {
            let mut r = [0xff; 32];
            (r[0], r[31]) = (0xed + y, if *sign { 0xff } else { 0x7f });
            with_r(&r)
        }
        Done::PlusOrder => {
            let mut changed = signature;
            let s = plus_order(&signature[32..].try_into().unwrap());
            changed[32..].copy_from_slice(&s);
            with(&changed)
        }
        Done::OtherKey => {
            let other = Keyring::new(key(2), None, vec![]);
            other.sign(&claims)
        }
        Done::WrongKey => with(
            &ed25519_dalek::SigningKey::from_bytes(&secret(2)).sign(text.as_bytes()).to_bytes(),
        ),
        Done::NobodysKid => Keyring::new(key(9), None, vec![]).sign(&claims),
        Done::Twice => before.unwrap_or(&good).clone(),
        Done::AnyR(r) => with(&[*r, signature[32..].try_into().unwrap()].concat()),
        Done::AnyS(s) => with(&[&signature[..32], s].concat()),
        Done::Assertion => generator::signed(
            generator::header("EdDSA", "oncegate-assertion+jwt", key(1).kid()).as_bytes(),
            generator::payload().as_bytes(),
        ),
        Done::BadClaims => generator::link_of(b"{}"),
    }
}

/// `s` and the group's order, which is larger than any that may be written.
fn plus_order(s: &[u8; 32]) -> [u8; 32] {
    // 2^252 + 27742317777372353535851937790883648493: one less is the largest scalar.
    let mut order = (-Scalar::ONE).to_bytes();
    order[0] += 1;
    let mut carry = 0;
    std::array::from_fn(|at| {
        let sum = u16::from(s[at]) + u16::from(order[at]) + carry;
        carry = sum >> 8;
        sum.to_le_bytes()[0]
    })
}

proptest! {
    #![proptest_config(Config::with_cases(120))]

    #[test]
    fn a_crowd_is_judged_as_each_is_alone(all in proptest::collection::vec(done(), 0..40), seed in any::<[u8; 32]>()) {
        let mut tokens: Vec<String> = Vec::new();
        for (number, done) in (0..).zip(&all) {
            let token = make(number, done, tokens.last());
            tokens.push(token);
        }
        let found = agree(&tokens, &seed);
        for (done, found) in all.iter().zip(found) {
            if let Done::SmallOrderR(_) | Done::NegativeZero | Done::NotCanonicalR(..) | Done::PlusOrder | Done::WrongKey = done {
                prop_assert_eq!(found, Err(Denial::BadSignature));
            }
        }
    }

    #[test]
    fn however_many_are_bad_of_a_full_crowd_each_is_judged_alone(bad in 0..=64_u64, seed in any::<[u8; 32]>()) {
        // Spread over the crowd, as by a step that shares no divisor with its number.
        let tokens: Vec<_> = (0..64).map(|at| {
            let done = if at * 27 % 64 < bad { Done::FlipInSignature(300) } else { Done::Nothing };
            make(at, &done, None)
        }).collect();
        let found = agree(&tokens, &seed);
        prop_assert_eq!(found.iter().filter(|found| found.is_err()).count() as u64, bad);
    }
}

#[test]
fn every_vector_fares_in_the_crowd_of_all_as_alone() {
    let tokens: Vec<_> = generator::vectors().into_iter().map(|(_, vector)| vector.token).collect();
    assert!(tokens.len() >= 100);
    agree(&tokens, &[7; 32]);
}

#[test]
fn two_signatures_whose_faults_cancel_are_both_refused() {
    // s + 1 and s - 1: their sum is that of two good ones, so only coefficients tell.
    let tokens: Vec<String> = (0..4)
        .map(|number: u64| {
            let token = make(number, &Done::Nothing, None);
            let (text, signature) = token.rsplit_once('.').unwrap();
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            let s = Scalar::from_bytes_mod_order(signature[32..].try_into().unwrap());
            let s = if number.is_multiple_of(2) { s + Scalar::ONE } else { s - Scalar::ONE };
            let changed = [&signature[..32], s.as_bytes()].concat();
            format!("{text}.{}", URL_SAFE_NO_PAD.encode(changed))
        })
        .collect();
    for seed in 0..64_u8 {
        let found = together(&keyring(), &tokens, &[seed; 32]);
        assert!(found.iter().all(|found| *found == Err(Denial::BadSignature)), "{found:?}");
    }
}

#[test]
fn only_the_keys_holder_can_sign_what_a_crowd_takes_and_alone_is_refused() {
    // The one difference there is, as documented: if this finds none, say so there.
    let mut taken = 0;
    for seed in 0..64_u8 {
        let tokens: Vec<String> = (0..4)
            .map(|number: u64| {
                let good = make(number, &Done::Nothing, None);
                if number > 0 {
                    return good;
                }
                let (text, _) = good.rsplit_once('.').unwrap();
                format!("{text}.{}", URL_SAFE_NO_PAD.encode(with_torsion(text, 1, 5)))
            })
            .collect();
        assert_eq!(verify(&keyring(), &tokens[0]).unwrap_err(), Denial::BadSignature);
        let found = together(&keyring(), &tokens, &[seed; 32]);
        taken += usize::from(found[0].is_ok());
        assert!(found[1..].iter().all(Result::is_ok), "{found:?}");
    }
    // A point of order 8: one in eight, give or take.
    assert!((1..=20).contains(&taken), "{taken} of 64");
}

#[test]
fn a_point_of_small_order_and_its_spellings_are_no_r() {
    let mut spellings = 0;
    for point in EIGHT_TORSION {
        let r = point.compress();
        assert_eq!(CompressedEdwardsY(*r.as_bytes()).decompress(), Some(point));
        let found = agree(&[make(0, &Done::AnyR(*r.as_bytes()), None)], &[0; 32]);
        assert_eq!(found, [Err(Denial::BadSignature)]);
        spellings += 1;
    }
    for y in 0..19 {
        for sign in [false, true] {
            let found = agree(&[make(0, &Done::NotCanonicalR(y, sign), None)], &[0; 32]);
            assert_eq!(found, [Err(Denial::BadSignature)], "y {y}");
            spellings += 1;
        }
    }
    assert_eq!(spellings, 8 + 38);
}
