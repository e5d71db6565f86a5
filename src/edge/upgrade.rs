//! Upgrades: a connection becomes another protocol's, most often a WebSocket's.
//!
//! RFC 9110, 7.8. The session is judged at the handshake, and so is where it comes from: a browser
//! opens a WebSocket from any page, with the cookies of the site it leads to. The connection is
//! HTTP's until the upstream has said 101 to the same protocol. From there on bytes pass both
//! ways, unread, until both ends are done; an end that is done writing may still read.

use futures_util::future::try_join;
use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_KEY, UPGRADE},
};
use http_body::Body as HttpBody;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tracing::debug;

use crate::{
    edge::{
        headers::listed,
        source::{self, FETCH_MODE},
    },
    gate::{denial::Denial, origin::Origin},
};

/// Protocols to which no connection is upgraded. Behind them would be HTTP again, whose requests
/// nobody judges.
const NEVER: [&[u8]; 5] = [b"h2c", b"h2", b"h3", b"http", b"tls"];

/// A client's wish for another protocol, from a page that may have it.
#[derive(Debug)]
pub struct Upgrade {
    protocol: HeaderValue,
    client: OnUpgrade,
}

impl Upgrade {
    /// What a request asks for; nothing where the wish may be passed over, as any wish may.
    ///
    /// # Errors
    /// [`Denial::CrossSite`] for the wish of another site's page; [`Denial::Unreadable`] for one
    /// with a body, whose end the two sides might see in different places.
    pub fn asked<B: HttpBody>(
        request: &mut Request<B>,
        origin: &Origin,
    ) -> Result<Option<Self>, Denial> {
        let Some(protocol) = protocol(request.version(), request.headers()) else {
            return Ok(None);
        };
        let protocol = protocol.clone();
        source::same_origin(request.headers(), origin)?;
        if !request.body().is_end_stream() {
            return Err(Denial::Unreadable("an upgrade has no body".to_owned()));
        }
        Ok(Some(Self { protocol, client: hyper::upgrade::on(request) }))
    }

    /// Asks the upstream for the same.
    pub(super) fn ask(&self, headers: &mut HeaderMap) {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, self.protocol.clone());
    }

    /// Whether an upstream's 101 is to this.
    pub(super) fn is_agreed(&self, headers: &HeaderMap) -> bool {
        let mut agreed = listed(headers, &UPGRADE);
        agreed.next().is_some_and(|agreed| agreed.eq_ignore_ascii_case(self.protocol.as_bytes()))
            && agreed.next().is_none()
    }

    /// Makes `response` the 101 that the client gets, and passes bytes on from when it has it.
    pub(super) fn agree<B>(self, upstream: OnUpgrade, response: &mut Response<B>) {
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        self.ask(response.headers_mut());
        response.headers_mut().remove(CONTENT_LENGTH);
        tokio::spawn(async move {
            match try_join(self.client, upstream).await {
                Ok((client, upstream)) => {
                    let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
                    let passed = copy_bidirectional(&mut client, &mut upstream).await;
                    debug!(?passed, "an upgraded connection ended");
                }
                Err(error) => debug!(%error, "a connection was not upgraded"),
            }
        });
    }
}

/// Whether a head asks for an upgrade that the gate would make.
pub(super) fn is_asked(version: Version, headers: &HeaderMap) -> bool {
    protocol(version, headers).is_some()
}

/// What speaks against an upgrade, if these headers ask for one, that a load balancer would make
/// without the gate, once it has asked.
///
/// It may leave `Upgrade` out of its question: what else a WebSocket's handshake has (RFC 6455,
/// 4.1), and what browsers say of one, tells it as well.
///
/// # Errors
/// [`Denial::CrossSite`] for the wish of another site's page; [`Denial::Unreadable`] for a protocol
/// behind which nobody would judge what passes.
pub(super) fn may_be_made(headers: &HeaderMap, origin: &Origin) -> Result<(), Denial> {
    let mut modes = headers.get_all(FETCH_MODE).iter();
    let is_one = headers.contains_key(UPGRADE)
        || headers.contains_key(SEC_WEBSOCKET_KEY)
        || modes.any(|mode| mode == "websocket");
    if !is_one {
        return Ok(());
    }
    source::same_origin(headers, origin)?;
    let mut names = listed(headers, &UPGRADE)
        .filter_map(|protocol| protocol.split(|byte| *byte == b'/').next());
    if names.any(is_never) {
        return Err(Denial::Unreadable("an upgrade to HTTP itself is not let through".to_owned()));
    }
    Ok(())
}

/// The one protocol that is asked for, in a request whose `Connection` says so too.
fn protocol(version: Version, headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut lines = headers.get_all(UPGRADE).iter();
    let protocol =
        lines.next().filter(|_| lines.next().is_none() && version == Version::HTTP_11)?;
    let mut parts = protocol.as_bytes().split(|byte| *byte == b'/');
    let name = parts.next().filter(|name| is_token(name))?;
    let plain = parts.next().is_none_or(is_token) && parts.next().is_none();
    let said = listed(headers, &CONNECTION).any(|option| option.eq_ignore_ascii_case(b"upgrade"));
    Some(protocol).filter(|_| plain && !is_never(name) && said)
}

fn is_never(name: &[u8]) -> bool {
    NEVER.iter().any(|never| name.trim_ascii().eq_ignore_ascii_case(never))
}

/// RFC 9110, 5.6.2.
fn is_token(bytes: &[u8]) -> bool {
    let sign = |byte: &u8| b"!#$%&'*+-.^_`|~".contains(byte);
    !bytes.is_empty() && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || sign(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(version: Version, lines: &[(&'static str, &'static str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        is_asked(version, &headers)
    }

    #[test]
    fn one_protocol_that_connection_names_is_asked_for() {
        for protocol in ["websocket", "WebSocket", "SPDY/3.1", "tcp"] {
            let lines = [("upgrade", protocol), ("connection", "keep-alive, Upgrade")];
            assert!(asked(Version::HTTP_11, &lines), "{protocol}");
            assert!(!asked(Version::HTTP_10, &lines), "{protocol}");
            assert!(!asked(Version::HTTP_11, &lines[..1]), "{protocol}");
        }
    }

    #[test]
    fn http_itself_is_never_upgraded_to_nor_is_what_reads_two_ways() {
        for protocol in [
            "h2c",
            "H2C",
            "h2",
            "h2c/1",
            "HTTP/2.0",
            "http",
            "TLS/1.2",
            "",
            " ",
            "websocket, h2c",
            "h2c,websocket",
            "websocket/13/x",
            "web socket",
            "websocket/",
            "/13",
        ] {
            let lines = [("upgrade", protocol), ("connection", "upgrade")];
            assert!(!asked(Version::HTTP_11, &lines), "{protocol:?}");
        }
        let twice = [("upgrade", "websocket"), ("upgrade", "websocket"), ("connection", "upgrade")];
        assert!(!asked(Version::HTTP_11, &twice));
    }
}
