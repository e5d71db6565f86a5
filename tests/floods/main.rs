//! Floods: what costs a client little and a careless server much. The gate is the real binary; it
//! answers a good request meanwhile, and its memory stays within a limit that is generous (nothing
//! here is optimised) and far below what was sent or could be held.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

#[path = "../support/mod.rs"]
mod support;

use std::{future::Future, time::Duration};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::{
    frames::{
        CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, PING, RST_STREAM,
        SETTINGS, block, frame, get, integer,
    },
    gate::PANEL,
    http::{Client, Connection},
    process::{At, Home, PATIENCE, Process},
};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, task::JoinSet};

const MIB: usize = 1 << 20;
/// How much larger the gate may be in a flood than before it.
const GROWTH: usize = 48 * MIB;
/// RFC 9113, 7.
const ENHANCE_YOUR_CALM: u32 = 11;
const KEYS: &str = "/.well-known/jwks.json";

/// The memory of a process that is its own, in bytes.
fn memory(process: &Process) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

async fn good(at: At) {
    let asked = Client::new(at.public).host(PANEL).request("GET", KEYS, &[], b"").await;
    assert_eq!(asked.status, 200);
}

/// Answers good requests while `flood` goes on, and gives how much the gate grew at most.
async fn growth(process: &Process, at: At, flood: impl Future<Output = ()>) -> usize {
    good(at).await;
    let before = memory(process);
    let mut most = before;
    let mut flood = std::pin::pin!(flood);
    let limit = tokio::time::Instant::now() + PATIENCE;
    loop {
        tokio::select! {
            () = &mut flood => break,
            () = tokio::time::sleep(Duration::from_millis(50)) => {
                tokio::time::timeout(PATIENCE, good(at)).await.expect("no answer in the flood");
                most = most.max(memory(process));
                assert!(tokio::time::Instant::now() < limit, "the flood does not end");
            }
        }
    }
    most = most.max(memory(process));
    good(at).await;
    eprintln!("{} KiB more than {} KiB", (most - before) / 1024, before / 1024);
    most - before
}

/// Sends the same from several connections at once, each by `send`.
async fn from_several<F>(at: At, send: impl Fn(Frames) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut all = JoinSet::new();
    for _ in 0..8 {
        all.spawn(send(Frames::open(at.public).await));
    }
    while let Some(sent) = all.join_next().await {
        sent.unwrap();
    }
}

async fn start() -> (Home, Process, At) {
    let home = Home::new(|text| text).await;
    let (process, at) = home.start().await;
    (home, process, at)
}

#[tokio::test]
async fn streams_that_are_opened_and_reset_at_once() {
    let (_home, process, at) = start().await;
    let grew = growth(&process, at, async {
        from_several(at, async |mut frames| {
            let head = get(PANEL, "/assets/x");
            for batch in 0..500 {
                let streams = (0..40).map(|number| (batch * 40 + number) * 2 + 1);
                let bytes: Vec<u8> = streams
                    .flat_map(|stream| {
                        let begin = frame(HEADERS, END_HEADERS | END_STREAM, stream, &head);
                        [begin, frame(RST_STREAM, 0, stream, &8u32.to_be_bytes())].concat()
                    })
                    .collect();
                if !frames.flood(&bytes).await {
                    break;
                }
            }
            // It is told why, or cut off before it has read that.
            let ended = async {
                loop {
                    match frames.next().await {
                        Ok((GOAWAY, _, _, why)) => return Some(why[4..8].to_vec()),
                        Ok(_) => {}
                        Err(_) => return None,
                    }
                }
            };
            let why = tokio::time::timeout(PATIENCE, ended).await.expect("the connection goes on");
            assert!(why.is_none_or(|why| why == ENHANCE_YOUR_CALM.to_be_bytes()));
        })
        .await;
    })
    .await;
    assert!(grew < GROWTH, "{} MiB more", grew / MIB);
}

#[tokio::test]
async fn a_head_that_goes_on_and_on() {
    let (_home, process, at) = start().await;
    let grew = growth(&process, at, async {
        from_several(at, async |mut frames| {
            let more = frame(CONTINUATION, 0, 1, &block(&[("x-more", &"x".repeat(16_000))]));
            let mut taken = frames.flood(&frame(HEADERS, END_STREAM, 1, &get(PANEL, "/"))).await;
            let mut sent = 0;
            while taken && sent < 2_000 {
                (taken, sent) = (frames.flood(&more).await, sent + 1);
            }
            assert!(!taken, "32 MiB of one head were taken");
        })
        .await;
    })
    .await;
    assert!(grew < GROWTH, "{} MiB more", grew / MIB);
}

#[tokio::test]
async fn settings_and_pings_whose_answers_nobody_reads() {
    let (_home, process, at) = start().await;
    for flooding in [
        frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]),
        frame(PING, 0, 0, &[7; 8]),
        frame(SETTINGS, 0, 0, &[]),
    ] {
        let flooding = flooding.repeat(1_000);
        let grew = growth(&process, at, async {
            from_several(at, |mut frames| {
                let flooding = flooding.clone();
                async move {
                    for _ in 0..300 {
                        if !frames.flood(&flooding).await {
                            return;
                        }
                    }
                }
            })
            .await;
        })
        .await;
        assert!(grew < GROWTH, "{} MiB more", grew / MIB);
    }
}

#[tokio::test]
async fn a_small_head_that_unpacks_to_a_large_one() {
    let (_home, process, at) = start().await;
    // One field of nearly 4 KiB for the table, and 12,000 references to it: 48 MiB a head.
    let field = [vec![0x40], block(&[("x-bomb", &"x".repeat(4_000))])[1..].to_vec()].concat();
    let bomb = [get(PANEL, "/"), field, integer(62, 0x7f, 0x80).repeat(12_000)].concat();
    let grew = growth(&process, at, async {
        from_several(at, |mut frames| {
            let bomb = bomb.clone();
            async move {
                for stream in (1..80).step_by(2) {
                    let head = frame(HEADERS, END_HEADERS | END_STREAM, stream, &bomb);
                    if !frames.flood(&head).await {
                        return;
                    }
                }
                let outcome = tokio::time::timeout(PATIENCE, frames.outcome(1)).await.unwrap();
                // No head of 64 KiB and more is looked at: 431 is no status of the static table.
                assert!(outcome.is_none_or(|head| head.is_ok_and(|head| head[0] != 0x88)));
            }
        })
        .await;
    })
    .await;
    assert!(grew < GROWTH, "{} MiB more", grew / MIB);
}

#[tokio::test]
async fn pieces_of_a_body_with_nothing_in_them() {
    let (_home, process, at) = start().await;
    let post =
        [(":method", "POST"), (":scheme", "http"), (":authority", PANEL), (":path", "/assets/x")];
    let begin = frame(HEADERS, END_HEADERS, 1, &block(&post));
    let nothing = frame(DATA, 0, 1, &[]).repeat(1_000);
    let grew = growth(&process, at, async {
        from_several(at, |mut frames| {
            let (begin, nothing) = (begin.clone(), nothing.clone());
            async move {
                let mut taken = frames.flood(&begin).await;
                for _ in 0..300 {
                    taken = taken && frames.flood(&nothing).await;
                }
            }
        })
        .await;
    })
    .await;
    assert!(grew < GROWTH, "{} MiB more", grew / MIB);
}

/// A gate that waits but two seconds for anybody.
async fn start_impatient() -> (Home, Process, At) {
    let limits = "[limits]\nheader_timeout = \"2s\"\nbody_timeout = \"2s\"\n[listen]";
    let home = Home::new(|text| text.replace("[listen]", limits)).await;
    let (process, at) = home.start().await;
    (home, process, at)
}

#[tokio::test]
async fn heads_and_bodies_that_come_byte_by_byte() {
    let (_home, process, at) = start_impatient().await;
    let head = format!("GET / HTTP/1.1\r\nHost: {PANEL}\r\nX-Slow: {}", "x".repeat(1_000));
    let body = format!("POST /_once/l/x HTTP/1.1\r\nHost: {PANEL}\r\nContent-Length: 1000\r\n\r\n");
    let body = body + &"x".repeat(999);
    let grew = growth(&process, at, async {
        let mut all = JoinSet::new();
        for number in 0..400 {
            let (bytes, at) = (if number % 2 == 0 { &head } else { &body }.clone(), at.public);
            all.spawn(async move {
                let mut connection = Connection::open(at).await.unwrap();
                for piece in bytes.as_bytes().chunks(60) {
                    if connection.send(piece).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    if connection.closed_by_now().await {
                        return;
                    }
                }
                panic!("one that takes eight seconds was waited for");
            });
        }
        while let Some(closed) = all.join_next().await {
            closed.unwrap();
        }
    })
    .await;
    assert!(grew < GROWTH, "{} MiB more", grew / MIB);
}

/// How many connections are idle.
const IDLE: usize = 5_000;

/// Lets this process and those it starts have so many files.
fn raise_limit_of_files(to: u64) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= to) {
        return;
    }
    assert!(
        maximum.is_none_or(|most| most >= to),
        "this machine allows no {to} files: {maximum:?}"
    );
    setrlimit(Resource::Nofile, Rlimit { current: Some(to), maximum }).unwrap();
}

#[tokio::test]
async fn five_thousand_connections_that_ask_for_nothing() {
    raise_limit_of_files(6_000);
    // More than have a place: those who are idle give way.
    let limits = "[limits]\nmax_connections = 4000\nheader_timeout = \"60s\"\n[listen]";
    let home = Home::new(|text| text.replace("[listen]", limits)).await;
    let (process, at) = home.start().await;
    let grew = growth(&process, at, async {
        let mut idle = Vec::new();
        for number in 0..IDLE {
            let mut stream = TcpStream::connect(at.public).await.unwrap();
            // Some say nothing, some begin, some have asked.
            let begun: &[u8] = match number % 4 {
                0 => b"",
                1 => b"GET / HTTP/1.1\r\nHost:",
                2 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
                _ => b"GET /.well-known/jwks.json HTTP/1.1\r\nHost: panel.example.com\r\n\r\n",
            };
            let _ = stream.write_all(begun).await;
            idle.push(stream);
        }
        assert_eq!(idle.len(), IDLE);
        let began = tokio::time::Instant::now();
        while began.elapsed() < Duration::from_secs(1) {
            good(at).await;
        }
    })
    .await;
    // 4,000 of them, at most.
    assert!(grew < 160 * MIB, "{} MiB more", grew / MIB);
    let text = Client::new(at.admin).get("/metrics").await.text().to_owned();
    let name = "oncegate_connections{listener=\"public\"} ";
    let open: usize = text.lines().find_map(|line| line.strip_prefix(name)?.parse().ok()).unwrap();
    assert!(open <= 4_000, "{open} are open");
}
