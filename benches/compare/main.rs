//! The proof: the gate against what looks like the limit, and against what a user would pick
//! instead, all in one run.
//!
//! ```text
//! cargo bench --bench compare                       the whole table, and benches/compare.svg
//! cargo bench --bench compare -- forward proxied    the rows with one of these in their names
//! cargo bench --bench compare -- --quick            short rounds; no picture
//! ```
//! Every server is a process of its own on one core: the gate (`oncegate serve`), the floors (bare
//! hyper, this program with other arguments), nginx, Envoy, Node. The load is on another, with what
//! is behind the server: the application (an nginx) and Redis. All sides of a row take turns,
//! another one first in every round; each figure is the median of the rounds. `tests/run` installs
//! whom it needs; whoever is not there is left out.
//!
//! `cargo test` runs it too, on small numbers and without looking at the figures: each answer is
//! checked there as well, so that the proof does not rot.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a benchmark: what goes wrong may end it, and figures are not exact"
)]

mod answer;
mod contest;
mod floors;
mod gate;
mod limits;
mod load;
mod machine;
mod peers;
mod picture;
mod report;
mod requests;
mod rows;
mod stand;

use std::time::{Duration, Instant};

use crate::{
    contest::Rounds,
    machine::{Cores, crate_version, described, file_system, pin, version},
    stand::Stand,
};

/// Where the picture goes.
const PICTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/compare.svg");

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((first, rest)) if first == floors::FLOOR => floors::serve(rest),
        Some((first, rest)) if first == limits::SEEN => limits::fill(rest),
        _ if arguments.iter().any(|argument| argument == "--list") => {}
        _ => measure(&arguments),
    }
}

fn measure(arguments: &[String]) {
    let given = |flag: &str| arguments.iter().any(|argument| argument == flag);
    // As `cargo bench` says; `cargo test` does not.
    let small = !given("--bench");
    let quick = given("--quick");
    let wanted: Vec<&String> = arguments.iter().filter(|arg| !arg.starts_with('-')).collect();
    let is_wanted =
        |name: &str| wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str()));
    let (rows, lines) = (
        rows::ROWS.iter().filter(|(name, _)| is_wanted(name)).collect::<Vec<_>>(),
        limits::LIMITS.iter().filter(|(name, _)| is_wanted(name)).collect::<Vec<_>>(),
    );
    if rows.is_empty() && lines.is_empty() {
        return;
    }
    let rounds = match (small, quick) {
        (true, _) => Rounds { count: 1, time: Duration::from_millis(20) },
        (_, true) => Rounds { count: 3, time: Duration::from_millis(300) },
        _ => Rounds { count: 5, time: Duration::from_secs(1) },
    };
    let started = Instant::now();
    let cores = Cores::found();
    let machine = describe(cores, rounds);
    pin(cores.load);
    let stand = Stand::new(cores, rounds);
    println!("state and logs: {}\n", file_system(&stand.folder("..")));
    let mut measured = Vec::new();
    for (name, measure) in rows {
        eprintln!("{:>5.0?} {name}", started.elapsed());
        measured.extend(measure(&stand));
    }
    if !measured.is_empty() {
        report::print(&measured);
    }
    let mut limits = Vec::new();
    for (name, measure) in lines {
        eprintln!("{:>5.0?} {name}", started.elapsed());
        limits.extend(measure(&stand, small));
    }
    if !limits.is_empty() {
        println!();
        limits::print(&limits);
        println!("\nAllocations and instructions per request: counted, and guarded, by a test.");
    }
    eprintln!("{:>5.0?} done", started.elapsed());
    let picture = picture::svg(&measured, &machine);
    if !small && ((!quick && wanted.is_empty()) || given("--svg")) {
        std::fs::write(PICTURE, picture).unwrap();
        println!("wrote {PICTURE}");
    }
}

/// Says what this machine is, and whose versions run on it; one line of it for the picture.
fn describe(cores: Cores, rounds: Rounds) -> String {
    let (processor, kernel) = described();
    let missing = || "missing".to_owned();
    println!("{processor}, {} cores, Linux {kernel}", cores.count);
    println!(
        "server on core {}, load and what is behind the server on core {}; median of {} rounds of {:?}",
        cores.server, cores.load, rounds.count, rounds.time
    );
    println!(
        "oncegate {} at {}{}",
        env!("CARGO_PKG_VERSION"),
        env!("CARGO_BIN_EXE_oncegate"),
        if cfg!(debug_assertions) { " (not optimised: no figure means anything)" } else { "" }
    );
    println!(
        "{}; hyper {}, tokio {}, ed25519-dalek {}",
        version("rustc", "--version").unwrap_or_else(missing),
        crate_version("hyper"),
        crate_version("tokio"),
        crate_version("ed25519-dalek")
    );
    for peer in
        [peers::nginx::found(), peers::envoy::found(), peers::node::found(), peers::redis::found()]
    {
        println!("{}", peer.unwrap_or_else(missing));
    }
    format!(
        "One core of {processor}, Linux {kernel}; the load on another. cargo bench --bench compare"
    )
}
