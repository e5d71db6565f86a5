//! Where the shared memory is, and how it is asked.

use std::{io, sync::Arc, time::Duration};

use rustls::ClientConfig;

use super::{line::Address, wire::Prefix};
use crate::{
    gate::secret::Secret,
    store::outgoing::{Roots, tls},
};

/// Where the shared memory is, and how it is asked.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// The server, or those who know which one is in charge.
    pub at: Whereabouts,
    /// How to sign in at the server.
    pub login: Login,
    /// TLS to servers and Sentinels.
    pub tls: Option<Tls>,
    /// How long a connection, and each answer, may take.
    pub timeout: Duration,
    /// What stands before all keys.
    pub prefix: Prefix,
}

/// The server, or those who know which one is in charge.
#[derive(Debug, Clone)]
pub enum Whereabouts {
    /// One server.
    Single {
        /// Where it listens.
        address: Address,
        /// The number of its database.
        db: u32,
    },
    /// A primary and its replicas, watched by Sentinels.
    Sentinel {
        /// What the Sentinels call the primary.
        master: String,
        /// The Sentinels, asked in this order.
        nodes: Vec<Address>,
        /// How to sign in at the Sentinels.
        login: Login,
    },
}

impl Whereabouts {
    /// How many Sentinels may have to be asked.
    pub(super) fn sentinels(&self) -> u32 {
        match self {
            Self::Single { .. } => 0,
            Self::Sentinel { nodes, .. } => u32::try_from(nodes.len()).unwrap_or(u32::MAX / 8),
        }
    }
}

/// How to sign in.
#[derive(Debug, Clone, Default)]
pub struct Login {
    /// The user; without one the server's `default`.
    pub username: Option<String>,
    /// Its password; without one nobody signs in.
    pub password: Option<Secret<String>>,
}

/// TLS 1.2 or later.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// The certificates that are trusted, as PEM; without them the system's.
    pub ca: Option<Vec<u8>>,
}

impl Tls {
    /// What a line needs of it.
    ///
    /// # Errors
    /// There is no certificate to trust.
    pub(super) fn config(&self) -> io::Result<Arc<ClientConfig>> {
        tls(self.ca.as_deref().map_or(Roots::System, Roots::Pem)).map(Arc::new)
    }
}
