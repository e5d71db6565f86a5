//! A gate that runs, and its orderly end.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use hyper_util::server::graceful::GracefulShutdown;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::{app::upkeep, edge::Gate, ops::shutdown::Trigger, store::keys::Watch};

/// How long requests under way may still spend once the gate is to end.
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
    /// Ends what visitors and callers use.
    pub(super) trigger: Trigger,
    pub(super) served: Served,
    /// Ends the admin listener, which tells of the end until it is there.
    pub(super) admin_trigger: Trigger,
    pub(super) admin_served: Served,
}

/// Listeners, each of which leaves behind the connections still busy when it ends.
pub(super) type Served = JoinSet<GracefulShutdown>;

impl Running {
    /// Takes up the keys as they are in their directory now, instead of within two seconds.
    pub fn take_up_keys(&self) {
        upkeep::take_up_keys(&self.gate, &self.watch);
    }

    /// Takes up the directory's file as it is now, instead of within two seconds.
    pub fn take_up_directory(&self) {
        upkeep::take_up_directory(&self.gate);
    }

    /// Ends the gate in order: it stops accepting, closes idle connections, lets requests under
    /// way finish, stops spending, syncs and lets go of its state, and only then waits for the
    /// streams that are still running. `/ready` says 503 meanwhile.
    pub async fn stop(self) {
        self.trigger.trigger();
        let mut drained = Box::pin(drain(self.served));
        let all = tokio::time::timeout(SPENDING_ENDS, &mut drained).await.is_ok();
        self.gate.spending.close();
        let _ = tokio::time::timeout(SPENDING_ENDS, self.gate.spending.wait()).await;
        self.gate.store.clone().close().await;
        if !all && tokio::time::timeout(DRAINING_ENDS, drained).await.is_err() {
            warn!("some connections were still busy and are cut off");
        }
        self.admin_trigger.trigger();
        // Who still reads metrics has had the time to.
        let _ = tokio::time::timeout(SPENDING_ENDS, drain(self.admin_served)).await;
        info!("stopped");
    }
}

/// Waits until all listeners have ended, and then for their connections: all at once, or a busy
/// one of the first listener would keep the others' idle ones open.
async fn drain(mut served: Served) {
    let mut connections = JoinSet::new();
    while let Some(listener) = served.join_next().await {
        if let Ok(open) = listener {
            connections.spawn(open.shutdown());
        }
    }
    while connections.join_next().await.is_some() {}
}
