//! What a server does to its data, and what it refuses: links are lost, none is admitted twice.

use std::time::Duration;

use oncegate::{
    gate::{
        denial::Denial,
        id::{MemoryId, SessionId},
        revoked::Revocation,
        seen::bucket_end,
    },
    store::{StoreNotice, Use},
};
use tokio::time::Instant;

use crate::{LONG, Member, RedisServer, SHORT, fenced, key, now, single, spend, token};

/// Spends `used`, and leaves as many unused.
async fn used_and_unused(gate: &Member) -> (MemoryId, Vec<Use>, Vec<Use>) {
    let mem = gate.ready().await;
    let [used, unused] = [0, 1].map(|_| (0..20).map(|_| token(mem)).collect::<Vec<_>>());
    for token in &used {
        assert_eq!(spend(gate, token).await, Ok(()));
    }
    (mem, used, unused)
}

/// All are refused at both gates, used or not, and a new one works.
async fn all_are_fenced(gates: [&Member; 2], mem: MemoryId, tokens: &[Use]) {
    for token in tokens {
        for gate in gates {
            assert_eq!(spend(gate, token).await, fenced(mem));
            assert_eq!(gate.look(token).await, fenced(mem));
        }
    }
    let new = gates[0].other_than(mem).await;
    assert_eq!(gates[1].other_than(mem).await, new);
    let next = token(new);
    assert_eq!(spend(gates[1], &next).await, Ok(()));
    assert_eq!(spend(gates[0], &next).await, Err(Denial::AlreadyUsed));
}

#[tokio::test]
async fn a_use_at_one_gate_is_a_use_at_all() {
    let server = RedisServer::start();
    let gates = [Member::of(&server, "gate-a").await, Member::of(&server, "gate-b").await];
    let mem = gates[0].ready().await;
    assert_eq!(gates[1].ready().await, mem);
    for n in 0..20 {
        let token = token(mem);
        let (one, other) = tokio::join!(spend(&gates[0], &token), spend(&gates[1], &token));
        assert!(one.is_ok() != other.is_ok(), "{n}: {one:?} {other:?}");
        assert_eq!(gates[n % 2].look(&token).await, Err(Denial::AlreadyUsed));
    }
    assert_eq!(gates[0].look(&token(mem)).await, Ok(()));
}

#[tokio::test]
async fn a_restart_fences_with_the_data_with_an_old_snapshot_and_without() {
    for data in ["all", "old", "none"] {
        let mut server = RedisServer::durable();
        let gates = [Member::of(&server, "gate-a").await, Member::of(&server, "gate-b").await];
        let mem = gates[0].ready().await;
        assert_eq!(gates[1].ready().await, mem);
        let before = server.snapshot();
        let (_, used, unused) = used_and_unused(&gates[0]).await;
        server.kill();
        match data {
            "all" => {}
            "old" => server.put_back(before.path()),
            _ => server.wipe(),
        }
        server.run();
        let all: Vec<_> = used.into_iter().chain(unused).collect();
        let there: Option<String> = server.ask(&["HGET", &key("mem"), "id"]);
        assert!(data == "none" || there.is_some(), "{data}");
        gates[0].other_than(mem).await;
        all_are_fenced([&gates[0], &gates[1]], mem, &all).await;
        let why = if data == "none" { "store_lost" } else { "store_moved" };
        let counted = gates.iter().map(|gate| gate.replaced(why)).sum::<u64>();
        assert_eq!(counted, 1, "{data}");
    }
}

#[tokio::test]
async fn what_is_deleted_by_hand_is_noticed() {
    for harm in ["FLUSHALL", "FLUSHDB", "mem", "bucket"] {
        let server = RedisServer::start();
        let gates = [Member::of(&server, "gate-a").await, Member::of(&server, "gate-b").await];
        let (mem, used, unused) = used_and_unused(&gates[0]).await;
        match harm {
            "mem" => server.tell(&["DEL", &key("mem")]),
            "bucket" => {
                for token in &used {
                    let end = bucket_end(token.expires);
                    server.tell(&["DEL", &key(&format!("used:{mem}:{end}"))]);
                }
            }
            flush => server.tell(&[flush]),
        }
        let all: Vec<_> = used.into_iter().chain(unused).collect();
        all_are_fenced([&gates[0], &gates[1]], mem, &all).await;
        let counted = gates.iter().map(|gate| gate.replaced("store_lost")).sum::<u64>();
        assert_eq!(counted, 1, "{harm}");
    }
}

#[tokio::test]
async fn scripts_thrown_away_cost_nothing() {
    let server = RedisServer::start();
    let gate = Member::of(&server, "gate-a").await;
    let mem = gate.ready().await;
    for _ in 0..10 {
        server.tell(&["SCRIPT", "FLUSH"]);
        assert_eq!(gate.spends().await, Ok(()));
    }
    assert_eq!(gate.mem(), Ok(mem));
}

#[tokio::test]
async fn an_eviction_is_noticed_before_it_lets_anybody_in_twice() {
    // What goes is the server's choice: until it took some uses, and left the memory's own key.
    for _ in 0..20 {
        if evicted_uses().await {
            return;
        }
    }
    panic!("the memory's own key went each time");
}

/// Evicts some keys; tells whether uses were among them, but not all that is known of the memory.
async fn evicted_uses() -> bool {
    let server = RedisServer::start();
    let gate = Member::of(&server, "gate-a").await;
    let mem = gate.ready().await;
    let mut admitted = Vec::new();
    // Many buckets, any of which may go.
    for n in 0..1_000 {
        let token = Use { expires: now() + 60 + 16 * (n % 50), ..token(mem) };
        assert_eq!(spend(&gate, &token).await, Ok(()));
        admitted.push(token);
    }
    let buckets = || server.ask::<Vec<String>>(&["KEYS", "*:used:*"]).len();
    let before = buckets();
    // After the check: until the next one nobody asks for the policy.
    server.tell(&["CONFIG", "SET", "maxmemory-policy", "allkeys-random"]);
    let used: u64 = server.info("used_memory").parse().unwrap();
    server.tell(&["CONFIG", "SET", "maxmemory", &(used - 4_000).to_string()]);
    server.wait_until(|server| server.info("evicted_keys").parse::<u64>().unwrap() > 0);
    server.tell(&["CONFIG", "SET", "maxmemory", "0"]);
    let there: Option<String> = server.ask(&["HGET", &key("mem"), "id"]);
    let telling = buckets() < before && there == Some(mem.to_string());
    let mut fenced_ones = 0;
    for token in &admitted {
        match spend(&gate, token).await {
            Err(Denial::AlreadyUsed) => {}
            Err(Denial::Fenced(_)) => fenced_ones += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(fenced_ones > 0 || !telling);
    telling
}

#[tokio::test]
async fn a_server_without_memory_refuses_and_recovers() {
    let server = RedisServer::start();
    let gate = Member::of(&server, "gate-a").await;
    let token = token(gate.ready().await);
    server.tell(&["CONFIG", "SET", "maxmemory", "1"]);
    let refused = spend(&gate, &token).await;
    let Err(Denial::StoreUnavailable { unspent: true, why }) = &refused else {
        panic!("{refused:?}")
    };
    assert!(why.contains("raise its maxmemory"), "{why}");
    server.tell(&["CONFIG", "SET", "maxmemory", "0"]);
    // Not spent, as was said.
    assert_eq!(spend(&gate, &token).await, Ok(()));
    assert_eq!(spend(&gate, &token).await, Err(Denial::AlreadyUsed));
}

#[tokio::test]
async fn a_server_that_may_not_write_refuses_and_recovers() {
    let other = RedisServer::start();
    let port = other.port.to_string();
    for (harm, end, words) in [
        (
            vec!["CONFIG", "SET", "min-replicas-to-write", "1"],
            vec!["CONFIG", "SET", "min-replicas-to-write", "0"],
            "NOREPLICAS",
        ),
        (vec!["REPLICAOF", "127.0.0.1", &port], vec!["REPLICAOF", "NO", "ONE"], "replica"),
    ] {
        let server = RedisServer::start();
        let gate = Member::of(&server, "gate-a").await;
        let token = token(gate.ready().await);
        server.tell(&harm);
        let refused = spend(&gate, &token).await;
        let Err(Denial::StoreUnavailable { why, .. }) = &refused else { panic!("{refused:?}") };
        assert!(why.contains(words), "{why}");
        server.tell(&end);
        gate.recovers().await;
    }
}

#[tokio::test]
async fn a_server_that_is_paused_lets_nobody_in_twice() {
    let server = RedisServer::start();
    let gate = Member::with(single(&server, SHORT), "gate-a").await;
    let tokens: Vec<_> = {
        let mem = gate.ready().await;
        (0..20).map(|_| token(mem)).collect()
    };
    server.tell(&["CLIENT", "PAUSE", "1000", "ALL"]);
    let mut admitted = vec![0; tokens.len()];
    let first =
        futures_util::future::join_all(tokens.iter().map(|token| spend(&gate, token))).await;
    for (outcome, admitted) in first.into_iter().zip(&mut admitted) {
        match outcome {
            Ok(()) => *admitted += 1,
            Err(Denial::StoreUnavailable { unspent: false, .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    gate.recovers().await;
    for (token, admitted) in tokens.iter().zip(&mut admitted) {
        *admitted += usize::from(spend(&gate, token).await.is_ok());
        assert_eq!(spend(&gate, token).await, Err(Denial::AlreadyUsed));
    }
    assert!(admitted.iter().all(|admitted| *admitted <= 1), "{admitted:?}");
}

#[tokio::test]
async fn a_gate_recovers_by_itself_and_tells_each_change_once() {
    let mut server = RedisServer::start();
    let gate = Member::with(single(&server, SHORT), "gate-a").await;
    gate.ready().await;
    assert!(gate.status().healthy);
    gate.take_notices();
    server.kill();
    assert!(matches!(gate.spends().await, Err(Denial::StoreUnavailable { .. })));
    gate.becomes(|gate| !gate.status().healthy).await;
    assert!(matches!(gate.mem(), Err(Denial::StoreUnavailable { unspent: true, .. })));
    for _ in 0..5 {
        gate.listen().await;
    }
    let told = gate.take_notices();
    let down: Vec<_> =
        told.iter().filter(|notice| matches!(notice, StoreNotice::Down(_))).collect();
    // Once for each thing that is wrong: the line that broke, and nobody there.
    assert!((1..=2).contains(&down.len()), "{told:?}");
    server.run();
    let back = Instant::now();
    gate.recovers().await;
    println!("recovered within {:?}", back.elapsed());
    gate.becomes(|gate| gate.status().healthy).await;
    let answers = |notice: &StoreNotice| *notice == StoreNotice::Answers;
    assert_eq!(gate.take_notices().into_iter().filter(answers).count(), 1);
}

#[tokio::test]
async fn a_gate_that_has_heard_nothing_knows_no_session_and_begins_when_it_can() {
    let mut server = RedisServer::start();
    server.kill();
    let gate = Member::with(single(&server, SHORT), "gate-a").await;
    let status = gate.status();
    assert!(!status.started && !status.healthy);
    assert!(matches!(gate.mem(), Err(Denial::StoreUnavailable { unspent: true, .. })));
    let lost = token(MemoryId::from_bytes([7; 16]));
    let refused = spend(&gate, &lost).await;
    assert!(matches!(refused, Err(Denial::StoreUnavailable { unspent: true, .. })), "{refused:?}");
    assert!(!gate.knows_sessions_of(lost.mem));
    server.run();
    let mem = gate.ready().await;
    assert!(gate.knows_sessions_of(mem) && gate.status().started);
}

#[tokio::test]
async fn full_is_full_for_all_gates() {
    let server = RedisServer::start();
    let one = Member::limited(single(&server, LONG), "gate-a", 30).await;
    let other = Member::limited(single(&server, LONG), "gate-b", 30).await;
    let mut admitted = 0;
    for n in 0..40 {
        match [&one, &other][n % 2].spends().await {
            Ok(()) => admitted += 1,
            Err(Denial::StoreFull) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((admitted, one.status().refused_full + other.status().refused_full), (30, 10));
    // What was taken back has room of its own.
    let ended = Revocation::session(SessionId::from_bytes([1; 16]), now() + 60);
    assert_eq!(one.revoke(ended).await, Ok(()));
    assert!(other.session_ended(SessionId::from_bytes([1; 16])));
}

#[tokio::test]
async fn what_one_gate_takes_back_all_know_before_the_answer_and_whatever_happens() {
    let session = |n| SessionId::from_bytes([n; 16]);
    let end = |n| Revocation::session(session(n), now() + 3_600);
    let server = RedisServer::start();
    let one = Member::of(&server, "gate-a").await;
    let other = Member::of(&server, "gate-b").await;
    let mem = one.ready().await;
    // Until it is known who listens, a revocation waits as long as for one that is gone.
    server.tell(&["HSET", &key("gates"), ".", &(now() - 60).to_string()]);
    for n in 1..=5 {
        assert_eq!(one.revoke(end(n)).await, Ok(()));
        assert!(one.session_ended(session(n)) && other.session_ended(session(n)), "{n}");
    }
    // A gate that comes later knows them too, and which sessions it may judge.
    let late = Member::of(&server, "gate-c").await;
    assert!((1..=5).all(|n| late.session_ended(session(n))));
    assert!(late.knows_sessions_of(mem));
    // An emptied store is refilled by those who know.
    server.tell(&["FLUSHALL"]);
    let new = one.other_than(mem).await;
    assert_eq!(other.other_than(mem).await, new);
    let latest = Member::of(&server, "gate-d").await;
    assert!((1..=5).all(|n| latest.session_ended(session(n))));
    assert!(latest.knows_sessions_of(mem) && latest.knows_sessions_of(new));
    assert!(!latest.knows_sessions_of(MemoryId::from_bytes([9; 16])));
}

#[tokio::test]
async fn what_is_taken_back_while_the_store_is_down_holds_here_and_is_handed_in_later() {
    let id = SessionId::from_bytes([1; 16]);
    let mut server = RedisServer::durable();
    let one = Member::with(single(&server, SHORT), "gate-a").await;
    let other = Member::with(single(&server, SHORT), "gate-b").await;
    one.ready().await;
    server.kill();
    let refused = one.revoke(Revocation::session(id, now() + 3_600)).await;
    assert!(matches!(refused, Err(Denial::StoreUnavailable { .. })), "{refused:?}");
    assert!(one.session_ended(id) && !other.session_ended(id));
    server.run();
    let handed_in = async {
        while !other.session_ended(id) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(crate::PATIENCE, handed_in).await.is_ok());
}

#[tokio::test]
async fn a_gate_that_missed_a_memory_hears_it_before_it_begins_the_next() {
    let id = SessionId::from_bytes([1; 16]);
    let (server, mem, other) = ended_while_cut_off(id).await;
    server.tell(&["HSET", &key("mem"), "replid", "of another server"]);
    other.listen().await;
    assert!(other.knows_sessions_of(mem) && other.session_ended(id));
}

#[tokio::test]
async fn a_gate_that_cannot_hear_what_it_missed_vouches_for_no_session() {
    let id = SessionId::from_bytes([1; 16]);
    let (server, mem, other) = ended_while_cut_off(id).await;
    // A clock that was far ahead had it swept.
    let there: String = server.ask(&["HGET", &key("mem"), "id"]);
    for kind in ["revoked", "times", "ends"] {
        server.tell(&["UNLINK", &key(&format!("{kind}:{there}"))]);
    }
    let ahead = (now() + 3_600).to_string();
    server.tell(&["HSET", &key("mem"), "revocations", "0", "revoked_horizon", &ahead]);
    other.listen().await;
    let new = other.ready().await;
    assert!(other.knows_sessions_of(new) && !other.knows_sessions_of(mem));
    assert!(!other.session_ended(id));
}

/// A gate that has heard nothing since the memory was replaced and a session of the one before was
/// ended, at a gate that is gone.
async fn ended_while_cut_off(id: SessionId) -> (RedisServer, MemoryId, Member) {
    let server = RedisServer::start();
    let one = Member::of(&server, "gate-a").await;
    let other = Member::of(&server, "gate-b").await;
    let mem = one.ready().await;
    assert_eq!(other.ready().await, mem);
    other.listening.abort();
    server.tell(&["HSET", &key("mem"), "replid", "of another server"]);
    one.other_than(mem).await;
    assert_eq!(one.revoke(Revocation::session(id, now() + 60)).await, Ok(()));
    assert!(one.session_ended(id) && !other.session_ended(id));
    (server, mem, other)
}
