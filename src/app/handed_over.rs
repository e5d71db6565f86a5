//! Sockets that a supervisor opened for the gate, as systemd does (`sd_listen_fds(3)`).
//!
//! One gate after the other is given the same sockets: between them the kernel keeps who
//! connects, and nobody is refused.

use std::{
    env, io,
    net::{SocketAddr, TcpListener},
    process,
};

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;
use tracing::warn;

use crate::config::Config;

/// The names that sockets may have, in the order of those that have none.
const NAMES: [&str; 3] = ["public", "api", "admin"];
/// The number of the first socket (`SD_LISTEN_FDS_START`).
const FIRST: usize = 3;

/// Listening sockets that were opened by somebody else. Each may be missing.
#[derive(Debug, Default)]
pub struct HandedOver {
    /// For links, pages and sites.
    pub public: Option<TcpListener>,
    /// For callers.
    pub api: Option<TcpListener>,
    /// For health and metrics.
    pub admin: Option<TcpListener>,
}

/// Why what was handed over cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HandedOverError {
    /// The variable is not a number.
    #[error(
        "LISTEN_FDS is {0:?}, which is not a number of sockets\n  do: unset it, or have the supervisor set it"
    )]
    NotANumber(String),
    /// There are more sockets than listeners.
    #[error(
        "{0} sockets are handed over, and the gate has three listeners\n  do: hand over public, api and admin at most"
    )]
    TooMany(usize),
    /// There are more or fewer names than sockets.
    #[error(
        "LISTEN_FDNAMES has {names} names for {sockets} sockets\n  do: name each of them, or none"
    )]
    Names {
        /// How many names there are.
        names: usize,
        /// How many sockets.
        sockets: usize,
    },
    /// A name is no listener's.
    #[error(
        "a socket named {0:?} is handed over, and no listener has that name\n  do: set FileDescriptorName= to public, api or admin"
    )]
    UnknownName(String),
    /// A name is there twice.
    #[error(
        "two sockets are handed over as {0}\n  do: give each listener one ListenStream= in a socket unit of its own"
    )]
    Twice(&'static str),
    /// Some have names and some have none.
    #[error(
        "some sockets are handed over with a name and some without\n  do: set FileDescriptorName= for each of them, or for none"
    )]
    SomeNamed,
    /// It is not a socket that listens.
    #[error(
        "file descriptor {number} ({name}) is not a TCP socket that listens: {why}\n  do: hand over ListenStream= with an address and a port, and Accept=no"
    )]
    NotListening {
        /// The listener it was for.
        name: &'static str,
        /// The number of the file descriptor.
        number: usize,
        /// What it is instead.
        why: io::Error,
    },
    /// Callers' keys would cross a network in the clear.
    #[error(
        "the api socket handed over listens on {0}: API keys would cross a network in the clear\n  do: listen on 127.0.0.1, or set listen.tls, or trusted_proxies with the proxy that ends TLS, or insecure_api = true on a network you vouch for"
    )]
    InsecureApi(SocketAddr),
}

impl HandedOver {
    /// Takes the sockets that this process was given, and the variables that tell of them out of
    /// the environment. None where `LISTEN_FDS` is not set, or `LISTEN_PID` is another process.
    ///
    /// To be called once, while there is one thread.
    ///
    /// # Errors
    /// [`HandedOverError`].
    pub fn take() -> Result<Self, HandedOverError> {
        let text = |name| env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        let Some(count) = text("LISTEN_FDS") else { return Ok(Self::default()) };
        let for_process = text("LISTEN_PID").filter(|pid| !pid.is_empty());
        if for_process.as_ref().is_some_and(|pid| *pid != process::id().to_string()) {
            warn!(
                listen_pid = for_process,
                "sockets are handed over to another process; start the gate itself, not a shell"
            );
            return Ok(Self::default());
        }
        let names = listeners(&count, text("LISTEN_FDNAMES").as_deref())?;
        let (mut given, mut taken) = (ListenFd::from_env(), Self::default());
        for (index, name) in names.into_iter().enumerate() {
            let socket = listening(&mut given, index).map_err(|why| {
                HandedOverError::NotListening { name, number: FIRST + index, why }
            })?;
            let place = match name {
                "public" => &mut taken.public,
                "api" => &mut taken.api,
                _ => &mut taken.admin,
            };
            *place = Some(socket);
        }
        Ok(taken)
    }

    /// Whether the configuration allows for where these sockets listen, which its own addresses
    /// do not say.
    pub(super) fn judge(&self, config: &Config) -> Result<(), HandedOverError> {
        let listen = &config.listen;
        let all = [
            ("public", &self.public, listen.public),
            ("api", &self.api, listen.api),
            ("admin", &self.admin, listen.admin),
        ];
        for (name, socket, configured) in all {
            let Some(at) = socket.as_ref().and_then(|socket| socket.local_addr().ok()) else {
                continue;
            };
            let vouched = listen.insecure_api
                || listen.tls.is_some()
                || listen.trusted_proxies.iter().next().is_some();
            if name == "api" && !at.ip().is_loopback() && !vouched {
                return Err(HandedOverError::InsecureApi(at));
            }
            if at != configured && configured.port() != 0 {
                warn!(%at, %configured, "the {name} socket handed over is not where listen.{name} says");
            }
        }
        Ok(())
    }
}

/// Whose the sockets are, in their order.
fn listeners(count: &str, names: Option<&str>) -> Result<Vec<&'static str>, HandedOverError> {
    let sockets = count.parse().map_err(|_| HandedOverError::NotANumber(count.to_owned()))?;
    if sockets > NAMES.len() {
        return Err(HandedOverError::TooMany(sockets));
    }
    let given: Vec<&str> = match names {
        Some(names) if !names.is_empty() => names.split(':').collect(),
        _ => vec![""; sockets],
    };
    if given.len() != sockets {
        return Err(HandedOverError::Names { names: given.len(), sockets });
    }
    match given.iter().filter(|name| is_no_name(name)).count() {
        0 => {}
        unnamed if unnamed == sockets => return Ok(NAMES.into_iter().take(sockets).collect()),
        _ => return Err(HandedOverError::SomeNamed),
    }
    let mut found = Vec::new();
    for name in given {
        let known = NAMES.into_iter().find(|known| *known == name);
        let known = known.ok_or_else(|| HandedOverError::UnknownName(name.to_owned()))?;
        if found.contains(&known) {
            return Err(HandedOverError::Twice(known));
        }
        found.push(known);
    }
    Ok(found)
}

/// What systemd says of a socket that nobody named: the name of its unit, or this word.
fn is_no_name(name: &str) -> bool {
    name.is_empty() || name == "unknown" || name.ends_with(".socket")
}

fn listening(given: &mut ListenFd, index: usize) -> io::Result<TcpListener> {
    let socket = given.take_tcp_listener(index)?;
    let socket = socket.ok_or_else(|| io::Error::other("it is not there"))?;
    if socket_acceptconn(&socket)? {
        Ok(socket)
    } else {
        Err(io::Error::other("it does not listen"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_known_by_name_in_any_order_and_each_may_be_missing() {
        for (count, names, expected) in [
            ("0", None, &[][..]),
            ("3", Some("admin:public:api"), &["admin", "public", "api"]),
            ("1", Some("api"), &["api"]),
            ("2", Some("admin:public"), &["admin", "public"]),
        ] {
            assert_eq!(listeners(count, names).unwrap(), expected, "{names:?}");
        }
    }

    #[test]
    fn sockets_without_a_name_are_known_by_their_order() {
        for names in [None, Some(""), Some("oncegate.socket:oncegate.socket"), Some("unknown:")] {
            assert_eq!(listeners("2", names).unwrap(), ["public", "api"], "{names:?}");
        }
    }

    #[test]
    fn what_cannot_be_told_apart_is_refused_by_name() {
        for (count, names, said) in [
            ("two", None, "\"two\""),
            ("-1", None, "\"-1\""),
            ("4", None, "4 sockets"),
            ("3", Some("public:api"), "2 names for 3 sockets"),
            ("1", Some("public:api"), "2 names for 1 sockets"),
            ("1", Some("web"), "\"web\""),
            ("2", Some("public:public"), "two sockets are handed over as public"),
            ("2", Some("public:oncegate.socket"), "some sockets"),
        ] {
            let why = listeners(count, names).unwrap_err().to_string();
            assert!(why.contains(said) && why.contains("\n  do: "), "{why}");
        }
    }
}
