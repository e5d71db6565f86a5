//! The store that a configuration describes.

use std::sync::Arc;

use crate::{
    app::StartError,
    config::{self, Config, Once, Peer, RedisAt, RedisLogin},
    gate::{peer::PeerKeys, revoked::MAX_REVOCATIONS},
    ops::{clock::Clock, entropy},
    store::{
        self, Store, StoreError, StoreOptions,
        peers::{HttpRoad, PeerOptions},
        redis::{
            Address, Login, Prefix, Redis, RedisOptions, Shared, SharedOptions, Tls, Whereabouts,
        },
    },
};

/// Opens the store: of this gate alone, one that knows others, or one that all share.
///
/// # Errors
/// [`StartError`].
pub(super) async fn open(
    config: &Config,
    keys: PeerKeys,
    clock: &Clock,
) -> Result<Store, StartError> {
    if config.once.store == config::StoreKind::Redis {
        return Ok(shared(config)?);
    }
    let mut options = local(&config.once, &config.gate.name);
    options.peers = peers(&config.once.peers, keys)?;
    let clock = clock.clone();
    let opened =
        tokio::task::spawn_blocking(move || Store::open(options, clock.now(), entropy::random));
    Ok(opened.await??)
}

fn peers(peers: &[Peer], keys: PeerKeys) -> Result<Option<PeerOptions>, StartError> {
    if peers.is_empty() {
        return Ok(None);
    }
    let origins = peers.iter().map(|peer| (peer.name.clone(), peer.origin.clone()));
    let road = HttpRoad::new(origins).map_err(StartError::Peers)?;
    let names = peers.iter().map(|peer| peer.name.clone()).collect();
    Ok(Some(PeerOptions { names, road: Arc::new(road), keys }))
}

/// How the memory of this gate alone is kept.
fn local(once: &Once, gate: &str) -> StoreOptions {
    let durability = match once.durability {
        config::Durability::Process => store::Durability::Process,
        config::Durability::Power => store::Durability::Power,
    };
    match once.store {
        config::StoreKind::Memory | config::StoreKind::Redis => {
            StoreOptions::memory(gate, once.max_entries)
        }
        config::StoreKind::Journal => StoreOptions::journal(
            gate,
            once.max_entries,
            once.dir.clone(),
            durability,
            once.lock_wait,
        ),
    }
}

/// The memory that several gates share. Nobody is asked yet.
///
/// # Errors
/// [`StoreError::Redis`].
fn shared(config: &Config) -> Result<Store, StoreError> {
    let missing = || StoreError::Redis("once.redis is missing".to_owned());
    let redis = config.once.redis.as_ref().ok_or_else(missing)?;
    let options = SharedOptions {
        gate: config.gate.name.clone(),
        max_entries: config.once.max_entries,
        max_revocations: MAX_REVOCATIONS,
    };
    let server = Redis::new(options_of(redis, &config.gate.issuer));
    let server = server.map_err(|why| StoreError::Redis(format!("its certificates: {why}")))?;
    Ok(Store::shared(Shared::new(Arc::new(server), options, entropy::random)))
}

fn options_of(redis: &config::Redis, issuer: &str) -> RedisOptions {
    let address = |(host, port): &(String, u16)| Address { host: host.clone(), port: *port };
    let login = |login: &RedisLogin| {
        let RedisLogin { username, password } = login.clone();
        Login { username, password }
    };
    RedisOptions {
        at: match &redis.at {
            RedisAt::Single { address: at, db } => {
                Whereabouts::Single { address: address(at), db: *db }
            }
            RedisAt::Sentinel { master, nodes, login: of_nodes } => Whereabouts::Sentinel {
                master: master.clone(),
                nodes: nodes.iter().map(address).collect(),
                login: login(of_nodes),
            },
        },
        login: login(&redis.login),
        tls: redis.tls.then(|| Tls { ca: redis.ca.clone().map(String::into_bytes) }),
        timeout: redis.timeout,
        prefix: Prefix::of(issuer),
    }
}
