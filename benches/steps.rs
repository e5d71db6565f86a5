//! Where the microseconds of a request go: every step on its way, by itself.
//!
//! `cargo bench --bench steps`; a word more picks those with it in their names. Medians of one
//! thread on warm caches: what a step costs where nothing else is in its way. What is missing of a
//! whole request (see `compare`) is HTTP, the kernel and the executor.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark: what goes wrong may end it"
)]

use std::{net::IpAddr, path::Path, time::Duration};

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use divan::{Bencher, black_box};
use ed25519_dalek::{Signature, SigningKey};
use oncegate::{
    config::Config,
    gate::{
        caller::{KeyHash, by_key},
        client_ip::{ClientIp, ClientIpSource, resolve},
        id::{MemoryId, SessionId, TokenId},
        issue::Issuer,
        keyring::{self, Keyring},
        networks::Networks,
        policy::{self, Ask},
        redeem::Place,
        secret::Secret,
        seen::SeenSet,
        session::{Session, SessionKeys},
        token::{Actor, AssertionClaims, LinkClaims, Presented},
    },
    ops::{audit, clock::Clock, entropy::random, telemetry},
    store::{Durability, StoreOptions, local::Local},
};

const NOW: u64 = 1_764_000_000;
const KEY: &str = "og_bench";

fn main() {
    // Where lines of the log go: figures go to standard output.
    let nowhere = std::fs::File::options().write(true).open("/dev/null").unwrap();
    rustix::stdio::dup2_stderr(nowhere).unwrap();
    telemetry::init(None);
    divan::main();
}

fn keys() -> Keyring {
    Keyring::new(keyring::SigningKey::from_secret(&random()).unwrap(), None, Vec::new())
}

fn claims() -> LinkClaims {
    LinkClaims {
        iss: "https://login.example.com".to_owned(),
        aud: "panel".to_owned(),
        sub: "joe".to_owned(),
        iat: NOW,
        exp: NOW + 300,
        jti: TokenId::from_bytes(random()),
        mem: MemoryId::from_bytes([7; 16]),
        gate: Some("bench".to_owned()),
        dst: Some("/clientarea".to_owned()),
        ips: None,
        act: Actor { sub: "billing".to_owned() },
        via: None,
        page: None,
        ctx: None,
    }
}

/// A configuration with one site and one caller.
fn config() -> (tempfile::TempDir, Config) {
    let dir = tempfile::tempdir().unwrap();
    let hash = KeyHash::of(KEY.as_bytes());
    let text = format!(
        r#"
[gate]
name = "bench"
issuer = "https://login.example.com"
[[sites]]
name = "panel"
origin = "https://panel.example.com"
[[callers]]
name = "billing"
key_sha256 = ["{hash:x}"]
sites = ["panel"]
may = ["issue", "redeem"]
"#
    );
    let config = Config::parse(&text, "bench.toml", dir.path(), std::iter::empty()).unwrap();
    (dir, config)
}

/// What a redemption by the API does, in its order.
mod redeem {
    use super::{
        Bencher, ClientIp, Clock, Durability, IpAddr, KEY, KeyHash, Local, NOW, Path, Place,
        Presented, SeenSet, Signature, SigningKey, StoreOptions, TokenId, URL_SAFE_NO_PAD, audit,
        black_box, by_key, claims, config, keys, random,
    };
    use base64::Engine as _;
    use ed25519_dalek::Signer as _;

    #[divan::bench]
    fn a_request_id(bencher: Bencher<'_, '_>) {
        bencher.bench(random::<8>);
    }

    #[divan::bench]
    fn b_caller_by_key(bencher: Bencher<'_, '_>) {
        let (_dir, config) = config();
        bencher.bench(|| by_key(&config.callers, black_box(KEY.as_bytes())).is_some());
    }

    #[divan::bench]
    fn b_sha256_of_the_key(bencher: Bencher<'_, '_>) {
        bencher.bench(|| KeyHash::of(black_box(KEY.as_bytes())));
    }

    #[divan::bench]
    fn c_body_as_json(bencher: Bencher<'_, '_>) {
        let body = serde_json::json!({ "token": keys().sign(&claims()) }).to_string();
        bencher
            .bench(|| oncegate::gate::claims::value_from_json(black_box(body.as_bytes())).unwrap());
    }

    #[divan::bench]
    fn d_presented(bencher: Bencher<'_, '_>) {
        let token = keys().sign(&claims());
        bencher.bench(|| Presented::new(black_box(&token)).unwrap());
    }

    #[divan::bench]
    fn e_verified_whole(bencher: Bencher<'_, '_>) {
        let keys = keys();
        let token = Presented::new(&keys.sign(&claims())).unwrap();
        bencher.bench(|| keys.verify(black_box(&token)).unwrap());
    }

    /// Of that, the signature alone.
    #[divan::bench]
    fn e_of_it_verify_strict(bencher: Bencher<'_, '_>) {
        let token = keys().sign(&claims());
        let message = &token[..token.rfind('.').unwrap()];
        let signing = SigningKey::from_bytes(&random());
        let (key, signature) = (signing.verifying_key(), signing.sign(message.as_bytes()));
        bencher.bench(|| key.verify_strict(black_box(message.as_bytes()), &signature).unwrap());
    }

    /// Of that, the signature out of its text.
    #[divan::bench]
    fn e_of_it_signature_decoded(bencher: Bencher<'_, '_>) {
        let token = keys().sign(&claims());
        let text = &token[token.rfind('.').unwrap() + 1..];
        bencher.bench(|| {
            let mut bytes = [0; 64];
            URL_SAFE_NO_PAD.decode_slice(black_box(text), &mut bytes).unwrap();
            Signature::from_bytes(&bytes)
        });
    }

    /// Of that, the claims out of their text.
    #[divan::bench]
    fn e_of_it_claims_read(bencher: Bencher<'_, '_>) {
        let json = serde_json::to_string(&claims()).unwrap();
        let text = URL_SAFE_NO_PAD.encode(json);
        bencher.bench(|| {
            let json = URL_SAFE_NO_PAD.decode(black_box(&text)).unwrap();
            serde_json::from_slice::<super::LinkClaims>(&json).unwrap()
        });
    }

    #[divan::bench]
    fn f_judged(bencher: Bencher<'_, '_>) {
        let (_dir, config) = config();
        let keys = keys();
        let token = Presented::new(&keys.sign(&claims())).unwrap();
        let address: IpAddr = [203, 0, 113, 7].into();
        bencher.with_inputs(|| keys.verify(&token).unwrap()).bench_values(|verified| {
            let place = Place {
                issuer: &config.gate.issuer,
                reach: &config.reach,
                site: &config.sites[0],
                rules: &config.links,
                callers: &config.callers,
                client: Some(ClientIp::new(address)),
                now: NOW,
                revoked: None,
                next: None,
            };
            verified.judge(&place).unwrap()
        });
    }

    #[divan::bench]
    fn g_spent_in_memory(bencher: Bencher<'_, '_>) {
        let seen = SeenSet::new(5_000_000);
        bencher
            .with_inputs(|| TokenId::from_bytes(random()))
            .bench_values(|id| seen.spend(id, NOW + 300, || NOW).is_ok());
    }

    /// The same, and recorded in the journal.
    #[divan::bench]
    fn g_spent_with_the_journal(bencher: Bencher<'_, '_>) {
        let dir = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
        let now = Clock::default().now();
        let state = dir.path().join("state");
        let options = StoreOptions::journal(
            "bench",
            5_000_000,
            state,
            Durability::Process,
            super::Duration::ZERO,
        );
        let store = Local::open(options, now, random).unwrap();
        let mem = store.mem(now).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        bencher.with_inputs(|| TokenId::from_bytes(random())).bench_local_values(|id| {
            runtime.block_on(store.spend(id, mem, now + 300, || now)).is_ok()
        });
    }

    #[divan::bench]
    fn g_clock(bencher: Bencher<'_, '_>) {
        let clock = Clock::default();
        bencher.bench(|| clock.now());
    }

    /// A line of the log, and its `write`, to nowhere.
    #[divan::bench]
    fn h_audited(bencher: Bencher<'_, '_>) {
        let (claims, client) = (claims(), Ok(ClientIp::new([203, 0, 113, 7].into())));
        let request = audit::Request { id: "0384c8e2a811f1b1", client: &client };
        bencher.bench_local(|| audit::redeemed(request, black_box(&claims)));
    }

    #[divan::bench]
    fn i_answer_as_json(bencher: Bencher<'_, '_>) {
        let claims = claims();
        bencher.bench(|| serde_json::to_vec(black_box(&claims)).unwrap());
    }
}

/// What issuing does.
mod issue {
    use super::{
        Ask, Bencher, Issuer, MemoryId, NOW, TokenId, black_box, claims, config, keys, policy,
        random,
    };
    use ed25519_dalek::{Signer as _, SigningKey};

    #[divan::bench]
    fn a_policy_and_claims(bencher: Bencher<'_, '_>) {
        let (_dir, config) = config();
        let caller = config.callers[0].as_ref();
        let ask = Ask { user: "joe".to_owned(), ttl: Some(60), ..Ask::default() };
        let issuer = Issuer {
            iss: &config.gate.issuer,
            gate: Some("bench"),
            mem: MemoryId::from_bytes([7; 16]),
        };
        bencher.with_inputs(|| ask.clone()).bench_values(|ask| {
            let permitted = policy::permit(ask, caller, &config.sites, &config.links).unwrap();
            permitted.claims(issuer, TokenId::from_bytes([1; 16]), NOW)
        });
    }

    #[divan::bench]
    fn b_random_id(bencher: Bencher<'_, '_>) {
        bencher.bench(random::<16>);
    }

    #[divan::bench]
    fn c_token_signed_whole(bencher: Bencher<'_, '_>) {
        let (keys, claims) = (keys(), claims());
        bencher.bench(|| keys.sign(black_box(&claims)));
    }

    /// Of that, the signature alone.
    #[divan::bench]
    fn c_of_it_sign(bencher: Bencher<'_, '_>) {
        let token = keys().sign(&claims());
        let message = &token[..token.rfind('.').unwrap()];
        let signing = SigningKey::from_bytes(&random());
        bencher.bench(|| signing.sign(black_box(message.as_bytes())));
    }
}

/// What a request of somebody signed in does.
mod signed_in {
    use super::{
        Actor, AssertionClaims, Bencher, ClientIpSource, IpAddr, MemoryId, NOW, Networks, Secret,
        Session, SessionId, SessionKeys, TokenId, black_box, keys, random, resolve,
    };

    fn session() -> Session {
        Session {
            user: "joe".to_owned(),
            site: "panel".to_owned(),
            caller: "billing".to_owned(),
            link: TokenId::from_bytes(random()),
            id: SessionId::from_bytes(random()),
            mem: MemoryId::from_bytes([7; 16]),
            begun: NOW,
            issued: NOW,
            seen: NOW,
            expires: NOW + 8 * 3_600,
            ctx: None,
        }
    }

    #[divan::bench(args = ["203.0.113.7", "203.0.113.7, 10.0.0.1, 10.0.0.2"])]
    fn a_client_of_x_forwarded_for(bencher: Bencher<'_, '_>, line: &str) {
        let trusted = Networks::parse(&["10.0.0.0/8"]).unwrap();
        let peer: IpAddr = [10, 0, 0, 9].into();
        bencher.bench(|| {
            let lines = [black_box(line.as_bytes())];
            resolve(ClientIpSource::XForwardedFor, peer, &lines, &trusted).unwrap()
        });
    }

    #[divan::bench]
    fn b_session_opened(bencher: Bencher<'_, '_>) {
        let keys = SessionKeys::new(Secret::new(random()), Vec::new()).unwrap();
        let sealed = keys.seal(&session(), random()).unwrap();
        bencher.bench(|| keys.open(black_box(&sealed), "panel").unwrap());
    }

    #[divan::bench]
    fn b_session_sealed(bencher: Bencher<'_, '_>) {
        let keys = SessionKeys::new(Secret::new(random()), Vec::new()).unwrap();
        let session = session();
        bencher.bench(|| keys.seal(black_box(&session), [3; 24]).unwrap());
    }

    #[divan::bench]
    fn c_assertion_signed_twice_a_minute(bencher: Bencher<'_, '_>) {
        let keys = keys();
        let claims = AssertionClaims {
            iss: "https://login.example.com".to_owned(),
            aud: "https://panel.example.com".to_owned(),
            sub: "joe".to_owned(),
            act: Actor { sub: "billing".to_owned() },
            ctx: None,
            iat: NOW,
            exp: NOW + 60,
        };
        bencher.bench(|| keys.sign_assertion(black_box(&claims)));
    }
}
