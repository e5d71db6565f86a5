//! Callers known by a certificate: whoever is named in one that the gate's `client_ca` signed.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use std::{fs, path::Path, process::Command, time::Duration};

use serde_json::{Value, json};
use support::{
    certificates::{self, Curl, Made, Seen, with_tls},
    gate::{BILLING, NARROW},
    http::Client,
    installed,
    process::{At, Home},
};

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
            assert_eq!(without_tls(at).await, refused, "{certificate}");
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
    assert_eq!((seen.status, without_tls(at).await), (0, 1), "{seen:?}");
    assert_eq!(ask(at, &home, Some("reports"), None).await.status, 201);

    list(dir, &[], "0").await;
    process.says("the certificate changed\"").await;
    let seen = ask(at, &home, Some("reports"), None).await;
    assert_eq!((seen.status, without_tls(at).await), (0, 2), "{seen:?}");
    assert_eq!(ask(at, &home, None, Some(BILLING)).await.status, 201);
}

/// Connections to the API with which there was no TLS.
async fn without_tls(at: At) -> usize {
    let text = Client::new(at.admin).get("/metrics").await.text().to_owned();
    let name = "oncegate_connections_unserved_total{listener=\"api\",why=\"tls\"} ";
    text.lines().find_map(|line| line.strip_prefix(name)?.parse().ok()).unwrap_or_default()
}

/// Writes what the authority took back; good for so many days, of which 0 are over in a second.
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
    let until = if days == "0" { ["-crlsec", "1"] } else { ["-crldays", days] };
    openssl(&["-gencrl", until[0], until[1], "-out", "crl.new"]);
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
