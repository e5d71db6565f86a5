//! `deploy/compose/`: judged by the schema of Compose files, and run without containers.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use serde_json::json;

use crate::{
    deployed,
    manifests::{documents, each, python, readable, text},
    run,
    support::{
        gate::{BILLING, Link, cookie_of, key_hash},
        http::Client,
        installed,
        ports::free_address,
        process::{At, Ended, PATIENCE},
    },
    text_of, with,
};

const HOST: &str = "localhost:8000";

#[test]
fn the_file_is_one_that_compose_reads() {
    if !readable() {
        return;
    }
    // Its words, as the specification of Compose has them; unknown ones are refused.
    let check = "import sys, compose_spec
\
        options = compose_spec.PyOptions()
\
        options.apply_merge = True
\
        options.from_yaml(open(sys.argv[1]).read()).validate()";
    run(python(check).arg(deployed("compose/compose.yaml")));

    let file = documents("compose/compose.yaml").remove(0);
    let services = file["services"].as_object().unwrap();
    assert_eq!(services.keys().collect::<Vec<_>>(), ["app", "gate", "keys", "proxy"]);
    for (name, service) in services {
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(service["cap_drop"], json!(["ALL"]), "{name}");
        for volume in each(&service["volumes"]) {
            let from = text(volume).split(':').next().unwrap();
            let known = match from.strip_prefix("./") {
                Some(file) => deployed("compose").join(file).exists(),
                None => file["volumes"].get(from).is_some(),
            };
            assert!(known, "{name} mounts {from}, which is not there");
        }
        // Nothing but this machine reaches what is published.
        assert!(each(&service["ports"]).all(|port| text(port).starts_with("127.0.0.1:")), "{name}");
    }
    let proxy = text(&services["proxy"]["networks"]["front"]["ipv4_address"]);
    assert!(text_of("compose/oncegate.toml").contains(&format!("trusted_proxies = [\"{proxy}\"]")));
    assert_eq!(services["app"]["networks"], json!(["back"]), "only the gate reaches it");
}

#[tokio::test]
async fn what_it_starts_signs_a_visitor_in() {
    if !installed::all(&[("nginx", nginx().is_some())]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let [proxy, app] = [free_address(), free_address()];
    let at = At { public: free_address(), api: free_address(), admin: free_address() };
    let keys = dir.path().join("keys");
    let file = documents("compose/compose.yaml").remove(0);
    let step = each(&file["services"]["keys"]["command"]).map(text);
    let step: Vec<_> =
        step.map(|word| word.replace("/etc/oncegate/keys", keys.to_str().unwrap())).collect();
    for _ in 0..2 {
        run(gate(dir.path()).args(&step));
    }
    assert!(keys.join("current.pem").exists());

    let toml = text_of("compose/oncegate.toml");
    let toml = with(&toml, &"0".repeat(64), &key_hash(BILLING));
    let toml = with(&toml, "0.0.0.0:8080", &at.public.to_string());
    let toml = with(&toml, "0.0.0.0:8081", &at.api.to_string());
    let toml = with(&toml, "[listen]", &format!("[listen]\nadmin = \"{}\"", at.admin));
    let toml = with(&toml, "10.213.77.2", "127.0.0.1");
    let toml = with(&toml, "http://app:3000", &format!("http://{app}"));
    fs::write(dir.path().join("oncegate.toml"), toml).unwrap();
    let _gate = Ended(gate(dir.path()).arg("serve").stderr(Stdio::null()).spawn().unwrap());
    let conf =
        with(&text_of("compose/nginx.conf"), "http://gate:8080", &format!("http://{}", at.public));
    let log = dir.path().join("access.log");
    let conf = with(&conf, "/dev/stdout", log.to_str().unwrap());
    let _proxy =
        start(dir.path(), "nginx", &with(&conf, "listen 8000", &format!("listen {proxy}")));
    let conf = with(&text_of("compose/app.conf"), "listen 3000", &format!("listen {app}"));
    let _app = start(dir.path(), "app", &conf);
    for address in [at.admin, proxy, app] {
        answers(address).await;
    }

    let visitor = Client::new(proxy).host(HOST).header("x-oncegate-user", "root");
    assert_eq!(visitor.get("/").await.status, 401, "nobody is signed in, whatever is claimed");
    let answer = at.client().post_json("/v1/links", &json!({ "user": "joe" })).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let link = Link::of(&answer.json());
    assert!(link.url.starts_with("http://localhost:8000/_once/l/"), "{}", link.url);
    let page = visitor.get(&link.path).await;
    assert_eq!(page.status, 200);
    let own = [("sec-fetch-site", "same-origin")];
    let opened = visitor.request("POST", &link.path, &own, b"").await;
    assert_eq!(opened.status, 303, "{}", opened.text());
    let cookie = cookie_of(&opened);
    let home = visitor.get_with("/hello?x=1", &[("cookie", &cookie)]).await;
    assert_eq!(home.text(), "Hello, joe. You are at /hello?x=1.\n");
    assert_eq!(visitor.request("POST", &link.path, &own, b"").await.code(), "already_used");
    visitor.get(&format!("/?_once={}", link.token)).await;
    let logged = fs::read_to_string(log).unwrap();
    assert!(logged.contains("/hello") && !logged.contains(&link.token[..20]), "{logged}");
}

fn gate(dir: &Path) -> Command {
    let mut gate = Command::new(env!("CARGO_BIN_EXE_oncegate"));
    gate.current_dir(dir).env("ONCEGATE_CONFIG", "oncegate.toml").stdin(Stdio::null());
    // As the image sets them.
    gate.env("ONCEGATE_KEYS__DIR", dir.join("keys")).env("ONCEGATE_ONCE__DIR", dir.join("state"));
    gate
}

fn nginx() -> Option<&'static str> {
    ["nginx", "/usr/sbin/nginx"]
        .into_iter()
        .find(|nginx| Command::new(nginx).arg("-v").stderr(Stdio::null()).status().is_ok())
}

/// An nginx with this configuration, in one process.
fn start(dir: &Path, name: &str, conf: &str) -> Ended {
    let place = dir.join(name);
    fs::create_dir(&place).unwrap();
    let conf = with(conf, "pid /run/nginx.pid;", &format!("pid {}/pid;", place.display()));
    let conf = conf.replace("/dev/stderr", place.join("error.log").to_str().unwrap());
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("    {what}_temp_path {}/{what};\n", place.display()));
    let conf = with(&conf, "http {\n", &format!("http {{\n{}", temporary.concat()));
    let file = place.join("nginx.conf");
    fs::write(&file, conf).unwrap();
    let mut nginx = Command::new(nginx().unwrap());
    nginx.args(["-p", place.to_str().unwrap(), "-g", "daemon off; master_process off;"]);
    let quiet = nginx.arg("-c").arg(file).stdin(Stdio::null()).stderr(Stdio::null());
    Ended(quiet.spawn().unwrap())
}

async fn answers(address: SocketAddr) {
    let begin = Instant::now();
    while Client::new(address).try_request("GET", "/ready", &[], b"").await.is_err() {
        assert!(begin.elapsed() < PATIENCE, "nothing answers at {address}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
