//! The rows of the table: what is asked, of which listener, and what a good answer is.

use std::net::SocketAddr;

use crate::{gate::Gate, load::Good, nginx, requests};

/// A row.
pub(crate) struct Row {
    /// As in the table of allocations.
    pub name: &'static str,
    pub to: fn(&Gate) -> SocketAddr,
    /// So many requests, each of them good once.
    pub requests: fn(&Gate, usize) -> Vec<Vec<u8>>,
    pub good: Good,
    /// Whether each has a connection of its own.
    pub renew: bool,
    /// How many each request is to be divided among: links of a batch.
    pub of_each: usize,
}

/// Links of a batch.
const BATCH: usize = 100;

/// All of them, in the order of the table.
pub(crate) const ROWS: &[Row] = &[
    Row {
        requests: |gate, count| gate.tokens(count).iter().map(|t| requests::redeem(t)).collect(),
        ..kept("redeem by API", api, 200, "\"user\":\"joe\"")
    },
    Row {
        requests: |gate, count| gate.tokens(count).iter().map(|t| requests::form(t)).collect(),
        renew: true,
        ..kept("redeem by form", public, 303, "set-cookie: ")
    },
    Row {
        requests: |gate, count| vec![requests::forward_auth(&gate.cookie()); count],
        ..kept("forward auth, signed in", public, 200, "x-oncegate-user: joe")
    },
    Row {
        requests: |_, count| vec![requests::issue(); count],
        ..kept("issue, one", api, 201, "\"token\":\"")
    },
    Row {
        requests: |_, count| vec![requests::batch(BATCH); count],
        of_each: BATCH,
        ..kept("issue, each of a batch of 100", api, 200, "\"token\":\"")
    },
    Row {
        requests: |gate, count| vec![requests::page(nginx::SMALL, &gate.cookie()); count],
        ..kept(PROXIED, public, 200, "Hello, joe.")
    },
];

/// The one that has nothing to ask without nginx.
pub(crate) const PROXIED: &str = "proxied GET, signed in";

const fn kept(
    name: &'static str,
    to: fn(&Gate) -> SocketAddr,
    status: u16,
    says: &'static str,
) -> Row {
    let good = Good { status, says };
    Row { name, to, requests: |_, _| Vec::new(), good, renew: false, of_each: 1 }
}

fn api(gate: &Gate) -> SocketAddr {
    gate.home.api
}

fn public(gate: &Gate) -> SocketAddr {
    gate.home.public
}
