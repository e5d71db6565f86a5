//! Connections that the gate opens by itself: to a directory, to other gates.

use std::{
    error::{self, Error as _},
    io, iter,
    sync::Arc,
    time::Duration,
};

use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Error, connect::HttpConnector};
use rustls::{ClientConfig, RootCertStore, crypto::ring};

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
        .with_tls_config(tls(secure)?)
        .https_or_http()
        .enable_http1()
        .wrap_connector(http))
}

fn tls(secure: bool) -> io::Result<ClientConfig> {
    // Not the process's default provider: that could be set but once, and by anybody.
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let config = if secure {
        config.with_native_roots()?
    } else {
        // Nothing is to be verified.
        config.with_root_certificates(RootCertStore::empty())
    };
    Ok(config.with_no_client_auth())
}

/// The innermost cause: "Connection refused", not "client error".
pub(super) fn reason(error: &Error) -> String {
    causes(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}

/// What an error came of, the outermost first.
pub(super) fn causes(error: &Error) -> impl Iterator<Item = &(dyn error::Error + 'static)> {
    iter::successors(error.source(), |cause| (*cause).source())
}
