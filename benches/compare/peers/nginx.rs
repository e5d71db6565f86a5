//! nginx: the same site by `proxy_pass`, and the application behind both.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
};

use crate::machine::{Process, free_address, version};

/// A page of the application that is small, and one that is not.
pub(crate) const SMALL: &str = "/clientarea";
pub(crate) const LARGE: &str = "/large";
/// Bytes of the large one.
pub(crate) const LARGE_BYTES: usize = 1 << 20;

/// An nginx that runs.
#[derive(Debug)]
pub(crate) struct Nginx {
    pub process: Process,
    pub at: SocketAddr,
}

/// The version, if it is there.
pub(crate) fn found() -> Option<String> {
    version("nginx", "-v")
}

impl Nginx {
    /// The application: the cheapest to ask that there is, so that it is not what is measured.
    pub(crate) fn application(core: usize, dir: &Path) -> Self {
        fs::create_dir_all(dir).unwrap();
        fs::write(dir.join("large"), vec![b'x'; LARGE_BYTES]).unwrap();
        let server = format!(
            "root {};\n location = {SMALL} {{ return 200 \"Hello, joe. {}\\n\"; }}",
            dir.display(),
            "x".repeat(200)
        );
        Self::start(core, dir, "nginx (application)", "", &server)
    }

    /// A proxy before the application, which knows nobody.
    pub(crate) fn proxy(core: usize, dir: &Path, application: SocketAddr) -> Self {
        let upstream = format!(
            "upstream panel {{ server {application}; keepalive 128; keepalive_requests 1000000000; }}"
        );
        let server = "location / {
            proxy_pass http://panel;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $host;
            # Bodies stream, as through the gate: nothing waits on a disk.
            proxy_max_temp_file_size 0;
        }";
        Self::start(core, dir, "nginx proxy_pass", &upstream, server)
    }

    fn start(core: usize, dir: &Path, name: &str, upstream: &str, server: &str) -> Self {
        fs::create_dir_all(dir).unwrap();
        let at = free_address();
        let here = dir.display();
        let text = format!(
            "daemon off;
master_process off;
pid {here}/pid;
error_log {here}/error.log crit;
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    default_type text/plain;
    keepalive_requests 1000000000;
    client_body_temp_path {here}/body;
    proxy_temp_path {here}/proxy;
    fastcgi_temp_path {here}/fastcgi;
    uwsgi_temp_path {here}/uwsgi;
    scgi_temp_path {here}/scgi;
    {upstream}
    server {{
        listen {at} backlog=4096;
        {server}
    }}
}}
"
        );
        let file = dir.join("nginx.conf");
        fs::write(&file, text).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-p").arg(dir).arg("-c").arg(&file).stderr(Stdio::piped());
        let mut process = Process::on_core(core, name, command);
        process.listens(at);
        Self { process, at }
    }
}
