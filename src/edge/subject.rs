//! Whom a request names, and who that is to the directory.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    dialects::Who,
    edge::call::Call,
    gate::{
        denial::Denial,
        directory::{User, is_plain},
        password::Credential,
        policy,
        secret::Secret,
        token,
    },
    ops::passwords::Guesser,
    store::directory::Directory,
};

/// The most resellers one above the other.
const DEEPEST: usize = 64;
/// Who is to be signed in.
#[derive(Debug)]
pub(super) struct Subject {
    /// The token's `sub`.
    pub user: String,
    /// The directory's record of them, where there is one.
    pub record: Option<Arc<User>>,
}

/// Looks up whom a dialect's request names.
///
/// # Errors
/// [`Denial::UnknownUser`]; [`Denial::NotFound`] for an account outside the caller's tree, or whose
/// owner it may not sign in; [`Denial::Forbidden`] for a name that is nobody's of the caller's and
/// would not be, and for an account for which nobody enabled this; [`Denial::DirectoryUnavailable`];
/// [`Denial::RateLimited`] for too many wrong passwords.
pub(super) async fn of(call: &Call<'_>, who: &Who) -> Result<Subject, Denial> {
    match who {
        Who::Id(id) => of_id(call, *id).await,
        Who::Name { name, password } => {
            let password = password.as_ref().filter(|password| !password.expose().is_empty());
            of_name(call, name, password).await
        }
        Who::Owner { reseller, account } => of_owner(call, *reseller, *account).await,
        Who::Account { account, member } => of_account(call, *account, *member).await,
    }
}

/// The `sub` of the user whom a native request names by username, email or number; without a
/// directory it is the name itself.
///
/// # Errors
/// [`Denial::Invalid`], [`Denial::UnknownUser`], [`Denial::Forbidden`],
/// [`Denial::DirectoryUnavailable`].
pub(super) async fn of_native(call: &Call<'_>, name: &str) -> Result<String, Denial> {
    native(call, name, call.gate.directory.user(name)).await
}

/// [`of_native`] for one of a batch's requests: batches leave single links their share of the
/// directory's time.
pub(super) async fn of_batch(call: &Call<'_>, name: &str) -> Result<String, Denial> {
    native(call, name, call.gate.directory.user_of_batch(name)).await
}

async fn native(
    call: &Call<'_>,
    name: &str,
    asked: impl Future<Output = Found>,
) -> Result<String, Denial> {
    if !call.gate.directory.is_there() {
        return Ok(name.to_owned());
    }
    policy::check_user(name)?;
    let found = if is_plain(name) { asked.await? } else { None };
    active(call, found, name).map(|user| user.username.clone())
}

/// The names under which tokens of a user may be out, of those that the caller may sign in: the one
/// given, and what the directory has to it, whether the user is active or not. With them, why the
/// directory could not be asked.
///
/// # Errors
/// [`Denial::Forbidden`] where there are none; [`Denial::DirectoryUnavailable`] where it is not
/// known whether there are.
pub(super) async fn names(
    call: &Call<'_>,
    given: &str,
) -> Result<(BTreeSet<String>, Option<Denial>), Denial> {
    let (found, unasked) = match record(&call.gate.directory, given).await {
        Ok(found) => (found, None),
        Err(denial) => (None, Some(denial)),
    };
    let mut names = BTreeSet::from([given.to_owned()]);
    // Of another's user nothing is revoked but what bears the name as given, like of nobody's.
    if let Some(user) = own(call, found) {
        names.insert(user.username.clone());
        names.extend(user.email.clone());
    }
    names.retain(|name| call.caller.users.matches(name));
    if names.is_empty() {
        return Err(unasked.unwrap_or_else(policy::foreign_user));
    }
    Ok((names, unasked))
}

type Found = Result<Option<Arc<User>>, Denial>;

/// What the directory knows of a name, unless that can be nobody's.
async fn record(directory: &Directory, name: &str) -> Found {
    if token::is_user(name) && is_plain(name) { directory.user(name).await } else { Ok(None) }
}

/// Whom the caller may sign in of those found: any other is to it as nobody.
fn own(call: &Call<'_>, found: Option<Arc<User>>) -> Option<Arc<User>> {
    found.filter(|user| call.caller.users.matches(&user.username))
}

/// The user, if it may be signed in.
fn active(call: &Call<'_>, found: Option<Arc<User>>, name: &str) -> Result<Arc<User>, Denial> {
    match own(call, found) {
        Some(user) if user.active => Ok(user),
        Some(user) => Err(unknown(call, &user.username, "it is not active")),
        None => Err(unknown(call, name, "the directory has none of this name")),
    }
}

/// Nobody, as far as this caller may learn. Whether users exist that it may not sign in is not told:
/// what is judged is the name as it was asked, either way.
fn unknown(call: &Call<'_>, name: &str, why: &'static str) -> Denial {
    if call.caller.users.matches(name) { Denial::UnknownUser(why) } else { policy::foreign_user() }
}

async fn of_id(call: &Call<'_>, id: u64) -> Result<Subject, Denial> {
    let name = id.to_string();
    if !call.gate.directory.is_there() {
        return Ok(Subject { user: name, record: None });
    }
    let found = call.gate.directory.user(&name).await?;
    let found = found.filter(|user| user.id == Some(id));
    Ok(known(active(call, found, &name)?))
}

async fn of_name(
    call: &Call<'_>,
    name: &str,
    password: Option<&Secret<String>>,
) -> Result<Subject, Denial> {
    let gate = call.gate;
    if !gate.directory.is_there() {
        return if password.is_none() && token::is_user(name) && is_plain(name) {
            Ok(Subject { user: name.to_owned(), record: None })
        } else {
            Err(unknown(call, name, "there is no directory to judge by"))
        };
    }
    let found = record(&gate.directory, name).await?;
    let found = found.filter(|user| user.username == name || user.email.as_deref() == Some(name));
    let found = own(call, found);
    if let Some(password) = password {
        // Before anything is verified: a caller tries no passwords of users that are not its own.
        if found.is_none() && !call.caller.users.matches(name) {
            return Err(unknown(call, name, "the directory has none of this name"));
        }
        let client = call.intake.client.as_ref().ok().copied();
        let stored = found.as_ref().and_then(|user| user.password.as_ref());
        let username = found.as_ref().map_or(name, |user| &user.username);
        let credential = Credential::of(password.expose());
        let guesser = Guesser::Trusted(&call.caller.name);
        let verified = gate.passwords.verify(username, client, guesser, &credential, stored);
        if !verified.await? {
            return Err(unknown(call, name, "that is not their password"));
        }
    }
    Ok(known(active(call, found, name)?))
}

fn known(user: Arc<User>) -> Subject {
    Subject { user: user.username.clone(), record: Some(user) }
}

async fn of_owner(call: &Call<'_>, reseller: u64, account: u64) -> Result<Subject, Denial> {
    let directory = &call.gate.directory;
    let own = call.caller.reseller.ok_or(Denial::NotFound)?;
    if !is_below(directory, reseller, own).await? {
        return Err(Denial::NotFound);
    }
    let account = directory.account(account).await?.filter(|account| account.active);
    let account = account.ok_or(Denial::NotFound)?;
    let (Some(of), Some(owner)) = (account.reseller, account.owner_email.clone()) else {
        return Err(Denial::NotFound);
    };
    if !call.caller.users.matches(&owner) || !is_below(directory, of, reseller).await? {
        return Err(Denial::NotFound);
    }
    // An owner need not be a user; one that is must not be closed.
    match record(directory, &owner).await? {
        Some(user) if !user.active => Err(Denial::NotFound),
        _ => Ok(Subject { user: owner, record: None }),
    }
}

/// Whether a reseller is this one or below it.
async fn is_below(directory: &Directory, reseller: u64, top: u64) -> Result<bool, Denial> {
    let (mut at, mut seen) = (reseller, BTreeSet::new());
    while seen.len() < DEEPEST {
        if !seen.insert(at) {
            return Err(Denial::DirectoryUnavailable(format!("reseller {at} is above itself")));
        }
        match directory.reseller(at).await? {
            Some(_) if at == top => return Ok(true),
            Some(reseller) => match reseller.parent {
                Some(parent) => at = parent,
                None => return Ok(false),
            },
            None => return Ok(false),
        }
    }
    let why = format!("more than {DEEPEST} resellers are above reseller {reseller}");
    Err(Denial::DirectoryUnavailable(why))
}

async fn of_account(call: &Call<'_>, account: u64, member: Option<u64>) -> Result<Subject, Denial> {
    let user = match member {
        Some(member) => format!("{account}/{member}"),
        None => account.to_string(),
    };
    // First: nothing of an account that is not the caller's is told.
    if !call.caller.users.matches(&user) {
        return Err(policy::foreign_user());
    }
    let mut enabled = call.caller.sign_on_url;
    if call.gate.directory.is_there() {
        match call.gate.directory.account(account).await? {
            Some(account) if account.active => enabled |= account.sign_on_url,
            Some(_) => return Err(Denial::UnknownUser("the account is not active")),
            None => return Err(Denial::UnknownUser("the directory has no such account")),
        }
    }
    if !enabled {
        return Err(Denial::Forbidden("sign-on is not enabled for this account".to_owned()));
    }
    Ok(Subject { user, record: None })
}
