//! A directory of users, in a file or at a service: who may have a link, under which name, and
//! what becomes of links while it is changed, broken or silent.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use std::{
    fs,
    future::Future,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use oncegate::{config::DirectorySource, ops::clock::Clock, store::directory::Directory};
use serde_json::{Value, json};
use support::{
    gate::{Gate, Link, NARROW, NOW, usual},
    http::Answer,
    logs,
    process::PATIENCE,
    service::{Reply, Service, TOKEN},
    tokens::claims_of,
    upstream::Upstream,
};

const FILE: &str = r#"
[[users]]
id = 18
username = "joe"
email = "joe@example.com"
[[users]]
id = 20
username = "gone"
email = "gone@example.com"
active = false
[[users]]
username = "test-1"
email = "ann@example.com"
[[users]]
username = "zoë"
email = "test-2@example.com"
"#;

/// A gate whose directory is a file.
async fn with_file(text: &str) -> Gate {
    let (dir, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    fs::write(dir.path().join("directory.toml"), text).unwrap();
    let config = [usual(&upstream).as_str(), "[directory]\nfile = \"directory.toml\"\n"].concat();
    Gate::in_dir(dir, upstream, &config, Clock::manual(NOW)).await
}

/// A gate whose directory is a service that knows `joe`.
async fn with_service(timeout: &str, cache: &str) -> (Gate, Service) {
    let service = Service::start().await;
    service.says("/users/joe", json!({ "id": 18, "username": "joe" }));
    let section = service.section(timeout, cache);
    (Gate::with(|text| [text, section].concat()).await, service)
}

async fn ask(gate: &Gate, user: &str) -> Answer {
    gate.api().post_json("/v1/links", &json!({ "user": user })).await
}

/// Asserts that a link was issued, and gives the token's `sub`.
fn subject(answer: &Answer) -> String {
    assert_eq!(answer.status, 201, "{}", answer.text());
    claims_of(&Link::of(&answer.json()).token)["sub"].as_str().unwrap().to_owned()
}

fn assert_refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{}", answer.text());
}

fn file(gate: &Gate) -> PathBuf {
    gate.dir.path().join("directory.toml")
}

/// Replaces the file in one step: the gate may look at any moment.
fn write(gate: &Gate, text: impl AsRef<[u8]>) {
    let new = gate.dir.path().join("new.toml");
    fs::write(&new, text).unwrap();
    fs::rename(new, file(gate)).unwrap();
}

fn look(gate: &Gate) {
    gate.running.as_ref().unwrap().take_up_directory();
}

/// Looks until a file that stands still is in force.
fn take_up(gate: &Gate) {
    look(gate);
    look(gate);
}

/// What was logged with `part` in it.
fn logged(part: &str) -> Vec<String> {
    let lines = logs::all().into_iter().map(|line| line.get("message").to_owned());
    lines.filter(|line| line.contains(part)).collect()
}

/// Tries until it is so: the gate promises when at the latest, not when.
async fn until<F: Future<Output = bool>>(mut is_so: impl FnMut() -> F) {
    let tries = async {
        while !is_so().await {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, tries).await.is_ok(), "it never came to be");
}

#[tokio::test]
async fn a_user_is_named_by_username_email_or_number_and_the_token_bears_the_username() {
    let gate = with_file(FILE).await;
    for name in ["joe", "joe@example.com", "18"] {
        assert_eq!(subject(&ask(&gate, name).await), "joe", "{name}");
    }
    assert_eq!(subject(&ask(&gate, "test-2@example.com").await), "zoë");
    gate.stop().await;
}

#[tokio::test]
async fn who_is_unknown_or_not_active_gets_no_link_and_nobody_is_told_which() {
    let gate = with_file(FILE).await;
    let mut texts = Vec::new();
    let nobody = ["nobody", "gone", "gone@example.com", "20", "JOE", "018", "joe ", "jo\u{fffe}e"];
    for name in nobody {
        let answer = ask(&gate, name).await;
        assert_refused(&answer, 422, "unknown_user");
        texts.push(answer.text().to_owned());
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:?}");
    for name in ["", "jo\ne"] {
        assert_refused(&ask(&gate, name).await, 422, "invalid_request");
    }
    gate.stop().await;
}

#[tokio::test]
async fn whom_a_caller_may_sign_in_is_judged_by_the_username() {
    let gate = with_file(FILE).await;
    // `narrow` may sign in `test-*`, and has two links an hour, but a batch may have more.
    let asked: Value = ["ann@example.com", "test-2@example.com", "joe", "nobody", "gone", "test-9"]
        .map(|user| json!({ "user": user, "site": "panel", "destination": "home" }))
        .to_vec()
        .into();
    let answer = gate.api_as(Some(NARROW)).post_json("/v1/links/batch", &asked).await;
    let items = answer.json();
    assert_eq!(claims_of(items[0]["token"].as_str().unwrap())["sub"], "test-1");
    for place in 2..=4 {
        assert_eq!(items[place], items[2], "what would not be its own is forbidden, known or not");
        assert_eq!(items[place]["code"], "forbidden");
    }
    assert_eq!(items[5]["code"], "unknown_user");
    assert_eq!(items[1], items[5], "another's user by a name that would be its own is nobody");
    gate.stop().await;
}

#[tokio::test]
async fn a_changed_file_counts_once_it_was_seen_alike_at_two_looks() {
    let gate = with_file(FILE).await;
    for name in ["jim", "tom"] {
        write(&gate, FILE.replace("\"joe\"", &format!("\"{name}\"")));
        take_up(&gate);
        assert_eq!(subject(&ask(&gate, "18").await), name);
    }
    gate.stop().await;

    // A directory of its own, at which nothing else looks.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("directory.toml");
    let directory = open_file(&path, FILE);
    for number in 0..5 {
        fs::write(&path, FILE.replace("\"joe\"", &format!("\"jim-{number}\""))).unwrap();
        assert!(directory.look().is_none());
        assert!(directory.user("joe").await.unwrap().is_some(), "it is still written");
    }
    assert!(directory.look().is_some());
    assert!(directory.user("jim-4").await.unwrap().is_some());
}

/// A directory that is a file with this text.
fn open_file(path: &Path, text: &str) -> Directory {
    fs::write(path, text).unwrap();
    Directory::open(&DirectorySource::File(path.into())).unwrap()
}

#[tokio::test]
async fn a_change_that_ends_amid_a_line_or_holds_nothing_is_not_taken_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("directory.toml");
    let directory = open_file(&path, FILE);
    let upto = |part: &str| &FILE[..FILE.find(part).unwrap()];
    let cut = upto("\nactive = false");
    let meant = open_file(&dir.path().join("cut.toml"), cut);
    assert!(meant.user("gone").await.unwrap().unwrap().active, "it would be taken at the start");
    for (text, why) in [
        (cut, "line 9: is perhaps cut off"),
        ("", "are all gone"),
        (upto("username = \"test-1\"").trim_end(), "username: is missing"),
        ("# nobody\n", "are all gone"),
    ] {
        fs::write(&path, text).unwrap();
        let said: Vec<String> =
            (0..4).filter_map(|_| directory.look()).map(|notice| notice.to_string()).collect();
        let [said] = &said[..] else { unreachable!("{text}: {said:?}") };
        assert!(said.contains(why) && said.contains("the old one stays"), "{said}");
        let gone = directory.user("gone").await.unwrap().unwrap();
        assert!(!gone.active, "{text}");
    }
    fs::write(&path, [cut, "\n"].concat()).unwrap();
    assert_eq!((0..4).filter_map(|_| directory.look()).count(), 1);
    assert!(directory.user("gone").await.unwrap().unwrap().active, "whole lines are meant");
}

#[test]
fn a_file_that_ends_amid_a_line_or_holds_nothing_at_the_start_is_as_it_is_meant() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("directory.toml");
    for text in ["", FILE.trim_end()] {
        let directory = open_file(&path, text);
        assert!((0..4).all(|_| directory.look().is_none()), "{text}");
    }
}

/// Writes within one tick of the file system's clock leave no trace in what `stat` says.
#[test]
fn a_file_written_twice_at_once_is_seen_to_have_changed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("directory.toml");
    let user = |name: &str| format!("[[users]]\nusername = \"{name}\"\n");
    fs::write(&path, user("u-0000")).unwrap();
    let directory = Directory::open(&DirectorySource::File(path.clone())).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for number in 1..200 {
        let name = format!("u-{number:04}");
        fs::write(&path, user(&name)).unwrap();
        // The first may still see what was there a moment before, under the same fingerprint.
        directory.look();
        directory.look();
        let found = runtime.block_on(directory.user(&name)).unwrap();
        assert!(found.is_some(), "{name}");
    }
}

#[tokio::test]
async fn a_file_with_faults_leaves_the_old_one_in_force_and_each_is_told_once() {
    logs::keep();
    let gate = with_file(FILE).await;
    let path = file(&gate).display().to_string();
    let faults = ["usernam = \"joe\"", "username = 7", "username = \"joe\"\nactive = 1"];
    let mut told = 0;
    for fault in faults {
        write(&gate, format!("[[users]]\n{fault}\n"));
        for _ in 0..4 {
            look(&gate);
        }
        told += 1;
        assert_eq!(logged(&path).len(), told, "{:?}", logged(&path));
        assert_eq!(subject(&ask(&gate, "18").await), "joe", "{fault}");
    }
    assert!(logged(&path).iter().all(|line| line.contains("the old one stays")));

    fs::remove_file(file(&gate)).unwrap();
    for _ in 0..3 {
        look(&gate);
    }
    assert_eq!(logged(&path).len(), told + 1, "{:?}", logged(&path));
    assert_eq!(subject(&ask(&gate, "18").await), "joe", "it is gone");

    write(&gate, FILE.replace("\"joe\"", "\"jim\""));
    take_up(&gate);
    assert_eq!(subject(&ask(&gate, "18").await), "jim");
    assert!(logged(&path).last().unwrap().contains("is in force"), "{:?}", logged(&path));
    gate.stop().await;
}

#[test]
fn a_directory_with_faults_is_not_opened_and_all_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("directory.toml");
    let open = |path: &Path| Directory::open(&DirectorySource::File(path.into()));
    fs::write(&path, "[[users]]\nusername = 7\n[[accounts]]\nid = \"x\"\n").unwrap();
    let said = open(&path).unwrap_err().to_string();
    assert!(said.contains("directory.toml has 2 faults\n  line 2"), "{said}");
    assert!(open(dir.path()).is_err(), "a directory of the file system is no file");
    fs::remove_file(&path).unwrap();
    let said = open(&path).unwrap_err().to_string();
    assert!(said.contains("cannot be read"), "{said}");
}

#[tokio::test]
async fn a_link_is_good_whatever_becomes_of_its_user_or_of_the_directory() {
    let gate = with_file(FILE).await;
    let links = [gate.link(json!({})).await, gate.link(json!({})).await];
    write(&gate, FILE.replace("joe", "jim"));
    take_up(&gate);
    assert_refused(&ask(&gate, "joe").await, 422, "unknown_user");
    assert_eq!(gate.open(&links[0]).await.status, 303);
    assert_eq!(gate.redeem(&links[1].token).await.status, 200);
    gate.stop().await;

    let (gate, service) = with_service("5s", "1ms").await;
    let links = [gate.link(json!({})).await, gate.link(json!({})).await];
    let asked = service.asked().len();
    assert_eq!(gate.open(&links[0]).await.status, 303);
    assert_eq!(service.asked().len(), asked, "redemption never asks");
    service.end().await;
    assert_refused(&ask(&gate, "joe").await, 502, "bad_gateway");
    assert_eq!(gate.redeem(&links[1].token).await.status, 200);
    gate.stop().await;
}

#[tokio::test]
async fn a_service_is_asked_with_its_token_for_a_name_that_is_one_segment() {
    let (gate, service) = with_service("5s", "1ms").await;
    let name = "zoë+x/../a?b#c%2F@example.com";
    let path = "/users/zo%C3%AB%2Bx%2F..%2Fa%3Fb%23c%252F%40example.com";
    service.says(path, json!({ "username": "zoë", "email": name, "more": [1, {}] }));
    assert_eq!(subject(&ask(&gate, name).await), "zoë");
    let asked = &service.asked()[0];
    assert_eq!(asked.line, format!("GET /dir{path}"));
    assert_eq!(asked.headers["authorization"], format!("Bearer {TOKEN}"));
    assert_eq!(asked.headers["accept"], "application/json");
    assert_eq!(asked.headers["host"], service.addr.to_string());

    service.says("/users/18", json!({ "id": 18, "username": "joe" }));
    assert_eq!(subject(&ask(&gate, "18").await), "joe");
    for nobody in [".", "..", "jo\u{fffe}e"] {
        assert_refused(&ask(&gate, nobody).await, 422, "unknown_user");
    }
    assert_eq!(service.asked().len(), 2, "what is no segment is not asked for");
    gate.stop().await;
}

#[tokio::test]
async fn a_service_that_has_no_such_user_or_an_inactive_one_answers_for_itself() {
    let (gate, service) = with_service("5s", "1ms").await;
    service.says("/users/moved", (410, "gone"));
    service.says("/users/gone", json!({ "username": "gone", "active": false }));
    for name in ["nobody", "moved", "gone"] {
        assert_refused(&ask(&gate, name).await, 422, "unknown_user");
    }
    gate.stop().await;
}

/// What a service may say of somebody that is neither a user nor that there is none.
fn unusable() -> Vec<Reply> {
    let elsewhere = vec![("location".to_owned(), "/dir/users/elsewhere".to_owned())];
    let large = format!("{}{}", json!({ "username": "x" }), " ".repeat(16 * 1024));
    vec![
        (500, "SECRET").into(),
        (401, "SECRET").into(),
        (403, "").into(),
        (204, "").into(),
        (201, r#"{"username":"x"}"#).into(),
        (400, "").into(),
        Reply::Says(302, elsewhere.clone(), Vec::new()),
        Reply::Says(308, elsewhere, Vec::new()),
        (200, "").into(),
        (200, "SECRET").into(),
        (200, b"{\"username\":\"\xff\"}".to_vec()).into(),
        (200, r#"{"username":"SECRET"#).into(),
        (200, large).into(),
        json!([]).into(),
        json!({}).into(),
        json!({ "username": "joe" }).into(),
        json!({ "username": "X" }).into(),
        json!({ "username": "x", "email": 1 }).into(),
        json!({ "username": "x", "password": "SECRET" }).into(),
        json!({ "username": "x", "fields": { "token": "SECRET" } }).into(),
    ]
}

#[tokio::test]
async fn an_answer_that_cannot_be_used_makes_no_link_and_shuts_out_nobody_else() {
    logs::keep();
    let (gate, service) = with_service("5s", "1ms").await;
    let replies = unusable();
    for (number, reply) in replies.iter().enumerate() {
        let name = format!("x{number}");
        // As somebody's of this very name, where it is not another's.
        let reply = match reply {
            Reply::Says(status, headers, body) => match String::from_utf8(body.clone()) {
                Ok(text) => {
                    let text = text.replace("\"x\"", &format!("\"{name}\""));
                    Reply::Says(*status, headers.clone(), text.into())
                }
                Err(_) => reply.clone(),
            },
            Reply::Nothing | Reply::Closes => reply.clone(),
        };
        service.says(&format!("/users/{name}"), reply.clone());
        let answer = ask(&gate, &name).await;
        assert_refused(&answer, 502, "bad_gateway");
        assert_eq!(answer.header("retry-after"), Some("1"), "{reply:?}");
        let detail = "who may have a link could not be looked up; ask again";
        assert_eq!(answer.json()["detail"], detail);
        assert_eq!(subject(&ask(&gate, "joe").await), "joe", "after {reply:?}");
        let request = answer.header("x-request-id").unwrap();
        let line = logs::audit(request).pop().unwrap();
        let reason = line.get("reason");
        assert!(reason.starts_with("the directory: an answer about users: "), "{reason}");
        assert!(!reason.contains("SECRET") && !reason.contains(TOKEN), "{reason}");
    }
    assert_eq!(service.asked_for("/users/elsewhere"), 0, "redirects are not followed");
    gate.stop().await;
}

#[tokio::test]
async fn an_answer_may_have_16_kib_and_not_one_byte_more() {
    let (gate, service) = with_service("5s", "1ms").await;
    let padded = |name: &str, length: usize| {
        let user = json!({ "username": name }).to_string();
        (200, [user.as_str(), &" ".repeat(length - user.len())].concat())
    };
    service.says("/users/large", padded("large", 16 * 1024));
    service.says("/users/larger", padded("larger", 16 * 1024 + 1));
    assert_eq!(subject(&ask(&gate, "large").await), "large");
    assert_refused(&ask(&gate, "larger").await, 502, "bad_gateway");
    gate.stop().await;
}

#[tokio::test]
async fn a_silent_service_is_not_waited_for_by_everybody_and_recovers_by_itself() {
    logs::keep();
    let (gate, service) = with_service("300ms", "1ms").await;
    service.says_otherwise(Reply::Nothing);
    let many: Value = (0..1_000).map(|n| json!({ "user": format!("u{n}") })).collect();
    let began = Instant::now();
    let items = gate.api().post_json("/v1/links/batch", &many).await.json();
    let items = items.as_array().unwrap();
    assert_eq!(items.len(), 1_000);
    assert!(items.iter().all(|item| item["code"] == "bad_gateway"), "{}", items[0]);
    assert!(began.elapsed() < Duration::from_secs(30), "not a thousand times 300 ms");
    let asked = service.asked().len();
    assert!(asked <= 64, "{asked}");

    // What answers again is asked again, within a second of the last silence.
    service.says_otherwise((404, ""));
    until(|| async { ask(&gate, "joe").await.status == 201 }).await;
    assert_refused(&ask(&gate, "nobody").await, 422, "unknown_user");
    gate.stop().await;
}

#[tokio::test]
async fn a_name_on_which_the_service_trips_shuts_out_nobody_else() {
    let (gate, service) = with_service("300ms", "1ms").await;
    let trips: [Reply; 4] =
        [Reply::Closes, Reply::Nothing, (503, "").into(), (429, "SECRET").into()];
    for (number, reply) in trips.into_iter().enumerate() {
        let name = format!("x{number}");
        service.says(&format!("/users/{name}"), reply.clone());
        for _ in 0..4 {
            assert_refused(&ask(&gate, &name).await, 502, "bad_gateway");
            assert_eq!(subject(&ask(&gate, "joe").await), "joe", "{reply:?}");
        }
    }
    // Three quickly, one after the other.
    for name in ["z0", "z1", "z2"] {
        service.says(&format!("/users/{name}"), Reply::Closes);
        assert_refused(&ask(&gate, name).await, 502, "bad_gateway");
    }
    assert_eq!(subject(&ask(&gate, "joe").await), "joe");
    // Three at once, while others are answered.
    service.says_otherwise(Reply::Nothing);
    let silent: Value = (0..3).map(|n| json!({ "user": format!("y{n}") })).collect();
    let asked = async {
        let items = gate.api().post_json("/v1/links/batch", &silent).await.json();
        assert!(items.as_array().unwrap().iter().all(|item| item["code"] == "bad_gateway"));
    };
    let others = async {
        until(|| async { service.asked().iter().any(|asked| asked.line.ends_with("/y2")) }).await;
        assert_eq!(subject(&ask(&gate, "joe").await), "joe");
    };
    tokio::join!(asked, others);
    assert_eq!(subject(&ask(&gate, "joe").await), "joe");
    gate.stop().await;
}

#[tokio::test]
async fn a_question_that_failed_is_asked_once_a_second_however_short_answers_are_remembered() {
    let service = Service::start().await;
    service.says("/users/x", (503, ""));
    let directory = at(&service);
    let began = Instant::now();
    until(|| async {
        assert!(directory.user("x").await.is_err());
        service.asked_for("/users/x") > 1
    })
    .await;
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
}

/// A directory at this service, asked without a gate before it.
fn at(service: &Service) -> Directory {
    let source = DirectorySource::Http {
        url: format!("http://{}/dir", service.addr).parse().unwrap(),
        token: None,
        timeout: PATIENCE,
        cache: Duration::from_millis(1),
    };
    Directory::open(&source).unwrap()
}

/// Ten batches of a thousand have no more questions under way than one.
#[tokio::test]
async fn a_single_link_does_not_wait_for_batches_however_many() {
    let service = Service::start().await;
    service.says_otherwise(Reply::Nothing);
    service.says("/users/joe", json!({ "username": "joe" }));
    let directory = at(&service);
    let mut batches = tokio::task::JoinSet::new();
    for number in 0..320 {
        let directory = directory.clone();
        batches.spawn(async move { directory.user_of_batch(&format!("u{number}")).await });
    }
    until(|| async { service.asked().len() >= 32 }).await;
    let joe = tokio::time::timeout(PATIENCE / 2, directory.user("joe")).await;
    assert!(joe.expect("it waits").unwrap().is_some());
    assert_eq!(service.asked().len(), 33);
}

#[tokio::test]
async fn a_service_that_is_overloaded_or_gone_is_left_alone_for_a_moment_and_the_log_tells() {
    logs::keep();
    for status in [429, 502, 503, 504] {
        let (gate, service) = with_service("5s", "1ms").await;
        service.says_otherwise((status, ""));
        let silent = format!("the directory does not answer: it answers {status}");
        let asked = AtomicUsize::new(0);
        until(|| async {
            let name = format!("x{}", asked.fetch_add(1, Ordering::Relaxed));
            assert_refused(&ask(&gate, &name).await, 502, "bad_gateway");
            look(&gate);
            !logged(&silent).is_empty()
        })
        .await;
        assert_refused(&ask(&gate, "joe").await, 502, "bad_gateway");
        assert_eq!(service.asked_for("/users/joe"), 0, "{status}");
        for _ in 0..3 {
            look(&gate);
        }
        assert_eq!(logged(&silent).len(), 1, "{status}: {:?}", logged("the directory"));
        let before = logged("the directory answers again").len();
        until(|| async { ask(&gate, "joe").await.status == 201 }).await;
        look(&gate);
        assert!(logged("the directory answers again").len() > before);
        gate.stop().await;
    }
    let (gate, service) = with_service("5s", "1ms").await;
    service.end().await;
    let answer = ask(&gate, "joe").await;
    assert_refused(&answer, 502, "bad_gateway");
    let line = logs::audit(answer.header("x-request-id").unwrap()).pop().unwrap();
    assert!(line.get("reason").contains("refused"), "{line:?}");
    gate.stop().await;
}

#[tokio::test]
async fn answers_are_remembered_for_a_while_failures_are_not() {
    let (gate, service) = with_service("5s", "1h").await;
    for _ in 0..3 {
        assert_eq!(subject(&ask(&gate, "joe").await), "joe");
        assert_refused(&ask(&gate, "nobody").await, 422, "unknown_user");
    }
    assert_eq!((service.asked_for("/users/joe"), service.asked_for("/users/nobody")), (1, 1));
    service.says("/users/ann", (500, ""));
    assert_refused(&ask(&gate, "ann").await, 502, "bad_gateway");
    service.says("/users/ann", json!({ "username": "ann" }));
    until(|| async { ask(&gate, "ann").await.status == 201 }).await;
    assert_eq!(service.asked_for("/users/ann"), 2, "at most once a second");
    gate.stop().await;

    let (gate, service) = with_service("5s", "1ms").await;
    until(|| async {
        assert_eq!(subject(&ask(&gate, "joe").await), "joe");
        service.asked_for("/users/joe") > 1
    })
    .await;
    gate.stop().await;
}

#[tokio::test]
async fn one_question_is_asked_once_however_many_wait() {
    let (gate, service) = with_service("5s", "1h").await;
    let same: Value = vec![json!({ "user": "joe" }); 500].into();
    let items = gate.api().post_json("/v1/links/batch", &same).await.json();
    assert!(items.as_array().unwrap().iter().all(|item| item["token"].is_string()));
    assert_eq!(service.asked_for("/users/joe"), 1);
    gate.stop().await;
}

#[tokio::test]
async fn each_of_a_batch_is_looked_up_for_itself_and_the_order_stays() {
    let (gate, service) = with_service("5s", "1ms").await;
    for n in (0..300).filter(|n| n % 3 == 0) {
        service.says(&format!("/users/u{n}"), json!({ "username": format!("u{n}") }));
    }
    for n in (0..300).filter(|n| n % 3 == 1) {
        service.says(&format!("/users/u{n}"), (500, ""));
    }
    let mut asked: Vec<Value> = (0..300).map(|n| json!({ "user": format!("u{n}") })).collect();
    asked.insert(0, json!({ "user": "" }));
    asked.insert(0, json!(7));
    let items = gate.api().post_json("/v1/links/batch", &asked.into()).await.json();
    let items = items.as_array().unwrap();
    assert_eq!(items.len(), 302);
    assert_eq!((&items[0]["status"], &items[1]["status"]), (&json!(400), &json!(422)));
    for (n, item) in items[2..].iter().enumerate() {
        match n % 3 {
            0 => {
                let token = item["token"].as_str().unwrap_or_else(|| unreachable!("{item}"));
                assert_eq!(claims_of(token)["sub"], format!("u{n}"));
            }
            1 => assert_eq!(item["code"], "bad_gateway"),
            _ => assert_eq!(item["code"], "unknown_user"),
        }
    }
    gate.stop().await;
}
