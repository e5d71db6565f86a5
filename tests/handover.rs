//! One process after the other on one state directory, and the orderly end that hands it over.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use serde_json::json;
use support::{
    gate::{BILLING, PANEL},
    http::{Answer, Connection, redeem_kept},
    process::{At, Home},
};

#[tokio::test]
async fn a_second_process_waits_for_the_state_and_then_gives_up() {
    let home = Home::new(|text| text.replace("[once]", "[once]\nlock_wait = \"200ms\"")).await;
    let (first, at) = home.start().await;
    let link = at.link().await;
    let (code, said) = home.spawn().ended().await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("is in use: another gate holds it"), "{said}");
    assert!(!said.contains("\"ready\""), "{said}");
    // The first never noticed.
    assert_eq!(statuses(at, &link).await, [303, 410]);
    first.kill();
}

#[tokio::test]
async fn a_successor_that_waits_takes_the_state_over_when_its_predecessor_ends() {
    for abruptly in [false, true] {
        let home = Home::new(|text| text).await;
        let (first, at) = home.start().await;
        let (used, untried) = (at.link().await, at.link().await);
        assert_eq!(at.redeem(&used).await.status, 200);
        let mut second = home.spawn();
        if abruptly {
            first.kill();
        } else {
            first.terminate();
            let (code, said) = first.ended().await;
            assert_eq!(code, Some(0), "{said}");
            assert!(said.contains("\"stopped\""), "{said}");
        }
        let at = second.ready().await;
        assert_eq!(at.redeem(&used).await.code(), "already_used");
        assert_eq!(statuses(at, &untried).await, [303, 410]);
        second.kill();
    }
}

#[tokio::test]
async fn sigterm_lets_a_request_under_way_finish_and_closes_what_is_idle() {
    let home = Home::new(|text| text).await;
    let (process, at) = home.start().await;
    let link = at.link().await;
    let mut idle = Connection::open(at.api).await.unwrap();
    idle.send(redeem_kept(BILLING, "x")).await.unwrap();
    assert_eq!(idle.answer().await.unwrap().status, 400);
    let mut silent = Connection::open(at.public).await.unwrap();
    // A browser's request in the middle of its body; "100 Continue" shows that it is being read.
    let form = "next=";
    let mut busy = Connection::open(at.public).await.unwrap();
    busy.send(format!(
        "POST {} HTTP/1.1\r\nHost: {PANEL}\r\nSec-Fetch-Site: same-origin\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\
         Expect: 100-continue\r\n\r\n",
        link.path,
        form.len()
    ))
    .await
    .unwrap();
    busy.interim().await.unwrap();
    process.terminate();
    assert!(idle.closed().await && silent.closed().await);
    busy.send(form).await.unwrap();
    let answer = busy.answer().await.unwrap();
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert!(busy.closed().await);
    assert_eq!(process.ended().await.0, Some(0));
    let (process, at) = home.start().await;
    assert_eq!(at.redeem(&link).await.code(), "already_used");
    process.kill();
}

#[tokio::test]
async fn a_busy_connection_keeps_no_other_listener_open() {
    // So that nothing but the signal closes a connection.
    let limits = "[limits]\nheader_timeout = \"5m\"\nbody_timeout = \"5m\"\n";
    let home = Home::new(|text| text + limits).await;
    let (process, at) = home.start().await;
    let mut busy = Vec::new();
    // Any listener could be the one that is waited for first: one busy connection on each.
    for addr in [at.public, at.api] {
        let mut connection = Connection::open(addr).await.unwrap();
        let key = format!("Bearer {BILLING}");
        let link = at.link().await;
        let (target, kind) = if addr == at.api {
            ("/v1/redeem", "application/json")
        } else {
            (link.path.as_str(), "application/x-www-form-urlencoded")
        };
        connection
            .send(format!(
                "POST {target} HTTP/1.1\r\nHost: {PANEL}\r\nAuthorization: {key}\r\n\
                 Content-Type: {kind}\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"
            ))
            .await
            .unwrap();
        connection.interim().await.unwrap();
        busy.push(connection);
    }
    let mut idle = Vec::new();
    // The admin listener answers until the end: `/ready` has to say that it is near.
    for addr in [at.public, at.api] {
        idle.push(Connection::open(addr).await.unwrap());
    }
    process.terminate();
    // The busy ones wait for their bodies all this time.
    for mut connection in idle {
        assert!(connection.closed().await);
    }
    for mut connection in busy {
        connection.send("123456789").await.unwrap();
        connection.answer().await.unwrap();
    }
    assert_eq!(process.ended().await.0, Some(0));
}

/// The statuses of a form posted, and of a redemption after it.
async fn statuses(at: At, link: &support::gate::Link) -> [u16; 2] {
    let (first, second): (Answer, Answer) = (at.open(link).await, at.redeem(link).await);
    if second.status == 410 {
        assert_eq!(second.json()["code"], json!("already_used"));
    }
    [first.status, second.status]
}
