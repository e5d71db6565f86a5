//! `oncegate keys`: makes, shows, rotates and retires the keys of a directory.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};

use crate::{
    cli::{configuration, failure::Failure},
    ops::{
        clock::{Clock, rfc3339},
        entropy,
    },
    store::keys::{self, Entry, KeyError, Lifetimes, Role},
};

/// What `--help` says at its end.
const AFTER: &str = "\
The directory is the one that --dir names, or keys.dir of the configuration: the one that --config
or ONCEGATE_CONFIG names, or oncegate.toml if it is there. Without any: keys.

Examples:
  oncegate keys new --dir keys
  oncegate keys list
  oncegate keys rotate          (and once its links are over: oncegate keys retire)
  oncegate keys jwks --config /etc/oncegate/oncegate.toml

Exit codes: 0 good, 1 failed, 64 bad usage or configuration";

/// The directory where nobody names one.
const DIRECTORY: &str = "keys";
/// `links.max_ttl` and `session.ttl` where no configuration says otherwise.
const DEFAULTS: Lifetimes = Lifetimes { link: 15 * 60, session: 8 * 60 * 60 };

/// Makes, shows and rotates the keys that sign links and seal sessions
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct KeysArgs {
    /// The configuration that names the directory, `keys.dir`
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "dir")]
    pub config: Option<PathBuf>,
    /// The directory, where no configuration is to be read
    #[arg(long, global = true, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// What to do
    #[command(subcommand)]
    pub action: KeysAction,
}

/// What to do with the keys.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum KeysAction {
    /// Makes what is missing of: a current key, a next one, the session keys
    New {
        /// Do nothing, and succeed, where none is missing: for a step that runs at every start
        #[arg(long)]
        if_missing: bool,
    },
    /// Shows each key: what it is for, and since when
    List,
    /// Lets the next key sign, keeps the current one to verify with, and makes a new next one.
    ///
    /// A running gate follows within seconds; no link and no session is lost. The next key must
    /// be two minutes old, so that every gate and every reader of the JWKS knows it by then.
    Rotate {
        /// Rotate even if the next key is younger: links may be refused for a moment elsewhere
        #[arg(long)]
        force: bool,
    },
    /// Removes the previous keys that nothing valid depends on any more.
    ///
    /// A key is kept for as long as a link or a session may last since it ceased to sign: by the
    /// configuration, or, with --dir, for 15 minutes and 8 hours.
    Retire {
        /// Remove every previous key: its links are refused, and its sessions end
        #[arg(long)]
        force: bool,
    },
    /// Prints the public keys as a JWK set
    Jwks,
}

/// A command on keys failed.
#[derive(Debug, thiserror::Error)]
pub enum KeysFailed {
    /// The keys, or their directory.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The output could not be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

/// Does what the arguments say, in the directory that they or the configuration name.
///
/// # Errors
/// [`Failure`].
pub fn command(args: &KeysArgs) -> Result<(), Failure> {
    let (dir, lifetimes) = place(args)?;
    let now = Clock::default().now();
    run(args.action, &dir, lifetimes, now, entropy::random, &mut io::stdout().lock())?;
    Ok(())
}

fn place(args: &KeysArgs) -> Result<(PathBuf, Lifetimes), Failure> {
    if let Some(dir) = &args.dir {
        return Ok((dir.clone(), DEFAULTS));
    }
    let named = || std::env::var_os(configuration::VARIABLE).map(PathBuf::from);
    let there = || Some(PathBuf::from(configuration::DEFAULT)).filter(|path| path.exists());
    let Some(path) = args.config.clone().or_else(named).or_else(there) else {
        return Ok((PathBuf::from(DIRECTORY), DEFAULTS));
    };
    let config = configuration::load_alone(&path)?;
    let lifetimes = Lifetimes { link: config.links.max_ttl, session: config.session.ttl };
    Ok((config.keys_dir, lifetimes))
}

/// Does `action` in `dir`, and says so on `out`. `now` is in seconds since the Unix epoch.
///
/// # Errors
/// [`KeysFailed`]; nothing is half done, or the next call finishes it.
pub fn run(
    action: KeysAction,
    dir: &Path,
    lifetimes: Lifetimes,
    now: u64,
    random: fn() -> [u8; 32],
    out: &mut impl Write,
) -> Result<(), KeysFailed> {
    match action {
        KeysAction::New { if_missing } => match keys::make(dir, now, random) {
            Err(KeyError::Exists { .. }) if if_missing => keys::load(dir).map(|_| ())?,
            made => {
                for name in made? {
                    writeln!(out, "made {}", dir.join(name).display())?;
                }
            }
        },
        KeysAction::List => {
            for entry in keys::list(dir)? {
                writeln!(out, "{}", line(&entry))?;
            }
        }
        KeysAction::Rotate { force } => {
            let rotated = keys::rotate(dir, now, random, force)?;
            match rotated.signing {
                Some(keys) => writeln!(
                    out,
                    "{} signs now; {} verifies until it is retired",
                    keys.current, keys.previous
                )?,
                None => writeln!(
                    out,
                    "there was no next key: made one; rotate again in {} s",
                    keys::MIN_AGE
                )?,
            }
            if rotated.session {
                writeln!(out, "sessions are sealed with a new key; those begun go on")?;
            }
        }
        KeysAction::Retire { force } => {
            let retired = keys::retire(dir, now, lifetimes, force)?;
            for entry in &retired.removed {
                writeln!(out, "removed: {}", line(entry))?;
            }
            for (entry, until) in &retired.kept {
                writeln!(out, "kept until {}: {}", rfc3339(*until), line(entry))?;
            }
            if retired.removed.is_empty() && retired.kept.is_empty() {
                writeln!(out, "there is no previous key")?;
            }
        }
        KeysAction::Jwks => {
            let (keyring, _) = keys::load(dir)?;
            writeln!(out, "{}", keyring.jwks())?;
        }
    }
    Ok(out.flush()?)
}

fn line(entry: &Entry) -> String {
    let role = match entry.role {
        Role::Current => "current",
        Role::Next => "next",
        Role::Previous => "previous",
    };
    // A kid has 43 characters; session keys have none to show.
    let kid = entry.kid.as_deref().unwrap_or("(seals sessions)");
    let mut line = format!("{role:<8}  {kid:<43}");
    if let Some(made) = entry.made {
        line.extend(["  made ", &rfc3339(made)]);
    }
    if let Some(rotated) = entry.rotated {
        line.extend(["  rotated ", &rfc3339(rotated)]);
    }
    line + "  " + &entry.file
}
