//! A caller's name and password, for the dialects that send them.

use std::path::Path;

use crate::{
    config::{
        raw::{Node, quoted},
        reader::{Reading, Section},
        units,
    },
    gate::{password::PasswordHash, secret::Secret, token},
};

/// What a dialect's client may send instead of a key.
pub(super) struct Login {
    /// The name.
    pub(super) username: Option<String>,
    /// The hash of the password to it.
    pub(super) password: Option<PasswordHash>,
}

/// Reads `username`, and `password` or `password_file`; a caller has both or none.
pub(super) fn read(section: &mut Section<'_>, base: &Path) -> Login {
    let username = section.read("username", username);
    let written = section.read("password", |node| hash(&units::secret(node)?));
    let filed = section.read("password_file", |node| hash(&units::secret_file(node, base)?));
    let has_password = section.has("password") || section.has("password_file");
    if section.has("password") && section.has("password_file") {
        section.fault("password_file", "is given beside password; remove one of them");
    }
    if section.has("username") && !has_password {
        let example = "password = \"…\", as `oncegate password` prints it";
        section.ledger.missing(&section.path_of("password"), example);
    }
    if has_password && !section.has("username") {
        section.ledger.missing(&section.path_of("username"), "username = \"admin\"");
    }
    Login { username, password: written.or(filed) }
}

/// A name that somebody signs in with.
pub(super) fn username(node: &Node) -> Reading<String> {
    let text = units::text(node)?;
    if !token::is_user(&text) {
        let shown = quoted(&text);
        return Err(format!(
            "{shown} is not a name of 1 to 256 characters, none a control character; write \"joe\""
        ));
    }
    Ok(text)
}

// What stands here by mistake may be the password itself: no report quotes it.
pub(super) fn hash(text: &Secret<String>) -> Reading<PasswordHash> {
    text.expose().parse().map_err(|_| {
        "is not the argon2id hash of a password; write what `oncegate password` prints".to_owned()
    })
}
