//! All that takes part, started when it is first asked for, and ended with the run.

use std::{
    cell::{OnceCell, RefCell},
    collections::HashSet,
    net::SocketAddr,
    path::PathBuf,
    time::Duration,
};

use crate::{
    contest::Rounds,
    floors::{Floor, Work},
    gate::{Gate, Home},
    load::{Good, Load},
    machine::Cores,
    peers::{
        envoy::{self, Envoy},
        nginx::{self, Nginx},
        node::{self, Node},
        redis::{self, Redis},
    },
};

/// The stand.
pub(crate) struct Stand {
    pub cores: Cores,
    pub rounds: Rounds,
    /// On a disk, and gone with the stand.
    dir: tempfile::TempDir,
    gate: OnceCell<Gate>,
    durable: OnceCell<Gate>,
    shared: OnceCell<Gate>,
    pinned: OnceCell<[Gate; 2]>,
    floors: [(Work, OnceCell<Floor>); 4],
    application: OnceCell<Nginx>,
    nginx: OnceCell<Nginx>,
    envoy: OnceCell<Envoy>,
    node: OnceCell<Node>,
    redis: OnceCell<Redis>,
    missing: RefCell<HashSet<&'static str>>,
}

impl Stand {
    pub(crate) fn new(cores: Cores, rounds: Rounds) -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        Self {
            cores,
            rounds,
            dir,
            gate: OnceCell::new(),
            durable: OnceCell::new(),
            shared: OnceCell::new(),
            pinned: OnceCell::new(),
            floors: Work::ALL.map(|work| (work, OnceCell::new())),
            application: OnceCell::new(),
            nginx: OnceCell::new(),
            envoy: OnceCell::new(),
            node: OnceCell::new(),
            redis: OnceCell::new(),
            missing: RefCell::default(),
        }
    }

    /// A folder of its own for one who takes part.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The gate: journal on, `durability = "process"`.
    pub(crate) fn gate(&self) -> &Gate {
        self.gate.get_or_init(|| {
            // Without nginx there is nothing behind it, and no row that asks for that.
            let application = self.application().map(|nginx| nginx.at);
            let home = Home::new(&self.folder("gate"), "", application);
            home.start(self.cores.server).0
        })
    }

    /// One with `durability = "power"`.
    pub(crate) fn durable(&self) -> &Gate {
        self.durable.get_or_init(|| {
            let once = "durability = \"power\"";
            Home::new(&self.folder("durable"), once, None).start(self.cores.server).0
        })
    }

    /// One with `store = "redis"`.
    pub(crate) fn shared(&self) -> Option<&Gate> {
        let redis = self.redis()?.at;
        Some(self.shared.get_or_init(|| {
            let once = format!("store = \"redis\"\nredis = {{ url = \"redis://{redis}\" }}");
            Home::new(&self.folder("shared"), &once, None).start(self.cores.server).0
        }))
    }

    /// Two that ask each other, the second on the load's core.
    pub(crate) fn pinned(&self) -> &[Gate; 2] {
        self.pinned.get_or_init(|| {
            let homes = ["first", "second"].map(|name| Home::new(&self.folder(name), "", None));
            Home::pair(&homes);
            let [first, second] = homes;
            let Cores { server, load, .. } = self.cores;
            [first.start(server).0, second.start(load).0]
        })
    }

    /// Bare hyper; one that passes on only where there is an application.
    pub(crate) fn floor(&self, work: Work) -> &Floor {
        let (_, floor) = self.floors.iter().find(|(known, _)| *known == work).unwrap();
        floor.get_or_init(|| {
            let (_, key) = self.gate().keys();
            let message = match work {
                Work::PassOn => self.application().unwrap().at.to_string(),
                _ => self.message(),
            };
            Floor::start(self.cores, work, &key, &message)
        })
    }

    /// What is signed of a link: its head and its claims.
    pub(crate) fn message(&self) -> String {
        let token = self.gate().tokens(1).remove(0);
        token[..token.rfind('.').unwrap()].to_owned()
    }

    pub(crate) fn application(&self) -> Option<&Nginx> {
        self.there("nginx", nginx::found())?;
        let start = || Nginx::application(self.cores.load, &self.folder("application"));
        Some(self.application.get_or_init(start))
    }

    pub(crate) fn nginx(&self) -> Option<&Nginx> {
        let application = self.application()?.at;
        let start = || Nginx::proxy(self.cores.server, &self.folder("nginx"), application);
        Some(self.nginx.get_or_init(start))
    }

    pub(crate) fn envoy(&self) -> Option<&Envoy> {
        self.there("Envoy", envoy::found())?;
        let start =
            || Envoy::start(self.cores.server, &self.folder("envoy"), &self.gate().keys().0);
        Some(self.envoy.get_or_init(start))
    }

    pub(crate) fn node(&self) -> Option<&Node> {
        self.there("Node, jose or redis (npm)", node::found())?;
        let redis = self.redis()?.at;
        let start = || Node::start(self.cores.server, &self.gate().keys().0, redis);
        Some(self.node.get_or_init(start))
    }

    pub(crate) fn redis(&self) -> Option<&Redis> {
        self.there("redis-server", redis::found())?;
        let start = || Redis::start(self.cores.load, &self.folder("redis"));
        Some(self.redis.get_or_init(start))
    }

    /// Whether it was found; says it once if not.
    fn there(&self, what: &'static str, found: Option<String>) -> Option<String> {
        if found.is_none() && self.missing.borrow_mut().insert(what) {
            assert!(std::env::var_os("CI").is_none(), "missing: {what}; see tests/run");
            println!("left out: {what}, which tests/run installs");
        }
        found
    }

    /// A closed loop over so many kept connections, answered by this.
    pub(crate) fn load(&self, to: SocketAddr, connections: usize, good: Good) -> Load {
        Load {
            to,
            connections,
            renew: false,
            rate: None,
            repeat: false,
            time: self.rounds.time,
            good,
            refused: None,
        }
    }

    /// As long as this many rounds.
    pub(crate) fn rounds_of(&self, times: u32) -> Rounds {
        Rounds { time: self.rounds.time * times, ..self.rounds }
    }

    pub(crate) fn time(&self) -> Duration {
        self.rounds.time
    }
}
