//! The units of `deploy/systemd/`: judged by systemd's own tools, and run by a real systemd.

use std::{
    fs,
    net::SocketAddr,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    deployed,
    machine::Machine,
    run,
    support::{
        gate::{BILLING, key_hash},
        http::{Client, redeem_kept, try_raw},
        installed,
        ports::free_address,
        process::{At, PATIENCE},
    },
    text_of, with,
};

const SOCKETS: [(&str, &str); 3] =
    [("public", "127.0.0.1:8080"), ("api", "127.0.0.1:8081"), ("admin", "127.0.0.1:9090")];
const SERVICES: [&str; 2] = ["oncegate.service", "oncegate@.service"];
/// The most that `systemd-analyze security` may say, in tenths: of what it counts, the network and
/// the file system's root remain.
const EXPOSURE: u32 = 12;

#[test]
fn systemd_finds_no_fault_with_the_units() {
    if !installed::programs(&["systemd-analyze"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for name in SERVICES {
        // The only thing that this machine need not have.
        let service =
            with(&text_of(&format!("systemd/{name}")), "/usr/local/bin/oncegate", "/bin/true");
        fs::write(dir.path().join(name), service).unwrap();
    }
    for (name, _) in SOCKETS {
        let name = format!("oncegate-{name}.socket");
        fs::copy(deployed("systemd").join(&name), dir.path().join(name)).unwrap();
    }
    let units = ["oncegate.service", "oncegate@a.service", "oncegate-public.socket"];
    let path = format!("{}:", dir.path().display());
    for unit in units {
        let mut verify = Command::new("systemd-analyze");
        verify.args(["verify", "--man=no"]).arg(dir.path().join(unit));
        assert_eq!(run(verify.env("SYSTEMD_UNIT_PATH", &path)), "", "{unit}");
    }
}

#[test]
fn the_service_is_exposed_to_no_more_than_it_needs() {
    if !installed::programs(&["systemd-analyze"]) {
        return;
    }
    for name in SERVICES {
        let mut security = Command::new("systemd-analyze");
        security.args(["security", "--offline=true", "--no-pager"]);
        security.arg(format!("--threshold={EXPOSURE}"));
        let said = run(security.arg(deployed("systemd").join(name)));
        let overall = said.lines().find(|line| line.contains("Overall exposure level"));
        eprintln!("{}", overall.unwrap_or_else(|| panic!("no level is said: {said}")));
    }
}

#[test]
fn an_instance_is_the_service_but_for_its_name() {
    let [alone, instance] = SERVICES.map(|name| {
        let text = text_of(&format!("systemd/{name}"));
        text.split_once("[Unit]").unwrap().1.to_owned()
    });
    assert_eq!(instance, with(&alone, "one-time links", "one-time links (%i)"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn installed_as_the_unit_says_it_serves_and_is_restarted_without_refusing_anybody() {
    let Some((machine, at)) = install("oncegate.service") else { return };
    // The first to connect starts it.
    machine.run("systemctl stop oncegate");
    let kept = soon(at.link()).await;
    assert_eq!(machine.run("systemctl is-active oncegate"), "active");

    // What systemd was told, the kernel knows of the process.
    let pid = machine.run("systemctl show --value -p MainPID oncegate");
    let status = machine.run(&format!("cat /proc/{pid}/status"));
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {status}")).trim().to_owned()
    };
    assert_eq!((field("NoNewPrivs:"), field("Seccomp:")), ("1".into(), "2".into()));
    for set in ["CapEff:", "CapPrm:", "CapBnd:", "CapAmb:"] {
        assert_eq!(field(set), "0000000000000000", "{set}");
    }
    assert_ne!(field("Uid:").split('\t').next(), Some("0"));
    let mounts = machine.run(&format!("cat /proc/{pid}/mountinfo"));
    let root = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap();
    assert!(root.split(' ').nth(5).unwrap().starts_with("ro"), "{root}");

    // A crash costs nothing: under this unit too, the journal knows that the machine did not.
    let used = soon(at.link()).await;
    assert_eq!(soon(at.redeem(&used)).await.status, 200);
    machine.run(&format!("kill -9 {pid}"));
    assert_eq!(soon(at.redeem(&used)).await.code(), "already_used");
    assert_eq!(soon(at.redeem(&kept)).await.status, 200, "a link of before");

    let mut load = Load::of(at);
    load.goes_on().await;
    machine.run("systemctl restart oncegate");
    load.goes_on().await;
    load.lost_nothing().await;

    // What is wrong with its configuration does not mend itself: it says so once.
    machine.run("systemctl stop oncegate-public.socket oncegate-api.socket oncegate-admin.socket");
    machine.comes_to("systemctl is-active oncegate", "inactive");
    machine.run("echo 'nonsense = 1' >> /etc/oncegate/oncegate.toml");
    assert!(!machine.try_run("systemctl start oncegate").0);
    let result = machine.run("systemctl show --value -p NRestarts -p ExecMainStatus oncegate");
    assert_eq!(result.split_whitespace().collect::<Vec<_>>(), ["0", "64"], "{}", said(&machine));
    assert!(said(&machine).contains("unknown key"), "{}", said(&machine));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_instance_follows_another_and_nobody_is_refused() {
    let Some((machine, at)) = install("oncegate@.service") else { return };
    let steps = steps("oncegate@.service");
    assert_eq!(steps.len(), 4, "{steps:?}");
    let mut load = Load::of(at);
    load.goes_on().await;
    machine.run(&steps[0]);
    machine.run(&steps[1]);
    machine.comes_to(&steps[2], "active");
    load.goes_on().await;
    // The sockets name instance a; that b has them keeps a from being started for a visitor.
    assert_eq!(machine.try_run("systemctl is-active oncegate@a").1, "inactive");
    machine.run(&steps[3]);
    for line in &steps[..3] {
        let swapped = line.replace("@a", "@?").replace("@b", "@a").replace("@?", "@b");
        machine.try_run(&swapped);
    }
    machine.comes_to("systemctl is-active oncegate@a", "active");
    load.goes_on().await;
    load.lost_nothing().await;
    assert_eq!(machine.try_run("systemctl is-active oncegate@b").1, "inactive");
}

/// The commands at the head of a unit.
fn steps(unit: &str) -> Vec<String> {
    let text = text_of(&format!("systemd/{unit}"));
    let steps = text.lines().take_while(|line| line.starts_with('#'));
    let steps: Vec<_> =
        steps.filter_map(|line| line.strip_prefix("#   ")).map(str::to_owned).collect();
    assert!(!steps.is_empty(), "{unit} says no command");
    steps
}

/// A machine on which this service was installed by the steps at the head of the unit.
fn install(service: &str) -> Option<(Machine, At)> {
    let machine = Machine::start()?;
    let at = At { public: free_address(), api: free_address(), admin: free_address() };
    let units = "etc/systemd/system";
    for name in SERVICES {
        fs::copy(deployed("systemd").join(name), machine.path(units).join(name)).unwrap();
        let logged = machine.path(units).join(format!("{name}.d"));
        fs::create_dir_all(&logged).unwrap();
        // There is no journald on this machine.
        let log = "[Service]\nStandardError=append:/var/log/oncegate.log\n";
        fs::write(logged.join("log.conf"), log).unwrap();
    }
    for ((name, address), at) in SOCKETS.into_iter().zip([at.public, at.api, at.admin]) {
        let name = format!("oncegate-{name}.socket");
        let text = with(&text_of(&format!("systemd/{name}")), address, &at.to_string());
        let text = match service {
            "oncegate@.service" => {
                with(&text, "\nService=oncegate.service", "\nService=oncegate@a.service")
            }
            _ => text,
        };
        fs::write(machine.path(units).join(name), text).unwrap();
    }
    let brought = machine.path("/root/brought");
    fs::create_dir_all(&brought).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_oncegate"), brought.join("oncegate")).unwrap();
    fs::copy(deployed("systemd/oncegate.sysusers"), brought.join("oncegate.sysusers")).unwrap();
    fs::write(brought.join("oncegate.toml"), configuration(at)).unwrap();
    for step in steps("oncegate.service") {
        let step = match service {
            "oncegate@.service" => {
                step.replace("-admin.socket oncegate", "-admin.socket oncegate@a")
            }
            _ => step,
        };
        machine.run(&format!("cd /root/brought && PATH=/usr/local/bin:$PATH && {step}"));
    }
    Some((machine, at))
}

fn configuration(at: At) -> String {
    let (At { public, api, admin }, key) = (at, key_hash(BILLING));
    format!(
        r#"[gate]
name = "gate-a"
issuer = "https://login.example.com"
[listen]
public = "{public}"
api = "{api}"
admin = "{admin}"
[[sites]]
name = "panel"
origin = "https://panel.example.com"
[[callers]]
name = "billing"
key_sha256 = ["{key}"]
sites = ["panel"]
may = ["issue", "redeem"]
rate = "10000/s"
"#
    )
}

/// What comes; a gate that cannot answer would be waited for.
async fn soon<T>(answer: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, answer).await.expect("nobody answers")
}

/// What the gates on a machine have said.
fn said(machine: &Machine) -> String {
    fs::read_to_string(machine.path("/var/log/oncegate.log")).unwrap_or_default()
}

/// Callers who ask for links, and use each twice, on new connections, until they are told to end.
struct Load {
    callers: JoinSet<Result<(), String>>,
    rounds: Arc<AtomicUsize>,
    end: Arc<AtomicBool>,
}

impl Load {
    fn of(at: At) -> Self {
        let (rounds, end) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let mut callers = JoinSet::new();
        for _ in 0..4 {
            let (rounds, end) = (rounds.clone(), end.clone());
            callers.spawn(async move {
                while !end.load(Ordering::SeqCst) {
                    round(at.api).await?;
                    rounds.fetch_add(1, Ordering::SeqCst);
                }
                Ok(())
            });
        }
        Self { callers, rounds, end }
    }

    /// Waits until some more have been served, or one was not.
    async fn goes_on(&mut self) {
        let (begin, before) = (Instant::now(), self.rounds.load(Ordering::SeqCst));
        while self.rounds.load(Ordering::SeqCst) < before + 20 {
            if let Some(ended) = self.callers.try_join_next() {
                panic!("not served: {:?}", ended.unwrap());
            }
            assert!(begin.elapsed() < PATIENCE, "nobody is served");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn lost_nothing(mut self) {
        self.end.store(true, Ordering::SeqCst);
        while let Some(ended) = soon(self.callers.join_next()).await {
            assert_eq!(ended.unwrap(), Ok(()));
        }
    }
}

/// A link asked for and used, and not used a second time.
async fn round(api: SocketAddr) -> Result<(), String> {
    let client = Client::new(api).bearer(BILLING);
    let ask = json!({ "user": "joe" }).to_string();
    let headers = [("content-type", "application/json")];
    let link = client.try_request("POST", "/v1/links", &headers, ask.as_bytes()).await;
    let link = link.map_err(|why| format!("asking for a link: {why}"))?;
    let token = link.json()["token"].as_str().map(str::to_owned);
    let token = token.ok_or_else(|| format!("asking for a link: {}", link.text()))?;
    for expected in [200, 410] {
        let answer = try_raw(api, redeem_kept(BILLING, &token)).await;
        let answer = answer.map_err(|why| format!("using a link: {why}"))?;
        if answer.status != expected {
            return Err(format!("{expected} is expected: {} {}", answer.status, answer.text()));
        }
    }
    Ok(())
}
