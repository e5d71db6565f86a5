//! Three gates in this process, each other's peers.

use std::{fs, future::Future, net::SocketAddr, path::Path, time::Duration};

use futures_util::future::join_all;
use oncegate::{
    ops::{clock::Clock, entropy},
    store::keys,
};

use crate::support::{
    gate::{Gate, Link, NOW, usual},
    http::Answer,
    ports::free_address,
    process::PATIENCE,
    upstream::Upstream,
};

pub(crate) const A: usize = 0;
pub(crate) const B: usize = 1;
pub(crate) const C: usize = 2;
pub(crate) const NAMES: [&str; 3] = ["gate-a", "gate-b", "gate-c"];

/// `once.peers` of gates at these addresses.
pub(crate) fn peers(addresses: &[SocketAddr]) -> String {
    let peer = |(name, at): (&str, &SocketAddr)| format!("{name} = \"http://{at}\"");
    let peers: Vec<_> = NAMES.into_iter().zip(addresses).map(peer).collect();
    format!("peers = {{ {} }}", peers.join(", "))
}

/// The usual configuration, of the gate `name` at `address`, with these further lines of `[once]`.
pub(crate) fn configured(usual: &str, name: &str, address: SocketAddr, once: &str) -> String {
    usual
        .replacen("name = \"gate-a\"", &format!("name = \"{name}\""), 1)
        .replacen("public = \"127.0.0.1:0\"", &format!("public = \"{address}\""), 1)
        .replacen("[once]\n", &format!("[once]\n{once}\n"), 1)
}

/// Gives the directory `to` the keys of `from`.
pub(crate) fn share_keys(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let file = entry.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// Three gates.
pub(crate) struct Fleet {
    gates: Vec<Option<Gate>>,
    pub(crate) addresses: Vec<SocketAddr>,
}

impl Fleet {
    pub(crate) async fn start() -> Self {
        Self::with(|_, text| text).await
    }

    /// `change` makes each gate's configuration of the usual one.
    pub(crate) async fn with(change: impl Fn(usize, String) -> String) -> Self {
        let addresses: Vec<_> = NAMES.iter().map(|_| free_address()).collect();
        let mut starting = Vec::new();
        let mut first = None;
        for (number, address) in addresses.iter().enumerate() {
            let (dir, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
            let own = dir.path().join("keys");
            match &first {
                None => {
                    keys::make(&own, NOW - 3_600, entropy::random).unwrap();
                    first = Some(own);
                }
                Some(first) => share_keys(first, &own),
            }
            let text = configured(&usual(&upstream), NAMES[number], *address, &peers(&addresses));
            let text = change(number, text);
            starting
                .push(async move { Gate::in_dir(dir, upstream, &text, Clock::manual(NOW)).await });
        }
        let gates = join_all(starting).await.into_iter().map(Some).collect();
        Self { gates, addresses }
    }

    pub(crate) fn gate(&self, number: usize) -> &Gate {
        self.gates[number].as_ref().unwrap()
    }

    /// Stops a gate in order; its state stays.
    pub(crate) async fn down(&mut self, number: usize) {
        let gate = self.gates[number].as_mut().unwrap();
        gate.running.take().unwrap().stop().await;
    }

    /// Starts one that is down.
    pub(crate) async fn up(&mut self, number: usize) {
        let gate = self.gates[number].take().unwrap();
        assert!(gate.running.is_none(), "it runs");
        let text = fs::read_to_string(gate.dir.path().join("oncegate.toml")).unwrap();
        let gate = Gate::in_dir(gate.dir, gate.upstream, &text, gate.clock).await;
        self.gates[number] = Some(gate);
    }

    pub(crate) async fn restart(&mut self, number: usize) {
        self.down(number).await;
        self.up(number).await;
    }

    /// Takes a gate's state away; it is down.
    pub(crate) fn lose_state(&self, number: usize) {
        let gate = self.gate(number);
        assert!(gate.running.is_none(), "it runs");
        fs::remove_dir_all(gate.dir.path().join("state")).unwrap();
    }

    /// Lets time pass everywhere.
    pub(crate) fn wait(&self, seconds: u64) {
        self.gates.iter().flatten().for_each(|gate| gate.wait(seconds));
    }

    pub(crate) async fn stop(self) {
        for gate in self.gates.into_iter().flatten() {
            if gate.running.is_some() {
                gate.stop().await;
            }
        }
    }
}

/// Posts the link page's form at `gate`, as a program that takes problems.
pub(crate) async fn post(gate: &Gate, link: &Link) -> Answer {
    gate.public().post_form(&link.path, &[], &[]).await
}

/// The code that `gate` refuses the link with; "" where it admits.
pub(crate) async fn refusal(gate: &Gate, link: &Link) -> String {
    post(gate, link).await.code()
}

pub(crate) async fn signed_in(gate: &Gate, cookie: &str) -> bool {
    gate.public().get_with("/_once/session", &[("cookie", cookie)]).await.status == 200
}

/// Asks until the answer is yes. The limit only ends a test that fails.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut ask: impl FnMut() -> F) {
    let asked = async {
        while !ask().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, asked).await.is_ok(), "never: {what}");
}
