//! The configuration: what it takes, what it refuses, and how it says so.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use oncegate::{
    config::{Config, Durability, Faults, RedisAt, StoreKind},
    gate::{
        caller::Rate,
        client_ip::ClientIpSource,
        link::BindIp,
        page::Page,
        reach::Reach,
        site::{Anonymous, Handoff, Identity},
    },
};
use proptest::prelude::*;

const SMALLEST: &str = r#"
[gate]
issuer = "https://login.example.com"
[[sites]]
name = "panel"
origin = "https://panel.example.com"
"#;

const HASH: &str = "7d3f6c1a9b2e4805d1f7a3c6e9b0248d5f1a7c3e6b9d0f2a4c8e1b5d7f3a6c9e";

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/config")
}

fn full() -> String {
    include_str!("vectors/config/full.toml").to_owned()
}

/// Parses on a machine called `gate-a.example.com`, with these variables set.
fn parse_with(text: &str, env: &[(&str, &str)]) -> Result<Config, Faults> {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::parse_on("Gate-A.example.com", text, "oncegate.toml", &vectors(), env)
}

fn parse(text: &str) -> Result<Config, Faults> {
    parse_with(text, &[])
}

/// The report on a text; empty if it is taken.
fn report(text: &str) -> String {
    parse(text).map_or_else(|faults| faults.to_string(), |_| String::new())
}

#[test]
fn what_fits_together_and_will_surprise_is_warned_of() {
    let with = |listen: &str, peers: &str| {
        let text = format!("{SMALLEST}[listen]\n{listen}\n[once]\n{peers}\n");
        let warnings = parse(&text).unwrap().warnings;
        warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let proxy = "client_ip = \"proxy-protocol\"\ntrusted_proxies = [\"10.0.0.9\"]";
    let tls = "tls = { cert = \"tls.crt\", key = \"tls.key\" }";
    let plain = "peers = { gate-b = \"http://10.0.0.2:8080\" }";
    let secure = "peers = { gate-b = \"https://10.0.0.2:8080\" }";
    assert!(with(proxy, plain).contains("a PROXY header must be sent"));
    assert!(with(tls, plain).contains("is reached by https://"));
    for (listen, peers) in [(proxy, ""), (tls, ""), (tls, secure), ("", plain)] {
        let said = with(listen, peers);
        assert!(!said.contains("PROXY") && !said.contains("https://"), "{listen} {peers}: {said}");
    }
}

#[test]
fn a_file_with_every_key_loads_and_means_what_it_says() {
    let config = Config::load(&vectors().join("full.toml"), std::iter::empty()).unwrap();
    assert_eq!(config.gate.name, "gate-a");
    assert_eq!(config.gate.issuer, "https://login.example.com");
    assert_eq!(config.listen.public, "0.0.0.0:8080".parse().unwrap());
    assert_eq!(config.listen.client_ip, ClientIpSource::XForwardedFor);
    assert_eq!(config.listen.api_client_ip, ClientIpSource::Peer);
    assert_eq!(config.listen.trusted_proxies.to_string(), "10.0.0.0/8, fd00::/8");
    assert_eq!(config.limits.max_body, 65_536);
    assert_eq!(config.limits.body_timeout, Duration::from_secs(30));
    assert_eq!(config.keys_dir, vectors().join("keys"));
    assert_eq!(config.once.dir, vectors().join("state"));
    assert_eq!(config.session.idle, Some(3600));
    let warned: Vec<&str> =
        config.warnings.iter().filter_map(|warning| warning.split(':').next()).collect();
    assert_eq!(warned[0], "listen.api_client_ip", "{warned:?}");
    // The directory's file has the mode that it was checked out with.
    assert!(warned[1..].iter().all(|key| *key == "directory.file"), "{warned:?}");

    let [panel, shop] = &config.sites[..] else { panic!("{:?}", config.sites) };
    assert_eq!(panel.origin.as_str(), "https://panel.example.com");
    assert_eq!(panel.upstream.as_ref().unwrap().authority, "127.0.0.1:3000");
    assert!(panel.public.matches("/assets/x/a.css") && !panel.public.matches("/"));
    let user = ("Remote-User".to_owned(), Identity::User);
    let plan = ("Remote-Plan".to_owned(), Identity::Claim("plan".to_owned()));
    assert!(panel.headers.contains(&user) && panel.headers.contains(&plan));
    assert!(panel.destinations.names().any(|name| name == "ac-ps-detail-invoice"));
    assert_eq!(shop.handoff, Handoff::Callback("/sso".to_owned()));
    assert_eq!(shop.anonymous, Anonymous::Login("https://www.example.com/login".to_owned()));

    let [billing, mailer, ..] = &config.callers[..] else { panic!("{:?}", config.callers) };
    assert!(billing.may.issue && billing.may.revoke && !billing.may.redeem && !billing.may.inspect);
    assert_eq!(billing.page, Some(Page::Confirm));
    assert_eq!(billing.keys.len(), 1);
    assert_eq!(mailer.keys.len(), 2, "both of the file");
}

#[test]
fn the_defaults_are_those_of_the_manual() {
    let text = format!(
        "{SMALLEST}[links]\n[once]\n[session]\n[[callers]]\nname = \"billing\"\n\
         key_sha256 = [\"{HASH}\"]\nsites = [\"panel\"]\n"
    );
    let config = parse(&text).unwrap();
    assert_eq!(config.gate.name, "gate-a", "the host name's first label");
    let listen = &config.listen;
    assert_eq!(
        [listen.public, listen.api, listen.admin].map(|address| address.to_string()),
        ["0.0.0.0:8080", "127.0.0.1:8081", "127.0.0.1:9090"]
    );
    assert_eq!(listen.client_ip, ClientIpSource::Peer);
    assert!(!listen.insecure_api && listen.trusted_proxies.is_empty());
    assert_eq!(config.limits.header_timeout, Duration::from_secs(10));
    assert_eq!(config.limits.body_timeout, Duration::from_secs(30));
    assert_eq!((config.limits.max_connections, config.limits.max_body), (10_000, 65_536));
    assert_eq!((config.links.ttl, config.links.max_ttl), (60, 900));
    assert_eq!((config.links.page, config.links.bind_ip), (Page::Auto, BindIp::Optional));
    assert_eq!((config.links.ipv4_prefix, config.links.ipv6_prefix), (32, 64));
    assert_eq!(config.once.store, StoreKind::Journal);
    assert_eq!(config.once.durability, Durability::Process);
    assert_eq!(config.once.max_entries, 5_000_000);
    assert_eq!(config.once.lock_wait, Duration::from_secs(30));
    assert!(!config.once.ready_needs_store);
    assert_eq!((config.session.ttl, config.session.idle), (8 * 3600, None));
    assert_eq!(config.session.cookie, "__Host-oncegate");

    let site = &config.sites[0];
    assert!(site.upstream.is_none() && site.headers.is_empty() && site.allow_urls.is_empty());
    assert_eq!((site.home.as_str(), &site.anonymous), ("/", &Anonymous::Refuse));
    assert_eq!(site.handoff, Handoff::Session);
    assert!(!site.public.matches("/"));

    let caller = &config.callers[0];
    assert!(caller.may.issue && !caller.may.redeem && !caller.may.revoke && !caller.may.inspect);
    assert!(caller.users.everything() && caller.destinations.everything());
    assert!(!caller.claims.matches("plan") && caller.from.is_empty());
    assert_eq!((caller.max_ttl, caller.page), (300, None));
    assert_eq!(caller.rate, Rate { count: 50, seconds: 1 });
}

#[test]
fn every_faulty_file_gets_its_report() {
    let directory = vectors().join("faults");
    let mut files: Vec<PathBuf> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "toml"))
        .collect();
    files.sort();
    assert!(files.len() >= 15, "only {} faulty files found", files.len());
    for file in files {
        let variables = fs::read_to_string(file.with_extension("env")).unwrap_or_default();
        let variable = |line: &str| {
            let (name, value) = line.split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        };
        let text = fs::read_to_string(&file).unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        let env = variables.lines().map(variable);
        let report =
            Config::parse_on("gate-a", &text, name, &directory, env).expect_err(name).to_string();
        let expected = fs::read_to_string(file.with_extension("report")).unwrap_or_default();
        assert_eq!(report.trim(), expected.trim(), "\n{report}\n");
        assert!(!report.contains("hunter2"), "{name}: a secret is in the report");
    }
}

#[test]
fn an_empty_file_is_told_what_is_missing() {
    let report = report("");
    for missing in ["gate.issuer: is missing; write", "sites: is missing; write [[sites]]"] {
        assert!(report.contains(missing), "{report}");
    }
}

#[test]
fn all_faults_come_at_once() {
    let directory = vectors().join("faults");
    let text = fs::read_to_string(directory.join("bad-values.toml")).unwrap();
    let faults = parse(&text).unwrap_err();
    assert!(faults.list().len() >= 20, "{faults}");
}

#[test]
fn tls_on_the_own_listeners_lets_the_api_leave_this_machine() {
    let listen =
        |more: &str| parse(&format!("{SMALLEST}[listen]\napi = \"0.0.0.0:8081\"\n{more}\n"));
    let faults = listen("").unwrap_err();
    assert!(faults.list()[0].what.contains("tls = {"), "{faults}");
    let config = listen("tls = { cert = \"tls.crt\", key = \"/keys/tls.key\" }").unwrap();
    let tls = config.listen.tls.unwrap();
    assert_eq!(tls.key, Path::new("/keys/tls.key"));
    assert!(tls.cert.ends_with("tls.crt") && tls.client_ca.is_none());
}

#[test]
fn callers_are_known_by_certificates_only_where_somebody_signs_them() {
    let of = |tls: &str, names: &str| {
        let caller = |name: &str| {
            format!(
                "[[callers]]\nname = \"{name}\"\nsites = [\"panel\"]\ncertificate = [{names}]\n"
            )
        };
        parse(&format!("{SMALLEST}[listen]\n{tls}\n{}{}", caller("a"), caller("b")))
    };
    let signed = "tls = { cert = \"c\", key = \"k\", client_ca = \"ca.pem\" }";
    let keys = |faults: oncegate::config::Faults| -> Vec<String> {
        faults.list().iter().map(|fault| format!("{}: {}", fault.key, fault.what)).collect()
    };
    let twice = keys(of(signed, "\"CN=x\"").unwrap_err());
    assert!(
        twice[0].contains("callers.b.certificate") && twice[0].contains("callers.a"),
        "{twice:?}"
    );
    let unsigned = keys(of("tls = { cert = \"c\", key = \"k\" }", "\"CN=x\"").unwrap_err());
    assert!(unsigned.iter().any(|fault| fault.contains("client_ca")), "{unsigned:?}");
    for wrong in ["\"x\"", "\"DNS:*.x\"", "\"CN=\"", "\"IP:1.2.3.4\""] {
        let faults = keys(of(signed, wrong).unwrap_err());
        assert!(faults[0].contains("write \"CN=billing\""), "{wrong}: {faults:?}");
    }
}

#[test]
fn peers_are_other_gates_at_their_origins() {
    let peers = |list: &str| parse(&format!("{SMALLEST}[once]\npeers = {list}\n"));
    let all = "{ gate-a = \"http://10.0.0.1\", gate-b = \"http://10.0.0.2:8080\", gate-c = \"https://c.example/\" }";
    let config = peers(all).unwrap();
    let found = config.once.peers.iter().map(|peer| (peer.name.as_str(), peer.origin.as_str()));
    // Its own entry is none: all gates may have the same list.
    assert!(found.eq([("gate-b", "http://10.0.0.2:8080"), ("gate-c", "https://c.example")]));
    let reach = |gate: &str| config.reach.judge(Some(gate)).is_ok();
    assert!(reach("gate-a") && reach("gate-b") && reach("gate-c") && !reach("gate-d"));
    assert!(peers("{}").unwrap().once.peers.is_empty());
    for (list, key, part) in [
        ("{ Gate-B = \"http://b\" }", "once.peers.Gate-B", "not the name of a gate"),
        ("{ \"gate.b\" = \"http://b\" }", "once.peers.gate.b", "not the name of a gate"),
        ("{ gate-b = \"b:8080\" }", "once.peers.gate-b", "http://10.0.0.2:8080"),
        ("{ gate-b = \"ftp://b\" }", "once.peers.gate-b", "must be https or http"),
        ("{ gate-b = \"http://b/path\" }", "once.peers.gate-b", "no path"),
        ("{ gate-b = \"http://b?q\" }", "once.peers.gate-b", "query"),
        ("{ gate-b = \"http://me:hunter2@b\" }", "once.peers.gate-b", "user information"),
        ("{ gate-b = 8080 }", "once.peers.gate-b", "not text"),
        ("[\"http://b\"]", "once.peers", "not a table"),
    ] {
        let faults = peers(list).unwrap_err();
        let [fault] = faults.list() else { panic!("{list}: {faults}") };
        assert_eq!(fault.key, key, "{list}");
        assert!(fault.what.contains(part) && !fault.what.contains("hunter2"), "{list}: {fault}");
    }
}

#[test]
fn a_shared_store_is_a_server_or_what_sentinels_name() {
    let once = |lines: &str| format!("{SMALLEST}[once]\nstore = \"redis\"\n{lines}\n");
    let redis = |lines: &str| parse(&once(lines)).unwrap().once.redis.unwrap();
    let single = redis("redis = { url = \"redis://127.0.0.1\" }");
    let RedisAt::Single { address, db } = single.at else { panic!("{single:?}") };
    assert_eq!((address, db), (("127.0.0.1".to_owned(), 6_379), 0));
    assert_eq!((single.tls, single.timeout), (false, Duration::from_millis(200)));
    let secret = "username = \"gate\", password = \"hunter2\"";
    let single = redis(&format!("redis = {{ url = \"rediss://[::1]:6380/3\", {secret} }}"));
    let RedisAt::Single { address, db } = &single.at else { panic!("{single:?}") };
    assert_eq!((address, *db), (&("::1".to_owned(), 6_380), 3));
    assert!(single.tls && single.login.password.is_some());
    assert!(!format!("{single:?}").contains("hunter2"));
    let nodes = "nodes = [\"10.0.0.1\", \"sentinel.internal:26380\"], password = \"hunter3\"";
    let watched = redis(&format!(
        "redis = {{ sentinel = {{ master = \"main\", {nodes} }}, tls = true, timeout = \"1s\" }}"
    ));
    let RedisAt::Sentinel { master, nodes, login } = &watched.at else { panic!("{watched:?}") };
    let named = [("10.0.0.1".to_owned(), 26_379), ("sentinel.internal".to_owned(), 26_380)];
    assert_eq!((master.as_str(), nodes.as_slice()), ("main", named.as_slice()));
    assert!(watched.tls && login.password.is_some() && watched.login.password.is_none());
    let config = parse(&once("redis = { url = \"redis://127.0.0.1\" }")).unwrap();
    assert_eq!((config.once.store, config.reach), (StoreKind::Redis, Reach::Shared));
    for (lines, said) in [
        ("", "once.redis: is missing"),
        ("redis = {}", "once.redis.url: is missing"),
        (
            "redis = { url = \"redis://127.0.0.1\" }\npeers = {}",
            "once.peers: is for gates that do not share",
        ),
        ("redis = { url = \"http://127.0.0.1\" }", "begins neither with redis://"),
        (
            "redis = { url = \"redis://127.0.0.1\", ca = \"full.toml\" }",
            "once.redis.ca: is for TLS",
        ),
        (
            "redis = { sentinel = { nodes = [\"10.0.0.1\"] } }",
            "once.redis.sentinel.master: is missing",
        ),
        ("redis = { sentinel = { master = \"main\", nodes = [] } }", "names none"),
    ] {
        assert!(report(&once(lines)).contains(said), "{lines}: {}", report(&once(lines)));
    }
    let unused = format!("{SMALLEST}[once]\nredis = {{ url = \"redis://127.0.0.1\" }}\n");
    assert!(report(&unused).contains("is used by store = \"redis\" alone"));
}

#[test]
fn the_environment_can_name_a_shared_store() {
    let env = [
        ("ONCEGATE_ONCE__STORE", "redis"),
        ("ONCEGATE_ONCE__REDIS__URL", "redis://redis.internal:6379"),
        ("ONCEGATE_ONCE__REDIS__PASSWORD", "hunter2"),
    ];
    let config = parse_with(SMALLEST, &env).unwrap();
    assert!(config.once.redis.unwrap().login.password.is_some());
    let env = [
        ("ONCEGATE_ONCE__STORE", "redis"),
        ("ONCEGATE_ONCE__REDIS__SENTINEL__MASTER", "main"),
        ("ONCEGATE_ONCE__REDIS__SENTINEL__NODES", "10.0.0.1:26379, 10.0.0.2:26379"),
    ];
    let config = parse_with(SMALLEST, &env).unwrap();
    assert!(
        matches!(config.once.redis.unwrap().at, RedisAt::Sentinel { nodes, .. } if nodes.len() == 2)
    );
}

#[test]
fn the_environment_overrides_the_file() {
    let env = [
        ("ONCEGATE_LINKS__TTL", "30s"),
        ("ONCEGATE_LINKS__IPV4_PREFIX", "24"),
        ("ONCEGATE_LISTEN__PUBLIC", "[::1]:0"),
        ("ONCEGATE_LISTEN__TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.1"),
        ("ONCEGATE_LISTEN__INSECURE_API", "true"),
        ("ONCEGATE_ONCE__STORE", "memory"),
        ("ONCEGATE_SITES__PANEL__UPSTREAM", "http://127.0.0.1:5000"),
        ("ONCEGATE_SITES__PANEL__DESTINATIONS__AC_PS_PRODUCTS", "/services"),
        ("ONCEGATE_CALLERS__BILLING__SITES", "shop"),
        // None of these is configuration.
        ("ONCEGATE_PORT", "tcp://10.0.0.1:80"),
        ("ONCEGATE_SERVICE_HOST", "10.0.0.1"),
        ("ONCEGATE_LINK__API", "http://127.0.0.1:8081"),
        ("ONCEGATE_LINK__KEY", "hunter2"),
        ("OTHER__THING", "x"),
    ];
    let config = parse_with(&full(), &env).unwrap();
    assert_eq!((config.links.ttl, config.links.ipv4_prefix), (30, 24));
    assert_eq!(config.listen.public, "[::1]:0".parse().unwrap());
    assert_eq!(config.listen.trusted_proxies.to_string(), "10.0.0.0/8, 192.0.2.1/32");
    assert_eq!(config.once.store, StoreKind::Memory);
    assert_eq!(config.sites[0].upstream.as_ref().unwrap().authority, "127.0.0.1:5000");
    let services = config.sites[0].destination("ac-ps-products", &[], None).unwrap();
    assert_eq!(services.as_str(), "/services");
    assert_eq!(config.callers[0].sites, ["shop"]);
}

#[test]
fn the_environment_can_bring_what_the_file_lacks() {
    let text = "[[sites]]\nname = \"my-panel\"\norigin = \"https://panel.example.com\"\n";
    let env = [
        ("ONCEGATE_GATE__ISSUER", "https://login.example.com"),
        ("ONCEGATE_SITES__MY_PANEL__HOME", "/start"),
    ];
    let config = parse_with(text, &env).unwrap();
    assert_eq!(config.gate.issuer, "https://login.example.com");
    assert_eq!(config.sites[0].home, "/start");
}

#[test]
fn http_is_for_loopback() {
    let site = |origin: &str| SMALLEST.replace("https://panel.example.com", origin);
    for origin in
        ["http://localhost:8080", "http://127.1.2.3", "http://[::1]:1", "http://panel.localhost"]
    {
        let config = parse(&site(origin)).unwrap();
        assert_eq!(config.session.cookie_for(&config.sites[0]), "oncegate", "{origin}");
    }
    let config = parse(SMALLEST).unwrap();
    assert_eq!(config.session.cookie_for(&config.sites[0]), "__Host-oncegate");
    for origin in ["http://panel.example.com", "http://10.0.0.1", "http://localhost.example.com"] {
        assert!(report(&site(origin)).contains("http is for loopback only"), "{origin}");
    }
    for issuer in ["http://login.example.com", "ftp://login.example.com", "login.example.com"] {
        let text = SMALLEST.replace("https://login.example.com", issuer);
        assert!(report(&text).contains("gate.issuer"), "{issuer}");
    }
}

#[test]
fn the_api_is_off_loopback_only_knowingly() {
    let listen = |lines: &str| format!("{SMALLEST}[listen]\napi = \"0.0.0.0:8081\"\n{lines}\n");
    assert!(report(&listen("")).contains("insecure_api = true"));
    let config = parse(&listen("insecure_api = true")).unwrap();
    assert!(config.warnings.iter().any(|w| w.starts_with("listen.insecure_api")));
    parse(&listen("trusted_proxies = [\"10.0.0.1\"]")).unwrap();
}

#[test]
fn no_two_listeners_share_a_port() {
    let listen =
        |api: &str| format!("{SMALLEST}[listen]\npublic = \"127.0.0.1:80\"\napi = \"{api}\"\n");
    for (api, admin) in
        [("127.0.0.1:80", "[::1]:0"), ("[::1]:81", "0.0.0.0:80"), ("[::1]:81", "[::]:80")]
    {
        let faults = parse_with(&listen(api), &[("ONCEGATE_LISTEN__ADMIN", admin)]).unwrap_err();
        let [fault] = faults.list() else { panic!("{api} {admin}: {faults}") };
        assert!(fault.what.contains("is taken by listen.public"), "{fault}");
    }
    parse_with(&listen("[::1]:80"), &[]).unwrap();
    parse(&listen("127.0.0.1:0").replace(":80\"", ":0\"")).unwrap();
}

#[test]
fn a_cookie_keeps_its_own_name_without_its_prefix() {
    let text = SMALLEST.replace("https://panel", "http://localhost:1\" #");
    for (cookie, plain) in [("__Secure-sso", "sso"), ("__host-sso", "sso"), ("sso", "sso")] {
        let config = parse(&format!("{text}[session]\ncookie = \"{cookie}\"\n")).unwrap();
        assert_eq!(config.session.cookie, cookie);
        assert_eq!(config.session.cookie_for(&config.sites[0]), plain);
    }
    for cookie in ["", "a b", "a=b", "a;b", "__Secure-", "caf\u{e9}"] {
        let report = report(&format!("{text}[session]\ncookie = \"{cookie}\"\n"));
        assert!(report.contains("is not a cookie's name"), "{cookie}: {report}");
    }
}

#[test]
fn a_line_that_is_not_toml_is_not_also_told_as_a_section_that_is_missing() {
    let gate = SMALLEST.split("[[sites]]").next().unwrap();
    assert!(report(gate).contains("sites: is missing"));
    for line in ["[[site]", "the sites", "- name: panel", "[[s1tes]"] {
        let report = report(&format!("{gate}{line}\nname = \"panel\"\n"));
        assert!(report.contains("line 4: is not TOML"), "{report}");
        assert!(!report.contains("sites: is missing"), "{report}");
    }
}

#[test]
fn a_gate_without_callers_is_warned_of() {
    let config = parse(SMALLEST).unwrap();
    assert_eq!(config.warnings, ["callers: there are none: nobody can ask for a link"]);
}

#[test]
fn a_callers_links_live_no_longer_than_the_gates() {
    let text = full().replace("max_ttl = \"15m\"", "max_ttl = \"2m\"");
    assert!(report(&text).contains("callers.billing.max_ttl: is longer than links.max_ttl"));
    let config = parse(&text.replace("max_ttl = \"5m\"\n", "")).unwrap();
    assert_eq!(config.callers[0].max_ttl, 120, "the default gives way");
}

#[test]
fn a_host_name_that_is_no_name_asks_for_one() {
    let parse = |text: &str| {
        Config::parse_on("my_host", text, "oncegate.toml", Path::new(""), std::iter::empty())
    };
    let report = parse(SMALLEST).unwrap_err().to_string();
    assert!(report.contains("gate.name: the host name \"my_host\""), "{report}");
    let named = SMALLEST.replace("[gate]", "[gate]\nname = \"gate-b\"");
    assert_eq!(parse(&named).unwrap().gate.name, "gate-b");
}

#[test]
fn an_unreadable_file_is_named() {
    let report = |path: &Path| Config::load(path, std::iter::empty()).unwrap_err().to_string();
    let missing = report(Path::new("nowhere/oncegate.toml"));
    assert!(missing.starts_with("nowhere/oncegate.toml cannot be read: "), "{missing}");
    let directory = tempfile::tempdir().unwrap();
    let latin = directory.path().join("latin.toml");
    fs::write(&latin, b"[gate]\nname = \"caf\xe9\"\n").unwrap();
    assert!(report(&latin).contains("line 2: is not UTF-8"), "{}", report(&latin));
}

#[test]
fn no_key_is_printed() {
    let config = Config::load(&vectors().join("full.toml"), std::iter::empty()).unwrap();
    let debug = format!("{config:?}");
    assert!(debug.contains("[key hash]"));
    assert!(!debug.contains(&HASH[..8]) && !debug.contains("125, 63, 108"), "{debug}");
}

proptest! {
    #[test]
    fn no_text_is_too_strange(text in "\\PC*|[\\[\\]{}=\"'.,#a-c0-9\n\r\t ]*") {
        if let Err(faults) = parse(&text) {
            prop_assert!(!faults.list().is_empty());
        }
    }

    #[test]
    fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn a_mangled_file_loads_or_says_why(
        at in any::<prop::sample::Index>(),
        length in 0_usize..40,
        put in "[\\[\\]{}=\"'.,#a-c0-9\n ]{0,8}",
    ) {
        let mut text: Vec<char> = full().chars().collect();
        let from = at.index(text.len());
        let to = (from + length).min(text.len());
        text.splice(from..to, put.chars());
        let text: String = text.into_iter().collect();
        if let Err(faults) = parse(&text) {
            prop_assert!(!faults.list().is_empty(), "refused without a reason");
            for fault in faults.list() {
                prop_assert!(!fault.what.is_empty());
            }
        }
    }

    #[test]
    fn a_strange_variable_loads_or_is_named(name in "[A-Z_]{0,20}", value in "\\PC{0,20}") {
        let name = format!("ONCEGATE_{name}");
        if let Err(faults) = parse_with(&full(), &[(&name, &value)]) {
            prop_assert!(faults.to_string().contains(&name), "{faults}");
        }
    }
}

#[test]
fn a_callback_site_that_refuses_its_own_users_is_warned_of() {
    let site =
        "upstream = \"http://127.0.0.1:3000\"\nhandoff = \"callback\"\ncallback = \"/sso\"\n";
    let warns = |more: &str| {
        let config = parse(&[SMALLEST, site, more].concat()).unwrap();
        config.warnings.iter().any(|warning| warning.starts_with("sites.panel.anonymous"))
    };
    assert!(warns(""));
    assert!(!warns("anonymous = \"pass\"\n"));
}
