//! The configuration of dialects, of the callers who speak them, and of the directory: what it
//! means, and what it warns of.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use oncegate::{
    config::{Config, DirectorySource, Faults},
    gate::{
        dialect::Dialect,
        password::{Credential, Memory},
    },
};

const SITE: &str = r#"
[gate]
issuer = "https://login.example.com"
[[sites]]
name = "panel"
origin = "https://panel.example.com"
"#;

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/config")
}

/// The hash of "pass word".
fn hash() -> String {
    include_str!("vectors/config/clients.argon2").trim().to_owned()
}

fn parse_with(text: &str, env: &[(&str, &str)]) -> Result<Config, Faults> {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::parse_on("gate-a", text, "oncegate.toml", &vectors(), env)
}

/// Reads a site and what follows.
fn parse(more: &str) -> Result<Config, Faults> {
    parse_with(&[SITE, more].concat(), &[])
}

/// The one thing that is wrong.
fn fault(more: &str) -> String {
    let faults = parse(more).unwrap_err();
    let [fault] = faults.list() else { panic!("{more}: {faults}") };
    format!("{}: {}", fault.key, fault.what)
}

fn caller(lines: &str) -> String {
    format!("[[callers]]\nname = \"vendor\"\nsites = [\"panel\"]\n{lines}\n")
}

fn key() -> String {
    format!("key_sha256 = [\"{}\"]\n", "7d3f6c1a".repeat(8))
}

fn login() -> String {
    format!("username = \"admin\"\npassword = \"{}\"\n", hash())
}

#[test]
fn the_full_file_means_what_it_says() {
    let config = Config::load(&vectors().join("full.toml"), std::iter::empty()).unwrap();
    let wisecp = config.dialects.iter().find(|r| r.dialect == Dialect::Wisecp).unwrap();
    assert_eq!((wisecp.site.as_str(), wisecp.ttl), ("panel", 90));
    assert_eq!(wisecp.base.as_deref(), Some("/wisecp/api/"));
    assert_eq!(wisecp.form.path.as_deref(), Some("/de/sign-in"));
    let forms = |site: usize| -> Vec<Dialect> {
        config.sites[site].forms.iter().map(|form| form.dialect).collect()
    };
    let of_panel =
        [Dialect::Wisecp, Dialect::Activeplatform, Dialect::Whmcs, Dialect::Activecampaign];
    assert_eq!((forms(0), forms(1)), (of_panel.to_vec(), vec![Dialect::Allclients]));

    let [.., campaign, platform, clients] = &config.callers[..] else { panic!() };
    assert_eq!(campaign.username.as_deref(), Some("admin"));
    assert!(campaign.keys.is_empty() && !campaign.sign_on_url);
    assert_eq!(campaign.dialects, [Dialect::Activecampaign, Dialect::Whmcs]);
    assert_eq!((platform.reseller, platform.dialects.len()), (Some(1), 1));
    assert!(clients.sign_on_url);
    for caller in [campaign, clients] {
        assert_eq!(
            caller
                .password
                .as_ref()
                .unwrap()
                .matches(&Credential::of("pass word"), &mut Memory::default()),
            Ok(true)
        );
    }
    let DirectorySource::File(file) = &config.directory else { panic!("{:?}", config.directory) };
    assert_eq!(*file, vectors().join("directory.toml"));
}

#[test]
fn a_dialect_lives_as_its_vendor_says_but_no_longer_than_the_gates_links() {
    let text = "[dialects.activecampaign]\nsite = \"panel\"\n[dialects.wisecp]\nsite = \"panel\"\n";
    let ttls = |text: &str| -> Vec<u64> {
        parse(text).unwrap().dialects.iter().map(|rules| rules.ttl).collect()
    };
    assert_eq!(ttls(text), [60, 900]);
    assert_eq!(ttls(&format!("{text}[links]\nmax_ttl = \"2m\"\n")), [60, 120]);
    let config = parse(text).unwrap();
    assert!(config.dialects.iter().all(|rules| rules.base.is_none()));
    assert_eq!(config.dialects[0].form.path.as_deref(), Some("/en/sign-in"));
}

#[test]
fn a_base_is_one_however_its_end_is_written() {
    let base = |base: &str| {
        let text = format!("[dialects.whmcs]\nsite = \"panel\"\nbase = \"{base}\"\n");
        parse(&text).map(|config| config.dialects[0].base.clone().unwrap())
    };
    for (written, means) in [("/", "/"), ("/a", "/a/"), ("/a/", "/a/"), ("/a-b/v1.2", "/a-b/v1.2/")]
    {
        assert_eq!(base(written).unwrap(), means);
    }
    for wrong in
        ["", "a", "//", "/a//", "/a//b", "/..", "/a/./b", "/a?b", "/a%2fb", "/a b", "/_ONCE"]
    {
        assert!(base(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn no_two_dialects_are_at_one_path_and_none_is_at_the_gates_own() {
    let both = |campaign: &str, whmcs: &str| {
        format!(
            "[dialects.activecampaign]\nsite = \"panel\"\n{campaign}\n\
             [dialects.whmcs]\nsite = \"panel\"\n{whmcs}\n"
        )
    };
    for (campaign, whmcs) in [
        ("base = \"/includes/\"", ""),
        ("base = \"/includes\"", "base = \"/\""),
        ("base = \"/w/includes\"", "base = \"/w\""),
    ] {
        let said = fault(&both(campaign, whmcs));
        assert!(said.starts_with("dialects.activecampaign.base: "), "{said}");
        assert!(said.contains("dialects.whmcs alike"), "{said}");
    }
    // Without a base it is spoken at any; there whmcs's own path comes first.
    for (campaign, whmcs) in [
        ("", ""),
        ("base = \"/\"", ""),
        ("base = \"/includes/\"", "base = \"/w\""),
        ("base = \"/Includes/\"", ""),
    ] {
        parse(&both(campaign, whmcs)).unwrap();
    }
    for base in ["/v1", "/v1/", "/V1/x/", "/v1/links", "/openapi.json", "/openapi.json/"] {
        let said = fault(&format!("[dialects.wisecp]\nsite = \"panel\"\nbase = \"{base}\"\n"));
        assert!(said.contains("the gate's own API"), "{base}: {said}");
    }
    parse("[dialects.wisecp]\nsite = \"panel\"\nbase = \"/v11/\"\n").unwrap();
}

#[test]
fn no_path_of_a_site_carries_what_the_links_of_its_dialects_call_their_token() {
    let site = |lines: &str, dialects: &str| format!("{SITE}{lines}\n{dialects}");
    let callback = "upstream = \"http://127.0.0.1:3000\"\nhandoff = \"callback\"\n\
                    callback = \"/en/sign-in\"";
    let allclients = "[dialects.allclients]\nsite = \"panel\"\n";
    let campaign = "[dialects.activecampaign]\nsite = \"panel\"\n";
    for (lines, dialect, key) in [
        ("home = \"/Login.aspx?hash=x\"", allclients, "home"),
        ("home = \"/login.aspx/?HASH\"", allclients, "home"),
        ("anonymous = \"/any?next=1&_ssot=x\"", campaign, "anonymous"),
        ("[sites.destinations]\na = \"/any?_ssot={0}\"", campaign, "destinations.a"),
        ("[sites.destinations]\na = \"/Login.aspx?a={1}&hash={0}\"", allclients, "destinations.a"),
        ("[sites.destinations]\na = \"/any?_once={0}\"", "", "destinations.a"),
    ] {
        let faults = parse_with(&site(lines, dialect), &[]).unwrap_err();
        let [fault] = faults.list() else { panic!("{lines}: {faults}") };
        assert_eq!(fault.key, format!("sites.panel.{key}"), "{fault}");
        if !dialect.is_empty() {
            parse_with(&site(lines, ""), &[]).unwrap();
            let other = if dialect == campaign { allclients } else { campaign };
            parse_with(&site(lines, other), &[]).unwrap();
        }
    }
    // A path alone, and a name on another page than the links', are the application's.
    for lines in ["home = \"/Login.aspx\"", "home = \"/x?hash=x\"", callback] {
        parse_with(&site(lines, allclients), &[]).unwrap();
    }
}

#[test]
fn a_directory_may_be_a_service() {
    let directory = |lines: &str| parse(&format!("[directory]\n{lines}\n"));
    let config = directory("url = \"https://users.example.com/api/\"").unwrap();
    let DirectorySource::Http { url, token, timeout, cache } = config.directory else { panic!() };
    assert_eq!((url.as_str(), token.is_none()), ("https://users.example.com/api", true));
    assert_eq!((timeout, cache), (Duration::from_secs(2), Duration::from_secs(5)));
    for good in ["http://localhost:1", "http://127.0.0.1:8000/x", "http://[::1]", "https://x.y"] {
        directory(&format!("url = \"{good}\"")).unwrap();
    }
    for wrong in [
        "http://users.example.com",
        "ftp://127.0.0.1",
        "https://joe@x.y",
        "https://:pw@x.y",
        "https://x.y/?a",
        "https://x.y/#a",
        "users",
        "",
    ] {
        let said = fault(&format!("[directory]\nurl = \"{wrong}\"\n"));
        assert!(said.starts_with("directory.url: "), "{wrong}: {said}");
    }
}

#[test]
fn a_token_that_others_can_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("directory.token");
    fs::write(&file, "hunter2\n").unwrap();
    let text = format!(
        "{SITE}[directory]\nurl = \"https://users.example.com\"\ntoken_file = \"directory.token\"\n"
    );
    let parse = |mode: u32| {
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        Config::parse_on("gate-a", &text, "oncegate.toml", dir.path(), std::iter::empty())
    };
    for mode in [0o600, 0o640, 0o400] {
        let DirectorySource::Http { token, .. } = parse(mode).unwrap().directory else { panic!() };
        assert_eq!(token.unwrap().expose(), "hunter2");
    }
    for mode in [0o644, 0o602, 0o601] {
        let said = parse(mode).unwrap_err().to_string();
        let why =
            format!("directory.token: can be read by others (mode {mode:04o}); do: chmod 600");
        assert!(said.contains(&why) && !said.contains("hunter2"), "{said}");
    }
}

#[test]
fn the_environment_brings_secrets() {
    let url = format!("{SITE}[directory]\nurl = \"https://users.example.com\"\n");
    let env = [("ONCEGATE_DIRECTORY__TOKEN", "hunter2"), ("ONCEGATE_DIRECTORY__CACHE", "1s")];
    let config = parse_with(&url, &env).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    let DirectorySource::Http { token, cache, .. } = config.directory else { panic!() };
    assert_eq!((token.unwrap().expose().as_str(), cache.as_secs()), ("hunter2", 1));

    let text = format!("{SITE}{}", caller("username = \"admin\""));
    let password = ("ONCEGATE_CALLERS__VENDOR__PASSWORD", &*hash());
    let config =
        parse_with(&text, &[password, ("ONCEGATE_DIALECTS__WHMCS__SITE", "panel")]).unwrap();
    assert!(config.callers[0].password.is_some());
    assert_eq!(config.dialects[0].dialect, Dialect::Whmcs);
    let wrong = [("ONCEGATE_CALLERS__VENDOR__PASSWORD", "hunter2")];
    let report = parse_with(&text, &wrong).unwrap_err().to_string();
    assert!(report.contains("ONCEGATE_CALLERS__VENDOR__PASSWORD") && !report.contains("hunter2"));
}

#[test]
fn a_caller_with_a_password_needs_no_key() {
    let config = parse(&caller(&login())).unwrap();
    assert!(config.callers[0].keys.is_empty() && config.callers[0].password.is_some());
    assert!(fault(&caller("")).starts_with("callers.vendor.key_sha256: is missing"));
    // `key_sha256 = []` beside them says the same as leaving it out.
    parse(&caller(&[&login(), "key_sha256 = []"].concat())).unwrap();
}

#[test]
fn each_dialect_gets_what_it_needs_of_a_caller() {
    let tables = "[directory]\nfile = \"directory.toml\"\n[dialects]\n\
                  wisecp = { site = \"panel\" }\nactiveplatform = { site = \"panel\" }\n\
                  allclients = { site = \"panel\" }\nactivecampaign = { site = \"panel\" }\n\
                  whmcs = { site = \"panel\" }\n";
    let speaks = |dialect: &str, lines: &str| {
        caller(&format!("{lines}dialects = [\"{dialect}\"]\n")) + tables
    };
    for (dialect, lines) in [
        ("wisecp", key()),
        ("activeplatform", key() + "reseller = 1\n"),
        ("allclients", login()),
        ("activecampaign", key()),
        ("activecampaign", login()),
        ("whmcs", key()),
        ("whmcs", login()),
    ] {
        let config = parse(&speaks(dialect, &lines)).unwrap();
        assert_eq!(config.warnings, Vec::<String>::new(), "{dialect} {lines}");
    }
    for (dialect, lines, key) in [
        ("wisecp", login(), "key_sha256"),
        ("activeplatform", key(), "reseller"),
        ("activeplatform", login() + "reseller = 1\n", "key_sha256"),
        ("allclients", key(), "username"),
    ] {
        let said = fault(&speaks(dialect, &lines));
        assert!(said.starts_with(&format!("callers.vendor.{key}: is missing, and")), "{said}");
    }
}

#[test]
fn a_resellers_manager_speaks_one_dialect_alone() {
    let lines = key() + "reseller = 1\ndialects = [\"activeplatform\", \"wisecp\"]\n";
    let tables = "[directory]\nurl = \"https://users.example.com\"\n\
                  [dialects.activeplatform]\nsite = \"panel\"\n\
                  [dialects.wisecp]\nsite = \"panel\"\n";
    let said = fault(&(caller(&lines) + tables));
    assert!(said.starts_with("callers.vendor.dialects: a reseller's manager speaks"), "{said}");
}

#[test]
fn what_would_never_work_is_warned_of() {
    let warnings = |lines: &str, tables: &str| parse(&(caller(lines) + tables)).unwrap().warnings;
    let allclients = "[dialects.allclients]\nsite = \"panel\"\n";
    let lines = login() + "dialects = [\"allclients\"]\n";
    let told = warnings(&lines, allclients);
    assert!(
        matches!(&told[..], [one] if one.starts_with("callers.vendor.sign_on_url: ")),
        "{told:?}"
    );
    let enabled = lines.clone() + "sign_on_url = true\n";
    assert!(warnings(&enabled, allclients).is_empty());
    let directory = "[directory]\nfile = \"directory.toml\"\n";
    assert!(warnings(&lines, &[allclients, directory].concat()).is_empty());

    for (line, of) in [
        ("reseller = 1\n", "reseller"),
        ("sign_on_url = true\n", "sign_on_url"),
        (&*login(), "username"),
    ] {
        let told = warnings(&(key() + line), "");
        assert!(
            matches!(&told[..], [one] if one.contains(of) && one.contains("alone")),
            "{told:?}"
        );
    }

    let told = warnings(&(key() + &login()), "");
    assert!(told[0].ends_with("as in dialects = [\"activecampaign\"], or remove this"), "{told:?}");

    let listen = |lines: &str| {
        let lines = format!("[listen]\ntrusted_proxies = [\"10.0.0.0/8\"]\n{lines}\n");
        let of_listen = |warning: &String| warning.starts_with("listen.api_client_ip: ");
        let told = |caller: String| warnings(&caller, &lines).into_iter().filter(of_listen).count();
        [told(login() + "dialects = []\n"), told(key())]
    };
    assert_eq!(listen(""), [1, 0], "guesses of everybody behind the proxy count as one's");
    assert_eq!(listen("api_client_ip = \"x-forwarded-for\""), [0, 0]);

    let dialect = |name: &str, bind: &str| {
        let tables =
            format!("[dialects.{name}]\nsite = \"panel\"\n[links]\nbind_ip = \"{bind}\"\n");
        warnings(&format!("{}dialects = [\"{name}\"]\n", key()), &tables).len()
    };
    assert_eq!([dialect("whmcs", "required"), dialect("whmcs", "off")], [1, 0]);
    assert_eq!([dialect("activecampaign", "required"), dialect("activecampaign", "off")], [0, 1]);
}

#[test]
fn what_a_broken_line_may_hold_is_not_missing() {
    let text =
        caller(&(key() + "dialects = [\"wisecp\"]\n")) + "[dialects.wisecp\nsite = \"panel\"\n";
    let faults = parse(&text).unwrap_err();
    let [fault] = faults.list() else { panic!("{faults}") };
    assert!(fault.what.contains("not TOML"), "{fault}");
}
