//! Upstreams over TLS, asked by the real binary: nothing is told to one that nobody vouches for.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    version::{TLS12, TLS13},
};
use support::{
    certificates::{LOCAL, Made, expired},
    gate::{PANEL, cookie_of},
    http::Client,
    installed,
    process::Home,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

const SWITCHES: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";

/// An upstream over TLS. It counts the requests that reach it.
async fn upstream(dir: &Path, name: &str, old: bool) -> (SocketAddr, Arc<AtomicUsize>) {
    let chain = CertificateDer::from_pem_file(dir.join(format!("{name}.pem"))).unwrap();
    let key = PrivateKeyDer::from_pem_file(dir.join(format!("{name}.key"))).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[if old { &TLS12 } else { &TLS13 }])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (addr, asked) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let count = asked.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, count) = (acceptor.clone(), count.clone());
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(read @ 1..) = stream.read(&mut buffer).await else { return };
                    head.extend_from_slice(&buffer[..read]);
                }
                count.fetch_add(1, Ordering::SeqCst);
                let head = String::from_utf8(head).unwrap().to_lowercase();
                let known = head.contains("x-oncegate-user: joe");
                if head.contains("upgrade: echo") {
                    stream.write_all(SWITCHES.as_bytes()).await.unwrap();
                    let (mut reader, mut writer) = tokio::io::split(stream);
                    let _ = tokio::io::copy(&mut reader, &mut writer).await;
                    return;
                }
                let said = format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{known:5}");
                let _ = stream.write_all(said.as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    (addr, asked)
}

/// The certificates of all tests here.
fn certificates(dir: &Path) {
    Made::ca("ca").into_dir(dir);
    Made::ca("other-ca").into_dir(dir);
    Made::by("ca", "good", &[LOCAL]).into_dir(dir);
    Made::by("ca", "elsewhere", &["subjectAltName=DNS:elsewhere.example"]).into_dir(dir);
    expired(dir, "ca", "late");
}

/// A gate's directory before the upstream, with these further lines of the site.
async fn home(upstream: SocketAddr, more: &str) -> Home {
    Home::new(|text| {
        let line = text.lines().find(|line| line.starts_with("upstream = ")).unwrap().to_owned();
        text.replacen(&line, &format!("upstream = \"https://{upstream}\"\n{more}"), 1)
    })
    .await
}

#[tokio::test]
async fn an_upstream_is_verified_before_it_is_told_anything() {
    if !installed::programs(&["openssl"]) {
        return;
    }
    let certs = tempfile::tempdir().unwrap();
    let dir = certs.path();
    certificates(dir);
    let own = |name: &str| format!("upstream_ca = \"{}\"", dir.join(name).display());
    for (name, old, more, roots, reason) in [
        ("good", false, own("ca.pem"), "other-ca.pem", ""),
        ("good", true, own("ca.pem"), "other-ca.pem", ""),
        ("good", false, String::new(), "ca.pem", ""),
        ("good", false, String::new(), "other-ca.pem", "UnknownIssuer"),
        // A site that names its own trusts nobody else's.
        ("good", false, own("other-ca.pem"), "ca.pem", "UnknownIssuer"),
        ("elsewhere", false, own("ca.pem"), "ca.pem", "not valid for name"),
        ("late", false, own("ca.pem"), "ca.pem", "Expired"),
    ] {
        let (addr, asked) = upstream(dir, name, old).await;
        let home = home(addr, &more).await;
        let roots = dir.join(roots);
        let env = [("SSL_CERT_FILE", roots.to_str().unwrap()), ("ONCEGATE_LOG", "info")];
        let mut process = home.spawn_with(&env);
        let at = process.ready().await;
        let cookie = cookie_of(&at.open(&at.link().await).await);
        let client = Client::new(at.public).host(PANEL).header("cookie", &cookie);
        let answer = client.get("/x").await;
        let asked = || asked.load(Ordering::SeqCst);
        if reason.is_empty() {
            assert_eq!((answer.status, answer.text(), asked()), (200, "true ", 1), "{name}");
            let mut tunnel = tokio::net::TcpStream::connect(at.public).await.unwrap();
            let ask = format!(
                "GET /ws HTTP/1.1\r\nHost: {PANEL}\r\nCookie: {cookie}\r\nConnection: upgrade\r\n\
                 Upgrade: echo\r\n\r\nthere and back"
            );
            tunnel.write_all(ask.as_bytes()).await.unwrap();
            support::wire::read_until(&mut tunnel, "there and back").await;
        } else {
            assert_eq!((answer.status, answer.code().as_str(), asked()), (502, "bad_gateway", 0));
            assert!(!answer.text().contains(reason), "{}", answer.text());
            let line = process.says("bad_gateway").await;
            assert!(line.contains(reason), "{line}");
        }
        process.kill();
    }
}

#[tokio::test]
async fn a_gate_without_roots_for_an_upstream_does_not_start_and_says_what_to_do() {
    let home = home("127.0.0.1:1".parse().unwrap(), "").await;
    let missing = home.dir.path().join("missing.pem");
    let missing = missing.to_str().unwrap();
    let env = [("SSL_CERT_FILE", missing), ("SSL_CERT_DIR", missing)];
    let (code, said) = home.spawn_with(&env).ended().await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("upstream_ca") && said.contains("SSL_CERT_FILE"), "{said}");
}

#[tokio::test]
async fn what_is_wrong_with_upstream_ca_is_said_at_its_place() {
    for (upstream, file, said) in [
        ("https://127.0.0.1:1", None, "cannot be read"),
        ("https://127.0.0.1:1", Some("no certificate"), "has no certificate in it"),
        ("http://127.0.0.1:1", Some("no certificate"), "is for an upstream over TLS"),
    ] {
        let home = Home::new(|text| {
            let line = text.lines().find(|line| line.starts_with("upstream = ")).unwrap();
            let lines = format!("upstream = \"{upstream}\"\nupstream_ca = \"own.pem\"");
            text.replacen(&line.to_owned(), &lines, 1)
        })
        .await;
        if let Some(text) = file {
            std::fs::write(home.dir.path().join("own.pem"), text).unwrap();
        }
        let (code, all) = home.spawn().ended().await;
        assert_eq!(code, Some(64), "{all}");
        assert!(all.contains("sites.panel.upstream_ca") && all.contains(said), "{all}");
    }
}
