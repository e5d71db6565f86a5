//! `oncegate link`: asks a running gate for a link.

use std::io::{self, Write as _};

use clap::Args;
use serde_json::{Map, Value};

use crate::cli::{
    api::ApiArgs,
    failure::{Failure, without_secrets},
};

/// What `--help` says at its end.
const AFTER: &str = "\
Asks POST /v1/links of a running gate and prints the URL of the link. Whoever opens it first is
signed in: treat it as a password. The gate and the key may also come from ONCEGATE_LINK__API and
ONCEGATE_LINK__KEY; never give the key as an argument, where every user of the machine sees it.

Examples:
  oncegate link --user joe --api http://127.0.0.1:8081 --key-file billing.key
  oncegate link --user joe --destination invoice --value 4711 --ip 203.0.113.7
  oncegate link --user joe --destination '/reports?year=2025#q3' --ttl 120 --json

Exit codes: 0 good, 1 refused or no answer, 64 bad usage";

/// Asks a running gate for a link
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct LinkArgs {
    /// Who is to be signed in
    #[arg(long)]
    user: String,
    /// The site; may be left out where the caller has one
    #[arg(long)]
    site: Option<String>,
    /// Where the user lands: a name, a path or a URL
    #[arg(long, value_name = "D")]
    destination: Option<String>,
    /// What fills a place of a named destination; repeat it for several
    #[arg(long = "value", value_name = "V", allow_hyphen_values = true)]
    values: Vec<String>,
    /// An address or network that the link is bound to; repeat it for several
    #[arg(long, value_name = "A")]
    ip: Vec<String>,
    /// How long the link is valid
    #[arg(long, value_name = "SECONDS")]
    ttl: Option<u64>,
    /// A claim for the application, a text; repeat it for several
    #[arg(long = "claim", value_name = "NAME=VALUE")]
    claims: Vec<String>,
    /// What the link's page does
    #[arg(long, value_parser = ["auto", "confirm", "none"])]
    page: Option<String>,
    /// Print the whole answer
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    api: ApiArgs,
}

/// Asks for the link, and prints its URL.
///
/// # Errors
/// [`Failure`]: why there is none.
pub async fn run(args: LinkArgs) -> Result<(), Failure> {
    let request = request(&args)?;
    let link = args.api.resolve()?.post("/v1/links", &request).await?;
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{link:#}")?;
        return Ok(());
    }
    match link.get("url").and_then(Value::as_str) {
        Some(url) => Ok(writeln!(out, "{url}")?),
        None => Err(Failure::Failed(
            "the answer has no link\n  do: see that --api is the gate's api listener".to_owned(),
        )),
    }
}

/// What is asked for; what is not said is left out.
fn request(args: &LinkArgs) -> Result<Value, Failure> {
    let mut request = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            request.insert(name.to_owned(), value);
        }
    };
    let list = |all: &[String]| (!all.is_empty()).then(|| Value::from(all.to_vec()));
    set("user", Some(args.user.clone().into()));
    set("site", args.site.clone().map(Value::from));
    set("destination", args.destination.clone().map(Value::from));
    set("destination_values", list(&args.values));
    set("ip", list(&args.ip));
    set("ttl", args.ttl.map(Value::from));
    let claims = claims(&args.claims)?;
    set("claims", (!claims.is_empty()).then_some(Value::Object(claims)));
    set("page", args.page.clone().map(Value::from));
    Ok(Value::Object(request))
}

fn claims(given: &[String]) -> Result<Map<String, Value>, Failure> {
    let mut claims = Map::new();
    for claim in given {
        let Some((name, value)) = claim.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            let what = format!("{claim:?} is not a claim\n  do: write it as NAME=VALUE");
            return Err(Failure::Usage(without_secrets(&what)));
        };
        if claims.insert(name.to_owned(), value.into()).is_some() {
            let what = format!("the claim {name:?} is given twice\n  do: leave one out");
            return Err(Failure::Usage(without_secrets(&what)));
        }
    }
    Ok(claims)
}
