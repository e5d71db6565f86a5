//! Oncegate turns "let this user in, there, once" into a signed link, and the link into a
//! signed-in request, with no database on the way.
//!
//! # The three paths
//!
//! 1. **Issue**: HTTP request → dialect (the native API is one too) → who is the caller → whom the
//!    directory knows → policy → destination → token → link → audit → the dialect's answer.
//! 2. **Redeem**: connection → client address → token out of the request → verified → judged →
//!    **spent** → admission → cookie and redirect, callback, or JSON.
//! 3. **Operate**: configuration, keys and their rotation, telemetry, audit, metrics, shutdown.
//!
//! # The rooms
//!
//! | room | what it holds | layer |
//! |---|---|---|
//! | [`gate`] | pure: what a link is, who may ask for one, whether it may pass | 0 |
//! | [`config`] | raw as typed → checked, every fault at once, with its place | 1 |
//! | [`dialects`] | other vendors' issuing APIs, one file each: read and write | 1 |
//! | [`sync`] | how tasks do together what costs less so, and take turns | 1 |
//! | [`store`] | what must be remembered, here, at other gates or in a server that all share: the spent, what was taken back; the keys, the directory | 2 |
//! | [`ops`] | clock, entropy, passwords, telemetry, metrics, audit, shutdown | 2 |
//! | [`edge`] | all the server code | 3 |
//! | [`app`] | composition: configuration in, running listeners out | 4 |
//! | [`cli`] | one file a command | 5 |
//!
//! A file imports from its own room or from lower layers; rooms of one layer do not import each
//! other. `tests/layers.rs` holds the house to that.

pub mod gate;

pub mod config;
pub mod dialects;
pub mod sync;

pub mod ops;
pub mod store;

pub mod edge;

pub mod app;

pub mod cli;
