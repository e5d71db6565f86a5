//! `kill -9` at any moment: nothing that was acknowledged is admitted again, what was never tried
//! still works, and the log says all that was decided. The real binary, on a state directory that
//! outlives it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use support::{
    dice::Dice,
    gate::{BILLING, PANEL},
    http::{Answer, Connection, kept, open_kept, redeem_kept},
    process::{At, Home, PATIENCE},
};
use tokio::{sync::Notify, task::JoinSet};

/// Loaders at once, each with a connection to the API and one to the public listener.
const LOADERS: usize = 6;
/// Links that a loader asks for at a time.
const BATCH: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_before_a_kill_is_admitted_after_it() {
    survive(50, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_where_every_use_is_synced_first() {
    survive(10, "durability = \"power\"").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_in_memory_admits_nothing_from_before_a_kill() {
    let mut dice = Dice::new();
    let home = home("store = \"memory\"").await;
    for _ in 0..5 {
        let links = Links::default();
        work_and_kill(&home, &mut dice, &links).await;
        let links = links.take();
        assert!(!links.is_empty());
        let (process, at) = home.start().await;
        let mut api = Connection::open(at.api).await.unwrap();
        for link in links {
            let answer = redeem(&mut api, &link.token).await;
            assert_eq!((answer.status, answer.code().as_str()), (410, "fenced"));
        }
        let new = at.link().await;
        assert_eq!((at.redeem(&new).await.status, at.redeem(&new).await.status), (200, 410));
        process.kill();
    }
}

/// What became of a link, as far as its user knows.
#[derive(Debug, Clone, Default)]
struct Tried {
    id: String,
    token: String,
    /// Something was sent, and is perhaps spent.
    sent: bool,
    /// Answers that let its user in.
    admitted: usize,
}

#[derive(Debug, Clone, Default)]
struct Links(Arc<Mutex<Vec<Tried>>>);

impl Links {
    fn take(&self) -> Vec<Tried> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// Adds links, and gives where they stand.
    fn add(&self, answer: &Answer) -> std::ops::Range<usize> {
        assert_eq!(answer.status, 200, "{}", answer.text());
        let new = answer.json();
        let mut links = self.0.lock().unwrap();
        let before = links.len();
        links.extend(new.as_array().unwrap().iter().map(|link| Tried {
            id: link["id"].as_str().unwrap().to_owned(),
            token: link["token"].as_str().unwrap().to_owned(),
            ..Tried::default()
        }));
        before..links.len()
    }

    fn send(&self, at: usize) -> String {
        let link = &mut self.0.lock().unwrap()[at];
        link.sent = true;
        link.token.clone()
    }

    fn answered(&self, at: usize, answer: &Answer) {
        self.0.lock().unwrap()[at].admitted += admits(answer);
    }
}

/// Works, kills and restarts so many times.
async fn survive(cycles: usize, once: &str) {
    let mut dice = Dice::new();
    let home = home(once).await;
    let (mut acknowledged, mut unanswered, mut untried) = (0, 0, 0);
    let mut all = Vec::new();
    for cycle in 0..cycles {
        let links = Links::default();
        work_and_kill(&home, &mut dice, &links).await;
        if cycle % 4 == 3 {
            // Killed while it starts, too.
            let mut starting = home.spawn();
            (0..dice.below(20_000)).take_while(|_| starting.runs()).for_each(drop);
            starting.kill();
        }
        let (process, at) = home.start().await;
        let mut api = Connection::open(at.api).await.unwrap();
        for mut link in links.take() {
            let before = link.admitted;
            link.admitted += admits(&redeem(&mut api, &link.token).await);
            match (before, link.sent) {
                (1.., _) => acknowledged += 1,
                (0, true) => unanswered += 1,
                (0, false) => {
                    untried += 1;
                    assert_eq!(link.admitted, 1, "cycle {cycle}: a link never tried is refused");
                }
            }
            assert!(link.admitted <= 1, "cycle {cycle}: admitted again, {before} before");
            all.push(link);
        }
        // As abruptly as the others: what this one has admitted counts as well.
        process.kill();
    }
    eprintln!("{acknowledged} acknowledged, {unanswered} without an answer, {untried} untried");
    assert!(acknowledged > 0 && unanswered > 0 && untried > 0);
    let (process, at) = home.start().await;
    let mut api = Connection::open(at.api).await.unwrap();
    for link in all {
        let answer = redeem(&mut api, &link.token).await;
        assert_eq!(answer.status, 410, "{}", answer.text());
        assert!(matches!(answer.code().as_str(), "already_used" | "expired"), "{}", answer.code());
    }
    process.kill();
}

/// Starts a gate, and kills it at some moment of its work. All that it has answered is in its log.
async fn work_and_kill(home: &Home, dice: &mut Dice, links: &Links) {
    let mut process = home.spawn_with(&[("ONCEGATE_LOG", "audit=info,oncegate::app=info")]);
    let at = process.ready().await;
    let (answers, enough) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let wanted = 1 + dice.below(120);
    let mut loaders = JoinSet::new();
    for _ in 0..LOADERS {
        let (links, dice, answers, enough) =
            (links.clone(), dice.fork(), answers.clone(), enough.clone());
        let count = move || {
            if answers.fetch_add(1, Ordering::SeqCst) + 1 == wanted {
                enough.notify_one();
            }
        };
        loaders.spawn(async move {
            // Ends with the process.
            let _ = load(at, &links, dice, &count).await;
        });
    }
    tokio::time::timeout(PATIENCE, enough.notified()).await.expect("some answers");
    let log = process.killed().await;
    while let Some(done) = loaders.join_next().await {
        done.unwrap();
    }
    let said: HashSet<_> = log.lines().filter_map(decision).collect();
    let links = links.0.lock().unwrap();
    for Tried { id, admitted, .. } in &*links {
        let says = |event: &str| said.contains(&(event.to_owned(), id.clone()));
        assert!(says("issue"), "{id} was issued, and the log does not say so:\n{log}");
        assert!(*admitted == 0 || says("redeem"), "{id} was used, and the log does not say so");
    }
    assert!(!links.is_empty());
}

/// What a line of the log says was decided, and of which link; none of a line that was cut off.
fn decision(line: &str) -> Option<(String, String)> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let text = |name: &str| Some(line[name].as_str()?.to_owned());
    Some((text("event")?, text("id")?))
}

/// Asks for links and uses most of them: once, twice, or by two at the same time.
async fn load(at: At, links: &Links, mut dice: Dice, count: &impl Fn()) -> std::io::Result<()> {
    let mut api = Connection::open(at.api).await?;
    let mut public = Connection::open(at.public).await?;
    loop {
        let asked = vec![serde_json::json!({ "user": "joe", "ttl": 300 }); BATCH];
        let key = format!("Bearer {BILLING}");
        let headers =
            [("Host", "api"), ("Authorization", &key), ("Content-Type", "application/json")];
        let asked = serde_json::Value::from(asked).to_string();
        api.send(kept("/v1/links/batch", &headers, &asked)).await?;
        let new = links.add(&api.answer().await?);
        count();
        for link in new {
            let how = dice.below(5);
            if how == 0 {
                continue; // never tried
            }
            let token = links.send(link);
            let by_api = async |api: &mut Connection| {
                api.send(redeem_kept(BILLING, &token)).await?;
                links.answered(link, &api.answer().await?);
                count();
                std::io::Result::Ok(())
            };
            let by_form = async |public: &mut Connection| {
                public.send(open_kept(PANEL, &token)).await?;
                links.answered(link, &public.answer().await?);
                count();
                std::io::Result::Ok(())
            };
            match how {
                1 => by_api(&mut api).await?,
                2 => by_form(&mut public).await?,
                3 => {
                    by_form(&mut public).await?;
                    by_api(&mut api).await?;
                }
                _ => {
                    let (api, form) = tokio::join!(by_api(&mut api), by_form(&mut public));
                    api.and(form)?;
                }
            }
        }
    }
}

async fn home(once: &str) -> Home {
    // Nobody's limit: the work is what is measured out.
    Home::new(|text| {
        text.replace("[once]", &format!("[once]\n{once}")).replace("\"1000/s\"", "\"100000/s\"")
    })
    .await
}

async fn redeem(api: &mut Connection, token: &str) -> Answer {
    api.send(redeem_kept(BILLING, token)).await.unwrap();
    api.answer().await.unwrap()
}

/// How many are let in by this answer: one, or none because it was used before.
fn admits(answer: &Answer) -> usize {
    match answer.status {
        200 | 303 => 1,
        410 => {
            assert_eq!(answer.code(), "already_used");
            0
        }
        status => panic!("{status}: {}", answer.text()),
    }
}
