//! A crowd at the front door: signatures are checked together, and made together, and each has its
//! own answer.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails where it stands")]

mod support;

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use support::{
    gate::{BILLING, Gate},
    tokens::claims_of,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const CROWD: usize = 200;

/// Signed for one user, with the claims of another.
fn forged(token: &str, other: &str) -> String {
    format!("{}.{}", token.rsplit_once('.').unwrap().0, other.rsplit_once('.').unwrap().1)
}

/// A redemption.
fn request(token: &str) -> String {
    post("/v1/redeem", &json!({ "token": token }))
}

/// A request whose answer is read to the end of the connection.
fn post(path: &str, body: &Value) -> String {
    let body = body.to_string();
    format!(
        "POST {path} HTTP/1.1\r\nHost: gate\r\nConnection: close\r\nAuthorization: Bearer \
         {BILLING}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// How many checks there were of at most so many signatures; `+Inf` for all.
async fn checks(gate: &Gate, at_most: &str) -> usize {
    times(gate, "oncegate_verify_batch_size", at_most).await
}

/// How often there were at most so many at a time.
async fn times(gate: &Gate, metric: &str, at_most: &str) -> usize {
    let text = gate.admin().get("/metrics").await.text().to_owned();
    let name = format!("{metric}_bucket{{le=\"{at_most}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
}

/// Sends all of them over as many connections, the last bytes of each at the same time as the
/// others', so that they are there together. The answers, in the same order.
async fn all_at_once(gate: &Gate, requests: &[String]) -> Vec<String> {
    let mut streams = Vec::new();
    for request in requests {
        let mut stream = TcpStream::connect(gate.running.as_ref().unwrap().api).await.unwrap();
        stream.write_all(&request.as_bytes()[..request.len() - 1]).await.unwrap();
        streams.push(stream);
    }
    for (stream, request) in streams.iter_mut().zip(requests) {
        stream.write_all(&request.as_bytes()[request.len() - 1..]).await.unwrap();
    }
    let mut answers = Vec::new();
    for mut stream in streams {
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        tokio::time::timeout(Duration::from_secs(60), read).await.unwrap().unwrap();
        answers.push(answer);
    }
    answers
}

#[tokio::test(flavor = "current_thread")]
async fn a_crowd_is_checked_together_and_each_has_its_own_answer() {
    let gate = Gate::start().await;
    let mut tokens = Vec::new();
    for number in 0..CROWD {
        let link = gate.link(json!({ "user": format!("user{number}") })).await;
        tokens.push(link.token);
    }
    // Every tenth is forged, and the first of each ten comes twice.
    let mut sent = Vec::new();
    for (number, token) in tokens.iter().enumerate() {
        match number % 10 {
            9 => sent.push((number, forged(token, &tokens[number - 1]))),
            0 => sent.extend([(number, token.clone()), (number, token.clone())]),
            _ => sent.push((number, token.clone())),
        }
    }
    let requests: Vec<_> = sent.iter().map(|(_, token)| request(token)).collect();
    let answers = all_at_once(&gate, &requests).await;
    let mut used = vec![0; CROWD];
    let mut seen = (0, 0, 0);
    for ((number, _), answer) in sent.iter().zip(&answers) {
        if answer.starts_with("HTTP/1.1 200 ") {
            assert!(answer.contains(&format!("\"user\":\"user{number}\"")), "{answer}");
            used[*number] += 1;
            seen.0 += 1;
        } else if answer.contains("\"code\":\"already_used\"") {
            assert_eq!(number % 10, 0, "{answer}");
            seen.1 += 1;
        } else {
            assert!(answer.contains("\"code\":\"bad_signature\""), "{answer}");
            assert_eq!(number % 10, 9, "{answer}");
            seen.2 += 1;
        }
    }
    assert_eq!(seen, (CROWD / 10 * 9, CROWD / 10, CROWD / 10));
    for (number, used) in used.iter().enumerate() {
        assert_eq!(*used, usize::from(number % 10 != 9), "user{number}");
    }
    let (alone, all) = (checks(&gate, "1.0").await, checks(&gate, "+Inf").await);
    assert!(all - alone >= 1, "none of {all} checks was of more than one");
    let metrics = gate.admin().get("/metrics").await.text().to_owned();
    assert!(metrics.contains("oncegate_verify_batches_split_total "), "{metrics}");
    assert!(metrics.contains("oncegate_verify_batch_limit "), "{metrics}");
}

#[tokio::test(flavor = "current_thread")]
async fn who_hangs_up_takes_nobody_along() {
    let gate = Gate::start().await;
    let api = gate.running.as_ref().unwrap().api;
    let tokens: Arc<Vec<String>> = {
        let mut tokens = Vec::new();
        for number in 0..60 {
            tokens.push(gate.link(json!({ "user": format!("user{number}") })).await.token);
        }
        Arc::new(tokens)
    };
    // Every third resets its connection as soon as its request is written.
    let mut waiting = Vec::new();
    for (number, token) in tokens.iter().enumerate() {
        let mut stream = TcpStream::connect(api).await.unwrap();
        stream.write_all(request(token).as_bytes()).await.unwrap();
        if number % 3 == 0 {
            stream.set_zero_linger().unwrap();
            drop(stream);
        } else {
            waiting.push((number, stream));
        }
    }
    assert_eq!(waiting.len(), 40);
    for (number, mut stream) in waiting {
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        tokio::time::timeout(Duration::from_secs(60), read).await.unwrap().unwrap();
        assert!(answer.contains(&format!("\"user\":\"user{number}\"")), "{answer}");
    }
    let link = gate.link(json!({})).await;
    let answers = all_at_once(&gate, &[request(&link.token)]).await;
    assert!(answers[0].starts_with("HTTP/1.1 200 "), "{}", answers[0]);
}

#[tokio::test(flavor = "current_thread")]
async fn a_crowd_of_links_is_signed_together_and_each_is_whose_it_was_asked_for() {
    let gate = Gate::start().await;
    let ask = |number| post("/v1/links", &json!({ "user": format!("user{number}") }));
    let asked: Vec<String> = (0..CROWD).map(ask).collect();
    let answers = all_at_once(&gate, &asked).await;
    let mut tokens = Vec::new();
    for (number, answer) in answers.iter().enumerate() {
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 201 "), "{answer}");
        let link: Value = serde_json::from_str(body).unwrap();
        let token = link["token"].as_str().unwrap().to_owned();
        let claims = claims_of(&token);
        assert_eq!(claims["sub"], format!("user{number}"));
        assert_eq!(claims["jti"], link["id"]);
        tokens.push(token);
    }
    let (alone, all) = (
        times(&gate, "oncegate_sign_batch_size", "1.0").await,
        times(&gate, "oncegate_sign_batch_size", "+Inf").await,
    );
    assert!(all - alone >= 1, "none of {all} times more than one was signed");
    let used: Vec<_> = tokens.iter().map(|token| request(token)).collect();
    for (number, answer) in all_at_once(&gate, &used).await.iter().enumerate() {
        assert!(answer.contains(&format!("\"user\":\"user{number}\"")), "{answer}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn who_asks_for_a_link_and_hangs_up_takes_nobody_along() {
    let gate = Gate::start().await;
    let api = gate.running.as_ref().unwrap().api;
    let mut waiting = Vec::new();
    for number in 0..60 {
        let mut stream = TcpStream::connect(api).await.unwrap();
        let ask = post("/v1/links", &json!({ "user": format!("user{number}") }));
        stream.write_all(ask.as_bytes()).await.unwrap();
        // Every third resets its connection as soon as its request is written.
        if number % 3 == 0 {
            stream.set_zero_linger().unwrap();
            drop(stream);
        } else {
            waiting.push(stream);
        }
    }
    assert_eq!(waiting.len(), 40);
    for mut stream in waiting {
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        tokio::time::timeout(Duration::from_secs(60), read).await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    }
}
