//! Proxying through the whole gate: who gets as far as the upstream, and what comes back.

mod support;

use serde_json::json;
use support::{
    gate::{Gate, PANEL, cookie_of},
    http::{Answer, Connection},
    wire::{Wire, read_until, values},
};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

const COOKIE: &str = "__Host-oncegate";

/// The usual configuration with a line more for the site `panel`.
fn panel(text: &str, line: &str) -> String {
    let public = "public = [\"/assets/**\"]";
    assert!(text.contains(public));
    text.replace(public, &format!("{public}\n{line}"))
}

fn pass(text: &str) -> String {
    panel(text, "anonymous = \"pass\"")
}

fn is_page(answer: &Answer) -> bool {
    answer.header("content-type") == Some("text/html; charset=utf-8")
}

// ------------------------------------------------------------------------ who is not signed in

#[tokio::test]
async fn a_stranger_is_refused_as_a_person_or_as_a_program() {
    let gate = Gate::start().await;
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = gate.public().request(method, "/clientarea", &[], b"").await;
        assert_eq!(answer.status, 401, "{method}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("www-authenticate"), None, "no browser may ask for a password");
        if method != "HEAD" {
            assert_eq!(answer.code(), "sign_in_required", "{method}");
        }
    }
    let page = gate.browser().get("/clientarea").await;
    assert!(page.status == 401 && is_page(&page));
    assert!(gate.upstream.seen().is_empty());
}

#[tokio::test]
async fn a_site_may_let_strangers_pass_as_nobody() {
    let gate = Gate::with(|text| pass(&text)).await;
    let answer = gate.browser().get("/").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), None, "nobody's page may be kept");
    let seen = gate.upstream.seen();
    assert_eq!(seen.len(), 1);
    assert!(!seen[0].to_string().contains("x-oncegate"), "{}", seen[0]);
}

#[tokio::test]
async fn a_person_is_sent_to_sign_in_and_a_program_is_told() {
    for login in ["https://login.example.com/?from=panel", "/login"] {
        let line = format!("anonymous = \"{login}\"");
        let gate = Gate::with(|text| panel(&text, &line)).await;
        for (method, status) in [("GET", 302), ("HEAD", 302), ("POST", 303), ("DELETE", 303)] {
            let answer = gate.browser().request(method, "/x", &[], b"").await;
            assert_eq!(answer.status, status, "{method}");
            assert_eq!(answer.header("location"), Some(login));
            assert_eq!(answer.header("cache-control"), Some("no-store"));
        }
        let script = [("accept", "*/*"), ("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")];
        let answer = gate.public().get_with("/x", &script).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "sign_in_required"));
        let script = [("accept", "text/html, */*"), ("sec-fetch-mode", "cors")];
        assert_eq!(gate.public().get_with("/x", &script).await.status, 401);
        assert!(gate.upstream.seen().is_empty());
    }
}

#[tokio::test]
async fn a_cookie_that_opens_no_session_is_a_strangers() {
    let gate = Gate::start().await;
    let cookie = gate.sign_in().await;
    let (name, value) = cookie.split_once('=').unwrap();
    let twice = format!("{cookie}; {cookie}");
    let flipped = format!("{cookie}A");
    let link = gate.link(json!({})).await;
    let token = format!("{name}={}", link.token);
    let renamed = format!("oncegate={value}");
    for sent in [twice.as_str(), &flipped, &token, &renamed, &format!("{name}=")] {
        let answer = gate.public().get_with("/", &[("cookie", sent)]).await;
        assert_eq!(answer.status, 401, "{sent}");
    }
    let lines = [("cookie", cookie.as_str()), ("cookie", cookie.as_str())];
    assert_eq!(gate.public().get_with("/", &lines).await.status, 401);
    assert!(gate.upstream.seen().is_empty());
    let good = [("cookie", "a=1"), ("cookie", cookie.as_str())];
    assert_eq!(gate.public().get_with("/", &good).await.status, 200);
}

#[tokio::test]
async fn a_site_that_is_served_elsewhere_has_nothing_here() {
    let gate = Gate::with(|text| {
        let lines = text.lines().filter(|line| !line.starts_with("upstream = "));
        lines.collect::<Vec<_>>().join("\n")
    })
    .await;
    let cookie = gate.sign_in().await;
    let answer = gate.public().get_with("/", &[("cookie", &cookie)]).await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"));
}

// ------------------------------------------------------------------------------- what comes back

#[tokio::test]
async fn an_upstream_neither_sees_nor_sets_the_session() {
    let mut upstream = Wire::listen().await;
    let gate = upstream.gate(|text| text).await;
    let cookie = gate.sign_in().await;
    let sent = format!("a=1; {cookie}; b=\"2\"");
    let client = gate.public();
    let headers = [("cookie", sent.as_str())];
    let said = format!(
        "HTTP/1.1 200 OK\r\nSet-Cookie: {COOKIE}=evil; Path=/; Secure\r\nSet-Cookie: c=3\r\n\
         Set-Cookie: oncegate=evil\r\nContent-Length: 2\r\n\r\nok"
    );
    let (head, answer) = tokio::join!(upstream.answer(&said), client.get_with("/", &headers));
    assert_eq!(values(&head, "cookie"), ["a=1; b=\"2\""]);
    assert_eq!(answer.header_lines("set-cookie"), ["c=3"]);
}

#[tokio::test]
async fn a_signed_in_answer_is_private_unless_the_upstream_says_otherwise() {
    let mut upstream = Wire::listen().await;
    let gate = upstream.gate(|text| pass(&text)).await;
    let cookie = gate.sign_in().await;
    for (sent, said, expected) in [
        (cookie.as_str(), "", Some("private")),
        (&cookie, "Cache-Control: max-age=60\r\n", Some("max-age=60")),
        ("a=1", "", None),
    ] {
        let headers = [("cookie", sent)];
        let client = gate.public();
        let answer = format!("HTTP/1.1 200 OK\r\n{said}Content-Length: 0\r\n\r\n");
        let (_, answer) = tokio::join!(upstream.answer(&answer), client.get_with("/", &headers));
        assert_eq!(answer.header("cache-control"), expected, "{said:?}");
    }
}

fn idle(text: &str) -> String {
    text.replace("[session]", "[session]\nidle = \"1h\"")
}

#[tokio::test]
async fn a_session_in_use_is_renewed_and_one_left_idle_ends() {
    let gate = Gate::with(|text| idle(&text)).await;
    let start = gate.clock.now();
    let old = gate.sign_in().await;
    let at = |seconds: u64| gate.clock.set(start + seconds);
    at(60);
    let answer = gate.public().get_with("/", &[("cookie", &old)]).await;
    assert_eq!((answer.status, answer.cookie(COOKIE)), (200, None), "not at every request");
    at(600);
    let answer = gate.public().get_with("/", &[("cookie", &old)]).await;
    let new = format!("{COOKIE}={}", answer.cookie(COOKIE).unwrap());
    let line = answer.header_lines("set-cookie").join("\n");
    for attribute in ["; Path=/", "; HttpOnly", "; SameSite=Lax", "; Secure"] {
        assert!(line.contains(attribute), "{line}");
    }
    at(3_601);
    assert_eq!(gate.public().get_with("/", &[("cookie", &old)]).await.status, 401);
    assert_eq!(gate.public().get_with("/", &[("cookie", &new)]).await.status, 200);
    at(600 + 3_601);
    assert_eq!(gate.public().get_with("/", &[("cookie", &new)]).await.status, 401);
}

#[tokio::test]
async fn a_renewed_session_is_in_no_shared_cache() {
    let mut upstream = Wire::listen().await;
    let gate = upstream.gate(|text| idle(&text)).await;
    let cookie = gate.sign_in().await;
    gate.clock.set(gate.clock.now() + 600);
    for (said, expected) in [
        ("Cache-Control: public, max-age=600\r\nCDN-Cache-Control: max-age=600\r\n", "no-store"),
        ("Cache-Control: max-age=600\r\n", "no-store"),
        ("Cache-Control: Private, max-age=600\r\n", "Private, max-age=600"),
        ("", "private"),
    ] {
        let client = gate.public();
        let headers = [("cookie", cookie.as_str())];
        let answer = format!("HTTP/1.1 200 OK\r\n{said}Content-Length: 0\r\n\r\n");
        let (_, answer) = tokio::join!(upstream.answer(&answer), client.get_with("/", &headers));
        assert!(answer.cookie(COOKIE).is_some());
        assert_eq!(answer.header("cache-control"), Some(expected), "{said}");
        assert_eq!(answer.header("cdn-cache-control"), None);
    }
}

#[tokio::test]
async fn answers_without_a_body_stay_without() {
    let mut upstream = Wire::listen().await;
    let gate = upstream.gate(|text| pass(&text)).await;
    for (method, said, status) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 4711\r\n\r\n", 200),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", 204),
        ("GET", "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n", 304),
    ] {
        let client = gate.public();
        let headers = [("if-none-match", "\"x\"")];
        let (head, answer) =
            tokio::join!(upstream.answer(said), client.request(method, "/", &headers, b""));
        assert_eq!(values(&head, "if-none-match"), ["\"x\""]);
        assert_eq!((answer.status, answer.body.len()), (status, 0), "{method}");
        assert_eq!(answer.header("transfer-encoding"), None);
        if method == "HEAD" {
            assert_eq!(answer.header("content-length"), Some("4711"));
        }
    }
}

#[tokio::test]
async fn bodies_stream_both_ways_before_they_end() {
    let mut upstream = Wire::listen().await;
    let gate = upstream.gate(|text| text).await;
    let cookie = gate.sign_in().await;
    let mut client = TcpStream::connect(gate.public_at()).await.unwrap();
    // More than anybody would buffer, and more than the gate itself would ever read.
    let head = format!(
        "POST /upload HTTP/1.1\r\nHost: {PANEL}\r\nCookie: {cookie}\r\n\
         Content-Length: 1000000000000\r\n\r\nfirst"
    );
    client.write_all(head.as_bytes()).await.unwrap();
    let mut stream = upstream.accept().await;
    let seen = read_until(&mut stream, "first").await;
    assert_eq!(values(&seen, "content-length"), ["1000000000000"]);
    client.write_all(b"second").await.unwrap();
    read_until(&mut stream, "second").await;
    // The answer begins while the upload goes on, and is seen before it ends.
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nthird\r\n";
    stream.write_all(answer.as_bytes()).await.unwrap();
    read_until(&mut client, "third").await;
    client.write_all(b"fourth").await.unwrap();
    read_until(&mut stream, "fourth").await;
}

// -------------------------------------------------------------------------------- what goes wrong

#[tokio::test]
async fn an_upstream_that_is_down_is_a_page_or_a_problem_that_names_it_not() {
    let upstream = Wire::listen().await;
    let addr = upstream.addr;
    let gate = upstream.gate(|text| text).await;
    drop(upstream); // every connection is closed as soon as it is there
    let cookie = gate.sign_in().await;
    let headers = [("cookie", cookie.as_str())];
    let program = gate.public().get_with("/", &headers).await;
    assert_eq!((program.status, program.code().as_str()), (502, "bad_gateway"));
    let person = gate.browser().get_with("/", &headers).await;
    assert!(person.status == 502 && is_page(&person));
    for answer in [program, person] {
        assert!(!answer.text().contains(&addr.to_string()), "{}", answer.text());
    }
    let live = gate.browser().get_with("/_once/session", &headers).await;
    assert_eq!(live.status, 200, "the session outlives the upstream");
}

#[tokio::test]
async fn a_connection_is_good_for_many_requests_of_many_people() {
    let gate = Gate::start().await;
    let cookie = gate.sign_in().await;
    let mut connection = Connection::open(gate.public_at()).await.unwrap();
    for (sent, status) in [(cookie.as_str(), 200), ("a=1", 401), (&cookie, 200), ("a=1", 401)] {
        let request = format!("GET /x HTTP/1.1\r\nHost: {PANEL}\r\nCookie: {sent}\r\n\r\n");
        connection.send(request).await.unwrap();
        let answer = connection.answer().await.unwrap();
        assert_eq!(answer.status, status, "who was there before does not count");
    }
    assert_eq!(gate.upstream.seen().len(), 2);
}

#[tokio::test]
async fn a_session_of_one_site_opens_no_other() {
    let gate = Gate::start().await;
    let link = gate.link(json!({})).await;
    let cookie = cookie_of(&gate.open(&link).await);
    let shop = gate.public().host("shop.example.com");
    assert_eq!(shop.get_with("/", &[("cookie", &cookie)]).await.status, 401);
    assert!(gate.upstream.seen().is_empty());
}
