//! The real binary in a process of its own, on a directory that outlives it.

use std::{
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpListener},
    os::fd::AsFd,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use command_fds::{CommandFdExt as _, FdMapping};
use oncegate::{ops::clock::Clock, ops::entropy, store::keys};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{
    gate::{BILLING, Link, PANEL, usual},
    http::{Answer, Client},
    upstream::Upstream,
};

/// How long a process may take for what a test waits for. A limit, not an expectation.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What outlives a process: configuration, keys, state.
pub struct Home {
    pub dir: TempDir,
    config: PathBuf,
}

impl Home {
    /// A directory with keys, and a configuration that `change` makes of the usual one.
    pub async fn new(change: impl FnOnce(String) -> String) -> Self {
        Self::holding(&change(usual(&Upstream::start().await)))
    }

    /// A directory with keys and this configuration.
    pub fn holding(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let now = Clock::default().now();
        keys::make(&dir.path().join("keys"), now - 3_600, entropy::random).unwrap();
        let config = dir.path().join("oncegate.toml");
        std::fs::write(&config, text).unwrap();
        Self { dir, config }
    }

    /// Changes the configuration that the next start will read.
    pub fn reconfigure(&self, change: impl FnOnce(String) -> String) {
        let text = std::fs::read_to_string(&self.config).unwrap();
        let changed = change(text.clone());
        assert_ne!(changed, text, "the change of the configuration changes nothing");
        std::fs::write(&self.config, changed).unwrap();
    }

    /// Starts a gate, without waiting for it.
    pub fn spawn(&self) -> Process {
        self.spawn_with(&[])
    }

    /// Starts a gate with these variables in its environment, without waiting for it.
    pub fn spawn_with(&self, env: &[(&str, &str)]) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oncegate"));
        self.run(command.envs(env.iter().copied()))
    }

    /// Starts a gate as systemd would that hands it these sockets, without waiting for it.
    pub fn spawn_on<S: AsFd>(&self, sockets: &[S], env: &[(&str, &str)]) -> Process {
        self.spawn_through(&[], sockets, env)
    }

    /// As [`Home::spawn_on`], by way of another program that is given them and starts the gate.
    pub fn spawn_through<S: AsFd>(
        &self,
        program: &[&str],
        sockets: &[S],
        env: &[(&str, &str)],
    ) -> Process {
        let mapped = sockets.iter().zip(3..).map(|(socket, child_fd)| FdMapping {
            parent_fd: socket.as_fd().try_clone_to_owned().unwrap(),
            child_fd,
        });
        let mut command = Command::new("sh");
        command
            .args(["-c", "export LISTEN_PID=$$; exec \"$@\"", "sh"])
            .args(program)
            .arg(env!("CARGO_BIN_EXE_oncegate"))
            .env("LISTEN_FDS", sockets.len().to_string())
            .envs(env.iter().copied())
            .fd_mappings(mapped.collect())
            .unwrap();
        self.run(&mut command)
    }

    fn run(&self, command: &mut Command) -> Process {
        if !command.get_envs().any(|(name, _)| name == "ONCEGATE_LOG") {
            command.env("ONCEGATE_LOG", "warn,oncegate::app=info");
        }
        let mut child = command
            .arg("serve")
            .arg("--config")
            .arg(&self.config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (said, lines) = unbounded_channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        // A thread, so that the process never waits for somebody to read what it says.
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = said.send(line);
            }
        });
        Process { child, lines, said: Vec::new() }
    }

    /// Starts a gate, and waits until it is ready.
    pub async fn start(&self) -> (Process, At) {
        let mut process = self.spawn();
        let at = process.ready().await;
        (process, at)
    }
}

/// Sockets that outlive a gate: `public`, `api`, `admin`.
pub struct Sockets(pub [TcpListener; 3]);

impl Sockets {
    /// Listens on this machine.
    pub fn bind() -> Self {
        Self([(); 3].map(|()| {
            let socket = TcpListener::bind("127.0.0.1:0").unwrap();
            // As systemd does; the standard library has 128.
            rustix::net::listen(&socket, 4096).unwrap();
            socket
        }))
    }

    /// Where whoever has them answers.
    pub fn at(&self) -> At {
        let [public, api, admin] = self.0.each_ref().map(|socket| socket.local_addr().unwrap());
        At { public, api, admin }
    }
}

/// A gate's process. Dropping it kills it.
pub struct Process {
    child: Child,
    lines: UnboundedReceiver<String>,
    /// What it has said so far.
    pub said: Vec<String>,
}

impl Process {
    /// Waits until it says that it is ready, and gives its addresses.
    pub async fn ready(&mut self) -> At {
        let line = self.says("\"ready\"").await;
        let line: Value = serde_json::from_str(&line).unwrap();
        let at = |name: &str| line[name].as_str().unwrap().parse().unwrap();
        At { public: at("public"), api: at("api"), admin: at("admin") }
    }

    /// Waits for a line with `part` in it.
    pub async fn says(&mut self, part: &str) -> String {
        let found = async {
            while let Some(line) = self.lines.recv().await {
                self.said.push(line.clone());
                if line.contains(part) {
                    return Some(line);
                }
            }
            None
        };
        let found = tokio::time::timeout(PATIENCE, found).await.unwrap_or_default();
        found.unwrap_or_else(|| panic!("never said {part}, but\n{}", self.said.join("\n")))
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The bytes of memory that it has resident.
    pub fn resident(&self) -> u64 {
        let status = format!("/proc/{}/status", self.child.id());
        let text = std::fs::read_to_string(status).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Whether it has not ended.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// SIGKILL; it is gone when this returns.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGKILL: all that it had said.
    pub async fn killed(mut self) -> String {
        self.child.kill().unwrap();
        self.ended().await.1
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
    }

    /// Waits for its end: the exit code, and all that it said.
    pub async fn ended(mut self) -> (Option<i32>, String) {
        let rest = async {
            while let Some(line) = self.lines.recv().await {
                self.said.push(line);
            }
        };
        let all = tokio::time::timeout(PATIENCE, rest).await;
        assert!(all.is_ok(), "still runs, and said\n{}", self.said.join("\n"));
        (self.child.wait().unwrap().code(), self.said.join("\n"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Any process that ends with its owner.
pub struct Ended(pub Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where a process answers.
#[derive(Debug, Clone, Copy)]
pub struct At {
    pub public: SocketAddr,
    pub api: SocketAddr,
    pub admin: SocketAddr,
}

impl At {
    /// Waits until a metric has this value: whoever was cut off may know before it is counted.
    pub async fn counts(self, metric: &str, value: usize) {
        let line = format!("{metric} {value}");
        let counted = async {
            loop {
                let answer = Client::new(self.admin).get("/metrics").await;
                if answer.text().lines().any(|found| found == line) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let counted = tokio::time::timeout(PATIENCE, counted).await;
        assert!(counted.is_ok(), "never {line}");
    }

    /// The API, as the caller `billing`.
    pub fn client(self) -> Client {
        Client::new(self.api).bearer(BILLING)
    }

    /// A link for `joe`, with the longest life that the caller may ask for.
    pub async fn link(self) -> Link {
        let ask = json!({ "user": "joe", "ttl": 300 });
        let answer = self.client().post_json("/v1/links", &ask).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        Link::of(&answer.json())
    }

    /// Redeems over the API.
    pub async fn redeem(self, link: &Link) -> Answer {
        self.client().post_json("/v1/redeem", &json!({ "token": link.token })).await
    }

    /// Posts the link page's form.
    pub async fn open(self, link: &Link) -> Answer {
        let browser = Client::new(self.public).host(PANEL).header("sec-fetch-site", "same-origin");
        browser.post_form(&link.path, &[], &[]).await
    }
}
