//! Connections that the gate opens: to a directory, to other gates; and by what TLS is verified on
//! these and on all others that it opens.

use std::{
    error::{self, Error as _},
    io, iter,
    sync::Arc,
    time::Duration,
};

use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Error, connect::HttpConnector};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};

/// Whose signature a certificate must bear.
#[derive(Debug, Clone, Copy)]
pub enum Roots<'a> {
    /// One of the system's; `SSL_CERT_FILE` and `SSL_CERT_DIR` name others.
    System,
    /// One of these, as PEM.
    Pem(&'a [u8]),
    /// Nothing is to be verified, since nothing is asked over TLS.
    Nobody,
}

/// Connects by http, and where `secure` by https, verified with the system's roots
/// (`SSL_CERT_FILE` and `SSL_CERT_DIR` name others); no proxy is used, whatever the environment
/// says.
///
/// # Errors
/// There are no roots.
pub(super) fn connector(
    secure: bool,
    connect_timeout: Duration,
) -> io::Result<HttpsConnector<HttpConnector>> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(connect_timeout));
    Ok(HttpsConnectorBuilder::new()
        .with_tls_config(tls(if secure { Roots::System } else { Roots::Nobody })?)
        .https_or_http()
        .enable_http1()
        .wrap_connector(http))
}

/// TLS 1.2 or later.
///
/// # Errors
/// There are no roots.
pub fn tls(roots: Roots<'_>) -> io::Result<ClientConfig> {
    // Not the process's default provider: that could be set but once, and by anybody.
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let config = match roots {
        Roots::System => config.with_native_roots()?,
        Roots::Pem(pem) => config.with_root_certificates(read(pem)?),
        Roots::Nobody => config.with_root_certificates(RootCertStore::empty()),
    };
    Ok(config.with_no_client_auth())
}

fn read(pem: &[u8]) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(io::Error::other)?;
        roots.add(certificate).map_err(io::Error::other)?;
    }
    if roots.is_empty() {
        return Err(io::Error::other("there is no certificate in it"));
    }
    Ok(roots)
}

/// The innermost cause: "Connection refused", not "client error".
pub(super) fn reason(error: &Error) -> String {
    causes(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}

/// What an error came of, the outermost first.
pub(super) fn causes(error: &Error) -> impl Iterator<Item = &(dyn error::Error + 'static)> {
    iter::successors(error.source(), |cause| (*cause).source())
}
