//! The configuration: raw as typed, then checked; every fault at once, with its place.
//!
//! [`Config::load`] reads the file, puts the environment's overrides over it, looks into the file of
//! the directory, and either gives a configuration in which everything holds that the rest of the
//! gate relies on, or [`Faults`]. Nothing is guessed: an unknown key is a fault, and so is one that a
//! later version takes.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    config::{checked_dialects::Spoken, ledger::Ledger, reader::Section},
    gate::{
        caller::Caller, directory::Records, link::LinkRules, reach::Reach, site::Site,
        spoken::DialectRules,
    },
};

mod callers;
mod checked;
mod checked_dialects;
mod checked_records;
mod dialects;
mod directory;
mod env;
mod fault;
mod gate;
mod headers;
mod keys;
mod ledger;
mod limits;
mod links;
mod listen;
mod login;
mod once;
mod peers;
mod raw;
mod reader;
mod records;
mod redis;
mod session;
mod sites;
mod tls;
mod units;
mod upstream;

pub use directory::DirectorySource;
pub use fault::{Fault, Faults, Place};
pub use gate::GateRules;
pub use limits::Limits;
pub use links::LONGEST as LONGEST_LINK;
pub use listen::Listen;
pub use once::{Durability, Once, StoreKind};
pub use peers::Peer;
pub use records::{records, records_again};
pub use redis::{Redis, RedisAt, RedisLogin};
pub use session::{LONGEST as LONGEST_SESSION, SessionRules};
pub use tls::Tls;

/// A configuration in which everything holds that the gate relies on.
#[derive(Debug, Clone)]
pub struct Config {
    /// Who this gate is.
    pub gate: GateRules,
    /// Where it answers, and whom it believes there.
    pub listen: Listen,
    /// What one client may cost.
    pub limits: Limits,
    /// The directory of its keys.
    pub keys_dir: PathBuf,
    /// The rules every link follows.
    pub links: LinkRules,
    /// Where the used tokens are remembered.
    pub once: Once,
    /// Which memories a use can be recorded in from here.
    pub reach: Reach,
    /// The cookie that a redemption sets.
    pub session: SessionRules,
    /// The protected applications: at least one.
    pub sites: Vec<Arc<Site>>,
    /// The services that may ask for links.
    pub callers: Vec<Arc<Caller>>,
    /// The other vendors' APIs that are spoken.
    pub dialects: Vec<DialectRules>,
    /// Where issuing looks users up.
    pub directory: DirectorySource,
    /// What is allowed and dangerous, one line each; said at start.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads a file, the overrides among the variables of the environment, `env`, and the file of
    /// the directory, where there is one.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn load(path: &Path, env: impl Iterator<Item = (String, String)>) -> Result<Self, Faults> {
        let text = raw::text_of(path, "name another with --config")?;
        let file = path.display().to_string();
        parse(&host(), &text, &file, directory_of(path), env, Some(records::looked_at))
    }

    /// [`Config::load`] without a look into the directory: for what asks nothing of it, and must
    /// not fail because of it.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn load_alone(
        path: &Path,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, Faults> {
        let text = raw::text_of(path, "name another with --config")?;
        Self::parse(&text, &path.display().to_string(), directory_of(path), env)
    }

    /// Reads `text` as the file `file_name` in `base_dir`, to which its paths are relative. The
    /// file of the directory is not looked into.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn parse(
        text: &str,
        file_name: &str,
        base_dir: &Path,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, Faults> {
        Self::parse_on(&host(), text, file_name, base_dir, env)
    }

    /// [`Config::parse`] on a machine called `host`.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn parse_on(
        host: &str,
        text: &str,
        file_name: &str,
        base_dir: &Path,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, Faults> {
        parse(host, text, file_name, base_dir, env, None)
    }
}

/// Reads the file of a directory.
type Look = fn(&Path) -> Result<(Records, Vec<String>), Faults>;

fn parse(
    host: &str,
    text: &str,
    file_name: &str,
    base_dir: &Path,
    env: impl Iterator<Item = (String, String)>,
    look: Option<Look>,
) -> Result<Config, Faults> {
    let raw = raw::read(text);
    let ledger = Ledger::new(raw.aside);
    ledger.not_toml(raw.broken);
    let mut table = raw.table;
    env::apply(&mut table, env, &ledger);
    let (config, directory) = read(Section::root(&ledger, table), host, base_dir);
    let (mut of_directory, mut of_records) = (None, Vec::new());
    if let (Some(look), DirectorySource::File(path)) = (look, &directory) {
        match look(path) {
            Ok((records, warnings)) => {
                of_records = warnings;
                let callers = config.iter().flat_map(|config| &config.callers);
                checked_records::callers(&ledger, callers, &records);
            }
            // One that cannot be read at all is a fault of the key that names it.
            Err(faults) => match faults.why_unreadable() {
                Some(why) => {
                    let instead = "write its path, relative to this file";
                    ledger.fault("directory.file", format!("cannot be read: {why}; {instead}"));
                }
                None => of_directory = Some(faults),
            },
        }
    }
    let (faults, mut warnings) = ledger.close();
    warnings.append(&mut of_records);
    match config {
        Some(config) if faults.is_empty() && of_directory.is_none() => {
            Ok(Config { warnings, ..config })
        }
        _ => Err(Faults::new(file_name, faults).and_of_directory(of_directory)),
    }
}

/// The name of this machine.
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The directory in which a file is.
fn directory_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// Reads every section. No configuration comes of it only where a fault was recorded; of a directory
/// it is told where it is even then.
fn read(mut root: Section<'_>, host: &str, base: &Path) -> (Option<Config>, DirectorySource) {
    let ledger = root.ledger;
    let whole = ledger.faults().is_empty();
    let gate = gate::read(root.section("gate"), host);
    let listen = listen::read(root.section("listen"), base);
    let limits = limits::read(root.section("limits"));
    let keys_dir = gate::keys_dir(root.section("keys"), base);
    let links = links::read(root.section("links"));
    let own = gate.as_ref().map(|gate| gate.name.as_str());
    let once = once::read(root.section("once"), base, own);
    let session = session::read(root.section("session"));
    let site_tables = root.sections("sites");
    if site_tables.is_empty() && !root.has("sites") {
        ledger.missing("sites", "[[sites]] with a name and an origin");
    }
    let mut known: Vec<String> = site_tables.iter().filter_map(Section::name).collect();
    known.dedup();
    let caller = |section| callers::read(section, &links, base);
    let callers: Vec<_> = root.sections("callers").into_iter().filter_map(caller).collect();
    let dialects = dialects::read(root.section("dialects"), &links);
    // What a site's own paths may be depends on the links that open it.
    let site = |section| sites::read(section, &dialects, base);
    let sites: Vec<_> = site_tables.into_iter().filter_map(site).collect();
    let directory = root.optional("directory").map(|section| directory::read(section, base));
    root.done();
    // Where lines are not TOML, what they name is not missing elsewhere.
    let named = || {
        let of_callers = callers.iter().flat_map(|caller| caller.value.sites.clone());
        of_callers.chain(dialects.iter().map(|rules| rules.value.site.clone())).collect()
    };
    let known = if whole { known } else { named() };
    let directory = directory.unwrap_or_default();
    let dialects = checked_dialects::dialects(ledger, dialects, &known);
    let spoken = Spoken {
        sites: &known,
        dialects: &dialects,
        directory: ledger.has("directory"),
        links: &links,
        whole,
    };
    checked_dialects::callers(ledger, &callers, &spoken);
    checked_dialects::guesses(ledger, &callers, &listen);
    let signs = listen.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some())
        || ledger.unsure("listen.tls.client_ca");
    checked::ways_in(ledger, &listen, &once.peers);
    let config = gate.map(|gate| Config {
        reach: match once.store {
            StoreKind::Redis => Reach::Shared,
            StoreKind::Memory | StoreKind::Journal => Reach::Pinned {
                own: gate.name.clone(),
                peers: once.peers.iter().map(|peer| peer.name.clone()).collect(),
            },
        },
        gate,
        listen,
        limits,
        keys_dir,
        once,
        session,
        sites: checked::sites(ledger, sites),
        callers: checked::callers(ledger, callers, &known, &links, signs),
        dialects,
        directory: directory.clone(),
        links,
        warnings: Vec::new(),
    });
    (config, directory)
}
