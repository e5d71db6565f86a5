//! The load: as cheap as it can be, so that one core of it keeps the other core busy.
//!
//! One thread, one `epoll`, requests that were written before. A closed loop sends the next
//! request of a connection when its answer is there; an open loop sends at a given mean rate,
//! whatever the answers do, and takes each one's time from when it was due.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream as Blocking},
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token, net::TcpStream};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, recv};

use crate::answer::{Head, LAST_CHUNK, Length, read_head};

/// How long nothing at all may happen before it is a fault.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most bytes of an answer that are kept and looked at.
const KEPT: usize = 16 * 1024;

/// What is sent, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub to: SocketAddr,
    /// Requests under way at once.
    pub connections: usize,
    /// Whether each request has a connection of its own.
    pub renew: bool,
    /// Requests a second on average, as if they came by chance; none: as fast as they are answered.
    pub rate: Option<f64>,
    /// Whether the requests begin again at their end.
    pub repeat: bool,
    pub time: Duration,
    /// What an answer must be.
    pub good: Good,
    /// The status of an answer that is neither good nor a fault.
    pub refused: Option<u16>,
}

/// What a good answer is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Good {
    pub status: u16,
    /// What is in it, head or body.
    pub says: &'static str,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Answered {
    pub good: usize,
    pub refused: usize,
    pub body_bytes: u64,
    pub took: Duration,
    /// How long each answer took, in nanoseconds, unordered.
    pub latencies: Vec<u32>,
}

struct Connection {
    stream: Option<TcpStream>,
    /// Whether a request is under way, which one, and how much of it is sent.
    under_way: bool,
    request: usize,
    sent: usize,
    /// Since when: when it was sent, or when it was due.
    since: Instant,
    kept: Vec<u8>,
    filled: usize,
    /// Bytes of the body that are still to come, once the head is read.
    head: Option<Head>,
    rest: usize,
    /// Bytes of the body so far, and the last of them where only they tell its end.
    body: usize,
    tail: Vec<u8>,
}

struct Running<'a> {
    load: &'a Load,
    requests: &'a [Vec<u8>],
    poll: Poll,
    connections: Vec<Connection>,
    idle: Vec<usize>,
    next: usize,
    opened: u32,
    under_way: usize,
    discarded: Vec<u8>,
    answered: Answered,
}

/// Sends these requests until the time is over or there are no more.
///
/// # Panics
/// If an answer is not as it must be, or none comes.
pub(crate) fn run(load: &Load, requests: &[Vec<u8>]) -> Answered {
    let mut running = Running {
        load,
        requests,
        poll: Poll::new().unwrap(),
        connections: Vec::new(),
        idle: Vec::new(),
        next: 0,
        opened: 0,
        under_way: 0,
        discarded: vec![0; 256 * 1024],
        answered: Answered::default(),
    };
    for n in 0..load.connections {
        running.connections.push(Connection::new());
        if !load.renew {
            running.open(n, Interest::READABLE | Interest::WRITABLE);
        }
    }
    let started = Instant::now();
    match load.rate {
        None => running.closed(started),
        Some(rate) => running.open_loop(started, rate),
    }
    running.answered.took = started.elapsed();
    running.answered
}

impl Running<'_> {
    fn closed(&mut self, started: Instant) {
        let end = started + self.load.time;
        for n in 0..self.connections.len() {
            self.send_next(n, Instant::now());
        }
        let mut events = Events::with_capacity(256);
        let mut done = Vec::new();
        while self.under_way > 0 {
            self.wait(&mut events, Some(PATIENCE));
            assert!(!events.is_empty(), "no answer in {PATIENCE:?}");
            for event in &events {
                let n = event.token().0;
                if self.progress(n) {
                    done.push(n);
                }
            }
            let now = Instant::now();
            for n in done.drain(..) {
                self.answered(n, now);
                if now < end {
                    self.send_next(n, now);
                }
            }
        }
    }

    fn open_loop(&mut self, started: Instant, rate: f64) {
        let end = started + self.load.time;
        let mut chance = Chance(0x9E37_79B9_7F4A_7C15);
        let mut due = started;
        let mut waiting = VecDeque::new();
        self.idle = (0..self.connections.len()).rev().collect();
        let mut events = Events::with_capacity(256);
        let mut latest = started;
        loop {
            let now = Instant::now();
            while due <= now && due < end {
                waiting.push_back(due);
                due += Duration::from_secs_f64(chance.gap() / rate);
            }
            while !waiting.is_empty()
                && let Some(n) = self.idle.pop()
            {
                let since = waiting.pop_front().unwrap();
                self.send_next(n, since);
            }
            if self.under_way == 0 && (due >= end || self.next >= self.requests.len()) {
                return;
            }
            self.wait(&mut events, Some(Duration::ZERO));
            for event in &events {
                let n = event.token().0;
                if self.progress(n) {
                    latest = Instant::now();
                    self.answered(n, latest);
                    self.idle.push(n);
                }
            }
            assert!(
                self.under_way == 0 || latest.elapsed() < PATIENCE,
                "no answer in {PATIENCE:?}"
            );
        }
    }

    fn wait(&mut self, events: &mut Events, timeout: Option<Duration>) {
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => other.unwrap(),
        }
    }

    /// Sends the next request, if there is one.
    fn send_next(&mut self, n: usize, since: Instant) {
        if self.next >= self.requests.len() {
            if !self.load.repeat {
                return;
            }
            self.next = 0;
        }
        let request = self.next;
        self.next += 1;
        self.under_way += 1;
        let connection = &mut self.connections[n];
        connection.under_way = true;
        (connection.request, connection.sent, connection.since) = (request, 0, since);
        (connection.filled, connection.head, connection.rest, connection.body) = (0, None, 0, 0);
        connection.tail.clear();
        if self.load.renew {
            self.open(n, Interest::READABLE | Interest::WRITABLE);
        }
        self.write(n);
    }

    /// A connection of its own address: no two of a run have the same pair of ports, so that none
    /// waits for the kernel to forget another.
    fn open(&mut self, n: usize, interest: Interest) {
        let mut stream = if self.load.renew {
            let [_, _, high, low] = (256 + self.opened % 4096).to_be_bytes();
            self.opened += 1;
            let socket = rustix::net::socket_with(
                AddressFamily::INET,
                SocketType::STREAM,
                SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
                None,
            )
            .unwrap();
            rustix::net::bind(&socket, &SocketAddr::from((Ipv4Addr::new(127, 0, high, low), 0)))
                .unwrap();
            match rustix::net::connect(&socket, &self.load.to) {
                Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
                Err(error) => panic!("{}: {error}", self.load.to),
            }
            TcpStream::from_std(Blocking::from(socket))
        } else {
            let stream = Blocking::connect(self.load.to).unwrap();
            stream.set_nonblocking(true).unwrap();
            TcpStream::from_std(stream)
        };
        stream.set_nodelay(true).unwrap();
        self.poll.registry().register(&mut stream, Token(n), interest).unwrap();
        self.connections[n].stream = Some(stream);
    }

    fn write(&mut self, n: usize) {
        let connection = &mut self.connections[n];
        let bytes = &self.requests[connection.request];
        let Some(stream) = &mut connection.stream else { return };
        while connection.sent < bytes.len() {
            match stream.write(&bytes[connection.sent..]) {
                Ok(sent) => connection.sent += sent,
                Err(error) if not_yet(&error) => return,
                Err(error) => panic!("{}: cannot send: {error}", self.load.to),
            }
        }
    }

    /// Goes on where the connection can; whether its answer is whole.
    fn progress(&mut self, n: usize) -> bool {
        let connection = &mut self.connections[n];
        // What was just opened can be written to, with or without something to write.
        if !connection.under_way {
            return false;
        }
        if connection.sent < self.requests[connection.request].len() {
            self.write(n);
        }
        let connection = &mut self.connections[n];
        if connection.sent == 0 {
            return false;
        }
        connection.read(&mut self.discarded)
    }

    fn answered(&mut self, n: usize, now: Instant) {
        let connection = &mut self.connections[n];
        let head = connection.head.take().unwrap();
        let Load { good, refused, .. } = self.load;
        let kept = &connection.kept[..connection.filled];
        let says = good.says.as_bytes();
        if head.status == good.status
            && (says.is_empty()
                || kept.windows(says.len()).any(|part| part[0] == says[0] && part == says))
        {
            self.answered.good += 1;
        } else {
            let text = String::from_utf8_lossy(kept);
            assert_eq!(Some(head.status), *refused, "{}: {text}", self.load.to);
            self.answered.refused += 1;
        }
        self.answered.body_bytes += connection.body as u64;
        let took = now.saturating_duration_since(connection.since).as_nanos();
        self.answered.latencies.push(u32::try_from(took).unwrap_or(u32::MAX));
        connection.under_way = false;
        if self.load.renew {
            connection.stream = None;
        }
        self.under_way -= 1;
    }
}

impl Connection {
    fn new() -> Self {
        Self {
            stream: None,
            under_way: false,
            request: 0,
            sent: 0,
            since: Instant::now(),
            kept: vec![0; KEPT],
            filled: 0,
            head: None,
            rest: 0,
            body: 0,
            tail: Vec::new(),
        }
    }

    /// Reads what is there; whether the answer is whole.
    fn read(&mut self, discarded: &mut [u8]) -> bool {
        loop {
            let Some(stream) = &mut self.stream else { return false };
            let (read, asked) = match self.head.map(|head| head.body) {
                None => {
                    let asked = KEPT - self.filled;
                    (stream.read(&mut self.kept[self.filled..]), asked)
                }
                // What nobody looks at need not be copied out of the kernel.
                Some(Length::Bytes(_)) => {
                    let asked = self.rest.min(discarded.len());
                    let read = recv(&*stream, &mut discarded[..asked], RecvFlags::TRUNC);
                    (read.map(|(_, length)| length).map_err(io::Error::from), asked)
                }
                Some(Length::Chunked) => (stream.read(discarded), discarded.len()),
            };
            let read = match read {
                Ok(0) => panic!("closed: {}", String::from_utf8_lossy(&self.kept[..self.filled])),
                Ok(read) => read,
                Err(error) if not_yet(&error) => return false,
                Err(error) => panic!("cannot read: {error}"),
            };
            if self.took(read, discarded) {
                return true;
            }
            // epoll(7): a short read has taken all that there was.
            if read < asked {
                return false;
            }
        }
    }

    /// Takes note of what was just read; whether that was the last of the answer.
    fn took(&mut self, read: usize, discarded: &[u8]) -> bool {
        let begun = self.head.is_some();
        if !begun {
            self.filled += read;
            self.head = read_head(&self.kept[..self.filled]);
        }
        let Some(head) = self.head else { return false };
        let part = if begun { &discarded[..read] } else { &self.kept[head.length..self.filled] };
        self.body += part.len();
        match head.body {
            Length::Bytes(length) => {
                assert!(self.body <= length, "more than one answer");
                self.rest = length - self.body;
                self.rest == 0
            }
            Length::Chunked => {
                self.tail.extend_from_slice(&part[part.len().saturating_sub(LAST_CHUNK.len())..]);
                self.tail.drain(..self.tail.len().saturating_sub(LAST_CHUNK.len()));
                self.tail == LAST_CHUNK
            }
        }
    }
}

fn not_yet(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected | ErrorKind::Interrupted)
}

/// Arrivals by chance, the same in every run.
struct Chance(u64);

impl Chance {
    /// The gap to the next arrival where one comes a second on average.
    fn gap(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let unit = ((self.0 >> 11) + 1) as f64 / (1_u64 << 53) as f64;
        -unit.ln()
    }
}
