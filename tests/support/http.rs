//! HTTP/1.1 clients for tests, on a bare socket: what is sent is exactly what the test wrote, and
//! what came back is shown as it came. No redirects are followed, no cookies kept.
//!
//! - [`raw`]: these bytes, one answer.
//! - [`Client`]: the usual requests, one connection each.
//! - [`Connection`]: several requests on one connection, or bytes a piece at a time.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// One response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Every header line, in order, names as they were sent.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The header's value; a panic if there are several lines of it.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.header_lines(name);
        assert!(lines.len() < 2, "{name} was sent {} times: {lines:?}", lines.len());
        lines.first().copied()
    }

    pub fn header_lines(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The value of the cookie that this answer sets, without its attributes.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.header_lines("set-cookie").into_iter().find_map(|line| {
            line.split(';').next()?.split_once('=').filter(|(n, _)| *n == name).map(|(_, v)| v)
        })
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is not UTF-8")
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|why| panic!("{} is not JSON: {why}", self.text()))
    }

    /// The `code` of a problem, or "" where there is none.
    pub fn code(&self) -> String {
        let problem: Option<serde_json::Value> = serde_json::from_slice(&self.body).ok();
        problem.and_then(|p| Some(p.get("code")?.as_str()?.to_owned())).unwrap_or_default()
    }
}

/// Sends exactly `bytes` and reads one response.
pub async fn raw(addr: SocketAddr, bytes: impl AsRef<[u8]>) -> Answer {
    try_raw(addr, bytes).await.unwrap_or_else(|why| panic!("no answer from {addr}: {why}"))
}

/// As [`raw`], for a peer that may be gone.
pub async fn try_raw(addr: SocketAddr, bytes: impl AsRef<[u8]>) -> io::Result<Answer> {
    let mut connection = Connection::open(addr).await?;
    connection.send(bytes).await?;
    connection.answer().await
}

/// A connection that stays open between requests.
pub struct Connection<S = TcpStream> {
    stream: BufReader<S>,
    head: bool,
}

impl Connection {
    pub async fn open(addr: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(Self::over(stream))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// On a stream that stands already.
    pub fn over(stream: S) -> Self {
        Self { stream: BufReader::new(stream), head: false }
    }

    /// Sends these bytes, which may be a part of a request.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        // The answer to HEAD has a body's headers and no body.
        self.head = bytes.as_ref().starts_with(b"HEAD ");
        self.stream.write_all(bytes.as_ref()).await
    }

    /// Reads one response, past interim ones (1xx) other than 101.
    pub async fn answer(&mut self) -> io::Result<Answer> {
        loop {
            let mut answer = self.answer_head().await?;
            if (100..200).contains(&answer.status) && answer.status != 101 {
                continue;
            }
            answer.body = self.body(&answer).await?;
            return Ok(answer);
        }
    }

    /// Reads one interim response (1xx).
    pub async fn interim(&mut self) -> io::Result<Answer> {
        let answer = self.answer_head().await?;
        assert!((100..200).contains(&answer.status), "{}", answer.status);
        Ok(answer)
    }

    /// Whether the peer has closed; waits for it or for a byte.
    pub async fn closed(&mut self) -> bool {
        self.stream.fill_buf().await.map_or(true, <[u8]>::is_empty)
    }

    /// Whether the peer has closed by now.
    pub async fn closed_by_now(&mut self) -> bool {
        tokio::time::timeout(std::time::Duration::ZERO, self.closed()).await.unwrap_or(false)
    }

    async fn answer_head(&mut self) -> io::Result<Answer> {
        let first = self.line().await?;
        let status = first.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
        let status = status.ok_or_else(|| bad(format!("not a status line: {first:?}")))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return Ok(Answer { status, headers, body: Vec::new() });
            }
            let Some((name, value)) = line.split_once(':') else {
                return Err(bad(format!("not a header: {line:?}")));
            };
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    /// Reads one response and keeps nothing of its body; gives how long that was.
    pub async fn measure(&mut self) -> io::Result<(Answer, u64)> {
        let answer = self.answer_head().await?;
        let Some(length) = answer.header("content-length") else {
            let mut length = 0;
            loop {
                let size = self.chunk_size().await?;
                // With the line's end after it: RFC 9112, 7.1; no trailers are expected.
                tokio::io::copy(&mut (&mut self.stream).take(size + 2), &mut tokio::io::sink())
                    .await?;
                length += size;
                if size == 0 {
                    return Ok((answer, length));
                }
            }
        };
        let length = length.parse().map_err(|_| bad(format!("content-length {length:?}")))?;
        let body = &mut (&mut self.stream).take(length);
        let read = tokio::io::copy(body, &mut tokio::io::sink()).await?;
        Ok((answer, read))
    }

    async fn body(&mut self, answer: &Answer) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        if self.head || matches!(answer.status, 101 | 204 | 304) {
            return Ok(body);
        }
        if let Some(coding) = answer.header("transfer-encoding") {
            if !coding.eq_ignore_ascii_case("chunked") {
                return Err(bad(format!("transfer-encoding {coding:?}")));
            }
            self.chunks(&mut body).await?;
        } else if let Some(length) = answer.header("content-length") {
            let length = length.parse().map_err(|_| bad(format!("content-length {length:?}")))?;
            body.resize(length, 0);
            self.stream.read_exact(&mut body).await?;
        } else {
            self.stream.read_to_end(&mut body).await?;
        }
        Ok(body)
    }

    async fn chunks(&mut self, body: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let size = usize::try_from(self.chunk_size().await?).map_err(io::Error::other)?;
            if size == 0 {
                while !self.line().await?.is_empty() {} // trailers
                return Ok(());
            }
            let start = body.len();
            body.resize(start + size, 0);
            self.stream.read_exact(&mut body[start..]).await?;
            if !self.line().await?.is_empty() {
                return Err(bad("a chunk is longer than its size".to_owned()));
            }
        }
    }

    async fn chunk_size(&mut self) -> io::Result<u64> {
        let line = self.line().await?;
        let size = line.split(';').next().unwrap_or_default().trim();
        u64::from_str_radix(size, 16).map_err(|_| bad(format!("not a chunk size: {line:?}")))
    }

    /// One line without its CRLF.
    async fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).await?;
        let Some(line) = line.strip_suffix(b"\r\n") else {
            let kind = io::ErrorKind::UnexpectedEof;
            return Err(io::Error::new(kind, "closed in the middle of an answer"));
        };
        Ok(String::from_utf8_lossy(line).into_owned())
    }
}

/// The usual requests to one address, a connection each.
#[derive(Debug, Clone)]
pub struct Client {
    addr: SocketAddr,
    host: String,
    headers: Vec<(String, String)>,
}

impl Client {
    /// Sends the address as `Host`.
    pub fn new(addr: SocketAddr) -> Self {
        Self { addr, host: addr.to_string(), headers: Vec::new() }
    }

    /// The same peer under another `Host`.
    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// A header that every request carries.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    #[must_use]
    pub fn bearer(self, key: &str) -> Self {
        self.header("Authorization", &format!("Bearer {key}"))
    }

    pub async fn get(&self, target: &str) -> Answer {
        self.request("GET", target, &[], b"").await
    }

    pub async fn get_with(&self, target: &str, headers: &[(&str, &str)]) -> Answer {
        self.request("GET", target, headers, b"").await
    }

    pub async fn delete(&self, target: &str) -> Answer {
        self.request("DELETE", target, &[], b"").await
    }

    /// A form as a browser sends one; the fields are percent-encoded here.
    pub async fn post_form(
        &self,
        target: &str,
        fields: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Answer {
        let form =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let mut all = vec![("Content-Type", "application/x-www-form-urlencoded")];
        all.extend_from_slice(headers);
        self.request("POST", target, &all, form.as_bytes()).await
    }

    pub async fn post_json(&self, target: &str, json: &serde_json::Value) -> Answer {
        let headers = [("Content-Type", "application/json")];
        self.request("POST", target, &headers, json.to_string().as_bytes()).await
    }

    pub async fn request(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        self.try_request(method, target, headers, body)
            .await
            .unwrap_or_else(|why| panic!("{method} {target} at {}: {why}", self.addr))
    }

    /// As [`Client::request`], for a peer that may be gone.
    pub async fn try_request(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        let mut bytes = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.host);
        let own = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in own.chain(headers.iter().copied()) {
            bytes.extend([name, ": ", value, "\r\n"]);
        }
        if !body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH") {
            bytes.extend(["Content-Length: ", &body.len().to_string(), "\r\n"]);
        }
        bytes.push_str("Connection: close\r\n\r\n");
        try_raw(self.addr, [bytes.as_bytes(), body].concat()).await
    }
}

fn bad(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// A request for a connection that stays open, as bytes for [`Connection::send`].
pub fn kept(target: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut bytes = format!("POST {target} HTTP/1.1\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        bytes.extend([*name, ": ", *value, "\r\n"]);
    }
    [bytes.as_bytes(), b"\r\n", body.as_bytes()].concat()
}

/// A redemption over the API, with this key, for a connection that stays open.
pub fn redeem_kept(key: &str, token: &str) -> Vec<u8> {
    let authorization = format!("Bearer {key}");
    let headers =
        [("Host", "api"), ("Authorization", &authorization), ("Content-Type", "application/json")];
    kept("/v1/redeem", &headers, &serde_json::json!({ "token": token }).to_string())
}

/// The link page's form at this host, for a connection that stays open; refusals come as problems.
pub fn open_kept(host: &str, token: &str) -> Vec<u8> {
    let headers = [
        ("Host", host),
        ("Sec-Fetch-Site", "same-origin"),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ];
    kept(&format!("/_once/l/{token}"), &headers, "")
}
