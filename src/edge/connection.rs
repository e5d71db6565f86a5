//! What is known of a connection before its first request.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use crate::gate::{
    certificate::CertificateName,
    client_ip::{ClientIp, Networks, Unreadable},
};

/// A connection, as every request on it finds it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The other end.
    pub peer: SocketAddr,
    /// What a trusted proxy told before the first byte of the connection it passes on.
    pub told: Told,
    /// Whether it is TLS that ends here.
    pub secure: bool,
    /// The names in the client's certificate, which has been verified; none without one.
    pub names: Arc<[CertificateName]>,
}

/// What a PROXY header told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// There was none: the other end is the client.
    Nothing,
    /// Whom the connection is from.
    Client(IpAddr),
    /// That it is from somebody whose address it does not tell.
    Somebody,
    /// That it is the proxy's own: it looks whether the gate is there.
    Own,
}

impl Connection {
    /// A connection in the clear.
    pub fn plain(peer: SocketAddr) -> Self {
        Self { peer, told: Told::Nothing, secure: false, names: Arc::from([]) }
    }

    /// The address of the other end.
    pub fn peer_ip(&self) -> IpAddr {
        self.peer.ip()
    }

    /// Whether who speaks HTTP on it is `trusted`: the other end, or, where that only passes on by
    /// a PROXY header what somebody sends, that somebody. What HTTP says, anybody can say.
    pub fn is_from(&self, trusted: &Networks) -> bool {
        let said_by = match self.told {
            Told::Nothing | Told::Own => true,
            Told::Client(address) => trusted.contains(ClientIp::new(address)),
            Told::Somebody => false,
        };
        said_by && trusted.contains(ClientIp::new(self.peer_ip()))
    }

    /// Whom the connection is from: the other end, or whom the other end told of.
    ///
    /// # Errors
    /// [`Unreadable::NOT_TOLD`].
    pub fn client(&self) -> Result<ClientIp, Unreadable> {
        match self.told {
            Told::Nothing => Ok(ClientIp::new(self.peer_ip())),
            Told::Client(address) => Ok(ClientIp::new(address)),
            Told::Somebody | Told::Own => Err(Unreadable::NOT_TOLD),
        }
    }
}
