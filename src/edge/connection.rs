//! What is known of a connection before its first request.

use std::net::{IpAddr, SocketAddr};

/// A connection, as every request on it finds it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The other end.
    pub peer: SocketAddr,
    /// Whether it is TLS that ends here.
    pub secure: bool,
}

impl Connection {
    /// A connection in the clear.
    pub fn plain(peer: SocketAddr) -> Self {
        Self { peer, secure: false }
    }

    /// The address of the other end.
    pub fn peer_ip(&self) -> IpAddr {
        self.peer.ip()
    }
}
