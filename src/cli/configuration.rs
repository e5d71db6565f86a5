//! `--config`: the configuration a command works with.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::config::{Config, Faults};

/// The file where nobody names one.
pub const DEFAULT: &str = "oncegate.toml";
/// The variable that names one. Without `__` it is no key of the configuration itself.
pub const VARIABLE: &str = "ONCEGATE_CONFIG";

/// Which configuration.
#[derive(Debug, Clone, Args)]
pub struct ConfigArgs {
    /// The configuration; `ONCEGATE_SECTION__KEY` variables override its keys
    #[arg(long, value_name = "FILE", env = VARIABLE, default_value = DEFAULT)]
    pub config: PathBuf,
}

impl ConfigArgs {
    /// Reads it.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub fn load(&self) -> Result<Config, Faults> {
        load(&self.config)
    }
}

/// Reads a configuration with the overrides of this process's environment.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub fn load(path: &Path) -> Result<Config, Faults> {
    // A variable that is not UTF-8 is none of ours.
    let ours = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("ONCEGATE_"));
    Config::load(path, ours)
}
