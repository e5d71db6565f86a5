//! Every question, and every answer there is to it, from the scripts themselves.

use std::sync::Arc;

use oncegate::{
    gate::{
        id::{MemoryId, SessionId, TokenId},
        revoked::{Revocation, Revoke},
        seen::bucket_end,
    },
    ops::entropy::random,
    store::redis::protocol::{Ask, Breakage, Connection, Heard, KEEP, Told},
};

use crate::{LONG, connected, key, now, server::RedisServer, single};

const MAX: u64 = 1_000;

/// A memory on a server, and a connection to it.
struct Memory {
    server: RedisServer,
    connection: Arc<dyn Connection>,
    mem: MemoryId,
}

impl Memory {
    async fn new() -> Self {
        let server = RedisServer::start();
        let connection = connected(single(&server, LONG)).await.unwrap();
        let mem = MemoryId::from_bytes(random());
        let memory = Self { server, connection, mem };
        assert_eq!(memory.ask(Ask::Make { old: None, new: mem }).await, Told::Made);
        memory
    }

    async fn ask(&self, ask: Ask) -> Told {
        self.connection.ask(ask).await.unwrap()
    }

    async fn spend(&self, id: TokenId, attempt: u8) -> Told {
        self.ask(self.spending(id, attempt)).await
    }

    fn spending(&self, id: TokenId, attempt: u8) -> Ask {
        Ask::Spend {
            mem: self.mem,
            id,
            expires: now() + 300,
            attempt: [attempt; 16],
            heard: 0,
            max_entries: MAX,
        }
    }

    async fn look(&self, id: TokenId, expires: u64) -> Told {
        self.ask(Ask::Look { mem: self.mem, id, expires }).await
    }

    async fn hear(&self, heard: u64, limit: usize) -> Heard {
        self.hear_as("gate-a", Some(self.mem), heard, limit).await
    }

    async fn hear_as(&self, gate: &str, mem: Option<MemoryId>, heard: u64, limit: usize) -> Heard {
        let ask = Ask::Hear { gate: gate.to_owned(), mem, heard, limit };
        let Told::Heard(heard) = self.ask(ask).await else { panic!("not heard") };
        heard
    }

    async fn revoke(&self, revocations: &[Revocation]) -> Told {
        self.put_back(revocations, &[], 0).await
    }

    async fn put_back(
        &self,
        revocations: &[Revocation],
        lineage: &[MemoryId],
        horizon: u64,
    ) -> Told {
        self.ask(Ask::Revoke {
            mem: self.mem,
            revocations: revocations.to_vec(),
            lineage: lineage.to_vec(),
            horizon,
            max_revocations: MAX,
        })
        .await
    }

    async fn sweep(&self, keep: u64) -> Told {
        self.ask(Ask::Sweep { mem: self.mem, keep }).await
    }

    /// Every question of a memory, whatever it is about.
    fn all(&self) -> [Ask; 4] {
        let (mem, id) = (self.mem, id(77));
        [
            self.spending(id, 1),
            Ask::Look { mem, id, expires: now() + 300 },
            Ask::Revoke {
                mem,
                revocations: vec![session(1, now() + 60)],
                lineage: Vec::new(),
                horizon: 0,
                max_revocations: MAX,
            },
            Ask::Sweep { mem, keep: KEEP },
        ]
    }

    fn set(&self, field: &str, value: &str) {
        self.server.tell(&["HSET", &key("mem"), field, value]);
    }
}

fn id(n: u8) -> TokenId {
    TokenId::from_bytes([n; 16])
}

fn session(n: u8, until: u64) -> Revocation {
    Revocation::session(SessionId::from_bytes([n; 16]), until)
}

#[tokio::test]
async fn a_token_is_spent_once_and_a_resend_recognises_itself() {
    let memory = Memory::new().await;
    let expires = now() + 300;
    assert_eq!(memory.look(id(1), expires).await, Told::Spent);
    assert_eq!(memory.spend(id(1), 1).await, Told::Spent);
    assert_eq!(memory.spend(id(1), 1).await, Told::Spent);
    assert_eq!(memory.spend(id(1), 2).await, Told::Used);
    assert_eq!(memory.spend(id(2), 2).await, Told::Spent);
    assert_eq!(memory.hear(0, 10).await.entries, 2);
}

#[tokio::test]
async fn time_is_the_servers() {
    let memory = Memory::new().await;
    let late = |expires| Ask::Spend {
        mem: memory.mem,
        id: id(1),
        expires,
        attempt: [1; 16],
        heard: 0,
        max_entries: MAX,
    };
    for expires in [0, 1, now() - 1] {
        assert_eq!(memory.ask(late(expires)).await, Told::Expired);
        assert_eq!(memory.look(id(1), expires).await, Told::Expired);
    }
    assert_eq!(memory.hear(0, 10).await.entries, 0);
    // At or before the horizon nothing is admitted, whatever the clock says.
    memory.set("horizon", &(now() + 10).to_string());
    assert_eq!(memory.ask(late(now() + 9)).await, Told::Expired);
    assert_eq!(memory.ask(late(now() + 100)).await, Told::Spent);
}

#[tokio::test]
async fn full_is_full() {
    let memory = Memory::new().await;
    let spend = |n, max_entries| Ask::Spend {
        mem: memory.mem,
        id: id(n),
        expires: now() + 300,
        attempt: [n; 16],
        heard: 0,
        max_entries,
    };
    assert_eq!(memory.ask(spend(1, 2)).await, Told::Spent);
    assert_eq!(memory.ask(spend(2, 2)).await, Told::Spent);
    assert_eq!(memory.ask(spend(3, 2)).await, Told::Full);
    // What is recorded is answered for as ever.
    assert_eq!(memory.ask(spend(2, 2)).await, Told::Spent);
    assert_eq!(memory.spend(id(1), 9).await, Told::Used);
    assert_eq!(memory.ask(spend(3, 3)).await, Told::Spent);
}

#[tokio::test]
async fn another_memory_fences() {
    let memory = Memory::new().await;
    let new = MemoryId::from_bytes(random());
    assert_eq!(memory.spend(id(1), 1).await, Told::Spent);
    let make = |old, new| Ask::Make { old, new };
    assert_eq!(memory.ask(make(None, new)).await, Told::Kept(Some(memory.mem)));
    assert_eq!(memory.ask(make(Some(memory.mem), new)).await, Told::Made);
    assert_eq!(memory.ask(make(Some(memory.mem), memory.mem)).await, Told::Kept(Some(new)));
    for ask in memory.all() {
        assert_eq!(memory.ask(ask).await, Told::Fenced(Some(new)));
    }
    assert_eq!(memory.hear(0, 10).await.entries, 0);
    // Nothing is left of the old one.
    let left: Vec<String> = memory.server.ask(&["KEYS", "*"]);
    assert!(left.iter().all(|key| !key.contains(&memory.mem.to_string())), "{left:?}");
    memory.server.tell(&["FLUSHALL"]);
    for ask in memory.all() {
        assert_eq!(memory.ask(ask).await, Told::Fenced(None));
    }
    assert_eq!(memory.ask(make(Some(new), memory.mem)).await, Told::Kept(None));
    let heard = memory.hear(0, 10).await;
    assert_eq!((heard.mem, heard.broken), (None, None));
}

#[tokio::test]
async fn a_memory_made_on_another_server_is_broken() {
    let memory = Memory::new().await;
    memory.set("replid", "0000000000000000000000000000000000000000");
    for ask in memory.all() {
        assert_eq!(memory.ask(ask).await, Told::Broken(Breakage::Moved));
    }
    let heard = memory.hear(0, 10).await;
    assert_eq!((heard.mem, heard.broken), (Some(memory.mem), Some(Breakage::Moved)));
}

#[tokio::test]
async fn a_clock_behind_a_horizon_is_broken() {
    for (field, ahead) in [("horizon", 30), ("revoked_horizon", 5)] {
        let memory = Memory::new().await;
        memory.set(field, &(now() + ahead).to_string());
        for ask in memory.all() {
            assert_eq!(memory.ask(ask).await, Told::Broken(Breakage::ClockWentBack), "{field}");
        }
        assert_eq!(memory.hear(0, 10).await.broken, Some(Breakage::ClockWentBack));
    }
}

#[tokio::test]
async fn a_bucket_that_is_gone_or_short_is_noticed_in_the_same_step() {
    for harm in ["UNLINK", "HDEL"] {
        let memory = Memory::new().await;
        let expires = now() + 300;
        for (n, attempt) in [(1, 1), (2, 1)] {
            let (id, attempt) = (id(n), [attempt; 16]);
            let (mem, heard, max_entries) = (memory.mem, 0, MAX);
            let ask = Ask::Spend { mem, id, expires, attempt, heard, max_entries };
            assert_eq!(memory.ask(ask).await, Told::Spent);
        }
        let bucket = key(&format!("used:{}:{}", memory.mem, bucket_end(expires)));
        let lifetime: u64 = memory.server.ask(&["EXPIRETIME", &bucket]);
        assert_eq!(lifetime, bucket_end(expires) + 2 * KEEP);
        let fields: Vec<Vec<u8>> = memory.server.ask(&["HKEYS", &bucket]);
        let mut connection = memory.server.connect().unwrap();
        let mut command = redis::cmd(harm);
        command.arg(&bucket);
        if harm == "HDEL" {
            command.arg(&fields[0]);
        }
        assert_eq!(command.query::<u64>(&mut connection).unwrap(), 1);
        for n in [1, 2, 3] {
            let told = memory.look(id(n), expires).await;
            assert_eq!(told, Told::Broken(Breakage::Lost), "{harm} {n}");
        }
    }
}

#[tokio::test]
async fn whoever_is_behind_hears_first() {
    let memory = Memory::new().await;
    assert_eq!(memory.revoke(&[session(1, now() + 60)]).await, Told::Revoked(1));
    assert_eq!(memory.spend(id(1), 1).await, Told::Behind);
    assert_eq!(memory.look(id(1), now() + 300).await, Told::Spent);
    let heard = Ask::Spend {
        mem: memory.mem,
        id: id(1),
        expires: now() + 300,
        attempt: [1; 16],
        heard: 1,
        max_entries: MAX,
    };
    assert_eq!(memory.ask(heard).await, Told::Spent);
    // Its own use is recognised, however far behind.
    assert_eq!(memory.spend(id(1), 1).await, Told::Spent);
}

#[tokio::test]
async fn revocations_are_told_in_order_once_and_with_their_latest_times() {
    let memory = Memory::new().await;
    let now = now();
    let link = Revocation::link(id(9), "mail", now + 60);
    let user = |at, until| Revocation::user("panel", "joe", at, until);
    let all = [session(1, now + 60), link, user(now, now + 60)];
    assert_eq!(memory.revoke(&all).await, Told::Revoked(3));
    // What is known takes neither a number nor room, what changes a new place.
    assert_eq!(memory.revoke(&all).await, Told::Revoked(3));
    assert_eq!(memory.revoke(&[user(now - 5, now + 30)]).await, Told::Revoked(3));
    assert_eq!(memory.revoke(&[user(now + 1, now + 30)]).await, Told::Revoked(4));
    let told = memory.hear(0, 2).await;
    assert_eq!((told.heard, told.latest, told.revocations), (2, 4, vec![all[0], link]));
    let told = memory.hear(2, 2).await;
    assert_eq!((told.heard, told.revocations), (4, vec![user(now + 1, now + 60)]));
    let told = memory.hear(4, 2).await;
    assert_eq!((told.heard, told.revocations.len()), (4, 0));
    // Under another memory nothing counts as heard.
    let other = Some(MemoryId::from_bytes(random()));
    assert_eq!(memory.hear_as("gate-a", other, 4, 10).await.revocations.len(), 3);
    let what = |revocation: &Revocation| matches!(revocation.what, Revoke::Link(..));
    assert!(memory.hear(0, 10).await.revocations.iter().any(what));
}

#[tokio::test]
async fn revocations_have_room_of_their_own() {
    let memory = Memory::new().await;
    let some = |from: u64, count: u64| -> Vec<Revocation> {
        let one = |n: u64| {
            let user = n.to_string();
            Revocation::user("panel", &user, 0, now() + 60)
        };
        (from..from + count).map(one).collect()
    };
    assert_eq!(memory.revoke(&some(0, MAX - 1)).await, Told::Revoked(MAX - 1));
    assert_eq!(memory.revoke(&some(MAX - 1, 2)).await, Told::Full);
    assert_eq!(memory.hear(0, 10).await.latest, MAX - 1);
    // The same one twice is one.
    let twice = [some(MAX, 1), some(MAX, 1)].concat();
    assert_eq!(memory.revoke(&twice).await, Told::Revoked(MAX));
    assert_eq!(memory.revoke(&some(0, 3)).await, Told::Revoked(MAX));
    assert_eq!(memory.revoke(&some(MAX + 1, 1)).await, Told::Full);
    let heard = MAX;
    let ask = Ask::Spend {
        mem: memory.mem,
        id: id(1),
        expires: now() + 300,
        attempt: [1; 16],
        heard,
        max_entries: 1,
    };
    assert_eq!(memory.ask(ask).await, Told::Spent);
}

#[tokio::test]
async fn lost_revocations_are_noticed() {
    for kind in ["revoked", "times", "ends"] {
        let memory = Memory::new().await;
        memory.revoke(&[session(1, now() + 60)]).await;
        memory.server.tell(&["DEL", &key(&format!("{kind}:{}", memory.mem))]);
        let told = memory.revoke(&[session(2, now() + 60)]).await;
        assert_eq!(told, Told::Broken(Breakage::Lost), "{kind}");
        assert_eq!(memory.hear(0, 10).await.broken, Some(Breakage::Lost), "{kind}");
    }
}

#[tokio::test]
async fn a_refill_brings_lineage_and_horizon() {
    let memory = Memory::new().await;
    let (one, other) = (MemoryId::from_bytes([1; 16]), MemoryId::from_bytes([2; 16]));
    let told = memory.put_back(&[session(1, now() + 60)], &[one, other], 1_700_000_000).await;
    assert_eq!(told, Told::Revoked(1));
    memory.put_back(&[], &[one], 1_600_000_000).await;
    let heard = memory.hear(0, 10).await;
    assert_eq!(heard.lineage, [one, other]);
    assert_eq!(heard.revoked_horizon, 1_700_000_000);
}

#[tokio::test]
async fn sweeping_takes_whole_buckets_and_raises_the_horizons() {
    let memory = Memory::new().await;
    let expires = now() + 1;
    let ask = Ask::Spend {
        mem: memory.mem,
        id: id(1),
        expires,
        attempt: [1; 16],
        heard: 0,
        max_entries: MAX,
    };
    assert_eq!(memory.ask(ask).await, Told::Spent);
    assert_eq!(memory.sweep(0).await, Told::Swept);
    assert_eq!(memory.hear(0, 10).await.entries, 1);
    // As if its time had come: no clock here can be set.
    let (old, new) = (bucket_end(expires), bucket_end(now()) - 3_600);
    memory.server.tell(&["HDEL", &key("mem"), &format!("b{old}")]);
    memory.set(&format!("b{new}"), "1");
    let names = [old, new].map(|end| key(&format!("used:{}:{end}", memory.mem)));
    memory.server.tell(&["RENAME", &names[0], &names[1]]);
    assert_eq!(memory.sweep(KEEP + 60).await, Told::Swept);
    assert_eq!(memory.hear(0, 10).await.entries, 1);
    assert_eq!(memory.sweep(60).await, Told::Swept);
    let heard = memory.hear(0, 10).await;
    assert_eq!((heard.entries, heard.horizon), (0, new));
    assert_eq!(memory.server.ask::<u64>(&["EXISTS", &names[1]]), 0);
}

#[tokio::test]
async fn sweeping_drops_revocations_that_were_over_long_ago() {
    let memory = Memory::new().await;
    let (over, not_yet) = (now() - 2 * KEEP, now() - KEEP + 60);
    memory.revoke(&[session(1, over), session(2, not_yet), session(3, now() + 60)]).await;
    assert_eq!(memory.sweep(0).await, Told::Swept);
    let heard = memory.hear(0, 10).await;
    assert_eq!(heard.revocations, [session(2, not_yet), session(3, now() + 60)].map(|r| r));
    assert_eq!((heard.revoked_horizon, heard.broken), (session(1, over).end(), None));
    assert_eq!(memory.revoke(&[session(4, now() + 60)]).await, Told::Revoked(4));
}

#[tokio::test]
async fn what_all_have_heard_is_what_the_last_of_them_has() {
    let memory = Memory::new().await;
    let mem = Some(memory.mem);
    memory.revoke(&[session(1, now() + 60)]).await;
    // At first nobody knows who listens.
    assert_eq!(memory.hear_as("gate-a", mem, 1, 10).await.confirmed, 0);
    memory.server.tell(&["HSET", &key("gates"), ".", &(now() - 60).to_string()]);
    assert_eq!(memory.hear_as("gate-a", mem, 1, 10).await.confirmed, 1);
    // Another that has not heard holds it up; so does one that knows another memory.
    assert_eq!(memory.hear_as("gate-b", None, 5, 10).await.confirmed, 0);
    assert_eq!(memory.hear_as("gate-a", mem, 1, 10).await.confirmed, 0);
    assert_eq!(memory.hear_as("gate-b", mem, 1, 10).await.confirmed, 1);
    // One that does not ask any more is not waited for, and forgotten in the end.
    for (ago, there) in [(10, true), (100, false)] {
        let note = format!("{} {} 0", now() - ago, memory.mem);
        memory.server.tell(&["HSET", &key("gates"), "gate-b", &note]);
        assert_eq!(memory.hear_as("gate-a", mem, 1, 10).await.confirmed, 1);
        assert_eq!(memory.server.ask::<bool>(&["HEXISTS", &key("gates"), "gate-b"]), there);
    }
}

#[tokio::test]
async fn a_script_that_was_thrown_away_is_loaded_again() {
    let memory = Memory::new().await;
    assert_eq!(memory.spend(id(1), 1).await, Told::Spent);
    memory.server.tell(&["SCRIPT", "FLUSH"]);
    assert_eq!(memory.spend(id(1), 2).await, Told::Used);
    memory.server.tell(&["SCRIPT", "FLUSH"]);
    assert_eq!(memory.spend(id(2), 2).await, Told::Spent);
}
