//! As much of HTTP/1.1 as the load must understand, and one plain question for all else.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// The head of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub status: u16,
    /// Bytes of the head, its empty line among them.
    pub length: usize,
    /// Bytes of the body.
    pub body: Length,
}

/// How long a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    Bytes(usize),
    /// It ends with [`LAST_CHUNK`].
    Chunked,
}

/// The end of a body in chunks. What has no line breaks of its own has it nowhere else.
pub(crate) const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";

/// Reads the head, if it is whole.
pub(crate) fn read_head(bytes: &[u8]) -> Option<Head> {
    let mut body = None;
    let mut start = 0;
    let mut status = 0;
    for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
        let line = bytes[start..at].trim_ascii_end();
        if start == 0 {
            status = std::str::from_utf8(&line[9..12]).unwrap().parse().unwrap();
        } else if line.is_empty() {
            if matches!(status, 204 | 304) {
                body = Some(Length::Bytes(0));
            }
            let body = body.expect("a body of a known end");
            return Some(Head { status, length: at + 1, body });
        } else if line.len() > 16 && line[..15].eq_ignore_ascii_case(b"content-length:") {
            let value = std::str::from_utf8(line[15..].trim_ascii()).unwrap();
            body = Some(Length::Bytes(value.parse().unwrap()));
        } else if line.eq_ignore_ascii_case(b"transfer-encoding: chunked") {
            body = Some(Length::Chunked);
        }
        start = at + 1;
    }
    None
}

/// An answer as a whole.
#[derive(Debug)]
pub(crate) struct Whole {
    pub head: Head,
    /// The head, and the body without its chunks' sizes.
    pub text: String,
}

impl Whole {
    /// The body.
    pub(crate) fn body(&self) -> &str {
        &self.text[self.head.length..]
    }

    /// The value of the first header of this name, given in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.text[..self.head.length].lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// Asks once, on a connection of its own; `None` if nobody answers there.
pub(crate) fn ask(to: SocketAddr, request: &[u8]) -> Option<Whole> {
    let mut stream = TcpStream::connect(to).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(request).ok()?;
    let mut bytes = Vec::new();
    let mut part = vec![0; 64 * 1024];
    loop {
        let read = stream.read(&mut part).ok()?;
        bytes.extend_from_slice(part.get(..read)?);
        if let Some(head) = read_head(&bytes) {
            let whole = match head.body {
                Length::Bytes(length) => bytes.len() >= head.length + length,
                Length::Chunked => bytes.ends_with(LAST_CHUNK),
            };
            if whole {
                let body = bytes.split_off(head.length);
                match head.body {
                    Length::Bytes(_) => bytes.extend(body),
                    Length::Chunked => bytes.extend(joined(&body)?),
                }
                return Some(Whole { head, text: String::from_utf8(bytes).ok()? });
            }
        }
        if read == 0 {
            return None;
        }
    }
}

/// The chunks of a body (RFC 9112, 7.1), together.
fn joined(mut chunks: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = chunks.windows(2).position(|pair| pair == b"\r\n")?;
        let size = std::str::from_utf8(&chunks[..line]).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(chunks.get(line + 2..line + 2 + size)?);
        chunks = chunks.get(line + 2 + size + 2..)?;
    }
}
