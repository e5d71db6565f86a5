//! `oncegate completions`: what a shell needs to complete commands.

use std::io::{self, Write as _};

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::cli::{Cli, failure::Failure};

/// What `--help` says at its end.
const AFTER: &str = "\
Examples:
  oncegate completions bash > /etc/bash_completion.d/oncegate
  oncegate completions zsh > \"${fpath[1]}/_oncegate\"
  oncegate completions fish > ~/.config/fish/completions/oncegate.fish

Exit codes: 0 good, 1 failed, 64 bad usage";

/// Prints what a shell needs to complete commands
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Prints the script.
///
/// # Errors
/// [`Failure`] if it cannot be written.
pub fn run(args: &CompletionsArgs) -> Result<(), Failure> {
    // By way of memory: the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "oncegate", &mut script);
    let mut out = io::stdout().lock();
    out.write_all(&script)?;
    Ok(out.flush()?)
}
