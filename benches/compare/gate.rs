//! The gate under test: the real program in a process of its own, configured as a user would, with
//! its journal on a disk and its log in a file.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use oncegate::{gate::caller::KeyHash, ops::entropy, store::keys};

use crate::{
    answer::ask,
    machine::{Process, free_address, pause},
    requests,
};

/// The API key of the bench's own caller.
pub(crate) const KEY: &str = "og_bench";
/// The gate's name and issuer, and its site.
pub(crate) const NAME: &str = "bench";
pub(crate) const ISSUER: &str = "https://login.example.com";
pub(crate) const HOST: &str = "panel.example.com";

/// A gate's directory: keys, configuration, state, log.
#[derive(Debug)]
pub(crate) struct Home {
    pub dir: PathBuf,
    pub public: SocketAddr,
    pub api: SocketAddr,
    pub admin: SocketAddr,
    /// The words of a command line before the gate's own: a program that runs it.
    pub under: Vec<String>,
}

/// A gate that runs.
#[derive(Debug)]
pub(crate) struct Gate {
    pub process: Process,
    pub home: Home,
}

impl Home {
    /// A new one. `once` is what its section says beside the directory.
    pub(crate) fn new(dir: &Path, once: &str, upstream: Option<SocketAddr>) -> Self {
        fs::create_dir_all(dir).unwrap();
        let home = Self {
            dir: dir.to_owned(),
            public: free_address(),
            api: free_address(),
            admin: free_address(),
            under: Vec::new(),
        };
        keys::make(&dir.join("keys"), 1, entropy::random).unwrap();
        let upstream = upstream.map(|at| format!("upstream = \"http://{at}\"")).unwrap_or_default();
        let (public, api, admin) = (home.public, home.api, home.admin);
        let hash = KeyHash::of(KEY.as_bytes());
        let text = format!(
            r#"
[gate]
name = "{NAME}"
issuer = "{ISSUER}"
[listen]
public = "{public}"
api = "{api}"
admin = "{admin}"
client_ip = "x-forwarded-for"
trusted_proxies = ["127.0.0.0/8"]
[once]
dir = "state"
{once}
[[sites]]
name = "panel"
origin = "https://{HOST}"
{upstream}
[sites.headers]
"Remote-User" = "user"
[[callers]]
name = "billing"
key_sha256 = ["{hash:x}"]
sites = ["panel"]
may = ["issue", "redeem"]
max_ttl = "15m"
rate = "4000000/s"
"#
        );
        fs::write(dir.join("oncegate.toml"), text).unwrap();
        home
    }

    /// Makes two each other's peers: each keeps its own links, and knows the other's keys.
    pub(crate) fn pair(homes: &[Self; 2]) {
        let names = ["first", "second"];
        let peer = |(name, home): (&str, &Self)| format!("{name} = \"http://{}\"", home.public);
        let peers = names.into_iter().zip(homes).map(peer).collect::<Vec<_>>().join(", ");
        for (name, home) in names.into_iter().zip(homes) {
            let file = home.dir.join("oncegate.toml");
            let text = fs::read_to_string(&file)
                .unwrap()
                .replacen(&format!("name = \"{NAME}\""), &format!("name = \"{name}\""), 1)
                .replacen("[once]\n", &format!("[once]\npeers = {{ {peers} }}\n"), 1);
            fs::write(file, text).unwrap();
        }
        let [from, to] = homes.each_ref().map(|home| home.dir.join("keys"));
        fs::remove_dir_all(&to).unwrap();
        fs::create_dir(&to).unwrap();
        fs::set_permissions(&to, fs::metadata(&from).unwrap().permissions()).unwrap();
        for key in fs::read_dir(from).unwrap() {
            let key = key.unwrap();
            fs::copy(key.path(), to.join(key.file_name())).unwrap();
        }
    }

    /// Starts a gate here, without waiting for it.
    pub(crate) fn spawn(&self, core: usize) -> Process {
        let log = fs::File::options().append(true).create(true).open(self.dir.join("log")).unwrap();
        let mut words =
            self.under.iter().map(String::as_str).chain([env!("CARGO_BIN_EXE_oncegate")]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).arg("serve").arg("--config").arg(self.dir.join("oncegate.toml"));
        command.stdout(Stdio::null()).stderr(log);
        // What the bench's own environment says of logs is not what is measured.
        command.env_remove("ONCEGATE_LOG");
        Process::on_core(core, "oncegate", command)
    }

    /// Starts a gate here, and waits for its first answer; how long that took.
    pub(crate) fn start(self, core: usize) -> (Gate, Duration) {
        let started = Instant::now();
        let process = self.spawn(core);
        loop {
            let answer = ask(self.public, &requests::keys());
            if answer.is_some_and(|answer| answer.head.status == 200) {
                break;
            }
            let log = || fs::read_to_string(self.dir.join("log")).unwrap_or_default();
            assert!(started.elapsed() < Duration::from_secs(60), "does not start: {}", log());
            pause(Duration::from_micros(200));
        }
        let took = started.elapsed();
        (Gate { process, home: self }, took)
    }
}

impl Gate {
    /// So many links' tokens, distinct and unused.
    pub(crate) fn tokens(&self, count: usize) -> Vec<String> {
        // A log of gigabytes would measure the disk.
        fs::File::options()
            .write(true)
            .open(self.home.dir.join("log"))
            .unwrap()
            .set_len(0)
            .unwrap();
        let mut tokens = Vec::with_capacity(count);
        while tokens.len() < count {
            let answer = ask(self.home.api, &requests::batch((count - tokens.len()).min(1_000)));
            let answer = answer.expect("the gate answers");
            assert_eq!(answer.head.status, 200, "{}", answer.text);
            let links: Vec<serde_json::Value> = serde_json::from_str(answer.body()).unwrap();
            tokens.extend(links.iter().map(|link| link["token"].as_str().unwrap().to_owned()));
        }
        tokens
    }

    /// The cookie of somebody who has just signed in.
    pub(crate) fn cookie(&self) -> String {
        let token = self.tokens(1).remove(0);
        let answer = ask(self.home.public, &requests::form(&token)).unwrap();
        assert_eq!(answer.head.status, 303, "{}", answer.text);
        answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
    }

    /// The published keys, and the one among them that signs.
    pub(crate) fn keys(&self) -> (String, [u8; 32]) {
        let answer = ask(self.home.public, &requests::keys()).unwrap();
        let set: serde_json::Value = serde_json::from_str(answer.body()).unwrap();
        let token = self.tokens(1).remove(0);
        let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
        let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
        let keys = set["keys"].as_array().unwrap();
        let key = keys.iter().find(|key| key["kid"] == header["kid"]).unwrap();
        let x = URL_SAFE_NO_PAD.decode(key["x"].as_str().unwrap()).unwrap();
        (answer.body().to_owned(), x.try_into().unwrap())
    }
}
