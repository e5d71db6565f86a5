//! How many instructions each request costs the gate.
//!
//! ```text
//! cargo bench --bench instructions                    the whole table
//! cargo bench --bench instructions -- redeem forward  the rows with one of these in their names
//! ```
//! The gate is the real one in a process of its own, under valgrind's callgrind, with one thread
//! for its requests; one client asks, and waits for each answer. What N more requests cost is
//! divided by N. Such a count hardly depends on what else the machine does, as times do: two of
//! the same program are within a percent of each other, where N is a thousand.
//!
//! Instructions are not time: one of a vector counts as much as one of a byte, and what the kernel
//! does is not counted, nor what many requests at once save each other: waiting for others costs the
//! one client here some, and saves many more. valgrind hides AVX-512, whatever the machine has: signatures are counted
//! with AVX2. The last two rows are ed25519-dalek's own, of a text as long as a link's.
//!
//! Of a gate built with `--profile profiling` (as released, but without LTO):
//!
//! | request                       | instructions | counted again | allocations |
//! |---|--:|--:|--:|
//! | redeem by API                 |      545,755 |       544,089 |          41 |
//! | redeem by form                |      612,996 |       607,877 |          48 |
//! | forward auth, signed in       |       42,655 |        42,592 |          15 |
//! | issue, one                    |      343,586 |       342,737 |          45 |
//! | issue, each of a batch of 100 |      274,091 |       274,075 |          13 |
//! | proxied GET, signed in        |       74,329 |        74,487 |          22 |
//! | bare `verify_strict`          |      418,562 |               |             |
//! | bare sign                     |      278,758 |               |             |
//!
//! `cargo test` runs it too, for two of the rows, and holds those to [`GUARDED`].

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a benchmark: what goes wrong may end it, and figures are not exact"
)]

#[path = "../compare/answer.rs"]
#[allow(dead_code, reason = "`compare` needs all of it")]
mod answer;
mod count;
#[path = "../compare/gate.rs"]
#[allow(dead_code, reason = "`compare` needs all of it")]
mod gate;
#[path = "../compare/load.rs"]
#[allow(dead_code, reason = "`compare` needs all of it")]
mod load;
#[path = "../compare/machine.rs"]
#[allow(dead_code, reason = "`compare` needs all of it")]
mod machine;
#[path = "../compare/peers/nginx.rs"]
#[allow(dead_code, reason = "`compare` needs all of it")]
mod nginx;
#[path = "../compare/requests.rs"]
#[allow(dead_code, reason = "`compare` needs all of it")]
mod requests;
mod rows;
#[path = "../../tests/allocations/table.rs"]
mod table;

use crate::{
    count::{SIGN, SIGNATURES, Stand, VERIFY},
    machine::{Cores, pin, version},
};

/// How many more requests one of two runs has.
const REQUESTS: usize = 1_024;

/// As few as that for what is held to a table: what a gate does each second is a few percent of it.
const FEW: usize = 128;
/// What is held to what it was, and how many instructions that is: of an unoptimised gate, in which
/// signatures, hashes and ciphers are optimised all the same (`profile.dev.package`), on x86-64.
const GUARDED: [(&str, u64); 2] =
    [("redeem by API", 1_130_000), ("forward auth, signed in", 380_000)];
/// How much more it may be, in percent: another compiler or C library is no fault.
const SLACK: u64 = 15;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((first, rest)) if first == SIGNATURES => count::signatures(rest),
        _ if arguments.iter().any(|argument| argument == "--list") => {}
        _ => count_all(&arguments),
    }
}

fn count_all(arguments: &[String]) {
    let wanted: Vec<&String> = arguments.iter().filter(|arg| !arg.starts_with('-')).collect();
    let is_wanted =
        |name: &str| wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str()));
    let Some(valgrind) = version("valgrind", "--version") else {
        assert!(std::env::var_os("CI").is_none(), "missing: valgrind; see tests/run");
        eprintln!("skipped: without valgrind, which tests/run installs");
        return;
    };
    let cores = Cores::found();
    pin(cores.load);
    // As `cargo bench` says; `cargo test` does not.
    if arguments.iter().any(|argument| argument == "--bench") {
        println!("{valgrind}; oncegate at {}\n", env!("CARGO_BIN_EXE_oncegate"));
        print_table(&Stand::new(cores, true), is_wanted);
    } else {
        hold(&Stand::new(cores, false), is_wanted);
    }
}

fn print_table(stand: &Stand, is_wanted: impl Fn(&str) -> bool) {
    println!("| request | instructions | counted again | allocations |\n|---|--:|--:|--:|");
    for row in rows::ROWS.iter().filter(|row| is_wanted(row.name)) {
        let counted = || stand.request(row, REQUESTS);
        let (Some(once), Some(again)) = (counted(), counted()) else {
            println!("left out: {}, without nginx, which tests/run installs", row.name);
            continue;
        };
        let allocations = table::TABLE.iter().find(|(name, _)| *name == row.name).unwrap().1;
        println!("| {} | {} | {} | {allocations} |", row.name, grouped(once), grouped(again));
    }
    for what in [VERIFY, SIGN].into_iter().filter(|what| is_wanted(what)) {
        let counted = || grouped(stand.signature(what, REQUESTS));
        println!("| {what} | {} | {} | |", counted(), counted());
    }
}

/// Holds what is guarded to what it was.
fn hold(stand: &Stand, is_wanted: impl Fn(&str) -> bool) {
    for (name, was) in GUARDED.into_iter().filter(|(name, _)| is_wanted(name)) {
        let row = rows::ROWS.iter().find(|row| row.name == name).unwrap();
        let counted = stand.request(row, FEW).unwrap();
        println!("{name}: {} instructions, the table says {}", grouped(counted), grouped(was));
        assert!(
            counted <= was + was * SLACK / 100 || !is_as_in_the_table(),
            "{name}: it was {was} instructions, and is {counted}; if that is meant, change the table"
        );
        assert!(counted > was / 10, "{name}: {counted} instructions cannot be all");
    }
}

/// Whether the build and the processor are those of [`GUARDED`].
fn is_as_in_the_table() -> bool {
    #[cfg(target_arch = "x86_64")]
    let known = std::arch::is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    let known = false;
    known && cfg!(debug_assertions)
}

/// With a comma before each three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).unwrap())
        .collect();
    groups.join(",")
}
