//! A directory over https, asked by the real binary: verified with the roots that the system, or
//! `SSL_CERT_FILE`, names.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use std::{path::Path, sync::Arc};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use serde_json::json;
use support::{
    certificates::Made,
    installed,
    process::Home,
    service::{Service, TOKEN},
};
use tokio_rustls::TlsAcceptor;

fn acceptor(dir: &Path, name: &str) -> TlsAcceptor {
    let chain = CertificateDer::from_pem_file(dir.join(format!("{name}.pem"))).unwrap();
    let key = PrivateKeyDer::from_pem_file(dir.join(format!("{name}.key"))).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

#[tokio::test]
async fn a_service_over_https_is_verified_before_it_is_told_the_token() {
    if !installed::programs(&["openssl"]) {
        return;
    }
    let certs = tempfile::tempdir().unwrap();
    let dir = certs.path();
    let san = "subjectAltName=IP:127.0.0.1";
    Made::ca("ca").into_dir(dir);
    Made::ca("other-ca").into_dir(dir);
    Made::by("ca", "good", &[san]).into_dir(dir);
    Made::by("ca", "elsewhere", &["subjectAltName=DNS:elsewhere.example"]).into_dir(dir);
    for (name, roots, status, reason) in [
        ("good", "ca.pem", 201, ""),
        ("good", "other-ca.pem", 502, "UnknownIssuer"),
        ("elsewhere", "ca.pem", 502, "not valid for name"),
    ] {
        let service = Service::over_tls(acceptor(dir, name)).await;
        service.says("/users/joe", json!({ "username": "joe" }));
        let section = service.section("5s", "1ms").replace("http://", "https://");
        let home = Home::new(|text| [text, section].concat()).await;
        let roots = dir.join(roots);
        let mut process = home.spawn_with(&[("SSL_CERT_FILE", roots.to_str().unwrap())]);
        let at = process.ready().await;
        let answer = at.client().post_json("/v1/links", &json!({ "user": "joe" })).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        let asked = service.asked();
        if status == 201 {
            assert_eq!(asked[0].headers["authorization"], format!("Bearer {TOKEN}"));
        } else {
            assert!(asked.is_empty(), "{asked:?}");
            let line = process.says("the directory does not answer").await;
            assert!(line.contains(reason), "{line}");
        }
    }
}

#[tokio::test]
async fn a_gate_without_roots_for_https_does_not_start_and_says_what_to_do() {
    let section = "[directory]\nurl = \"https://127.0.0.1:1/\"\n";
    let home = Home::new(|text| [text.as_str(), section].concat()).await;
    let missing = home.dir.path().join("missing.pem");
    let missing = missing.to_str().unwrap();
    let env = [("SSL_CERT_FILE", missing), ("SSL_CERT_DIR", missing)];
    let (code, said) = home.spawn_with(&env).ended().await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("SSL_CERT_FILE"), "{said}");
}

#[tokio::test]
async fn a_gate_with_a_faulty_directory_does_not_start_and_names_every_fault() {
    let section = "[directory]\nfile = \"directory.toml\"\n";
    let home = Home::new(|text| [text.as_str(), section].concat()).await;
    let text = "[[users]]\nusername = 7\n[[accounts]]\nid = \"x\"\n";
    std::fs::write(home.dir.path().join("directory.toml"), text).unwrap();
    let (code, said) = home.spawn().ended().await;
    assert_eq!(code, Some(64), "{said}");
    assert!(said.contains("directory.toml has 2 faults"), "{said}");
}
