//! `listen.tls`: with what the gate itself ends TLS.

use std::path::{Path, PathBuf};

use crate::config::{reader::Section, units};

/// The files with which the gate itself ends TLS. Here only their names are judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The certificate and those between it and a root, as PEM.
    pub cert: PathBuf,
    /// Its key, as PEM.
    pub key: PathBuf,
    /// Those who sign callers' certificates, as PEM.
    pub client_ca: Option<PathBuf>,
    /// What they took back, as PEM.
    pub client_crl: Option<PathBuf>,
}

/// Reads `listen.tls`, whose paths are relative to `base`.
pub(super) fn read(mut section: Section<'_>, base: &Path) -> Option<Tls> {
    let cert = section.require("cert", units::path, "cert = \"tls.crt\"");
    let key = section.require("key", units::path, "key = \"tls.key\"");
    let client_ca = section.read("client_ca", units::path);
    let client_crl = section.read("client_crl", units::path);
    if section.has("client_crl") && !section.has("client_ca") {
        section.fault("client_crl", "is of those who sign; write client_ca = \"ca.pem\" beside it");
    }
    section.done();
    let at = |path: PathBuf| base.join(path);
    Some(Tls {
        cert: at(cert?),
        key: at(key?),
        client_ca: client_ca.map(at),
        client_crl: client_crl.map(at),
    })
}
