//! The first bytes of a connection: a PROXY header, TLS, and which HTTP it is.
//!
//! ```text
//! [PROXY header]  from a trusted proxy, where one is configured: there it must be
//! [TLS]           where the listener has it; ALPN says which HTTP
//! HTTP/2          without TLS: who knows beforehand begins with its preface (RFC 9113, 3.3)
//! HTTP/1.1        everything else
//! ```
//! All of it is read within one time limit, which is the caller's.

use std::{io, net::SocketAddr, sync::Arc};

use arc_swap::ArcSwap;
use proxy_protocol_rs::{Command, ParseError, ProxyInfo, V2_SIGNATURE};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::{
    edge::{
        connection::{Connection, Told},
        shown::Shown,
        stream::{FirstBytes, Stream},
    },
    gate::{
        certificate::CertificateName,
        client_ip::{ClientIp, Networks},
    },
    store::certificates::{self, Server},
};

/// What a client of HTTP/2 sends first (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What a PROXY header of version 1 begins with.
const PROXY_V1: &[u8] = b"PROXY ";
/// The most bytes of a PROXY header: proxies that tell all they know of a client's certificate
/// stay below it.
const LONGEST_PROXY_HEADER: usize = 8 * 1024;

/// A connection whose first request can be read.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) stream: Stream,
    pub(super) version: HttpVersion,
    pub(super) connection: Connection,
    /// The certificate that gave it its names.
    pub(super) shown: Option<Shown>,
}

/// Which HTTP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HttpVersion {
    One,
    Two,
}

/// Why a connection came to nothing before its first request.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotArrived {
    /// It was closed.
    #[error("closed before anything was asked: {0}")]
    Closed(io::Error),
    /// A PROXY header is missing, unreadable, or from somebody who may not send one.
    #[error("PROXY header: {0}")]
    ProxyHeader(String),
    /// There is no TLS with this client.
    #[error("TLS: {0}")]
    Tls(io::Error),
}

/// Reads what comes before the first request.
///
/// A PROXY header is expected from those in `proxies`, and taken from nobody else.
///
/// # Errors
/// [`NotArrived`].
pub(super) async fn arrive(
    stream: TcpStream,
    peer: SocketAddr,
    proxies: Option<&Networks>,
    tls: Option<&Arc<ArcSwap<Server>>>,
) -> Result<Arrived, NotArrived> {
    let mut first = FirstBytes::new(stream);
    let mut connection = Connection::plain(peer);
    if proxies.is_some_and(|proxies| proxies.contains(ClientIp::new(peer.ip()))) {
        connection.told = proxy_header(&mut first).await?;
    }
    let Some(tls) = tls else {
        let version = version(&mut first).await?;
        return Ok(Arrived { stream: Stream::Plain(first), version, connection, shown: None });
    };
    let config = tls.load().config.clone();
    let stream = TlsAcceptor::from(config).accept(first).await.map_err(NotArrived::Tls)?;
    let (_, session) = stream.get_ref();
    let version = match session.alpn_protocol() {
        Some(b"h2") => HttpVersion::Two,
        _ => HttpVersion::One,
    };
    connection.secure = true;
    // Who sent one was verified.
    let shown = session.peer_certificates().map(|chain| {
        if let Some(certificate) = chain.first() {
            let names: Vec<CertificateName> = certificates::names(certificate);
            connection.names = names.into();
        }
        let chain = chain.iter().map(|certificate| certificate.clone().into_owned());
        Shown::new(chain.collect(), tls.clone())
    });
    Ok(Arrived { stream: Stream::Tls(Box::new(stream)), version, connection, shown })
}

/// Reads a PROXY header, and not a byte beyond it.
async fn proxy_header(first: &mut FirstBytes) -> Result<Told, NotArrived> {
    loop {
        let wrong = match proxy_protocol_rs::parse(first.bytes()) {
            Ok((header, length)) => {
                first.consume(length);
                return Ok(told(&header));
            }
            Err(ParseError::Incomplete) if first.bytes().len() < LONGEST_PROXY_HEADER => {
                first.more().await.map_err(NotArrived::Closed)?;
                continue;
            }
            Err(ParseError::Incomplete) => "is too long".to_owned(),
            Err(ParseError::NotProxyProtocol) => "is missing".to_owned(),
            Err(why) => why.to_string(),
        };
        return Err(NotArrived::ProxyHeader(wrong));
    }
}

/// `LOCAL` is the proxy itself; `UNKNOWN` and sockets of Unix are somebody without an address that a
/// visitor could have.
fn told(header: &ProxyInfo) -> Told {
    match header.command {
        Command::Local => Told::Own,
        _ => header.source_ip().map_or(Told::Somebody, Told::Client),
    }
}

/// Which HTTP a connection in the clear begins with.
async fn version(first: &mut FirstBytes) -> Result<HttpVersion, NotArrived> {
    loop {
        match judge(first.bytes()) {
            First::Http(version) => return Ok(version),
            First::More => first.more().await.map_err(NotArrived::Closed)?,
            First::ProxyHeader => {
                return Err(NotArrived::ProxyHeader("is from no trusted proxy".to_owned()));
            }
        }
    }
}

/// What the first bytes are the beginning of.
#[derive(Debug, PartialEq, Eq)]
enum First {
    Http(HttpVersion),
    More,
    ProxyHeader,
}

fn judge(bytes: &[u8]) -> First {
    // Whether the bytes that are there are those of `whole`; none of them says nothing.
    let begins = |whole: &[u8]| whole.starts_with(bytes) || bytes.starts_with(whole);
    let all = |whole: &[u8]| bytes.len() >= whole.len();
    if begins(PREFACE) {
        return if all(PREFACE) { First::Http(HttpVersion::Two) } else { First::More };
    }
    for signature in [PROXY_V1, V2_SIGNATURE] {
        if begins(signature) {
            return if all(signature) { First::ProxyHeader } else { First::More };
        }
    }
    First::Http(HttpVersion::One)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_http_it_is_is_told_by_the_first_byte_that_tells() {
        assert_eq!(judge(b""), First::More);
        assert_eq!(judge(b"G"), First::Http(HttpVersion::One));
        assert_eq!(judge(b"\r\nGET"), First::Http(HttpVersion::One));
        for length in 1..PREFACE.len() {
            assert_eq!(judge(&PREFACE[..length]), First::More, "{length}");
        }
        assert_eq!(judge(PREFACE), First::Http(HttpVersion::Two));
        assert_eq!(judge(&[PREFACE, b"more"].concat()), First::Http(HttpVersion::Two));
        assert_eq!(judge(b"PRI * HTTP/2.0\r\n\r\nXX"), First::Http(HttpVersion::One));
        assert_eq!(judge(b"PROPFIND / HTTP/1.1"), First::Http(HttpVersion::One));
        assert_eq!(judge(b"PROXY TCP4"), First::ProxyHeader);
        assert_eq!(judge(V2_SIGNATURE), First::ProxyHeader);
        assert_eq!(judge(&V2_SIGNATURE[..11]), First::More);
    }
}
