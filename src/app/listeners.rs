//! The sockets a gate listens on, and why it may not start.

use std::{
    io,
    net::{SocketAddr, TcpListener as StdListener},
};

use tokio::net::TcpListener;

use crate::{
    config::Config,
    store::{StoreError, directory::DirectoryError, keys::KeyError},
};

/// Sockets that already listen.
#[derive(Debug)]
pub struct Listeners {
    /// For links, pages and sites.
    pub public: StdListener,
    /// For callers.
    pub api: StdListener,
    /// For health and metrics.
    pub admin: StdListener,
}

/// Why a gate does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error(
        "cannot listen on {address} ({listener}): {why}\n  do: free that address, or set listen.{listener} to another"
    )]
    Listen {
        /// `public`, `api` or `admin`.
        listener: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        why: io::Error,
    },
    /// The keys cannot be read.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The state cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A part of the start broke.
    #[error("cannot start: {0}")]
    Broken(#[from] tokio::task::JoinError),
}

impl Listeners {
    /// Listens where the configuration says.
    ///
    /// # Errors
    /// [`StartError::Listen`].
    pub fn bind(config: &Config) -> Result<Self, StartError> {
        let bind = |listener, address: SocketAddr| {
            StdListener::bind(address)
                .and_then(|socket| socket.set_nonblocking(true).map(|()| socket))
                .map_err(|why| StartError::Listen { listener, address, why })
        };
        Ok(Self {
            public: bind("public", config.listen.public)?,
            api: bind("api", config.listen.api)?,
            admin: bind("admin", config.listen.admin)?,
        })
    }

    /// Where `public`, `api` and `admin` listen: known before the gate has started.
    ///
    /// # Errors
    /// What the system says.
    pub fn addresses(&self) -> io::Result<[SocketAddr; 3]> {
        Ok([self.public.local_addr()?, self.api.local_addr()?, self.admin.local_addr()?])
    }
}

/// A socket as the runtime takes it, and its address.
pub(super) fn socket(
    listener: StdListener,
    name: &'static str,
) -> Result<(TcpListener, SocketAddr), StartError> {
    let unspecified = SocketAddr::from(([0, 0, 0, 0], 0));
    let address = listener.local_addr().unwrap_or(unspecified);
    TcpListener::from_std(listener)
        .map(|listener| (listener, address))
        .map_err(|why| StartError::Listen { listener: name, address, why })
}
