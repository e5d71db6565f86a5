//! A second front door to a running gate, with one part of it replaced: a store on a disk that
//! fails, an upstream that is given no time.

use std::{
    io,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use oncegate::{
    edge::{self, api, limiter::Limiter, listen, route},
    ops::{
        entropy,
        metrics::Metrics,
        shutdown::{self, Trigger},
        signer::Signer,
        verifier::Verifier,
    },
    store::{
        Durability, Store, StoreOptions,
        local::disk::{Disk, DiskFile, FileFacts},
    },
};
use tokio::net::TcpListener;

use super::{
    gate::{BILLING, Gate, NOW, PANEL},
    http::Client,
};

/// Ends with its value.
pub struct Altered {
    public: SocketAddr,
    api: SocketAddr,
    _trigger: Trigger,
}

impl Altered {
    /// A gate with the configuration, keys and clock of `gate`, and what `change` replaces.
    pub async fn of(gate: &Gate, change: impl FnOnce(&mut edge::Gate)) -> Self {
        let original = &gate.running.as_ref().unwrap().gate;
        let (trigger, shutdown) = shutdown::channel();
        let limiters = original.config.callers.iter();
        let limiters = limiters.map(|caller| (caller.name.clone(), Limiter::new(caller.rate)));
        let mut altered = edge::Gate {
            config: original.config.clone(),
            keys: ArcSwap::new(original.keys.load_full()),
            store: original.store.clone(),
            clock: original.clock.clone(),
            metrics: Metrics::default(),
            upstreams: original.upstreams.clone(),
            assertions: edge::assertions::Assertions::default(),
            first_uses: edge::redeem::FirstUses::default(),
            directory: original.directory.clone(),
            passwords: original.passwords.clone(),
            verifier: Verifier::new(&Metrics::default()),
            signer: Signer::new(&Metrics::default()),
            limiters: limiters.collect(),
            spending: tokio_util::task::TaskTracker::new(),
            shutdown: shutdown.clone(),
        };
        change(&mut altered);
        let altered = Arc::new(altered);
        let limits = listen::Limits { header_timeout: Duration::from_secs(10), max_connections: 9 };
        let (socket, public) = bound().await;
        let state = altered.clone();
        let answer = move |peer, request| route::answer(state.clone(), peer, request);
        let front = listen::Front::default();
        let end = listen::End::at(&shutdown);
        tokio::spawn(listen::serve(socket, limits.clone(), front.clone(), end.clone(), answer));
        let (socket, api) = bound().await;
        let answer = move |peer, request| api::answer(altered.clone(), peer, request);
        tokio::spawn(listen::serve(socket, limits, front, end, answer));
        Self { public, api, _trigger: trigger }
    }

    /// A client of the public listener, at the site `panel`.
    pub fn public(&self) -> Client {
        Client::new(self.public).host(PANEL)
    }

    /// The API, as `billing`.
    pub fn api(&self) -> Client {
        Client::new(self.api).bearer(BILLING)
    }
}

async fn bound() -> (TcpListener, SocketAddr) {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// A store with room for so many uses and no journal.
pub fn store_with_room_for(uses: usize) -> Store {
    Store::open(StoreOptions::memory("gate-a", uses), NOW, entropy::random).unwrap()
}

/// A store on a disk that fails to sync once it is told to.
pub fn store_on_a_failing_disk(dir: &Path) -> (Store, Arc<AtomicBool>) {
    let fails = Arc::<AtomicBool>::default();
    let wait = Duration::ZERO;
    let mut options = StoreOptions::journal("gate-a", 100, dir.into(), Durability::Power, wait);
    options.journal.as_mut().unwrap().disk = Arc::new(FailingDisk(fails.clone()));
    (Store::open(options, NOW, entropy::random).unwrap(), fails)
}

#[derive(Debug)]
struct FailingDisk(Arc<AtomicBool>);

#[derive(Debug)]
struct FailingFile(Arc<AtomicBool>, Box<dyn DiskFile>);

fn check(fails: &AtomicBool) -> io::Result<()> {
    if fails.load(Ordering::SeqCst) { Err(io::Error::other("it fails")) } else { Ok(()) }
}

impl Disk for FailingDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        check(&self.0)?;
        Ok(Box::new(FailingFile(self.0.clone(), self.beneath().create(path)?)))
    }
}

impl DiskFile for FailingFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.1.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        check(&self.0)?;
        self.1.sync()
    }

    fn sync_data(&self) -> io::Result<()> {
        check(&self.0)?;
        self.1.sync_data()
    }

    fn facts(&self) -> io::Result<FileFacts> {
        self.1.facts()
    }

    fn empty(&self) -> io::Result<()> {
        self.1.empty()
    }
}
