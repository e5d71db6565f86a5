//! The directory's file: users, accounts and resellers.
//!
//! It is read like the configuration, in two stages, and every fault is reported at once. No
//! variable of the environment overrides it.

use std::path::Path;

use crate::{
    config::{
        checked::Found,
        checked_records,
        fault::{Faults, Place},
        ledger::Ledger,
        login,
        raw::{self, Node, Value, quoted},
        reader::{Reading, Section},
        units,
    },
    gate::{
        directory::{Account, Records, Reseller, Scalar, User, is_field_name, is_plain, is_taken},
        token,
    },
};

/// The largest number of a user, an account or a reseller: what every JSON reader keeps exactly.
pub(super) const LARGEST_ID: u64 = 1 << 53;

/// Reads a directory's file.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub fn records(path: &Path) -> Result<Records, Faults> {
    read(path, None).map(|(records, _)| records)
}

/// The same, and what is allowed there and dangerous.
pub(super) fn looked_at(path: &Path) -> Result<(Records, Vec<String>), Faults> {
    read(path, None)
}

/// Reads a directory's file again, of which `old` is in force.
///
/// # Errors
/// As [`records`]; and where it differs from `old` and ends amid a line, or is empty: so does a
/// file that somebody is about to write, and what it lacks may be what makes a user inactive.
pub fn records_again(path: &Path, old: &Records) -> Result<Records, Faults> {
    read(path, Some(old)).map(|(records, _)| records)
}

fn read(path: &Path, old: Option<&Records>) -> Result<(Records, Vec<String>), Faults> {
    let file = path.display().to_string();
    let (text, mode) = raw::text_and_mode(path, "name another in directory.file")?;
    let raw = raw::read(&text);
    let ledger = Ledger::new(raw.aside);
    let whole = raw.broken.is_empty();
    ledger.not_toml(raw.broken);
    let mut root = Section::root(&ledger, raw.table);
    let resellers: Vec<_> =
        root.sections_by("resellers", &["id"]).into_iter().filter_map(reseller).collect();
    let accounts: Vec<_> =
        root.sections_by("accounts", &["id"]).into_iter().filter_map(account).collect();
    let users: Vec<_> =
        root.sections_by("users", &["username", "id"]).into_iter().filter_map(user).collect();
    root.done();
    checked_records::names(&ledger, &users);
    checked_records::accounts(&ledger, &users, &accounts);
    if mode & 0o002 != 0 {
        let what = format!("lets others say who may have a link; do: chmod o-rwx {file}");
        ledger.fault_at(&Place::File, &format!("mode {mode:04o}"), what);
    } else if mode & 0o004 != 0 && users.iter().any(|user| user.value.password.is_some()) {
        let what = format!(
            "{file} holds the hashes of passwords, and can be read by others (mode {mode:04o}); \
             do: chmod o-rwx {file}"
        );
        ledger.warn("directory.file", &what);
    }
    // Where lines are not TOML, what they name is not missing elsewhere.
    if whole {
        checked_records::resellers(&ledger, &resellers, &accounts);
    }
    let records = Records::new(values(users), values(accounts), values(resellers));
    if let Some(old) = old.filter(|old| **old != records) {
        whole_change(&ledger, &text, &records, old);
    }
    let (faults, warnings) = ledger.close();
    if !faults.is_empty() {
        return Err(Faults::new(&file, faults));
    }
    Ok((records, warnings))
}

/// A change is there to its end.
fn whole_change(ledger: &Ledger, text: &str, new: &Records, old: &Records) {
    if new.is_empty() && !old.is_empty() {
        let what = "are all gone; restart the gate if that is meant";
        ledger.fault_at(&Place::File, "records", what);
    } else if !text.ends_with('\n') {
        let last = Place::Line(text.split('\n').count());
        ledger.fault_at(&last, "", "is perhaps cut off; end it with a line feed");
    }
}

fn values<T>(found: Vec<Found<T>>) -> Vec<T> {
    found.into_iter().map(|found| found.value).collect()
}

fn reseller(mut section: Section<'_>) -> Option<Found<Reseller>> {
    let id = section.require("id", id, "id = 7");
    let parent = section.read("parent", self::id);
    let path = section.path().to_owned();
    section.done();
    Some(Found { path, value: Reseller { id: id?, parent } })
}

fn account(mut section: Section<'_>) -> Option<Found<Account>> {
    let id = section.require("id", id, "id = 505");
    let reseller = section.read("reseller", self::id);
    let owner_email = section.read("owner_email", email);
    let active = section.read_or("active", units::flag, true);
    let sign_on_url = section.read_or("sign_on_url", units::flag, false);
    let path = section.path().to_owned();
    section.done();
    Some(Found { path, value: Account { id: id?, reseller, owner_email, active, sign_on_url } })
}

fn user(mut section: Section<'_>) -> Option<Found<User>> {
    let id = section.read("id", id);
    let username = section.require("username", username, "username = \"joe\"");
    let email = section.read("email", email);
    let password = section.read("password", |node| login::hash(&units::secret(node)?));
    let active = section.read_or("active", units::flag, true);
    let fields = section.entries("fields", field);
    let path = section.path().to_owned();
    section.done();
    let username = username?;
    Some(Found { path, value: User { id, username, email, password, active, fields } })
}

fn id(node: &Node) -> Reading<u64> {
    units::number(1, LARGEST_ID)(node)
}

/// What can be the user of a token, and stand in any answer.
fn username(node: &Node) -> Reading<String> {
    let name = login::username(node)?;
    if !is_plain(&name) {
        return Err(unfit(&name));
    }
    Ok(name)
}

fn email(node: &Node) -> Reading<String> {
    let email = units::text(node)?;
    let parts: Vec<&str> = email.split('@').collect();
    let good = matches!(&parts[..], [local, domain] if !local.is_empty() && !domain.is_empty());
    if !good || email.contains(char::is_whitespace) || !token::is_user(&email) {
        let shown = quoted(&email);
        return Err(format!("{shown} is not an email address; write \"joe@example.com\""));
    }
    if !is_plain(&email) {
        return Err(unfit(&email));
    }
    Ok(email)
}

fn unfit(text: &str) -> String {
    format!("{} has a character that no answer can carry; remove it", quoted(text))
}

/// A further record field or permission.
fn field(name: &str, node: &Node) -> Reading<Scalar> {
    if !is_field_name(name) {
        return Err(
            "is not a field's name; write it as \"first_name\" is, a letter first and then \
                    letters, digits and _ . -"
                .to_owned(),
        );
    }
    if is_taken(name) {
        return Err("is what the answer itself says; give the field another name".to_owned());
    }
    match &node.value {
        Value::Text(text) if is_plain(text) => Ok(Scalar::Text(text.clone())),
        Value::Text(text) => Err(unfit(text)),
        Value::Integer(number) => number
            .parse()
            .map(Scalar::Integer)
            .map_err(|_| format!("{number} is out of range; write it as text, \"{number}\"")),
        Value::Flag(flag) => Ok(Scalar::Flag(*flag)),
        _ => {
            let shown = node.shown();
            Err(format!("{shown} is no field; write a text, a whole number, true or false"))
        }
    }
}
