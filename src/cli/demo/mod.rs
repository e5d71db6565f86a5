//! `oncegate demo`: a whole working example in one process.
//!
//! A gate with fresh keys in a temporary directory, a panel behind it, and a page that plays the
//! service which asks for links. Nothing to set up, nothing left behind.

pub mod configuration;
pub mod page;
pub mod panel;
pub mod start;

use std::{
    io::{self, Write as _},
    net::{SocketAddr, TcpListener as StdListener},
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use clap::Args;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    app::{self, Listeners, Running},
    cli::{
        demo::{
            configuration::{Access, DIRECTORY, DIRECTORY_FILE, USERNAME, configuration},
            start::{Choice, LinkAnswer, Stage},
        },
        failure::Failure,
    },
    config::Config,
    gate::secret::Secret,
    ops::{
        clock::Clock,
        entropy,
        http_client::{self, Question},
        shutdown, telemetry,
    },
    store::keys,
};

/// What `--help` says at its end.
const AFTER: &str = "\
Prints where to look, an API key, and curl commands to try. Keys and state are in a temporary
directory and go with the process. ONCEGATE_LOG=info shows each decision.

Exit codes: 0 ended by a signal, 1 cannot start";

/// The ports that are taken where they are free; any others where not.
const PORTS: [u16; 4] = [8080, 8081, 9090, 8079];

/// Runs a whole working example in one process: a gate, a panel behind it, and a page that asks
/// for links
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct DemoArgs {}

/// Runs the demo until SIGTERM or SIGINT.
///
/// # Errors
/// [`Failure`] if it does not start.
pub async fn run(_: DemoArgs) -> Result<(), Failure> {
    let filter = std::env::var(telemetry::FILTER).ok();
    telemetry::init(Some(filter.as_deref().unwrap_or("warn")));
    let dir = tempfile::tempdir().map_err(|why| broken("make a temporary directory", &why))?;
    let access = Access {
        key: Secret::new(format!("og_{}", URL_SAFE_NO_PAD.encode(entropy::random::<32>()))),
        manager: Secret::new(format!("og_{}", URL_SAFE_NO_PAD.encode(entropy::random::<32>()))),
        password: Secret::new(URL_SAFE_NO_PAD.encode(entropy::random::<12>())),
    };

    let mut sockets = Vec::new();
    for port in PORTS {
        sockets.push(listen(port).map_err(|why| broken("listen on 127.0.0.1", &why))?);
    }
    let mut sockets = sockets.into_iter();
    let (Some((public, public_at)), Some((api, _)), Some((admin, _)), Some((start, start_at))) =
        (sockets.next(), sockets.next(), sockets.next(), sockets.next())
    else {
        return Err(Failure::Failed("the demo has too few ports".to_owned()));
    };
    let (panel, panel_at) = listen(0).map_err(|why| broken("listen on 127.0.0.1", &why))?;

    let listeners = Listeners { public, api, admin, admin_shared: false };
    let running = gate(dir.path(), listeners, public_at, panel_at, &access).await?;
    let panel = tokio(panel)?;
    tokio::spawn(panel::serve(panel));
    let stage = stage(&running, start_at, &access.key);
    tell(&stage, running.api, &access).map_err(|why| broken("print", &why))?;
    let api = running.api;
    let issue =
        move |user, destination, values| ask(api, access.key.clone(), user, destination, values);
    tokio::spawn(start::serve(tokio(start)?, stage, issue));

    let heard = shutdown::signal().await;
    running.stop().await;
    heard.map_err(|why| broken("listen for signals", &why))
}

/// The gate, as `oncegate serve` would run it.
async fn gate(
    dir: &Path,
    listeners: Listeners,
    public: SocketAddr,
    panel: SocketAddr,
    access: &Access,
) -> Result<Running, Failure> {
    let clock = Clock::default();
    keys::make(&dir.join("keys"), clock.now(), entropy::random)
        .map_err(|why| Failure::Failed(why.to_string()))?;
    std::fs::write(dir.join(DIRECTORY_FILE), DIRECTORY)
        .map_err(|why| broken("write its directory of users", &why))?;
    let text = configuration(public, panel, access, &entropy::random())?;
    let config = Config::parse(&text, "the demo's configuration", dir, std::iter::empty())
        .map_err(|faults| Failure::Failed(faults.to_string()))?;
    Ok(app::start(config, clock, listeners).await?)
}

/// What the start page offers.
fn stage(running: &Running, start: SocketAddr, key: &Secret<String>) -> Stage {
    let choice = |label: &str, destination: &str, values: &[&str]| Choice {
        label: label.to_owned(),
        destination: destination.to_owned(),
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    };
    Stage {
        users: ["joe", "ana", "Zoë Müller"].map(str::to_owned).to_vec(),
        choices: vec![
            choice("Invoice 1042", "invoice", &["1042"]),
            choice("Services", "services", &[]),
            choice("Home", "home", &[]),
        ],
        curl: curl(running.api, key),
        addresses: vec![
            ("Start here".to_owned(), format!("http://localhost:{}/", start.port())),
            ("The panel, behind the gate".to_owned(), format!("http://{}/", running.public)),
            ("The API".to_owned(), format!("http://{}/v1/links", running.api)),
            ("Status and metrics".to_owned(), format!("http://{}/", running.admin)),
        ],
    }
}

fn curl(api: SocketAddr, key: &Secret<String>) -> String {
    let (key, ask) =
        (key.expose(), r#"{"user":"joe","destination":"invoice","destination_values":[1042]}"#);
    format!(
        "curl -s http://{api}/v1/links -H 'Authorization: Bearer {key}' \
         -H 'Content-Type: application/json' -d '{ask}'"
    )
}

/// The same from a client of WISECP's.
fn wisecp(api: SocketAddr, key: &Secret<String>) -> String {
    let (key, ask) = (key.expose(), r#"{"user_id":18,"destination":"ac-ps-products"}"#);
    format!(
        "curl -s http://{api}/api/Clients/CreateClientSsoToken -H 'Apikey: {key}' \
         -H 'Content-Type: application/json' -d '{ask}'"
    )
}

fn tell(stage: &Stage, api: SocketAddr, access: &Access) -> io::Result<()> {
    let (key, password) = (access.key.expose(), access.password.expose());
    let manager = access.manager.expose();
    let mut out = io::stdout().lock();
    writeln!(out, "Oncegate's demo runs until you press Ctrl-C.\n")?;
    for (what, address) in &stage.addresses {
        writeln!(out, "  {what:<28} {address}")?;
    }
    writeln!(out, "  {:<28} {key}", "API key of \"billing\"")?;
    writeln!(out, "  {:<28} {USERNAME} / {password}", "Its name and password")?;
    writeln!(out, "  {:<28} {manager}\n", "API key of \"manager\"")?;
    writeln!(out, "Ask for a link, and open the \"url\" of the answer; in another browser, or a")?;
    writeln!(out, "private window, it is then refused, because it was used:\n")?;
    writeln!(out, "  {}\n", stage.curl)?;
    writeln!(out, "The gate also speaks other vendors' APIs, some of which want the name and the")?;
    writeln!(out, "password: see \"Other vendors' APIs\" in README.md. This call is WISECP's:\n")?;
    writeln!(out, "  {}\n", wisecp(api, &access.key))?;
    out.flush()
}

/// What the start page's server asks of the gate, as any service would.
async fn ask(
    api: SocketAddr,
    key: Secret<String>,
    user: String,
    destination: String,
    values: Vec<String>,
) -> Result<LinkAnswer, String> {
    let url = format!("http://{api}/v1/links");
    let asked = request(&user, &destination, &values);
    let question = Question { url: &url, key: Some(&key), post: Some(&asked) };
    let answer = http_client::ask(question).await.map_err(|why| why.to_string())?;
    let member = |name: &str| answer.body.get(name).and_then(Value::as_str).map(str::to_owned);
    match (member("url"), answer.body.get("expires_in").and_then(Value::as_u64)) {
        (Some(url), Some(expires_in)) => Ok(LinkAnswer { url, expires_in }),
        _ => Err(member("detail").or(member("title")).unwrap_or_else(|| answer.status.to_string())),
    }
}

fn request(user: &str, destination: &str, values: &[String]) -> Value {
    json!({ "user": user, "destination": destination, "destination_values": values })
}

/// A socket on this port of the loopback address, or on any where that is taken.
fn listen(port: u16) -> io::Result<(StdListener, SocketAddr)> {
    let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let socket = StdListener::bind(loopback(port)).or_else(|_| StdListener::bind(loopback(0)))?;
    socket.set_nonblocking(true)?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}

fn tokio(socket: StdListener) -> Result<TcpListener, Failure> {
    TcpListener::from_std(socket).map_err(|why| broken("listen", &why))
}

fn broken(what: &str, why: &io::Error) -> Failure {
    Failure::Failed(format!("the demo cannot {what}: {why}"))
}
