//! `deploy/kubernetes/`: judged by Kubernetes' own schemas, and run as processes with what the
//! manifests give each pod.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use oncegate::{
    ops::{clock::Clock, entropy},
    store::keys,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    deployed,
    manifests::{documents, each, readable, text},
    run,
    support::{
        gate::{BILLING, key_hash},
        http::Client,
        installed,
        ports::free_address,
        process::{At, Ended, PATIENCE},
    },
    with,
};

const FILES: [&str; 5] =
    ["secret.yaml", "redis.yaml", "sidecar.yaml", "deployment.yaml", "statefulset.yaml"];
/// Those with gates, and how many are run.
const GATES: [(&str, usize); 3] =
    [("sidecar.yaml", 2), ("deployment.yaml", 2), ("statefulset.yaml", 3)];
const PASSWORD: &str = "password-of-the-tests";

#[test]
fn every_manifest_is_one_that_kubernetes_takes() {
    if !readable() {
        return;
    }
    // The oldest that has the preStop hook's sleep, and the newest that the tool knows.
    for version in [&["-k", "1.30.0"][..], &[]] {
        let mut validate = Command::new(installed::target().join("venv/bin/kubernetes-validate"));
        validate.arg("--strict").args(version);
        let said = run(validate.args(FILES.map(|name| deployed("kubernetes").join(name))));
        let passed = said.lines().filter(|line| line.contains("passed for resource")).count();
        let all: usize = FILES.iter().map(|name| documents(&path(name)).len()).sum();
        assert_eq!(passed, all, "{said}");
    }
}

#[test]
fn no_pod_has_a_right_that_it_does_not_need() {
    if !readable() {
        return;
    }
    for name in FILES.into_iter().skip(1) {
        let pod = Manifest::read(name).pod;
        assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        for container in each(&pod["containers"]) {
            let right = &container["securityContext"];
            assert_eq!(right["allowPrivilegeEscalation"], false, "{name}");
            assert_eq!(right["readOnlyRootFilesystem"], true, "{name}");
            assert_eq!(right["capabilities"]["drop"], json!(["ALL"]), "{name}");
            assert!(container["resources"]["limits"]["memory"].is_string(), "{name}");
        }
    }
}

#[test]
fn what_names_something_names_what_is_there() {
    if !readable() {
        return;
    }
    for name in FILES.into_iter().skip(1) {
        let manifest = Manifest::read(name);
        let labels =
            manifest.workload["spec"]["template"]["metadata"]["labels"].as_object().unwrap();
        let containers = || each(&manifest.pod["containers"]);
        let ports: Vec<_> =
            containers().flat_map(|it| each(&it["ports"])).map(|it| text(&it["name"])).collect();
        let selected = |selector: &Value| {
            let selector = selector.as_object().unwrap();
            selector.iter().all(|(key, value)| labels.get(key) == Some(value))
        };
        assert!(selected(&manifest.workload["spec"]["selector"]["matchLabels"]), "{name}");
        for service in manifest.of("Service") {
            assert!(selected(&service["spec"]["selector"]), "{name}");
            for port in each(&service["spec"]["ports"]) {
                assert!(ports.contains(&text(&port["targetPort"])), "{name}: {port}");
            }
        }
        for budget in manifest.of("PodDisruptionBudget") {
            assert!(selected(&budget["spec"]["selector"]["matchLabels"]), "{name}");
        }
        let policies: Vec<_> = manifest.of("NetworkPolicy").collect();
        assert_eq!(policies.len(), 1, "{name}");
        assert!(selected(&policies[0]["spec"]["podSelector"]["matchLabels"]), "{name}");
        for container in containers() {
            for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
                let probe = &container[probe];
                for port in [&probe["httpGet"]["port"], &probe["tcpSocket"]["port"]] {
                    assert!(port.is_null() || ports.contains(&text(port)), "{name}: {port}");
                }
            }
            for mount in each(&container["volumeMounts"]) {
                let volumes = each(&manifest.pod["volumes"]).map(|volume| &volume["name"]);
                let claims = each(&manifest.workload["spec"]["volumeClaimTemplates"]);
                let mut known = volumes.chain(claims.map(|claim| &claim["metadata"]["name"]));
                assert!(known.any(|known| *known == mount["name"]), "{name}: {mount}");
            }
        }
    }
    for (name, _) in GATES {
        let manifest = Manifest::read(name);
        assert_eq!(manifest.of("PodDisruptionBudget").count(), 1, "{name}");
        let gate = manifest.gate();
        // What a stop takes at most (README), and the time before it.
        let before = gate["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap();
        let all = manifest.pod["terminationGracePeriodSeconds"].as_u64().unwrap();
        assert!(all >= 40 + before, "{name}");
        let secrets = each(&manifest.pod["volumes"]).filter(|it| it.get("secret").is_some());
        let modes: Vec<_> = secrets.map(|it| it["secret"]["defaultMode"].as_u64()).collect();
        assert!(!modes.is_empty() && modes.iter().all(|mode| *mode == Some(0o440)), "{name}");
    }
}

#[test]
fn pinned_gates_can_ask_each_other_while_they_start_and_keep_what_they_record() {
    if !readable() {
        return;
    }
    let manifest = Manifest::read("statefulset.yaml");
    let spec = &manifest.workload["spec"];
    let peers = manifest.of("Service").find(|it| it["metadata"]["name"] == spec["serviceName"]);
    let peers = &peers.unwrap()["spec"];
    assert_eq!(
        (&peers["clusterIP"], &peers["publishNotReadyAddresses"]),
        (&json!("None"), &json!(true))
    );
    assert_eq!(spec["podManagementPolicy"], "Parallel");
    let toml = text(&manifest.of("ConfigMap").next().unwrap()["data"]["oncegate.toml"]);
    assert_eq!(
        toml.matches(".oncegate-peers:8080").count() as u64,
        spec["replicas"].as_u64().unwrap()
    );
    let state = each(&manifest.gate()["volumeMounts"]).find(|it| it["name"] == "state").unwrap();
    let dir = &manifest.env("any")["ONCEGATE_ONCE__DIR"];
    assert!(dir.starts_with(text(&state["mountPath"])), "{dir}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gates_of_each_manifest_open_each_others_links_once() {
    if !readable() || !installed::programs(&["redis-server"]) {
        return;
    }
    for (name, count) in GATES {
        let pods = Pods::start(name, count).await;
        for at in &pods.at {
            // As the kubelet asks: at the pod's address, and by the manifest.
            let manifest = Manifest::read(name);
            for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
                let path = text(&manifest.gate()[probe]["httpGet"]["path"]).to_owned();
                let answer = Client::new(at.admin).host("10.244.3.7:9090").get(&path).await;
                assert_eq!(answer.status, 200, "{name}: {probe}");
            }
        }
        for (index, maker) in pods.at.iter().enumerate() {
            let link = maker.link().await;
            let other = pods.at[(index + 1) % count];
            let opened = other.open(&link).await;
            assert_eq!(opened.status, 303, "{name}: {}", opened.text());
            for at in &pods.at {
                assert_eq!(at.open(&link).await.code(), "already_used", "{name}");
            }
        }
    }
}

fn path(name: &str) -> String {
    format!("kubernetes/{name}")
}

/// A manifest with one workload.
struct Manifest {
    documents: Vec<Value>,
    workload: Value,
    pod: Value,
}

impl Manifest {
    fn read(name: &str) -> Self {
        let documents = documents(&path(name));
        let workload = documents.iter().find(|it| it["spec"].get("template").is_some());
        let workload = workload.unwrap_or_else(|| panic!("{name} has no workload")).clone();
        let pod = workload["spec"]["template"]["spec"].clone();
        Self { documents, workload, pod }
    }

    fn of(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.documents.iter().filter(move |it| it["kind"] == kind)
    }

    fn gate(&self) -> &Value {
        each(&self.pod["containers"]).find(|it| it["name"] == "gate").unwrap()
    }

    /// The gate's environment in the pod of this name.
    fn env(&self, pod: &str) -> BTreeMap<String, String> {
        let variables = each(&self.gate()["env"]).map(|variable| {
            let value = match &variable["valueFrom"]["fieldRef"]["fieldPath"] {
                Value::Null => text(&variable["value"]),
                path => {
                    assert_eq!(path, "metadata.name");
                    pod
                }
            };
            (text(&variable["name"]).to_owned(), value.to_owned())
        });
        variables.collect()
    }
}

/// Gates that run with what a manifest gives them; addresses, and the folders that are mounted,
/// are this machine's.
struct Pods {
    at: Vec<At>,
    dir: TempDir,
    _processes: Vec<Ended>,
}

impl Pods {
    async fn start(name: &str, count: usize) -> Self {
        let (manifest, dir) = (Manifest::read(name), tempfile::tempdir().unwrap());
        let all: Vec<At> = (0..count)
            .map(|_| At { public: free_address(), api: free_address(), admin: free_address() })
            .collect();
        let redis = free_address();
        let mounted = mounts(dir.path());
        let mut processes = vec![redis_server(redis)];
        let config = manifest.of("ConfigMap").next().unwrap();
        let toml =
            with(text(&config["data"]["oncegate.toml"]), &"0".repeat(64), &key_hash(BILLING));
        let toml = toml.replace("redis://oncegate-redis:6379", &format!("redis://{redis}"));
        let toml = (0..count).fold(toml, |toml, index| {
            let peer = format!("http://oncegate-{index}.oncegate-peers:8080");
            toml.replace(&peer, &format!("http://{}", all[index].public))
        });
        assert!(!toml.contains("oncegate-peers:"), "more peers than pods: {toml}");
        for (index, at) in all.iter().enumerate() {
            let state = dir.path().join(format!("state-{index}"));
            fs::create_dir(&state).unwrap();
            let place = |text: &str| {
                let text = text.replace("/var/lib/oncegate", state.to_str().unwrap());
                text.replace("/etc/oncegate", mounted.to_str().unwrap())
            };
            let toml = with(&place(&toml), "0.0.0.0:8080", &at.public.to_string());
            let toml = with(&toml, "0.0.0.0:8081", &at.api.to_string());
            let toml = with(&toml, "0.0.0.0:9090", &at.admin.to_string());
            let file = dir.path().join(format!("{index}.toml"));
            fs::write(&file, toml).unwrap();
            let mut gate = Command::new(env!("CARGO_BIN_EXE_oncegate"));
            for (key, value) in manifest.env(&format!("oncegate-{index}")) {
                gate.env(key, place(&value));
            }
            gate.env("ONCEGATE_CONFIG", &file).stdin(Stdio::null());
            let mut check = Command::new(gate.get_program());
            check.envs(gate.get_envs().filter_map(|(key, value)| Some((key, value?))));
            assert!(run(check.arg("check")).contains("is good"), "{name}");
            let log = fs::File::create(dir.path().join(format!("{index}.log"))).unwrap();
            processes.push(Ended(gate.arg("serve").stderr(log).spawn().unwrap()));
        }
        let pods = Self { at: all, dir, _processes: processes };
        for at in &pods.at {
            pods.ready(at.admin).await;
        }
        pods
    }

    async fn ready(&self, admin: SocketAddr) {
        let begin = Instant::now();
        loop {
            let answer = Client::new(admin).try_request("GET", "/ready", &[], b"").await;
            if answer.is_ok_and(|answer| answer.text().contains("\"ready\"")) {
                return;
            }
            let logs = || fs::read_to_string(self.dir.path().join("0.log")).unwrap_or_default();
            assert!(begin.elapsed() < PATIENCE, "{admin} does not come up: {}", logs());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A folder for `/etc/oncegate`, with what the Secrets hold, laid out as the kubelet does.
fn mounts(dir: &Path) -> PathBuf {
    let (made, mounted) = (dir.join("made"), dir.join("mounted"));
    keys::make(&made, Clock::default().now() - 3_600, entropy::random).unwrap();
    let files = ["current.pem", "next.pem", "session.key"];
    project(&mounted.join("keys"), &files.map(|name| (name, fs::read(made.join(name)).unwrap())));
    project(&mounted.join("redis"), &[("password", PASSWORD.into())]);
    mounted
}

/// Files as symbolic links through `..data`, which is one to the files of the day.
fn project(dir: &Path, files: &[(&str, Vec<u8>)]) {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let day = "..2026_11_22_08_00_00.1";
    fs::create_dir_all(dir.join(day)).unwrap();
    symlink(day, dir.join("..data")).unwrap();
    for (name, content) in files {
        let file = dir.join(day).join(name);
        fs::write(&file, content).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o440)).unwrap();
        symlink(format!("..data/{name}"), dir.join(name)).unwrap();
    }
}

/// A Redis with the arguments of `redis.yaml`.
fn redis_server(at: SocketAddr) -> Ended {
    let pod = Manifest::read("redis.yaml").pod;
    let args = each(&pod["containers"][0]["args"]);
    let args: Vec<_> = args.map(|arg| text(arg).replace("$(PASSWORD)", PASSWORD)).collect();
    assert!(args.contains(&PASSWORD.to_owned()) && args.contains(&"noeviction".to_owned()));
    let mut redis = Command::new("redis-server");
    redis.args(["--port", &at.port().to_string(), "--bind", "127.0.0.1"]).args(args);
    Ended(redis.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
}
