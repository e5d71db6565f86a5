//! Trailers cross the gate where both ends agreed on them, and carry nothing that is the gate's.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use support::{
    gate::{Gate, PANEL},
    wire::{Wire, read_until, values},
};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

/// Names under which no trailer field reaches an upstream.
const FORGED: [&str; 20] = [
    "X-Oncegate-User",
    "x_oncegate_user",
    "X.Oncegate.User",
    "X-Oncegate-Assertion",
    "Remote-User",
    "remote_user",
    "X-Plan",
    "X-Forwarded-For",
    "X_Forwarded_Host",
    "Forwarded",
    "X-Real-IP",
    "Cookie",
    "Set-Cookie",
    "Authorization",
    "Content-Length",
    "Content_Type",
    "Transfer-Encoding",
    "Host",
    "Connection",
    "X-Hop",
];

/// A request with one chunk, announced trailers, and trailers.
fn request(announced: &str, trailers: &str) -> String {
    format!(
        "POST /assets/x HTTP/1.1\r\nHost: {PANEL}\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\
         Connection: TE, X-Hop\r\nTrailer: {announced}\r\n\r\n4\r\nbody\r\n0\r\n{trailers}\r\n"
    )
}

/// A gate, a connection to it on which this was sent, and what the upstream got.
async fn asked(request: &str) -> (Gate, TcpStream, TcpStream, String) {
    let mut upstream = Wire::listen().await;
    let gate = upstream.gate(|text| text).await;
    let mut client = TcpStream::connect(gate.public_at()).await.unwrap();
    client.write_all(request.as_bytes()).await.unwrap();
    let mut stream = upstream.accept().await;
    let seen = read_until(&mut stream, "\r\n\r\n").await;
    let seen = if seen.contains("\r\n0\r\n") || !seen.contains("chunked") {
        seen
    } else {
        seen + &read_until(&mut stream, "0\r\n").await
    };
    let ends = seen.ends_with("\r\n\r\n");
    let seen = if ends { seen } else { seen + &read_until(&mut stream, "\r\n\r\n").await };
    (gate, client, stream, seen)
}

#[tokio::test]
async fn what_was_announced_crosses_both_ways() {
    let ask = request("X-Checksum, Grpc-Status", "X-Checksum: 17\r\nGrpc-Status: 0\r\n");
    let (_gate, mut client, mut stream, seen) = asked(&ask).await;
    assert_eq!(values(&seen, "trailer"), ["x-checksum, grpc-status"]);
    assert_eq!((values(&seen, "te"), values(&seen, "connection")), (vec!["trailers"], vec!["te"]));
    assert!(seen.contains("4\r\nbody\r\n0\r\n"), "{seen}");
    assert_eq!(
        (values(&seen, "x-checksum"), values(&seen, "grpc-status")),
        (vec!["17"], vec!["0"])
    );
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Grpc-Status\r\n\
                  Trailer: Server-Timing\r\n\r\n2\r\nok\r\n0\r\nGrpc-Status: 5\r\n\
                  Server-Timing: db;dur=1\r\n\r\n";
    stream.write_all(answer.as_bytes()).await.unwrap();
    let answer = read_until(&mut client, "dur=1\r\n\r\n").await;
    assert_eq!(values(&answer, "trailer"), ["grpc-status, server-timing"]);
    assert!(answer.contains("2\r\nok\r\n0\r\n"), "{answer}");
    assert_eq!(values(&answer, "grpc-status"), ["5"]);
}

#[tokio::test]
async fn a_client_that_takes_no_trailers_gets_none() {
    let ask = request("X-Checksum", "").replace("TE: trailers\r\n", "TE: gzip\r\n");
    let (_gate, mut client, mut stream, seen) = asked(&ask).await;
    assert!(values(&seen, "te").is_empty() && values(&seen, "connection").is_empty(), "{seen}");
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Grpc-Status\r\n\r\n\
                  2\r\nok\r\n0\r\nGrpc-Status: 5\r\n\r\n";
    stream.write_all(answer.as_bytes()).await.unwrap();
    let answer = read_until(&mut client, "\r\n0\r\n\r\n").await;
    assert!(answer.ends_with("2\r\nok\r\n0\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn nobody_forges_an_identity_or_a_framing_in_a_trailer() {
    for name in FORGED {
        let forged = format!("{name}: forged\r\nX-Good: 1\r\n");
        let ask = request(&format!("{name}, X-Good"), &forged);
        let (_gate, _client, _stream, seen) = asked(&ask).await;
        assert!(!seen.contains("forged"), "{name}: {seen}");
        assert_eq!(values(&seen, "trailer"), ["x-good"], "{name}");
        assert!(seen.ends_with("0\r\nx-good: 1\r\n\r\n"), "{name}: {seen}");
    }
}

#[tokio::test]
async fn what_was_not_announced_does_not_cross() {
    for announced in ["", "X-Other", "X-Checksum-2", "*"] {
        let ask = request(announced, "X-Checksum: 17\r\nX-Oncegate-User: mallory\r\n");
        let (_gate, _client, _stream, seen) = asked(&ask).await;
        assert!(seen.ends_with("4\r\nbody\r\n0\r\n\r\n"), "{seen}");
    }
}

#[tokio::test]
async fn an_upstream_sets_no_session_in_a_trailer() {
    let (_gate, mut client, mut stream, _) = asked(&request("", "")).await;
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\
                  Trailer: Set-Cookie, Location, X-Good\r\n\r\n2\r\nok\r\n0\r\n\
                  Set-Cookie: __Host-oncegate=evil\r\nLocation: /evil\r\nX-Good: 1\r\n\r\n";
    stream.write_all(answer.as_bytes()).await.unwrap();
    let answer = read_until(&mut client, "x-good: 1\r\n\r\n").await;
    assert!(!answer.contains("evil"), "{answer}");
    assert_eq!(values(&answer, "trailer"), ["x-good"]);
}
