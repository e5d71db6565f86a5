//! The commands: one file each. Arguments in; what they print and the exit code out.
//!
//! Exit codes: 0 good, 1 failed, 64 bad usage or configuration.

use std::{
    ffi::OsString,
    io::{self, Write as _},
};

use clap::{
    Parser, Subcommand,
    error::ErrorKind::{
        DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand as MissingCommand, DisplayVersion,
    },
};
use tokio::runtime::{Builder, Runtime};

use crate::cli::failure::{Failure, without_secrets};

pub mod api;
pub mod caller;
pub mod check;
pub mod completions;
pub mod configuration;
pub mod demo;
pub mod failure;
pub mod given;
pub mod health;
pub mod inspect;
pub mod keys;
pub mod link;
pub mod openapi;
pub mod password;
pub mod serve;
pub mod verdict;

/// So many steps of tasks are made, if as many are waiting, before a thread looks at the network and
/// the clock again: about four for each of 64 requests. With fewer, those that come in together do
/// not stay together for long.
const STEPS: u32 = 256;

/// What `--help` says at its end.
const AFTER: &str = "\
Start with `oncegate demo`. For a gate of your own: write oncegate.toml, then
  oncegate check              what is wrong with it, all at once
  oncegate keys new           the keys that sign links
  oncegate caller new NAME    an API key, and the stanza to paste
  oncegate serve

Exit codes: 0 good, 1 failed, 64 bad usage or configuration";

/// Turns "let this user in, there, once" into a link, and the link into a signed-in request.
#[derive(Debug, Parser)]
#[command(name = "oncegate", version, after_help = AFTER)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// One command.
#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::ServeArgs),
    Demo(demo::DemoArgs),
    Check(check::CheckArgs),
    Keys(keys::KeysArgs),
    Caller(caller::CallerArgs),
    #[command(about = "Hashes a password, for callers and users that have one", after_help = password::AFTER)]
    Password,
    Link(link::LinkArgs),
    Inspect(inspect::InspectArgs),
    #[command(about = "Prints the OpenAPI document of the API", after_help = openapi::AFTER)]
    Openapi,
    Health(health::HealthArgs),
    Completions(completions::CompletionsArgs),
}

/// Does what the arguments say; the first is the program's own name.
///
/// # Errors
/// [`Failure`], still to be printed.
pub fn run(mut arguments: Vec<OsString>) -> Result<(), Failure> {
    // Of no type that the caller chooses: else all of the gate would be compiled there once more.
    if arguments.len() < 2 {
        arguments.push("--help".into());
    }
    let parsed = match Cli::try_parse_from(arguments) {
        Ok(parsed) => parsed,
        Err(asked) if matches!(asked.kind(), DisplayHelp | DisplayVersion) => {
            return Ok(write!(io::stdout(), "{asked}")?);
        }
        Err(wrong) => return Err(misused(&wrong)),
    };
    match parsed.command {
        Command::Serve(args) => serve::run(&args),
        Command::Demo(args) => started(Builder::new_multi_thread())?.block_on(demo::run(args)),
        Command::Check(args) => check::run(&args),
        Command::Keys(args) => keys::command(&args),
        Command::Caller(args) => caller::run(args),
        Command::Password => password::run(),
        Command::Link(args) => started(Builder::new_current_thread())?.block_on(link::run(args)),
        Command::Inspect(args) => {
            started(Builder::new_current_thread())?.block_on(inspect::run(args))
        }
        Command::Openapi => openapi::run(),
        Command::Health(args) => {
            started(Builder::new_current_thread())?.block_on(health::run(args))
        }
        Command::Completions(args) => completions::run(&args),
    }
}

/// A runtime to run a command on.
fn started(mut builder: Builder) -> Result<Runtime, Failure> {
    let why = |error| Failure::Failed(format!("cannot start threads or timers: {error}"));
    builder.enable_all().event_interval(STEPS).build().map_err(why)
}

/// What clap says, in our words' form. It quotes arguments: one may be a token.
fn misused(wrong: &clap::Error) -> Failure {
    let text = wrong.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
    match wrong.kind() {
        MissingCommand => Failure::Usage(format!("say what to do\n\n{text}")),
        _ => Failure::Usage(without_secrets(text)),
    }
}
