//! A real systemd with nothing but a test's own units, in namespaces of its own: see `machine.sh`.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use tempfile::TempDir;

use crate::support::installed;

/// Where control groups of version 2 are: beside those of version 1, or alone.
const GROUPS: [&str; 2] = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];

/// A machine that runs. Dropping it ends it, and all its processes.
pub(crate) struct Machine {
    started: Child,
    first: u32,
    group: PathBuf,
    _dir: TempDir,
}

impl Machine {
    /// Starts one, if that can be done here.
    pub(crate) fn start() -> Option<Self> {
        let group = GROUPS.map(Path::new).into_iter().find(|it| it.join("cgroup.procs").exists());
        let systemd = Path::new("/lib/systemd/systemd").exists();
        let root = rustix::process::geteuid().is_root();
        if !installed::all(&[
            ("systemd", systemd),
            ("root, to start a systemd in namespaces", root),
            ("the right to mount (unshare --mount)", installed::mounts()),
            ("control groups of version 2", group.is_some()),
        ]) {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let name = dir.path().file_name().unwrap().to_str().unwrap();
        let group = group.unwrap().join(format!("oncegate-test{name}"));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/deploy/machine.sh");
        let mut command = Command::new(script);
        command.arg(dir.path()).arg(&group).stdin(Stdio::null()).stdout(Stdio::null());
        let started = command.spawn().unwrap();
        let mut machine = Self { started, first: 0, group, _dir: dir };
        machine.boots();
        Some(machine)
    }

    fn boots(&mut self) {
        let scope = self.group.join("init.scope/cgroup.procs");
        let first = waited(&format!("cat {} 2>/dev/null | head -1 | grep .", scope.display()));
        let ended = self.started.try_wait().unwrap();
        assert!(ended.is_none(), "the machine does not start: {ended:?}");
        self.first = first.unwrap().trim().parse().unwrap();
        self.comes_to("systemctl is-system-running", "running");
    }

    /// A path of the machine, as this one sees it.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        Path::new("/proc").join(self.first.to_string()).join("root").join(path.trim_matches('/'))
    }

    /// Runs a line of shell on the machine; whether it succeeded, and what it printed.
    pub(crate) fn try_run(&self, line: &str) -> (bool, String) {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=1", "100", "nsenter", "--all", "--target"]);
        command.arg(self.first.to_string()).args(["--", "sh", "-c", line]);
        let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().unwrap();
        let said = [stdout, stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
        (status.success(), said.concat().trim().to_owned())
    }

    /// Runs a line of shell on the machine, which must succeed; gives what it printed.
    pub(crate) fn run(&self, line: &str) -> String {
        let (good, said) = self.try_run(line);
        assert!(good, "{line}: {said}");
        said
    }

    /// Waits until a line of shell prints this.
    pub(crate) fn comes_to(&self, line: &str, expected: &str) {
        let wait = format!("until [ \"$({line})\" = '{expected}' ]; do sleep 0.05; done");
        let (good, _) = self.try_run(&wait);
        assert!(good, "{line}: {}, never {expected}", self.try_run(line).1);
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // The first process of a machine takes all others with it (--kill-child).
        let _ = self.started.kill();
        let _ = self.started.wait();
        let group = self.group.display();
        let _ =
            waited(&format!("find {group} -depth -type d -exec rmdir {{}} ';'; [ ! -d {group} ]"));
    }
}

/// Tries a line of shell until it succeeds, for a minute at most; gives what it then printed.
fn waited(line: &str) -> Option<String> {
    let wait = format!("until {{ {line}; }} 2>/dev/null; do sleep 0.05; done");
    let output = Command::new("timeout").args(["60", "sh", "-c", &wait]).output().unwrap();
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
