//! The directory's file: what it takes, what it refuses, and how it says so.
#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::{
    fmt::Write as _,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use oncegate::{
    config::{self, Config, Faults},
    gate::{
        directory::{Records, Scalar},
        password::{Credential, Memory},
    },
};
use proptest::prelude::*;
use tempfile::TempDir;

const CONFIG: &str = r#"
[gate]
issuer = "https://login.example.com"
[[sites]]
name = "panel"
origin = "https://panel.example.com"
[directory]
file = "directory.toml"
"#;

fn vectors(under: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(under)
}

/// Reads a directory's file with this text.
fn records(text: impl AsRef<[u8]>) -> Result<Records, Faults> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("directory.toml");
    fs::write(&file, text).unwrap();
    config::records(&file)
}

/// A configuration that names `directory.toml`, and that file with this text.
fn beside(config: &str, directory: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("oncegate.toml"), config).unwrap();
    fs::write(dir.path().join("directory.toml"), directory).unwrap();
    dir
}

fn load(dir: &TempDir) -> Result<Config, Faults> {
    let env = [("ONCEGATE_GATE__NAME".to_owned(), "gate-a".to_owned())];
    Config::load(&dir.path().join("oncegate.toml"), env.into_iter())
}

#[test]
fn a_file_with_every_key_loads_and_means_what_it_says() {
    let records = config::records(&vectors("config").join("directory.toml")).unwrap();
    let joe = records.user("joe").unwrap();
    for name in ["18", "joe@example.com"] {
        assert_eq!(records.user(name), Some(joe), "{name}");
    }
    assert_eq!((joe.id, joe.active), (Some(18), false));
    assert_eq!(
        joe.password
            .as_ref()
            .unwrap()
            .matches(&Credential::of("pass word"), &mut Memory::default()),
        Ok(true)
    );
    let fields = [
        ("can_edit".to_owned(), Scalar::Flag(true)),
        ("credits".to_owned(), Scalar::Integer(-7)),
        ("first_name".to_owned(), Scalar::Text("Zoë <&>".to_owned())),
    ];
    assert_eq!(joe.fields, fields);
    let ann = records.user("ann@example.com").unwrap();
    assert_eq!((ann.id, ann.active, ann.password.is_none()), (None, true, true));
    assert!(ann.fields.is_empty());

    let account = records.account(505).unwrap();
    assert_eq!((account.reseller, account.active, account.sign_on_url), (Some(7), true, true));
    assert_eq!(account.owner_email.as_deref(), Some("owner+plus@example.com"));
    let bare = records.account(506).unwrap();
    assert_eq!((bare.reseller, bare.active, bare.sign_on_url), (None, true, false));
    assert_eq!(records.reseller(7).unwrap().parent, Some(1));
    assert_eq!(records.reseller(1).unwrap().parent, None);
}

#[test]
fn an_empty_file_knows_nobody() {
    assert!(records("").unwrap().user("joe").is_none());
}

#[test]
fn every_faulty_file_gets_its_report() {
    let mut files: Vec<PathBuf> = fs::read_dir(vectors("directory"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "toml"))
        .collect();
    files.sort();
    assert!(files.len() >= 4, "only {} faulty files found", files.len());
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap();
        let report = config::records(&file).expect_err(name).to_string();
        let report = report.replace(file.to_str().unwrap(), name);
        let expected = fs::read_to_string(file.with_extension("report")).unwrap_or_default();
        assert_eq!(report.trim(), expected.trim(), "\n{report}\n");
        assert!(!report.contains("hunter2"), "{name}: a secret is in the report");
    }
}

#[test]
fn no_name_of_a_user_finds_another_one() {
    let user = |keys: &str| format!("[[users]]\n{keys}\n");
    let joe = user("id = 18\nusername = \"joe\"\nemail = \"joe@example.com\"");
    for (other, key) in [
        ("username = \"18\"", "users.18.username"),
        ("username = \"joe@example.com\"", "users.joe@example.com.username"),
        ("username = \"ann\"\nemail = \"joe@example.com\"", "users.ann.email"),
        ("username = \"ann\"\nid = 18", "users.ann.id"),
        ("username = \"joe\"", "users.2.username"),
    ] {
        let other = user(other);
        let faults = records([&joe[..], &other[..]].concat()).unwrap_err();
        let [fault] = faults.list() else { panic!("{other}: {faults}") };
        assert_eq!(fault.key, key);
        records([&other[..], &joe[..]].concat()).unwrap_err();
    }
    records(user("id = 18\nusername = \"18\"\nemail = \"joe@example.com\"")).unwrap();
}

#[test]
fn no_user_is_called_as_an_account_is_signed_in_to() {
    let file = |username: &str| {
        records(format!("[[accounts]]\nid = 2425\n[[users]]\nusername = \"{username}\"\n"))
    };
    for username in ["2425", "2425/7", "2425/0"] {
        let faults = file(username).unwrap_err();
        let [fault] = faults.list() else { panic!("{username}: {faults}") };
        assert_eq!(fault.key, format!("users.{username}.username"));
        assert!(fault.what.contains("accounts.2425"), "{fault}");
    }
    for username in ["2426", "2426/7", "2425/", "2425/joe", "2425/7/8", "02425", "24", "joe"] {
        file(username).unwrap();
    }
    // A number alone is none's name: who has it is found by it and signed in by username.
    records("[[accounts]]\nid = 18\n[[users]]\nid = 18\nusername = \"joe\"\n").unwrap();
}

#[test]
fn a_file_that_others_can_write_is_a_fault_and_hashes_they_can_read_are_warned_of() {
    let hash = fs::read_to_string(vectors("config").join("clients.argon2")).unwrap();
    let joe = "[[users]]\nusername = \"joe\"\n";
    let with_hash = format!("{joe}password = \"{}\"\n", hash.trim());
    let of_mode = |text: &str, mode: u32| {
        let dir = beside(CONFIG, text);
        let file = dir.path().join("directory.toml");
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        load(&dir).map(|config| {
            let of_file = |warning: &String| warning.starts_with("directory.file: ");
            config.warnings.into_iter().filter(of_file).collect::<Vec<_>>()
        })
    };
    for mode in [0o600, 0o640, 0o660] {
        assert_eq!(of_mode(&with_hash, mode).unwrap(), Vec::<String>::new(), "{mode:o}");
    }
    let told = of_mode(&with_hash, 0o644).unwrap();
    assert!(matches!(&told[..], [one] if one.contains("chmod o-rwx")), "{told:?}");
    assert!(of_mode(joe, 0o644).unwrap().is_empty(), "there is no hash to be read");
    for text in [joe, &with_hash] {
        let said = of_mode(text, 0o646).unwrap_err().to_string();
        assert!(said.contains("mode 0646: lets others say") && said.contains("chmod"), "{said}");
    }
}

#[test]
fn a_caller_is_of_a_reseller_that_the_file_has() {
    let caller = format!(
        "[[callers]]\nname = \"platform\"\nkey_sha256 = [\"{}\"]\nsites = [\"panel\"]\n\
         dialects = [\"activeplatform\"]\nreseller = 7\n\
         [dialects.activeplatform]\nsite = \"panel\"\n",
        "7d3f6c1a".repeat(8)
    );
    let with = |id: u32| {
        load(&beside(&[CONFIG, &caller].concat(), &format!("[[resellers]]\nid = {id}\n")))
    };
    with(7).unwrap();
    let faults = with(8).unwrap_err();
    let [fault] = faults.list() else { panic!("{faults}") };
    assert_eq!(fault.key, "callers.platform.reseller");
    assert!(fault.what.starts_with("there is no reseller 7 in the directory"), "{fault}");
}

#[test]
fn every_circle_of_parents_is_named_once() {
    let tree = |parents: &[(u32, u32)]| {
        let mut text = "[[resellers]]\nid = 100\n".to_owned();
        for (id, parent) in parents {
            writeln!(text, "[[resellers]]\nid = {id}\nparent = {parent}").unwrap();
        }
        records(text)
    };
    tree(&[(1, 100), (2, 1), (3, 1), (4, 3)]).unwrap();
    for (parents, named) in [
        (&[(1, 1)][..], "1 is"),
        (&[(1, 2), (2, 1)], "1, 2 are"),
        (&[(5, 2), (2, 3), (3, 4), (4, 2)], "2, 3, 4 are"),
    ] {
        let faults = tree(parents).unwrap_err();
        let [fault] = faults.list() else { panic!("{faults}") };
        assert!(fault.what.starts_with(named), "{fault}");
    }
    assert_eq!(tree(&[(1, 1), (2, 2)]).unwrap_err().list().len(), 2);
}

#[test]
fn the_faults_of_both_files_come_at_once() {
    let faulty = CONFIG.replace("[gate]", "[gate]\nnmae = 1");
    let good = beside(CONFIG, "[[resellers]]\nid = 1\n");
    load(&good).unwrap();

    let both = load(&beside(&faulty, "[[resellers]]\nid = 0\n")).unwrap_err();
    assert_eq!((both.list().len(), both.of_directory().unwrap().list().len()), (1, 1));
    let report = both.to_string();
    for part in ["oncegate.toml has 1 fault\n", "gate.nmae", "directory.toml has 1 fault\n"] {
        assert!(report.contains(part), "{part}: {report}");
    }

    let theirs = load(&beside(CONFIG, "[[resellers]]\nid = 0\n")).unwrap_err().to_string();
    assert!(theirs.contains("directory.toml has 1 fault\n  line 2, resellers.0.id: "), "{theirs}");
    assert!(!theirs.contains("oncegate.toml"), "{theirs}");
    let ours = load(&beside(&faulty, "")).unwrap_err();
    assert!(ours.of_directory().is_none(), "{ours}");
}

#[test]
fn a_file_that_is_not_there_is_a_fault_of_the_key_that_names_it() {
    let dir = beside(CONFIG, "");
    fs::remove_file(dir.path().join("directory.toml")).unwrap();
    let faults = load(&dir).unwrap_err();
    let [fault] = faults.list() else { panic!("{faults}") };
    assert_eq!(fault.key, "directory.file");
    assert!(fault.what.contains("cannot be read: "), "{fault}");
}

#[test]
fn what_asks_nothing_of_the_directory_does_not_read_it() {
    let dir = beside(CONFIG, "[[resellers]]\nid = 0\n");
    let env = [("ONCEGATE_GATE__NAME".to_owned(), "gate-a".to_owned())];
    Config::load_alone(&dir.path().join("oncegate.toml"), env.into_iter()).unwrap();
}

#[test]
fn a_file_that_is_not_utf8_is_told_where() {
    let faults = records(b"[[users]]\nusername = \"caf\xe9\"\n").unwrap_err();
    assert!(faults.to_string().contains("line 2: is not UTF-8"), "{faults}");
}

#[test]
fn a_hundred_thousand_users_load() {
    let hash = fs::read_to_string(vectors("config").join("clients.argon2")).unwrap();
    let mut text = "[[resellers]]\nid = 1\n".to_owned();
    for id in 1..=100_000 {
        writeln!(
            text,
            "[[users]]\nid = {id}\nusername = \"user{id}\"\nemail = \"u{id}@example.com\""
        )
        .unwrap();
        writeln!(text, "password = \"{}\"\nfields = {{ credits = {id} }}", hash.trim()).unwrap();
    }
    for id in 2..=10_000 {
        writeln!(text, "[[resellers]]\nid = {id}\nparent = {}", id - 1).unwrap();
    }
    let records = records(text).unwrap();
    assert_eq!(records.user("u100000@example.com").unwrap().username, "user100000");
    assert_eq!(records.reseller(10_000).unwrap().parent, Some(9_999));
}

proptest! {
    #[test]
    fn a_mangled_file_loads_or_says_why(
        at in any::<prop::sample::Index>(),
        length in 0_usize..40,
        put in "[\\[\\]{}=\"'.,#@a-c0-9\n ]{0,8}",
    ) {
        let good = fs::read_to_string(vectors("config").join("directory.toml")).unwrap();
        let mut text: Vec<char> = good.chars().collect();
        let from = at.index(text.len());
        let to = (from + length).min(text.len());
        text.splice(from..to, put.chars());
        let text: String = text.into_iter().collect();
        if let Err(faults) = records(text) {
            prop_assert!(!faults.list().is_empty(), "refused without a reason");
        }
    }
}
