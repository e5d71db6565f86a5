//! Certificates, made by `openssl` when a test asks for them; and `curl`, which sees what a client
//! of another house makes of the gate.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// What a server's certificate says of this machine.
pub const LOCAL: &str =
    "subjectAltName=IP:127.0.0.1,DNS:panel.example.com,DNS:shop.example.com,DNS:localhost";

/// One certificate to be made.
#[derive(Debug, Clone, Copy)]
pub struct Made<'a> {
    /// The name of its files, `NAME.pem` and `NAME.key`.
    pub name: &'a str,
    /// Its subject, as `/CN=billing`; empty: its name.
    pub subject: &'a str,
    /// The name of whom it is signed by; none: itself.
    pub by: Option<&'a str>,
    /// As `openssl` takes them behind `-addext`.
    pub extensions: &'a [&'a str],
    /// For how many days.
    pub days: &'a str,
}

impl<'a> Made<'a> {
    /// Who signs others.
    pub fn ca(name: &'a str) -> Self {
        let extensions = &["keyUsage=keyCertSign,cRLSign"];
        Self { name, subject: "", by: None, extensions, days: "60" }
    }

    /// One that `by` signs.
    pub fn by(by: &'a str, name: &'a str, extensions: &'a [&'a str]) -> Self {
        Self { name, subject: "", by: Some(by), extensions, days: "60" }
    }

    /// Makes `NAME.pem` and `NAME.key` in `dir`.
    pub fn into_dir(self, dir: &Path) {
        let Self { name, subject, by, extensions, days } = self;
        let subject = if subject.is_empty() { format!("/CN={name}") } else { subject.to_owned() };
        let mut openssl = Command::new("openssl");
        openssl.current_dir(dir).args(["req", "-x509", "-nodes", "-days", days, "-newkey", "ec"]);
        openssl.args(["-pkeyopt", "ec_paramgen_curve:P-256", "-subj", &subject]);
        openssl.args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")]);
        for extension in extensions {
            openssl.args(["-addext", extension]);
        }
        if let Some(by) = by {
            openssl.args(["-CA", &format!("{by}.pem"), "-CAkey", &format!("{by}.key")]);
            openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        }
        run(&mut openssl);
    }
}

/// Makes `NAME.pem` and `NAME.key`, signed by `by` for this machine; it expired yesterday.
pub fn expired(dir: &Path, by: &str, name: &str) {
    let request = format!("{name}.csr");
    let extensions = format!("{name}.ext");
    let mut openssl = Command::new("openssl");
    let openssl = openssl.current_dir(dir).args(["req", "-new", "-nodes", "-newkey", "ec"]);
    let openssl = openssl.args(["-pkeyopt", "ec_paramgen_curve:P-256"]);
    let openssl = openssl.args(["-keyout", &format!("{name}.key"), "-out", &request]);
    run(openssl.args(["-subj", &format!("/CN={name}")]));
    std::fs::write(dir.join(&extensions), LOCAL).unwrap();
    let mut openssl = Command::new("openssl");
    let openssl = openssl.current_dir(dir).args(["x509", "-req", "-days", "-1", "-in", &request]);
    let openssl = openssl.args(["-CA", &format!("{by}.pem"), "-CAkey", &format!("{by}.key")]);
    run(openssl.args(["-extfile", &extensions, "-out", &format!("{name}.pem")]));
}

/// A certificate authority `ca.pem`, and `tls.pem` with `tls.key` for this machine, in `dir`.
pub fn usual(dir: &Path) {
    Made::ca("ca").into_dir(dir);
    Made::by("ca", "tls", &[LOCAL]).into_dir(dir);
}

/// The configuration with TLS on its listeners; `more` keys in the table.
pub fn with_tls(text: &str, more: &str) -> String {
    let tls = format!("[listen]\ntls = {{ cert = \"tls.pem\", key = \"tls.key\"{more} }}");
    let changed = text.replacen("[listen]", &tls, 1);
    assert_ne!(changed, text);
    changed
}

/// Runs a program that must succeed, and gives what it printed.
pub fn run(command: &mut Command) -> String {
    let ran = command.output().unwrap_or_else(|why| panic!("{command:?}: {why}"));
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{command:?}: {said}");
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

/// One request by `curl`.
#[derive(Debug, Clone)]
pub struct Curl {
    args: Vec<String>,
    url: String,
}

/// What `curl` saw.
#[derive(Debug)]
pub struct Seen {
    /// 0 where there was no answer.
    pub status: u16,
    /// `1.1` or `2`.
    pub version: String,
    /// The header lines as they came.
    pub head: String,
    pub body: String,
    /// What it said on standard error.
    pub said: String,
}

impl Curl {
    /// A request for `https://HOST/PATH` to a listener, verified with `ca`.
    pub fn https(at: SocketAddr, host: &str, path: &str, ca: &Path) -> Self {
        let ca = ca.to_str().unwrap();
        Self::to(at, &format!("https://{host}{path}"), host).arg("--cacert").arg(ca)
    }

    /// The same in the clear.
    pub fn http(at: SocketAddr, host: &str, path: &str) -> Self {
        Self::to(at, &format!("http://{host}{path}"), host)
    }

    fn to(at: SocketAddr, url: &str, host: &str) -> Self {
        let to = format!("{host}::{}:{}", at.ip(), at.port());
        Self { args: Vec::new(), url: url.to_owned() }.arg("--connect-to").arg(&to)
    }

    #[must_use]
    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    #[must_use]
    pub fn header(self, line: &str) -> Self {
        self.arg("--header").arg(line)
    }

    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.header("Content-Type: application/json").arg("--data").arg(&body.to_string())
    }

    /// With a certificate of the client's own.
    #[must_use]
    pub fn shows(self, dir: &Path, name: &str) -> Self {
        let file = |end: &str| dir.join(format!("{name}.{end}")).to_str().unwrap().to_owned();
        self.arg("--cert").arg(&file("pem")).arg("--key").arg(&file("key"))
    }

    /// Asks, on a thread that may wait.
    pub async fn ask(self) -> Seen {
        tokio::task::spawn_blocking(move || self.ask_now()).await.unwrap()
    }

    fn ask_now(self) -> Seen {
        let head: PathBuf = tempfile::NamedTempFile::new().unwrap().into_temp_path().to_path_buf();
        let ran = Command::new("curl")
            .args(["--silent", "--show-error", "--max-time", "30", "--noproxy", "*"])
            .arg("--dump-header")
            .arg(&head)
            .args(["--write-out", "\n%{http_version} %{http_code}"])
            .args(&self.args)
            .arg(&self.url)
            .output()
            .unwrap();
        let out = String::from_utf8_lossy(&ran.stdout);
        let (body, last) = out.rsplit_once('\n').unwrap();
        let (version, status) = last.split_once(' ').unwrap();
        let headers = std::fs::read_to_string(&head).unwrap_or_default();
        let _ = std::fs::remove_file(&head);
        Seen {
            status: status.parse().unwrap(),
            version: version.to_owned(),
            head: headers,
            body: body.to_owned(),
            said: String::from_utf8_lossy(&ran.stderr).into_owned(),
        }
    }
}
