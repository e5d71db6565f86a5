//! Composition: a checked configuration in, a running gate out, and its orderly end.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, OnceLock},
};

use arc_swap::ArcSwap;
use hyper::{Request, Response, body::Incoming};
use tokio::{sync::watch, task::JoinSet};
use tracing::{info, warn};

use crate::{
    app::{listeners::socket, running::Operators, tls::Tls},
    config::{Config, Listen},
    edge::{
        Gate, Keys, admin, api,
        assertions::Assertions,
        body::Body,
        connection::Connection,
        limiter::Limiter,
        listen::{self, End},
        redeem::FirstUses,
        route,
        upstream::{Timeouts, Upstreams},
    },
    gate::{caller::Caller, password::Decoy, peer::PeerKeys, secret::Secret},
    ops::{
        clock::Clock, entropy, metrics::Metrics, passwords::Passwords, shutdown, signer::Signer,
        verifier::Verifier,
    },
    store::{directory::Directory, keys::Watch},
};

mod handed_over;
mod listeners;
mod open_files;
mod running;
mod stores;
mod tls;
mod upkeep;

pub use handed_over::{HandedOver, HandedOverError};
pub use listeners::{Listeners, StartError};
pub use running::Running;

/// Starts a gate.
///
/// It listens at once; requests wait until its state is read, `/ready` says so meanwhile. On an
/// admin socket that was handed over a predecessor may still be telling how it is: there the
/// answers begin when the gate is ready.
///
/// # Errors
/// [`StartError`].
pub async fn start(
    mut config: Config,
    clock: Clock,
    listeners: Listeners,
) -> Result<Running, StartError> {
    // What was handed over may be elsewhere than was configured; the rules are for where it is.
    if let Ok([public, api, admin]) = listeners.addresses() {
        config.listen = Listen { public, api, admin, ..config.listen };
    }
    look_around(&config);
    let (near_trigger, near) = shutdown::channel();
    let (here_trigger, here) = shutdown::channel();
    let (admin_trigger, admin_here) = shutdown::channel();
    let end = End { near: near.clone(), here: here.clone(), ..End::at(&here) };
    let admin_end = End { near: near.clone(), ..End::at(&admin_here) };
    let (key_watch, ring, sessions) = Watch::start(&config.keys_dir)?;
    let metrics = Metrics::default();
    let limits = limits(&config);
    let tls = Tls::start(&config.listen, &clock, &metrics)?;
    let [public_front, api_front] = tls::fronts(&config.listen, tls.as_ref(), &metrics);
    let (mut served, mut admin_served) = (JoinSet::new(), JoinSet::new());

    let started = Arc::new(OnceLock::<Arc<Gate>>::new());
    let (admin, admin_at) = socket(listeners.admin, "admin")?;
    let seen = started.clone();
    let answer = move |_, request| -> Answering {
        Box::pin(std::future::ready(admin::answer(seen.get(), &request)))
    };
    let front = tls::plain("admin", &metrics);
    let admin =
        listen::serve(admin, limits.clone(), front, admin_end.clone(), alike(Arc::new(answer)));
    let mut admin = Some(admin);
    if !listeners.admin_shared {
        admin.take().map(|admin| admin_served.spawn(admin));
    }

    info!(gate = config.gate.name, "waits for its state");
    let directory = open_directory(&config).await?;
    let store = stores::open(&config, PeerKeys::of(&sessions), &clock).await?;
    // What other gates took back is known before the first request, where the store answers.
    store.listen().await;
    let gate = Arc::new(Gate {
        passwords: open_passwords(&config, &metrics),
        verifier: Verifier::new(&metrics),
        signer: Signer::new(&metrics),
        keys: ArcSwap::from_pointee(Keys::new(ring, sessions)),
        store,
        clock,
        metrics,
        upstreams: open_upstreams(&config)?,
        assertions: Assertions::default(),
        first_uses: FirstUses::default(),
        directory,
        limiters: limiters(&config),
        spending: end.asking.clone(),
        shutdown: near,
        config,
    });
    let (public, public_at) = socket(listeners.public, "public")?;
    let (caught_up, others_wait) = watch::channel(false);
    let answer = public_answer(gate.clone(), others_wait);
    served.spawn(listen::serve(public, limits.clone(), public_front, end.clone(), alike(answer)));
    gate.store.catch_up().await;
    // Nobody may be listening for it any more.
    let _ = caught_up.send(true);
    // Set once, here.
    let _ = started.set(gate.clone());
    admin.map(|admin| admin_served.spawn(admin));

    let (api, api_at) = socket(listeners.api, "api")?;
    let state = gate.clone();
    let answer =
        move |peer, request| -> Answering { Box::pin(api::answer(state.clone(), peer, request)) };
    served.spawn(listen::serve(api, limits, api_front, end.clone(), alike(Arc::new(answer))));

    let watch = Arc::new(Mutex::new(key_watch));
    upkeep::begin(&gate, &watch, &here);
    if let Some(tls) = tls {
        tokio::spawn(upkeep::of_certificates(tls, here));
    }
    info!(
        gate = gate.config.gate.name, version = env!("CARGO_PKG_VERSION"),
        public = %public_at, api = %api_at, admin = %admin_at, "ready"
    );
    Ok(Running {
        public: public_at,
        api: api_at,
        admin: admin_at,
        gate,
        watch,
        near: near_trigger,
        here: here_trigger,
        served,
        connections: end.connections,
        operators: Operators {
            shared: listeners.admin_shared,
            here: admin_trigger,
            served: admin_served,
            connections: admin_end.connections,
        },
    })
}

/// An answer under way.
type Answering = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;
/// What a listener answers.
type Answer = Arc<dyn Fn(Connection, Request<Incoming>) -> Answering + Send + Sync>;

/// The same, of one type for all listeners: all that serves a connection is compiled once, and not
/// once for each of them.
fn alike(
    answer: Answer,
) -> impl Fn(Connection, Request<Incoming>) -> Answering + Clone + Send + Sync + 'static {
    move |peer, request| answer(peer, request)
}

/// Gates that start together have questions to each other before they can answer any other: those
/// wait until this one has caught up.
fn public_answer(gate: Arc<Gate>, others_wait: watch::Receiver<bool>) -> Answer {
    Arc::new(move |peer, request| {
        let is_peers = route::is_peers(request.uri().path());
        let waits = !is_peers && !*others_wait.borrow();
        // From here on it is under way, whenever it is looked at.
        let answering = route::answer(gate.clone(), peer, request);
        if !waits {
            return Box::pin(answering);
        }
        let mut others_wait = others_wait.clone();
        Box::pin(async move {
            // An error says that the sender is gone: it was sent before.
            let _ = others_wait.wait_for(|caught_up| *caught_up).await;
            answering.await
        })
    })
}

/// Says what is worth a word, and takes the files that are allowed.
fn look_around(config: &Config) {
    for warning in &config.warnings {
        warn!("{warning}");
    }
    open_files::raise(config.limits.max_connections);
}

/// What every listener grants.
fn limits(config: &Config) -> listen::Limits {
    listen::Limits {
        header_timeout: config.limits.header_timeout,
        max_connections: config.limits.max_connections,
    }
}

/// How fast each caller may ask, by its name.
fn limiters(config: &Config) -> HashMap<String, Limiter> {
    let limiter = |caller: &Arc<Caller>| (caller.name.clone(), Limiter::new(caller.rate));
    config.callers.iter().map(limiter).collect()
}

fn open_passwords(config: &Config, metrics: &Metrics) -> Passwords {
    let hashes = config.callers.iter().filter_map(|caller| caller.password.as_ref());
    Passwords::new(Secret::new(entropy::random()), Decoy::like(hashes), metrics)
}

fn open_upstreams(config: &Config) -> Result<Upstreams, StartError> {
    let timeouts = Timeouts { body: config.limits.body_timeout, ..Timeouts::default() };
    let upstreams = config.sites.iter().filter_map(|site| site.upstream.as_ref());
    Upstreams::new(upstreams, timeouts).map_err(StartError::Upstreams)
}

async fn open_directory(config: &Config) -> Result<Directory, StartError> {
    let source = config.directory.clone();
    Ok(tokio::task::spawn_blocking(move || Directory::open(&source)).await??)
}
