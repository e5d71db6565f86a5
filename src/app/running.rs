//! A gate that runs, and its orderly end.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::{app::upkeep, edge::Gate, ops::shutdown::Trigger, store::keys::Watch};

/// How long the gate goes on as ever once it is to end, but for its answers, which close their
/// connections: so long may a client that keeps one be silent and still lose no request.
const NEAR_THE_END: Duration = Duration::from_millis(500);
/// How long requests under way may then still spend.
const SPENDING_ENDS: Duration = Duration::from_secs(2);
/// How long their answers may then take.
const DRAINING_ENDS: Duration = Duration::from_secs(24);

/// A gate that runs.
#[derive(Debug)]
pub struct Running {
    /// The address of the public listener.
    pub public: SocketAddr,
    /// The address of the API.
    pub api: SocketAddr,
    /// The address of the admin listener.
    pub admin: SocketAddr,
    /// The gate itself.
    pub gate: Arc<Gate>,
    pub(super) watch: Arc<Mutex<Watch>>,
    /// Says that the end is near.
    pub(super) near: Trigger,
    /// Ends what visitors and callers use.
    pub(super) here: Trigger,
    pub(super) served: JoinSet<()>,
    pub(super) connections: TaskTracker,
    pub(super) operators: Operators,
}

/// The admin listener, which tells of the end until it is there.
#[derive(Debug)]
pub(super) struct Operators {
    /// A successor answers on the same socket.
    pub(super) shared: bool,
    pub(super) here: Trigger,
    pub(super) served: JoinSet<()>,
    pub(super) connections: TaskTracker,
}

impl Running {
    /// Takes up the keys as they are in their directory now, instead of within two seconds.
    pub fn take_up_keys(&self) {
        upkeep::take_up_keys(&self.gate, &self.watch);
    }

    /// Takes up the directory's file as it is now, instead of within two seconds.
    pub fn take_up_directory(&self) {
        upkeep::take_up_directory(&self.gate);
    }

    /// Ends the gate in order. For a moment it goes on as ever, but every answer closes its
    /// connection and `/ready` says 503. Then it stops accepting, closes what is idle, lets
    /// requests under way finish, stops spending, syncs and lets go of its state, and only then
    /// waits for the streams that are still running.
    pub async fn stop(self) {
        let Self { gate, near, here, mut served, connections, mut operators, .. } = self;
        near.trigger();
        connections.close();
        let _ = timeout(NEAR_THE_END, connections.wait()).await;
        here.trigger();
        let here = Instant::now();
        // What a listener accepted last is counted once the listener has ended.
        while served.join_next().await.is_some() {}
        gate.spending.close();
        let all = timeout(SPENDING_ENDS, gate.spending.wait()).await.is_ok();
        gate.store.clone().close().await;
        let ms = u64::try_from(here.elapsed().as_millis()).unwrap_or(u64::MAX);
        info!(ms, connections = connections.len(), "accepts nothing and has let go of its state");
        if !all {
            warn!("some requests took too long and can spend nothing any more");
        }
        if operators.shared {
            // From now on it is the successor who tells.
            operators.here.trigger();
        }
        if timeout(DRAINING_ENDS, connections.wait()).await.is_err() {
            warn!("some connections were still busy and are cut off");
        }
        operators.leave().await;
        info!("stopped");
    }
}

impl Operators {
    /// Stops accepting, and gives those who still read metrics the time to.
    async fn leave(&mut self) {
        self.here.trigger();
        self.connections.close();
        let _ = timeout(SPENDING_ENDS, self.connections.wait()).await;
        while self.served.join_next().await.is_some() {}
    }
}
