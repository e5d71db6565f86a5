//! Another server takes over: by hand, by Sentinel, lagging, and back again.

use std::{collections::HashMap, time::Duration};

use oncegate::{
    gate::denial::Denial,
    store::{
        Use,
        redis::{Login, RedisOptions, Whereabouts},
    },
};
use tokio::time::Instant;

use crate::{Member, RedisServer, SHORT, at, fenced, local, server::free_port, spend, token};

/// A primary with a replica that has all of it, and their Sentinel.
pub struct Watched {
    pub servers: [RedisServer; 2],
    pub sentinel: Sentinel,
}

/// A Sentinel's process.
pub struct Sentinel {
    pub port: u16,
    child: std::process::Child,
    _dir: tempfile::TempDir,
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Watched {
    pub fn start() -> Self {
        let persist =
            ["--appendonly", "yes", "--appendfsync", "everysec", "--repl-diskless-sync-delay", "0"];
        let servers = [RedisServer::with(&persist), RedisServer::with(&persist)];
        servers[1].follow(&servers[0]);
        let sentinel = Sentinel::start(servers[0].port);
        let watched = Self { servers, sentinel };
        watched.knows_the_replica();
        watched
    }

    fn knows_the_replica(&self) {
        let client =
            redis::Client::open(format!("redis://127.0.0.1:{}", self.sentinel.port)).unwrap();
        let began = std::time::Instant::now();
        loop {
            if let Ok(mut connection) = client.get_connection() {
                let replicas: redis::RedisResult<Vec<redis::Value>> =
                    redis::cmd("SENTINEL").arg("REPLICAS").arg("main").query(&mut connection);
                if replicas.is_ok_and(|replicas| !replicas.is_empty()) {
                    return;
                }
            }
            assert!(began.elapsed() < crate::PATIENCE, "Sentinel does not find the replica");
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    pub fn options(&self, timeout: Duration) -> RedisOptions {
        let nobody = free_port();
        RedisOptions {
            at: Whereabouts::Sentinel {
                master: "main".to_owned(),
                // One of them is down.
                nodes: vec![local(nobody), local(self.sentinel.port)],
                login: Login::default(),
            },
            ..at(0, timeout)
        }
    }
}

impl Sentinel {
    /// The port of the server that it calls the primary.
    pub fn primary(&self) -> u16 {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port)).unwrap();
        let mut connection = client.get_connection().unwrap();
        let (_, port): (String, u16) = redis::cmd("SENTINEL")
            .arg("GET-MASTER-ADDR-BY-NAME")
            .arg("main")
            .query(&mut connection)
            .unwrap();
        port
    }

    fn start(primary: u16) -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let port = free_port();
        let file = dir.path().join("sentinel.conf");
        let text = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor main 127.0.0.1 {primary} 1\n\
             sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 1000\n",
            dir.path().display()
        );
        std::fs::write(&file, text).unwrap();
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let child = std::process::Command::new("redis-server")
            .arg(&file)
            .arg("--sentinel")
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { port, child, _dir: dir }
    }
}

#[tokio::test]
async fn a_replica_that_lags_lets_nobody_in_twice_when_it_takes_over() {
    let servers = [RedisServer::start(), RedisServer::start()];
    servers[1].follow(&servers[0]);
    let gate = Member::of(&servers[0], "gate-a").await;
    let mem = gate.ready().await;
    servers[1].wait_until(|server| server.ask::<u64>(&["EXISTS", &crate::key("mem")]) == 1);
    // What is written from now on, it does not have.
    servers[1].tell(&["REPLICAOF", "127.0.0.1", "1"]);
    let tokens: Vec<_> = (0..10).map(|_| token(mem)).collect();
    for token in &tokens {
        assert_eq!(spend(&gate, token).await, Ok(()));
    }
    servers[1].tell(&["REPLICAOF", "NO", "ONE"]);
    let there: String = servers[1].ask(&["HGET", &crate::key("mem"), "id"]);
    assert_eq!(there, mem.to_string(), "the replica has the memory, without its uses");
    let after = Member::of(&servers[1], "gate-b").await;
    for token in &tokens {
        assert_eq!(spend(&after, token).await, fenced(mem));
    }
    assert_eq!(after.replaced("store_moved"), 1);
    assert_eq!(after.spends().await, Ok(()));
}

#[tokio::test]
async fn over_and_back_while_no_gate_looks_lets_nobody_in_twice() {
    let [mut one, other] = [RedisServer::start(), RedisServer::start()];
    other.follow(&one);
    let gate = Member::of(&one, "gate-a").await;
    let mem = gate.ready().await;
    other.wait_until(|server| server.ask::<u64>(&["EXISTS", &crate::key("mem")]) == 1);
    other.tell(&["REPLICAOF", "127.0.0.1", "1"]);
    let tokens: Vec<_> = (0..10).map(|_| token(mem)).collect();
    for token in &tokens {
        assert_eq!(spend(&gate, token).await, Ok(()));
    }
    drop(gate);
    // The lagging replica leads, the primary follows it and takes on its data, scripts and all, and
    // leads again: script there, memory there, uses lost.
    other.tell(&["REPLICAOF", "NO", "ONE"]);
    one.follow(&other);
    one.tell(&["REPLICAOF", "NO", "ONE"]);
    let there: String = one.ask(&["HGET", &crate::key("mem"), "id"]);
    assert_eq!(there, mem.to_string());
    let gate = Member::of(&one, "gate-a").await;
    for token in &tokens {
        assert_eq!(spend(&gate, token).await, fenced(mem));
    }
    assert_eq!(gate.spends().await, Ok(()));
    one.kill();
}

#[tokio::test]
async fn two_primaries_at_once_let_nobody_in_twice() {
    let servers = [RedisServer::start(), RedisServer::start()];
    servers[1].follow(&servers[0]);
    let left = Member::of(&servers[0], "gate-a").await;
    let mem = left.ready().await;
    servers[1].wait_until(|server| server.ask::<u64>(&["EXISTS", &crate::key("mem")]) == 1);
    servers[1].tell(&["REPLICAOF", "NO", "ONE"]);
    let right = Member::of(&servers[1], "gate-b").await;
    let new = right.ready().await;
    let [old_token, new_token] = [token(mem), token(new)];
    assert_eq!(spend(&right, &old_token).await, fenced(mem));
    assert_eq!(spend(&left, &old_token).await, Ok(()));
    assert_eq!(spend(&left, &new_token).await, fenced(new));
    assert_eq!(spend(&right, &new_token).await, Ok(()));
}

#[tokio::test]
async fn a_use_outlives_a_failover_only_as_a_fence_and_sentinel_names_the_next() {
    let mut watched = Watched::start();
    let gate = Member::with(watched.options(SHORT), "gate-a").await;
    let mem = gate.ready().await;
    let mut admitted: HashMap<usize, usize> = HashMap::new();
    let mut tokens: Vec<Use> = Vec::new();
    let (mut killed, mut back) = (None, None);
    let began = Instant::now();
    while back.is_none() {
        assert!(began.elapsed() < crate::PATIENCE, "{:?}", gate.take_notices());
        if let Ok(mem) = gate.mem() {
            tokens.push(token(mem));
        }
        let from = tokens.len().saturating_sub(5);
        for (n, token) in tokens.iter().enumerate().skip(from) {
            match spend(&gate, token).await {
                Ok(()) => {
                    *admitted.entry(n).or_default() += 1;
                    if token.mem != mem {
                        back = Some(Instant::now());
                    }
                }
                Err(Denial::AlreadyUsed | Denial::Fenced(_) | Denial::StoreUnavailable { .. }) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
        if killed.is_none() && tokens.len() > 50 {
            watched.servers[0].kill();
            killed = Some(Instant::now());
        }
    }
    let (killed, back) = (killed.unwrap(), back.unwrap());
    println!("primary killed under load, admitted again after {:?}", back - killed);
    for (n, token) in tokens.iter().enumerate() {
        if spend(&gate, token).await.is_ok() {
            *admitted.entry(n).or_default() += 1;
        }
    }
    assert!(admitted.values().all(|times| *times == 1), "{admitted:?}");
}
