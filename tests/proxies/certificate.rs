//! A certificate for the site, made by `openssl` when it is needed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use sha2::{Digest as _, Sha256};

/// `panel.example.com`, signed by an authority of its own.
#[derive(Clone)]
pub(crate) struct Certificate {
    dir: PathBuf,
}

impl Certificate {
    /// Makes one in this directory.
    pub(crate) fn make(dir: &Path) -> Self {
        let authority = ["-subj", "/CN=ca", "-addext", "keyUsage=keyCertSign"];
        request(dir, "ca", &authority);
        let leaf = [
            "-subj",
            "/CN=panel.example.com",
            "-addext",
            "subjectAltName=DNS:panel.example.com,DNS:*.example.com",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
        ];
        request(dir, "panel", &leaf);
        let [chain, key] =
            ["panel.pem", "panel.key"].map(|name| fs::read_to_string(dir.join(name)).unwrap());
        fs::write(dir.join("both.pem"), chain + &key).unwrap();
        Self { dir: dir.to_owned() }
    }

    /// The authority's own certificate.
    pub(crate) fn authority(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    pub(crate) fn chain(&self) -> PathBuf {
        self.dir.join("panel.pem")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.dir.join("panel.key")
    }

    /// The chain and the key in one file, as HAProxy wants them.
    pub(crate) fn both(&self) -> PathBuf {
        self.dir.join("both.pem")
    }

    /// Trusts the authority, and speaks HTTP/1.1 or whatever else is named.
    pub(crate) fn client(&self, alpn: &[&str]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.authority()).unwrap()).unwrap();
        let mut client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        client
    }

    /// The SHA-256 of the public key, as Chromium wants it.
    pub(crate) fn public_key_hash(&self) -> String {
        let der = openssl(&self.dir, &["pkey", "-in", "panel.key", "-pubout", "-outform", "der"]);
        STANDARD.encode(Sha256::digest(der))
    }
}

fn request(dir: &Path, name: &str, more: &[&str]) {
    let (key, out) = (format!("{name}.key"), format!("{name}.pem"));
    let mut args = vec!["req", "-x509", "-nodes", "-days", "2", "-newkey", "ec"];
    args.extend(["-pkeyopt", "ec_paramgen_curve:P-256", "-keyout", &key, "-out", &out]);
    args.extend(more);
    openssl(dir, &args);
}

fn openssl(dir: &Path, args: &[&str]) -> Vec<u8> {
    let made = Command::new("openssl").current_dir(dir).args(args).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    made.stdout
}
