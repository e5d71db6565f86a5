//! A Redis that remembers nothing on disk: for Node, and for a gate with `store = "redis"`.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
};

use crate::machine::{Process, free_address, version};

/// A Redis that runs.
#[derive(Debug)]
pub(crate) struct Redis {
    pub process: Process,
    pub at: SocketAddr,
}

/// The version, if it is there.
pub(crate) fn found() -> Option<String> {
    let line = version("redis-server", "--version")?;
    let number = line.split("v=").nth(1)?.split(' ').next()?;
    Some(format!("redis-server {number}"))
}

impl Redis {
    pub(crate) fn start(core: usize, dir: &Path) -> Self {
        std::fs::create_dir_all(dir).unwrap();
        let at = free_address();
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &at.port().to_string()]);
        command.args(["--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"]);
        command.arg("--dir").arg(dir).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = Process::on_core(core, "redis-server", command);
        process.listens(at);
        Self { process, at }
    }
}
