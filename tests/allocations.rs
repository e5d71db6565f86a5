//! How many allocations each request costs the gate: counted, and held to a table.
//!
//! They are counted on the one thread that the gate has here, from the first byte of a request to
//! the last of its answer; the client has another thread. Of a thousand tries each costs the same:
//! what happens once in many (a table that grows, a cache that is tidied) is less than one a
//! request over [`REQUESTS`] of them, and cut off. Nothing is timed.
//!
//! A change that allocates more fails here. If it is meant, it changes the table too.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;
#[path = "allocations/table.rs"]
mod table;

use std::{
    fs::File,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Once,
    thread,
};

use oncegate::ops::telemetry;
use serde_json::json;
use support::{
    gate::{BILLING, Gate, PANEL},
    wire::upstream_at,
};
use table::TABLE;
use tokio::{runtime::Runtime, sync::oneshot};

/// How many of each are counted.
const REQUESTS: usize = 256;
/// How many come before them: the first fill caches, tables and buffers.
const WARM_UP: usize = 64;
/// How much less than in the table it may be before the table is to be changed. Optimised builds
/// leave some out.
const SLACK: u64 = if cfg!(debug_assertions) { 2 } else { u64::MAX };

#[test]
fn issuing_a_link_allocates_no_more_than_the_table_says() {
    let (runtime, gate) = gate();
    let ask = api(
        "/v1/links",
        &json!({ "user": "joe", "destination": "invoice", "destination_values": ["7"] }),
    );
    let requests = vec![ask; WARM_UP + REQUESTS];
    holds("issue, one", counted(&runtime, gate.api_at(), requests, "201"), 1);
}

#[test]
fn each_link_of_a_batch_allocates_no_more_than_the_table_says() {
    let (runtime, gate) = gate();
    let links: Vec<_> =
        (0..100).map(|number| json!({ "user": format!("user-{number}") })).collect();
    let requests = vec![api("/v1/links/batch", &json!(links)); WARM_UP + REQUESTS];
    holds("issue, each of a batch of 100", counted(&runtime, gate.api_at(), requests, "200"), 100);
}

#[test]
fn redeeming_by_api_allocates_no_more_than_the_table_says() {
    let (runtime, gate) = gate();
    let tokens = tokens(&runtime, &gate);
    let requests = tokens.iter().map(|token| api("/v1/redeem", &json!({ "token": token })));
    let requests = requests.collect();
    holds("redeem by API", counted(&runtime, gate.api_at(), requests, "200"), 1);
}

#[test]
fn redeeming_by_form_allocates_no_more_than_the_table_says() {
    let (runtime, gate) = gate();
    let tokens = tokens(&runtime, &gate);
    let post = |token: &String| {
        let first = format!("POST /_once/l/{token} HTTP/1.1");
        let fields = "Sec-Fetch-Site: same-origin\r\n\
            Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 0";
        in_browser(&first, fields)
    };
    let requests = tokens.iter().map(post).collect();
    holds("redeem by form", counted(&runtime, gate.public_at(), requests, "303"), 1);
}

#[test]
fn a_load_balancers_question_allocates_no_more_than_the_table_says() {
    let (runtime, gate) = gate();
    let cookie = runtime.block_on(gate.sign_in());
    let fields = format!(
        "X-Original-URL: https://{PANEL}/clientarea?page=2\r\nX-Original-Method: GET\r\n\
         X-Forwarded-For: 203.0.113.7\r\nCookie: {cookie}"
    );
    let ask = in_browser("GET /_once/auth/nginx HTTP/1.1", &fields);
    let requests = vec![ask; WARM_UP + REQUESTS];
    holds("forward auth, signed in", counted(&runtime, gate.public_at(), requests, "200"), 1);
}

#[test]
fn a_proxied_request_allocates_no_more_than_the_table_says() {
    let (runtime, gate) = gate();
    let cookie = runtime.block_on(gate.sign_in());
    let get = in_browser("GET /clientarea HTTP/1.1", &format!("Cookie: {cookie}"));
    let requests = vec![get; WARM_UP + REQUESTS];
    holds("proxied GET, signed in", counted(&runtime, gate.public_at(), requests, "200"), 1);
}

/// A gate that has nothing but this thread, in front of an application on another.
fn gate() -> (Runtime, Gate) {
    log_nowhere();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let application = application();
    let gate = runtime.block_on(Gate::with(|text| {
        upstream_at(&text, application)
            .replace("[links]", "trusted_proxies = [\"127.0.0.0/8\"]\n[links]")
            .replace("\"1000/s\"", "\"1000000/s\"")
    }));
    (runtime, gate)
}

/// The lines of the log cost what they cost, and nobody is to read them.
fn log_nowhere() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // What a test says when it fails goes to standard output.
        rustix::stdio::dup2_stderr(File::options().write(true).open("/dev/null").unwrap()).unwrap();
        telemetry::init(Some("info"));
    });
}

/// Answers every request with the same bytes.
fn application() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let (mut buffer, mut filled) = ([0; 16 * 1024], 0);
                loop {
                    match stream.read(&mut buffer[filled..]) {
                        Ok(0) | Err(_) => return,
                        Ok(more) => filled += more,
                    }
                    if buffer[..filled].ends_with(b"\r\n\r\n") {
                        filled = 0;
                        let answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\
                            Content-Length: 5\r\n\r\nhello";
                        if stream.write_all(answer).is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    address
}

fn tokens(runtime: &Runtime, gate: &Gate) -> Vec<String> {
    let asks: Vec<_> = (0..WARM_UP + REQUESTS).map(|_| json!({ "user": "joe" })).collect();
    let answer = runtime.block_on(gate.api().post_json("/v1/links/batch", &json!(asks)));
    let links = answer.json();
    links.as_array().unwrap().iter().map(|link| link["token"].as_str().unwrap().into()).collect()
}

fn api(path: &str, body: &serde_json::Value) -> Vec<u8> {
    let body = body.to_string();
    format!(
        "POST {path} HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer {BILLING}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn in_browser(first: &str, fields: &str) -> Vec<u8> {
    format!(
        "{first}\r\nHost: {PANEL}\r\nAccept: text/html\r\nAccept-Encoding: gzip\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n{fields}\r\n\r\n"
    )
    .into_bytes()
}

/// The allocations of this thread while it answers the requests after the warm-up, one after the
/// other on one connection.
fn counted(runtime: &Runtime, at: SocketAddr, requests: Vec<Vec<u8>>, status: &str) -> u64 {
    assert_eq!(requests.len(), WARM_UP + REQUESTS);
    let status = format!("HTTP/1.1 {status} ");
    let (warm, is_warm) = oneshot::channel();
    let (go, went) = std::sync::mpsc::channel();
    let (done, is_done) = oneshot::channel();
    let client = thread::spawn(move || {
        let mut stream = TcpStream::connect(at).unwrap();
        stream.set_nodelay(true).unwrap();
        let (first, rest) = requests.split_at(WARM_UP);
        for request in first {
            exchange(&mut stream, request, &status);
        }
        warm.send(()).unwrap();
        went.recv().unwrap();
        for request in rest {
            exchange(&mut stream, request, &status);
        }
        done.send(()).unwrap();
    });
    runtime.block_on(is_warm).unwrap();
    let counts = allocation_counter::measure(|| {
        go.send(()).unwrap();
        runtime.block_on(is_done).unwrap();
    });
    client.join().unwrap();
    counts.count_total
}

/// Sends a request and reads its whole answer.
fn exchange(stream: &mut TcpStream, request: &[u8], status: &str) {
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    loop {
        let mut buffer = [0; 16 * 1024];
        let read = stream.read(&mut buffer).unwrap();
        assert_ne!(read, 0, "closed after {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.to_ascii_lowercase();
            let length = length.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() == length.map_or(0, |length| length.parse().unwrap()) {
                assert!(head.starts_with(status), "{text}");
                return;
            }
        }
    }
}

fn holds(what: &str, counted: u64, of_each: u64) {
    let most = TABLE.iter().find(|(name, _)| *name == what).expect("it is in the table").1;
    let each = counted / (REQUESTS as u64 * of_each);
    assert!(
        each <= most,
        "{what}: it was {most} allocations, and is {each}; if that is meant, change the table"
    );
    assert!(
        most - each <= SLACK,
        "{what}: it was {most} allocations, and is {each}: change the table, so that it stays so"
    );
}
