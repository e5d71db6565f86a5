//! The examples, run as they stand against a gate: each prints a link that signs in once, or says
//! why there is none.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use oncegate::gate::dialect::Dialect;
use support::{
    gate::{Gate, PANEL},
    installed,
    link_page::signs_in_once,
    vendors,
};

/// A program that runs examples: the ending of their names, the program, what else it needs.
const PROGRAMS: [(&str, &str, &[&str]); 4] = [
    ("sh", "sh", &["curl", "jq"]),
    ("php", "php", &[]),
    ("py", "python3", &[]),
    ("mjs", "node", &[]),
];

/// A vendor's example: what it knows of the caller, and where on the site its link leads.
struct Example {
    dialect: Dialect,
    key: &'static str,
    user: &'static str,
    password: &'static str,
    /// How the link begins, after the site's origin.
    link: &'static str,
    /// Where the visitor lands.
    lands: &'static str,
}

const EXAMPLES: [Example; 5] = [
    Example {
        dialect: Dialect::Wisecp,
        key: vendors::WISECP,
        user: "",
        password: "",
        link: "/en/sign-in?sso_token=",
        lands: "/clientarea/services",
    },
    Example {
        dialect: Dialect::Activecampaign,
        key: "",
        user: "admin",
        password: "pass word",
        link: "/?_ssot=",
        lands: "/",
    },
    Example {
        dialect: Dialect::Activeplatform,
        key: vendors::PLATFORM,
        user: "",
        password: "",
        link: "/?user_email=owner%2Bplus%40example.com&user_token=",
        lands: "/",
    },
    Example {
        dialect: Dialect::Allclients,
        key: "",
        user: "apiuser",
        password: "api pass",
        link: "/Login.aspx?a=2425&t=0&hash=",
        lands: "/Settings.aspx",
    },
    Example {
        dialect: Dialect::Whmcs,
        key: vendors::WHMCS,
        user: "whmcs",
        password: "",
        link: "/oauth/singlesignon.php?access_token=",
        lands: "/clientarea.php",
    },
];

/// The gate of the vendors; the owner of account 505 has an email that must be encoded.
async fn start() -> Gate {
    let directory = vendors::directory();
    let spelled = directory.replace("\"owner@example.com\"", "\"owner+of-505@example.com\"");
    let directory = spelled.replace("\"owner+plus@", "\"owner-of-508@");
    let directory = directory.replace("owner+of-505", "owner+plus");
    vendors::with_directory(|text| text, directory).await
}

fn file(example: &Example, ending: &str) -> PathBuf {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    examples.join(example.dialect.name()).join(format!("call.{ending}"))
}

async fn run(gate: &Gate, example: &Example, ending: &str, with: &Example) -> Option<Output> {
    let (_, program, more) = PROGRAMS.iter().find(|(known, ..)| *known == ending)?;
    if !installed::programs(&[&[*program], *more].concat()) {
        return None;
    }
    let mut command = Command::new(program);
    command
        .arg(file(example, ending))
        .env("ONCEGATE_API", format!("http://{}", gate.api_at()))
        .env("SITE", format!("https://{PANEL}"))
        .env("VISITOR", "127.0.0.1");
    let secrets = [
        ("ONCEGATE_KEY", with.key),
        ("ONCEGATE_USER", with.user),
        ("ONCEGATE_PASSWORD", with.password),
    ];
    for (name, value) in secrets {
        // What the example does not need, it does not get.
        if value.is_empty() {
            command.env_remove(name);
        } else {
            command.env(name, value);
        }
    }
    Some(tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap())
}

/// The link that an example printed, as a request for the site.
fn target<'a>(example: &Example, output: &'a Output) -> &'a str {
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = (shown(&output.stdout), shown(&output.stderr));
    assert!(output.status.success(), "{}: {said:?}", example.dialect);
    let line = std::str::from_utf8(&output.stdout).unwrap().strip_suffix('\n').unwrap();
    let target = line.strip_prefix("https://panel.example.com");
    let target = target.filter(|target| target.starts_with(example.link));
    target.unwrap_or_else(|| panic!("{}: {said:?}", example.dialect))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_prints_a_link_that_signs_in_once() {
    let gate = start().await;
    let mut ran = 0;
    for example in &EXAMPLES {
        for (ending, ..) in PROGRAMS {
            let Some(output) = run(&gate, example, ending, example).await else { continue };
            let target = target(example, &output);
            signs_in_once(&gate, target, example.lands).await;
            ran += 1;
        }
    }
    let programs = PROGRAMS.iter().flat_map(|(_, program, more)| [&[*program], *more].concat());
    let all = installed::programs(&programs.collect::<Vec<_>>());
    assert!(ran == 20 || !all, "{ran} examples ran");
    gate.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_example_that_is_refused_prints_no_link_and_fails() {
    let gate = start().await;
    for example in &EXAMPLES {
        let or = |value: &str, other| if value.is_empty() { "" } else { other };
        let wrong = Example {
            key: or(example.key, "og_wrong"),
            password: or(example.password, "wrong"),
            ..*example
        };
        for (ending, ..) in PROGRAMS {
            let Some(output) = run(&gate, example, ending, &wrong).await else { continue };
            let shown = String::from_utf8_lossy(&output.stdout);
            let file = file(example, ending);
            assert!(!output.status.success(), "{file:?}: {shown}");
            assert!(!shown.contains("://panel"), "{file:?}: {shown}");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(!said.is_empty() && !said.contains("HTTPError"), "{file:?}: {said}");
        }
    }
    gate.stop().await;
}

#[test]
fn every_vendor_has_its_four_examples_and_nothing_else() {
    let mut found = Vec::new();
    for (name, _) in Dialect::ALL {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
        found.extend(fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    }
    let known: Vec<_> = EXAMPLES
        .iter()
        .flat_map(|example| PROGRAMS.iter().map(|(ending, ..)| file(example, ending)))
        .collect();
    assert_eq!(known.len(), 20);
    assert_eq!(found.len(), known.len(), "{found:?}");
    assert!(known.iter().all(|file| found.contains(file)), "{found:?}");
    let short = |file: &PathBuf| fs::read_to_string(file).unwrap().lines().count() <= 25;
    assert!(known.iter().all(short));
    assert!(known.iter().all(|file| file.extension() != Some(OsStr::new("rs"))));
}
