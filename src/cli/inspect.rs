//! `oncegate inspect`: decodes a token, verifies it, and says why it would be refused now.

use std::io::{self, Read as _, Write as _};

use clap::Args;
use serde_json::{Value, json};
use url::Url;

use crate::{
    cli::{api::ApiArgs, configuration::ConfigArgs, failure::Failure, verdict::Verdict},
    gate::{client_ip::ClientIp, link},
    ops::clock::Clock,
    store::keys,
};

/// What `--help` says at its end.
const AFTER: &str = "\
Reads the configuration and its keys, and judges the token as the gate would, now. Spends nothing.
Whether the token was used or withdrawn the running gate alone knows: with --api and a caller's
key that may inspect, it is asked as well.

Examples:
  oncegate inspect https://panel.example.com/_once/l/eyJhbGciOi…
  pbpaste | oncegate inspect - --ip 203.0.113.7
  oncegate inspect - --api http://127.0.0.1:8081 --key-file support.key < token.txt

Exit codes: 0 it would pass, 1 it would be refused, 64 bad usage or configuration";

/// More than this is no token, nor a link, in bytes.
const LARGEST: u64 = 16 * 1024;

/// Decodes and verifies a token, and says why it would be refused now
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct InspectArgs {
    /// The token, or a link that carries one; - reads it from standard input
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
    let token = token_in(&read(&args.token)?);
    if token.is_empty() {
        let what = "there is no token in that\n  do: give the token, or the whole link";
        return Err(Failure::Usage(what.to_owned()));
    }
    let api = args.api.api.is_some().then(|| args.api.resolve()).transpose()?;
    let config = args.config.load()?;
    let (keyring, _) = keys::load(&config.keys_dir)?;
    let verdict = Verdict::of(&token, &config, &keyring, args.ip, Clock::default().now());
    let asked = match api {
        None => None,
        Some(api) => {
            let ip = args.ip.map(|ip| ip.to_string());
            let mut question = json!({ "token": token });
            if let (Some(ip), Some(members)) = (ip, question.as_object_mut()) {
                members.insert("ip".to_owned(), ip.into());
            }
            Some(api.post("/v1/inspect", &question).await)
        }
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

/// The token itself: out of a link, if it came in one.
fn token_in(text: &str) -> String {
    let text = text.trim();
    let Some(url) = text.contains("://").then(|| Url::parse(text).ok()).flatten() else {
        return text.to_owned();
    };
    let of_page = || url.query_pairs().find(|(name, _)| name == link::PARAMETER);
    match url.path().strip_prefix(link::PATH) {
        Some(token) => token.to_owned(),
        None => of_page().map(|(_, token)| token.into_owned()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::token::MAX_TOKEN;

    #[test]
    fn a_token_is_found_in_either_form_of_a_link() {
        for text in [
            "a.b.c",
            " a.b.c\n",
            "https://panel.example.com/_once/l/a.b.c",
            "https://panel.example.com/_once/l/a.b.c?x=1#y",
            "https://panel.example.com/page?x=1&_once=a.b.c",
        ] {
            assert_eq!(token_in(text), "a.b.c", "{text}");
        }
        assert_eq!(token_in("https://panel.example.com/page"), "");
        assert!(u64::try_from(MAX_TOKEN).unwrap() < LARGEST);
    }
}
