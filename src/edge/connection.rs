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
    /// That it is the proxy's own, or from somebody who has no address.
    NoAddress,
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

    /// Who speaks HTTP on it without being `trusted`: the other end, or, where that only passes on
    /// by a PROXY header what somebody sends, whoever that is. What HTTP says, anybody can say.
    pub fn stranger(&self, trusted: &Networks) -> Option<ClientIp> {
        let passed_on = match self.told {
            Told::Client(address) => Some(ClientIp::new(address)),
            Told::Nothing | Told::NoAddress => None,
        };
        let all = [Some(ClientIp::new(self.peer_ip())), passed_on];
        all.into_iter().flatten().find(|address| !trusted.contains(*address))
    }

    /// Whom the connection is from: the other end, or whom the other end told of.
    ///
    /// # Errors
    /// [`Unreadable::NOT_TOLD`].
    pub fn client(&self) -> Result<ClientIp, Unreadable> {
        match self.told {
            Told::Nothing => Ok(ClientIp::new(self.peer_ip())),
            Told::Client(address) => Ok(ClientIp::new(address)),
            Told::NoAddress => Err(Unreadable::NOT_TOLD),
        }
    }
}
