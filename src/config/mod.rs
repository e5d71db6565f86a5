//! The configuration: raw as typed, then checked; every fault at once, with its place.
//!
//! [`Config::load`] reads the file, puts the environment's overrides over it, and either gives a
//! configuration in which everything holds that the rest of the gate relies on, or [`Faults`].
//! Nothing is guessed: an unknown key is a fault, and so is one that a later version takes.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    config::reader::{Ledger, Section},
    gate::{caller::Caller, link::LinkRules, site::Site},
};

mod callers;
mod checked;
mod env;
mod fault;
mod gate;
mod headers;
mod keys;
mod limits;
mod links;
mod listen;
mod once;
mod raw;
mod reader;
mod session;
mod sites;
mod units;

pub use fault::{Fault, Faults, Place};
pub use gate::GateRules;
pub use limits::Limits;
pub use links::LONGEST as LONGEST_LINK;
pub use listen::Listen;
pub use once::{Durability, Once, StoreKind};
pub use session::{LONGEST as LONGEST_SESSION, SessionRules};

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
    /// The cookie that a redemption sets.
    pub session: SessionRules,
    /// The protected applications: at least one.
    pub sites: Vec<Arc<Site>>,
    /// The services that may ask for links.
    pub callers: Vec<Arc<Caller>>,
    /// What is allowed and dangerous, one line each; said at start.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads a file, and the overrides among the variables of the environment, `env`.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn load(path: &Path, env: impl Iterator<Item = (String, String)>) -> Result<Self, Faults> {
        let file = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|error| Faults::unreadable(&file, &error))?;
        let text = match std::str::from_utf8(&bytes) {
            Ok(text) => text,
            Err(error) => {
                let before = bytes.iter().take(error.valid_up_to());
                let line = 1 + before.filter(|byte| **byte == b'\n').count();
                let what = "is not UTF-8; save the file as UTF-8".to_owned();
                let fault = Fault { place: Place::Line(line), key: String::new(), what };
                return Err(Faults::new(&file, vec![fault]));
            }
        };
        Self::parse(text, &file, path.parent().unwrap_or(Path::new("")), env)
    }

    /// Reads `text` as the file `file_name` in `base_dir`, to which its paths are relative.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn parse(
        text: &str,
        file_name: &str,
        base_dir: &Path,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, Faults> {
        let uname = rustix::system::uname();
        let host = uname.nodename().to_string_lossy();
        Self::parse_on(&host, text, file_name, base_dir, env)
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
        let raw = raw::read(text);
        let ledger = Ledger::new(raw.aside);
        for (line, why) in raw.broken {
            let what = match why.as_str() {
                "duplicate key" => "is written twice; remove one".to_owned(),
                why => format!("is not TOML: {why}"),
            };
            ledger.fault_at(&Place::Line(line), "", what);
        }
        let mut table = raw.table;
        env::apply(&mut table, env, &ledger);
        let config = read(Section::root(&ledger, table), host, base_dir);
        let (faults, warnings) = ledger.close();
        match config {
            Some(config) if faults.is_empty() => Ok(Self { warnings, ..config }),
            _ => Err(Faults::new(file_name, faults)),
        }
    }
}

/// Reads every section. `None` only where a fault was recorded.
fn read(mut root: Section<'_>, host: &str, base: &Path) -> Option<Config> {
    let ledger = root.ledger;
    let whole = ledger.faults().is_empty();
    let gate = gate::read(root.section("gate"), host);
    let listen = listen::read(root.section("listen"));
    let limits = limits::read(root.section("limits"));
    let keys_dir = gate::keys_dir(root.section("keys"), base);
    let links = links::read(root.section("links"));
    let once = once::read(root.section("once"), base);
    let session = session::read(root.section("session"));
    let site_tables = root.sections("sites");
    if site_tables.is_empty() && !root.has("sites") {
        ledger.missing("sites", "[[sites]] with a name and an origin");
    }
    let mut known: Vec<String> = site_tables.iter().filter_map(Section::name).collect();
    known.dedup();
    let sites: Vec<_> = site_tables.into_iter().filter_map(sites::read).collect();
    let caller = |section| callers::read(section, &links, base);
    let callers: Vec<_> = root.sections("callers").into_iter().filter_map(caller).collect();
    root.not_yet("directory", "remove it: `users` of a caller says whom it may sign in");
    root.not_yet("dialects", "remove it: callers use the native API");
    root.done();
    // Where lines are not TOML, what they name is not missing elsewhere.
    let known =
        if whole { known } else { callers.iter().flat_map(|c| c.value.sites.clone()).collect() };
    Some(Config {
        gate: gate?,
        listen,
        limits,
        keys_dir,
        once,
        session,
        sites: checked::sites(ledger, sites),
        callers: checked::callers(ledger, callers, &known, &links),
        links,
        warnings: Vec::new(),
    })
}
