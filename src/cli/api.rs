//! Asking the API of a running gate: where it is, and with which key.

use std::{
    fmt::Write as _,
    fs::File,
    io::{self, Read as _, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::Value;
use url::{Host, Url};

use crate::{
    cli::failure::{Failure, without_secrets},
    gate::secret::Secret,
    ops::http_client::{self, Question},
};

/// The variable that names the API.
const API: &str = "ONCEGATE_LINK__API";
/// The variable that holds the key.
const KEY: &str = "ONCEGATE_LINK__KEY";
/// No key comes near this, in bytes.
const LARGEST_KEY: u64 = 4096;

/// Which gate to ask, and as which caller.
#[derive(Debug, Clone, Args)]
pub struct ApiArgs {
    /// The gate's api listener, as in `http://127.0.0.1:8081`
    #[arg(long, value_name = "URL")]
    pub api: Option<String>,
    /// A file that holds the caller's key and that others cannot read; default: the variable
    /// `ONCEGATE_LINK__KEY`
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
}

/// The API of one gate, as one caller.
#[derive(Debug)]
pub struct Api {
    base: String,
    key: Secret<String>,
}

impl ApiArgs {
    /// The API that the arguments name, or the environment.
    ///
    /// # Errors
    /// [`Failure::Usage`] where something is missing or is no such URL; [`Failure::Failed`] for
    /// a key file that cannot be read, or that others can.
    pub fn resolve(&self) -> Result<Api, Failure> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let Some(url) = self.api.clone().or_else(|| variable(API)) else {
            return Err(missing("which gate to ask", "--api http://127.0.0.1:8081", API));
        };
        let base = base(&url)?;
        let key = match (&self.key_file, variable(KEY)) {
            (Some(file), _) => read_key(file)?,
            (None, Some(key)) => Secret::new(key),
            (None, None) => return Err(missing("the caller's key", "--key-file FILE", KEY)),
        };
        Ok(Api { base, key })
    }
}

impl Api {
    /// Posts `value` to a path of the API, and gives the answer to a request that was granted.
    ///
    /// # Errors
    /// [`Failure::Failed`]: nobody answers, or the problem that came back.
    pub async fn post(&self, path: &str, value: &Value) -> Result<Value, Failure> {
        let url = [&self.base, path].concat();
        let question = Question { url: &url, key: Some(&self.key), post: Some(value) };
        let answer = http_client::ask(question)
            .await
            .map_err(|error| Failure::Failed(without_secrets(&error.to_string())))?;
        if (200..300).contains(&answer.status) {
            return Ok(answer.body);
        }
        Err(Failure::Failed(without_secrets(&refused(answer.status, &answer.body))))
    }
}

/// A problem (RFC 9457) as a line.
fn refused(status: u16, problem: &Value) -> String {
    let member = |name: &str| problem.get(name).and_then(Value::as_str);
    let Some(code) = member("code") else {
        return format!("the gate answers {status}\n  do: see that --api is its api listener");
    };
    let mut line = format!("refused: {code}: {}", member("title").unwrap_or("no reason is given"));
    if let Some(detail) = member("detail") {
        let _ = write!(line, " ({detail})");
    }
    if code == "unauthorized" {
        line.push_str("\n  do: use the key that `oncegate caller new` printed for this caller");
    }
    line
}

/// The URL without a slash at its end. What it may hold besides an address is not echoed.
fn base(url: &str) -> Result<String, Failure> {
    let wrong = |what: &str| Err(Failure::Usage(format!("the URL of the API {what}")));
    let Ok(parsed) = Url::parse(url) else {
        return wrong("is not a URL\n  do: write it as http://127.0.0.1:8081");
    };
    let secure = match parsed.scheme() {
        "http" => false,
        "https" => true,
        _ => return wrong("is neither http nor https\n  do: write it as http://127.0.0.1:8081"),
    };
    let plain = parsed.username().is_empty()
        && parsed.password().is_none()
        && parsed.query().is_none()
        && parsed.fragment().is_none();
    if !plain {
        return wrong("has more than an address and a path\n  do: write it as http://HOST:PORT");
    }
    let local = match parsed.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if !local && !secure {
        let what = "the key crosses the network in the clear to reach that API";
        let _ = writeln!(io::stderr(), "oncegate: warning: {what}");
    }
    Ok(parsed.as_str().trim_end_matches('/').to_owned())
}

/// The key in a file, that others cannot read.
fn read_key(path: &Path) -> Result<Secret<String>, Failure> {
    let shown = path.display();
    let unreadable = |error| Failure::Failed(format!("cannot read {shown}: {error}"));
    let mut file = File::open(path).map_err(unreadable)?;
    // Asked of the open file, so that what was judged is what is read.
    let mode = file.metadata().map_err(unreadable)?.mode() & 0o7777;
    if mode & 0o007 != 0 {
        return Err(Failure::Failed(format!(
            "{shown} can be read by others (mode {mode:04o})\n  do: chmod 600 {shown}"
        )));
    }
    let mut text = String::new();
    (&mut file).take(LARGEST_KEY).read_to_string(&mut text).map_err(unreadable)?;
    let text = Secret::new(text);
    match text.expose().trim() {
        key if !key.is_empty() && key.bytes().all(|b| b.is_ascii_graphic()) => {
            Ok(Secret::new(key.to_owned()))
        }
        _ => Err(Failure::Failed(format!(
            "{shown} does not hold a key\n  do: put the key there that `oncegate caller new` printed, \
             and nothing else"
        ))),
    }
}

fn missing(what: &str, option: &str, variable: &str) -> Failure {
    Failure::Usage(format!("{what} is not said\n  do: give {option}, or set {variable}"))
}
