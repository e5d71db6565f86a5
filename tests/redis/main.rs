//! One memory for several gates, on real Redis servers: killed, rolled back, failed over, emptied,
//! full, slow, and with clocks that jump.

#![cfg(test)]
#![allow(unreachable_pub, reason = "a room of a test binary is public to its other rooms alone")]

mod asks;
mod clock;
mod crowd;
mod failover;
mod faults;
mod gates;
mod refused;
mod resend;
mod server;
#[path = "../support/mod.rs"]
mod support;

use std::{ops::Deref, sync::Arc, time::Duration};

use oncegate::{
    gate::{
        denial::Denial,
        id::{MemoryId, TokenId},
        revoked::MAX_REVOCATIONS,
    },
    ops::{clock::Clock, entropy::random},
    store::{
        Use,
        redis::{
            Address, Login, Prefix, Redis, RedisOptions, Shared, SharedOptions, Whereabouts,
            protocol::{Connection, Server as _},
        },
    },
};
use server::RedisServer;
use support::process::PATIENCE;
use tokio::task::JoinHandle;

/// What a question may take where its time is not what is tested.
const LONG: Duration = Duration::from_secs(2);
/// As configured where nobody sets it.
const SHORT: Duration = Duration::from_millis(200);

/// What a gate has of the memory that it shares, and its listening.
struct Member {
    store: Shared,
    listening: JoinHandle<()>,
}

impl Deref for Member {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.store
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Member {
    /// A gate that shares what is on this server, and has heard it if it answers.
    async fn of(server: &RedisServer, name: &str) -> Self {
        Self::with(single(server, LONG), name).await
    }

    async fn with(options: RedisOptions, name: &str) -> Self {
        Self::limited(options, name, 1_000_000).await
    }

    async fn limited(options: RedisOptions, name: &str, max_entries: usize) -> Self {
        let shared =
            SharedOptions { gate: name.to_owned(), max_entries, max_revocations: MAX_REVOCATIONS };
        let store = Shared::new(Arc::new(Redis::new(options).unwrap()), shared, random);
        store.listen().await;
        let listens = store.clone();
        let listening = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(250)).await;
                listens.listen().await;
            }
        });
        Self { store, listening }
    }

    /// The memory to issue with, as soon as there is one.
    async fn ready(&self) -> MemoryId {
        let there = async {
            loop {
                match self.mem() {
                    Ok(mem) => return mem,
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        };
        let waited = tokio::time::timeout(PATIENCE, there).await;
        waited.unwrap_or_else(|_| panic!("{:?}", self.take_notices()))
    }

    /// The memory to issue with, as soon as it is another one.
    async fn other_than(&self, old: MemoryId) -> MemoryId {
        let there = async {
            loop {
                match self.mem() {
                    Ok(mem) if mem != old => return mem,
                    _ => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        };
        let waited = tokio::time::timeout(PATIENCE, there).await;
        waited.unwrap_or_else(|_| panic!("{:?}", self.take_notices()))
    }

    /// Spends a new token.
    async fn spends(&self) -> Result<(), Denial> {
        let mem = self.ready().await;
        self.spend(&token(mem)).await.map(drop)
    }

    /// Spends new tokens until one is admitted.
    async fn recovers(&self) {
        let admitted = async {
            while self.spends().await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        assert!(
            tokio::time::timeout(PATIENCE, admitted).await.is_ok(),
            "{:?}",
            self.spends().await
        );
    }

    /// Waits until the gate is found so.
    async fn becomes(&self, so: impl Fn(&Shared) -> bool) {
        let there = async {
            while !so(&self.store) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, there).await;
        assert!(waited.is_ok(), "{:?}", self.status());
    }

    /// How often the memory was replaced for this reason, as this gate counts.
    fn replaced(&self, label: &str) -> u64 {
        let counted = self.status().new_memories;
        counted.iter().find(|(known, _)| *known == label).unwrap().1
    }
}

/// A new token of this memory, good for five minutes.
fn token(mem: MemoryId) -> Use {
    Use { id: TokenId::from_bytes(random()), mem, gate: None, expires: now() + 300 }
}

fn now() -> u64 {
    Clock::default().now()
}

fn fenced(mem: MemoryId) -> Result<(), Denial> {
    Err(Denial::Fenced(mem.to_string()))
}

/// Spends, and forgets the proof.
async fn spend(member: &Member, token: &Use) -> Result<(), Denial> {
    member.spend(token).await.map(drop)
}

/// The way to one server.
fn single(server: &RedisServer, timeout: Duration) -> RedisOptions {
    at(server.port, timeout)
}

fn at(port: u16, timeout: Duration) -> RedisOptions {
    RedisOptions {
        at: Whereabouts::Single { address: local(port), db: 0 },
        login: Login::default(),
        tls: None,
        timeout,
        prefix: Prefix::of("https://login.example.com"),
    }
}

fn local(port: u16) -> Address {
    Address { host: "127.0.0.1".to_owned(), port }
}

/// A key of the memory that the tests share.
fn key(kind: &str) -> String {
    format!("{}{kind}", Prefix::of("https://login.example.com").as_str())
}

/// A connection as a gate makes it.
async fn connected(options: RedisOptions) -> Result<Arc<dyn Connection>, String> {
    let redis = Redis::new(options).unwrap();
    redis.connect().await.map_err(|why| why.to_string())
}
