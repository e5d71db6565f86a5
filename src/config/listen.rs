//! `[listen]`: the addresses the gate answers on, and whom it believes there.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
};

use ipnet::IpNet;

use crate::{
    config::{
        reader::{Section, one_of},
        tls::{self, Tls},
        units,
    },
    gate::client_ip::{ClientIpSource, Networks},
};

/// The addresses the gate answers on, and whom it believes there.
#[derive(Debug, Clone)]
pub struct Listen {
    /// Links, pages, proxied sites, the JWKS.
    pub public: SocketAddr,
    /// `/v1`.
    pub api: SocketAddr,
    /// Health, metrics, the status page.
    pub admin: SocketAddr,
    /// With what the gate itself ends TLS on `public` and `api`; none: it does not.
    pub tls: Option<Tls>,
    /// Where the client's address is read from on `public`.
    pub client_ip: ClientIpSource,
    /// The same on `api`.
    pub api_client_ip: ClientIpSource,
    /// Whether API keys may cross a network in the clear.
    pub insecure_api: bool,
    /// The networks whose word on the client's address is taken.
    pub trusted_proxies: Networks,
}

const SOURCES: [(&str, ClientIpSource); 4] = [
    ("peer", ClientIpSource::Peer),
    ("x-forwarded-for", ClientIpSource::XForwardedFor),
    ("forwarded", ClientIpSource::Forwarded),
    ("proxy-protocol", ClientIpSource::ProxyProtocol),
];

/// Reads `[listen]`, whose paths are relative to `base`.
pub(super) fn read(mut section: Section<'_>, base: &Path) -> Listen {
    let tls = section.optional("tls").map(|section| tls::read(section, base));
    let faults = section.ledger.faults().len();
    let proxies = section.list("trusted_proxies", units::network).unwrap_or_default();
    // A list that could not be read is not an empty one.
    let nobody_trusted = proxies.is_empty()
        && section.ledger.faults().len() == faults
        && !section.ledger.unsure("trusted_proxies");
    let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let peer = ClientIpSource::Peer;
    let ends_tls = tls.is_some();
    let listen = Listen {
        tls: tls.flatten(),
        public: section.read_or("public", units::address, SocketAddr::from(([0; 4], 8080))),
        api: section.read_or("api", units::address, local(8081)),
        admin: section.read_or("admin", units::address, local(9090)),
        client_ip: section.read_or("client_ip", one_of(&SOURCES), peer),
        api_client_ip: section.read_or("api_client_ip", one_of(&SOURCES), peer),
        insecure_api: section.read_or("insecure_api", units::flag, false),
        trusted_proxies: Networks::parse(&proxies).unwrap_or_default(),
    };
    addresses_differ(&section, &listen);
    everybody_is_not_trusted(&section, &listen);
    if nobody_trusted {
        headers_come_from_somebody_trusted(&section, &listen);
    }
    if !ends_tls {
        api_keys_do_not_cross_a_network_in_the_clear(&section, &listen, nobody_trusted);
    }
    section.done();
    listen
}

fn addresses_differ(section: &Section<'_>, listen: &Listen) {
    let all = [("public", listen.public), ("api", listen.api), ("admin", listen.admin)];
    for (number, (key, address)) in all.iter().enumerate() {
        let earlier = all.iter().take(number).find(|(_, other)| collide(*address, *other));
        if let Some((other, taken)) = earlier {
            let what =
                format!("{address} is taken by listen.{other} ({taken}); write another port");
            section.fault(key, what);
        }
    }
}

/// Whether the second of two listeners would find its address in use.
fn collide(left: SocketAddr, right: SocketAddr) -> bool {
    // `[::]` takes the port of IPv4 too, unless the system says otherwise.
    let covers = |wide: IpAddr, ip: IpAddr| {
        wide == ip || (wide.is_unspecified() && (wide.is_ipv6() || ip.is_ipv4()))
    };
    left.port() != 0
        && left.port() == right.port()
        && (covers(left.ip(), right.ip()) || covers(right.ip(), left.ip()))
}

fn everybody_is_not_trusted(section: &Section<'_>, listen: &Listen) {
    // Two halves of the internet are the whole.
    let networks: Vec<_> = listen.trusted_proxies.iter().copied().collect();
    if IpNet::aggregate(&networks).iter().any(|network| network.prefix_len() == 0) {
        let what = "would believe anyone; write the networks of your own proxies";
        section.fault("trusted_proxies", what);
    }
}

fn headers_come_from_somebody_trusted(section: &Section<'_>, listen: &Listen) {
    let sources = [("client_ip", listen.client_ip), ("api_client_ip", listen.api_client_ip)];
    for (key, source) in sources {
        if source != ClientIpSource::Peer {
            let what = "a header is believed from trusted proxies alone, and there are none; \
                        write trusted_proxies = [\"10.0.0.0/8\"], with the network of yours";
            section.fault(key, what);
        }
    }
}

fn api_keys_do_not_cross_a_network_in_the_clear(
    section: &Section<'_>,
    listen: &Listen,
    nobody_trusted: bool,
) {
    if listen.api.ip().is_loopback() {
        return;
    }
    if listen.insecure_api {
        let what = "API keys cross the network of listen.api in the clear";
        section.ledger.warn(&section.path_of("insecure_api"), what);
    } else if nobody_trusted {
        let what = "API keys would cross a network in the clear; write \"127.0.0.1:8081\", or \
                    tls = { cert = \"tls.crt\", key = \"tls.key\" }, or trusted_proxies with the \
                    proxy that ends TLS, or insecure_api = true on a \
                    network you vouch for";
        section.fault("api", what);
    }
}
