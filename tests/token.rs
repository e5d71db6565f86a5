//! The token: what passes for a link, and every attack on it, each refused by name.
//!
//! `tests/vectors/token/` holds one token a file; they are what `generator` makes. To write them
//! anew after a change there: `ONCEGATE_WRITE_VECTORS=1 cargo test --test token`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

#[path = "token/envelope.rs"]
mod envelope;
#[path = "token/generator.rs"]
mod generator;
#[path = "token/payload.rs"]
mod payload;
#[path = "token/second_opinion.rs"]
mod second_opinion;
#[path = "token/together.rs"]
mod together;

use std::{fs, path::PathBuf};

use generator::{NOW, Vector, claims, keyring, vectors};
use oncegate::gate::{
    claims::Claims,
    client_ip::Networks,
    denial::Denial,
    id::{MemoryId, SessionId, TokenId},
    keyring::Keyring,
    secret::Secret,
    session::{Session, SessionKeys},
    token::{Actor, AssertionClaims, LINK_BEGINS, LinkClaims, MAX_TOKEN, Presented, Verified},
};
use proptest::prelude::*;

fn verify(keyring: &Keyring, token: &str) -> Result<Verified, Denial> {
    keyring.verify(&Presented::new(token)?)
}

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/token")
}

#[test]
fn every_vector_is_refused_by_its_name_or_passes() {
    let keyring = keyring();
    let files: Vec<_> = fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    assert!(files.len() >= 100, "{} vectors", files.len());
    for path in files {
        let vector = Vector::read(&fs::read_to_string(&path).unwrap());
        let found = match verify(&keyring, &vector.token) {
            Ok(_) => ("ok".to_owned(), None),
            Err(Denial::Malformed(fault)) => ("malformed".to_owned(), Some(fault.to_owned())),
            Err(denial) => (denial.public().code.to_owned(), None),
        };
        assert_eq!(found, (vector.expect, vector.fault), "{}", path.display());
    }
}

#[test]
fn the_vectors_are_what_the_generator_makes() {
    let vectors = vectors();
    let mut names: Vec<_> = vectors.iter().map(|(name, _)| format!("{name}.txt")).collect();
    if std::env::var_os("ONCEGATE_WRITE_VECTORS").is_some() {
        for (name, vector) in &vectors {
            fs::write(directory().join(name).with_extension("txt"), vector.write()).unwrap();
        }
    }
    for (name, vector) in &vectors {
        let path = directory().join(name).with_extension("txt");
        let file = fs::read_to_string(&path).unwrap_or_else(|_| panic!("{}", path.display()));
        assert_eq!(file, vector.write(), "{name}");
    }
    names.sort();
    let mut files: Vec<_> = fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "key.pem")
        .collect();
    files.sort();
    assert_eq!(files, names);
}

#[test]
fn jsonwebtokens_own_decode_agrees_on_every_vector() {
    let jwks = keyring().jwks();
    let vectors = vectors();
    assert!(vectors.len() >= 100);
    let disagreements: Vec<_> = vectors
        .iter()
        .filter(|(_, vector)| {
            let theirs = second_opinion::accepts(&jwks, &vector.token);
            // Where it may accept what we refuse, the vector says so; never the other way round.
            theirs != (vector.expect == "ok" || vector.jsonwebtoken_accepts)
        })
        .map(|(name, vector)| (name, second_opinion::accepts(&jwks, &vector.token), &vector.why))
        .collect();
    assert!(disagreements.is_empty(), "{disagreements:#?}");
}

#[test]
fn the_jwks_is_what_jsonwebtoken_reads_with_the_same_thumbprints() {
    let keyring = keyring();
    let set: serde_json::Value = serde_json::from_str(&keyring.jwks()).unwrap();
    let keys = set["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 2);
    for (key, kid) in keys.iter().zip(keyring.kids()) {
        let members: Vec<_> = key.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x"]);
        assert_eq!(
            (key["alg"].as_str(), key["crv"].as_str(), key["kty"].as_str(), key["use"].as_str()),
            (Some("EdDSA"), Some("Ed25519"), Some("OKP"), Some("sig"))
        );
        assert_eq!(key["kid"], kid);
        assert_eq!(second_opinion::thumbprint(key), kid);
    }
}

#[test]
fn a_token_of_a_megabyte_is_refused_before_it_is_read() {
    let one = Presented::new(&"A".repeat(1_000_000));
    assert_eq!(one, Err(Denial::Malformed("size")));
    let largest = "A".repeat(MAX_TOKEN - 4) + ".A.A";
    assert!(Presented::new(&largest).is_ok());
    assert_eq!(Presented::new(&(largest + "A")), Err(Denial::Malformed("size")));
}

#[test]
fn any_flipped_bit_of_a_signature_is_a_bad_signature() {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let keyring = keyring();
    let token = keyring.sign(&claims());
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    for bit in 0..512 {
        let mut changed = signature.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(changed));
        assert_eq!(verify(&keyring, &token), Err(Denial::BadSignature), "bit {bit}");
    }
}

#[test]
fn a_link_of_a_retired_key_is_of_an_unknown_key() {
    let stranger = generator::key(9);
    let token = Keyring::new(stranger, None, vec![]).sign(&claims());
    assert_eq!(verify(&keyring(), &token), Err(Denial::UnknownKey));
}

#[test]
fn a_link_of_a_previous_or_next_key_passes() {
    let token = keyring().sign(&claims());
    let after = Keyring::new(generator::key(9), None, vec![generator::key(1)]);
    assert_eq!(verify(&after, &token).unwrap().into_claims(), claims());
    let before = Keyring::new(generator::key(9), Some(generator::key(1)), vec![]);
    assert_eq!(verify(&before, &token).unwrap().into_claims(), claims());
}

#[test]
fn sessions_assertions_and_links_never_pass_for_one_another() {
    let (keyring, session) = (keyring(), session());
    let keys = SessionKeys::new(Secret::new(*b"0123456789abcdef0123456789abcdef"), vec![]).unwrap();
    let sealed = keys.seal(&session, [7; 24]).unwrap();
    assert_eq!(Presented::new(&sealed), Err(Denial::Malformed("parts")));

    let link = keyring.sign(&claims());
    let assertion = keyring.sign_assertion(&AssertionClaims {
        iss: "https://login.example.com".into(),
        aud: "https://panel.example.com".into(),
        sub: "joe".into(),
        act: Actor { sub: "billing".into() },
        ctx: None,
        iat: NOW,
        exp: NOW + 60,
    });
    assert_eq!(verify(&keyring, &assertion), Err(Denial::WrongType("an assertion")));
    // By this a link is known where nothing else tells what a text is.
    assert!(link.starts_with(LINK_BEGINS) && !assertion.starts_with(LINK_BEGINS), "{link}");
    for token in [link, assertion] {
        assert_eq!(keys.open(&token, "panel"), None);
        for part in token.split('.') {
            assert_eq!(keys.open(part, "panel"), None);
        }
    }
}

#[test]
fn debug_of_a_presented_token_is_no_token() {
    let token = keyring().sign(&claims());
    let shown = format!("{:?}", Presented::new(&token).unwrap());
    assert_eq!(shown, format!("Presented({}…)", &token[..8]));
}

#[test]
fn an_unproven_token_can_be_looked_at() {
    let token = keyring().sign(&claims());
    let (header, payload) = Presented::new(&token).unwrap().unproven().unwrap();
    assert_eq!(header["typ"], "oncegate-link+jwt");
    assert_eq!(payload["sub"], "joe");
    assert_eq!(Presented::new("a.b.c").unwrap().unproven(), None);
}

fn session() -> Session {
    Session {
        user: "joe".into(),
        site: "panel".into(),
        caller: "billing".into(),
        link: TokenId::from_bytes([1; 16]),
        id: SessionId::from_bytes([2; 16]),
        mem: MemoryId::from_bytes([3; 16]),
        begun: NOW,
        issued: NOW,
        seen: NOW,
        expires: NOW + 28_800,
        ctx: None,
    }
}

prop_compose! {
    fn any_claims()(
        (iss, aud, sub) in (".{0,40}", "[a-z0-9-]{1,20}", "\\PC{1,256}"),
        (iat, ttl) in (0..200_000_000_000_u64, 1..1_000_000_u64),
        (jti, mem) in any::<([u8; 16], [u8; 16])>(),
        (gate, dst, via) in proptest::option::of((".{0,20}", ".{0,200}", "[a-z]{1,10}"))
            .prop_map(Option::unzip3),
        addresses in proptest::option::of(proptest::collection::vec(any::<std::net::IpAddr>(), 1..5)),
        caller in ".{0,30}",
        page in 0..4_usize,
        ctx in proptest::option::of(proptest::collection::btree_map(".{0,8}", any_value(), 0..4)),
    ) -> LinkClaims {
        use oncegate::gate::page::Page;
        let networks = |of: Vec<std::net::IpAddr>| Networks::new(of.into_iter().map(Into::into));
        LinkClaims {
            iss, aud, sub, iat, exp: iat + ttl,
            jti: TokenId::from_bytes(jti), mem: MemoryId::from_bytes(mem),
            gate, dst, ips: addresses.map(networks), act: Actor { sub: caller }, via,
            page: [None, Some(Page::Auto), Some(Page::Confirm), Some(Page::None)][page],
            ctx: ctx.and_then(|ctx| Claims::new(ctx.into_iter().collect()).ok()),
        }
    }
}

trait Unzip3<A, B, C> {
    fn unzip3(self) -> (Option<A>, Option<B>, Option<C>);
}
impl<A, B, C> Unzip3<A, B, C> for Option<(A, B, C)> {
    fn unzip3(self) -> (Option<A>, Option<B>, Option<C>) {
        self.map_or((None, None, None), |(a, b, c)| (Some(a), Some(b), Some(c)))
    }
}

fn any_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        ".{0,20}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            proptest::collection::btree_map(".{0,6}", inner, 0..4)
                .prop_map(|map| { serde_json::Value::Object(map.into_iter().collect()) }),
        ]
    })
}

proptest! {
    #[test]
    fn what_was_signed_is_what_is_read(claims in any_claims()) {
        let keyring = keyring();
        let token = keyring.sign(&claims);
        prop_assume!(token.len() <= MAX_TOKEN);
        prop_assert_eq!(verify(&keyring, &token).map(Verified::into_claims), Ok(claims));
        prop_assert!(second_opinion::accepts(&keyring.jwks(), &token));
    }

    #[test]
    fn a_token_changed_in_any_byte_is_refused(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let keyring = keyring();
        let mut token = keyring.sign(&claims()).into_bytes();
        let at = at.index(token.len());
        prop_assume!(token[at] != byte);
        token[at] = byte;
        let token = String::from_utf8_lossy(&token);
        prop_assert!(verify(&keyring, &token).is_err());
        prop_assert!(!second_opinion::accepts(&keyring.jwks(), &token));
    }

    #[test]
    fn a_token_cut_or_grown_is_refused(at in any::<prop::sample::Index>(), more in "[A-Za-z0-9_.-]{1,8}") {
        let keyring = keyring();
        let token = keyring.sign(&claims());
        let at = at.index(token.len());
        let (grown, longer) = ([&token[..at], &more, &token[at..]].concat(), token.clone() + &more);
        for other in [&token[..at], &token[at.max(1)..], &grown, &longer] {
            prop_assert!(verify(&keyring, other).is_err());
        }
    }

    #[test]
    fn nothing_that_comes_can_make_it_panic(text in ".{0,300}", parts in "[A-Za-z0-9_.-]{0,300}") {
        let keyring = keyring();
        let _ = verify(&keyring, &text);
        let _ = verify(&keyring, &parts);
        let _ = format!("{:?}", Presented::new(&parts));
    }

    #[test]
    fn nothing_under_a_good_signature_can_make_it_panic(header in ".{0,80}", payload in any::<Vec<u8>>()) {
        let keyring = keyring();
        let _ = verify(&keyring, &generator::signed(header.as_bytes(), &payload));
        let _ = verify(&keyring, &generator::link_of(&payload));
    }
}
