//! How many files the gate may have open, and what it does where they are too few.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use std::net::TcpListener;

use support::{
    gate::PANEL,
    http::Client,
    process::{Home, PATIENCE, Process},
};
use tokio::{net::TcpStream, time::timeout};

/// Starts a gate to which a shell grants so many files, as the options of its `ulimit` say.
fn spawn(home: &Home, ulimit: &str) -> Process {
    let script = format!("ulimit {ulimit}; exec \"$@\"");
    home.spawn_through::<TcpListener>(&["sh", "-c", &script, "sh"], &[], &[])
}

/// What the system says of a process: the soft limit and the hard one.
fn limits(process: &Process) -> [u64; 2] {
    let text = std::fs::read_to_string(format!("/proc/{}/limits", process.id())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let mut numbers = line.split_whitespace().map(|word| word.parse().unwrap_or(u64::MAX));
    [numbers.next().unwrap(), numbers.next().unwrap()]
}

#[tokio::test]
async fn what_is_allowed_is_taken_and_enough_of_it_says_nothing() {
    let limits_of = "[limits]\nmax_connections = 100\n[listen]";
    let home = Home::new(|text| text.replace("[listen]", limits_of)).await;
    let mut process = spawn(&home, "-Sn 80; ulimit -Hn 264");
    process.ready().await;
    assert_eq!(limits(&process), [264, 264]);
    let said = process.said.join("\n");
    assert!(!said.contains("open files"), "{said}");
}

#[tokio::test]
async fn too_few_are_told_of_with_where_to_allow_more() {
    let home = Home::new(|text| text).await;
    let mut process = spawn(&home, "-n 512");
    let line = process.says("limits.max_connections needs more open files").await;
    for part in ["LimitNOFILE=", "ulimit -Hn", "\"allowed\":512", "\"needed\":20064", "WARN"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    process.ready().await;
}

#[tokio::test]
async fn who_is_idle_gives_way_where_there_are_no_more_files() {
    let limits_of = "[limits]\nheader_timeout = \"1h\"\n[listen]";
    let home = Home::new(|text| text.replace("[listen]", limits_of)).await;
    let mut process = spawn(&home, "-n 128");
    let at = process.ready().await;
    let mut silent = Vec::new();
    for _ in 0..256 {
        silent.push(TcpStream::connect(at.public).await.unwrap());
    }
    process.says("cannot accept a connection").await;
    let client = Client::new(at.public).host(PANEL);
    let answer = timeout(PATIENCE, client.get("/.well-known/jwks.json")).await;
    assert_eq!(answer.expect("locked out").status, 200);
    assert_eq!(silent.len(), 256);
}
