//! Node + jose + Redis: what somebody would write in an afternoon.

use std::{
    net::SocketAddr,
    process::{Command, Stdio},
};

use crate::{
    gate::ISSUER,
    machine::{Process, free_address, version},
    peers::target,
};

/// A server in Node that runs.
#[derive(Debug)]
pub(crate) struct Node {
    pub process: Process,
    pub at: SocketAddr,
}

/// The versions, if all is there.
pub(crate) fn found() -> Option<String> {
    let of = |package: &str| {
        let file = target().join("npm/node_modules").join(package).join("package.json");
        let text = std::fs::read_to_string(file).ok()?;
        let package: serde_json::Value = serde_json::from_str(&text).ok()?;
        Some(package["version"].as_str()?.to_owned())
    };
    let node = version("node", "--version")?;
    Some(format!("node {node}, jose {}, redis (npm) {}", of("jose")?, of("redis")?))
}

impl Node {
    pub(crate) fn start(core: usize, jwks: &str, redis: SocketAddr) -> Self {
        let at = free_address();
        let mut command = Command::new("node");
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/compare/peers/redeem.cjs"));
        command.args([at.port().to_string(), redis.port().to_string()]);
        command.args([jwks, ISSUER]).env("NODE_PATH", target().join("npm/node_modules"));
        command.env("NODE_ENV", "production").stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = Process::on_core(core, "Node + jose + Redis", command);
        process.listens(at);
        Self { process, at }
    }
}
