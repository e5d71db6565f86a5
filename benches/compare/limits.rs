//! The second table: what must not be exceeded. Memory, size, time to start, pauses.

use std::{
    fs,
    hint::black_box,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use oncegate::{
    gate::{id::TokenId, seen::SeenSet},
    ops::{clock::Clock, entropy::random},
    store::{Durability, StoreOptions, local::Local},
};

use crate::{
    answer::ask,
    contest::middle,
    gate::{Gate, Home, NAME},
    machine::{Cores, own_time, pin, resident},
    stand::Stand,
};

/// The argument that makes this program fill a seen-set and tell of it.
pub(crate) const SEEN: &str = "--seen";

/// One line: what, how much, and the most it may be.
#[derive(Debug)]
pub(crate) struct Limit {
    what: String,
    value: f64,
    most: f64,
    unit: &'static str,
}

/// Measures some lines; on small numbers, where that is said.
pub(crate) type Measure = fn(&Stand, bool) -> Vec<Limit>;

/// The lines, each by the name that chooses it.
pub(crate) const LIMITS: &[(&str, Measure)] = &[
    ("seen-set", seen_set),
    ("memory and start, empty", empty),
    ("memory and start, a million records", million),
    ("size", size),
];

/// Prints them.
pub(crate) fn print(limits: &[Limit]) {
    println!("| what | measured | at most | kept |\n|---|--:|--:|---|");
    for Limit { what, value, most, unit } in limits {
        let kept = if value <= most { "yes" } else { "no" };
        println!("| {what} | {value:.2} {unit} | {most} {unit} | {kept} |");
    }
}

fn limit(what: impl Into<String>, value: f64, most: f64, unit: &'static str) -> Limit {
    Limit { what: what.into(), value, most, unit }
}

/// In a process of its own, whose memory is all the set's.
fn seen_set(stand: &Stand, small: bool) -> Vec<Limit> {
    let entries: usize = if small { 100_000 } else { 10_000_000 };
    let Cores { server, load, .. } = stand.cores;
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([SEEN, &entries.to_string(), &server.to_string(), &load.to_string()]);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut figures = text.split_whitespace().map(|figure| figure.parse::<f64>().unwrap());
    let mut next = || figures.next().expect("a figure");
    let of = format!("seen-set, {} M entries", entries as f64 / 1e6);
    vec![
        limit(format!("{of}: an entry"), next(), 16.0, "bytes"),
        limit(format!("{of}: an insert alone"), next(), 0.15, "µs"),
        limit(format!("{of}: an insert, one of {TOGETHER} at once"), next(), 0.15, "µs"),
        limit(format!("{of}: longest insert, its own time"), next(), 1.0, "ms"),
        limit(format!("{of}: longest insert, by the wall"), next(), 1.0, "ms"),
    ]
}

/// So many are spent at once where as many requests are in: with 64 connections they mostly are more.
const TOGETHER: usize = 32;

/// How often a set is filled with an eye on each insert.
const ROUNDS: usize = 4;

/// Fills a set once for its memory and its time as a whole, once by many at once, and some times
/// with an eye on each insert. Upkeep does its part meanwhile, on the other core.
///
/// The ids are the same each time, so a pause that the set makes is there each time, at the same
/// insert, and one that only sometimes is there is the machine's: of each insert its shortest time
/// counts.
pub(crate) fn fill(arguments: &[String]) {
    let [entries, server, load] = arguments else { panic!("not a filler's arguments") };
    let entries: usize = entries.parse().unwrap();
    let (server, load) = (server.parse().unwrap(), load.parse().unwrap());
    pin(server);
    let links = links(entries);
    let before = resident("self");
    let started = own_time();
    let seen = kept_up(entries, load, |seen| links.iter().for_each(|link| spend(seen, link)));
    let alone = own_time().saturating_sub(started);
    let bytes = resident("self").saturating_sub(before);
    drop(seen);
    let started = own_time();
    let seen = kept_up(entries, load, |seen| {
        links.chunks(TOGETHER).for_each(|several| spend_all(seen, several));
    });
    let together = own_time().saturating_sub(started);
    drop(seen);
    let mut shortest = vec![(Duration::MAX, Duration::MAX); entries];
    for _ in 0..ROUNDS {
        kept_up(entries, load, |seen| {
            for (link, (own, wall)) in links.iter().zip(&mut shortest) {
                let (began, own_began) = (Instant::now(), own_time());
                spend(seen, link);
                *own = own_time().saturating_sub(own_began).min(*own);
                *wall = began.elapsed().min(*wall);
            }
        });
    }
    let own = shortest.iter().map(|(own, _)| *own).max().unwrap_or_default();
    let wall = shortest.iter().map(|(_, wall)| *wall).max().unwrap_or_default();
    let each = |value: f64| value / entries as f64;
    println!(
        "{} {} {} {} {}",
        each(bytes as f64),
        each(alone.as_secs_f64() * 1e6),
        each(together.as_secs_f64() * 1e6),
        own.as_secs_f64() * 1e3,
        wall.as_secs_f64() * 1e3
    );
}

const NOW: u64 = 1_764_000_000;

/// A link's id, and when it expires.
type Link = (TokenId, u64);

/// Links that live up to a quarter of an hour, as links do.
fn links(number: usize) -> Vec<Link> {
    let mut ids = Ids(1);
    (0..number).map(|n| (ids.next(), NOW + 1 + n as u64 % 900)).collect()
}

/// Spends one.
fn spend(seen: &SeenSet, (id, expires): &Link) {
    assert!(black_box(seen.spend(*id, *expires, || NOW)).is_ok());
}

/// Spends some at once.
fn spend_all(seen: &SeenSet, several: &[Link]) {
    assert!(black_box(seen.spend_all(several, || NOW)).iter().all(Result::is_ok));
}

/// A set that `fill` has filled, while upkeep looked after it more often than a gate's does.
fn kept_up(entries: usize, load: usize, fill: impl FnOnce(&SeenSet)) -> SeenSet {
    let seen = SeenSet::new(entries);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            pin(load);
            while !over.load(Ordering::SeqCst) {
                std::thread::park_timeout(Duration::from_millis(100));
                seen.drop_expired(NOW);
            }
        });
        fill(&seen);
        over.store(true, Ordering::SeqCst);
    });
    seen
}

/// Ids that look random, and cost nothing to make (splitmix64).
struct Ids(u64);

impl Ids {
    fn next(&mut self) -> TokenId {
        let mut half = || {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut bits = self.0;
            bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            (bits ^ (bits >> 31)).to_be_bytes()
        };
        let (high, low) = (half(), half());
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&high);
        bytes[8..].copy_from_slice(&low);
        TokenId::from_bytes(bytes)
    }
}

fn empty(stand: &Stand, small: bool) -> Vec<Limit> {
    let mut starts = Vec::new();
    let mut memory = Vec::new();
    for n in 0..if small { 1 } else { 9 } {
        let home = Home::new(&stand.folder(&format!("empty-{n}")), "", None);
        let (gate, took) = home.start(stand.cores.server);
        starts.push(took.as_secs_f64() * 1e3);
        memory.push(megabytes(&gate));
    }
    vec![
        limit("start to first answer, empty: median", middle(starts), 30.0, "ms"),
        limit("resident memory, idle", middle(memory), 10.0, "MB"),
    ]
}

fn million(stand: &Stand, small: bool) -> Vec<Limit> {
    let records = if small { 10_000 } else { 1_000_000 };
    let folder = stand.folder("million");
    let mut home = Home::new(&folder, "", None);
    record(&folder.join("state"), records);
    let mut starts = Vec::new();
    let mut memory = Vec::new();
    for _ in 0..if small { 1 } else { 5 } {
        let (gate, took) = home.start(stand.cores.server);
        starts.push(took.as_secs_f64() * 1e3);
        memory.push(megabytes(&gate));
        let metrics = ask(gate.home.admin, b"GET /metrics HTTP/1.1\r\nHost: gate\r\n\r\n").unwrap();
        let entries = format!("oncegate_seen_entries {records}\n");
        assert!(metrics.body().contains(&entries), "{}", metrics.body());
        // Killed, not ended in order: the next start reads the same as after a crash.
        home = gate.home;
    }
    let of = format!("{} used links", crate::report::thousands(records as f64));
    vec![
        limit(format!("start to first answer, {of}: median"), middle(starts), 300.0, "ms"),
        limit(format!("resident memory after that start, {of}"), middle(memory), 30.0, "MB"),
    ]
}

/// Writes a state directory in which so many links are used, none expired.
fn record(state: &std::path::Path, records: usize) {
    let wait = Duration::ZERO;
    let most = records.max(5_000_000);
    let options = StoreOptions::journal(NAME, most, state.to_owned(), Durability::Process, wait);
    let clock = Clock::default();
    let now = clock.now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store = Local::open(options, now, random).unwrap();
    let mem = store.mem(now).unwrap();
    runtime.block_on(async {
        let mut ids = Ids(now);
        for n in 0..records {
            let expires = now + 120 + n as u64 % 780;
            let spent = store.spend(ids.next(), mem, expires, || now).await;
            assert!(spent.is_ok(), "{spent:?}");
        }
    });
}

fn size(_: &Stand, _: bool) -> Vec<Limit> {
    let bytes = fs::metadata(env!("CARGO_BIN_EXE_oncegate")).unwrap().len();
    vec![limit("binary, as the release profile strips it", bytes as f64 / 1e6, 10.0, "MB")]
}

fn megabytes(gate: &Gate) -> f64 {
    gate.process.resident() as f64 / 1e6
}
