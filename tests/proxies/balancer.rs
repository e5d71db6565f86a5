//! A load balancer's process, and all that it writes.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
};

use crate::{
    certificate::Certificate,
    stand::Form,
    support::process::PATIENCE,
    visitor::{Secrets, Visitor},
};

/// A kind of load balancer.
pub(crate) trait Balancer {
    /// Whether it is installed: see `support::installed`.
    fn is_installed() -> bool;

    /// Whether a body may come whose length is not known beforehand.
    fn takes_unmeasured_bodies(_: Form) -> bool {
        true
    }

    /// Writes the files of this form into the place, and gives the commands that run it in the
    /// foreground. What it logs to files goes to [`Place::logs`]; what it prints is kept anyway.
    fn commands(form: Form, place: &Place) -> Vec<Command>;
}

/// Where a load balancer stands.
#[derive(Clone)]
pub(crate) struct Place {
    /// Its own directory.
    pub(crate) dir: PathBuf,
    /// Where it is visited.
    pub(crate) https: SocketAddr,
    /// Where it sends visitors on to https.
    pub(crate) http: SocketAddr,
    /// The gate's public listener.
    pub(crate) gate: SocketAddr,
    pub(crate) application: SocketAddr,
    pub(crate) certificate: Certificate,
}

impl Place {
    /// The directory of everything that it logs.
    pub(crate) fn logs(&self) -> PathBuf {
        self.dir.join("logs")
    }
}

/// Running load balancers. Dropping this ends them.
pub(crate) struct Running {
    children: Vec<Child>,
    logs: PathBuf,
}

impl Running {
    /// Starts these, and waits until the gate is reached through them: some listen before they
    /// have read what they are to do.
    pub(crate) async fn start(commands: Vec<Command>, place: &Place) -> Self {
        let logs = place.logs();
        fs::create_dir_all(&logs).unwrap();
        let mut running = Self { children: Vec::new(), logs };
        for (number, mut command) in commands.into_iter().enumerate() {
            let printed = File::create(running.logs.join(format!("printed-{number}"))).unwrap();
            let child = command
                .stdin(Stdio::null())
                .stdout(printed.try_clone().unwrap())
                .stderr(printed)
                .spawn()
                .unwrap();
            running.children.push(child);
        }
        let up = async {
            while !leads_to_the_gate(place).await {
                running.all_run();
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        let up = tokio::time::timeout(PATIENCE, up).await;
        assert!(up.is_ok(), "the gate is not reached:\n{}", running.logged());
        running
    }

    fn all_run(&mut self) {
        for number in 0..self.children.len() {
            let ended = self.children[number].try_wait().unwrap();
            assert!(ended.is_none(), "it ended:\n{}", self.logged());
        }
    }

    /// Everything they have printed and logged.
    pub(crate) fn logged(&self) -> String {
        let files = fs::read_dir(&self.logs).unwrap().map(|entry| entry.unwrap().path());
        files.map(|file| String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned()).collect()
    }

    /// The most memory that each process, its children too, has ever had resident, in KiB.
    pub(crate) fn peaks(&self) -> Vec<(u32, u64)> {
        let mut ids: Vec<u32> = self.children.iter().map(Child::id).collect();
        for process in fs::read_dir("/proc").unwrap().flatten() {
            let id = process.file_name().to_str().and_then(|name| name.parse().ok());
            let parent = status(&process.path(), "PPid:");
            if let (Some(id), Some(parent)) = (id, parent)
                && ids.iter().any(|known| u64::from(*known) == parent)
            {
                ids.push(id);
            }
        }
        ids.into_iter().map(|id| (id, peak(id))).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        use rustix::process::{Pid, Signal, kill_process};
        for child in &mut self.children {
            // In order, so that a master ends its workers too.
            if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::TERM);
            }
            let _ = child.wait();
        }
    }
}

/// Whether a path of the gate's own is answered, under the site's certificate.
async fn leads_to_the_gate(place: &Place) -> bool {
    let tls = Arc::new(place.certificate.client(&["http/1.1"]));
    let visitor = Visitor::new(place.https, tls, Secrets::default());
    let answer = visitor.try_get("/_once/session").await;
    // Nobody is signed in, and the gate says so.
    answer.is_ok_and(|answer| answer.status == 401)
}

/// The most memory that a process has ever had resident, in KiB.
pub(crate) fn peak(id: u32) -> u64 {
    status(Path::new(&format!("/proc/{id}")), "VmHWM:").expect("a process that runs")
}

fn status(process: &Path, name: &str) -> Option<u64> {
    let status = fs::read_to_string(process.join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
