//! Callers known by a certificate: whoever is named in one that the gate's `client_ca` signed.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use std::{fs, path::Path, process::Command, sync::Arc, time::Duration};

use oncegate::ops::clock::{Clock, rfc3339};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use serde_json::{Value, json};
use support::{
    certificates::{self, Curl, Made, Seen, with_tls},
    gate::{BILLING, NARROW},
    http::Client,
    installed,
    process::{At, Home, PATIENCE},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Callers that have nothing but a certificate, beside those with keys.
const CALLERS: &str = r#"
[[callers]]
name = "by-cn"
sites = ["panel"]
certificate = ["CN=reports"]
[[callers]]
name = "by-san"
sites = ["panel"]
certificate = ["DNS:mail.internal", "URI:spiffe://example.com/mail"]
[[callers]]
name = "elsewhere"
sites = ["panel"]
certificate = ["CN=elsewhere"]
from = ["192.0.2.0/24"]
"#;

const SIGNED_IN: &str = "extendedKeyUsage=clientAuth";

/// A gate that believes those whom `ca` signs, and `more` of the table.
async fn home(more: &str) -> Home {
    let more = format!(", client_ca = \"ca.pem\"{more}");
    let home = Home::new(|text| {
        let named = "name = \"billing\"";
        let text = text.replace(named, &format!("{named}\ncertificate = [\"CN=billing\"]"));
        with_tls(&text, &more) + CALLERS
    })
    .await;
    let dir = home.dir.path();
    certificates::usual(dir);
    for (name, extensions) in [
        ("billing", &[SIGNED_IN][..]),
        ("reports", &[]),
        ("Reports", &[]),
        ("nobody", &[SIGNED_IN]),
        ("elsewhere", &[]),
        ("mailer", &[SIGNED_IN, "subjectAltName=DNS:a.internal,DNS:Mail.Internal"]),
        ("workload", &["subjectAltName=URI:spiffe://example.com/mail"]),
        ("wide", &["subjectAltName=DNS:*.internal"]),
        ("two", &["subjectAltName=DNS:mail.internal"]),
        ("server", &["extendedKeyUsage=serverAuth"]),
    ] {
        let subject = match name {
            "two" => "/CN=reports",
            "server" => "/CN=billing",
            _ => "",
        };
        Made { subject, ..Made::by("ca", name, extensions) }.into_dir(dir);
    }
    Made { subject: "/CN=reports/CN=billing", ..Made::by("ca", "several", &[]) }.into_dir(dir);
    certificates::expired(dir, "ca", "expired");
    Made::ca("other-ca").into_dir(dir);
    Made { subject: "/CN=billing", ..Made::by("other-ca", "forged", &[SIGNED_IN]) }.into_dir(dir);
    Made { subject: "/CN=billing", ..Made::ca("self-signed") }.into_dir(dir);
    home
}

/// Asks for a link with this certificate and this key, or without.
async fn ask(at: At, home: &Home, certificate: Option<&str>, key: Option<&str>) -> Seen {
    let dir = home.dir.path();
    let mut curl = Curl::https(at.api, "localhost", "/v1/links", &dir.join("ca.pem"));
    if let Some(name) = certificate {
        curl = curl.shows(dir, name);
    }
    if let Some(key) = key {
        curl = curl.header(&format!("Authorization: Bearer {key}"));
    }
    curl.json(&json!({ "user": "joe" })).ask().await
}

/// The caller of a link, as the gate's own token tells.
fn caller_of(seen: &Seen, home: &Home) -> String {
    let body: Value = serde_json::from_str(&seen.body).unwrap_or_else(|_| panic!("{seen:?}"));
    let token = body["token"].as_str().unwrap_or_else(|| panic!("{seen:?}"));
    let mut inspect = Command::new(env!("CARGO_BIN_EXE_oncegate"));
    let config = home.dir.path().join("oncegate.toml");
    let told = inspect.args(["inspect", token, "--config"]).arg(config).output().unwrap();
    String::from_utf8_lossy(&told.stdout).into_owned()
}

#[tokio::test]
async fn a_caller_is_whom_its_certificate_names() {
    if !installed::programs(&["openssl", "curl"]) {
        return;
    }
    let home = home("").await;
    let (_process, at) = home.start().await;
    for (certificate, key, caller) in [
        (Some("billing"), None, "billing"),
        (Some("reports"), None, "by-cn"),
        (Some("mailer"), None, "by-san"),
        (Some("workload"), None, "by-san"),
        (None, Some(BILLING), "billing"),
        // Both say the same.
        (Some("billing"), Some(BILLING), "billing"),
        // A certificate that names no caller says nothing.
        (Some("nobody"), Some(BILLING), "billing"),
    ] {
        let seen = ask(at, &home, certificate, key).await;
        assert_eq!(seen.status, 201, "{certificate:?}: {seen:?}");
        let told = caller_of(&seen, &home);
        assert!(told.contains(caller), "{certificate:?}: {told}");
    }
}

#[tokio::test]
async fn whoever_is_not_named_or_contradicts_himself_is_unauthorized() {
    if !installed::programs(&["openssl", "curl"]) {
        return;
    }
    let home = home("").await;
    let (_process, at) = home.start().await;
    for (certificate, key, status, code) in [
        (None, None, 401, "unauthorized"),
        (Some("nobody"), None, 401, "unauthorized"),
        // Names are compared whole, and a common name letter by letter.
        (Some("Reports"), None, 401, "unauthorized"),
        (Some("wide"), None, 401, "unauthorized"),
        // Two common names, or two callers.
        (Some("several"), None, 401, "unauthorized"),
        (Some("two"), None, 401, "unauthorized"),
        (Some("two"), Some(BILLING), 401, "unauthorized"),
        // The key is another caller's, or nobody's.
        (Some("reports"), Some(BILLING), 401, "unauthorized"),
        (Some("billing"), Some(NARROW), 401, "unauthorized"),
        (Some("billing"), Some("og_wrong"), 401, "unauthorized"),
        // A caller's networks count here too.
        (Some("elsewhere"), None, 403, "forbidden"),
    ] {
        let seen = ask(at, &home, certificate, key).await;
        let body: Value = serde_json::from_str(&seen.body).unwrap_or_default();
        assert_eq!(
            (seen.status, body["code"].as_str()),
            (status, Some(code)),
            "{certificate:?} {key:?}: {seen:?}"
        );
    }
    // On the public listener nobody is asked for one.
    let ca = home.dir.path().join("ca.pem");
    let seen = Curl::https(at.public, "panel.example.com", "/.well-known/jwks.json", &ca);
    assert_eq!(seen.shows(home.dir.path(), "forged").ask().await.status, 200);
}

#[tokio::test]
async fn a_certificate_that_cannot_be_verified_ends_the_handshake() {
    if !installed::programs(&["openssl", "curl"]) {
        return;
    }
    let home = home("").await;
    let (_process, at) = home.start().await;
    let mut refused = 0;
    for certificate in ["forged", "self-signed", "expired", "server"] {
        // With the right key too: who shows a false certificate is not believed the rest.
        for key in [None, Some(BILLING)] {
            let seen = ask(at, &home, Some(certificate), key).await;
            assert_eq!(seen.status, 0, "{certificate}: {seen:?}");
            refused += 1;
            without_tls(at, refused).await;
        }
    }
}

#[tokio::test]
async fn what_was_taken_back_is_refused_and_so_is_everybody_once_the_list_is_out_of_date() {
    if !installed::programs(&["openssl", "curl"]) {
        return;
    }
    let home = home(", client_crl = \"crl.pem\"").await;
    let dir = home.dir.path();
    list(dir, &[], "30").await;
    let (mut process, at) = home.start().await;
    assert_eq!(ask(at, &home, Some("billing"), None).await.status, 201);

    list(dir, &["billing"], "30").await;
    process.says("the certificate changed\"").await;
    let seen = ask(at, &home, Some("billing"), None).await;
    assert_eq!(seen.status, 0, "{seen:?}");
    without_tls(at, 1).await;
    assert_eq!(ask(at, &home, Some("reports"), None).await.status, 201);

    list(dir, &[], "0").await;
    process.says("the certificate changed\"").await;
    let seen = ask(at, &home, Some("reports"), None).await;
    assert_eq!(seen.status, 0, "{seen:?}");
    without_tls(at, 2).await;
    assert_eq!(ask(at, &home, None, Some(BILLING)).await.status, 201);
}

#[tokio::test]
async fn a_list_that_goes_out_of_date_is_told_of_before_and_after() {
    if !installed::programs(&["openssl", "curl"]) {
        return;
    }
    let home = home(", client_crl = \"crl.pem\"").await;
    let dir = home.dir.path();
    for (days, starts, checks) in [
        // What is made anew every day has always a day left.
        ("1", None, "crl.pem is good until 20"),
        ("30", None, "crl.pem is good until 20"),
        ("13 of many", Some("client_crl expires soon; renew it"), "warning: "),
        ("0", Some("client_crl is out of date: no caller's certificate is taken"), "out of date"),
    ] {
        list(dir, &[], days).await;
        let mut check = Command::new(env!("CARGO_BIN_EXE_oncegate"));
        let check =
            certificates::run(check.args(["check", "--config"]).arg(dir.join("oncegate.toml")));
        assert!(check.contains(checks), "{days}: {check}");
        assert_eq!(check.contains("warning"), starts.is_some(), "{days}: {check}");
        let (process, at) = home.start().await;
        let said = process.said.join("\n");
        assert_eq!(said.contains("listen.tls."), starts.is_some(), "{days}: {said}");
        assert!(starts.is_none_or(|starts| said.contains(starts)), "{days}: {said}");
        let text = Client::new(at.admin).get("/metrics").await.text().to_owned();
        let name = "oncegate_certificate_expires{certificate=\"client_crl\"} ";
        let expires: u64 =
            text.lines().find_map(|line| line.strip_prefix(name)?.parse().ok()).unwrap();
        let left = expires.saturating_sub(Clock::default().now()).div_ceil(24 * 3_600);
        let expected = days.split(' ').next().unwrap();
        assert_eq!(left.to_string(), expected, "{days}");
    }
}

#[tokio::test]
async fn on_a_connection_that_is_kept_too_a_certificate_counts_as_long_as_it_is_believed() {
    if !installed::programs(&["openssl", "curl"]) {
        return;
    }
    let home = home(", client_crl = \"crl.pem\"").await;
    // A connection that is kept is kept for as long as this takes.
    let limits = "[limits]\nheader_timeout = \"10m\"\n[listen]";
    home.reconfigure(|text| text.replacen("[listen]", limits, 1));
    let dir = home.dir.path();
    list(dir, &[], "30").await;
    let (mut process, at) = home.start().await;
    let mut billing = Kept::open(at, dir, "billing").await;
    let mut reports = Kept::open(at, dir, "reports").await;
    let mut mailer = Kept::open(at, dir, "mailer").await;
    for kept in [&mut billing, &mut reports, &mut mailer] {
        assert_eq!(kept.ask().await, (201, false));
    }
    list(dir, &["billing"], "30").await;
    process.says("the certificate changed\"").await;
    // Once: whoever has another one by now is to begin anew with it.
    assert_eq!(billing.ask().await, (401, true));
    assert_eq!(reports.ask().await, (201, false), "it was not taken back");

    // It goes out of date while nothing changes.
    list(dir, &[], "soon").await;
    process.says("the certificate changed\"").await;
    let refused = async { while reports.ask().await != (401, true) {} };
    tokio::time::timeout(PATIENCE, refused).await.expect("the list is out of date");

    list(dir, &[], "30").await;
    process.says("the certificate changed\"").await;
    assert_eq!(mailer.ask().await, (201, false));
    fs::rename(dir.join("other-ca.pem"), dir.join("ca.pem")).unwrap();
    process.says("the certificate changed\"").await;
    assert_eq!(mailer.ask().await, (401, true), "whoever signed it is not believed any more");
}

/// A connection to the API that is kept, with a certificate of the client's own.
struct Kept(TlsStream<TcpStream>);

impl Kept {
    async fn open(at: At, dir: &Path, name: &str) -> Self {
        let file = |end: &str| dir.join(format!("{name}.{end}"));
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(dir.join("ca.pem")).unwrap()).unwrap();
        let chain = vec![CertificateDer::from_pem_file(file("pem")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(file("key")).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .unwrap();
        let stream = TcpStream::connect(at.api).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        Self(TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap())
    }

    /// Asks for a link: the status, and whether that is the connection's last answer.
    async fn ask(&mut self) -> (u16, bool) {
        let body = r#"{"user":"joe"}"#;
        let length = body.len();
        let request = format!(
            "POST /v1/links HTTP/1.1\r\nHost: localhost\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.0.write_all(request.as_bytes()).await.unwrap();
        let (mut answer, mut buffer) = (String::new(), [0; 8192]);
        // Every answer of the API is one object.
        while !answer.ends_with('}') {
            let read = self.0.read(&mut buffer).await.unwrap();
            assert_ne!(read, 0, "closed after {answer:?}");
            answer += std::str::from_utf8(&buffer[..read]).unwrap();
        }
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.to_ascii_lowercase().contains("\r\nconnection: close\r\n"))
    }
}

/// Waits until there was no TLS with so many connections to the API.
async fn without_tls(at: At, connections: usize) {
    let metric = "oncegate_connections_unserved_total{listener=\"api\",why=\"tls\"}";
    at.counts(metric, connections).await;
}

/// Writes what the authority took back; good for so many days, of which 0 are over in a second, and
/// "soon" is in a few, and "13 of many" are the last of years.
async fn list(dir: &Path, taken_back: &[&str], days: &str) {
    let config =
        "[ca]\ndefault_ca = d\n[d]\ndatabase = index\ncrlnumber = number\ndefault_md = sha256\n";
    fs::write(dir.join("ca.conf"), config).unwrap();
    fs::write(dir.join("index"), "").unwrap();
    fs::write(dir.join("number"), "01\n").unwrap();
    let openssl = |args: &[&str]| {
        let mut command = Command::new("openssl");
        let command = command.current_dir(dir).args(["ca", "-config", "ca.conf"]);
        certificates::run(command.args(["-cert", "ca.pem", "-keyfile", "ca.key"]).args(args));
    };
    for name in taken_back {
        openssl(&["-revoke", &format!("{name}.pem")]);
    }
    let last_days = rfc3339(Clock::default().now() + 13 * 24 * 3_600).replace(['-', ':', 'T'], "");
    let until = match days {
        "0" => vec!["-crlsec", "1"],
        "soon" => vec!["-crlsec", "6"],
        "13 of many" => vec!["-crl_lastupdate", "20200101000000Z", "-crl_nextupdate", &last_days],
        days => vec!["-crldays", days],
    };
    openssl(&[&["-gencrl", "-out", "crl.new"], &until[..]].concat());
    if days == "0" {
        // Out of date by the time it is looked at.
        tokio::time::sleep(Duration::from_millis(2_100)).await;
    }
    fs::rename(dir.join("crl.new"), dir.join("crl.pem")).unwrap();
}

#[tokio::test]
async fn another_authority_is_taken_up_and_the_first_believed_no_more() {
    if !installed::programs(&["openssl", "curl"]) {
        return;
    }
    let home = home("").await;
    let dir = home.dir.path();
    let (mut process, at) = home.start().await;
    assert_eq!(ask(at, &home, Some("billing"), None).await.status, 201);
    // The gate's own certificate stays the one of the first.
    fs::copy(dir.join("ca.pem"), dir.join("first-ca.pem")).unwrap();
    fs::rename(dir.join("other-ca.pem"), dir.join("ca.pem")).unwrap();
    process.says("the certificate changed\"").await;
    let ask = async |name: &str| {
        let curl = Curl::https(at.api, "localhost", "/v1/links", &dir.join("first-ca.pem"));
        curl.shows(dir, name).json(&json!({ "user": "joe" })).ask().await
    };
    assert_eq!(ask("billing").await.status, 0);
    assert_eq!(ask("forged").await.status, 201, "it is no forgery any more");
}
