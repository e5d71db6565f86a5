//! The visitor's address: the peer's, or what trusted proxies say of it.
//!
//! A header counts only as far as trusted proxies wrote it: it is read from the right, and the
//! first address that is not a trusted proxy's is the client. What cannot be read is never
//! stepped over, for whoever could make an entry unreadable would choose the one behind it.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

pub use crate::gate::networks::{Networks, NotANetwork};

/// How many entries of a header are read, from the right.
const MAX_ENTRIES: usize = 64;
/// How many bytes all lines of the header may have together.
const MAX_HEADER: usize = 8 * 1024;

/// A visitor's address; IPv4-mapped IPv6 is IPv4.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientIp(IpAddr);

/// Where the client's address is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ClientIpSource {
    /// The connection's peer.
    #[default]
    Peer,
    /// `X-Forwarded-For`, as far as trusted proxies wrote it.
    XForwardedFor,
    /// `Forwarded` (RFC 7239), as far as trusted proxies wrote it.
    Forwarded,
    /// The PROXY header that a trusted proxy begins a connection with.
    ProxyProtocol,
}

/// A trusted proxy's header does not tell the client's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client's address cannot be told: {0}")]
pub struct Unreadable(&'static str);

/// A text that is not an address alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an address: write 192.0.2.7 or 2001:db8::7, without port, brackets or zone")]
pub struct NotAnAddress;

impl Unreadable {
    /// A trusted proxy connected and told no address: it asks on its own behalf, or for a client
    /// that has none.
    pub const NOT_TOLD: Self = Self("the proxy tells none");
}

impl ClientIp {
    /// Brings an address to its one form.
    pub fn new(address: IpAddr) -> Self {
        Self(address.to_canonical())
    }

    /// The address, never IPv4-mapped.
    pub fn addr(self) -> IpAddr {
        self.0
    }
}

impl FromStr for ClientIp {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        text.parse().map(Self::new).map_err(|_| NotAnAddress)
    }
}

impl fmt::Display for ClientIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for ClientIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl ClientIpSource {
    /// The name of the HTTP header that is read, in lower case; none for the peer and for what is
    /// known of the connection.
    pub fn header(self) -> Option<&'static str> {
        match self {
            Self::Peer | Self::ProxyProtocol => None,
            Self::XForwardedFor => Some("x-forwarded-for"),
            Self::Forwarded => Some("forwarded"),
        }
    }
}

/// The client's address.
///
/// `header_lines` are the values of every line of the source's header, in order; they make one
/// list. From a peer that is not in `trusted` they are ignored. Otherwise the entries are
/// walked from the right, past those in `trusted`; where all are trusted, the leftmost is the
/// client; without the header, the peer is.
///
/// # Errors
/// [`Unreadable`] where an entry that the walk reaches does not tell an address (RFC 7239
/// `unknown` and obfuscated nodes among them), after 64 entries, or past 8 KiB: a refusal where
/// an address is needed, never a guess.
pub fn resolve(
    source: ClientIpSource,
    peer: IpAddr,
    header_lines: &[&[u8]],
    trusted: &Networks,
) -> Result<ClientIp, Unreadable> {
    let peer = ClientIp::new(peer);
    if source == ClientIpSource::Peer || !trusted.contains(peer) {
        return Ok(peer);
    }
    if source.header().is_none() {
        // What it told came before the first header.
        return Err(Unreadable::NOT_TOLD);
    }
    if header_lines.iter().map(|line| line.len()).sum::<usize>() > MAX_HEADER {
        return Err(Unreadable("the header is longer than 8 KiB"));
    }
    let mut client = peer;
    let mut left = MAX_ENTRIES;
    for line in header_lines.iter().rev() {
        for entry in entries(source, line)?.into_iter().rev() {
            left = left.checked_sub(1).ok_or(Unreadable("it has more than 64 entries"))?;
            client = match source {
                ClientIpSource::Forwarded => forwarded_for(entry)?,
                _ => address(entry)?,
            };
            if !trusted.contains(client) {
                return Ok(client);
            }
        }
    }
    Ok(client)
}

/// The entries of one line, in order, each without the white space around it.
///
/// In `Forwarded` a comma within quotes separates nothing. A quote that a client opened in its
/// part of the line and a proxy's entry closed leaves another one open at the end, so that the
/// whole line is unreadable and nothing the client wrote can pass for the proxy's word.
fn entries(source: ClientIpSource, line: &[u8]) -> Result<Vec<&[u8]>, Unreadable> {
    if source == ClientIpSource::Forwarded {
        return split(line, b',').ok_or(Unreadable("a quote is not closed"));
    }
    Ok(line.split(|&byte| byte == b',').map(trim).collect())
}

/// Splits at `separator` outside quoted strings (RFC 9110, 5.6.4); none where a quote stays open.
fn split(text: &[u8], separator: u8) -> Option<Vec<&[u8]>> {
    let (mut quoted, mut escaped) = (false, false);
    let parts: Vec<_> = text
        .split(|&byte| {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                _ => {}
            }
            byte == separator && !quoted
        })
        .map(trim)
        .collect();
    (!quoted).then_some(parts)
}

/// Without optional white space (RFC 9110, 5.6.3) at either end.
fn trim(text: &[u8]) -> &[u8] {
    let mut text = text;
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// An entry of `X-Forwarded-For`: an address, bare or in brackets, with or without a port.
fn address(entry: &[u8]) -> Result<ClientIp, Unreadable> {
    let text = std::str::from_utf8(entry).map_err(|_| Unreadable("an entry is not text"))?;
    // First as it stands: without brackets an IPv6 address has no port, whatever it ends in.
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    with_port(text, false).ok_or(Unreadable("an entry is not an address"))
}

/// `192.0.2.7`, `192.0.2.7:80`, `[2001:db8::7]`, `[2001:db8::7]:80`; with `obfuscated` ports
/// such as `:_web` too (RFC 7239, 6).
fn with_port(text: &str, obfuscated: bool) -> Option<ClientIp> {
    let (address, port): (IpAddr, &str) = if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        (IpAddr::V6(address.parse::<Ipv6Addr>().ok()?), port)
    } else {
        let end = text.find(':').unwrap_or(text.len());
        let (address, port) = text.split_at_checked(end)?;
        (IpAddr::V4(address.parse().ok()?), port)
    };
    let good = match port.strip_prefix(':') {
        None => port.is_empty(),
        Some(port) => is_port(port) || obfuscated && is_obfuscated(port),
    };
    good.then(|| ClientIp::new(address))
}

/// One to five digits that make a port.
fn is_port(text: &str) -> bool {
    (1..=5).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && text.parse::<u16>().is_ok()
}

/// An obfuscated identifier (RFC 7239, 6.3).
fn is_obfuscated(text: &str) -> bool {
    text.strip_prefix('_').is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    })
}

/// The `for` of one element of `Forwarded` (RFC 7239, 4).
///
/// Every pair must be well formed and `for` must be there once: an element that two readers
/// could read differently is read by none.
fn forwarded_for(element: &[u8]) -> Result<ClientIp, Unreadable> {
    let broken = Unreadable("an element is not well formed");
    let mut client = None;
    for pair in split(element, b';').ok_or(broken)? {
        let at = pair.iter().position(|&byte| byte == b'=').ok_or(broken)?;
        let (name, value) = pair.split_at_checked(at).ok_or(broken)?;
        let value = unquoted(value.get(1..).unwrap_or_default()).ok_or(broken)?;
        if name.is_empty() || !name.iter().copied().all(is_token) {
            return Err(broken);
        }
        if name.eq_ignore_ascii_case(b"for") && client.replace(value).is_some() {
            return Err(Unreadable("an element has `for` twice"));
        }
    }
    let node = client.ok_or(Unreadable("an element has no `for`"))?;
    with_port(&node, true).ok_or(Unreadable("`for` is not an address"))
}

/// A token, or what a quoted string says. The brackets and colons of an address are taken
/// without quotes too, as several proxies write them: they have no second reading.
fn unquoted(value: &[u8]) -> Option<String> {
    let [b'"', quoted @ .., b'"'] = value else {
        let plain = !value.is_empty() && value.iter().all(|&b| is_token(b) || b"[]:".contains(&b));
        return plain.then(|| String::from_utf8_lossy(value).into_owned());
    };
    let mut text = Vec::with_capacity(quoted.len());
    let mut bytes = quoted.iter();
    while let Some(&byte) = bytes.next() {
        text.push(match byte {
            b'\\' => *bytes.next()?,
            b'"' => return None,
            _ => byte,
        });
    }
    String::from_utf8(text).ok()
}

/// A `tchar` (RFC 9110, 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
