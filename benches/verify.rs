//! What the signature of a token costs, alone and together, and what signing one costs.
//!
//! `cargo bench --bench verify`. All of it is on the path of a request: from the text of a token
//! to its claims, with header, base64url and JSON; only `strict`, `bare_sign` are dalek's own.
//!
//! What was compared before this was built: microseconds a signature of 430 bytes, the best of
//! 600, on one core of a Xeon with AVX2, where `verify_strict` takes 37. `verify_batch` is
//! ed25519-dalek's, which has a point more for each signature and none of the strict checks;
//! `summed` has the key's coefficients added up, `prepared` the key's multiples at hand besides.
//!
//! | together | `verify_batch` | summed | prepared |
//! |---|---|---|---|
//! | 1 | 44 | 40 | 34 |
//! | 2 | 29 | 24 | 22 |
//! | 4 | 22 | 16 | 15 |
//! | 8 | 19 | 12 | 11.8 |
//! | 16 | 17.6 | 10.7 | 10.2 |
//! | 32 | 17.6 | 10.1 | 9.6 |
//! | 64 | 17.5 | 9.7 | 9.2 |
//! | 128 | 15.6 | 10.3 | 8.9 |
//!
//! Alone, with the key's multiples (a table of 30 kB): 24.
//!
//! Crowds on several threads, thousands of tokens a second on two cores: one thread 84, two that
//! share a line 112, two with a line each 132.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark: what goes wrong may end it"
)]

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use divan::{Bencher, counter::ItemsCount};
use ed25519_dalek::Signer as _;
use oncegate::{
    gate::{
        denial::Denial,
        id::{MemoryId, TokenId},
        keyring::{Keyring, SigningKey},
        token::{Actor, LinkClaims, Presented, Proven, Unproven, prove},
    },
    ops::{entropy, verifier::MOST},
    sync::crowd::{Crowd, Work},
};

fn main() {
    divan::main();
}

const SECRET: [u8; 32] = *b"the secret of a key in benchmark";

fn keyring() -> Keyring {
    Keyring::new(SigningKey::from_secret(&SECRET).unwrap(), None, vec![])
}

fn claims(number: u128) -> LinkClaims {
    LinkClaims {
        iss: "https://login.example.com".to_owned(),
        aud: "panel".to_owned(),
        sub: "joe".to_owned(),
        iat: 1_764_000_000,
        exp: 1_764_000_060,
        jti: TokenId::from_bytes(number.to_le_bytes()),
        mem: MemoryId::from_bytes([2; 16]),
        gate: Some("gate-a".to_owned()),
        dst: None,
        ips: None,
        act: Actor { sub: "billing".to_owned() },
        via: None,
        page: None,
        ctx: None,
    }
}

fn tokens(ring: &Keyring, number: usize) -> Vec<String> {
    (0..number as u128).map(|number| ring.sign(&claims(number))).collect()
}

/// dalek's `verify_strict`, of the same text.
#[divan::bench]
fn strict(bencher: Bencher<'_, '_>) {
    let token = tokens(&keyring(), 1).remove(0);
    let (text, signature) = token.rsplit_once('.').unwrap();
    let signature: [u8; 64] = URL_SAFE_NO_PAD.decode(signature).unwrap().try_into().unwrap();
    let signature = ed25519_dalek::Signature::from_bytes(&signature);
    let key = ed25519_dalek::SigningKey::from_bytes(&SECRET).verifying_key();
    bencher.bench(|| key.verify_strict(text.as_bytes(), &signature).unwrap());
}

/// One token alone, from text to claims.
#[divan::bench]
fn alone(bencher: Bencher<'_, '_>) {
    let ring = keyring();
    let token = tokens(&ring, 1).remove(0);
    bencher.bench(|| ring.verify(&Presented::new(&token).unwrap()).unwrap());
}

/// So many together, from text to claims.
#[divan::bench(args = [1, 2, 3, 4, 8, 16, 32, 64, 128])]
fn together(bencher: Bencher<'_, '_>, number: usize) {
    let ring = keyring();
    let tokens = tokens(&ring, number);
    bencher.counter(ItemsCount::new(number)).bench(|| {
        let read = |token: &String| ring.read(Presented::new(token).unwrap()).unwrap();
        let proved = prove(tokens.iter().map(read).collect(), &entropy::random());
        proved.each.into_iter().map(|one| one.unwrap().verified().unwrap()).collect::<Vec<_>>()
    });
}

/// What is around the signature: from text to what is checked.
#[divan::bench]
fn read(bencher: Bencher<'_, '_>) {
    let ring = keyring();
    let token = tokens(&ring, 1).remove(0);
    bencher.bench(|| ring.read(Presented::new(&token).unwrap()).unwrap());
}

/// From claims to a token.
#[divan::bench]
fn sign(bencher: Bencher<'_, '_>) {
    let ring = keyring();
    let claims = claims(1);
    bencher.bench(|| ring.sign(&claims));
}

/// dalek's `sign`, of the same text.
#[divan::bench]
fn bare_sign(bencher: Bencher<'_, '_>) {
    let token = tokens(&keyring(), 1).remove(0);
    let text = token.rsplit_once('.').unwrap().0;
    let key = ed25519_dalek::SigningKey::from_bytes(&SECRET);
    bencher.bench(|| key.sign(text.as_bytes()));
}

/// 64 tasks, each with one token after another: on so many threads, in crowds of so many lines. Each
/// does as much between two as a request does.
#[divan::bench(args = [(1, 1), (2, 1), (2, 2)], sample_count = 20)]
fn threads_and_lines(bencher: Bencher<'_, '_>, (threads, lines): (usize, usize)) {
    const TASKS: usize = 64;
    const EACH: usize = 20;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(threads).build().unwrap();
    let ring = Arc::new(keyring());
    let token: Arc<str> = tokens(&ring, 1).remove(0).into();
    let crowd = Arc::new(Crowd::in_lines(lines));
    bencher.counter(ItemsCount::new(TASKS * EACH)).bench(|| {
        let task = || {
            let (ring, token, crowd) = (ring.clone(), token.clone(), crowd.clone());
            runtime.spawn(async move {
                for _ in 0..EACH {
                    let unproven = ring.read(Presented::new(&token).unwrap()).unwrap();
                    crowd.join(unproven, &Checks).await.unwrap().unwrap().verified().unwrap();
                    let busy =
                        (0..2_000_u64).fold(1, |so_far, next| divan::black_box(so_far ^ next));
                    divan::black_box(busy);
                    tokio::task::yield_now().await;
                }
            })
        };
        let tasks: Vec<_> = (0..TASKS).map(|_| task()).collect();
        runtime.block_on(async {
            for task in tasks {
                task.await.unwrap();
            }
        });
    });
}

/// As the gate's verifier does them where nothing is forged.
struct Checks;

impl Work for Checks {
    type Brought = Unproven;
    type Done = Result<Proven, Denial>;

    fn most(&self) -> usize {
        MOST
    }

    fn alone(&self, token: Unproven) -> Result<Proven, Denial> {
        token.prove()
    }

    fn together(&self, tokens: Vec<Unproven>) -> Vec<Result<Proven, Denial>> {
        prove(tokens, &entropy::random()).each
    }
}
