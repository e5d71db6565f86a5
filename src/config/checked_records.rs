//! Stage two of the directory's file: what must hold between its tables, once each is good by
//! itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    config::{checked::Found, ledger::Ledger, raw::quoted},
    gate::{
        caller::Caller,
        directory::{Account, Records, Reseller, User},
    },
};

/// No name of a user leads to another one: they are found by username, email and number alike.
pub(super) fn names(ledger: &Ledger, users: &[Found<User>]) {
    let mut owners: BTreeMap<String, (&'static str, usize, &str)> = BTreeMap::new();
    for (number, Found { path, value }) in users.iter().enumerate() {
        let names = [
            ("username", Some(value.username.clone())),
            ("email", value.email.clone()),
            ("id", value.id.map(|id| id.to_string())),
        ];
        for (key, name) in names {
            let Some(name) = name else { continue };
            match owners.get(&name) {
                // Two usernames that are alike were found when the tables were read.
                Some(("username", ..)) if key == "username" => {}
                Some((_, owner, _)) if *owner == number => {}
                Some((of, _, owner)) => {
                    let shown = quoted(&name);
                    let what = format!(
                        "{shown} is the {of} of {owner}, and users are found by id, username and email; change one"
                    );
                    ledger.fault(&format!("{path}.{key}"), what);
                }
                None => {
                    owners.insert(name, (key, number, path));
                }
            }
        }
    }
}

/// No user has the name under which somebody is signed in to an account: its number, or that with
/// a member's behind it.
pub(super) fn accounts(ledger: &Ledger, users: &[Found<User>], accounts: &[Found<Account>]) {
    let numbers: BTreeMap<String, &str> =
        accounts.iter().map(|found| (found.value.id.to_string(), found.path.as_str())).collect();
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    for Found { path, value } in users {
        let (account, member) = match value.username.split_once('/') {
            Some((account, member)) => (account, is_number(member)),
            None => (value.username.as_str(), true),
        };
        if let Some(owner) = numbers.get(account).filter(|_| member) {
            let shown = quoted(&value.username);
            let what = format!("{shown} is how allclients signs in to {owner}; change one");
            ledger.fault(&format!("{path}.username"), what);
        }
    }
}

/// Accounts and resellers belong to resellers that exist, and none is above itself.
pub(super) fn resellers(
    ledger: &Ledger,
    resellers: &[Found<Reseller>],
    accounts: &[Found<Account>],
) {
    let parents: BTreeMap<u64, Option<u64>> =
        resellers.iter().map(|found| (found.value.id, found.value.parent)).collect();
    let of_accounts = accounts.iter().map(|found| (&found.path, "reseller", found.value.reseller));
    let of_resellers = resellers.iter().map(|found| (&found.path, "parent", found.value.parent));
    for (path, key, reseller) in of_resellers.chain(of_accounts) {
        if let Some(id) = reseller.filter(|id| !parents.contains_key(id)) {
            let what = format!("there is no reseller {id}; write [[resellers]] with id = {id}");
            ledger.fault(&format!("{path}.{key}"), what);
        }
    }
    let mut judged = BTreeSet::new();
    for Found { path, value } in resellers {
        if let Some(cycle) = cycle(value.id, &parents, &mut judged) {
            let names: Vec<String> = cycle.iter().map(u64::to_string).collect();
            let what = match &names[..] {
                [name] => format!("{name} is its own parent; remove it"),
                names => {
                    let names = names.join(", ");
                    format!("{names} are above each other in a circle; remove one parent")
                }
            };
            ledger.fault(&format!("{path}.parent"), what);
        }
    }
}

/// Callers are of resellers that exist.
pub(super) fn callers<'c>(
    ledger: &Ledger,
    callers: impl Iterator<Item = &'c Arc<Caller>>,
    records: &Records,
) {
    for caller in callers {
        if let Some(id) = caller.reseller.filter(|id| records.reseller(*id).is_none()) {
            let what = format!(
                "there is no reseller {id} in the directory; write [[resellers]] with id = {id} there"
            );
            ledger.fault(&format!("callers.{}.reseller", caller.name), what);
        }
    }
}

/// The circle of parents that `from` leads into, if it is not `judged` already. Each reseller is
/// visited once, whatever their number.
fn cycle(
    from: u64,
    parents: &BTreeMap<u64, Option<u64>>,
    judged: &mut BTreeSet<u64>,
) -> Option<Vec<u64>> {
    let mut chain = Vec::new();
    let mut on_chain = BTreeSet::new();
    let mut next = Some(from);
    while let Some(id) = next {
        if on_chain.contains(&id) {
            return Some(chain.into_iter().skip_while(|other| *other != id).collect());
        }
        if !judged.insert(id) {
            return None;
        }
        chain.push(id);
        on_chain.insert(id);
        next = parents.get(&id).copied().flatten();
    }
    None
}
