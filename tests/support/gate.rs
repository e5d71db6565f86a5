//! A whole gate in this process: port 0, a clock that stands still, an upstream that tells what
//! it was asked.

use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
};

use oncegate::{
    app::{self, Listeners, Running},
    config::Config,
    gate::{
        caller::KeyHash,
        keyring::Keyring,
        token::{LinkClaims, Presented},
    },
    ops::{clock::Clock, entropy},
    store::keys,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    http::{Answer, Client},
    upstream::Upstream,
};

/// When every gate of the tests starts.
pub const NOW: u64 = 1_764_000_000;
/// The key of the caller `billing`, who may do everything on `panel`.
pub const BILLING: &str = "og_billing-key-of-the-tests";
/// The key of the caller `narrow`, who may do little.
pub const NARROW: &str = "og_narrow-key-of-the-tests";
/// The authority of the site `panel`.
pub const PANEL: &str = "panel.example.com";

pub struct Gate {
    pub running: Option<Running>,
    pub clock: Clock,
    pub dir: TempDir,
    pub upstream: Upstream,
    public: SocketAddr,
    api: SocketAddr,
    admin: SocketAddr,
}

impl Gate {
    /// A gate with the usual configuration.
    pub async fn start() -> Self {
        Self::with(|text| text).await
    }

    /// A gate whose configuration `change` makes of the usual one.
    pub async fn with(change: impl FnOnce(String) -> String) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let upstream = Upstream::start().await;
        let text = change(usual(&upstream));
        Self::in_dir(dir, upstream, &text, Clock::manual(NOW)).await
    }

    /// A gate whose site `panel` a browser on this machine can reach: its origin is the loopback
    /// address that the gate listens on.
    pub async fn on_loopback(change: impl FnOnce(String) -> String) -> Self {
        Self::on_loopback_in(tempfile::tempdir().unwrap(), change).await
    }

    /// As [`Gate::on_loopback`], in a directory that may have files already.
    pub async fn on_loopback_in(dir: TempDir, change: impl FnOnce(String) -> String) -> Self {
        let public = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("\"http://{}\"", public.local_addr().unwrap());
        let upstream = Upstream::start().await;
        let text = change(usual(&upstream).replace("\"https://panel.example.com\"", &origin));
        Self::of(dir, upstream, &text, Clock::manual(NOW), Some(public)).await
    }

    /// A gate on this directory, which may have a state and keys already.
    pub async fn in_dir(dir: TempDir, upstream: Upstream, text: &str, clock: Clock) -> Self {
        Self::of(dir, upstream, text, clock, None).await
    }

    async fn of(
        dir: TempDir,
        upstream: Upstream,
        text: &str,
        clock: Clock,
        public: Option<TcpListener>,
    ) -> Self {
        let keys_dir = dir.path().join("keys");
        if !keys_dir.exists() {
            keys::make(&keys_dir, NOW - 3_600, entropy::random).unwrap();
        }
        std::fs::write(dir.path().join("oncegate.toml"), text).unwrap();
        let running = run(dir.path(), text, clock.clone(), public).await;
        let (public, api, admin) = (running.public, running.api, running.admin);
        Self { running: Some(running), clock, dir, upstream, public, api, admin }
    }

    /// Stops this gate in order and starts another on the same state and keys.
    pub async fn restart(mut self) -> Self {
        self.running.take().unwrap().stop().await;
        let text = std::fs::read_to_string(self.dir.path().join("oncegate.toml")).unwrap();
        Self::in_dir(self.dir, self.upstream, &text, self.clock).await
    }

    /// Stops the gate in order.
    pub async fn stop(mut self) {
        self.running.take().unwrap().stop().await;
    }

    /// A client of the public listener, at the site `panel`.
    pub fn public(&self) -> Client {
        Client::new(self.public).host(PANEL)
    }

    /// A browser at the site `panel`, as far as headers tell.
    pub fn browser(&self) -> Client {
        self.public()
            .header("accept", "text/html,application/xhtml+xml")
            .header("sec-fetch-site", "same-origin")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document")
    }

    pub fn public_at(&self) -> SocketAddr {
        self.public
    }

    pub fn api_at(&self) -> SocketAddr {
        self.api
    }

    /// The API, as `billing`.
    pub fn api(&self) -> Client {
        Client::new(self.api).bearer(BILLING)
    }

    /// The API, with another key or none.
    pub fn api_as(&self, key: Option<&str>) -> Client {
        let client = Client::new(self.api);
        match key {
            Some(key) => client.bearer(key),
            None => client,
        }
    }

    pub fn admin(&self) -> Client {
        Client::new(self.admin)
    }

    /// A link for `joe` with these further members.
    pub async fn link(&self, more: Value) -> Link {
        let mut ask = json!({ "user": "joe" });
        for (name, value) in more.as_object().unwrap() {
            ask[name] = value.clone();
        }
        let answer = self.api().post_json("/v1/links", &ask).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        Link::of(&answer.json())
    }

    /// Posts the link page's form, as the page itself would.
    pub async fn open(&self, link: &Link) -> Answer {
        self.browser().post_form(&link.path, &[], &[]).await
    }

    /// Redeems over the API.
    pub async fn redeem(&self, token: &str) -> Answer {
        self.api().post_json("/v1/redeem", &json!({ "token": token })).await
    }

    /// Signs in with a new link, and gives the `Cookie` header to send.
    pub async fn sign_in(&self) -> String {
        let link = self.link(json!({})).await;
        let answer = self.open(&link).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        cookie_of(&answer)
    }
}

/// A link as the API gave it.
#[derive(Debug, Clone)]
pub struct Link {
    pub id: String,
    pub token: String,
    pub url: String,
    /// The path of the URL.
    pub path: String,
}

impl Link {
    pub fn of(json: &Value) -> Self {
        let text = |name: &str| json[name].as_str().unwrap().to_owned();
        let token = text("token");
        Self { id: text("id"), path: format!("/_once/l/{token}"), url: text("url"), token }
    }
}

/// The `Cookie` header that a browser would send after this answer.
pub fn cookie_of(answer: &Answer) -> String {
    let lines = answer.header_lines("set-cookie");
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines[0].split(';').next().unwrap().to_owned()
}

/// The usual configuration: two sites, two callers.
pub fn usual(upstream: &Upstream) -> String {
    let upstream = upstream.addr;
    let (billing, narrow) = (key_hash(BILLING), key_hash(NARROW));
    format!(
        r#"
[gate]
name = "gate-a"
issuer = "https://login.example.com"
[listen]
public = "127.0.0.1:0"
api = "127.0.0.1:0"
admin = "127.0.0.1:0"
[links]
[once]
dir = "state"
[session]
[[sites]]
name = "panel"
origin = "https://panel.example.com"
upstream = "http://{upstream}"
allow_urls = ["https://docs.example.com/manual"]
public = ["/assets/**"]
[sites.headers]
"Remote-User" = "user"
"X-Plan" = "claims.plan"
[sites.destinations]
home = "/"
invoice = "/clientarea/invoices/{{0}}"
[[sites]]
name = "shop"
origin = "https://shop.example.com"
upstream = "http://{upstream}"
[[callers]]
name = "billing"
key_sha256 = ["{billing}"]
sites = ["panel"]
may = ["issue", "redeem", "revoke", "inspect"]
claims = ["plan", "note"]
rate = "1000/s"
[[callers]]
name = "narrow"
key_sha256 = ["{narrow}"]
sites = ["panel", "shop"]
users = ["test-*"]
destinations = ["home", "/help/*"]
max_ttl = "30s"
rate = "2/h"
"#
    )
}

/// The SHA-256 of a key, as the configuration wants it.
pub fn key_hash(key: &str) -> String {
    format!("{:x}", KeyHash::of(key.as_bytes()))
}

async fn run(dir: &Path, text: &str, clock: Clock, public: Option<TcpListener>) -> Running {
    let config = Config::parse(text, "oncegate.toml", dir, std::iter::empty())
        .unwrap_or_else(|faults| panic!("{faults}"));
    let mut listeners = Listeners::bind(&config).unwrap();
    if let Some(public) = public {
        public.set_nonblocking(true).unwrap();
        listeners.public = public;
    }
    app::start(config, clock, listeners).await.unwrap()
}

/// What only a test does: time, configuration and links that no API would make.
impl Gate {
    /// Lets time pass.
    pub fn wait(&self, seconds: u64) {
        self.clock.set(self.clock.now() + seconds);
    }

    /// Changes the configuration that the next start will read.
    pub fn reconfigure(&self, change: impl FnOnce(String) -> String) {
        let file = self.dir.path().join("oncegate.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let changed = change(text.clone());
        assert_ne!(changed, text, "the change of the configuration changes nothing");
        std::fs::write(file, changed).unwrap();
    }

    /// The keys that this gate signs with.
    pub fn keyring(&self) -> Keyring {
        keys::load(&self.dir.path().join("keys")).unwrap().0
    }

    /// What a genuine token says.
    pub fn claims_of(&self, token: &str) -> LinkClaims {
        self.keyring().verify(&Presented::new(token).unwrap()).unwrap().into_claims()
    }

    /// A link for `joe` that the gate's own key signed, after `change` changed what it says.
    pub async fn crafted(&self, change: impl FnOnce(&mut LinkClaims)) -> Link {
        let mut link = self.link(json!({})).await;
        let mut claims = self.claims_of(&link.token);
        change(&mut claims);
        link.token = self.keyring().sign(&claims);
        link.path = format!("/_once/l/{}", link.token);
        link
    }

    /// How many uses the gate remembers.
    pub fn remembered(&self) -> usize {
        self.running.as_ref().unwrap().gate.store.status().entries
    }
}
