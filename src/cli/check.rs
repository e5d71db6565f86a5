//! `oncegate check`: everything that is wrong with a configuration, at once.

use std::{
    io::{self, Write as _},
    sync::Arc,
};

use clap::Args;
use rustls::time_provider::TimeProvider;

use crate::{
    cli::{configuration::ConfigArgs, failure::Failure},
    config::DirectorySource,
    ops::clock::{Clock, rfc3339},
    store::{certificates, keys},
};

/// What `--help` says at its end.
const AFTER: &str = "\
Reads the configuration, the ONCEGATE_SECTION__KEY variables, the directory's file and the
certificate where there are any, and the keys, and starts nothing. Every fault is printed at once,
each with its line, its key and what to write instead; those of the directory's file follow in a
report of their own.

Examples:
  oncegate check
  oncegate check --config /etc/oncegate/oncegate.toml && systemctl restart oncegate

Exit codes: 0 good, 1 the keys or the certificate are missing or cannot be used, 64 the
configuration or the directory has faults";

/// Checks a configuration and its keys
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

/// Checks the configuration and the directory's file, then the keys that are named.
///
/// # Errors
/// [`Failure::Configuration`] with every fault; [`Failure::Failed`] for the keys.
pub fn run(args: &CheckArgs) -> Result<(), Failure> {
    let config = args.config.load()?;
    let mut out = io::stdout().lock();
    writeln!(out, "{} is good", args.config.config.display())?;
    for warning in &config.warnings {
        writeln!(out, "  warning: {warning}")?;
    }
    if let DirectorySource::File(path) = &config.directory {
        writeln!(out, "{} is good", path.display())?;
    }
    if let Some(tls) = &config.listen.tls {
        let clock = Clock::default();
        let now = clock.now();
        let clock: Arc<dyn TimeProvider> = Arc::new(clock);
        let certificates = certificates::load(tls, &clock)?;
        let until = rfc3339(certificates.expires);
        writeln!(out, "{} is good until {until}", tls.cert.display())?;
        if let (Some(path), Some(list)) = (&tls.client_crl, certificates.client_crl) {
            let (path, until) = (path.display(), rfc3339(list.expires));
            if list.expires <= now {
                let so = "no caller's certificate is taken; renew it";
                writeln!(out, "  warning: {path} is out of date since {until}: {so}")?;
            } else if list.expires.saturating_sub(now) < list.soon() {
                writeln!(out, "  warning: {path} is good until {until}; renew it")?;
            } else {
                writeln!(out, "{path} is good until {until}")?;
            }
        }
    }
    let (keyring, _) = keys::load(&config.keys_dir)?;
    writeln!(out, "signing key {}, in {}", keyring.current_kid(), config.keys_dir.display())?;
    Ok(())
}
