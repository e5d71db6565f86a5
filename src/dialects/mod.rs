//! The other vendors' issuing APIs: one file a vendor, each a translation and nothing more.
//!
//! A vendor's request becomes what the gate itself asks ([`Wish`]), and the gate's outcome becomes
//! the vendor's answer. Nothing here decides: who calls, whom the directory knows and what the
//! caller may have is judged where it is judged for everybody.
//!
//! | file | vendor's call |
//! |---|---|
//! | `wisecp` | `POST Clients/CreateClientSsoToken` |
//! | `activecampaign` | `api_action=singlesignon` |
//! | `activeplatform` | `GET resellers/{id}/user_authentication/token` |
//! | `allclients` | `POST GetSignOnUrl.aspx` |
//! | `whmcs` | `action=CreateSsoToken` |
//! | `fields`, `xml`, `php` | what several of them read and write |

use std::fmt;

use http::{HeaderMap, Method};

use crate::gate::{
    client_ip::ClientIp, denial::Denial, dialect::Dialect, directory::User, policy::Ask,
    secret::Secret, spoken::DialectRules,
};

mod activecampaign;
mod activeplatform;
mod allclients;
mod fields;
mod php;
mod whmcs;
mod wisecp;
mod xml;

/// One vendor's issuing API.
pub trait Vendor: fmt::Debug + Sync {
    /// Whether a request to this path is one of the vendor's.
    fn takes(&self, rules: &DialectRules, path: &str) -> bool;

    /// What is asked, and in which format the answer is expected, which is known even where the
    /// rest is wrong.
    ///
    /// # Errors
    /// [`Denial::Unreadable`], [`Denial::Invalid`] naming the field, [`Denial::Unauthorized`]
    /// where there are no credentials, [`Denial::MethodNotAllowed`], [`Denial::NotFound`].
    fn read(&self, request: &Request<'_>) -> (Format, Result<Wish, Denial>);

    /// The answer, in the vendor's own shape and words.
    fn write(&self, format: Format, outcome: &Outcome<'_>) -> Answer;
}

/// A request, as far as a vendor's API reads one.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path, as received.
    pub path: &'a str,
    /// The query, as received; empty where there is none.
    pub query: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The body; empty where it could not be read.
    pub body: &'a [u8],
    /// The address of the program that calls, where it could be told.
    pub client: Option<ClientIp>,
    /// Whether it came through TLS, or never left this machine.
    pub secure: bool,
    /// What the operator set.
    pub rules: &'a DialectRules,
}

/// In which format an answer is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON.
    Json,
    /// XML.
    Xml,
    /// What PHP's `serialize` writes.
    Php,
}

/// What a request asks, and with which credentials.
#[derive(Debug)]
pub struct Wish {
    /// Who says to be calling.
    pub credentials: Credentials,
    /// What for. What is wrong with it is told once it is known who asks.
    ///
    /// # Errors
    /// [`Denial::Unreadable`], [`Denial::Invalid`] naming the field, [`Denial::NotFound`].
    pub what: Result<What, Denial>,
}

/// Who says to be calling.
#[derive(Debug)]
pub enum Credentials {
    /// An API key.
    Key(Secret<String>),
    /// An API key, of the caller that has this `name` or `username`.
    NamedKey {
        /// Which caller.
        name: String,
        /// Its key.
        key: Secret<String>,
    },
    /// The name and the password of a caller, the latter plain or as an MD5 in hex.
    Password {
        /// Its `username`.
        name: String,
        /// Its password.
        password: Secret<String>,
    },
    /// Either of both: the vendor's clients send a key and a password in the same field.
    NamedKeyOrPassword {
        /// Which caller: its `username`, or beside a key its `name`.
        name: String,
        /// Its key or its password.
        secret: Secret<String>,
    },
}

/// What is asked.
#[derive(Debug)]
pub enum What {
    /// A link. The ask lacks its user, whom `who` describes.
    Link {
        /// Who is to be signed in.
        who: Who,
        /// All the rest; its `via` is set.
        ask: Box<Ask>,
    },
    /// Nothing but whether the credentials are good: the vendor's clients test them by this
    /// action.
    Test(&'static str),
}

/// Whom a vendor's request names.
#[derive(Debug, Clone)]
pub enum Who {
    /// A user by number.
    Id(u64),
    /// A user by username or email.
    Name {
        /// The username or email.
        name: String,
        /// Their password, plain or as an MD5 in hex; it must be theirs where it is given.
        password: Option<Secret<String>>,
    },
    /// The owner of an account, seen from a reseller.
    Owner {
        /// The reseller: the caller's own, or one below it.
        reseller: u64,
        /// The account: this reseller's, or one below it's.
        account: u64,
    },
    /// An account, or one member of its team.
    Account {
        /// The account.
        account: u64,
        /// The member.
        member: Option<u64>,
    },
}

/// What became of a request.
#[derive(Debug)]
pub enum Outcome<'a> {
    /// A link was issued.
    Link(Granted<'a>),
    /// The credentials are good.
    Tested {
        /// The action that was asked.
        action: &'static str,
        /// The caller's name.
        caller: &'a str,
        /// The authority of the dialect's site.
        site: &'a str,
    },
    /// It was refused.
    Refused(&'a Denial),
}

/// A link that was issued.
#[derive(Debug, Clone, Copy)]
pub struct Granted<'a> {
    /// The token.
    pub token: &'a str,
    /// The URL that carries it.
    pub url: &'a str,
    /// Whom the request named.
    pub who: &'a Who,
    /// Who will be signed in: the token's `sub`.
    pub user: &'a str,
    /// The directory's record of them, where there is one.
    pub record: Option<&'a User>,
}

/// An answer: what goes back over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The content type.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

/// The vendor of a dialect.
pub fn vendor(dialect: Dialect) -> &'static dyn Vendor {
    match dialect {
        Dialect::Wisecp => &wisecp::Wisecp,
        Dialect::Activecampaign => &activecampaign::Activecampaign,
        Dialect::Activeplatform => &activeplatform::Activeplatform,
        Dialect::Allclients => &allclients::Allclients,
        Dialect::Whmcs => &whmcs::Whmcs,
    }
}

/// A refusal in one sentence, for vendors that leave the words to the gate: what the native API's
/// problem says in its detail, with the title before it where the detail needs one.
fn sentence(denial: &Denial) -> String {
    let title = denial.public().title;
    match (denial, denial.detail()) {
        (Denial::UnknownDestination(_) | Denial::DestinationNotAllowed(_), Some(detail)) => {
            format!("{title}: {detail}")
        }
        (_, detail) => detail.unwrap_or_else(|| title.to_owned()),
    }
}

impl Credentials {
    /// The API key in the one header of this name.
    fn in_header(headers: &HeaderMap, name: &str) -> Result<Self, Denial> {
        let mut lines = headers.get_all(name).iter();
        match (lines.next().map(|line| line.to_str()), lines.next()) {
            (Some(Ok(key)), None) if !key.is_empty() => Ok(Self::Key(Secret::new(key.to_owned()))),
            _ => Err(Denial::Unauthorized),
        }
    }
}

impl Answer {
    /// JSON under `200 OK`.
    fn json(body: &impl serde::Serialize) -> Self {
        // Members that are texts, numbers and truth values are always written.
        let body = serde_json::to_string(body).unwrap_or_default();
        Self { status: 200, content_type: "application/json", body }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_one_sentence_that_tells_nothing_of_the_inside() {
        for (denial, said) in [
            (Denial::invalid("user_id", "is required"), "user_id: is required"),
            (Denial::Unreadable("not JSON".to_owned()), "not JSON"),
            (Denial::UnknownDestination("\"x\"".to_owned()), "There is no such destination: \"x\""),
            (
                Denial::DestinationNotAllowed("it holds a backslash".to_owned()),
                "A link may not lead there: it holds a backslash",
            ),
            (Denial::UnknownUser("inactive"), "There is no such user"),
            (Denial::Internal("/state/1".to_owned()), "Something went wrong here"),
            (Denial::BadGateway("10.0.0.1".to_owned()), "The application did not answer"),
        ] {
            assert_eq!(sentence(&denial), said);
        }
    }
}
