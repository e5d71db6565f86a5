//! What verifying a caller's password costs a request: remembered, and by argon2id. Figures, not
//! assertions.

#![allow(clippy::expect_used, reason = "a benchmark that cannot begin has nothing to tell")]

use divan::{Bencher, black_box};
use oncegate::{
    gate::{
        client_ip::ClientIp,
        password::{Credential, Decoy, PasswordHash},
        secret::Secret,
    },
    ops::{
        entropy::random,
        metrics::Metrics,
        passwords::{Guesser, Passwords},
    },
};
use tokio::runtime::Runtime;

fn main() {
    divan::main();
}

fn hash() -> (Credential, PasswordHash) {
    let credential = Credential::of("pass word");
    let hash = PasswordHash::make(&credential, &random()).expect("there is memory");
    (credential, hash)
}

fn passwords() -> Passwords {
    Passwords::new(Secret::new(random()), Decoy::like([]), &Metrics::default())
}

async fn verified(passwords: &Passwords, (credential, hash): &(Credential, PasswordHash)) -> bool {
    let from = Some(ClientIp::new([192, 0, 2, 7].into()));
    let verdict = passwords.verify("admin", from, Guesser::Stranger, credential, Some(hash));
    verdict.await == Ok(true)
}

#[divan::bench]
fn remembered(bencher: Bencher<'_, '_>) {
    let (runtime, hash, passwords) = (Runtime::new().expect("a runtime"), hash(), passwords());
    assert!(runtime.block_on(verified(&passwords, &hash)));
    bencher.bench(|| assert!(runtime.block_on(verified(black_box(&passwords), &hash))));
}

#[divan::bench]
fn verified_anew(bencher: Bencher<'_, '_>) {
    let (runtime, hash) = (Runtime::new().expect("a runtime"), hash());
    bencher
        .with_inputs(passwords)
        .bench_refs(|passwords| assert!(runtime.block_on(verified(passwords, &hash))));
}
