//! A gate, the sample application and a load balancer, as `deploy/` has them.

use std::sync::Arc;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    application::Application,
    balancer::{self, Balancer, Place, Running},
    certificate::Certificate,
    deployed::Deployed,
    support::{
        browser::Browser,
        gate::{BILLING, Link, PANEL, key_hash},
        http::Client,
        installed, ports,
        process::{At, Home, PATIENCE, Process},
    },
    visitor::{Secrets, Visitor},
};

/// How a load balancer and a gate share the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// The whole site goes through the gate.
    Through,
    /// The gate is asked about every request, and gets its own paths.
    ForwardAuth,
    /// The gate gets links alone; the application has its own sessions.
    Links,
}

impl Form {
    pub(crate) const ALL: [Self; 3] = [Self::Through, Self::ForwardAuth, Self::Links];

    /// Its name in `deploy/`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Through => "through",
            Self::ForwardAuth => "forward-auth",
            Self::Links => "links",
        }
    }
}

pub(crate) struct Stand {
    pub(crate) form: Form,
    pub(crate) application: Application,
    pub(crate) at: At,
    pub(crate) place: Place,
    pub(crate) takes_unmeasured_bodies: bool,
    gate: Option<Process>,
    balancer: Running,
    secrets: Secrets,
    _home: Home,
    _dir: TempDir,
}

impl Stand {
    /// `None` where something is not installed: see [`installed::all`].
    pub(crate) async fn start<B: Balancer>(form: Form) -> Option<Self> {
        Self::with::<B>(form, |gate| gate).await
    }

    /// As [`Stand::start`], where `change` changes the gate's configuration.
    pub(crate) async fn with<B: Balancer>(
        form: Form,
        change: impl FnOnce(Deployed) -> Deployed,
    ) -> Option<Self> {
        if !B::is_installed() || !installed::programs(&["openssl"]) {
            return None;
        }
        let application = Application::start().await;
        let gate = Deployed::read(&format!("oncegate/{}.toml", form.name()))
            .replace("127.0.0.1:8080", "127.0.0.1:0")
            .replace("127.0.0.1:8081", "127.0.0.1:0")
            .replace("127.0.0.1:9090", "127.0.0.1:0")
            .replace("/var/lib/oncegate/", "")
            .replace("/etc/oncegate/", "");
        let gate = match form {
            Form::ForwardAuth => gate,
            _ => gate.replace("127.0.0.1:3000", application.addr),
        };
        let home = Home::holding(change(gate).text());
        std::fs::write(home.dir.path().join("billing.sha256"), key_hash(BILLING)).unwrap();
        let (process, at) = home.start().await;
        let dir = tempfile::tempdir().unwrap();
        let place = Place {
            dir: dir.path().to_owned(),
            https: ports::free_address(),
            http: ports::free_address(),
            gate: at.public,
            application: application.addr,
            certificate: Certificate::make(dir.path()),
        };
        std::fs::create_dir_all(place.logs()).unwrap();
        let balancer = Running::start(B::commands(form, &place), &place).await;
        let secrets = Secrets::default();
        secrets.lock().unwrap().push(BILLING.to_owned());
        Some(Self {
            form,
            application,
            at,
            place,
            takes_unmeasured_bodies: B::takes_unmeasured_bodies(form),
            gate: Some(process),
            balancer,
            secrets,
            _home: home,
            _dir: dir,
        })
    }

    /// Somebody who has not been here before, and speaks HTTP/1.1.
    pub(crate) fn visitor(&self) -> Visitor {
        let tls = Arc::new(self.place.certificate.client(&["http/1.1"]));
        Visitor::new(self.place.https, tls, Arc::clone(&self.secrets))
    }

    /// A visitor with a browser.
    pub(crate) fn browser(&self) -> Visitor {
        self.visitor().browsing()
    }

    /// A real browser that finds the site here; `None` where there is none.
    pub(crate) async fn chromium(&self) -> Option<Browser> {
        let flags = [
            format!("--host-resolver-rules=MAP {PANEL}:443 {}", self.place.https),
            format!(
                "--ignore-certificate-errors-spki-list={}",
                self.place.certificate.public_key_hash()
            ),
        ];
        Browser::start_with(true, &flags).await
    }

    /// A link for `joe` with these further members.
    pub(crate) async fn link(&self, more: Value) -> Link {
        let mut ask = json!({ "user": "joe" });
        for (name, value) in more.as_object().unwrap() {
            ask[name] = value.clone();
        }
        let api = Client::new(self.at.api).bearer(BILLING);
        let answer = api.post_json("/v1/links", &ask).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let link = Link::of(&answer.json());
        self.secrets.lock().unwrap().push(link.token.clone());
        link
    }

    /// A browser that `joe` has signed in with.
    pub(crate) async fn signed_in(&self) -> Visitor {
        let browser = self.browser();
        let link = self.link(json!({})).await;
        let opened = browser.open(&link.path).await;
        assert_eq!(opened.status, 303, "{}", opened.text());
        browser
    }

    /// Kills the gate.
    pub(crate) fn stop_gate(&mut self) {
        self.gate.take().expect("a gate that runs").kill();
    }

    /// Has the gate do nothing, without closing anything.
    pub(crate) fn freeze_gate(&self) {
        self.signal_gate(Signal::STOP);
        // A thread that is amid something goes on until the kernel has it.
        let tasks = format!("/proc/{}/task", self.gate.as_ref().unwrap().id());
        let stands = |task: std::io::Result<std::fs::DirEntry>| {
            let stat = std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap();
            stat.rsplit(") ").next().unwrap().starts_with('T')
        };
        while !std::fs::read_dir(&tasks).unwrap().all(stands) {
            std::thread::yield_now();
        }
    }

    /// Has it go on from there.
    pub(crate) fn thaw_gate(&self) {
        self.signal_gate(Signal::CONT);
    }

    fn signal_gate(&self, signal: Signal) {
        let id = self.gate.as_ref().expect("a gate that runs").id();
        let id = Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
        kill_process(id, signal).unwrap();
    }

    /// Takes this for a secret, which nobody may log.
    pub(crate) fn keep_secret(&self, secret: &str) {
        self.secrets.lock().unwrap().push(secret.to_owned());
    }

    /// What the load balancer has printed and logged with one of these marks in it.
    pub(crate) fn logged_with(&self, marks: &[&str]) -> Vec<String> {
        let logged = self.balancer.logged();
        assert!(!logged.is_empty(), "it says nothing at all");
        let marked = |line: &&str| marks.iter().any(|mark| line.contains(mark));
        logged.lines().filter(marked).map(str::to_owned).collect()
    }

    /// The most memory the gate and the load balancer have ever had resident, in KiB.
    pub(crate) fn peaks(&self) -> Vec<(u32, u64)> {
        let gate = self.gate.as_ref().expect("a gate that runs").id();
        let mut peaks = self.balancer.peaks();
        peaks.push((gate, balancer::peak(gate)));
        peaks
    }

    /// What every test ends with: the load balancer has logged the visits, and no secret of any.
    pub(crate) async fn logs_hold_no_secret(&self) {
        self.visitor().get("/the-last-visit").await;
        let logged = async {
            loop {
                let logged = self.balancer.logged();
                if logged.contains("/the-last-visit") {
                    return logged;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        let logged = tokio::time::timeout(PATIENCE, logged).await;
        let logged = logged.unwrap_or_else(|_| panic!("no visit in\n{}", self.balancer.logged()));
        let secrets = self.secrets.lock().unwrap();
        for secret in secrets.iter().flat_map(|secret| telling(secret)) {
            assert!(!logged.contains(secret), "{secret} is logged:\n{logged}");
        }
    }
}

/// The parts of a secret that give it away; what all tokens begin with does not.
fn telling(secret: &str) -> impl Iterator<Item = &str> {
    secret.split('.').skip(usize::from(secret.contains('.')))
}
