//! The commands, through the real binary: exit codes, what they print, and what they never print.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails where it stands")]

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use clap::CommandFactory as _;
use oncegate::{
    config::Config,
    gate::{
        dialect::Dialect,
        form::Form,
        id::{MemoryId, TokenId},
        origin::Origin,
        password::{Credential, Memory, PasswordHash},
        token::{Actor, LinkClaims},
    },
    ops::clock::Clock,
    store::keys,
};
use tempfile::TempDir;

const SITE: &str = r#"
[gate]
name = "gate-a"
issuer = "https://login.example.com"
[[sites]]
name = "panel"
origin = "https://panel.example.com"
"#;
const CALLER: &str = r#"
[[callers]]
name = "billing"
key_sha256 = ["e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85a"]
sites = ["panel"]
"#;

/// What a command did.
struct Done {
    code: i32,
    out: String,
    err: String,
}

fn command(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oncegate"));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("ONCEGATE_")) {
            command.env_remove(name);
        }
    }
    command.current_dir(dir).args(arguments);
    command
}

fn done(output: Output) -> Done {
    Done {
        code: output.status.code().expect("it ended by itself"),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn run(dir: &Path, arguments: &[&str]) -> Done {
    done(command(dir, arguments).output().unwrap())
}

fn nowhere() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// A directory with a good configuration and keys.
fn a_gate() -> TempDir {
    let dir = nowhere();
    fs::write(dir.path().join("oncegate.toml"), [SITE, CALLER].concat()).unwrap();
    let made = run(dir.path(), &["keys", "new"]);
    assert_eq!(made.code, 0, "{}", made.err);
    dir
}

/// A link's claims that would pass now.
fn claims() -> LinkClaims {
    let now = Clock::default().now();
    LinkClaims {
        iss: "https://login.example.com".to_owned(),
        aud: "panel".to_owned(),
        sub: "joe".to_owned(),
        iat: now,
        exp: now + 60,
        jti: TokenId::from_bytes([1; 16]),
        mem: MemoryId::from_bytes([2; 16]),
        gate: Some("gate-a".to_owned()),
        dst: Some("/invoices/1".to_owned()),
        ips: None,
        act: Actor { sub: "billing".to_owned() },
        via: None,
        page: None,
        ctx: None,
    }
}

fn sign(dir: &Path, claims: &LinkClaims) -> String {
    keys::load(&dir.join("keys")).unwrap().0.sign(claims)
}

/// Each command with its subcommands, as its words.
fn commands() -> Vec<Vec<String>> {
    fn add(command: &clap::Command, words: &[String], all: &mut Vec<Vec<String>>) {
        for sub in command.get_subcommands() {
            let words = [words, &[sub.get_name().to_owned()]].concat();
            add(sub, &words, all);
            all.push(words);
        }
    }
    let mut all = Vec::new();
    add(&oncegate::cli::Cli::command(), &[], &mut all);
    assert!(all.len() > 12, "{all:?}");
    all
}

#[test]
fn without_arguments_it_prints_its_help() {
    let dir = nowhere();
    let (bare, help) = (run(dir.path(), &[]), run(dir.path(), &["--help"]));
    assert_eq!((bare.code, help.code), (0, 0));
    assert_eq!(bare.out, help.out);
    assert!(help.out.contains("Exit codes: 0 good, 1 failed, 64 bad usage"), "{}", help.out);
    assert_eq!(bare.err, "");
}

#[test]
fn the_version_is_that_of_the_crate() {
    let version = run(nowhere().path(), &["--version"]);
    let expected = concat!("oncegate ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!((version.code, version.out.as_str()), (0, expected));
}

#[test]
fn every_command_has_a_help_that_a_person_can_work_from() {
    let dir = nowhere();
    for words in commands() {
        let mut arguments: Vec<&str> = words.iter().map(String::as_str).collect();
        arguments.push("--help");
        let help = run(dir.path(), &arguments);
        assert_eq!((help.code, help.err.as_str()), (0, ""), "{words:?}");
        assert!(help.out.contains("Usage: oncegate"), "{words:?}: {}", help.out);
        if words.len() == 1 && words[0] != "demo" {
            for part in ["Example", "Exit codes:", &words[0]] {
                assert!(help.out.contains(part), "{words:?} lacks {part}: {}", help.out);
            }
        }
    }
}

#[test]
fn bad_usage_is_64_and_says_so() {
    let dir = nowhere();
    for arguments in [
        &["nonsense"][..],
        &["serve", "--nonsense"],
        &["keys"],
        &["caller", "new"],
        &["caller", "new", "Billing"],
        &["caller", "new", "billing", "--username", ""],
        &["caller", "new", "billing", "--username", "a\nb"],
        &["caller", "new", "billing", "--site", "a b"],
        &["link"],
        &["link", "--user", "joe"],
        &["link", "--user", "joe", "--api", "http://127.0.0.1:1"],
        &["link", "--user", "joe", "--api", "ftp://127.0.0.1:1", "--key-file", "key"],
        &["link", "--user", "joe", "--api", "http://a:b@127.0.0.1:1", "--key-file", "key"],
        &["link", "--user", "joe", "--claim", "nothing"],
        &["link", "--user", "joe", "--claim", "a=1", "--claim", "a=2"],
        &["link", "--user", "joe", "--page", "maybe"],
        &["inspect"],
        &["inspect", "a.b.c", "--ip", "here"],
        &["inspect", "https://panel.example.com/"],
        &["health", "--admin", "nowhere"],
        &["completions", "nonsense"],
        &["keys", "list", "--dir", "keys", "--config", "oncegate.toml"],
    ] {
        let done = run(dir.path(), arguments);
        assert_eq!(done.code, 64, "{arguments:?}: {}", done.err);
        assert!(done.err.starts_with("oncegate: "), "{arguments:?}: {}", done.err);
        assert_eq!(done.out, "", "{arguments:?}");
    }
}

#[test]
fn a_bad_configuration_is_64_for_every_command_that_reads_it() {
    let dir = nowhere();
    fs::write(dir.path().join("oncegate.toml"), "[gate]\nnmae = \"a\"\nname = \"A\"\n").unwrap();
    for arguments in [
        &["check"][..],
        &["serve"],
        &["keys", "list"],
        &["inspect", "a.b.c"],
        &["health"],
        &["serve", "--config", "elsewhere.toml"],
    ] {
        let done = run(dir.path(), arguments);
        assert_eq!(done.code, 64, "{arguments:?}: {}", done.err);
        assert!(done.err.contains(".toml"), "{arguments:?}: {}", done.err);
        assert_eq!(done.out, "", "{arguments:?}");
    }
}

#[test]
fn check_names_every_fault_at_once() {
    let dir = a_gate();
    let good = run(dir.path(), &["check"]);
    assert_eq!((good.code, good.err.as_str()), (0, ""));
    assert!(good.out.starts_with("oncegate.toml is good\n"), "{}", good.out);

    let faulty = [SITE, CALLER, "rate = \"often\"\n[links]\nttl = \"60\"\n[once]\nstroe = 1\n"];
    fs::write(dir.path().join("faulty.toml"), faulty.concat()).unwrap();
    let done = run(dir.path(), &["check", "--config", "faulty.toml"]);
    assert_eq!(done.code, 64);
    assert!(done.err.starts_with("faulty.toml has 3 faults\n"), "{}", done.err);
    for key in ["callers.billing.rate", "links.ttl", "once.stroe"] {
        assert!(done.err.contains(key), "{key}: {}", done.err);
    }
}

#[test]
fn check_tells_what_is_allowed_and_dangerous() {
    let dir = a_gate();
    fs::write(dir.path().join("oncegate.toml"), SITE).unwrap();
    let done = run(dir.path(), &["check"]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.out.contains("warning: callers: "), "{}", done.out);
}

#[test]
fn the_configuration_may_be_named_and_overridden_by_variables() {
    let dir = a_gate();
    fs::rename(dir.path().join("oncegate.toml"), dir.path().join("other.toml")).unwrap();
    let with = |more: Option<(&str, &str)>| {
        let mut command = command(dir.path(), &["check"]);
        done(command.env("ONCEGATE_CONFIG", "other.toml").envs(more).output().unwrap())
    };
    assert_eq!(with(None).code, 0);
    assert_eq!(with(Some(("ONCEGATE_PORT", "tcp://10.0.0.1:80"))).code, 0);
    let wrong = with(Some(("ONCEGATE_LINKS__TTL", "soon")));
    assert_eq!(wrong.code, 64);
    assert!(wrong.err.contains("ONCEGATE_LINKS__TTL"), "{}", wrong.err);
}

#[test]
fn without_keys_nothing_starts_and_the_command_that_makes_them_is_named() {
    let dir = a_gate();
    fs::remove_dir_all(dir.path().join("keys")).unwrap();
    for arguments in [&["check"][..], &["serve"], &["inspect", "a.b.c"], &["keys", "list"]] {
        let done = command(dir.path(), arguments)
            .env("ONCEGATE_LISTEN__PUBLIC", "127.0.0.1:0")
            .env("ONCEGATE_LISTEN__API", "127.0.0.1:0")
            .env("ONCEGATE_LISTEN__ADMIN", "127.0.0.1:0")
            .output()
            .map(self::done)
            .unwrap();
        assert_eq!(done.code, 1, "{arguments:?}: {}", done.err);
        assert!(done.err.contains("do: oncegate keys new"), "{arguments:?}: {}", done.err);
    }
}

#[test]
fn the_stanza_of_a_new_caller_is_configuration_and_its_key_is_the_callers() {
    let dir = nowhere();
    let made = run(dir.path(), &["caller", "new", "billing"]);
    assert_eq!((made.code, made.err.as_str()), (0, ""));
    let key = made.out.lines().nth(1).unwrap();
    assert!(key.starts_with("og_") && key.len() == 46, "{key}");
    assert_eq!(made.out.matches(key).count(), 1, "it is shown once");

    let stanza = made.out.split_once("[[callers]]").unwrap().1;
    assert!(stanza.contains("\n# dialects = [\"wisecp\"] "), "it shows where they go: {stanza}");
    let text = [SITE, "[[callers]]", stanza].concat();
    let config = Config::parse(&text, "oncegate.toml", dir.path(), std::iter::empty()).unwrap();
    let caller = oncegate::gate::caller::by_key(&config.callers, key.as_bytes()).unwrap();
    assert_eq!((caller.name.as_str(), caller.may.issue), ("billing", true));

    let again = run(dir.path(), &["caller", "new", "billing"]);
    assert_ne!(again.out.lines().nth(1), Some(key));
}

#[test]
fn a_new_caller_gets_the_sites_there_are_or_those_that_are_named() {
    let dir = nowhere();
    let site = SITE.replace("\"panel\"", "\"shop\"");
    fs::write(dir.path().join("oncegate.toml"), site).unwrap();
    let made = run(dir.path(), &["caller", "new", "billing"]);
    assert!(made.out.contains("sites = [\"shop\"]"), "{}", made.out);
    let made = run(dir.path(), &["caller", "new", "billing", "--site", "a", "--site", "b"]);
    assert!(made.out.contains("sites = [\"a\", \"b\"]"), "{}", made.out);
}

/// Runs a command that reads `input`.
fn given(dir: &Path, arguments: &[&str], input: &[u8]) -> Done {
    let mut child = command(dir, arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    done(child.wait_with_output().unwrap())
}

#[test]
fn the_stanza_of_a_new_caller_with_a_username_has_the_hash_of_its_password() {
    let dir = nowhere();
    let username = "ad\"min\\ \u{fc}\u{301}";
    let made = run(dir.path(), &["caller", "new", "campaign", "--username", username]);
    assert_eq!((made.code, made.err.as_str()), (0, ""));
    let password = made.out.lines().nth(1).unwrap();
    assert!(password.starts_with("og_") && password.len() == 46, "{password}");
    assert_eq!(made.out.matches(password).count(), 1, "it is shown once");

    let stanza = made.out.split_once("[[callers]]").unwrap().1;
    assert!(stanza.contains("\ndialects = []") && !stanza.contains("key_sha256"), "{stanza}");
    let text = [SITE, "[[callers]]", stanza].concat();
    let config = Config::parse(&text, "oncegate.toml", dir.path(), std::iter::empty()).unwrap();
    let caller = &config.callers[0];
    assert_eq!((caller.name.as_str(), caller.username.as_deref()), ("campaign", Some(username)));
    let hash = caller.password.as_ref().unwrap();
    assert_eq!(hash.matches(&Credential::of(password), &mut Memory::default()), Ok(true));
    assert_eq!(hash.matches(&Credential::of("og_"), &mut Memory::default()), Ok(false));
}

#[test]
fn a_password_is_hashed_without_the_end_of_its_line() {
    let dir = nowhere();
    let hashed = |input: &[u8]| {
        let done = given(dir.path(), &["password"], input);
        assert_eq!(done.code, 0, "{}", done.err);
        let hash = done.out.strip_suffix('\n').unwrap().parse::<PasswordHash>().unwrap();
        (hash, done.err)
    };
    let word = Credential::of("pass wörd ");
    for end in ["", "\n", "\r\n"] {
        let (hash, said) = hashed(format!("pass wörd {end}").as_bytes());
        assert_eq!(hash.matches(&word, &mut Memory::default()), Ok(true), "{end:?}");
        assert_eq!(said, "");
    }
    assert_ne!(hashed(b"x").0, hashed(b"x").0, "each has a salt of its own");
    let longest = "x".repeat(1024);
    let (hash, _) = hashed(format!("{longest}\r\n").as_bytes());
    assert_eq!(hash.matches(&Credential::of(&longest), &mut Memory::default()), Ok(true));

    // The MD5 of "pass word", as some vendors' clients send it.
    let (hash, said) = hashed(b"6A1B8A0A4B67DF9E4D8D2A6F5B8A9C0D\n");
    assert_eq!(
        hash.matches(&Credential::of("6a1b8a0a4b67df9e4d8d2a6f5b8a9c0d"), &mut Memory::default()),
        Ok(true)
    );
    assert!(said.contains("taken as the MD5") && !said.contains("6A1B"), "{said}");
}

#[test]
fn what_is_no_password_is_refused_and_not_repeated() {
    let dir = nowhere();
    let long = "hunter2".repeat(147);
    for (input, why) in [
        (&b""[..], "is empty"),
        (b"\n", "is empty"),
        (long.as_bytes(), "longer than 1 KiB"),
        (b"hunter2\nhunter2\n", "more than one line"),
        (b"hunter2\xff\n", "not UTF-8"),
    ] {
        let done = given(dir.path(), &["password"], input);
        assert_eq!((done.code, done.out.as_str()), (64, ""), "{why}");
        assert!(done.err.starts_with("oncegate: ") && done.err.contains(why), "{}", done.err);
        assert!(!done.err.contains("hunter2"), "{}", done.err);
    }
    let typed = run(dir.path(), &["password", "hunter2"]);
    assert_eq!(typed.code, 64, "a password is no argument");
}

#[test]
fn check_reads_the_directory_and_serve_refuses_a_faulty_one() {
    let dir = a_gate();
    let text = [SITE, CALLER, "[directory]\nfile = \"users.toml\"\n"].concat();
    fs::write(dir.path().join("oncegate.toml"), &text).unwrap();
    let missing = run(dir.path(), &["check"]);
    assert_eq!(missing.code, 64);
    assert!(missing.err.contains("directory.file: cannot be read"), "{}", missing.err);

    fs::write(dir.path().join("users.toml"), "[[users]]\nusername = \"joe\"\n").unwrap();
    let good = run(dir.path(), &["check"]);
    assert_eq!(good.code, 0, "{}", good.err);
    assert!(good.out.contains("users.toml is good\n"), "{}", good.out);

    fs::write(dir.path().join("users.toml"), "[[users]]\nusername = 5\n").unwrap();
    for command in ["check", "serve"] {
        let done = run(dir.path(), &[command]);
        assert_eq!((done.code, done.out.as_str()), (64, ""), "{command}");
        let report = "users.toml has 1 fault\n  line 2, users.5.username: ";
        assert!(done.err.starts_with(report), "{command}: {}", done.err);
    }
    let keys = run(dir.path(), &["keys", "list"]);
    assert_eq!(keys.code, 0, "keys have nothing to do with users: {}", keys.err);
}

#[test]
fn keys_are_made_shown_rotated_and_retired() {
    let dir = nowhere();
    let keys = |arguments: &[&str]| {
        run(dir.path(), &[&["keys"], arguments, &["--dir", "here/keys"]].concat())
    };
    assert_eq!(keys(&["list"]).code, 1);
    assert_eq!(keys(&["new"]).code, 0);
    let again = keys(&["new"]);
    assert_eq!(again.code, 1, "no key is replaced");
    assert!(again.err.contains("do: oncegate keys rotate"), "{}", again.err);

    let before = keys(&["list"]).out;
    let young = keys(&["rotate"]);
    assert_eq!((young.code, keys(&["list"]).out), (1, before.clone()));
    assert!(young.err.contains("--force"), "{}", young.err);
    assert_eq!(keys(&["rotate", "--force"]).code, 0);

    let kid = |list: &str, role: &str| {
        let line = list.lines().find(|line| line.starts_with(role)).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    let after = keys(&["list"]).out;
    assert_eq!(kid(&after, "current"), kid(&before, "next"));
    assert_eq!(kid(&after, "previous"), kid(&before, "current"));

    let jwks = keys(&["jwks"]).out;
    assert_eq!(jwks.matches("\"kid\"").count(), 3, "{jwks}");
    assert!(!jwks.contains("\"d\""), "a private key is published");

    let kept = keys(&["retire"]);
    assert!(kept.code == 0 && kept.out.contains("kept until"), "{}", kept.out);
    assert_eq!(keys(&["retire", "--force"]).code, 0);
    assert_eq!(keys(&["jwks"]).out.matches("\"kid\"").count(), 2);
}

#[test]
fn the_key_directory_is_the_configurations_unless_another_is_named() {
    let dir = nowhere();
    let text = [SITE, "[keys]\ndir = \"secret\"\n"].concat();
    fs::write(dir.path().join("oncegate.toml"), text).unwrap();
    assert_eq!(run(dir.path(), &["keys", "new"]).code, 0);
    assert!(dir.path().join("secret/current.pem").exists());
    assert!(!dir.path().join("keys").exists());
}

#[test]
fn a_good_token_would_pass_in_whatever_form_it_comes() {
    let dir = a_gate();
    let token = sign(dir.path(), &claims());
    let link = format!("https://panel.example.com/_once/l/{token}");
    let page = format!("https://panel.example.com/invoices/1?_once={token}");
    for given in [&token, &link, &page] {
        let done = run(dir.path(), &["inspect", given]);
        assert_eq!((done.code, done.err.as_str()), (0, ""), "{}", done.out);
        for part in ["\"sub\": \"joe\"", "signature    good", "caller       good", "--api"] {
            assert!(done.out.contains(part), "{part}: {}", done.out);
        }
        assert!(!done.out.contains(&token), "the whole token is printed");
    }
    let mut child = command(dir.path(), &["inspect", "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(format!("{token}\n").as_bytes()).unwrap();
    let done = done(child.wait_with_output().unwrap());
    assert_eq!(done.code, 0, "{}", done.err);
    let said: serde_json::Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!((&said["valid"], &said["claims"]["sub"]), (&true.into(), &"joe".into()));
}

#[test]
fn a_token_that_would_be_refused_is_told_why_and_at_which_step() {
    let dir = a_gate();
    let (good, elsewhere) = (claims(), a_gate());
    let signed = |change: &dyn Fn(&mut LinkClaims)| {
        let mut claims = good.clone();
        change(&mut claims);
        sign(dir.path(), &claims)
    };
    let token = signed(&|_| {});
    let forged = {
        let (rest, signature) = token.rsplit_once('.').unwrap();
        let other = signed(&|claims| claims.sub = "ann".to_owned());
        assert_ne!(other.rsplit_once('.').unwrap().1, signature);
        format!("{rest}.{}", other.rsplit_once('.').unwrap().1)
    };
    let bound = oncegate::gate::client_ip::Networks::parse(&["203.0.113.7"]).unwrap();
    for (token, code, step) in [
        ("garbage".to_owned(), "malformed", "form"),
        ("e30.e30.AAAA".to_owned(), "malformed", "header"),
        (sign(elsewhere.path(), &good), "unknown_key", "key"),
        (forged, "bad_signature", "signature"),
        (signed(&|c| (c.iat, c.exp) = (c.iat - 120, c.exp - 120)), "expired", "time"),
        (signed(&|c| (c.iat, c.exp) = (c.iat + 600, c.exp + 600)), "not_yet_valid", "time"),
        (signed(&|c| c.aud = "shop".to_owned()), "wrong_audience", "audience"),
        (signed(&|c| c.gate = Some("gate-b".to_owned())), "wrong_gate", "audience"),
        (signed(&|c| c.ips = Some(bound.clone())), "wrong_client", "address"),
        (
            signed(&|c| c.dst = Some("//evil.example".to_owned())),
            "destination_not_allowed",
            "destination",
        ),
        (signed(&|c| c.act.sub = "gone".to_owned()), "revoked", "caller"),
    ] {
        let done = run(dir.path(), &["inspect", &token]);
        assert_eq!(done.code, 1, "{code}");
        let refusal = format!("oncegate: this token would be refused now: {code}: ");
        assert!(done.err.starts_with(&refusal), "{code}: {}", done.err);
        let line = format!("{step:<12} refused: ");
        assert!(done.out.contains(&line), "{code}: {}", done.out);
        assert!(!done.out.contains(&token) || token == "garbage", "{code}: it is printed whole");

        let json = run(dir.path(), &["inspect", &token, "--json"]);
        let said: serde_json::Value = serde_json::from_str(&json.out).unwrap();
        assert_eq!((json.code, &said["code"], &said["valid"]), (1, &code.into(), &false.into()));
    }
    let token = signed(&|c| c.ips = Some(bound.clone()));
    assert_eq!(run(dir.path(), &["inspect", &token, "--ip", "203.0.113.7"]).code, 0);
    assert_eq!(run(dir.path(), &["inspect", &token, "--ip", "203.0.113.8"]).code, 1);
}

/// A gate whose site takes the links of every dialect.
fn a_gate_of_all_dialects() -> TempDir {
    let dir = a_gate();
    let tables = Dialect::ALL.map(|(name, _)| format!("[dialects.{name}]\nsite = \"panel\"\n"));
    let text = [SITE, CALLER, &tables.concat()].concat();
    fs::write(dir.path().join("oncegate.toml"), text).unwrap();
    dir
}

/// A token for this user through a dialect, and the link that carries it.
fn through(dir: &Path, dialect: Dialect, user: &str) -> (String, String) {
    let via = Some(dialect.name().to_owned());
    let claims = LinkClaims { sub: user.to_owned(), via, dst: None, ..claims() };
    let token = sign(dir, &claims);
    let origin = Origin::parse("https://panel.example.com").unwrap();
    let link = Form::of(dialect, "en").url(&origin, &token, &claims).unwrap();
    (token, link)
}

#[test]
fn a_vendors_link_passes_in_its_own_form_and_is_said_to_be_one() {
    let dir = a_gate_of_all_dialects();
    for (name, dialect) in Dialect::ALL {
        let (token, link) = through(dir.path(), dialect, "owner+plus@example.com");
        for given in [&token, &link] {
            let done = run(dir.path(), &["inspect", given]);
            assert_eq!((done.code, done.err.as_str()), (0, ""), "{name}: {}", done.out);
            assert!(done.out.contains(&format!("Z through {name}, expires ")), "{}", done.out);
            assert!(!done.out.contains(&token), "the whole token is printed");
        }
        let json = run(dir.path(), &["inspect", &link, "--json"]);
        let said: serde_json::Value = serde_json::from_str(&json.out).unwrap();
        assert_eq!((&said["valid"], &said["dialect"]), (&true.into(), &name.into()));
    }
}

#[test]
fn a_link_that_is_not_its_tokens_is_told_where_it_fails() {
    let dir = a_gate_of_all_dialects();
    let site = "https://panel.example.com";
    let (token, link) = through(dir.path(), Dialect::Wisecp, "joe");
    let (_, owners) = through(dir.path(), Dialect::Activeplatform, "owner@example.com");
    let (_, accounts) = through(dir.path(), Dialect::Allclients, "2425");
    let native = sign(dir.path(), &claims());
    for (link, code, step) in [
        (format!("{site}/_once/l/{token}"), "wrong_type", "type"),
        (format!("{site}/page?_once={token}"), "wrong_type", "type"),
        (format!("{site}/?_ssot={token}"), "wrong_type", "type"),
        (format!("{site}/en/sign-in?sso_token={native}"), "wrong_type", "type"),
        (owners.replace("owner", "other"), "malformed", "claims"),
        (accounts.replace("a=2425", "a=2426"), "malformed", "claims"),
        (accounts + "&redirect=//evil.example/", "destination_not_allowed", "destination"),
        (format!("{link}&_once={token}"), "invalid_request", "form"),
    ] {
        let done = run(dir.path(), &["inspect", &link]);
        assert_eq!(done.code, 1, "{code}: {}", done.out);
        let refusal = format!("oncegate: this token would be refused now: {code}: ");
        assert!(done.err.starts_with(&refusal), "{code}: {}", done.err);
        let refused = format!("{step:<12} refused: ");
        assert!(done.out.contains(&refused), "{code}: {}", done.out);
    }
    let elsewhere = run(dir.path(), &["inspect", &format!("{site}/page?hash={token}")]);
    assert_eq!(elsewhere.code, 64, "{}", elsewhere.out);
    assert!(elsewhere.err.starts_with("oncegate: there is no token in that"), "{}", elsewhere.err);
}

#[test]
fn no_error_prints_a_whole_token_or_a_secret() {
    let dir = a_gate();
    let token = sign(dir.path(), &claims());
    let link = format!("https://panel.example.com/_once/l/{token}");
    let key = format!("og_{}", "k".repeat(43));
    let file = dir.path().join("api.key");
    fs::write(&file, &key).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let file = file.to_str().unwrap();
    let tail = token.rsplit_once('.').unwrap().1;
    for arguments in [
        &["inspect", "a.b.c", &token][..],
        &["inspect", &token, &link],
        &["inspect", "--token", &token],
        &[&token],
        &[&link],
        &["link", "--user", "joe", "--key", &key],
        &["link", "--user", "joe", "--key-file", file, &key],
        &["link", "--user", "joe", "--claim", &token],
        &["link", "--user", "joe", "--api", "http://127.0.0.1:1", "--key-file", file],
        &["link", "--user", "joe", "--api", &link, "--key-file", file],
        &["caller", "new", &key],
    ] {
        let done = run(dir.path(), arguments);
        assert_ne!(done.code, 0, "{arguments:?}");
        for secret in [tail, &key, "kkkk"] {
            assert!(!done.err.contains(secret), "{arguments:?}: {}", done.err);
            assert!(!done.out.contains(secret), "{arguments:?}: {}", done.out);
        }
    }
}

#[test]
fn a_key_file_that_others_can_read_is_refused() {
    let dir = nowhere();
    let file = dir.path().join("api.key");
    let link = || {
        let api = ["--api", "http://127.0.0.1:1", "--key-file", "api.key"];
        run(dir.path(), &[&["link", "--user", "joe"], &api[..]].concat())
    };
    assert_eq!(link().code, 1, "there is none yet");
    fs::write(&file, "og_x\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let open = link();
    assert_eq!(open.code, 1);
    assert!(open.err.contains("mode 0644") && open.err.contains("do: chmod 600"), "{}", open.err);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let closed = link();
    assert!(closed.err.contains("no answer from"), "{}", closed.err);
}

#[test]
fn nobody_there_is_not_healthy() {
    let dir = a_gate();
    let done = run(dir.path(), &["health", "--admin", "0.0.0.0:1"]);
    assert_eq!(done.code, 1);
    assert!(done.err.contains("http://127.0.0.1:1/ready"), "{}", done.err);
}

#[test]
fn the_document_and_the_completions_are_printed() {
    let dir = nowhere();
    let document = run(dir.path(), &["openapi"]);
    assert_eq!((document.code, document.out.as_str()), (0, oncegate::edge::api::OPENAPI));
    for shell in ["bash", "zsh", "fish"] {
        let script = run(dir.path(), &["completions", shell]);
        assert!(script.code == 0 && script.out.contains("oncegate"), "{shell}");
    }
}
