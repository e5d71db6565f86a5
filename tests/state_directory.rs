//! What becomes of a gate whose state directory is removed, emptied, restored, moved or copied:
//! nothing is admitted twice, and new links work. The real binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::json;
use support::{
    gate::Link,
    http::Client,
    process::{At, Home, PATIENCE, Process},
};

async fn home() -> Home {
    Home::new(|text| text).await
}

fn state(home: &Home) -> PathBuf {
    home.dir.path().join("state")
}

/// A gate that runs, a link that was used there and one that was not.
async fn used_and_untried(home: &Home) -> (Process, At, [Link; 2]) {
    let (process, at) = home.start().await;
    let links = [at.link().await, at.link().await];
    assert_eq!(at.redeem(&links[0]).await.status, 200);
    (process, at, links)
}

async fn stopped(process: Process) {
    process.terminate();
    assert_eq!(process.ended().await.0, Some(0));
}

async fn codes(at: At, links: &[Link; 2]) -> [String; 2] {
    [at.redeem(&links[0]).await.code(), at.redeem(&links[1]).await.code()]
}

/// A new link works, once.
async fn works(at: At) -> Link {
    let link = at.link().await;
    assert_eq!(at.open(&link).await.status, 303);
    assert_eq!(at.redeem(&link).await.code(), "already_used");
    link
}

fn copied(from: &Path, to: &Path) {
    // With all that `cp` can keep: owners, modes, times.
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

#[tokio::test]
async fn removed_under_a_gate_that_runs_it_costs_the_links_and_the_gate_goes_on() {
    let home = home().await;
    let (process, at, links) = used_and_untried(&home).await;
    fs::remove_dir_all(state(&home)).unwrap();
    let ask = json!({ "token": links[1].token });
    let noticed = async {
        while at.client().post_json("/v1/inspect", &ask).await.json()["code"] != "fenced" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, noticed).await.expect("it is noticed");
    assert_eq!(codes(at, &links).await, ["fenced", "fenced"]);
    let new = works(at).await;
    assert_eq!(Client::new(at.admin).get("/ready").await.json()["status"], "ready");
    process.kill();
    // What it began is a journal like any other.
    let (process, at) = home.start().await;
    assert_eq!(at.redeem(&new).await.code(), "already_used");
    process.kill();
}

#[tokio::test]
async fn emptied_under_a_gate_that_runs_it_costs_the_links_at_the_next_start() {
    let home = home().await;
    let (process, at, links) = used_and_untried(&home).await;
    for file in fs::read_dir(state(&home)).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
    let new = works(at).await;
    assert_eq!(at.redeem(&links[0]).await.code(), "already_used", "it still has its files open");
    process.kill();
    let (process, at) = home.start().await;
    assert_eq!(codes(at, &links).await, ["fenced", "fenced"]);
    assert_eq!(at.redeem(&new).await.code(), "fenced");
    works(at).await;
    process.kill();
}

#[tokio::test]
async fn removed_between_two_gates_it_costs_the_links() {
    let home = home().await;
    let (process, _, links) = used_and_untried(&home).await;
    stopped(process).await;
    fs::remove_dir_all(state(&home)).unwrap();
    let (process, at) = home.start().await;
    assert_eq!(codes(at, &links).await, ["fenced", "fenced"]);
    works(at).await;
    process.kill();
}

#[tokio::test]
async fn restored_from_a_copy_it_costs_the_links() {
    for orderly in [false, true] {
        let home = home().await;
        let (process, at) = home.start().await;
        let links = [at.link().await, at.link().await];
        // Closed or not, it is whole, and from before a use.
        let (process, at) = if orderly {
            stopped(process).await;
            copied(&state(&home), &home.dir.path().join("backup"));
            home.start().await
        } else {
            copied(&state(&home), &home.dir.path().join("backup"));
            (process, at)
        };
        assert_eq!(at.redeem(&links[0]).await.status, 200);
        process.kill();
        fs::remove_dir_all(state(&home)).unwrap();
        copied(&home.dir.path().join("backup"), &state(&home));
        let (process, at) = home.start().await;
        assert_eq!(codes(at, &links).await, ["fenced", "fenced"]);
        assert!(process.said.iter().any(|line| line.contains("is a copy")), "{:?}", process.said);
        works(at).await;
        process.kill();
    }
}

#[tokio::test]
async fn moved_on_its_file_system_it_goes_on_elsewhere() {
    let home = home().await;
    let (process, _, links) = used_and_untried(&home).await;
    stopped(process).await;
    fs::rename(state(&home), home.dir.path().join("elsewhere")).unwrap();
    home.reconfigure(|text| text.replace("dir = \"state\"", "dir = \"elsewhere\""));
    let (process, at) = home.start().await;
    assert_eq!(codes(at, &links).await, ["already_used", ""]);
    assert_eq!(codes(at, &links).await, ["already_used", "already_used"]);
    process.kill();
}

#[tokio::test]
async fn copied_to_another_machine_it_costs_the_links_there_and_nothing_here() {
    let here = home().await;
    let (process, at, links) = used_and_untried(&here).await;
    let there = home().await;
    copied(&state(&here), there.dir.path());
    fs::remove_dir_all(there.dir.path().join("keys")).unwrap();
    copied(&here.dir.path().join("keys"), there.dir.path());
    let (another, other) = there.start().await;
    assert_eq!(codes(other, &links).await, ["fenced", "fenced"]);
    works(other).await;
    assert_eq!(codes(at, &links).await, ["already_used", ""]);
    another.kill();
    process.kill();
    // Nor does a gate of another name begin in it.
    there.reconfigure(|text| text.replace("gate-a", "gate-b"));
    let (code, said) = there.spawn().ended().await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("gate-a"), "{said}");
}
