//! Frames of HTTP/2 (RFC 9113, 4.1; RFC 7541), written by hand: also those that no client writes.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// How long the other side may refuse to take anything before it is left alone.
const STALLED: Duration = Duration::from_secs(2);

/// One frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A block of headers, each a literal that no table takes.
pub fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [integer(text.len(), 0x7f, 0), text.as_bytes().to_vec()].concat();
    let field = |(name, value): &(&str, &str)| [vec![0], text(name), text(value)].concat();
    headers.iter().flat_map(field).collect()
}

/// An integer with a prefix of so many ones, whose other bits are `first` (RFC 7541, 5.1).
pub fn integer(value: usize, prefix: u8, first: u8) -> Vec<u8> {
    let most = usize::from(prefix);
    if value < most {
        return vec![first | u8::try_from(value).unwrap()];
    }
    let mut bytes = vec![first | prefix];
    let mut rest = value - most;
    while rest >= 0x80 {
        bytes.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
        rest >>= 7;
    }
    bytes.push(u8::try_from(rest).unwrap());
    bytes
}

/// The head of a GET.
pub fn get(authority: &str, path: &str) -> Vec<u8> {
    block(&[(":method", "GET"), (":scheme", "http"), (":authority", authority), (":path", path)])
}

/// A connection that has begun.
pub struct Frames {
    pub stream: TcpStream,
}

impl Frames {
    /// Sends the preface and empty settings.
    pub async fn open(at: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(at).await.unwrap();
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        stream.write_all(&[&preface[..], &frame(SETTINGS, 0, 0, &[])].concat()).await.unwrap();
        Self { stream }
    }

    /// Sends bytes, as long as they are taken; whether all were.
    pub async fn flood(&mut self, bytes: &[u8]) -> bool {
        matches!(timeout(STALLED, self.stream.write_all(bytes)).await, Ok(Ok(())))
    }

    /// The next frame: its kind, flags, stream and payload.
    pub async fn next(&mut self) -> io::Result<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.stream.read_exact(&mut payload).await?;
        Ok((kind, flags, u32::from_be_bytes(stream), payload))
    }

    /// What becomes of a stream: the block of headers of its answer, or why it was reset; none
    /// where the connection ended.
    pub async fn outcome(&mut self, of: u32) -> Option<Result<Vec<u8>, u32>> {
        loop {
            match self.next().await {
                Ok((HEADERS, _, stream, block)) if stream == of => return Some(Ok(block)),
                Ok((RST_STREAM, _, stream, code)) if stream == of => {
                    return Some(Err(u32::from_be_bytes(code.try_into().unwrap())));
                }
                Ok((SETTINGS, 0, ..)) => {
                    let _ = self.stream.write_all(&frame(SETTINGS, 1, 0, &[])).await;
                }
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }
}
