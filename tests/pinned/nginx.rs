//! Three gates as processes behind a real nginx that takes turns, while one after the other is
//! killed and started again: no link works twice.

use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use tempfile::TempDir;
use tokio::{net::TcpStream, task::JoinSet};

use crate::{
    fleet::{NAMES, configured, peers, share_keys},
    support::{
        dice::Dice,
        gate::{BILLING, PANEL},
        http::{Answer, Connection, kept, open_kept},
        installed,
        ports::free_address,
        process::{At, Home, PATIENCE, Process},
    },
};

/// Links, each tried twice; `ONCEGATE_TEST_LINKS` says otherwise.
const LINKS: usize = 6_000;
/// Visitors at once.
const LOADERS: usize = 12;
/// Links that a loader asks for at a time.
const BATCH: usize = 25;
/// Batches after which the links of one are tried again.
const LATER: usize = 8;

/// What README recommends: what may be tried at the next gate is a request that was not sent.
/// nginx never passes on a `POST` that was (`proxy_next_upstream` without `non_idempotent`).
fn configuration(dir: &Path, listen: SocketAddr, gates: &[SocketAddr]) -> String {
    let dir = dir.display();
    let server = |at: &SocketAddr| format!("server {at} max_fails=1 fail_timeout=1s;");
    let gates = gates.iter().map(server).collect::<Vec<_>>().join("\n    ");
    format!(
        "daemon off; pid {dir}/pid; worker_processes 1; error_log {dir}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi; uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
  keepalive_requests 1000000;
  upstream gates {{
    {gates}
  }}
  server {{
    listen {listen};
    location / {{
      proxy_pass http://gates;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Connection \"\";
      proxy_connect_timeout 1s;
      proxy_next_upstream error timeout;
    }}
  }}
}}
"
    )
}

/// A running nginx. Dropping it kills it, and its worker with it.
struct Nginx {
    master: Child,
    _dir: TempDir,
}

impl Nginx {
    async fn start(listen: SocketAddr, gates: &[SocketAddr]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("nginx.conf");
        fs::write(&file, configuration(dir.path(), listen, gates)).unwrap();
        let master = Command::new("nginx")
            .arg("-c")
            .arg(&file)
            .arg("-e")
            .arg(dir.path().join("error.log"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let nginx = Self { master, _dir: dir };
        let up = async {
            while TcpStream::connect(listen).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, up).await.is_ok(), "nginx does not listen");
        nginx
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // In order, so that the master ends its worker too.
        let pid = i32::try_from(self.master.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.master.wait();
    }
}

/// Where each gate's API is now; none while it is down.
type Apis = Arc<Mutex<[Option<SocketAddr>; 3]>>;

/// A link, and what came of each try.
struct Tried {
    token: String,
    first: Came,
}

/// What came of one try: a page that lets in, or a code.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Came {
    Admitted,
    Refused(String),
    Unanswered,
}

impl Came {
    fn of(answer: &Answer) -> Self {
        match answer.status {
            303 => Self::Admitted,
            // nginx's own pages have no code.
            status if answer.code().is_empty() => Self::Refused(format!("nginx {status}")),
            _ if answer.header("retry-after").is_some() => {
                Self::Refused(format!("{}, unspent", answer.code()))
            }
            _ => Self::Refused(answer.code()),
        }
    }
}

#[derive(Default)]
struct Figures {
    doubles: usize,
    admitted: usize,
    by: BTreeMap<(Came, Came), usize>,
}

/// A visitor: asks some gate for links, and opens each twice through nginx.
struct Loader {
    nginx: SocketAddr,
    connection: Option<Connection>,
    apis: Apis,
    dice: Dice,
    figures: Arc<Mutex<Figures>>,
}

impl Loader {
    async fn work(mut self, left: Arc<AtomicUsize>) {
        let mut waiting: VecDeque<Vec<Tried>> = VecDeque::new();
        loop {
            let take = |left: usize| Some(left.saturating_sub(BATCH));
            let before = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).unwrap();
            if before == 0 {
                break;
            }
            let mut batch = Vec::new();
            for token in self.links(before.min(BATCH)).await {
                let first = self.open(&token).await;
                batch.push(Tried { token, first });
            }
            waiting.push_back(batch);
            if waiting.len() > LATER {
                self.again(waiting.pop_front().unwrap()).await;
            }
        }
        for batch in waiting {
            self.again(batch).await;
        }
    }

    async fn again(&mut self, batch: Vec<Tried>) {
        for Tried { token, first } in batch {
            let second = self.open(&token).await;
            let mut figures = self.figures.lock().unwrap();
            let admitted = [&first, &second].into_iter().filter(|came| **came == Came::Admitted);
            match admitted.count() {
                0 => {}
                1 => figures.admitted += 1,
                _ => figures.doubles += 1,
            }
            *figures.by.entry((first, second)).or_default() += 1;
        }
    }

    /// Asks gates until one makes links.
    async fn links(&mut self, many: usize) -> Vec<String> {
        let asked = json!(vec![json!({ "user": "joe", "ttl": 300 }); many]).to_string();
        let authorization = format!("Bearer {BILLING}");
        let headers = [
            ("Host", "api"),
            ("Authorization", authorization.as_str()),
            ("Content-Type", "application/json"),
        ];
        let request = kept("/v1/links/batch", &headers, &asked);
        let links = async {
            loop {
                let api = self.apis.lock().unwrap()[self.dice.below(3)];
                let answer = async {
                    let mut connection = Connection::open(api?).await.ok()?;
                    connection.send(&request).await.ok()?;
                    connection.answer().await.ok().filter(|answer| answer.status == 200)
                };
                if let Some(answer) = answer.await {
                    let links = answer.json();
                    let token =
                        |link: &serde_json::Value| link["token"].as_str().unwrap().to_owned();
                    return links.as_array().unwrap().iter().map(token).collect();
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, links).await.expect("no gate makes links")
    }

    async fn open(&mut self, token: &str) -> Came {
        let answer = async {
            if self.connection.is_none() {
                self.connection = Some(Connection::open(self.nginx).await.ok()?);
            }
            let connection = self.connection.as_mut()?;
            connection.send(open_kept(PANEL, token)).await.ok()?;
            connection.answer().await.ok()
        };
        let answer = answer.await;
        let stays =
            answer.as_ref().is_some_and(|answer| answer.header("connection") != Some("close"));
        if !stays {
            self.connection = None;
        }
        answer.as_ref().map_or(Came::Unanswered, Came::of)
    }
}

/// Kills one gate after the other and starts it again, until `done`; how often.
async fn kill(
    homes: Vec<Home>,
    mut gates: Vec<Option<Process>>,
    apis: Apis,
    done: Arc<AtomicBool>,
    mut dice: Dice,
) -> (usize, Duration, Vec<Option<Process>>) {
    let (mut kills, mut down) = (0, Duration::ZERO);
    while !done.load(Ordering::SeqCst) {
        let number = dice.below(3);
        apis.lock().unwrap()[number] = None;
        let began = Instant::now();
        gates[number].take().unwrap().kill();
        // As long as nginx may need to notice, or not.
        tokio::time::sleep(Duration::from_millis(dice.below(1_000) as u64)).await;
        let (process, at) = homes[number].start().await;
        down += began.elapsed();
        kills += 1;
        gates[number] = Some(process);
        apis.lock().unwrap()[number] = Some(at.api);
        tokio::time::sleep(Duration::from_millis(1_000 + dice.below(1_500) as u64)).await;
    }
    (kills, down, gates)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_nginx_no_link_works_twice_while_gates_are_killed() {
    if !installed::programs(&["nginx"]) {
        return;
    }
    let links = std::env::var("ONCEGATE_TEST_LINKS").map_or(LINKS, |links| links.parse().unwrap());
    let mut dice = Dice::new();
    let addresses: Vec<_> = NAMES.iter().map(|_| free_address()).collect();
    let mut homes: Vec<Home> = Vec::new();
    for (name, address) in NAMES.iter().zip(&addresses) {
        let home = Home::new(|text| {
            configured(&text, name, *address, &peers(&addresses)).replacen(
                "rate = \"1000/s\"",
                "rate = \"1000000/s\"",
                1,
            )
        });
        let home = home.await;
        if let Some(first) = homes.first() {
            let own = home.dir.path().join("keys");
            fs::remove_dir_all(&own).unwrap();
            share_keys(&first.dir.path().join("keys"), &own);
        }
        homes.push(home);
    }
    let starting: Vec<Process> = homes.iter().map(Home::spawn).collect();
    let (mut gates, mut at) = (Vec::new(), Vec::<At>::new());
    for mut process in starting {
        at.push(process.ready().await);
        gates.push(Some(process));
    }
    let listen = free_address();
    let nginx = Nginx::start(listen, &addresses).await;
    let apis: Apis = Arc::new(Mutex::new([Some(at[0].api), Some(at[1].api), Some(at[2].api)]));
    let (done, figures) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Figures>>::default());
    let killing =
        tokio::spawn(kill(homes, gates, Arc::clone(&apis), Arc::clone(&done), dice.fork()));
    let left = Arc::new(AtomicUsize::new(links));
    let began = Instant::now();
    let mut loaders = JoinSet::new();
    for _ in 0..LOADERS {
        let (apis, figures, dice) = (Arc::clone(&apis), Arc::clone(&figures), dice.fork());
        let loader = Loader { nginx: listen, connection: None, apis, dice, figures };
        loaders.spawn(loader.work(Arc::clone(&left)));
    }
    loaders.join_all().await;
    let took = began.elapsed();
    done.store(true, Ordering::SeqCst);
    let (kills, down, _gates) = killing.await.unwrap();
    drop(nginx);
    let figures = figures.lock().unwrap();
    let tried: usize = figures.by.values().sum();
    eprintln!(
        "{tried} links tried twice within {took:?}; {kills} kills, a gate down for {down:?} in all\n\
         {} admitted once, {} twice, {} never:",
        figures.admitted,
        figures.doubles,
        tried - figures.admitted - figures.doubles
    );
    for ((first, second), count) in &figures.by {
        eprintln!("{count:>8}  {first:?}, then {second:?}");
    }
    assert_eq!(tried, links);
    assert_eq!(figures.doubles, 0);
    assert!(kills > 1, "gates were killed meanwhile");
    assert!(figures.admitted > tried / 2, "most work");
    // Nothing but the faults speaks against a link.
    for (first, second) in figures.by.keys() {
        for came in [first, second] {
            let Came::Refused(code) = came else { continue };
            let of_faults = code.starts_with("nginx 50") || code.starts_with("store_unavailable");
            assert!(of_faults || code == "already_used", "{code}");
        }
    }
}
