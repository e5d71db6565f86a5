//! A line to one server: opened, signed in, and asked. Nothing is ever sent twice.

use std::{fmt, time::Duration};

use ::redis::{
    AsyncConnectionConfig, Cmd, RedisConnectionInfo, ServerError, Value,
    aio::MultiplexedConnection, cmd,
};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::AbortHandle,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{options::Login, protocol::Unanswered};

/// Refusals that come before anything is done. Of any other error of a script it is not known how
/// far it came.
const BEFORE_ANYTHING: [&str; 12] = [
    "BUSY",
    "DENIED",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "NOAUTH",
    "NOPERM",
    "NOREPLICAS",
    "NOSCRIPT",
    "OOM",
    "READONLY",
    "WRONGPASS",
];

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// A name or an address; of IPv6 without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// A line to one server. Dropping it ends it.
pub(super) struct Line {
    connection: MultiplexedConnection,
    driver: AbortHandle,
    /// Whom it leads to.
    pub(super) address: Address,
    timeout: Duration,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Line({})", self.address)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Why a question on a line has no good answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The server refuses, and did nothing; its code and what it says.
    Refused(String, String),
    /// Nobody knows what was done.
    Unknown(String),
}

impl Line {
    /// Opens a line within `timeout`, and signs in.
    pub(super) async fn open(
        address: Address,
        tls: Option<&TlsConnector>,
        login: &Login,
        db: u32,
        timeout: Duration,
    ) -> Result<Self, Unanswered> {
        let unasked = |why: String| Unanswered { unasked: true, why };
        let opened = tokio::time::timeout(timeout, connect(&address, tls)).await;
        let (connection, driver) = match opened {
            Ok(Ok(opened)) => opened,
            Ok(Err(why)) => return Err(unasked(format!("{address}: {why}"))),
            Err(_) => return Err(unasked(format!("{address}: no connection within {timeout:?}"))),
        };
        let line = Self { connection, driver, address, timeout };
        if let Some(password) = &login.password {
            let mut auth = cmd("AUTH");
            if let Some(username) = &login.username {
                auth.arg(username);
            }
            line.ask(auth.arg(password.expose())).await.map_err(|why| line.unasked(why))?;
        }
        if db != 0 {
            line.ask(cmd("SELECT").arg(db)).await.map_err(|why| line.unasked(why))?;
        }
        Ok(line)
    }

    /// Asks once, and waits for the answer as long as configured.
    pub(super) async fn ask(&self, command: &Cmd) -> Result<Value, Trouble> {
        // The handle is a sender's; the line is shared by all that ask at once.
        let mut connection = self.connection.clone();
        match timeout(self.timeout, connection.send_packed_command(command)).await {
            Ok(Ok(Value::ServerError(error))) => Err(refused(&error)),
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Trouble::Unknown(error.to_string())),
            Err(_) => Err(Trouble::Unknown(format!("no answer within {:?}", self.timeout))),
        }
    }

    /// The trouble with a question that changes nothing.
    pub(super) fn unasked(&self, trouble: Trouble) -> Unanswered {
        Unanswered { unasked: true, ..self.unanswered(trouble) }
    }

    /// The trouble in the words of the log, with what to do.
    pub(super) fn unanswered(&self, trouble: Trouble) -> Unanswered {
        let address = &self.address;
        match trouble {
            Trouble::Unknown(why) => {
                Unanswered { unasked: false, why: format!("{address}: {why}") }
            }
            Trouble::Refused(code, said) => {
                let advice = advice(&code).map(|advice| format!("; {advice}")).unwrap_or_default();
                Unanswered { unasked: true, why: format!("{address}: {code} {said}{advice}") }
            }
        }
    }
}

async fn connect(
    address: &Address,
    tls: Option<&TlsConnector>,
) -> Result<(MultiplexedConnection, AbortHandle), String> {
    let Address { host, port } = address;
    let stream =
        TcpStream::connect((host.as_str(), *port)).await.map_err(|error| error.to_string())?;
    // Small questions leave at once. Failing to say so costs latency, nothing else.
    let _ = stream.set_nodelay(true);
    match tls {
        None => multiplexed(stream).await,
        Some(tls) => {
            let name = ServerName::try_from(host.clone())
                .map_err(|_| "its name cannot stand in a certificate".to_owned())?;
            let stream = tls.connect(name, stream).await;
            multiplexed(stream.map_err(|error| format!("TLS: {error}"))?).await
        }
    }
}

/// Several questions at once on one connection. It neither connects again nor asks again.
async fn multiplexed(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<(MultiplexedConnection, AbortHandle), String> {
    // Who asks signs in, and has time-outs of its own.
    let info = RedisConnectionInfo::default().set_skip_set_lib_name();
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let (connection, driver) = MultiplexedConnection::new_with_config(&info, stream, config)
        .await
        .map_err(|error| error.to_string())?;
    Ok((connection, tokio::spawn(driver).abort_handle()))
}

fn refused(error: &ServerError) -> Trouble {
    let (code, said) = (error.code(), error.details().unwrap_or_default());
    // Up to Redis 6.2 a script's errors are wrapped: "ERR Error running script … -OOM command …".
    let wrapped = || BEFORE_ANYTHING.iter().find(|code| said.contains(&format!("-{code} ")));
    match BEFORE_ANYTHING.iter().find(|known| **known == code).or_else(wrapped) {
        Some(code) => Trouble::Refused((*code).to_owned(), said.to_owned()),
        None => Trouble::Unknown(format!("{code} {said}")),
    }
}

/// What somebody can do about it.
fn advice(code: &str) -> Option<&'static str> {
    Some(match code {
        "LOADING" => "it is reading its data; wait",
        "MISCONF" => "it cannot save its data; see its log and its disk",
        "NOAUTH" => "it wants a password; set once.redis.password_file",
        "NOPERM" => "allow this user all keys of oncegate:*, INFO, TIME and scripts",
        "NOREPLICAS" => "too few of its replicas are there; see min-replicas-to-write",
        "OOM" => "it has no memory left; raise its maxmemory",
        "READONLY" => "it is a replica; the primary is what is needed",
        "WRONGPASS" => "see once.redis.username and its password",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_ipv6_is_told_in_brackets() {
        let at = |host: &str| Address { host: host.to_owned(), port: 6379 }.to_string();
        assert_eq!([at("::1"), at("redis.internal")], ["[::1]:6379", "redis.internal:6379"]);
    }
}
