//! The server's clock, stepped under its feet.

use std::process::Command;

use oncegate::{gate::denial::Denial, store::Use};

use tempfile::TempDir;

use crate::{Member, RedisServer, fenced, now, spend, token};

/// A server whose clock is off by what a file says.
struct Stepped {
    server: RedisServer,
    dir: TempDir,
}

impl Stepped {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/redis/clock.c");
        let made = Command::new("cc")
            .args(["-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", &at("clock.so"), source])
            .output()
            .unwrap_or_else(|error| panic!("cc cannot be run: {error}"));
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let (preload, from) =
            (format!("LD_PRELOAD={}", at("clock.so")), format!("CLOCK_OFF_BY={}", at("off_by")));
        let server = RedisServer::wrapped(&["env", &preload, &from], &[]);
        Self { server, dir }
    }

    /// Moves its clock to so many seconds from the true time.
    fn off_by(&self, seconds: i64) {
        // Renamed into its place: it is read at any time.
        let (new, file) = (self.dir.path().join("new"), self.dir.path().join("off_by"));
        std::fs::write(&new, seconds.to_string()).unwrap();
        std::fs::rename(new, file).unwrap();
        let off = |server: &RedisServer| {
            let told: Vec<String> = server.ask(&["TIME"]);
            told[0].parse::<i64>().unwrap() - i64::try_from(now()).unwrap()
        };
        self.server.wait_until(|server| (off(server) - seconds).abs() <= 2);
    }
}

#[tokio::test]
async fn a_servers_clock_that_steps_costs_links_and_lets_nobody_in_twice() {
    let stepped = Stepped::start();
    let gate = Member::of(&stepped.server, "gate-a").await;
    let mem = gate.ready().await;
    let (used, unused) = (token(mem), token(mem));
    assert_eq!(spend(&gate, &used).await, Ok(()));
    // Ahead by less than a link lives: nothing happens.
    stepped.off_by(60);
    assert_eq!(spend(&gate, &used).await, Err(Denial::AlreadyUsed));
    assert_eq!(spend(&gate, &unused).await, Ok(()));
    // Ahead by more: links are over, and in time their uses are dropped.
    stepped.off_by(2 * 3_600);
    let late = token(mem);
    assert_eq!(spend(&gate, &late).await, Err(Denial::Expired(late.expires)));
    gate.becomes(|gate| gate.status().horizon >= used.expires).await;
    // Back again: what was dropped could be valid. That memory ends.
    stepped.off_by(0);
    for token in [&used, &unused, &late] {
        assert_eq!(spend(&gate, token).await, fenced(mem));
    }
    assert_eq!(gate.replaced("store_clock"), 1);
    assert_eq!(gate.spends().await, Ok(()));
}

#[tokio::test]
async fn a_servers_clock_that_goes_back_brings_no_use_back() {
    let stepped = Stepped::start();
    let gate = Member::of(&stepped.server, "gate-a").await;
    let mem = gate.ready().await;
    let used = token(mem);
    assert_eq!(spend(&gate, &used).await, Ok(()));
    for back in [-30, -3_000, -86_400] {
        stepped.off_by(back);
        let next = Use { expires: now() + 300, ..token(gate.ready().await) };
        assert_eq!(spend(&gate, &next).await, Ok(()), "{back}");
        let again = spend(&gate, &used).await;
        assert!(matches!(again, Err(Denial::AlreadyUsed | Denial::Fenced(_))), "{again:?}");
    }
}
