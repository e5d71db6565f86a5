//! What a gate does besides answering: it looks after its store, hears what other gates took back,
//! takes up new keys, new certificates and a new directory.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tracing::{error, info, warn};

use crate::{
    app::tls::Tls,
    config::StoreKind,
    edge::{Gate, Keys},
    ops::shutdown::Shutdown,
    store::{NewMemory, Store, StoreNotice, directory::DirectoryNotice, keys::Watch},
};

/// How often the store is looked after, and how soon it recovers.
const STORE_TICK: Duration = Duration::from_millis(500);
/// How often a shared store is listened to: how soon a revocation of another gate is known here, and
/// a store that came back is used again.
const LISTEN_TICK: Duration = Duration::from_millis(250);
/// How often another gate is asked what was taken back there.
const PEER_TICK: Duration = Duration::from_millis(500);
/// The same of one that does not answer: with the time that it is given to, within a second.
const SILENT_PEER_TICK: Duration = Duration::from_millis(250);
/// How often the key files are looked at.
const KEYS_TICK: Duration = Duration::from_secs(2);
/// How often the certificates are looked at.
const CERTIFICATES_TICK: Duration = Duration::from_secs(2);
/// How often the directory is looked at.
const DIRECTORY_TICK: Duration = Duration::from_secs(2);

/// Begins all of it; it ends when the gate is not here any more.
pub(super) fn begin(gate: &Arc<Gate>, watch: &Arc<Mutex<Watch>>, here: &Shutdown) {
    tell(&gate.store);
    tokio::spawn(of_store(gate.clone(), here.clone()));
    tokio::spawn(of_shared_store(gate.clone(), here.clone()));
    for peer in gate.store.peers() {
        tokio::spawn(of_peer(gate.clone(), peer, here.clone()));
    }
    tokio::spawn(of_keys(gate.clone(), watch.clone(), here.clone()));
    tokio::spawn(of_directory(gate.clone(), here.clone()));
}

/// Heals a store that failed, notices a clock that went back, lets go of what has expired.
async fn of_store(gate: Arc<Gate>, mut shutdown: Shutdown) {
    let mut tick = tokio::time::interval(STORE_TICK);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = shutdown.wait() => return,
        }
        let state = gate.clone();
        // It may sync a disk, which blocks.
        let ticked = tokio::task::spawn_blocking(move || {
            state.store.tick(state.clock.now());
            tell(&state.store);
        });
        if let Err(why) = ticked.await {
            error!(%why, "the store could not be looked after");
        }
    }
}

/// Listens to what other gates put into a shared store, and looks for one that is down.
async fn of_shared_store(gate: Arc<Gate>, mut shutdown: Shutdown) {
    if gate.config.once.store != StoreKind::Redis {
        return;
    }
    loop {
        // Until it answers or the time for that is over; requests have the same connection.
        gate.store.listen().await;
        tokio::select! {
            () = tokio::time::sleep(LISTEN_TICK) => {}
            () = shutdown.wait() => return,
        }
    }
}

/// Logs what happened to the store since this was last called.
fn tell(store: &Store) {
    for notice in store.take_notices() {
        match &notice {
            StoreNotice::Resumed { .. }
            | StoreNotice::Replaced(NewMemory::First)
            | StoreNotice::RoomAgain { .. }
            | StoreNotice::Joined(_)
            | StoreNotice::Answers
            | StoreNotice::PeerAnswers(_) => info!("{notice}"),
            _ => warn!("{notice}"),
        }
    }
}

/// Hears what was taken back at another gate, and finds out whether it answers.
async fn of_peer(gate: Arc<Gate>, peer: String, mut shutdown: Shutdown) {
    let mut pause = PEER_TICK;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.wait() => return,
        }
        pause = if gate.store.hear(&peer).await { PEER_TICK } else { SILENT_PEER_TICK };
    }
}

/// Follows the key files.
async fn of_keys(gate: Arc<Gate>, watch: Arc<Mutex<Watch>>, mut shutdown: Shutdown) {
    let mut tick = tokio::time::interval(KEYS_TICK);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = shutdown.wait() => return,
        }
        let (gate, watch) = (gate.clone(), watch.clone());
        // It reads files, which blocks.
        let looked = tokio::task::spawn_blocking(move || take_up_keys(&gate, &watch));
        if let Err(why) = looked.await {
            error!(%why, "the keys could not be looked after");
        }
    }
}

/// Takes up new keys; ones that cannot be read leave the old in place.
pub(super) fn take_up_keys(gate: &Gate, watch: &Mutex<Watch>) {
    // Held until the keys are in place: of two that look at once, the later must not lose.
    let mut watch = watch.lock().unwrap_or_else(PoisonError::into_inner);
    match watch.changed() {
        None => {}
        Some(Ok((ring, sessions))) => {
            info!(current = ring.current_kid(), "keys changed");
            gate.store.take_up_keys(&sessions);
            gate.keys.store(Arc::new(Keys::new(ring, sessions)));
        }
        Some(Err(why)) => error!(%why, "keys changed and cannot be read; the old ones stay"),
    }
}

/// Follows the files of `listen.tls`.
pub(super) async fn of_certificates(tls: Arc<Tls>, mut shutdown: Shutdown) {
    let mut tick = tokio::time::interval(CERTIFICATES_TICK);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = shutdown.wait() => return,
        }
        let tls = tls.clone();
        // It reads files, which blocks.
        if let Err(why) = tokio::task::spawn_blocking(move || tls.look()).await {
            error!(%why, "the certificates could not be looked after");
        }
    }
}

/// Follows the directory.
async fn of_directory(gate: Arc<Gate>, mut shutdown: Shutdown) {
    if !gate.directory.is_there() {
        return;
    }
    let mut tick = tokio::time::interval(DIRECTORY_TICK);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = shutdown.wait() => return,
        }
        let gate = gate.clone();
        // It reads files, which blocks.
        let looked = tokio::task::spawn_blocking(move || take_up_directory(&gate));
        if let Err(why) = looked.await {
            error!(%why, "the directory could not be looked after");
        }
    }
}

/// Takes up a directory whose file changed, and logs what happened to it.
pub(super) fn take_up_directory(gate: &Gate) {
    match gate.directory.look() {
        None => {}
        Some(notice @ (DirectoryNotice::Changed(_) | DirectoryNotice::Answers)) => {
            info!("{notice}");
        }
        Some(notice) => error!("{notice}"),
    }
}
