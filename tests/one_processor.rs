//! A gate on a machine, or in a container, with one processor: it runs on one thread.
#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod support;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use support::{
    gate::{PANEL, cookie_of},
    http::Client,
    process::{At, Home, Process},
};
use tokio::task::JoinSet;

/// Starts a gate that sees one processor.
async fn start(home: &Home) -> (Process, At) {
    let alone = || {
        let all = sched_getaffinity(None).unwrap();
        let mut one = CpuSet::new();
        one.set((0..CpuSet::MAX_CPU).find(|core| all.is_set(*core)).unwrap());
        // What this thread starts inherits its processors.
        sched_setaffinity(None, &one).unwrap();
        home.spawn()
    };
    let mut process = std::thread::scope(|scope| scope.spawn(alone).join().unwrap());
    let at = process.ready().await;
    (process, at)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_admits_once_serves_ends_in_order_and_remembers() {
    for durability in ["process", "power"] {
        let durability = format!("[once]\ndurability = \"{durability}\"");
        let home = Home::new(|text| text.replace("[once]", &durability)).await;
        let (process, at) = start(&home).await;
        let mut asking = JoinSet::new();
        for _ in 0..50 {
            asking.spawn(async move { at.link().await });
        }
        let links = asking.join_all().await;
        let mut redeeming = JoinSet::new();
        for link in links.iter().chain(&links) {
            let link = link.clone();
            redeeming.spawn(async move { at.redeem(&link).await.status });
        }
        let mut told = redeeming.join_all().await;
        told.sort_unstable();
        assert_eq!(told, [[200; 50], [410; 50]].concat());
        let opened = at.open(&at.link().await).await;
        let browser = Client::new(at.public).host(PANEL).header("cookie", &cookie_of(&opened));
        assert_eq!(browser.get("/").await.status, 200);
        process.terminate();
        assert_eq!(process.ended().await.0, Some(0));
        let (_process, at) = start(&home).await;
        for link in &links {
            assert_eq!(at.redeem(link).await.code(), "already_used");
        }
    }
}
