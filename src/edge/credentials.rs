//! Who calls: by an API key, by a certificate, or by a name and a password.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header};

use crate::{
    dialects::Credentials,
    edge::{
        Gate,
        connection::{Connection, Told},
        intake::Intake,
    },
    gate::{
        caller::{self, Caller},
        denial::Denial,
        password::Credential,
        secret::{self, Secret},
        token,
    },
    ops::passwords::Guesser,
};

/// How a request reached the `api` listener.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrived<'a> {
    /// The connection.
    pub connection: &'a Connection,
    /// The headers.
    pub headers: &'a HeaderMap,
}

impl Arrived<'_> {
    /// Whether it came through TLS, or never left this machine.
    pub(super) fn is_secure(&self, gate: &Gate) -> bool {
        if self.connection.secure {
            return true;
        }
        match self.protocol(gate) {
            Some(protocol) => protocol == "https",
            None => {
                self.connection.told == Told::Nothing
                    && self.connection.peer_ip().to_canonical().is_loopback()
                    && !self.is_forwarded()
            }
        }
    }

    /// Whether it came by a proxy: one that does not say by which protocol has not said TLS.
    fn is_forwarded(&self) -> bool {
        const SIGNS: [&str; 4] = ["forwarded", "via", "x-forwarded-for", "x-real-ip"];
        SIGNS.iter().any(|name| self.headers.contains_key(*name))
    }

    /// What a trusted proxy says of the protocol; empty where it says it twice or unreadably.
    fn protocol(&self, gate: &Gate) -> Option<&str> {
        if !self.connection.is_from(&gate.config.listen.trusted_proxies) {
            return None;
        }
        let mut protocols = self.headers.get_all("x-forwarded-proto").iter();
        match (protocols.next(), protocols.next()) {
            (None, _) => None,
            (Some(protocol), None) => Some(protocol.to_str().unwrap_or_default()),
            _ => Some(""),
        }
    }
}

/// Keys travel in every request: off loopback, only through TLS or on a network vouched for.
///
/// # Errors
/// [`Denial::Forbidden`].
pub(super) fn encrypted(gate: &Gate, arrived: &Arrived<'_>) -> Result<(), Denial> {
    let listen = &gate.config.listen;
    if listen.api.ip().is_loopback()
        || listen.insecure_api
        || arrived.connection.secure
        || arrived.protocol(gate) == Some("https")
    {
        return Ok(());
    }
    Err(Denial::Forbidden("use https: keys are not taken over plain HTTP here".to_owned()))
}

/// The caller whose key the `Authorization` header bears, or whom the certificate names that was
/// shown for the connection; with both, they must agree.
///
/// # Errors
/// [`Denial::Unauthorized`]; [`Denial::Forbidden`] from outside the caller's networks.
pub(super) fn by_key_or_certificate<'g>(
    gate: &'g Arc<Gate>,
    intake: &Intake,
    arrived: &Arrived<'_>,
) -> Result<&'g Arc<Caller>, Denial> {
    let certified = caller::by_certificate(&gate.config.callers, &arrived.connection.names)
        .map_err(|caller::TwoCallers| Denial::Unauthorized)?;
    let mut lines = arrived.headers.get_all(header::AUTHORIZATION).iter();
    let caller = match (lines.next(), lines.next()) {
        (Some(line), None) => {
            let caller = by_bearer(gate, line)?;
            // Whoever shows both is one caller.
            if certified.is_some_and(|certified| certified.name != caller.name) {
                return Err(Denial::Unauthorized);
            }
            caller
        }
        (None, _) => certified.ok_or(Denial::Unauthorized)?,
        (Some(_), Some(_)) => return Err(Denial::Unauthorized),
    };
    from_own_network(intake, caller)
}

fn by_bearer<'g>(gate: &'g Gate, line: &HeaderValue) -> Result<&'g Arc<Caller>, Denial> {
    // RFC 9110, 11.1: the scheme's case does not count.
    let key = match line.as_bytes().split_at_checked(7) {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case(b"Bearer ") => key,
        _ => return Err(Denial::Unauthorized),
    };
    caller::by_key(&gate.config.callers, key).ok_or(Denial::Unauthorized)
}

/// The caller whom a dialect's credentials name.
///
/// # Errors
/// [`Denial::Unauthorized`]; [`Denial::RateLimited`] for too many wrong passwords;
/// [`Denial::Forbidden`] from outside the caller's networks.
pub(super) async fn caller<'g>(
    gate: &'g Arc<Gate>,
    intake: &Intake,
    credentials: &Credentials,
) -> Result<&'g Arc<Caller>, Denial> {
    let callers = &gate.config.callers;
    let caller = match credentials {
        Credentials::Key(key) => by_key(callers, key),
        Credentials::NamedKey { name, key } => by_named_key(callers, name, key),
        Credentials::Password { name, password } => {
            by_password(gate, intake, name, password).await?
        }
        Credentials::NamedKeyOrPassword { name, secret } => {
            match by_named_key(callers, name, secret) {
                Some(caller) => Some(caller),
                None => by_password(gate, intake, name, secret).await?,
            }
        }
    };
    from_own_network(intake, caller.ok_or(Denial::Unauthorized)?)
}

/// An empty key is nobody's, whatever is configured.
fn by_key<'g>(callers: &'g [Arc<Caller>], key: &Secret<String>) -> Option<&'g Arc<Caller>> {
    let key = Some(key.expose()).filter(|key| !key.is_empty())?;
    caller::by_key(callers, key.as_bytes())
}

fn by_named_key<'g>(
    callers: &'g [Arc<Caller>],
    name: &str,
    key: &Secret<String>,
) -> Option<&'g Arc<Caller>> {
    by_key(callers, key).filter(|caller| {
        let names = [Some(&caller.name), caller.username.as_ref()];
        names.into_iter().flatten().any(|own| secret::equal(own.as_bytes(), name.as_bytes()))
    })
}

/// What can be no name here, or is no password, is refused at once: that tells nobody anything.
/// An unknown name takes as long as a wrong password, and gets the same answer.
async fn by_password<'g>(
    gate: &'g Arc<Gate>,
    intake: &Intake,
    name: &str,
    password: &Secret<String>,
) -> Result<Option<&'g Arc<Caller>>, Denial> {
    let client = intake.client.as_ref().ok().copied();
    if !token::is_user(name) || password.expose().is_empty() {
        return Ok(None);
    }
    let mut caller = None;
    for each in &gate.config.callers {
        // All are compared, each in constant time: see `caller::by_key`.
        let own = each.username.as_deref().unwrap_or_default();
        if secret::equal(own.as_bytes(), name.as_bytes()) {
            caller = Some(each);
        }
    }
    let at_home = caller.is_some_and(|caller| {
        !caller.from.is_empty() && client.is_some_and(|client| caller.from.contains(client))
    });
    let guesser = if at_home { Guesser::AtHome } else { Guesser::Stranger };
    let stored = caller.and_then(|caller| caller.password.as_ref());
    let credential = Credential::of(password.expose());
    let right = gate.passwords.verify(name, client, guesser, &credential, stored).await?;
    Ok(caller.filter(|_| right))
}

/// Judged last: where from a caller may call is told to nobody without its credentials.
fn from_own_network<'g>(
    intake: &Intake,
    caller: &'g Arc<Caller>,
) -> Result<&'g Arc<Caller>, Denial> {
    let allowed = caller.from.is_empty()
        || intake.client.as_ref().is_ok_and(|client| caller.from.contains(*client));
    if allowed {
        Ok(caller)
    } else {
        Err(Denial::Forbidden("this caller may not call from this address".to_owned()))
    }
}
