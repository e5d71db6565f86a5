//! The way to the server that is in charge now, and questions put to it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use ::redis::{Value, cmd};
use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};
use tokio_rustls::TlsConnector;

use super::{
    checks,
    line::{Address, Line, Trouble},
    options::{RedisOptions, Whereabouts},
    protocol::{Ask, Connection, Server, Told, Unanswered},
    scripts::Script,
    wire::{self, Prefix},
};

/// How often a server is judged again.
const JUDGED_EVERY: Duration = Duration::from_secs(60);

/// A Redis or Valkey server, or what Sentinels say is one.
#[derive(Debug)]
pub struct Redis {
    options: RedisOptions,
    tls: Option<TlsConfig>,
    /// The Sentinel that answered last.
    answers: AtomicUsize,
}

#[derive(Clone)]
struct TlsConfig(TlsConnector);

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsConfig")
    }
}

impl Redis {
    /// Asks nobody yet.
    ///
    /// # Errors
    /// What is wrong with the certificates to trust.
    pub fn new(options: RedisOptions) -> std::io::Result<Self> {
        let tls = options.tls.as_ref().map(super::options::Tls::config).transpose()?;
        let tls = tls.map(|config| TlsConfig(TlsConnector::from(config)));
        Ok(Self { options, tls, answers: AtomicUsize::new(0) })
    }

    async fn reach(&self) -> Result<Arc<dyn Connection>, Unanswered> {
        let line = match &self.options.at {
            Whereabouts::Single { address, db } => self.server(address.clone(), *db).await?,
            Whereabouts::Sentinel { master, nodes, .. } => self.primary(master, nodes).await?,
        };
        let connection = Asked::new(line, self.options.prefix.clone()).await?;
        Ok(Arc::new(connection))
    }

    async fn server(&self, address: Address, db: u32) -> Result<Line, Unanswered> {
        let RedisOptions { login, timeout, .. } = &self.options;
        let tls = self.tls.as_ref().map(|tls| &tls.0);
        let line = Line::open(address, tls, login, db, *timeout).await?;
        checks::judge(&line).await?;
        Ok(line)
    }

    /// The server that a Sentinel names and that agrees: one alone may be behind the times.
    async fn primary(&self, master: &str, nodes: &[Address]) -> Result<Line, Unanswered> {
        let first = self.answers.load(Ordering::Relaxed);
        let mut whys = Vec::new();
        for place in (0..nodes.len()).map(|n| (first + n) % nodes.len()) {
            let Some(node) = nodes.get(place) else { continue };
            let found = match self.named(master, node.clone()).await {
                Ok(address) => self.server(address, 0).await,
                Err(why) => Err(why),
            };
            match found {
                Ok(line) => {
                    self.answers.store(place, Ordering::Relaxed);
                    return Ok(line);
                }
                Err(Unanswered { why, .. }) if whys.contains(&why) => {}
                Err(Unanswered { why, .. }) => whys.push(why),
            }
        }
        Err(Unanswered { unasked: true, why: whys.join("; ") })
    }

    /// What one Sentinel calls the primary.
    async fn named(&self, master: &str, node: Address) -> Result<Address, Unanswered> {
        let Whereabouts::Sentinel { login, .. } = &self.options.at else {
            return Err(Unanswered { unasked: true, why: "there are no Sentinels".to_owned() });
        };
        let tls = self.tls.as_ref().map(|tls| &tls.0);
        let line = Line::open(node, tls, login, 0, self.options.timeout).await?;
        let mut ask = cmd("SENTINEL");
        let told = line.ask(ask.arg("GET-MASTER-ADDR-BY-NAME").arg(master)).await;
        let address = match told.map_err(|why| line.unasked(why))? {
            Value::Array(parts) => match parts.as_slice() {
                [host, port] => wire::text(host)
                    .zip(wire::text(port).and_then(|port| port.parse().ok()))
                    .map(|(host, port)| Address { host: host.to_owned(), port }),
                _ => None,
            },
            _ => None,
        };
        address.ok_or_else(|| Unanswered {
            unasked: true,
            why: format!("Sentinel {} knows no primary {master:?}", line.address),
        })
    }
}

impl Server for Redis {
    fn connect(&self) -> BoxFuture<'_, Result<Arc<dyn Connection>, Unanswered>> {
        // A server, or a Sentinel, that is slow with each answer is not waited for all along.
        let limit = self.options.timeout * (4 + self.options.at.sentinels());
        let reached = timeout(limit, self.reach());
        let late = move || Unanswered { unasked: true, why: format!("no way to it in {limit:?}") };
        reached.map(move |reached| reached.unwrap_or_else(|_| Err(late()))).boxed()
    }
}

/// A server that was judged, and has the scripts.
#[derive(Debug)]
struct Asked {
    line: Line,
    prefix: Prefix,
    /// The digests of the scripts, in the order of [`Script::ALL`].
    digests: Vec<String>,
    judged: Mutex<Instant>,
}

impl Asked {
    async fn new(line: Line, prefix: Prefix) -> Result<Self, Unanswered> {
        let mut digests = Vec::new();
        for script in Script::ALL {
            let mut load = cmd("SCRIPT");
            let loaded = line.ask(load.arg("LOAD").arg(script.text())).await;
            let digest = loaded.map_err(|why| line.unasked(why))?;
            digests.push(wire::text(&digest).unwrap_or_default().to_owned());
        }
        Ok(Self { line, prefix, digests, judged: Mutex::new(Instant::now()) })
    }

    async fn put(&self, ask: &Ask) -> Result<Told, Unanswered> {
        if matches!(ask, Ask::Hear { .. }) {
            self.judge_again().await?;
        }
        let script = Script::of(ask);
        let mut command = cmd("EVALSHA");
        command.arg(self.digests.get(script.place()));
        wire::arguments(&mut command, &self.prefix, ask);
        let answer = match self.line.ask(&command).await {
            // Somebody emptied its list of scripts: nothing was done. This loads it again.
            Err(Trouble::Refused(code, _)) if code == "NOSCRIPT" => {
                let mut command = cmd("EVAL");
                command.arg(script.text());
                wire::arguments(&mut command, &self.prefix, ask);
                self.line.ask(&command).await
            }
            answer => answer,
        };
        let value = answer.map_err(|why| self.line.unanswered(why))?;
        wire::told(&value).ok_or_else(|| Unanswered {
            unasked: false,
            why: format!("{}: an answer that is not ours", self.line.address),
        })
    }

    /// What was right at the beginning may have been changed since.
    async fn judge_again(&self) -> Result<(), Unanswered> {
        let mut judged = self.judged.lock().await;
        if judged.elapsed() >= JUDGED_EVERY {
            checks::judge(&self.line).await?;
            *judged = Instant::now();
        }
        Ok(())
    }
}

impl Connection for Asked {
    fn ask(&self, ask: Ask) -> BoxFuture<'_, Result<Told, Unanswered>> {
        async move { self.put(&ask).await }.boxed()
    }
}
