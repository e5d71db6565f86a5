//! `oncegate health`: whether a gate is ready, for a container's health check.

use std::{
    io::{self, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use clap::Args;
use serde_json::Value;

use crate::{
    cli::{configuration::ConfigArgs, failure::Failure},
    ops::http_client::{self, Question},
};

/// What `--help` says at its end.
const AFTER: &str = "\
Asks GET /ready of the admin listener and prints the status: ready, or degraded while the store is
down. An unspecified address such as 0.0.0.0 is asked on loopback.

Examples:
  oncegate health
  HEALTHCHECK CMD [\"oncegate\", \"health\", \"--admin\", \"127.0.0.1:9090\"]

Exit codes: 0 ready, 1 not ready or no answer, 64 bad usage or configuration";

/// Asks whether a gate is ready
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct HealthArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The address of the admin listener, where no configuration is to be read
    #[arg(long, value_name = "ADDR")]
    admin: Option<SocketAddr>,
}

/// Asks, and prints the status.
///
/// # Errors
/// [`Failure`] unless it is ready.
pub async fn run(args: HealthArgs) -> Result<(), Failure> {
    let admin = match args.admin {
        Some(admin) => admin,
        None => args.config.load_alone()?.listen.admin,
    };
    let url = format!("http://{}/ready", reachable(admin));
    let answer = http_client::ask(Question { url: &url, key: None, post: None })
        .await
        .map_err(|error| Failure::Failed(error.to_string()))?;
    let member = |name: &str| answer.body.get(name).and_then(Value::as_str);
    let mut status = member("status").unwrap_or("no status").to_owned();
    if let Some(reason) = member("reason") {
        status.push_str(": ");
        status.push_str(reason);
    }
    if answer.status == 200 {
        return Ok(writeln!(io::stdout(), "{status}")?);
    }
    Err(Failure::Failed(format!("not ready: {status} ({url} answers {})", answer.status)))
}

/// Where a listener on `address` can be asked from this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unspecified_address_is_asked_on_loopback() {
        let asked = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(asked("0.0.0.0:9090"), "127.0.0.1:9090");
        assert_eq!(asked("[::]:9090"), "[::1]:9090");
        assert_eq!(asked("192.0.2.1:9090"), "192.0.2.1:9090");
    }
}
