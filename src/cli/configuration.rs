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
    /// Reads it, and the file of the directory, where there is one.
    ///
    /// # Errors
    /// Everything that is wrong with them, at once.
    pub fn load(&self) -> Result<Config, Faults> {
        Config::load(&self.config, variables())
    }

    /// Reads it without a look into the directory: a directory that somebody broke makes no
    /// running gate unhealthy.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub fn load_alone(&self) -> Result<Config, Faults> {
        load_alone(&self.config)
    }
}

/// Reads a configuration with the overrides of this process's environment, and without a look
/// into the directory.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub fn load_alone(path: &Path) -> Result<Config, Faults> {
    Config::load_alone(path, variables())
}

/// This process's variables, as far as they may be ours.
fn variables() -> impl Iterator<Item = (String, String)> {
    // A variable that is not UTF-8 is none of ours.
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("ONCEGATE_"))
}
