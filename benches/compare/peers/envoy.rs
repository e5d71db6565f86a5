//! Envoy's `jwt_authn`: verifies our tokens by our keys, and answers. It knows no "once": the same
//! token passes as often as it comes.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    gate::ISSUER,
    machine::{Process, free_address, version},
    peers::target,
};

/// An Envoy that runs.
#[derive(Debug)]
pub(crate) struct Envoy {
    pub process: Process,
    pub at: SocketAddr,
}

fn program() -> PathBuf {
    target().join("venv/bin/envoy")
}

/// The version, if it is there.
pub(crate) fn found() -> Option<String> {
    let line = version(program(), "--version")?;
    // "…/envoy  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL"
    Some(format!("envoy {}", line.split('/').rev().nth(3).unwrap_or(&line)))
}

impl Envoy {
    /// One worker thread, on one core.
    pub(crate) fn start(core: usize, dir: &Path, jwks: &str) -> Self {
        fs::create_dir_all(dir).unwrap();
        let at = free_address();
        let (ip, port) = (at.ip(), at.port());
        assert!(!jwks.contains('\''), "cannot be quoted");
        let text = format!(
            r#"
static_resources:
  listeners:
  - address: {{socket_address: {{address: {ip}, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: bench
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {{prefix: "/"}}
                direct_response: {{status: 200, body: {{inline_string: "good"}}}}
          http_filters:
          - name: envoy.filters.http.jwt_authn
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication
              providers:
                gate:
                  issuer: {ISSUER}
                  local_jwks: {{inline_string: '{jwks}'}}
              rules:
              - match: {{prefix: "/"}}
                requires: {{provider_name: gate}}
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
"#
        );
        let file = dir.join("envoy.yaml");
        fs::write(&file, text).unwrap();
        let mut command = Command::new(program());
        command.arg("-c").arg(&file).args(["--disable-hot-restart", "--concurrency", "1"]);
        command.args(["--log-level", "error"]).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = Process::on_core(core, "Envoy jwt_authn", command);
        process.listens(at);
        Self { process, at }
    }
}
