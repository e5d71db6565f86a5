//! A disk in memory, as bad as disks get: it loses, tears, fails, fills up, and forgets.
//!
//! What a process sees (the kernel's cache) and what is on the platter are two things, for the
//! bytes of a file as for the names in a directory; a sync makes them one, and a loss of power
//! leaves the second, with any part of what was under way.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use oncegate::store::local::disk::{FileFacts, FileIdentity};

use crate::{dice::Dice, time::Clock, world::World};

/// The disk of one machine. There is one directory on it.
#[derive(Debug)]
pub struct Drive {
    /// The world it is in.
    pub world: Arc<World>,
    clock: Clock,
    state: Mutex<State>,
}

/// What is on it, and what will go wrong.
#[derive(Debug, Default)]
pub struct State {
    /// The names as processes see them.
    pub names: BTreeMap<String, u64>,
    /// The files behind them, and those that are still open.
    pub files: BTreeMap<u64, Contents>,
    /// The names as they are on the platter.
    kept_names: BTreeMap<String, u64>,
    /// What was done to the names since the last sync of the directory.
    unsynced_names: Vec<(Naming, u64)>,
    /// When the names last changed, as processes see it, and on the platter.
    dir_modified: u64,
    kept_dir_modified: u64,
    next_inode: u64,
    /// Who holds the lock: the number of a process.
    pub owner: Option<u64>,
    /// No space is left.
    pub full: bool,
    /// What happens at one of the next operations.
    plan: Option<(u64, Mishap)>,
    /// The machine's boots so far.
    pub boots: u64,
    /// Everything that runs on the machine: to be told that it died.
    running: Vec<Arc<AtomicBool>>,
}

/// A file.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    born: u64,
    modified: u64,
    /// As processes read it.
    pub bytes: Vec<u8>,
    /// As it is on the platter.
    kept: Vec<u8>,
    unsynced: Vec<Write>,
    /// The kernel failed to write it behind everybody's back, and has told nobody yet.
    pub unreported: bool,
}

#[derive(Debug, Clone)]
struct Write {
    at: usize,
    bytes: Vec<u8>,
}

#[derive(Debug, Clone)]
enum Naming {
    Set(String, u64),
    Unset(String),
    Moved(String, String, u64),
}

/// What goes wrong at an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// The operation fails; of a write any part is done.
    Fails,
    /// The process is killed: before the operation, after it, or in the middle of a write.
    Killed,
    /// The machine loses power, likewise.
    PowerLost,
}

/// When, of one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// It is not done.
    Before,
    /// A part of it is done.
    Amid,
    /// It is done, and nobody hears of it.
    After,
}

impl Drive {
    /// An empty disk, of a machine with this clock.
    pub fn new(world: &Arc<World>, clock: &Clock) -> Arc<Self> {
        let state = State { next_inode: 10, boots: 1, ..State::default() };
        Arc::new(Self { world: Arc::clone(world), clock: clock.clone(), state: Mutex::new(state) })
    }

    /// What is on it.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Milliseconds, as the machine's clock has them: for the times of files.
    pub fn stamp(&self) -> u64 {
        self.clock.now() * 1_000
    }

    /// Starts a process on the machine; it lives until the mark that it gets is set.
    pub fn starts(&self) -> Arc<AtomicBool> {
        let dead = Arc::new(AtomicBool::new(false));
        self.state().running.push(Arc::clone(&dead));
        dead
    }

    /// Lets something go wrong at the operation that comes `after` so many others.
    pub fn plan(&self, after: u64, mishap: Mishap) {
        self.state().plan = Some((after, mishap));
    }

    /// Nothing will go wrong any more.
    pub fn heal(&self) {
        let mut state = self.state();
        (state.plan, state.full) = (None, false);
    }

    /// Whether processes read something that is not on the platter: not yet, or never.
    pub fn owes(&self) -> bool {
        self.state().files.values().any(|file| file.bytes != file.kept)
    }

    /// The power goes, and comes again: another boot, and only what the platter holds.
    pub fn lose_power(&self) {
        self.world.roll(|dice| self.state().lose_power(dice));
    }

    /// Counts an operation; says what goes wrong at it, if anything.
    pub fn operation(&self) -> Option<(Mishap, Moment)> {
        let mut state = self.state();
        let (left, mishap) = state.plan?;
        if left > 0 {
            state.plan = Some((left - 1, mishap));
            return None;
        }
        state.plan = None;
        drop(state);
        let moments = [(2, Moment::Before), (3, Moment::Amid), (2, Moment::After)];
        Some((mishap, self.world.roll(|dice| dice.weighed(&moments))))
    }
}

impl State {
    /// Makes a new file of that name.
    pub fn create(&mut self, name: &str, now: u64) -> u64 {
        self.next_inode += 1;
        let inode = self.next_inode;
        let file = Contents { born: now + inode, modified: now, ..Contents::default() };
        self.files.insert(inode, file);
        self.set(name, inode, now);
        inode
    }

    fn set(&mut self, name: &str, inode: u64, now: u64) {
        self.names.insert(name.to_owned(), inode);
        self.renamed(Naming::Set(name.to_owned(), inode), now);
    }

    /// Gives the file `from` the name `to`.
    pub fn rename(&mut self, from: &str, to: &str, now: u64) {
        if let Some(inode) = self.names.remove(from) {
            self.names.insert(to.to_owned(), inode);
            self.renamed(Naming::Moved(from.to_owned(), to.to_owned(), inode), now);
        }
    }

    /// Takes a name away.
    pub fn remove(&mut self, name: &str, now: u64) {
        self.names.remove(name);
        self.renamed(Naming::Unset(name.to_owned()), now);
    }

    fn renamed(&mut self, naming: Naming, now: u64) {
        self.unsynced_names.push((naming, now));
        self.dir_modified = now;
    }

    /// The names reach the platter.
    pub fn sync_names(&mut self) {
        for (naming, _) in std::mem::take(&mut self.unsynced_names) {
            naming.applied_to(&mut self.kept_names);
        }
        self.kept_dir_modified = self.dir_modified;
    }

    /// Writes into a file.
    pub fn write(&mut self, inode: u64, bytes: &[u8], at: usize, now: u64) {
        let file = self.files.get_mut(&inode).unwrap();
        let write = Write { at, bytes: bytes.to_vec() };
        write.applied_to(&mut file.bytes);
        file.unsynced.push(write);
        file.modified = now;
    }

    /// A file's bytes reach the platter. True unless the kernel has to confess that some never will.
    pub fn sync(&mut self, inode: u64) -> bool {
        let file = self.files.get_mut(&inode).unwrap();
        for write in std::mem::take(&mut file.unsynced) {
            write.applied_to(&mut file.kept);
        }
        !std::mem::take(&mut file.unreported)
    }

    /// What was written to a file since its last sync never reaches the platter, and counts as
    /// clean; the cache may have it for a while.
    pub fn drop_unsynced(&mut self, inode: u64, cached: bool) {
        let file = self.files.get_mut(&inode).unwrap();
        if !std::mem::take(&mut file.unsynced).is_empty() && !cached {
            let mut back = file.kept.clone();
            back.resize(file.bytes.len(), 0);
            file.bytes = back;
        }
    }

    /// The kernel fails to write what is unsynced of one file, and tells whoever syncs it next.
    pub fn fail_behind_the_back(&mut self, inode: u64, cached: bool) {
        if self.files.get(&inode).is_some_and(|file| !file.unsynced.is_empty()) {
            self.drop_unsynced(inode, cached);
            self.files.get_mut(&inode).unwrap().unreported = true;
        }
    }

    /// The kernel has not reported it yet, after all.
    pub fn unreport(&mut self, inode: u64) {
        if let Some(file) = self.files.get_mut(&inode) {
            file.unreported = true;
        }
    }

    /// A file is cut to nothing.
    pub fn empty(&mut self, inode: u64) {
        let file = self.files.get_mut(&inode).unwrap();
        (file.bytes, file.kept, file.unsynced) = Default::default();
    }

    /// What is known of a file.
    pub fn facts(&self, inode: u64) -> FileFacts {
        let file = &self.files[&inode];
        FileFacts {
            len: file.bytes.len() as u64,
            links: 1,
            identity: FileIdentity { inode, born: Some(file.born) },
            modified: Some(UNIX_EPOCH + Duration::from_millis(file.modified)),
        }
    }

    /// What is known of the directory.
    pub fn dir_facts(&self) -> FileFacts {
        FileFacts {
            len: 0,
            links: 1,
            identity: FileIdentity { inode: 2, born: Some(1) },
            modified: Some(UNIX_EPOCH + Duration::from_millis(self.dir_modified)),
        }
    }

    /// Every process on the machine dies; the kernel gives the lock back.
    pub fn kill_all(&mut self) {
        for dead in self.running.drain(..) {
            dead.store(true, Ordering::SeqCst);
        }
        self.owner = None;
    }

    fn lose_power(&mut self, dice: &mut Dice) {
        self.kill_all();
        self.boots += 1;
        // File systems keep the order of names, and need not: POSIX promises nothing.
        let namings = std::mem::take(&mut self.unsynced_names);
        let kept = if dice.chance(70) { dice.below(namings.len() as u64 + 1) } else { u64::MAX };
        for ((naming, at), number) in namings.into_iter().zip(0..) {
            if number < kept && (kept < u64::MAX || dice.chance(50)) {
                naming.applied_to(&mut self.kept_names);
                self.kept_dir_modified = at;
            }
        }
        self.dir_modified = self.kept_dir_modified;
        self.names = self.kept_names.clone();
        self.files.retain(|inode, _| self.names.values().any(|named| named == inode));
        for file in self.files.values_mut() {
            for mut write in std::mem::take(&mut file.unsynced) {
                match dice.below(3) {
                    0 => {}
                    1 => write.applied_to(&mut file.kept),
                    _ => {
                        write.tear(dice);
                        write.applied_to(&mut file.kept);
                    }
                }
            }
            file.bytes = file.kept.clone();
            file.unreported = false;
        }
    }

    /// A byte of one of the files is another than was written, as it is read and on the platter.
    pub fn rot(&mut self, dice: &mut Dice) {
        let named: Vec<_> = self.names.values().copied().collect();
        let Some(inode) = named.get(dice.below(named.len() as u64) as usize) else { return };
        let file = self.files.get_mut(inode).unwrap();
        // Where something stands: most of a segment is empty.
        let places: Vec<_> = (0..file.kept.len()).filter(|at| file.kept[*at] != 0).collect();
        let Some(at) = places.get(dice.below(places.len() as u64) as usize).copied() else {
            return;
        };
        let flip = 1 << dice.below(8);
        file.kept[at] ^= flip;
        if let Some(byte) = file.bytes.get_mut(at) {
            *byte ^= flip;
        }
    }

    /// Whether the names last changed before `then`, by the machine's clock.
    pub fn changed_before(&self, then: u64) -> bool {
        self.dir_modified < then
    }

    /// Whether a backup has every file that is there.
    pub fn names_are_in(&self, backup: &BTreeMap<String, Vec<u8>>) -> bool {
        self.names.keys().all(|name| backup.contains_key(name))
    }

    /// All files, as a backup takes them: names and bytes.
    pub fn copy(&self) -> BTreeMap<String, Vec<u8>> {
        self.names
            .iter()
            .map(|(name, inode)| (name.clone(), self.files[inode].bytes.clone()))
            .collect()
    }

    /// A backup takes the place of everything: files of its own, synced; or, `in_place`, its bytes
    /// in the files that are there.
    pub fn put_back(&mut self, backup: &BTreeMap<String, Vec<u8>>, in_place: bool, now: u64) {
        let gone: Vec<_> =
            self.names.keys().filter(|name| !backup.contains_key(*name)).cloned().collect();
        for name in &gone {
            self.remove(name, now);
        }
        for (name, bytes) in backup {
            let there = self.names.get(name).copied().filter(|_| in_place);
            let inode = there.unwrap_or_else(|| self.create(name, now));
            self.empty(inode);
            self.write(inode, bytes, 0, now);
            self.sync(inode);
        }
        self.sync_names();
    }
}

impl Naming {
    fn applied_to(self, names: &mut BTreeMap<String, u64>) {
        match self {
            Self::Set(name, inode) => {
                names.insert(name, inode);
            }
            Self::Unset(name) => {
                names.remove(&name);
            }
            Self::Moved(from, to, inode) => {
                names.remove(&from);
                names.insert(to, inode);
            }
        }
    }
}

impl Write {
    fn applied_to(&self, bytes: &mut Vec<u8>) {
        let end = self.at + self.bytes.len();
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[self.at..end].copy_from_slice(&self.bytes);
    }

    /// Leaves a part of it.
    fn tear(&mut self, dice: &mut Dice) {
        let cut = dice.below(self.bytes.len() as u64 + 1) as usize;
        if dice.chance(50) {
            self.bytes.truncate(cut);
        } else {
            self.at += cut;
            self.bytes.drain(..cut);
        }
    }
}
