//! The gate's own certificates while it runs: in use, followed, and told of before they expire.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tracing::{info, warn};

use crate::{
    app::StartError,
    config::Listen,
    edge::listen::Front,
    gate::client_ip::ClientIpSource,
    ops::{
        clock::{Clock, rfc3339},
        metrics::{Certificate, Listener, Metrics},
    },
    store::certificates::{Certificates, SOON, Server, Watch},
};

/// How often it is said that a certificate expires soon, in seconds.
const AGAIN: u64 = 24 * 3_600;

/// With what TLS begins on the listeners.
#[derive(Debug)]
pub(super) struct Tls {
    public: Arc<ArcSwap<Server>>,
    api: Arc<ArcSwap<Server>>,
    clock: Clock,
    metrics: Metrics,
    followed: Mutex<Followed>,
}

#[derive(Debug)]
struct Followed {
    watch: Watch,
    in_use: Certificates,
    /// What was last said of each.
    said: [Option<Said>; 3],
}

/// When it was said that one expires soon, or that it has.
#[derive(Debug, Clone, Copy)]
struct Said {
    at: u64,
    is_over: bool,
}

impl Tls {
    /// Reads the certificates, where the gate itself ends TLS.
    ///
    /// # Errors
    /// [`StartError::Certificate`].
    pub(super) fn start(
        listen: &Listen,
        clock: &Clock,
        metrics: &Metrics,
    ) -> Result<Option<Arc<Self>>, StartError> {
        let Some(files) = &listen.tls else { return Ok(None) };
        let (watch, in_use) = Watch::start(files, Arc::new(clock.clone()))?;
        let tls = Self {
            public: Arc::new(ArcSwap::new(in_use.public.clone())),
            api: Arc::new(ArcSwap::new(in_use.api.clone())),
            clock: clock.clone(),
            metrics: metrics.clone(),
            followed: Mutex::new(Followed { watch, in_use, said: [None; 3] }),
        };
        tls.look();
        Ok(Some(Arc::new(tls)))
    }

    /// Takes up new certificates; ones that cannot be used leave the old in place. It reads files,
    /// which blocks.
    pub(super) fn look(&self) {
        // Held until they are in place: of two that look at once, the later must not lose.
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        match followed.watch.changed() {
            None => {}
            Some(Ok(new)) => {
                self.public.store(new.public.clone());
                self.api.store(new.api.clone());
                info!(expires = rfc3339(new.expires), "the certificate changed");
                (followed.in_use, followed.said) = (new, [None; 3]);
            }
            Some(Err(why)) => {
                warn!(%why, "the certificate changed and cannot be used; the old one stays");
            }
        }
        self.tell(&mut followed);
    }

    fn tell(&self, followed: &mut Followed) {
        let now = self.clock.now();
        let Certificates { expires, client_ca_expires, client_crl, .. } = followed.in_use;
        let all = [
            ("cert", Some((expires, SOON))),
            ("client_ca", client_ca_expires.map(|expires| (expires, SOON))),
            ("client_crl", client_crl.map(|list| (list.expires, list.soon()))),
        ];
        for ((certificate, expires), said) in all.into_iter().zip(&mut followed.said) {
            let Some((expires, soon)) = expires else { continue };
            let gauge =
                self.metrics.certificate_expires.get_or_create(&Certificate { certificate });
            gauge.set(i64::try_from(expires).unwrap_or(i64::MAX));
            let is_over = expires <= now;
            let again = said
                .is_none_or(|said| said.is_over != is_over || now.saturating_sub(said.at) >= AGAIN);
            if expires.saturating_sub(now) >= soon && !is_over || !again {
                continue;
            }
            *said = Some(Said { at: now, is_over });
            let expires = rfc3339(expires);
            match (certificate, is_over) {
                ("client_crl", true) => warn!(
                    expires,
                    "listen.tls.client_crl is out of date: no caller's certificate is taken; renew it"
                ),
                (_, true) => warn!(expires, "listen.tls.{certificate} has expired; renew it"),
                (_, false) => warn!(expires, "listen.tls.{certificate} expires soon; renew it"),
            }
        }
    }
}

/// How connections begin on `public` and on `api`.
pub(super) fn fronts(listen: &Listen, tls: Option<&Arc<Tls>>, metrics: &Metrics) -> [Front; 2] {
    let front = |listener, source, tls| Front {
        tls,
        proxies: (source == ClientIpSource::ProxyProtocol).then(|| listen.trusted_proxies.clone()),
        ..plain(listener, metrics)
    };
    [
        front("public", listen.client_ip, tls.map(|tls| tls.public.clone())),
        front("api", listen.api_client_ip, tls.map(|tls| tls.api.clone())),
    ]
}

/// How they begin where nothing comes before the first request.
pub(super) fn plain(listener: &'static str, metrics: &Metrics) -> Front {
    Front {
        open: metrics.connections.get_or_create(&Listener { listener }).clone(),
        unserved: metrics.unserved_by(listener),
        ..Front::default()
    }
}
