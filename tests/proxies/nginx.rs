//! nginx, as Debian has it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    balancer::{Balancer, Place},
    deployed::Deployed,
    scenario::{behind, forged},
    stand::{Form, Stand},
    support::installed,
};

pub(crate) struct Nginx;

behind!(Nginx);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_need_not_sign_in_is_nobody() {
    forged::nor_for_whoever_need_not_sign_in::<Nginx>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_reads_every_form_without_complaint() {
    for form in Form::ALL {
        let Some(stand) = Stand::start::<Nginx>(form).await else { return };
        let read = nginx(&stand.place.dir.join("nginx.conf")).arg("-t").output().unwrap();
        let said = String::from_utf8_lossy(&read.stderr);
        assert!(read.status.success() && said.contains("is successful"), "{form:?}: {said}");
        assert!(!said.contains("[warn]"), "{form:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_takes_nothing_from_the_request_that_it_is_about() {
    let Some(stand) = Stand::start::<Nginx>(Form::ForwardAuth).await else { return };
    let visitor = stand.signed_in().await;
    // None of this may reach the question: the gate would wait for a body, or say 304 or 412.
    let headers = [
        ("Content-Type", "text/plain"),
        ("Range", "bytes=0-1"),
        ("If-None-Match", "*"),
        ("If-Match", "\"x\""),
        ("If-Modified-Since", "Sat, 01 Jan 2033 00:00:00 GMT"),
        ("X-Original-URL", "https://panel.example.com/public"),
        ("X-Original-Method", "OPTIONS"),
        ("X-Original-URI", "/public"),
    ];
    let answer = visitor.request("POST", "/echo", &headers, &b"x".repeat(100_000)).await;
    assert_eq!((answer.status, answer.body.len()), (200, 100_000));
    let asked = stand.application.asked_for("/echo");
    assert_eq!(asked.header("range"), ["bytes=0-1"]);
    // Nor does it make of nobody's request another one, which might need nobody.
    let nobody = stand.visitor().request("POST", "/echo", &headers, b"x").await;
    assert_eq!(nobody.status, 401, "{nobody:?}");
    stand.logs_hold_no_secret().await;
}

impl Balancer for Nginx {
    fn is_installed() -> bool {
        installed::programs(&["nginx"])
    }

    fn commands(form: Form, place: &Place) -> Vec<Command> {
        vec![nginx(&write(form, place, |site| site))]
    }
}

/// Writes the deployed files and a main file around them, as Debian's is around `conf.d` and
/// `sites-enabled`; gives the main file. `change` changes the site's own file.
pub(crate) fn write(
    form: Form,
    place: &Place,
    change: impl FnOnce(Deployed) -> Deployed,
) -> PathBuf {
    let (dir, logs) = (place.dir.display(), place.logs());
    Deployed::read("nginx/oncegate.conf")
        .replace("127.0.0.1:8080", place.gate)
        .write(place.dir.join("common.conf"));
    let log = logs.join("panel.log");
    let site = Deployed::read(&format!("nginx/{}.conf", form.name()))
        .replace("listen 80;", format!("listen {};", place.http))
        .replace("listen 443 ssl http2;", format!("listen {} ssl http2;", place.https))
        .replace("/etc/ssl/certs/panel.example.com.pem", place.certificate.chain().display())
        .replace("/etc/ssl/private/panel.example.com.key", place.certificate.key().display())
        .replace("/var/log/nginx/panel.log", log.display())
        .replace("/var/log/nginx/panel.error.log", logs.join("panel.error.log").display());
    let site = match form {
        Form::Through => site,
        _ => site.replace("127.0.0.1:3000", place.application),
    };
    change(site).write(place.dir.join("site.conf"));
    let main = place.dir.join("nginx.conf");
    let text = format!(
        "daemon off; pid {dir}/pid; worker_processes 1; error_log {logs}/main.log;
events {{ worker_connections 768; }}
http {{
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi; uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
  access_log off;
  include {dir}/common.conf;
  include {dir}/site.conf;
}}
",
        logs = logs.display()
    );
    fs::write(&main, text).unwrap();
    main
}

pub(crate) fn nginx(main: &Path) -> Command {
    let mut command = Command::new("nginx");
    command.arg("-c").arg(main).arg("-e").arg("stderr");
    command
}
