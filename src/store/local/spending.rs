//! The store: one memory at a time, and its replacement.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;

use super::{
    error::{NewMemory, StoreError, StoreNotice},
    executor::beside_the_executor,
    fullness::{self, Fullness},
    journal::Place,
    load::{self, Found},
    lock::DirectoryLock,
    memory::{Known, Memory},
    options::{StoreOptions, StoreStatus},
    segment,
    spenders::Spenders,
};
use crate::gate::{
    denial::Denial,
    id::{MemoryId, TokenId},
    seen::SeenSet,
};

/// Seconds between syncs where `durability = process` leaves writing to the kernel.
const SYNC_EVERY: u64 = 10;

/// Notices kept until somebody takes them.
const MAX_NOTICES: usize = 64;

/// Which tokens were used, and what was taken back. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Local(pub(super) Arc<Shared>);

/// What all clones of a store have in common.
#[derive(Debug)]
pub(super) struct Shared {
    /// The memory in force.
    pub(super) current: ArcSwap<Memory>,
    /// Those who spend at the same time.
    pub(super) spenders: Spenders,
    options: StoreOptions,
    /// Where its journals are.
    pub(super) place: Option<Place>,
    random: fn() -> [u8; 16],
    upkeep: Mutex<Upkeep>,
    notices: Mutex<VecDeque<StoreNotice>>,
    pub(super) refused_full: AtomicU64,
    /// Whether it is the end, and others may go on from here.
    pub(super) closed: AtomicBool,
    /// Whether it was said that the room is getting short.
    pub(super) fullness: Fullness,
    new_memories: [AtomicU64; NewMemory::LABELS.len()],
    /// The ownership of that directory: last, so that it is given back when nothing can be
    /// written any more.
    pub(super) lock: Mutex<Option<DirectoryLock>>,
}

#[derive(Debug, Default)]
struct Upkeep {
    /// The second of the last attempt to make a new memory that failed.
    last_attempt: Option<u64>,
    last_sync: u64,
    closed: bool,
    /// Memories that ended, held until no request does: the last to let go frees all of it.
    replaced: Vec<Arc<Memory>>,
}

impl Local {
    /// Opens the store: takes the lock, reads the journal, or begins a new memory.
    ///
    /// Blocks: for up to `lock_wait` for a predecessor, and while the journal is read. `now` is
    /// seconds since the Unix epoch; `random` gives 128 random bits.
    ///
    /// # Errors
    /// [`StoreError`]: the directory is held, another gate's, of a newer version or unusable. A
    /// journal that is not whole is no error: see [`Local::take_notices`].
    pub fn open(
        options: StoreOptions,
        now: u64,
        random: fn() -> [u8; 16],
    ) -> Result<Self, StoreError> {
        let mut notices = VecDeque::new();
        let lock = match &options.journal {
            Some(journal) => {
                Some(DirectoryLock::acquire(&*journal.disk, &journal.dir, journal.lock_wait)?)
            }
            None => None,
        };
        let place = options.journal.as_ref().map(|journal| Place {
            dir: journal.dir.clone(),
            gate: options.gate.clone(),
            boot: journal.boot.clone(),
            durability: journal.durability,
            gather: journal.gather,
            segment_size: segment::sound_size(journal.segment_size),
            disk: Arc::clone(&journal.disk),
            written: Arc::default(),
        });
        let seen = SeenSet::new(options.max_entries);
        let known = Known::new(options.max_revocations, random);
        let found = match &place {
            Some(place) => {
                notices.extend(load::foreign(&*place.disk, &place.dir));
                load::load(place, &seen, &known.revoked, now)?
            }
            None => Found::Lost(NewMemory::First),
        };
        let new_memories = NewMemory::LABELS.map(|_| AtomicU64::new(0));
        let memory = match found {
            Found::Whole { mem, lineage, journal } => {
                let (entries, revocations) = (seen.entries(), known.revoked.entries());
                notices.push_back(StoreNotice::Resumed { entries, revocations });
                Memory::new(mem, lineage, seen, known, Some(*journal))
            }
            Found::Lost(why) => {
                if let Some(place) = &place {
                    load::renounce(place)?;
                }
                count(&new_memories, &why);
                notices.push_back(StoreNotice::Replaced(why));
                let (mem, max) = (MemoryId::from_bytes(random()), options.max_entries);
                let known = Known::new(options.max_revocations, random);
                Memory::create(place.clone(), mem, Vec::new(), max, known)
            }
        };
        let memory = memory.map_err(|error| match &place {
            Some(place) => StoreError::io("begin a journal in", &place.dir, error),
            None => StoreError::io("begin", std::path::Path::new("a memory"), error),
        })?;
        let store = Self(Arc::new(Shared {
            current: ArcSwap::from_pointee(memory),
            spenders: Spenders::default(),
            options,
            place,
            random,
            upkeep: Mutex::new(Upkeep { last_sync: now, ..Upkeep::default() }),
            notices: Mutex::new(notices),
            refused_full: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            fullness: Fullness::default(),
            new_memories,
            lock: Mutex::new(lock),
        }));
        let memory = store.0.current.load_full();
        if memory.clock_went_back(now) {
            store.replace(&memory, &NewMemory::ClockWentBack, now);
        }
        Ok(store)
    }

    /// The memory to issue with. Replaces it first when the clock went back.
    ///
    /// # Errors
    /// [`Denial::StoreUnavailable`] while there is none: a link issued now could not be used.
    pub fn mem(&self, now: u64) -> Result<MemoryId, Denial> {
        let memory = self.0.current.load();
        let broken = match memory.check() {
            Err(why) => NewMemory::Failed(why),
            Ok(()) if memory.clock_went_back(now) => NewMemory::ClockWentBack,
            Ok(()) => return Ok(memory.mem),
        };
        self.replace(&memory, &broken, now);
        let memory = self.0.current.load();
        memory.check().map_err(|why| Denial::StoreUnavailable { unspent: true, why })?;
        Ok(memory.mem)
    }

    /// Whether [`Local::spend`] would refuse the token now; records nothing, promises nothing.
    ///
    /// # Errors
    /// [`Denial::Fenced`], [`Denial::StoreUnavailable`], [`Denial::Expired`],
    /// [`Denial::AlreadyUsed`].
    pub fn look(&self, id: TokenId, mem: MemoryId, expires: u64, now: u64) -> Result<(), Denial> {
        let memory = self.0.current.load();
        if memory.mem != mem {
            return Err(Denial::Fenced(mem.to_string()));
        }
        memory.check().map_err(|why| Denial::StoreUnavailable { unspent: true, why })?;
        memory.seen.look(id, expires, now)
    }

    /// How the store is doing.
    pub fn status(&self) -> StoreStatus {
        let memory = self.0.current.load();
        let why = memory.check().err();
        let (segments, journal_bytes) = memory.journal_size();
        let mut new_memories = NewMemory::LABELS.map(|label| (label, 0));
        for ((_, number), counted) in new_memories.iter_mut().zip(&self.0.new_memories) {
            *number = counted.load(Ordering::Relaxed);
        }
        StoreStatus {
            healthy: why.is_none(),
            why,
            started: true,
            mem: memory.mem,
            entries: memory.seen.entries(),
            max_entries: memory.seen.max_entries(),
            nearly_full: fullness::is_near(memory.seen.entries(), memory.seen.max_entries()),
            max_revocations: self.0.options.max_revocations,
            revocations: memory.known.revoked.entries(),
            horizon: memory.seen.horizon(),
            refused_full: self.0.refused_full.load(Ordering::Relaxed),
            new_memories,
            segments,
            journal_bytes,
            journal_written: self.0.place.as_ref().map(|place| place.written.by_now()),
            durability: self.0.place.as_ref().map(|place| place.durability),
            questions: None,
            peers: Vec::new(),
        }
    }

    /// What happened since this was last asked, for the log; the oldest go first past 64.
    pub fn take_notices(&self) -> Vec<StoreNotice> {
        lock(&self.0.notices).drain(..).collect()
    }

    /// From time to time, at least each second: heals a memory that failed, notices a clock gone
    /// back, drops what expired.
    ///
    /// Blocks while it uses the disk: keep it off the threads that answer requests.
    pub fn tick(&self, now: u64) {
        // Held throughout: what is dropped from the revocations, which memories share, raises the
        // horizon of this memory, so no other may take its place meanwhile.
        let mut upkeep = lock(&self.0.upkeep);
        upkeep.replaced.retain(|memory| Arc::strong_count(memory) > 1);
        let memory = self.0.current.load_full();
        if !self.owns_directory() {
            let gone = NewMemory::Failed("the state directory was moved or removed".to_owned());
            self.replace_holding(&mut upkeep, &memory, &gone, now);
            return;
        }
        if let Err(why) = memory.check() {
            self.replace_holding(&mut upkeep, &memory, &NewMemory::Failed(why), now);
            return;
        }
        if memory.clock_went_back(now) {
            self.replace_holding(&mut upkeep, &memory, &NewMemory::ClockWentBack, now);
            return;
        }
        let mut done = memory.drop_expired(now);
        let room = self.0.fullness.relax(memory.seen.entries(), memory.seen.max_entries());
        if let Some(room) = room {
            self.notice(room);
        }
        // A clock that went back a little puts nothing off.
        let synced = upkeep.last_sync..upkeep.last_sync.saturating_add(SYNC_EVERY);
        if done.is_ok() && !synced.contains(&now) {
            upkeep.last_sync = now;
            done = memory.sync();
        }
        match (memory.check(), done) {
            (Err(why), _) => self.notice(StoreNotice::Ended(why)),
            (Ok(()), Err(why)) => self.notice(StoreNotice::Upkeep(why)),
            (Ok(()), Ok(())) => {}
        }
    }

    /// Stops spending, answers what is under way, syncs, marks the journal as closed, and gives
    /// the directory back. Clones of this store refuse from then on.
    pub async fn close(self) {
        lock(&self.0.upkeep).closed = true;
        self.0.closed.store(true, Ordering::SeqCst);
        let memory = self.0.current.load_full();
        if !self.owns_directory() {
            // What is there now may be another gate's.
            memory.end("closed");
        } else if let Err(error) = memory.close().await {
            self.notice(StoreNotice::Ended(error.to_string()));
        }
        lock(&self.0.lock).take();
    }

    /// Puts a new memory in place of `old`, unless somebody is doing or has done that.
    ///
    /// If none can be made, `old` has ended all the same, and this is tried again at the next
    /// second.
    pub(super) fn replace(&self, old: &Arc<Memory>, why: &NewMemory, now: u64) {
        // Not waited for: who holds it either replaces the memory or has the next tick do so.
        if let Ok(mut upkeep) = self.0.upkeep.try_lock() {
            self.replace_holding(&mut upkeep, old, why, now);
        }
    }

    fn replace_holding(&self, upkeep: &mut Upkeep, old: &Arc<Memory>, why: &NewMemory, now: u64) {
        let replaced = !Arc::ptr_eq(old, &self.0.current.load());
        if replaced || upkeep.closed || upkeep.last_attempt == Some(now) {
            return;
        }
        // First the end: what is recorded or taken back after it is not answered for, so that
        // nothing answered for is missing from what is copied now.
        old.end(&why.to_string());
        let (lineage, known) = if old.known.revoked.misled_by(now) {
            // Something forgotten may be valid again: no session from before is taken. What is
            // remembered goes on, for other gates' links; up to now, and not to a time to come.
            let known = Known::new(self.0.options.max_revocations, self.0.random);
            for revocation in old.known.revoked.all() {
                known.revoked.restore(revocation.up_to(now));
            }
            (Vec::new(), known)
        } else {
            (old.lineage(), old.known.clone())
        };
        if let Err(error) = self.own_directory() {
            upkeep.last_attempt = Some(now);
            self.notice(StoreNotice::Ended(format!("no new memory can be made: {error}")));
            return;
        }
        let mem = MemoryId::from_bytes((self.0.random)());
        let (place, max_entries) = (self.0.place.clone(), self.0.options.max_entries);
        let create = || Memory::create(place, mem, lineage, max_entries, known);
        match beside_the_executor(create) {
            Ok(memory) => {
                self.0.current.store(Arc::new(memory));
                upkeep.replaced.push(Arc::clone(old));
                upkeep.last_attempt = None;
                upkeep.last_sync = now;
                count(&self.0.new_memories, why);
                self.notice(StoreNotice::Replaced(why.clone()));
            }
            Err(error) => {
                // Perhaps for want of space, which the old one still takes.
                old.discard();
                upkeep.last_attempt = Some(now);
                self.notice(StoreNotice::Ended(format!("no new memory can be made: {error}")));
            }
        }
    }

    /// Keeps something to be told.
    pub(super) fn notice(&self, notice: StoreNotice) {
        let mut notices = lock(&self.0.notices);
        if notices.len() >= MAX_NOTICES {
            notices.pop_front();
        }
        // A disk that fails says the same thing every second.
        if notices.back() != Some(&notice) {
            notices.push_back(notice);
        }
    }
}

fn count(counters: &[AtomicU64; NewMemory::LABELS.len()], why: &NewMemory) {
    let counted = NewMemory::LABELS.iter().zip(counters).find(|(label, _)| **label == why.label());
    if let Some((_, counter)) = counted {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
