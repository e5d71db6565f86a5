//! Verifying passwords: bounded in cost, remembered for a while, and nobody locks out anybody
//! else.
//!
//! Argon2id takes tens of milliseconds, by intent. What keeps that from capping how many links
//! are issued, and from being a way to stop the gate:
//!
//! - What was verified is remembered for a minute, under an HMAC: neither a password nor a plain
//!   digest of one stays in memory. So is what was wrong, at the address it came from: a client
//!   that is set up with a wrong password and tries for ever costs one verification a minute, and
//!   learns nothing that it was not told before.
//! - Who asks the same from the same address while it is being verified waits for that answer.
//! - Guesses are limited by name and address, and wrong ones at users' passwords by the caller that
//!   brings them (`guesses`).
//! - At most two are verified at once, in as many pieces of memory, and strangers have one of the
//!   two places (`lanes`).
//!
//! A credential that was verified at an address before is known there by 16 bits of its HMAC for
//! a day. It is not held to the limit, and waits in a line of its own: whoever guesses from behind
//! the same proxy cannot lock it out. The price is that the limit does not hold back guesses from
//! the very address of a working caller; a flood from there is its operator's to see. Before its
//! first success, a caller without `from` is a stranger like any other.

use std::{
    collections::HashMap,
    fmt,
    num::NonZeroUsize,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tokio::sync::watch;

use crate::{
    gate::{
        client_ip::ClientIp,
        denial::Denial,
        password::{Credential, Decoy, Memory, NoMemory, PasswordHash},
        secret::Secret,
    },
    ops::{
        metrics::Metrics,
        passwords::{
            counts::Counts,
            guesses::{Guess, Guesses, Neighbourhood},
            lanes::{Lanes, Line, Seat},
            latest::Latest,
        },
    },
};

mod counts;
mod guesses;
mod lanes;
mod latest;

/// How long a verdict is remembered.
const REMEMBERED: Duration = Duration::from_secs(60);
/// The most verdicts of either kind; the wrong ones cannot push out the right ones.
const MAX_REMEMBERED: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();
/// How long it is known where a credential was right.
const KNOWN: Duration = Duration::from_secs(24 * 60 * 60);
/// The most credentials known: those of callers, and of users whose passwords callers send.
const MAX_KNOWN: NonZeroUsize = NonZeroUsize::new(100_000).unwrap();
/// Seconds until a place may be free where all are taken.
const BUSY: u64 = 2;

/// Who is guessing, if this is a guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Guesser<'a> {
    /// Anybody: it is the caller's own credentials that are being verified.
    Stranger,
    /// As [`Guesser::Stranger`], but in a network that this caller alone calls from.
    AtHome,
    /// An authenticated caller of this name, with the password of a user.
    Trusted(&'a str),
}

/// Verifies passwords.
#[derive(Clone)]
pub struct Passwords(Arc<State>);

struct State {
    key: Secret<[u8; 32]>,
    right: Latest<()>,
    wrong: Latest<()>,
    known: Latest<u16>,
    guesses: Guesses,
    lanes: Lanes,
    /// What is being verified now, with those who wait for it.
    running: Mutex<HashMap<Digest, watch::Sender<Verdict>>>,
    counts: Counts,
    verifier: Verifier,
}

/// An HMAC-SHA256 under the key of this process.
type Digest = [u8; 32];
/// None yet, or what came out.
type Verdict = Option<Result<bool, Denial>>;
type Verifier = Box<
    dyn Fn(Option<&PasswordHash>, &Credential, &mut Memory) -> Result<bool, NoMemory> + Send + Sync,
>;

/// One question: is this the password to that name?
#[derive(Debug, Clone, Copy)]
struct Question<'a> {
    of: Asked,
    guesser: Guesser<'a>,
    from: Neighbourhood,
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    /// Of the name, the credential and the hash.
    what: Digest,
    /// Of the name and where it is asked from.
    place: Digest,
    /// Of both.
    both: Digest,
}

enum Step {
    Answered(bool),
    Waiting(watch::Receiver<Verdict>),
    Begun(watch::Receiver<Verdict>, Seat, Running),
}

impl Passwords {
    /// Has verified none. `key` is random, and of this process alone.
    pub fn new(key: Secret<[u8; 32]>, decoy: Decoy, metrics: &Metrics) -> Self {
        let lanes = Lanes::for_hashes_like(&decoy);
        let verifier =
            move |stored: Option<&PasswordHash>, sent: &Credential, memory: &mut Memory| {
                match stored {
                    Some(hash) => hash.matches(sent, memory),
                    None => decoy.matches(sent, memory),
                }
            };
        Self::with(key, lanes, metrics, Box::new(verifier))
    }

    fn with(key: Secret<[u8; 32]>, lanes: Lanes, metrics: &Metrics, verifier: Verifier) -> Self {
        Self(Arc::new(State {
            key,
            right: Latest::new(MAX_REMEMBERED, REMEMBERED),
            wrong: Latest::new(MAX_REMEMBERED, REMEMBERED),
            known: Latest::new(MAX_KNOWN, KNOWN),
            guesses: Guesses::default(),
            lanes,
            running: Mutex::default(),
            counts: Counts::of(metrics),
            verifier,
        }))
    }

    /// Whether the credential is the one whose hash is stored under `name`; without a hash it
    /// never is, and takes as long. An empty one never is.
    ///
    /// # Errors
    /// [`Denial::RateLimited`] for too many wrong ones from `from`, or too many waiting;
    /// [`Denial::Internal`] where it could not be verified.
    pub async fn verify(
        &self,
        name: &str,
        from: Option<ClientIp>,
        guesser: Guesser<'_>,
        credential: &Credential,
        stored: Option<&PasswordHash>,
    ) -> Result<bool, Denial> {
        if credential.is_empty() {
            return Ok(false);
        }
        let state = &self.0;
        let question = state.question(name, from, guesser, credential, stored);
        let answered = match state.step(&question) {
            Ok(Step::Answered(right)) => {
                state.counts.memory.inc();
                Ok(right)
            }
            Ok(Step::Waiting(verdict)) => {
                state.counts.memory.inc();
                awaited(verdict).await
            }
            Ok(Step::Begun(verdict, seat, running)) => {
                // Whoever hangs up leaves a verification that has begun, and its place, behind.
                tokio::spawn(running.run(seat, credential.clone(), stored.cloned()));
                awaited(verdict).await
            }
            Err(denial) => Err(denial),
        };
        if answered == Ok(false) {
            state.counts.wrong.inc();
        }
        answered
    }
}

async fn awaited(mut verdict: watch::Receiver<Verdict>) -> Result<bool, Denial> {
    match verdict.wait_for(Option::is_some).await {
        Ok(told) => told.clone().unwrap_or(Ok(false)),
        Err(_) => Err(Denial::Internal("a password's verification ended early".to_owned())),
    }
}

impl State {
    fn question<'a>(
        &self,
        name: &str,
        from: Option<ClientIp>,
        guesser: Guesser<'a>,
        credential: &Credential,
        stored: Option<&PasswordHash>,
    ) -> Question<'a> {
        // Callers and users may have the same names.
        let whose: &[u8] = match guesser {
            Guesser::Trusted(_) => b"user",
            Guesser::Stranger | Guesser::AtHome => b"caller",
        };
        let from = Neighbourhood::of(from);
        let hash = stored.map_or("", PasswordHash::as_str);
        let what = self.digest(&[
            b"what",
            whose,
            name.as_bytes(),
            credential.expose().as_bytes(),
            hash.as_bytes(),
        ]);
        let place = self.digest(&[b"place", whose, name.as_bytes(), &from.bytes()]);
        let both = self.digest(&[b"both", &what, &place]);
        Question { of: Asked { what, place, both }, guesser, from }
    }

    /// Each part with its length before it: no two lists of parts have one digest.
    fn digest(&self, parts: &[&[u8]]) -> Digest {
        // HMAC takes a key of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.key.expose()) else {
            return [0; 32];
        };
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// What is to be done, decided at once: two that ask the same cannot both begin.
    fn step(self: &Arc<Self>, question: &Question<'_>) -> Result<Step, Denial> {
        let (of, now) = (question.of, Instant::now());
        let mut running = self.running();
        if let Some(verdict) = running.get(&of.both) {
            return Ok(Step::Waiting(verdict.subscribe()));
        }
        let is_known = self.known.get(&of.place, now) == Some(fingerprint(&of.what));
        let is_right = self.right.get(&of.what, now).is_some();
        if is_known && is_right {
            return Ok(Step::Answered(true));
        }
        if self.wrong.get(&of.both, now).is_some() {
            return Ok(Step::Answered(false));
        }
        // Right elsewhere: that is told only within the limit, or it could be guessed beyond it.
        if is_right {
            self.take_guess(question)?;
            self.known.insert(of.place, fingerprint(&of.what), now);
            return Ok(Step::Answered(true));
        }
        // Before the limit: where there is no seat, no limiter is made for another name, and so
        // no flood of names can push out those of other guesses.
        let line = Line::of(is_known, question.guesser);
        let seat = self.lanes.seat(line).ok_or_else(|| self.busy())?;
        let guess = if is_known { None } else { Some(self.take_guess(question)?) };
        let (sender, receiver) = watch::channel(None);
        running.insert(of.both, sender.clone());
        let state = self.clone();
        Ok(Step::Begun(receiver, seat, Running { state, of, guess, sender }))
    }

    fn take_guess(&self, question: &Question<'_>) -> Result<Guess, Denial> {
        self.guesses.take(question.of.place, question.from, question.guesser).map_err(|seconds| {
            self.counts.limited.inc();
            Denial::RateLimited(seconds)
        })
    }

    fn busy(&self) -> Denial {
        self.counts.busy.inc();
        Denial::RateLimited(BUSY)
    }

    fn remember(&self, of: &Asked, right: bool) {
        let now = Instant::now();
        if right {
            self.right.insert(of.what, (), now);
            self.known.insert(of.place, fingerprint(&of.what), now);
        } else {
            self.wrong.insert(of.both, (), now);
        }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<Digest, watch::Sender<Verdict>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Enough to tell a wrong guess apart, and too little to find the password by.
fn fingerprint(what: &Digest) -> u16 {
    let [first, second, ..] = *what;
    u16::from_be_bytes([first, second])
}

/// A verification under way. Those who wait are let go when it is dropped.
struct Running {
    state: Arc<State>,
    of: Asked,
    /// Where this is a guess.
    guess: Option<Guess>,
    sender: watch::Sender<Verdict>,
}

impl Running {
    async fn run(mut self, seat: Seat, credential: Credential, stored: Option<PasswordHash>) {
        let mut entering = pin!(seat.entered());
        let place = loop {
            tokio::select! {
                place = &mut entering => break place,
                () = self.sender.closed() => if self.is_abandoned() { return },
            }
        };
        let Some(mut place) = place else {
            self.tell(Err(self.state.busy()));
            return;
        };
        let state = self.state.clone();
        state.counts.argon2.inc();
        let verified = tokio::task::spawn_blocking(move || {
            let verified = (state.verifier)(stored.as_ref(), &credential, &mut place.memory);
            // The place is taken until here, whoever still waits.
            drop(place);
            verified
        });
        let verdict = match verified.await {
            Ok(Ok(right)) => Ok(right),
            Ok(Err(error)) => Err(Denial::Internal(error.to_string())),
            Err(error) => Err(Denial::Internal(format!("a password's verification: {error}"))),
        };
        if let Ok(right) = verdict {
            self.state.remember(&self.of, right);
            if let Some(guess) = self.guess.take().filter(|_| !right) {
                guess.was_wrong();
            }
        }
        self.tell(verdict);
    }

    /// Nobody waits any more, and nobody will: they join under the same lock.
    fn is_abandoned(&self) -> bool {
        let mut running = self.state.running();
        let abandoned = self.sender.is_closed();
        if abandoned {
            running.remove(&self.of.both);
        }
        abandoned
    }

    fn tell(&self, verdict: Result<bool, Denial>) {
        self.sender.send_replace(Some(verdict));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut running = self.state.running();
        // Once abandoned, another may have begun the same.
        if running.get(&self.of.both).is_some_and(|sender| sender.same_channel(&self.sender)) {
            running.remove(&self.of.both);
        }
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Passwords({} verified)", self.0.right.len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Condvar,
        atomic::{AtomicUsize, Ordering::SeqCst},
    };

    use super::*;

    const HASHES: [&str; 2] = [
        "$argon2id$v=19$m=64,t=3,p=4$OCBieXRlcy4$dHqZ3WIldGmByHPnLSB7ng",
        "$argon2id$v=19$m=64,t=3,p=4$OCBieXRlcy4$dHqZ3WIldGmByHPnLSB7nQ",
    ];

    /// Stands for argon2: counts, and waits for whom it has no hash while it is shut.
    #[derive(Default)]
    struct Bench {
        runs: AtomicUsize,
        now: AtomicUsize,
        most: AtomicUsize,
        shut: Mutex<bool>,
        opened: Condvar,
    }

    impl Bench {
        fn verify(&self, stored: Option<&PasswordHash>, credential: &Credential) -> bool {
            self.runs.fetch_add(1, SeqCst);
            self.most.fetch_max(self.now.fetch_add(1, SeqCst) + 1, SeqCst);
            if stored.is_none() {
                let shut = self.shut.lock().unwrap();
                drop(self.opened.wait_while(shut, |shut| *shut).unwrap());
            }
            self.now.fetch_sub(1, SeqCst);
            stored.is_some() && credential.expose() == Credential::of("right").expose()
        }

        fn shut(&self, shut: bool) {
            *self.shut.lock().unwrap() = shut;
            self.opened.notify_all();
        }

        fn runs(&self) -> usize {
            self.runs.load(SeqCst)
        }
    }

    fn lanes() -> Lanes {
        Lanes::for_hashes_like(&Decoy::like([]))
    }

    struct Ask {
        passwords: Passwords,
        bench: Arc<Bench>,
        metrics: Metrics,
    }

    impl Ask {
        fn new() -> Self {
            let (bench, metrics) = (Arc::<Bench>::default(), Metrics::default());
            let worked = bench.clone();
            let verifier: Verifier =
                Box::new(move |stored, credential, _| Ok(worked.verify(stored, credential)));
            let passwords = Passwords::with(Secret::new([7; 32]), lanes(), &metrics, verifier);
            Self { passwords, bench, metrics }
        }

        /// A stranger's, at 192.0.2.`host`.
        async fn at(&self, host: u8, name: &str, sent: &str) -> Result<bool, Denial> {
            let hash = HASHES[0].parse().ok().filter(|_| name == "joe");
            self.by(Guesser::Stranger, host, name, sent, hash.as_ref()).await
        }

        async fn by(
            &self,
            guesser: Guesser<'_>,
            host: u8,
            name: &str,
            sent: &str,
            stored: Option<&PasswordHash>,
        ) -> Result<bool, Denial> {
            let from = Some(ClientIp::new([192, 0, 2, host].into()));
            self.passwords.verify(name, from, guesser, &Credential::of(sent), stored).await
        }

        /// Somebody who asks and may be hung up, whom no stored hash will answer.
        fn stranger(&self, host: u8, name: &str) -> tokio::task::JoinHandle<Result<bool, Denial>> {
            let (passwords, name) = (self.passwords.clone(), name.to_owned());
            tokio::spawn(async move {
                let from = Some(ClientIp::new([192, 0, 2, host].into()));
                let credential = Credential::of("guess");
                passwords.verify(&name, from, Guesser::Stranger, &credential, None).await
            })
        }

        /// As after a minute.
        fn forget_verdicts(&self) {
            self.passwords.0.right.clear();
            self.passwords.0.wrong.clear();
        }

        fn waiting(&self) -> usize {
            self.passwords.0.running().len()
        }
    }

    async fn until(what: impl Fn() -> bool) {
        let seen = async {
            while !what() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), seen).await.unwrap();
    }

    fn is_limited(answer: &Result<bool, Denial>) -> bool {
        matches!(answer, Err(Denial::RateLimited(1..)))
    }

    #[tokio::test]
    async fn a_right_password_is_verified_once_and_then_remembered() {
        let ask = Ask::new();
        for _ in 0..1_000 {
            assert_eq!(ask.at(1, "joe", "right").await, Ok(true));
        }
        assert_eq!(ask.bench.runs(), 1);
        let text = ask.metrics.render();
        assert!(text.contains("oncegate_passwords_total{how=\"memory\"} 999"), "{text}");
        assert!(text.contains("oncegate_passwords_total{how=\"argon2\"} 1"), "{text}");
    }

    #[tokio::test]
    async fn the_same_asked_at_once_is_verified_once() {
        let ask = Arc::new(Ask::new());
        let asked: Vec<_> = (0..200)
            .map(|_| {
                let ask = ask.clone();
                tokio::spawn(async move { ask.at(1, "joe", "right").await })
            })
            .collect();
        for answer in asked {
            assert_eq!(answer.await.unwrap(), Ok(true));
        }
        assert_eq!(ask.bench.runs(), 1);
    }

    #[tokio::test]
    async fn another_name_credential_or_hash_is_another_question() {
        let ask = Ask::new();
        let hashes = HASHES.map(|text| text.parse::<PasswordHash>().unwrap());
        let (stranger, user) = (Guesser::Stranger, Guesser::Trusted("campaign"));
        let all = [
            (stranger, "joe", "right", &hashes[0], true),
            (stranger, "joe", "right", &hashes[1], true),
            (stranger, "joe", "wrong", &hashes[0], false),
            (stranger, "jo", "right", &hashes[0], true),
            (user, "joe", "right", &hashes[0], true),
        ];
        for (runs, (guesser, name, sent, hash, right)) in all.into_iter().enumerate() {
            for _ in 0..2 {
                assert_eq!(ask.by(guesser, 1, name, sent, Some(hash)).await, Ok(right));
                assert_eq!(ask.bench.runs(), runs + 1, "{name} {sent}");
            }
        }
        let state = &ask.passwords.0;
        assert_ne!(state.digest(&[b"ab", b"c"]), state.digest(&[b"a", b"bc"]));
        assert_ne!(state.digest(&[b"ab", b""]), state.digest(&[b"ab"]));
        let verifier: Verifier = Box::new(|_, _, _| Ok(true));
        let other = Passwords::with(Secret::new([8; 32]), lanes(), &ask.metrics, verifier);
        assert_ne!(state.digest(&[b"ab"]), other.0.digest(&[b"ab"]), "each process has its key");
    }

    #[tokio::test]
    async fn an_unknown_name_is_answered_as_a_wrong_password_is() {
        let ask = Ask::new();
        for (host, name) in [(1, "joe"), (2, "nobody")] {
            let before = ask.bench.runs();
            for n in 0..20 {
                let answer = ask.at(host, name, &format!("guess {n}")).await;
                let told = if n < 10 { answer == Ok(false) } else { is_limited(&answer) };
                assert!(told, "{name} {n}: {answer:?}");
            }
            assert_eq!(ask.bench.runs() - before, 10, "{name}");
        }
        let text = ask.metrics.render();
        assert!(text.contains("oncegate_passwords_refused_total{why=\"wrong\"} 20"), "{text}");
        assert!(text.contains("oncegate_passwords_refused_total{why=\"limited\"} 20"), "{text}");
    }

    #[tokio::test]
    async fn the_same_wrong_password_again_and_again_costs_one_guess() {
        let ask = Ask::new();
        for _ in 0..1_000 {
            assert_eq!(ask.at(1, "joe", "old").await, Ok(false));
        }
        assert_eq!(ask.bench.runs(), 1);
        for n in 0..9 {
            assert_eq!(ask.at(1, "joe", &n.to_string()).await, Ok(false));
        }
        assert!(is_limited(&ask.at(1, "joe", "9").await));
    }

    #[tokio::test]
    async fn a_thousand_guesses_lock_out_neither_a_known_caller_nor_one_elsewhere() {
        let ask = Ask::new();
        assert_eq!(ask.at(1, "joe", "right").await, Ok(true));
        let mut limited = 0;
        for n in 0..1_000 {
            limited += usize::from(is_limited(&ask.at(1, "joe", &n.to_string()).await));
        }
        // The limiter gives one more in six seconds.
        assert!((980..=991).contains(&limited), "{limited}");
        for host in [1, 2] {
            assert_eq!(ask.at(host, "joe", "right").await, Ok(true), "{host}");
        }
        ask.forget_verdicts();
        let before = ask.bench.runs();
        assert_eq!(ask.at(1, "joe", "right").await, Ok(true), "its address is known");
        assert_eq!(ask.bench.runs(), before + 1);
        assert_eq!(ask.at(3, "joe", "right").await, Ok(true), "nobody guessed there");
    }

    #[tokio::test]
    async fn what_is_right_elsewhere_is_not_told_beyond_the_limit() {
        let ask = Ask::new();
        assert_eq!(ask.at(1, "joe", "right").await, Ok(true));
        for n in 0..10 {
            assert_eq!(ask.at(2, "joe", &n.to_string()).await, Ok(false));
        }
        assert!(is_limited(&ask.at(2, "joe", "right").await));
        assert_eq!(ask.at(1, "joe", "right").await, Ok(true));
    }

    #[tokio::test]
    async fn wrong_passwords_of_any_users_are_limited_by_caller_and_right_ones_are_not() {
        let ask = Ask::new();
        let hash: PasswordHash = HASHES[0].parse().unwrap();
        let of_user = async |caller: &str, n: usize, sent: &str| {
            let (name, host) = (format!("user {n}"), u8::try_from(n % 200).unwrap());
            ask.by(Guesser::Trusted(caller), host, &name, sent, Some(&hash)).await
        };
        for n in 0..100 {
            assert_eq!(of_user("campaign", n, "right").await, Ok(true), "{n}");
        }
        ask.forget_verdicts();
        let mut wrong = 0;
        let limited = loop {
            match of_user("campaign", 100 + wrong, "wrong").await {
                Ok(false) => wrong += 1,
                other => break other,
            }
        };
        // The limiter gives one more in two seconds.
        assert!(is_limited(&limited) && (30..=35).contains(&wrong), "{wrong} {limited:?}");
        assert_eq!(of_user("campaign", 7, "right").await, Ok(true), "it is known");
        assert_eq!(of_user("whmcs", 100 + wrong, "wrong").await, Ok(false), "another caller");
        let text = ask.metrics.render();
        assert!(text.contains("oncegate_passwords_refused_total{why=\"limited\"} 1"), "{text}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn at_most_two_are_verified_at_once() {
        let ask = Arc::new(Ask::new());
        let hash: PasswordHash = HASHES[0].parse().unwrap();
        let asked: Vec<_> = (0..60_u8)
            .map(|n| {
                let (ask, hash) = (ask.clone(), hash.clone());
                let guesser = [Guesser::Stranger, Guesser::AtHome, Guesser::Trusted("campaign")];
                let guesser = guesser[usize::from(n) % 3];
                tokio::spawn(async move {
                    ask.by(guesser, n, &format!("name {n}"), "right", Some(&hash)).await
                })
            })
            .collect();
        let mut right = 0;
        for answer in asked {
            right += usize::from(answer.await.unwrap() == Ok(true));
        }
        // A line of 32 holds 20 strangers; the other's, of 40, may turn some away.
        assert!(right >= 52, "{right}");
        assert_eq!(ask.bench.runs(), right);
        assert!(ask.bench.most.load(SeqCst) <= 2);
    }

    #[tokio::test]
    async fn a_flood_of_strangers_turns_away_strangers_alone() {
        let ask = Ask::new();
        assert_eq!(ask.at(200, "joe", "right").await, Ok(true));
        ask.forget_verdicts();
        ask.bench.shut(true);
        let flood: Vec<_> = (0..40).map(|host| ask.stranger(host, "nobody")).collect();
        until(|| ask.waiting() == 32 && ask.bench.now.load(SeqCst) == 1).await;
        assert_eq!(ask.at(201, "joe", "right").await, Err(Denial::RateLimited(BUSY)));
        let hash: PasswordHash = HASHES[0].parse().unwrap();
        for (guesser, host) in
            [(Guesser::AtHome, 201), (Guesser::Trusted("campaign"), 201), (Guesser::Stranger, 200)]
        {
            let answer = ask.by(guesser, host, "joe", "right", Some(&hash)).await;
            assert_eq!(answer, Ok(true), "{guesser:?}");
            ask.forget_verdicts();
        }
        ask.bench.shut(false);
        let mut busy = 0;
        for answer in flood {
            busy += usize::from(answer.await.unwrap() == Err(Denial::RateLimited(BUSY)));
        }
        assert_eq!(busy, 8);
        assert_eq!(ask.bench.most.load(SeqCst), 2);
    }

    #[tokio::test]
    async fn who_hangs_up_leaves_the_line_but_not_the_place_where_it_is_verified() {
        let ask = Ask::new();
        ask.bench.shut(true);
        let first = ask.stranger(1, "nobody");
        until(|| ask.bench.now.load(SeqCst) == 1).await;
        let waiting: Vec<_> = (2..40).map(|host| ask.stranger(host, "nobody")).collect();
        until(|| ask.waiting() == 32).await;
        waiting.iter().chain([&first]).for_each(tokio::task::JoinHandle::abort);
        until(|| ask.waiting() == 1).await;
        let later = ask.stranger(50, "somebody");
        until(|| ask.waiting() == 2).await;
        assert_eq!(ask.bench.runs(), 1, "the place is taken until its work is done");
        ask.bench.shut(false);
        assert_eq!(later.await.unwrap(), Ok(false));
        assert_eq!(ask.bench.runs(), 2, "nothing is verified for those who left the line");
        assert_eq!(ask.bench.most.load(SeqCst), 1);
        assert_eq!(ask.at(1, "nobody", "guess").await, Ok(false));
        assert_eq!(ask.bench.runs(), 2, "what came out is remembered though nobody heard it");
    }

    #[tokio::test]
    async fn no_password_is_wrong_without_a_verification() {
        let ask = Ask::new();
        for sent in ["", "d41d8cd98f00b204e9800998ecf8427e"] {
            assert_eq!(ask.at(1, "joe", sent).await, Ok(false));
        }
        assert_eq!(ask.bench.runs(), 0);
    }

    #[tokio::test]
    async fn a_verification_that_fails_is_nobodys_verdict() {
        let verifier: Verifier = Box::new(|_, _, _| Err(NoMemory));
        let metrics = Metrics::default();
        let passwords = Passwords::with(Secret::new([7; 32]), lanes(), &metrics, verifier);
        let word = Credential::of("right");
        for _ in 0..2 {
            let answer =
                passwords.verify("joe", None, Guesser::Trusted("campaign"), &word, None).await;
            assert!(matches!(answer, Err(Denial::Internal(_))), "{answer:?}");
        }
    }

    #[tokio::test]
    async fn argon2_itself_tells_right_from_wrong() {
        let metrics = Metrics::default();
        let passwords = Passwords::new(Secret::new([7; 32]), Decoy::like([]), &metrics);
        let hash: PasswordHash = HASHES[0].parse().unwrap();
        let word = Credential::of("zo\u{eb}");
        for (stored, right) in [(Some(&hash), true), (None, false)] {
            let answer =
                passwords.verify("joe", None, Guesser::Trusted("campaign"), &word, stored).await;
            assert_eq!(answer, Ok(right));
        }
        assert!(!format!("{passwords:?}").contains("joe"));
    }
}
