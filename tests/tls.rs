//! TLS that the gate itself ends: on the public listener and the API, with certificates that are
//! taken up when their files change.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use serde_json::json;
use support::{
    certificates::{self, Curl, LOCAL, Made, with_tls},
    gate::{BILLING, PANEL},
    http::Client,
    installed,
    process::{At, Home, Process},
};

fn cannot_be_tested() -> bool {
    !installed::programs(&["openssl", "curl"])
}

/// A gate with TLS on its listeners, and `more` in the table.
async fn home(more: &str) -> Home {
    let home = Home::new(|text| with_tls(&text, more)).await;
    certificates::usual(home.dir.path());
    home
}

fn file(home: &Home, name: &str) -> std::path::PathBuf {
    home.dir.path().join(name)
}

async fn asks_for_a_link(at: At, ca: &Path) -> certificates::Seen {
    let curl = Curl::https(at.api, "localhost", "/v1/links", ca);
    curl.header(&format!("Authorization: Bearer {BILLING}"))
        .json(&json!({ "user": "joe" }))
        .ask()
        .await
}

/// The serial number of the certificate that a listener shows now.
fn serial(at: std::net::SocketAddr) -> String {
    let shell = format!(
        "openssl s_client -connect {at} -servername {PANEL} </dev/null 2>/dev/null | openssl x509 -noout -serial"
    );
    certificates::run(Command::new("sh").args(["-c", &shell])).trim().to_owned()
}

fn serial_of(home: &Home, name: &str) -> String {
    let file = file(home, name);
    certificates::run(Command::new("openssl").args(["x509", "-noout", "-serial", "-in"]).arg(file))
        .trim()
        .to_owned()
}

#[tokio::test]
async fn a_link_is_asked_for_and_used_over_tls_with_either_http() {
    if cannot_be_tested() {
        return;
    }
    let home = home("").await;
    let (_process, at) = home.start().await;
    let ca = file(&home, "ca.pem");
    for (flag, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let curl = Curl::https(at.api, "localhost", "/v1/links", &ca).arg(flag);
        let key = format!("Authorization: Bearer {BILLING}");
        let seen = curl.header(&key).json(&json!({ "user": "joe" })).ask().await;
        assert_eq!((seen.status, seen.version.as_str()), (201, version), "{seen:?}");
        let token = serde_json::from_str::<serde_json::Value>(&seen.body).unwrap()["token"]
            .as_str()
            .unwrap()
            .to_owned();
        let path = format!("/_once/l/{token}");
        for (data, status) in [("GET", 200), ("POST", 303), ("POST", 410)] {
            let curl =
                Curl::https(at.public, PANEL, &path, &ca).arg(flag).arg("--request").arg(data);
            let seen = curl.ask().await;
            assert_eq!((seen.status, seen.version.as_str()), (status, version), "{seen:?}");
            if status == 303 {
                assert!(seen.head.contains("__Host-oncegate="), "{}", seen.head);
            }
            let hop = seen.head.to_lowercase();
            assert!(version == "1.1" || !hop.contains("\nconnection:"), "{hop}");
        }
    }
    // Whoever speaks no TLS there gets no answer.
    assert!(Client::new(at.public).host(PANEL).try_request("GET", "/", &[], b"").await.is_err());
    at.counts("oncegate_connections_unserved_total{listener=\"public\",why=\"tls\"}", 1).await;
    let metrics = Client::new(at.admin).get("/metrics").await.text().to_owned();
    assert!(metrics.contains("oncegate_certificate_expires{certificate=\"cert\"} 1"), "{metrics}");
}

#[tokio::test]
async fn tls_is_1_2_or_1_3_with_h2_or_http_1_1_and_takes_no_early_data() {
    if cannot_be_tested() {
        return;
    }
    let home = home("").await;
    let (_process, at) = home.start().await;
    for listener in [at.public, at.api] {
        let offer = |args: &str| {
            let shell =
                format!("openssl s_client -connect {listener} {args} </dev/null 2>&1 || true");
            certificates::run(Command::new("sh").args(["-c", &shell]))
        };
        for (args, said) in [
            ("-tls1_3", "New, TLSv1.3"),
            ("-tls1_2", "New, TLSv1.2"),
            ("-tls1_1", "New, (NONE)"),
            ("-tls1_1 -cipher DEFAULT@SECLEVEL=0", "New, (NONE)"),
            ("-alpn h2,http/1.1", "ALPN protocol: h2"),
            ("-alpn http/1.1", "ALPN protocol: http/1.1"),
            ("-alpn spdy/3", "no application protocol"),
        ] {
            assert!(offer(args).contains(said), "{args}: {}", offer(args));
        }
        let shell = format!(
            "(printf 'GET / HTTP/1.0\\r\\n\\r\\n'; sleep 1) | openssl s_client -connect {listener} -tls1_3 2>&1 || true"
        );
        let session = certificates::run(Command::new("sh").args(["-c", &shell]));
        assert!(session.contains("Max Early Data: 0"), "{session}");
    }
}

#[tokio::test]
async fn a_new_certificate_is_taken_up_and_a_bad_one_is_not() {
    if cannot_be_tested() {
        return;
    }
    let home = home("").await;
    let dir = home.dir.path();
    // As certbot and Kubernetes do it: what is named is a link to what is there today.
    for (link, kind) in [("tls.pem", "pem"), ("tls.key", "key")] {
        fs::rename(file(&home, link), file(&home, &format!("first.{kind}"))).unwrap();
        std::os::unix::fs::symlink(format!("first.{kind}"), file(&home, link)).unwrap();
    }
    let (mut process, at) = home.start().await;
    assert_eq!(serial(at.public), serial_of(&home, "first.pem"));

    Made::by("ca", "second", &[LOCAL]).into_dir(dir);
    swap(&home, "second");
    process.says("the certificate changed\"").await;
    for listener in [at.public, at.api] {
        assert_eq!(serial(listener), serial_of(&home, "second.pem"));
    }

    Made::by("ca", "third", &[LOCAL]).into_dir(dir);
    relink(&home, "third.pem", "tls.pem");
    let line = process.says("the certificate changed and cannot be used; the old one stays").await;
    assert!(line.contains("is not the certificate of"), "{line}");
    assert_eq!(serial(at.public), serial_of(&home, "second.pem"));
    assert_eq!(asks_for_a_link(at, &file(&home, "ca.pem")).await.status, 201);

    relink(&home, "third.key", "tls.key");
    process.says("the certificate changed\"").await;
    assert_eq!(serial(at.public), serial_of(&home, "third.pem"));

    // Written over in place, without a link.
    fs::remove_file(file(&home, "tls.pem")).unwrap();
    fs::write(file(&home, "tls.pem"), "").unwrap();
    process.says("is empty").await;
    assert_eq!(serial(at.public), serial_of(&home, "third.pem"));
}

fn swap(home: &Home, to: &str) {
    relink(home, &format!("{to}.pem"), "tls.pem");
    relink(home, &format!("{to}.key"), "tls.key");
}

/// Puts another link in the place of one, in one step.
fn relink(home: &Home, to: &str, link: &str) {
    let new = file(home, "new-link");
    std::os::unix::fs::symlink(to, &new).unwrap();
    fs::rename(new, file(home, link)).unwrap();
}

/// A change to the files of a gate that could start before it.
type Spoil = fn(&Path);

#[tokio::test]
async fn files_that_cannot_be_used_are_named_by_check_and_by_the_start() {
    if cannot_be_tested() {
        return;
    }
    let openssl = |dir: &Path, args: &str| {
        certificates::run(Command::new("openssl").current_dir(dir).args(args.split(' ')));
    };
    let home = home(", client_ca = \"ca.pem\"").await;
    let dir = home.dir.path();
    fs::copy(dir.join("tls.key"), dir.join("good.key")).unwrap();
    fs::copy(dir.join("tls.pem"), dir.join("good.pem")).unwrap();
    fs::copy(dir.join("ca.pem"), dir.join("good-ca.pem")).unwrap();
    openssl(dir, "ec -in good.key -aes128 -passout pass:secret -out old.key");
    openssl(dir, "pkcs8 -topk8 -in good.key -passout pass:secret -out encrypted.key");
    certificates::expired(dir, "ca", "expired");
    Made::by("ca", "other", &[LOCAL]).into_dir(dir);
    let copy = |from: &str, to: &str| {
        fs::copy(dir.join(from), dir.join(to)).unwrap();
        fs::set_permissions(dir.join("tls.key"), fs::Permissions::from_mode(0o600)).unwrap();
    };
    let spoils: [(Spoil, &str); 13] = [
        (|dir| chmod(dir, 0o644), "tls.key can be read by others (mode 0644)\n  do: chmod 600"),
        (|dir| put(dir, "encrypted.key", "tls.key"), "tls.key is encrypted\n  do: openssl pkey"),
        (|dir| put(dir, "old.key", "tls.key"), "tls.key is encrypted\n  do: openssl pkey"),
        (|dir| put(dir, "other.key", "tls.key"), "tls.pem is not the certificate of"),
        (|dir| fs::write(dir.join("tls.key"), "").unwrap(), "tls.key is empty"),
        (|dir| fs::write(dir.join("tls.pem"), "").unwrap(), "tls.pem is empty"),
        (|dir| put(dir, "good.key", "tls.pem"), "tls.pem has no certificate"),
        (|dir| put(dir, "good.pem", "tls.key"), "tls.key has no private key"),
        (|dir| expire(dir), "tls.pem has expired\n  do: have it renewed"),
        (|dir| fs::remove_file(dir.join("tls.pem")).unwrap(), "tls.pem cannot be read"),
        (|dir| fs::write(dir.join("ca.pem"), "no").unwrap(), "ca.pem has no certificate"),
        (|dir| cut(dir, "ca.pem"), "ca.pem has a certificate that is not PEM"),
        (|dir| cut(dir, "tls.pem"), "tls.pem has a certificate that is not PEM"),
    ];
    for (spoil, said) in spoils {
        spoil(dir);
        let (code, start) = home.spawn().ended().await;
        assert_eq!(code, Some(1), "{said}: {start}");
        assert!(start.contains(said), "{said}: {start}");
        let mut check = Command::new(env!("CARGO_BIN_EXE_oncegate"));
        let check =
            check.args(["check", "--config"]).arg(dir.join("oncegate.toml")).output().unwrap();
        let check_said = String::from_utf8_lossy(&check.stderr).into_owned();
        assert_eq!(check.status.code(), Some(1), "{check_said}");
        assert!(check_said.contains(said) && check_said.contains("\n  do: "), "{check_said}");
        for (from, to) in
            [("good.key", "tls.key"), ("good.pem", "tls.pem"), ("good-ca.pem", "ca.pem")]
        {
            copy(from, to);
        }
    }
    let mut check = Command::new(env!("CARGO_BIN_EXE_oncegate"));
    let said = certificates::run(check.args(["check", "--config"]).arg(dir.join("oncegate.toml")));
    assert!(said.contains("tls.pem is good until 20"), "{said}");
}

fn put(dir: &Path, from: &str, to: &str) {
    fs::copy(dir.join(from), dir.join(to)).unwrap();
    chmod(dir, 0o600);
}

fn chmod(dir: &Path, mode: u32) {
    fs::set_permissions(dir.join("tls.key"), fs::Permissions::from_mode(mode)).unwrap();
}

fn expire(dir: &Path) {
    put(dir, "expired.pem", "tls.pem");
    put(dir, "expired.key", "tls.key");
}

/// Loses the end of a file.
fn cut(dir: &Path, name: &str) {
    let text = fs::read_to_string(dir.join(name)).unwrap();
    let (start, _) = text.split_once("-----END").unwrap();
    fs::write(dir.join(name), start).unwrap();
}

#[tokio::test]
async fn a_certificate_that_expires_soon_is_told_of() {
    if cannot_be_tested() {
        return;
    }
    let home = Home::new(|text| with_tls(&text, "")).await;
    Made::ca("ca").into_dir(home.dir.path());
    Made { days: "13", ..Made::by("ca", "tls", &[LOCAL]) }.into_dir(home.dir.path());
    let mut process: Process = home.spawn();
    let line = process.says("listen.tls.cert expires soon; renew it").await;
    assert!(line.contains("\"expires\":\"20"), "{line}");
    process.ready().await;
}

#[tokio::test]
async fn the_command_that_asks_for_a_link_verifies_the_gate() {
    if cannot_be_tested() {
        return;
    }
    let home = home("").await;
    home.reconfigure(|text| text.replace("api = \"127.0.0.1:0\"", "api = \"0.0.0.0:0\""));
    Made::ca("other-ca").into_dir(home.dir.path());
    let (_process, at) = home.start().await;
    let key = file(&home, "billing.key");
    fs::write(&key, BILLING).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let port = at.api.port();
    for (host, roots, good) in [
        ("127.0.0.1", "ca.pem", true),
        ("localhost", "ca.pem", true),
        ("127.0.0.1", "other-ca.pem", false),
        // Another name than any in the certificate.
        ("127.0.0.3", "ca.pem", false),
    ] {
        let mut link = Command::new(env!("CARGO_BIN_EXE_oncegate"));
        link.args(["link", "--user", "joe", "--api", &format!("https://{host}:{port}")]);
        link.arg("--key-file").arg(&key).env("SSL_CERT_FILE", file(&home, roots));
        let asked = tokio::task::spawn_blocking(move || link.output().unwrap()).await.unwrap();
        let said = String::from_utf8_lossy(&asked.stderr).into_owned();
        assert_eq!(asked.status.success(), good, "{host} {roots}: {said}");
        let out = String::from_utf8_lossy(&asked.stdout).into_owned();
        assert_eq!(out.contains("https://panel.example.com/_once/l/"), good, "{out}");
        assert!(good || said.contains("certificate"), "{said}");
    }
}

#[tokio::test]
async fn a_gate_off_loopback_takes_keys_over_its_own_tls() {
    if cannot_be_tested() {
        return;
    }
    let home = home("").await;
    home.reconfigure(|text| text.replace("api = \"127.0.0.1:0\"", "api = \"0.0.0.0:0\""));
    let (_process, mut at) = home.start().await;
    at.api.set_ip([127, 0, 0, 1].into());
    assert_eq!(asks_for_a_link(at, &file(&home, "ca.pem")).await.status, 201);
}
