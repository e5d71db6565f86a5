//! Stage two: what must hold between sites and callers, once each is good by itself.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    config::{ledger::Ledger, listen::Listen, peers::Peer},
    gate::{
        caller::Caller, certificate::CertificateName, client_ip::ClientIpSource, link::LinkRules,
        site::Site,
    },
};

/// Something that was read, and the path it was read from.
#[derive(Debug)]
pub(super) struct Found<T> {
    /// As in `sites.panel`.
    pub(super) path: String,
    /// What was read.
    pub(super) value: T,
}

/// The sites: at least one, no two under one authority.
pub(super) fn sites(ledger: &Ledger, sites: Vec<Found<Site>>) -> Vec<Arc<Site>> {
    let mut authorities: BTreeMap<String, String> = BTreeMap::new();
    for site in &sites {
        let authority = site.value.origin.authority().to_owned();
        if let Some(other) = authorities.get(&authority) {
            let key = format!("{}.origin", site.path);
            ledger.fault(&key, format!("{authority} is the origin of {other} too; change one"));
        } else {
            authorities.insert(authority, site.path.clone());
        }
    }
    for site in &sites {
        for host in &site.value.hosts {
            let host = host.to_string();
            if let Some(other) = authorities.get(&host) {
                let key = format!("{}.hosts", site.path);
                ledger.fault(&key, format!("{host} is a host of {other} too; remove one"));
            } else {
                authorities.insert(host, site.path.clone());
            }
        }
    }
    sites.into_iter().map(|site| Arc::new(site.value)).collect()
}

/// What fits together, and will surprise.
pub(super) fn ways_in(ledger: &Ledger, listen: &Listen, peers: &[Peer]) {
    if peers.is_empty() {
        return;
    }
    if listen.client_ip == ClientIpSource::ProxyProtocol {
        let what = "other gates ask on the public listener too: keep their addresses out of \
                    trusted_proxies, for from there a PROXY header must be sent";
        ledger.warn("listen.client_ip", what);
    }
    if listen.tls.is_some() && peers.iter().any(|peer| !peer.origin.is_secure()) {
        let what = "this gate's public listener ends TLS; another one that does is reached by \
                    https://";
        ledger.warn("once.peers", what);
    }
}

/// The callers: each with sites that exist (`known`), within the longest lifetime, and with keys
/// and certificates of its own; certificates only where somebody `signs` them.
pub(super) fn callers(
    ledger: &Ledger,
    callers: Vec<Found<Caller>>,
    known: &[String],
    links: &LinkRules,
    signs: bool,
) -> Vec<Arc<Caller>> {
    let mut owners: BTreeMap<[u8; 32], &str> = BTreeMap::new();
    let mut named: BTreeMap<&CertificateName, &str> = BTreeMap::new();
    for caller in &callers {
        let Found { path, value } = caller;
        for site in value.sites.iter().filter(|site| !known.contains(site)) {
            let what = format!("there is no site {site:?}; write one of {known:?}");
            ledger.fault(&format!("{path}.sites"), what);
        }
        if value.max_ttl > links.max_ttl {
            let what =
                format!("is longer than links.max_ttl; write \"{}s\" or less", links.max_ttl);
            ledger.fault(&format!("{path}.max_ttl"), what);
        }
        for key in &value.keys {
            if let Some(owner) = owners.insert(key.0, path) {
                let what = format!("a key is that of {owner} already; give each caller its own");
                ledger.fault(&format!("{path}.key_sha256"), what);
            }
        }
        let key = format!("{path}.certificate");
        for name in &value.certificates {
            if let Some(owner) = named.insert(name, path) {
                let what = format!("\"{name}\" is that of {owner} already; give each its own");
                ledger.fault(&key, what);
            }
        }
        if !value.certificates.is_empty() && !signs {
            let what = "nobody's certificates are believed; write listen.tls = { cert = \"tls.crt\", \
                        key = \"tls.key\", client_ca = \"ca.pem\" }";
            ledger.fault(&key, what);
        }
    }
    if callers.is_empty() {
        ledger.warn("callers", "there are none: nobody can ask for a link");
    }
    callers.into_iter().map(|caller| Arc::new(caller.value)).collect()
}
