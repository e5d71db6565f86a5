//! `once.redis`: the server whose memory several gates share.

use std::{path::Path, time::Duration};

use url::{Host, Url};

use crate::{
    config::{
        raw::{Node, quoted},
        reader::{Reading, Section},
        units,
    },
    gate::secret::Secret,
};

/// How long one answer may take where nobody sets it.
const TIMEOUT: Duration = Duration::from_millis(200);
/// Where a Redis listens if nobody says so.
const PORT: u16 = 6_379;
/// Where a Sentinel does.
const SENTINEL_PORT: u16 = 26_379;

/// The server whose memory several gates share.
#[derive(Debug, Clone)]
pub struct Redis {
    /// Where it is.
    pub at: RedisAt,
    /// How to sign in there.
    pub login: RedisLogin,
    /// Whether it, and its Sentinels, speak TLS.
    pub tls: bool,
    /// The certificates that are trusted, as PEM; none: the system's.
    pub ca: Option<String>,
    /// How long a connection, and each answer, may take.
    pub timeout: Duration,
}

/// Where the server is.
#[derive(Debug, Clone)]
pub enum RedisAt {
    /// One server.
    Single {
        /// Its name or address (of IPv6 without brackets), and its port.
        address: (String, u16),
        /// The number of its database.
        db: u32,
    },
    /// What Sentinels call the primary.
    Sentinel {
        /// The name.
        master: String,
        /// The Sentinels' names or addresses, and their ports.
        nodes: Vec<(String, u16)>,
        /// How to sign in at the Sentinels.
        login: RedisLogin,
    },
}

/// How to sign in.
#[derive(Debug, Clone, Default)]
pub struct RedisLogin {
    /// The user; none: the server's `default`.
    pub username: Option<String>,
    /// The password; none: nobody signs in.
    pub password: Option<Secret<String>>,
}

/// Reads `once.redis`, whose paths are relative to `base`.
pub(super) fn read(mut section: Section<'_>, base: &Path) -> Option<Redis> {
    let url = section.read("url", url);
    let sentinel = section.optional("sentinel").map(|section| sentinel(section, base));
    let login = login(&mut section, base);
    let tls = section.read("tls", units::flag);
    let ca = section.read("ca", |node| {
        // It is no secret; one that others can write would be trusted all the same.
        units::secret_file(node, base).map(|pem| pem.expose().clone())
    });
    let timeout = section.read_or("timeout", timeout, TIMEOUT);
    match (section.has("url"), section.has("sentinel")) {
        (true, true) => section.fault("url", "is given beside sentinel; remove one of them"),
        (false, false) => {
            let example = "url = \"redis://127.0.0.1:6379\", or sentinel = { … }";
            section.ledger.missing(&section.path_of("url"), example);
        }
        (true, false) if tls.is_some() => {
            section.fault("tls", "is for sentinel; write the url as rediss://… instead");
        }
        _ => {}
    }
    let over_tls = url.as_ref().map_or(tls.unwrap_or(false), |(_, over_tls)| *over_tls);
    if section.has("ca") && !over_tls && (url.is_some() || section.has("sentinel")) {
        section.fault("ca", "is for TLS; write the url as rediss://…, or tls = true");
    }
    section.done();
    let at = url.map(|(at, _)| at).or(sentinel.flatten())?;
    Some(Redis { at, login, tls: over_tls, ca, timeout })
}

/// Where one server is, and whether it speaks TLS. What may hold a password is not quoted.
fn url(node: &Node) -> Reading<(RedisAt, bool)> {
    let text = units::text(node)?;
    let wrong = |why: &str| format!("{why}; write \"redis://127.0.0.1:6379\"");
    let url = Url::parse(&text).map_err(|_| wrong("is not a URL"))?;
    if !url.username().is_empty() || url.password().is_some() {
        let what =
            "has a user name or a password in it; write username and password_file beside it";
        return Err(what.to_owned());
    }
    let tls = match url.scheme() {
        "redis" => false,
        "rediss" => true,
        _ => return Err(wrong("begins neither with redis:// nor with rediss://")),
    };
    let host = match url.host() {
        Some(Host::Domain(host)) if !host.is_empty() => host.to_owned(),
        Some(Host::Ipv4(ip)) => ip.to_string(),
        Some(Host::Ipv6(ip)) => ip.to_string(),
        _ => return Err(wrong("names no server")),
    };
    let db = match url.path().trim_start_matches('/') {
        "" => 0,
        db => db.parse().map_err(|_| wrong("has a path that is not the number of a database"))?,
    };
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("has a query or a fragment"));
    }
    Ok((RedisAt::Single { address: (host, url.port().unwrap_or(PORT)), db }, tls))
}

fn sentinel(mut section: Section<'_>, base: &Path) -> Option<RedisAt> {
    let master = section.require("master", units::text, "master = \"mymaster\"");
    let nodes = section.list("nodes", node);
    let example = "nodes = [\"10.0.0.1:26379\", \"10.0.0.2:26379\", \"10.0.0.3:26379\"]";
    match &nodes {
        None if !section.has("nodes") => {
            section.ledger.missing(&section.path_of("nodes"), example);
        }
        Some(nodes) if nodes.is_empty() && section.ledger.faults().is_empty() => {
            section.fault("nodes", format!("names none; write {example}"));
        }
        _ => {}
    }
    let login = login(&mut section, base);
    section.done();
    Some(RedisAt::Sentinel { master: master?, nodes: nodes?, login })
}

/// `host:port`, or a host alone.
fn node(node: &Node) -> Reading<(String, u16)> {
    let text = units::text(node)?;
    let wrong = || format!("{} is not a host and a port; write \"10.0.0.1:26379\"", quoted(&text));
    if text.is_empty() || text.contains(['/', '@', '?', '#', ' ']) {
        return Err(wrong());
    }
    let url = Url::parse(&format!("redis://{text}")).map_err(|_| wrong())?;
    let host = match url.host().ok_or_else(wrong)? {
        Host::Domain(host) => host.to_owned(),
        Host::Ipv4(ip) => ip.to_string(),
        Host::Ipv6(ip) => ip.to_string(),
    };
    Ok((host, url.port().unwrap_or(SENTINEL_PORT)))
}

fn login(section: &mut Section<'_>, base: &Path) -> RedisLogin {
    let username = section.read("username", units::text);
    let written = section.read("password", |node| password(units::secret(node)?));
    let filed = section.read("password_file", |node| password(units::private_file(node, base)?));
    if section.has("password") && section.has("password_file") {
        section.fault("password_file", "is given beside password; remove one of them");
    }
    if section.has("username") && !section.has("password") && !section.has("password_file") {
        section.fault("username", "needs a password; write password_file = \"redis-password\"");
    }
    RedisLogin { username, password: written.or(filed) }
}

fn password(password: Secret<String>) -> Reading<Secret<String>> {
    if password.expose().is_empty() {
        return Err("is empty; remove it where none is wanted".to_owned());
    }
    Ok(password)
}

fn timeout(node: &Node) -> Reading<Duration> {
    let timeout = units::duration(node)?;
    if timeout < Duration::from_millis(10) || timeout > Duration::from_secs(2) {
        return Err(format!(
            "{} is not between 10ms and 2s; write \"200ms\"",
            quoted(&units::text(node)?)
        ));
    }
    Ok(timeout)
}
