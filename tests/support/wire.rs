//! An upstream whose every byte the test says itself, and reads itself.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

use super::gate::Gate;

/// How long anything that is to come may take; what comes is never waited for longer.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Wire {
    pub addr: SocketAddr,
    connections: mpsc::UnboundedReceiver<TcpStream>,
}

impl Wire {
    pub async fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (sender, connections) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if sender.send(stream).is_err() {
                    break;
                }
            }
        });
        Self { addr, connections }
    }

    /// A gate before it, whose configuration `change` makes of the usual one.
    pub async fn gate(&self, change: impl FnOnce(String) -> String) -> Gate {
        let addr = self.addr;
        Gate::with(move |text| change(upstream_at(&text, addr))).await
    }

    /// The next connection.
    pub async fn accept(&mut self) -> TcpStream {
        timeout(PATIENCE, self.connections.recv()).await.expect("nobody connects").unwrap()
    }

    /// Reads one request on a new connection, answers it and closes; gives the request's head.
    pub async fn answer(&mut self, answer: &str) -> String {
        let mut stream = self.accept().await;
        let head = read_until(&mut stream, "\r\n\r\n").await;
        stream.write_all(answer.as_bytes()).await.unwrap();
        head
    }
}

/// The configuration with another upstream for every site.
pub fn upstream_at(text: &str, addr: SocketAddr) -> String {
    let upstream = format!("upstream = \"http://{addr}\"");
    let lines = text.lines().map(|line| {
        let line = if line.starts_with("upstream = ") { &upstream } else { line };
        format!("{line}\n")
    });
    lines.fold(String::new(), |text, line| text + &line)
}

/// Reads until `end` has come, and gives all that came.
pub async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.contains(end) {
        let mut buffer = [0; 4096];
        let read = timeout(PATIENCE, stream.read(&mut buffer)).await;
        let read = read.unwrap_or_else(|_| panic!("{end:?} never came after {text:?}")).unwrap();
        assert_ne!(read, 0, "closed after {text:?}");
        text += std::str::from_utf8(&buffer[..read]).unwrap();
    }
    text
}

/// The values of a field in a head as it came.
pub fn values<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
}
