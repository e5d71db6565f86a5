//! The sockets a gate listens on, and why it may not start.

use std::{
    io,
    net::{SocketAddr, TcpListener as StdListener},
};

use tokio::net::TcpListener;

use crate::{
    app::{HandedOver, HandedOverError},
    config::Config,
    store::{
        StoreError, certificates::CertificateError, directory::DirectoryError, keys::KeyError,
    },
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
    /// Whether another gate, before or after this one, answers on the `admin` socket too.
    pub admin_shared: bool,
}

/// Connections that may wait to be accepted: so many come while a gate reads its state, or one
/// follows another. The kernel has a limit of its own (`net.core.somaxconn`, 4096).
const BACKLOG: i32 = 4096;

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
    /// The certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The keys cannot be read.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The state cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was handed over cannot be used.
    #[error(transparent)]
    HandedOver(#[from] HandedOverError),
    /// There is no way to the other gates.
    #[error(
        "cannot reach other gates over https: {0}\n  do: install the system's certificates, or name them in SSL_CERT_FILE"
    )]
    Peers(io::Error),
    /// There is nothing to verify an upstream with.
    #[error(
        "cannot reach upstreams over https: {0}\n  do: install the system's certificates, name them in SSL_CERT_FILE, or set upstream_ca of the site"
    )]
    Upstreams(io::Error),
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
        Self::taking(HandedOver::default(), config)
    }

    /// Takes the sockets that were handed over, and listens for the others where the
    /// configuration says.
    ///
    /// # Errors
    /// [`StartError::Listen`]; [`StartError::HandedOver`] for an `api` socket off loopback whose
    /// callers' keys would cross a network in the clear.
    pub fn taking(handed_over: HandedOver, config: &Config) -> Result<Self, StartError> {
        handed_over.judge(config)?;
        let HandedOver { public, api, admin } = handed_over;
        let admin_shared = admin.is_some();
        Ok(Self {
            public: taken_or_bound(public, "public", config.listen.public)?,
            api: taken_or_bound(api, "api", config.listen.api)?,
            admin: taken_or_bound(admin, "admin", config.listen.admin)?,
            admin_shared,
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

fn taken_or_bound(
    taken: Option<StdListener>,
    listener: &'static str,
    address: SocketAddr,
) -> Result<StdListener, StartError> {
    let taken = match taken {
        Some(socket) => Ok(socket),
        None => StdListener::bind(address).and_then(|socket| {
            // The standard library's own backlog is 128.
            rustix::net::listen(&socket, BACKLOG)?;
            Ok(socket)
        }),
    };
    taken
        .and_then(|socket| socket.set_nonblocking(true).map(|()| socket))
        .map_err(|why| StartError::Listen { listener, address, why })
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
