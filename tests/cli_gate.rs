//! The commands that ask a running gate, against one that `oncegate serve` runs.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails where it stands")]

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// A gate in a process of its own; killed when dropped.
struct Served {
    dir: TempDir,
    child: Child,
    api: String,
    admin: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn oncegate(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oncegate"));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("ONCEGATE_")) {
            command.env_remove(name);
        }
    }
    command.current_dir(dir);
    command
}

fn run(dir: &Path, arguments: &[&str]) -> Output {
    oncegate(dir).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn serve() -> Served {
    let dir = tempfile::tempdir().unwrap();
    let made = run(dir.path(), &["caller", "new", "billing"]);
    let made = text(&made.stdout);
    let key = dir.path().join("api.key");
    fs::write(&key, made.lines().nth(1).unwrap()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let stanza = made.split_once("[[callers]]").unwrap().1;
    let stanza = stanza.replace("may = [\"issue\"]", "may = [\"issue\", \"inspect\"]");
    let config = format!(
        r#"
[gate]
name = "gate-a"
issuer = "https://login.example.com"
[listen]
public = "127.0.0.1:0"
api = "127.0.0.1:0"
admin = "127.0.0.1:0"
[[sites]]
name = "panel"
origin = "https://panel.example.com"
[sites.destinations]
invoice = "/invoices/{{0}}"
[[callers]]{stanza}"#
    );
    fs::write(dir.path().join("oncegate.toml"), config).unwrap();
    assert!(run(dir.path(), &["keys", "new"]).status.success());
    let mut child = oncegate(dir.path()).arg("serve").stderr(Stdio::piped()).spawn().unwrap();
    let (api, admin) = ready(&mut child);
    Served { dir, child, api, admin }
}

/// Reads the log until the gate is ready; says where its API and its admin listener are.
fn ready(child: &mut Child) -> (String, String) {
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut all = String::new();
    loop {
        let mut line = String::new();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended: {all}");
        if let Ok(Value::Object(entry)) = serde_json::from_str(&line)
            && entry.get("message").is_some_and(|message| message == "ready")
        {
            // What follows is read away: a full pipe would block the gate.
            std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
            let at = |name: &str| entry[name].as_str().unwrap().to_owned();
            return (at("api"), at("admin"));
        }
        all.push_str(&line);
    }
}

impl Served {
    fn ask(&self, arguments: &[&str]) -> Output {
        let api = format!("http://{}", self.api);
        let more = ["--api", &api, "--key-file", "api.key"];
        run(self.dir.path(), &[arguments, &more].concat())
    }

    fn terminate(mut self) -> Option<i32> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

#[test]
fn a_link_is_printed_and_passes_inspection_here_and_at_the_gate() {
    let gate = serve();
    let link = gate.ask(&["link", "--user", "joe", "--destination", "invoice", "--value", "7"]);
    assert!(link.status.success(), "{}", text(&link.stderr));
    let url = text(&link.stdout).trim();
    assert!(url.starts_with("https://panel.example.com/_once/l/"), "{url}");
    let seen = gate.ask(&["inspect", url]);
    assert!(seen.status.success(), "{} {}", text(&seen.stdout), text(&seen.stderr));
    assert!(text(&seen.stdout).contains("valid, and not used yet"), "{}", text(&seen.stdout));
    assert!(text(&seen.stdout).contains("/invoices/7"), "{}", text(&seen.stdout));
    assert_eq!(gate.terminate(), Some(0));
}

#[test]
fn a_link_is_printed_whole_as_json_and_its_asker_may_come_from_the_environment() {
    let gate = serve();
    let key = fs::read_to_string(gate.dir.path().join("api.key")).unwrap();
    let link = oncegate(gate.dir.path())
        .args(["link", "--user", "joe", "--ttl", "30", "--json"])
        .env("ONCEGATE_LINK__API", format!("http://{}/", gate.api))
        .env("ONCEGATE_LINK__KEY", key)
        .output()
        .unwrap();
    assert!(link.status.success(), "{}", text(&link.stderr));
    let link: Value = serde_json::from_slice(&link.stdout).unwrap();
    assert_eq!(link["expires_in"], 30);
}

#[test]
fn a_refusal_names_its_code_and_the_field() {
    let gate = serve();
    for (arguments, code) in [
        (&["link", "--user", "joe", "--ttl", "999999"][..], "ttl_too_long"),
        (&["link", "--user", "joe", "--destination", "nowhere"], "unknown_destination"),
        (&["link", "--user", "joe", "--site", "shop"], "forbidden"),
        (&["link", "--user", ""], "invalid_request"),
    ] {
        let refused = gate.ask(arguments);
        assert_eq!(refused.status.code(), Some(1), "{arguments:?}");
        let said = text(&refused.stderr);
        assert!(said.starts_with(&format!("oncegate: refused: {code}: ")), "{said}");
    }
    fs::write(gate.dir.path().join("api.key"), "og_of_nobody").unwrap();
    let refused = gate.ask(&["link", "--user", "joe"]);
    let said = text(&refused.stderr);
    assert!(said.starts_with("oncegate: refused: unauthorized: "), "{said}");
}

#[test]
fn a_running_gate_is_healthy() {
    let gate = serve();
    let health = run(gate.dir.path(), &["health", "--admin", &gate.admin]);
    assert_eq!((health.status.code(), text(&health.stdout)), (Some(0), "ready\n"));
}

#[test]
fn a_gate_that_waits_for_the_state_of_another_still_ends_by_a_signal() {
    let first = serve();
    // The first one's port on another loopback address: nobody has that.
    let admin = first.admin.replace("127.0.0.1:", "127.0.0.2:");
    let mut second = oncegate(first.dir.path())
        .arg("serve")
        .env("ONCEGATE_LISTEN__ADMIN", &admin)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    loop {
        let health = run(first.dir.path(), &["health", "--admin", &admin]);
        assert_eq!(health.status.code(), Some(1));
        if text(&health.stderr).contains("starting") {
            break;
        }
        assert!(second.try_wait().unwrap().is_none(), "it ended before it waited");
    }
    kill_process(Pid::from_child(&second), Signal::TERM).unwrap();
    assert_eq!(second.wait().unwrap().code(), Some(0));
}
