//! `oncegate demo` as the real program: started, its printed addresses read, ended with the test.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::SocketAddr,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::http::Client;

/// A running demo. Dropping it kills it.
pub struct Demo {
    /// The start page's URL.
    pub start: String,
    /// The panel's URL, behind the gate.
    pub panel: String,
    /// The status page's URL.
    pub status: String,
    /// The curl command, as printed.
    pub curl: String,
    /// That of a WISECP client, as printed.
    pub wisecp: String,
    /// The name and the password for the APIs that want them.
    pub login: (String, String),
    /// Everything that was printed at the start.
    pub printed: String,
    /// Where it keeps its keys and state.
    pub tmp: tempfile::TempDir,
    /// Where its API is.
    pub api: SocketAddr,
    /// The API key of the caller `billing`.
    pub key: String,
    /// That of the caller `manager`, who stands for a reseller.
    pub manager: String,
    process: Process,
    stdout: BufReader<ChildStdout>,
}

impl Demo {
    /// Starts one and waits until it has printed everything.
    pub fn start() -> Self {
        let tmp = tempfile::tempdir().unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_oncegate"))
            .arg("demo")
            .env("TMPDIR", tmp.path())
            .env_remove("ONCEGATE_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the demo starts");
        let mut process = Process(process);
        let mut stdout = BufReader::new(process.0.stdout.take().unwrap());
        let (mut printed, mut curls) = (String::new(), Vec::new());
        loop {
            let before = printed.len();
            let read = stdout.read_line(&mut printed).unwrap();
            assert_ne!(read, 0, "the demo ended after: {printed}");
            let line = printed[before..].trim().to_owned();
            if line.starts_with("curl ") {
                curls.push(line);
            }
            if let [curl, wisecp] = &curls[..] {
                let curls = [curl.clone(), wisecp.clone()];
                return Self::of(tmp, process, stdout, printed, curls);
            }
        }
    }

    fn of(
        tmp: tempfile::TempDir,
        process: Process,
        stdout: BufReader<ChildStdout>,
        printed: String,
        [curl, wisecp]: [String; 2],
    ) -> Self {
        let after = |what: &str| {
            let line = printed.lines().find_map(|line| line.trim().strip_prefix(what));
            line.unwrap_or_else(|| panic!("no {what:?} in {printed}")).trim().to_owned()
        };
        let login = after("Its name and password ");
        let (name, password) = login.split_once(" / ").unwrap();
        let api = url::Url::parse(&after("The API ")).unwrap();
        let api = format!("{}:{}", api.host_str().unwrap(), api.port().unwrap());
        Self {
            start: after("Start here "),
            panel: after("The panel, behind the gate "),
            status: after("Status and metrics "),
            login: (name.to_owned(), password.to_owned()),
            key: after("API key of \"billing\" "),
            manager: after("API key of \"manager\" "),
            api: api.parse().unwrap(),
            tmp,
            curl,
            wisecp,
            printed,
            process,
            stdout,
        }
    }

    /// A link for this user to invoice 1042.
    pub async fn link(&self, user: &str) -> String {
        self.link_with(json!({ "user": user })).await
    }

    /// A link with these further members.
    pub async fn link_with(&self, more: Value) -> String {
        let mut ask = json!({ "destination": "invoice", "destination_values": [1042] });
        for (name, value) in more.as_object().unwrap() {
            ask[name] = value.clone();
        }
        let client = Client::new(self.api).bearer(&self.key);
        let answer = client.post_json("/v1/links", &ask).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["url"].as_str().unwrap().to_owned()
    }

    /// Asks it to end, as a service manager would, and gives its status and what else it printed.
    pub fn end(mut self) -> (ExitStatus, String) {
        let pid = i32::try_from(self.process.0.id()).ok().and_then(Pid::from_raw).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        let status = self.process.0.wait().unwrap();
        let left: Vec<_> = std::fs::read_dir(self.tmp.path()).unwrap().collect();
        assert!(left.is_empty(), "left behind: {left:?}");
        (status, rest)
    }
}

/// Ends with its value, whatever becomes of the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
