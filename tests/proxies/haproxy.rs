//! HAProxy 2.6, as Debian has it.

use std::{fs, path::Path, process::Command};

use crate::{
    balancer::{Balancer, Place},
    deployed::Deployed,
    nginx::{self, Nginx},
    scenario::{addresses, behind, forged, signing_in},
    stand::{Form, Stand},
    support::{installed, ports},
};

pub(crate) struct Haproxy;

behind!(Haproxy);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_need_not_sign_in_is_nobody() {
    forged::nor_for_whoever_need_not_sign_in::<Haproxy>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_reads_every_form_without_complaint() {
    for form in Form::ALL {
        let Some(stand) = Stand::start::<Haproxy>(form).await else { return };
        let file = stand.place.dir.join("haproxy.cfg");
        let read = haproxy(&file).arg("-c").output().unwrap();
        let said = [read.stdout, read.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(read.status.success(), "{form:?}: {said}");
        assert!(!said.contains("WARNING"), "{form:?}: {said}");
    }
}

/// With a script that fails in the middle, which to HAProxy is no reason to stop.
struct WithFailingScript;

impl Balancer for WithFailingScript {
    fn is_installed() -> bool {
        Haproxy::is_installed()
    }

    fn commands(form: Form, place: &Place) -> Vec<Command> {
        let commands = Haproxy::commands(form, place);
        let script = place.dir.join("oncegate.lua");
        let text = fs::read_to_string(&script).unwrap();
        let failing = text.replace("  local told = question(txn)\n", "  error(\"it fails\")\n");
        assert_ne!(failing, text);
        fs::write(script, failing).unwrap();
        commands
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_that_fails_lets_nobody_in() {
    let Some(stand) = Stand::start::<WithFailingScript>(Form::ForwardAuth).await else { return };
    let visitor = stand.signed_in().await;
    let answer = visitor.get("/orders").await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(stand.application.asked().is_empty());
}

/// With the line of the file that is commented out in place of the one that is not.
struct ByProxyProtocol;

impl Balancer for ByProxyProtocol {
    fn is_installed() -> bool {
        Haproxy::is_installed()
    }

    fn commands(form: Form, place: &Place) -> Vec<Command> {
        let file = write(form, place)
            .replace(&format!("    server gate-a {}\n", place.gate), "")
            .replace("    # server gate-a", "    server gate-a")
            .write(place.dir.join("haproxy.cfg"));
        vec![haproxy(&file)]
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_the_proxy_protocol_a_visitors_address_is_the_visitors_too() {
    let change = |gate: Deployed| gate.replace("\"x-forwarded-for\"", "\"proxy-protocol\"");
    let stand = Stand::with::<ByProxyProtocol>(Form::Through, change).await;
    let Some(mut stand) = stand else { return };
    signing_in::a_link_signs_in_once(&mut stand).await;
    addresses::the_application_is_told_the_visitors_own(&mut stand).await;
    addresses::a_bound_link_works_from_there_alone(&mut stand).await;
    stand.logs_hold_no_secret().await;
}

/// HAProxy before nginx before the gate, with TLS between them too.
struct BeforeNginx;

impl Balancer for BeforeNginx {
    fn is_installed() -> bool {
        Haproxy::is_installed() && Nginx::is_installed()
    }

    fn commands(form: Form, place: &Place) -> Vec<Command> {
        let free = ports::free_address;
        let second = Place { https: free(), http: free(), ..place.clone() };
        let main = nginx::write(form, &second, |site| {
            site.replace("# set_real_ip_from 10.0.0.1;", "set_real_ip_from 127.0.0.1;")
                .replace("# real_ip_header X-Forwarded-For;", "real_ip_header X-Forwarded-For;")
        });
        let authority = place.certificate.authority();
        let server = format!(
            "server nginx {} ssl verify required ca-file {} sni str(panel.example.com)",
            second.https,
            authority.display()
        );
        let gate = format!("server gate-a {}", place.gate);
        let file = write(form, place).replace(&gate, server).write(place.dir.join("haproxy.cfg"));
        vec![nginx::nginx(&main), haproxy(&file)]
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_nginx_before_the_gate_a_visitors_address_is_the_visitors() {
    let Some(mut stand) = Stand::start::<BeforeNginx>(Form::Through).await else { return };
    signing_in::a_link_signs_in_once(&mut stand).await;
    addresses::the_application_is_told_the_visitors_own(&mut stand).await;
    addresses::a_bound_link_works_from_there_alone(&mut stand).await;
    stand.logs_hold_no_secret().await;
}

impl Balancer for Haproxy {
    fn is_installed() -> bool {
        installed::all(&[("haproxy", Command::new("haproxy").arg("-v").output().is_ok())])
    }

    fn takes_unmeasured_bodies(form: Form) -> bool {
        // It would pass their trailers on to the application.
        form == Form::Through
    }

    fn commands(form: Form, place: &Place) -> Vec<Command> {
        let file = write(form, place).write(place.dir.join("haproxy.cfg"));
        vec![haproxy(&file)]
    }
}

/// The deployed file; what it loads is written beside it.
pub(crate) fn write(form: Form, place: &Place) -> Deployed {
    let mut deployed = Deployed::read(&format!("haproxy/{}.cfg", form.name()))
        .replace("log /dev/log local0", "log stdout format raw local0")
        .replace("bind :80", format!("bind {}", place.http))
        .replace("bind :443", format!("bind {}", place.https))
        .replace("/etc/ssl/private/panel.example.com.both.pem", place.certificate.both().display())
        .replace("127.0.0.1:8080", place.gate);
    // Such names are the whole machine's.
    let name = format!("abns@oncegate-{}", place.https.port());
    if form != Form::Through {
        deployed = deployed
            .replace("127.0.0.1:3000", place.application)
            .replace("abns@oncegate-length", name.replace("oncegate", "length"));
    }
    if form == Form::ForwardAuth {
        let script = Deployed::read("haproxy/oncegate.lua")
            .replace("abns@oncegate", &name)
            .write(place.dir.join("oncegate.lua"));
        deployed = deployed
            .replace("/etc/haproxy/oncegate.lua", script.display())
            .replace("abns@oncegate", &name);
    }
    if !rustix::process::geteuid().is_root() {
        let of_root = ["chroot /var/lib/haproxy", "user haproxy", "group haproxy"];
        deployed = of_root.into_iter().fold(deployed, |file, line| file.replace(line, ""));
    }
    deployed
}

pub(crate) fn haproxy(file: &Path) -> Command {
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(file);
    command
}
