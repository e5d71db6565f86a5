//! Gates with a memory each, that know of each other: whatever gate a link is opened at, it works
//! once; and what is taken back at one is refused at all.

#![cfg(test)]

mod fleet;
mod hearing;
mod nginx;
mod proofs;
mod redeeming;
mod roads;
#[path = "../support/mod.rs"]
mod support;
