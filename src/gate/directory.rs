//! What the directory says of users, accounts and resellers. Issuing may ask it; redemption never
//! does.

use std::collections::BTreeMap;

use crate::gate::password::PasswordHash;

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its number, where it has one.
    pub id: Option<u64>,
    /// Its name: the `sub` of its tokens.
    pub username: String,
    /// Its email address.
    pub email: Option<String>,
    /// Its password, hashed.
    pub password: Option<PasswordHash>,
    /// Whether it may be signed in.
    pub active: bool,
    /// Further record fields and permissions that an answer may carry, in order.
    pub fields: Vec<(String, Scalar)>,
}

/// The value of a record field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scalar {
    /// A text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Yes or no.
    Flag(bool),
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its number.
    pub id: u64,
    /// The reseller it belongs to.
    pub reseller: Option<u64>,
    /// Its owner.
    pub owner_email: Option<String>,
    /// Whether anybody may be signed in to it.
    pub active: bool,
    /// AllClients: whether the function is enabled for it.
    pub sign_on_url: bool,
}

/// A reseller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reseller {
    /// Its number.
    pub id: u64,
    /// The one above it.
    pub parent: Option<u64>,
}

/// A directory that is all there: a file's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records {
    users: Vec<User>,
    /// By username, email and number.
    names: BTreeMap<String, usize>,
    accounts: BTreeMap<u64, Account>,
    resellers: BTreeMap<u64, Reseller>,
}

impl Records {
    /// Of lists in which no name and no number stands twice.
    pub fn new(users: Vec<User>, accounts: Vec<Account>, resellers: Vec<Reseller>) -> Self {
        let mut names = BTreeMap::new();
        for (index, user) in users.iter().enumerate() {
            names.insert(user.username.clone(), index);
            names.extend(user.email.clone().map(|email| (email, index)));
            names.extend(user.id.map(|id| (id.to_string(), index)));
        }
        Self {
            users,
            names,
            accounts: accounts.into_iter().map(|account| (account.id, account)).collect(),
            resellers: resellers.into_iter().map(|reseller| (reseller.id, reseller)).collect(),
        }
    }

    /// Whether there is nothing in it at all.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty() && self.accounts.is_empty() && self.resellers.is_empty()
    }

    /// The user with this username, email or number.
    pub fn user(&self, name: &str) -> Option<&User> {
        self.names.get(name).and_then(|index| self.users.get(*index))
    }

    /// The account of this number.
    pub fn account(&self, id: u64) -> Option<&Account> {
        self.accounts.get(&id)
    }

    /// The reseller of this number.
    pub fn reseller(&self, id: u64) -> Option<&Reseller> {
        self.resellers.get(&id)
    }
}

/// Names that record fields cannot have: those of what an answer itself says.
const TAKEN: [&str; 6] =
    ["id", "username", "token", "result_code", "result_message", "result_output"];

/// Whether a record field can be called this: it may become the name of an XML element.
pub fn is_field_name(name: &str) -> bool {
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let goes_on = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    starts && name.chars().all(goes_on)
}

/// Whether an answer has this name for something else than a record field.
pub fn is_taken(name: &str) -> bool {
    TAKEN.contains(&name)
}

/// Whether a text can stand in any answer: no control characters but tab and line feed, and
/// nothing that XML cannot carry (XML 1.0, 2.2).
pub fn is_plain(text: &str) -> bool {
    text.chars().all(|c| {
        matches!(c, '\t' | '\n') || !(c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}'))
    })
}
