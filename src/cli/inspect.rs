//! `oncegate inspect`: decodes a token, verifies it, and says why it would be refused now.

use std::io::{self, Read as _, Write as _};

use clap::Args;
use serde_json::{Value, json};

use crate::{
    cli::{
        api::ApiArgs, configuration::ConfigArgs, failure::Failure, given::Given, verdict::Verdict,
    },
    gate::client_ip::ClientIp,
    ops::clock::Clock,
    store::keys,
};

/// What `--help` says at its end.
const AFTER: &str = "\
Reads the configuration and its keys, and judges the token as the gate would, now. Spends nothing.
A link is judged in its own form, the native one or that of a vendor whose API is spoken.
Whether the token was used or withdrawn the running gate alone knows: with --api and a caller's
key that may inspect, it is asked as well.

Examples:
  oncegate inspect https://panel.example.com/_once/l/eyJhbGciOi…
  oncegate inspect 'https://panel.example.com/en/sign-in?sso_token=eyJhbGciOi…'
  pbpaste | oncegate inspect - --ip 203.0.113.7
  oncegate inspect - --api http://127.0.0.1:8081 --key-file support.key < token.txt

Exit codes: 0 it would pass, 1 it would be refused, 64 bad usage or configuration";

/// More than this is no token, nor a link, in bytes.
const LARGEST: u64 = 16 * 1024;

/// Decodes and verifies a token, and says why it would be refused now
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct InspectArgs {
    /// The token, or a link that carries one in any form; - reads it from standard input
    token: String,
    /// The visitor's address, for a token that is bound to one
    #[arg(long, value_name = "A")]
    ip: Option<ClientIp>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    api: ApiArgs,
}

/// Judges the token, prints each step, asks the gate where that is wanted.
///
/// # Errors
/// [`Failure::Failed`] if it would be refused.
pub async fn run(args: InspectArgs) -> Result<(), Failure> {
    let text = read(&args.token)?;
    if !Given::may_be_in(&text) {
        return Err(no_token());
    }
    let api = args.api.api.is_some().then(|| args.api.resolve()).transpose()?;
    let config = args.config.load_alone()?;
    let given = Given::read(&text, &config.sites).transpose().ok_or_else(no_token)?;
    let (keyring, _) = keys::load(&config.keys_dir)?;
    let verdict = match &given {
        Ok(given) => Verdict::of(given, &config, &keyring, args.ip, Clock::default().now()),
        Err(denial) => Verdict::of_unreadable(denial.clone()),
    };
    let asked = match (api, &given) {
        (Some(api), Ok(given)) => {
            let ip = args.ip.map(|ip| ip.to_string());
            let mut question = json!({ "token": given.token() });
            if let (Some(ip), Some(members)) = (ip, question.as_object_mut()) {
                members.insert("ip".to_owned(), ip.into());
            }
            Some(api.post("/v1/inspect", &question).await)
        }
        _ => None,
    };
    let gate = asked.as_ref().and_then(|asked| asked.as_ref().ok());
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{:#}", verdict.json(gate))?;
    } else {
        verdict.write(&mut out, gate)?;
    }
    verdict.passed()?;
    match asked.transpose()? {
        Some(gate) if gate.get("valid") != Some(&Value::Bool(true)) => {
            Err(Failure::Failed(format!("this token would be refused now: {}", said(&gate))))
        }
        _ => Ok(()),
    }
}

/// What a gate says of a token: the code and the title, or that it is valid.
pub fn said(gate: &Value) -> String {
    let member = |name: &str| gate.get(name).and_then(Value::as_str);
    match (member("code"), member("title")) {
        (Some(code), Some(title)) => format!("{code}: {title}"),
        (Some(code), None) => code.to_owned(),
        _ if gate.get("valid") == Some(&Value::Bool(true)) => "valid, and not used yet".to_owned(),
        _ => "refused".to_owned(),
    }
}

fn no_token() -> Failure {
    let what = "there is no token in that\n  do: give the token, or the whole link";
    Failure::Usage(what.to_owned())
}

fn read(argument: &str) -> Result<String, Failure> {
    if argument != "-" {
        return Ok(argument.to_owned());
    }
    let mut text = String::new();
    io::stdin()
        .lock()
        .take(LARGEST)
        .read_to_string(&mut text)
        .map_err(|error| Failure::Failed(format!("cannot read standard input: {error}")))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::token::MAX_TOKEN;

    #[test]
    fn the_largest_token_is_read_whole() {
        assert!(u64::try_from(MAX_TOKEN).unwrap() < LARGEST);
    }
}
