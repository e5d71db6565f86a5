//! Crowds of tokens: who leads, who goes away, and what each is told.

use std::{future::Future, pin::Pin, sync::Arc, task::Context};

use super::*;
use crate::gate::{
    keyring::{Keyring, SigningKey},
    token::{Presented, sample},
};

fn keyring() -> Keyring {
    Keyring::new(
        SigningKey::from_secret(&std::array::from_fn(|at| at as u8)).unwrap(),
        None,
        vec![],
    )
}

/// A token of this user's; a forged one is signed for somebody else.
fn token(ring: &Keyring, user: &str, forged: bool) -> Unproven {
    let sign = |user: &str| ring.sign(&sample(user));
    let mut token = sign(user);
    if forged {
        let (text, _) = token.rsplit_once('.').unwrap();
        let other = sign("somebody else");
        token = format!("{text}.{}", other.rsplit_once('.').unwrap().1);
    }
    ring.read(Presented::new(&token).unwrap()).unwrap()
}

fn user(verdict: Result<Proven, Denial>) -> Result<String, Denial> {
    Ok(verdict?.verified()?.into_claims().sub)
}

/// How often so many or fewer were checked at a time, out of the metrics.
fn at_most(metrics: &Metrics, number: &str) -> usize {
    let text = metrics.render();
    let name = format!("oncegate_verify_batch_size_bucket{{le=\"{number}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
}

fn limit(metrics: &Metrics) -> i64 {
    metrics.verifications.limit.get()
}

type Waits<'a> = Pin<Box<dyn Future<Output = Result<Proven, Denial>> + 'a>>;

/// Polls once, which must not be enough.
fn comes_in(waits: &mut Waits<'_>) {
    let mut context = Context::from_waker(std::task::Waker::noop());
    assert!(waits.as_mut().poll(&mut context).is_pending());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_lone_token_is_checked_at_once() {
    let (ring, metrics) = (keyring(), Metrics::default());
    let verifier = Verifier::new(&metrics);
    let begun = tokio::time::Instant::now();
    assert_eq!(user(verifier.prove(token(&ring, "joe", false)).await), Ok("joe".into()));
    assert_eq!(user(verifier.prove(token(&ring, "joe", true)).await), Err(Denial::BadSignature));
    // Time stands still until everybody waits for it.
    assert_eq!(begun.elapsed(), std::time::Duration::ZERO);
    assert_eq!((at_most(&metrics, "1.0"), at_most(&metrics, "+Inf")), (2, 2));
}

/// Two hundred at once, every seventh forged; each must have its own verdict.
async fn crowd(verifier: Arc<Verifier>) {
    let ring = Arc::new(keyring());
    let each = (0..200).map(|number| {
        let (ring, verifier) = (ring.clone(), verifier.clone());
        tokio::spawn(async move {
            let (name, forged) = (format!("user{number}"), number % 7 == 3);
            let found = user(verifier.prove(token(&ring, &name, forged)).await);
            assert_eq!(found, if forged { Err(Denial::BadSignature) } else { Ok(name) });
        })
    });
    for one in each.collect::<Vec<_>>() {
        one.await.unwrap();
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_crowd_is_checked_together_and_each_is_told_its_own_verdict() {
    let metrics = Metrics::default();
    crowd(Arc::new(Verifier::new(&metrics))).await;
    assert!(metrics.verifications.splits.get() >= 1);
    // Those that came first were 64; forged ones in them made the next fewer.
    assert!(at_most(&metrics, "+Inf") - at_most(&metrics, "32.0") >= 1, "{}", metrics.render());
    assert!(limit(&metrics) < 64);
}

#[tokio::test(flavor = "current_thread")]
async fn after_a_flood_full_crowds_return() {
    let metrics = Metrics::default();
    let (ring, verifier) = (keyring(), Verifier::new(&metrics));
    let together = |number: usize, forged: bool| {
        let each = (0..number).map(|_| verifier.prove(token(&ring, "joe", forged)));
        futures_util::future::join_all(each.collect::<Vec<_>>())
    };
    assert!(together(200, true).await.iter().all(Result::is_err));
    assert_eq!(limit(&metrics), 1);
    let before = at_most(&metrics, "1.0");
    assert!(together(10, true).await.iter().all(Result::is_err));
    assert_eq!(at_most(&metrics, "1.0"), before + 10, "each alone, at the cost of one");
    for _ in 0..6 {
        assert!(together(64, false).await.iter().all(Result::is_ok));
    }
    assert_eq!(limit(&metrics), 64);
}

#[tokio::test(flavor = "current_thread")]
async fn a_token_is_judged_by_the_keyring_that_read_it() {
    let verifier = Verifier::new(&Metrics::default());
    let mut all: Vec<Waits<'_>> = Vec::new();
    for _ in 0..3 {
        // The ring is gone when the crowd is checked.
        all.push(Box::pin(verifier.prove(token(&keyring(), "joe", false))));
    }
    all.iter_mut().for_each(comes_in);
    for one in all {
        assert_eq!(user(one.await), Ok("joe".into()));
    }
}
