//! One memory for several gates, as one of them sees it.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::time::Instant;

use super::{
    asking::Asking,
    hearing::{Known, not_an_answer},
    protocol::{Ask, Server, Told, Unanswered},
};
use crate::{
    gate::{
        denial::Denial,
        id::{MemoryId, SessionId, TokenId},
        revoked::Revoked,
        seen::Spent,
    },
    store::{
        error::{NewMemory, StoreNotice},
        fullness::{self, Fullness},
        once::Use,
        options::StoreStatus,
    },
};

/// For how long what was heard counts.
const FRESH: Duration = Duration::from_secs(2);

/// Between two sweeps.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// How often a question is put anew that was not answered with yes or no.
pub(super) const TRIES: usize = 3;

/// How often a use is put anew because something was taken back meanwhile: where a thousand users
/// sign out in a second, every third try or so.
const HEARINGS: usize = 30;

/// Notices kept until somebody takes them.
const MAX_NOTICES: usize = 64;

/// No expiry is later: beyond it, Lua's numbers would not be exact for long. The same as in a
/// journal.
const LATEST: u64 = (1 << 40) - 1;

/// What a gate is to know of the memory that it shares.
#[derive(Debug, Clone)]
pub struct SharedOptions {
    /// The gate's name.
    pub gate: String,
    /// Uses remembered at most.
    pub max_entries: usize,
    /// Revocations remembered at most.
    pub max_revocations: usize,
}

/// One memory for several gates, as one of them sees it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Shared(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    /// The gate's name and what tells this process from any other of that name.
    pub(super) name: String,
    pub(super) max_entries: u64,
    pub(super) max_revocations: usize,
    pub(super) random: fn() -> [u8; 16],
    pub(super) asking: Asking,
    pub(super) revoked: ArcSwap<Revoked>,
    /// Held by whoever hears: one at a time, so that what is heard is taken in in order.
    pub(super) hearing: tokio::sync::Mutex<()>,
    known: Mutex<Known>,
    upkeep: Mutex<Upkeep>,
    notices: Mutex<VecDeque<StoreNotice>>,
    refused_full: AtomicU64,
    /// The latest second that anything issued here bears.
    issued_until: AtomicU64,
    fullness: Fullness,
    new_memories: [AtomicU64; NewMemory::LABELS.len()],
    closed: AtomicBool,
}

#[derive(Debug, Default)]
struct Upkeep {
    swept: Option<Instant>,
    /// Why it is down, in all words that were told of it since it is.
    down: Vec<String>,
}

impl Shared {
    /// A gate that has heard nothing yet. `random` gives 128 random bits.
    pub fn new(server: Arc<dyn Server>, options: SharedOptions, random: fn() -> [u8; 16]) -> Self {
        let SharedOptions { gate, max_entries, max_revocations } = options;
        let process = u128::from_le_bytes(random());
        Self(Arc::new(Inner {
            name: format!("{gate}/{process:032x}"),
            max_entries: max_entries as u64,
            max_revocations,
            random,
            asking: Asking::new(server),
            revoked: ArcSwap::from_pointee(Revoked::new(max_revocations)),
            hearing: tokio::sync::Mutex::default(),
            known: Mutex::default(),
            upkeep: Mutex::default(),
            notices: Mutex::default(),
            refused_full: AtomicU64::new(0),
            issued_until: AtomicU64::new(0),
            fullness: Fullness::default(),
            new_memories: NewMemory::LABELS.map(|_| AtomicU64::new(0)),
            closed: AtomicBool::new(false),
        }))
    }

    /// Listens once: hears what there is, heals the memory, has it swept. At least each second.
    pub async fn listen(&self) {
        let mut done = self.hear().await;
        let due = {
            let swept = lock(&self.0.upkeep).swept;
            swept.is_none_or(|at| at.elapsed() >= SWEEP_EVERY)
        };
        if done.is_ok() && due {
            lock(&self.0.upkeep).swept = Some(Instant::now());
            done = self.sweep().await;
        }
        let (entries, max_entries) = self.room(&self.known());
        if let Some(room) = self.0.fullness.relax(entries, max_entries) {
            self.notice(room);
        }
        let mut upkeep = lock(&self.0.upkeep);
        match done {
            Ok(()) if upkeep.down.is_empty() => {}
            Ok(()) => {
                upkeep.down.clear();
                self.notice(StoreNotice::Answers);
            }
            Err(Unanswered { why, .. }) if upkeep.down.contains(&why) => {}
            Err(Unanswered { why, .. }) => {
                upkeep.down.push(why.clone());
                self.notice(StoreNotice::Down(why));
            }
        }
    }

    /// The memory to issue with: the last one heard of.
    ///
    /// # Errors
    /// [`Denial::StoreUnavailable`] where that is too long ago.
    pub fn mem(&self) -> Result<MemoryId, Denial> {
        self.fresh().map_err(|why| Denial::StoreUnavailable { unspent: true, why })
    }

    /// Records the use of a token, once.
    ///
    /// # Errors
    /// [`Denial::Fenced`], [`Denial::Expired`], [`Denial::AlreadyUsed`], [`Denial::StoreFull`],
    /// [`Denial::StoreUnavailable`]; [`Denial::Malformed`] for an expiry past the year 36,000.
    pub async fn spend(&self, token: &Use) -> Result<Spent, Denial> {
        let Use { id, mem, expires, .. } = *token;
        if expires > LATEST {
            return Err(Denial::Malformed("exp is too late to be recorded"));
        }
        let attempt = (self.0.random)();
        // Whether no question without an answer can still have its effect.
        let mut unspent = true;
        for _ in 0..HEARINGS {
            self.open().map_err(|why| unavailable(why, unspent))?;
            let heard = {
                let known = self.known();
                if known.mem == Some(mem) { known.heard } else { 0 }
            };
            let max_entries = self.0.max_entries;
            let ask = Ask::Spend { mem, id, expires, attempt, heard, max_entries };
            let (told, sure) = self.0.asking.ask_twice(ask).await;
            unspent &= sure;
            match told.map_err(|why| unavailable(why, unspent))? {
                Told::Spent => return Ok(Spent::elsewhere(id)),
                Told::Full => {
                    self.0.refused_full.fetch_add(1, Ordering::Relaxed);
                    if unspent {
                        return Err(Denial::StoreFull);
                    }
                    // A try before this, of which nothing was heard, may have found room.
                    let why = "there is no room".to_owned();
                    return Err(Denial::StoreUnavailable { unspent, why });
                }
                // Nothing was recorded: what was taken back is heard first.
                Told::Behind => {
                    self.hear().await.map_err(|why| unavailable(why, unspent))?;
                }
                told => return Err(self.refusal(told, token).await),
            }
        }
        let why = "revocations come faster than they are heard".to_owned();
        Err(Denial::StoreUnavailable { unspent, why })
    }

    /// Whether [`Shared::spend`] would refuse the token now; records nothing, promises nothing.
    ///
    /// # Errors
    /// [`Denial::Fenced`], [`Denial::StoreUnavailable`], [`Denial::Expired`],
    /// [`Denial::AlreadyUsed`].
    pub async fn look(&self, token: &Use) -> Result<(), Denial> {
        let Use { id, mem, expires, .. } = *token;
        self.open().map_err(|why| unavailable(why, true))?;
        let (told, _) = self.0.asking.ask_twice(Ask::Look { mem, id, expires }).await;
        // Nothing is spent by looking, whatever became of the question.
        match told.map_err(|why| unavailable(why, true))? {
            Told::Spent => Ok(()),
            told => Err(self.refusal(told, token).await),
        }
    }

    /// What a refusal means for the token; a memory that is gone or broken is replaced.
    async fn refusal(&self, told: Told, token: &Use) -> Denial {
        let replaced = match told {
            Told::Used => return Denial::AlreadyUsed,
            Told::Expired => return Denial::Expired(token.expires),
            Told::Fenced(there) if there.is_some() && there == self.known().mem => Ok(()),
            Told::Fenced(_) => self.hear().await,
            Told::Broken(why) => self.replace(token.mem, why).await,
            _ => return unavailable(not_an_answer(), false),
        };
        // If that failed, it is tried again before long; for this token it makes no difference.
        drop(replaced);
        Denial::Fenced(token.mem.to_string())
    }

    /// Notes that something dated `now` is issued, or a session begun, and warns where there will
    /// be no room for its use before long.
    pub fn issuing(&self, now: u64) {
        self.0.issued_until.fetch_max(now, Ordering::SeqCst);
        let (entries, max_entries) = self.room(&self.known());
        if let Some(warning) = self.0.fullness.issuing(entries, max_entries, now) {
            self.notice(warning);
        }
    }

    /// Uses remembered, as far as was heard, and how many may be.
    fn room(&self, known: &Known) -> (usize, usize) {
        let size = |number| usize::try_from(number).unwrap_or(usize::MAX);
        (size(known.entries), size(self.0.max_entries))
    }

    /// The latest second that anything issued here bears.
    pub fn issued_until(&self) -> u64 {
        self.0.issued_until.load(Ordering::SeqCst)
    }

    /// The latest moment up to which `user` was taken back on `site`; 0 where that never was.
    pub fn user_revoked_until(&self, site: &str, user: &str) -> u64 {
        self.0.revoked.load().user_until(site, user)
    }

    /// Whether `caller` has taken back the link `id`.
    pub fn link_revoked_by(&self, id: TokenId, caller: &str) -> bool {
        self.0.revoked.load().link(id, caller)
    }

    /// Whether what was issued to `user` on `site` at `issued_at` was taken back.
    pub fn user_revoked(&self, site: &str, user: &str, issued_at: u64) -> bool {
        self.0.revoked.load().user(site, user, issued_at)
    }

    /// Whether the session was ended.
    pub fn session_ended(&self, id: SessionId) -> bool {
        self.0.revoked.load().session(id)
    }

    /// Whether revocations of what expires at `expires` may have been dropped already.
    pub fn forgotten(&self, expires: u64) -> bool {
        expires <= self.0.revoked.load().horizon()
    }

    /// Whether every revocation of a session begun under `mem` is known here: of none before this
    /// gate has heard all there was when it began to listen.
    pub fn knows_sessions_of(&self, mem: MemoryId) -> bool {
        !self.0.closed.load(Ordering::SeqCst) && self.known().lineage.contains(&mem)
    }

    /// How the memory is doing, as far as this gate has heard.
    pub fn status(&self) -> StoreStatus {
        let open = self.open().map_err(|Unanswered { why, .. }| why);
        let why = open.and_then(|()| self.fresh()).err();
        let mut new_memories = NewMemory::LABELS.map(|label| (label, 0));
        for ((_, number), counted) in new_memories.iter_mut().zip(&self.0.new_memories) {
            *number = counted.load(Ordering::Relaxed);
        }
        let known = self.known();
        let (entries, max_entries) = self.room(&known);
        StoreStatus {
            healthy: why.is_none(),
            why,
            started: !known.lineage.is_empty(),
            mem: known.mem.unwrap_or(MemoryId::from_bytes([0; 16])),
            entries,
            max_entries,
            nearly_full: fullness::is_near(entries, max_entries),
            revocations: self.0.revoked.load().entries(),
            max_revocations: self.0.max_revocations,
            horizon: known.horizon,
            refused_full: self.0.refused_full.load(Ordering::Relaxed),
            new_memories,
            segments: 0,
            journal_bytes: 0,
            journal_written: None,
            durability: None,
            peers: Vec::new(),
            questions: Some(self.0.asking.questions()),
        }
    }

    /// What happened since this was last asked, for the log.
    pub fn take_notices(&self) -> Vec<StoreNotice> {
        lock(&self.0.notices).drain(..).collect()
    }

    /// Asks nothing any more. Clones refuse from then on.
    pub fn close(&self) {
        self.0.closed.store(true, Ordering::SeqCst);
        self.0.asking.end();
    }

    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        lock(&self.0.known)
    }

    pub(super) fn notice(&self, notice: StoreNotice) {
        let mut notices = lock(&self.0.notices);
        if notices.len() >= MAX_NOTICES {
            notices.pop_front();
        }
        notices.push_back(notice);
    }

    pub(super) fn count(&self, why: &NewMemory) {
        let labels = NewMemory::LABELS.iter().zip(&self.0.new_memories);
        for (_, counter) in labels.filter(|(label, _)| **label == why.label()) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn fresh(&self) -> Result<MemoryId, String> {
        let known = self.known();
        match (known.mem, known.fresh) {
            (Some(mem), Some(asked)) if asked.elapsed() < FRESH => Ok(mem),
            (_, Some(_)) => {
                Err("nothing was heard of the shared memory for two seconds".to_owned())
            }
            (_, None) => Err("nothing was heard of the shared memory yet".to_owned()),
        }
    }

    pub(super) fn open(&self) -> Result<(), Unanswered> {
        if self.0.closed.load(Ordering::SeqCst) {
            return Err(Unanswered { unasked: true, why: "this gate ends".to_owned() });
        }
        Ok(())
    }
}

fn unavailable(Unanswered { why, .. }: Unanswered, unspent: bool) -> Denial {
    Denial::StoreUnavailable { unspent, why }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
