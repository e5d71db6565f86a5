//! `oncegate caller`: makes an API key, or a password, for a service that may request links.

use std::io::{self, Write as _};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use clap::{Args, Subcommand};

use crate::{
    cli::{configuration::ConfigArgs, failure::Failure},
    gate::{
        caller::KeyHash,
        password::{Credential, PasswordHash},
        secret::Secret,
        token,
    },
    ops::entropy,
};

/// What `--help` says at its end.
const AFTER: &str = "\
Prints the key, once, on the second line, and the stanza to paste into oncegate.toml, which holds
the key's hash alone. Changes no file. To replace a key, put both hashes into key_sha256 until
the service sends the new one. With --username it is a password instead, for the dialects whose
clients send a name and a password: activecampaign, allclients and whmcs. To bring a password of
your own, hash it with `oncegate password`.

Examples:
  oncegate caller new billing
  oncegate caller new billing --site panel > billing.txt
  oncegate caller new campaign --username admin

Exit codes: 0 good, 1 failed, 64 bad usage";

/// What every key begins with, so that a scanner for leaked secrets can find it.
const PREFIX: &str = "og_";

/// Makes an API key, or a password, for a service that may request links
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct CallerArgs {
    #[command(subcommand)]
    action: CallerAction,
}

/// What to do with callers.
#[derive(Debug, Subcommand)]
enum CallerAction {
    /// Makes a key or a password, and prints it once with the stanza to paste
    #[command(after_help = AFTER)]
    New(NewArgs),
}

#[derive(Debug, Args)]
struct NewArgs {
    /// The caller's name, as links and the audit log show it: a-z, 0-9 and -
    name: String,
    /// A site it may open; repeat it for several. Default: those of the configuration
    #[arg(long = "site", value_name = "NAME")]
    sites: Vec<String>,
    /// Makes a password to this name instead of a key, for dialects that send both
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Makes the key or the password, and prints it with its stanza.
///
/// # Errors
/// [`Failure::Usage`] for names that no configuration takes.
pub fn run(args: CallerArgs) -> Result<(), Failure> {
    let CallerAction::New(new) = args.action;
    for name in std::iter::once(&new.name).chain(&new.sites) {
        if !is_name(name) {
            let what = format!("{name:?} is not a name\n  do: write it with a-z, 0-9 and - only");
            return Err(Failure::Usage(super::failure::without_secrets(&what)));
        }
    }
    let secret = Secret::new(PREFIX.to_owned() + &URL_SAFE_NO_PAD.encode(entropy::random::<32>()));
    let (what, proof) = match &new.username {
        None => {
            let hash = KeyHash::of(secret.expose().as_bytes());
            (format!("key of {}", new.name), format!("key_sha256 = [\"{hash:x}\"]"))
        }
        Some(username) if token::is_user(username) => {
            let hash = PasswordHash::make(&Credential::of(secret.expose()), &entropy::random())?;
            let (username, hash) = (quoted(username), hash.as_str());
            let proof = format!("username = {username}\npassword = \"{hash}\"");
            (format!("password of {}", new.name), proof)
        }
        Some(_) => {
            let what = "--username is no name of 1 to 256 characters, none a control character";
            return Err(Failure::Usage(format!("{what}\n  do: write it as --username admin")));
        }
    };
    let mut out = io::stdout().lock();
    writeln!(out, "# The {what}, shown this once. Keep it where only that service reads it.")?;
    writeln!(out, "{}", secret.expose())?;
    writeln!(out)?;
    writeln!(out, "# Paste this into {}:", new.config.config.display())?;
    writeln!(out, "{}", stanza(&new.name, &sites(&new), &proof))?;
    match new.username {
        Some(_) => {
            writeln!(out, "dialects = []                # activecampaign | allclients | whmcs")?;
        }
        None => writeln!(
            out,
            "# dialects = [\"wisecp\"]      # if it speaks one: wisecp | activeplatform | \
             activecampaign | whmcs"
        )?,
    }
    Ok(())
}

/// The sites it may open: those named, or those there are.
fn sites(new: &NewArgs) -> Vec<String> {
    if !new.sites.is_empty() {
        return new.sites.clone();
    }
    // A configuration may well have faults before its first caller is in it.
    let configured = new.config.load_alone().map(|config| config.sites).unwrap_or_default();
    let names: Vec<String> = configured.iter().map(|site| site.name.clone()).collect();
    if names.is_empty() { vec!["panel".to_owned()] } else { names }
}

/// `text` as TOML quotes it; it has no control characters.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn stanza(name: &str, sites: &[String], proof: &str) -> String {
    // Names need no escaping: Rust and TOML quote them alike.
    format!(
        "[[callers]]\n\
         name = {name:?}\n\
         {proof}\n\
         sites = {sites:?}          # the sites it may open\n\
         may = [\"issue\"]            # issue | redeem | revoke | inspect"
    )
}

/// `[a-z0-9-]+`, no longer than the configuration takes.
fn is_name(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}
