//! `oncegate password`: hashes a password, as the configuration and the directory hold it.

use std::io::{self, IsTerminal as _, Read as _, Write as _};

use crate::{
    cli::failure::Failure,
    gate::{
        password::{Credential, PasswordHash},
        secret::Secret,
    },
    ops::entropy,
};

/// What `--help` says at its end.
pub const AFTER: &str = "\
Reads the password from standard input: one line, up to 1 KiB. At a terminal it asks, and shows
nothing of what is typed. Prints the hash, for `password` of a caller or of a user in the
directory. It is of argon2id over the password's MD5, since some vendors' clients send the
password and others its MD5; 32 hexadecimal digits are taken as an MD5.

Examples:
  oncegate password
  oncegate password < password.txt

Exit codes: 0 good, 1 failed, 64 bad usage";

/// The longest password, in bytes.
const LONGEST: usize = 1024;

/// Reads the password, and prints its hash.
///
/// # Errors
/// [`Failure::Usage`] for what is no password; [`Failure::Failed`] if it cannot be read.
pub fn run() -> Result<(), Failure> {
    let password = if io::stdin().is_terminal() { asked()? } else { piped()? };
    if password.expose().is_empty() {
        let what = "the password is empty\n  do: write it on standard input, in one line";
        return Err(Failure::Usage(what.to_owned()));
    }
    if password.expose().len() > LONGEST {
        let what = "the password is longer than 1 KiB\n  do: choose a shorter one";
        return Err(Failure::Usage(what.to_owned()));
    }
    if Credential::is_md5(password.expose()) {
        let what = "oncegate: these are 32 hexadecimal digits: taken as the MD5 of the password";
        writeln!(io::stderr(), "{what}")?;
    }
    let hash = PasswordHash::make(&Credential::of(password.expose()), &entropy::random())?;
    Ok(writeln!(io::stdout(), "{}", hash.as_str())?)
}

/// What is typed at the terminal, which does not show it.
fn asked() -> Result<Secret<String>, Failure> {
    rpassword::prompt_password("Password: ").map(Secret::new).map_err(|error| unread(&error))
}

/// The one line of standard input, without its end.
fn piped() -> Result<Secret<String>, Failure> {
    // One byte more than the longest line with the longest end of a line.
    let longest = u64::try_from(LONGEST + 3).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    io::stdin().lock().take(longest).read_to_end(&mut bytes).map_err(|error| unread(&error))?;
    let cut = bytes.len() == LONGEST + 3;
    let bytes = Secret::new(bytes);
    let Ok(text) = std::str::from_utf8(bytes.expose()) else {
        // The end of what was read may be the middle of a character.
        let what = if cut { "longer than 1 KiB" } else { "not UTF-8" };
        return Err(Failure::Usage(format!("the password is {what}\n  do: choose another one")));
    };
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.contains('\n') {
        let what = "there is more than one line\n  do: write the password alone, in one line";
        return Err(Failure::Usage(what.to_owned()));
    }
    Ok(Secret::new(line.to_owned()))
}

fn unread(error: &io::Error) -> Failure {
    Failure::Failed(format!("the password cannot be read: {error}"))
}
