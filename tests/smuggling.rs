//! Requests that two readers might split in two places: the gate refuses them, or passes on one
//! request that reads one way.
#![allow(
    clippy::unwrap_used,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use std::time::Duration;

use support::{
    gate::PANEL,
    wire::{Wire, read_until, values},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// What follows the head as `HEAD` describes it, and hides a request.
const HIDDEN: &str = "0\r\n\r\nGET /assets/hidden HTTP/1.1\r\nHost: panel.example.com\r\n\r\n";

/// Framings that no upstream ever hears of.
const REFUSED: [&str; 12] = [
    "Content-Length: 5\r\nContent-Length: 6",
    "Content-Length: 5, 6",
    "Content-Length: +5",
    "Content-Length: 0x5",
    "Content-Length: -1",
    "Content-Length:",
    "Transfer-Encoding: gzip",
    "Transfer-Encoding: chunked, gzip",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunked\r\n folded: 1",
    "Content-Length: 5\r\n ,6",
    "Content-Length : 5",
];

#[tokio::test]
async fn a_framing_that_reads_two_ways_reaches_nobody() {
    for framing in REFUSED {
        let mut upstream = Wire::listen().await;
        let gate = upstream.gate(|text| text).await;
        let mut client = TcpStream::connect(gate.public_at()).await.unwrap();
        let request =
            format!("POST /assets/x HTTP/1.1\r\nHost: {PANEL}\r\n{framing}\r\n\r\n{HIDDEN}");
        client.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = client.read_to_string(&mut answer);
        let _ = timeout(Duration::from_secs(20), read).await.expect("it is kept open");
        assert!(answer.starts_with("HTTP/1.1 400 "), "{framing}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{framing}: {answer}");
        gate.stop().await;
        let reached = timeout(Duration::from_millis(1), upstream.accept()).await;
        assert!(reached.is_err(), "{framing}");
    }
}

/// In each of these the first request has a body of one chunk, and what follows is a request of
/// its own, which the gate judges: it is for nobody.
#[tokio::test]
async fn what_is_passed_on_is_framed_anew_and_ends_where_the_gate_saw_its_end() {
    for (framing, body) in [
        ("Transfer-Encoding: chunked", "4;a=b;c=\"d\"\r\nbody\r\n0;x\r\n\r\n"),
        ("Transfer-Encoding: Chunked", "4\r\nbody\r\n00\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\nX-Content_Length: 9", "0004\r\nbody\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\nContent_Length: 9", "4\r\nbody\r\n0\r\nA: b\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\nTransfer_Encoding: x", "4\r\nbody\r\n0\r\n\r\n"),
    ] {
        let mut upstream = Wire::listen().await;
        let gate = upstream.gate(|text| text).await;
        let mut client = TcpStream::connect(gate.public_at()).await.unwrap();
        let next = format!("GET /hidden HTTP/1.1\r\nHost: {PANEL}\r\nConnection: close\r\n\r\n");
        let request =
            format!("POST /assets/x HTTP/1.1\r\nHost: {PANEL}\r\n{framing}\r\n\r\n{body}{next}");
        client.write_all(request.as_bytes()).await.unwrap();
        let mut stream = upstream.accept().await;
        let seen = read_until(&mut stream, "\r\n0\r\n\r\n").await;
        assert!(seen.ends_with("\r\n\r\n4\r\nbody\r\n0\r\n\r\n"), "{seen}");
        assert_eq!(values(&seen, "transfer-encoding"), ["chunked"]);
        assert!(values(&seen, "content_length").is_empty(), "{seen}");
        assert!(values(&seen, "transfer_encoding").is_empty(), "{seen}");
        let said = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        stream.write_all(said.as_bytes()).await.unwrap();
        let answers = read_until(&mut client, "sign_in_required").await;
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 2, "{answers}");
    }
}

/// An answer that an upstream frames in two ways, or that holds two, is never two answers.
#[tokio::test]
async fn an_answer_is_one_answer() {
    for (status, said) in [
        (
            502,
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n",
        ),
        (502, "HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b=c\r\nContent-Length: 2\r\n\r\nok"),
        (502, "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok"),
        (
            200,
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 201 Hidden\r\nContent-Length: 0\r\n\r\n",
        ),
        (204, "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nHTTP/1.1 201 Hidden\r\n\r\n"),
    ] {
        let mut upstream = Wire::listen().await;
        let gate = upstream.gate(|text| text).await;
        let client = gate.public();
        let (_, first) = tokio::join!(upstream.answer(said), client.get("/assets/x"));
        assert_eq!(first.status, status, "{said}");
        assert!(!first.text().contains("Hidden") && first.cookie("b").is_none(), "{first:?}");
        let said = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nown";
        let (_, second) = tokio::join!(upstream.answer(said), client.get("/assets/y"));
        assert_eq!(second.text(), "own");
    }
}
