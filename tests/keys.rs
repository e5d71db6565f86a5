//! The key directory: who may read it, how keys are made, rotated and retired, and what a cut
//! in the middle leaves.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
    sync::atomic::{AtomicU64, Ordering},
};

use oncegate::{
    cli::keys::{KeysAction, run},
    gate::{
        id::{MemoryId, SessionId, TokenId},
        keyring::SigningKey,
        session::Session,
    },
    store::keys::{
        self, Entry, KeyError, Lifetimes, MIN_AGE, Role, Watch, list, load, make, retire, rotate,
    },
};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

const NOW: u64 = 1_764_000_000;
const LIFETIMES: Lifetimes = Lifetimes { link: 900, session: 28_800 };

fn random() -> [u8; 32] {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    Sha256::digest(COUNT.fetch_add(1, Ordering::Relaxed).to_le_bytes()).into()
}

/// A directory with fresh keys, made at [`NOW`].
fn fresh() -> TempDir {
    let dir = TempDir::new().unwrap();
    make(dir.path(), NOW, random).unwrap();
    dir
}

fn kids(dir: &Path) -> Vec<String> {
    load(dir).unwrap().0.kids().map(str::to_owned).collect()
}

fn copy(from: &Path) -> TempDir {
    let to = TempDir::new().unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
    }
    to
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn session() -> Session {
    Session {
        user: "joe".into(),
        site: "panel".into(),
        caller: "billing".into(),
        link: TokenId::from_bytes([1; 16]),
        id: SessionId::from_bytes([2; 16]),
        mem: MemoryId::from_bytes([3; 16]),
        begun: NOW,
        issued: NOW,
        seen: NOW,
        expires: NOW + 28_800,
        ctx: None,
    }
}

#[test]
fn new_keys_are_for_their_owner_alone() {
    let parent = TempDir::new().unwrap();
    let dir = parent.path().join("keys");
    assert_eq!(make(&dir, NOW, random).unwrap(), ["session.key", "next.pem", "current.pem"]);
    assert_eq!(mode(&dir), 0o700);
    for name in ["current.pem", "next.pem", "session.key"] {
        assert_eq!(mode(&dir.join(name)), 0o600, "{name}");
    }
    assert_eq!(kids(&dir).len(), 2);
}

#[test]
fn new_never_replaces_a_key_and_makes_what_is_missing() {
    let dir = fresh();
    let before = kids(dir.path());
    let error = make(dir.path(), NOW, random).unwrap_err();
    assert!(matches!(error, KeyError::Exists { .. }), "{error}");
    fs::remove_file(dir.path().join("session.key")).unwrap();
    assert_eq!(make(dir.path(), NOW, random).unwrap(), ["session.key"]);
    assert_eq!(kids(dir.path()), before);
}

#[test]
fn a_pipe_among_the_keys_is_refused_and_not_waited_for() {
    let dir = fresh();
    let pipe = dir.path().join("previous-pipe.pem");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, mode).unwrap();
    let error = load(dir.path()).unwrap_err();
    assert!(matches!(error, KeyError::NotAKey { .. }), "{error}");
}

#[test]
fn without_a_key_the_command_that_makes_one_is_named() {
    let dir = TempDir::new().unwrap();
    for path in [dir.path().to_owned(), dir.path().join("nowhere")] {
        let error = load(&path).unwrap_err();
        assert!(matches!(error, KeyError::NoKey { .. }));
        assert!(error.to_string().contains("oncegate keys new"), "{error}");
    }
}

#[test]
fn a_key_that_others_can_reach_is_refused_and_one_for_a_group_is_not() {
    for name in ["current.pem", "next.pem", "session.key"] {
        let dir = fresh();
        let path = dir.path().join(name);
        for open in [0o644, 0o604, 0o602, 0o601, 0o666] {
            chmod(&path, open);
            let error = load(dir.path()).unwrap_err();
            assert!(matches!(error, KeyError::OpenToOthers { mode, .. } if mode == open));
            if open == 0o644 {
                let path = path.display();
                let expected =
                    format!("{path} can be read by others (mode 0644)\n  do: chmod 600 {path}");
                assert_eq!(error.to_string(), expected);
            }
        }
        for closed in [0o640, 0o660, 0o440, 0o400, 0o600] {
            chmod(&path, closed);
            load(dir.path()).unwrap();
        }
    }
}

#[test]
fn a_directory_that_others_can_write_to_is_refused() {
    let dir = fresh();
    for open in [0o777, 0o1777, 0o702] {
        chmod(dir.path(), open);
        let error = load(dir.path()).unwrap_err();
        assert!(matches!(error, KeyError::DirectoryOpenToOthers { .. }), "{error}");
        assert!(rotate(dir.path(), NOW + 500, random, true).is_err());
    }
    chmod(dir.path(), 0o755);
    load(dir.path()).unwrap();
}

#[test]
fn weak_and_foreign_keys_are_refused_and_nothing_of_them_is_shown() {
    let zero = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n-----END PRIVATE KEY-----\n";
    let good = fs::read_to_string(fresh().path().join("current.pem")).unwrap();
    let block = &good[good.find("-----BEGIN").unwrap()..];
    let other = block.replace("PRIVATE KEY", "PUBLIC KEY");
    for (why, text) in [
        ("is a weak key", zero.to_owned()),
        ("exactly one PEM block", String::new()),
        ("exactly one PEM block", good.clone() + block),
        ("\"PRIVATE KEY\"", other),
        ("\"PRIVATE KEY\"", block[..60].to_owned()),
        ("not an Ed25519 private key", block.replace("MC4C", "MC4D")),
        ("not an Ed25519 private key", block.replace("K2Vw", "K2Vx")),
    ] {
        for name in ["current.pem", "next.pem", "previous-x.pem"] {
            let dir = fresh();
            let path = dir.path().join(name);
            fs::write(&path, &text).unwrap();
            chmod(&path, 0o600);
            let error = load(dir.path()).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains(name), "{error}");
            assert!(!error.contains("BCIE"), "{error}");
        }
    }
    let dir = fresh();
    fs::copy(dir.path().join("current.pem"), dir.path().join("next.pem")).unwrap();
    assert!(load(dir.path()).unwrap_err().to_string().contains("the same key"));
}

#[test]
fn a_session_key_file_is_read_strictly_and_its_faults_name_the_line_alone() {
    let key = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA";
    let zero = "A".repeat(43);
    for (why, text) in [
        ("no line \"current\"", String::new()),
        ("no line \"current\"", format!("next {key}")),
        ("line 1: a role", "current".to_owned()),
        ("line 1: a role", format!("current {key}A")),
        ("line 1: a role", format!("current {key}=")),
        ("line 1: a time", format!("current {key} soon")),
        ("line 1: a time", format!("current {key} 1 2")),
        ("line 2: a second", format!("current {key}\ncurrent {key}")),
        ("line 2: current, next or previous", format!("current {key}\nolder {key}")),
        ("is a weak key", format!("current {zero}")),
    ] {
        let dir = fresh();
        fs::write(dir.path().join("session.key"), text).unwrap();
        let error = load(dir.path()).unwrap_err().to_string();
        assert!(error.contains(why), "{why}: {error}");
        assert!(!error.contains(&key[..8]), "{error}");
    }
    let dir = fresh();
    fs::write(dir.path().join("session.key"), format!("# mine\n\ncurrent {key}\n")).unwrap();
    load(dir.path()).unwrap();
}

#[test]
fn a_rotation_loses_no_link_and_no_session() {
    let dir = fresh();
    let (old, old_sessions) = load(dir.path()).unwrap();
    let sealed = old_sessions.seal(&session(), [7; 24]).unwrap();
    let before = kids(dir.path());

    let rotated = rotate(dir.path(), NOW + MIN_AGE, random, false).unwrap();
    let promoted = rotated.signing.unwrap();
    assert_eq!((&promoted.current, &promoted.previous), (&before[1], &before[0]));
    assert!(rotated.session);

    let after = kids(dir.path());
    assert_eq!(after[0], before[1]);
    assert_eq!(after[2], before[0]);
    assert!(!before.contains(&after[1]));
    let (new, sessions) = load(dir.path()).unwrap();
    assert!(new.find(old.current_kid()).is_some());
    assert_eq!(sessions.open(&sealed, "panel"), Some(session()));
    // A gate that has not read the rotation yet opens what one that has seals.
    let sealed = sessions.seal(&session(), [8; 24]).unwrap();
    assert_eq!(old_sessions.open(&sealed, "panel"), Some(session()));
    assert_eq!(mode(&dir.path().join(format!("previous-{}.pem", &before[0][..16]))), 0o600);
}

#[test]
fn a_next_key_younger_than_two_minutes_signs_by_force_alone() {
    let dir = fresh();
    let before = kids(dir.path());
    let error = rotate(dir.path(), NOW + MIN_AGE - 1, random, false).unwrap_err();
    assert!(matches!(error, KeyError::TooYoung { age: 119, .. }), "{error}");
    let next = dir.path().join("next.pem");
    let expected = format!(
        "{} is 119 s old: other gates and readers of the JWKS may not know it yet\n  \
         do: wait 1 s, or give --force if none of them matters",
        next.display()
    );
    assert_eq!(error.to_string(), expected);
    // A clock that went back makes it no older.
    assert!(rotate(dir.path(), NOW - 10_000, random, false).is_err());
    assert_eq!(kids(dir.path()), before);
    rotate(dir.path(), NOW + 1, random, true).unwrap();
    assert_eq!(kids(dir.path())[0], before[1]);
}

#[test]
fn a_copied_key_keeps_its_age() {
    let dir = copy(fresh().path());
    let made = |name: &str| {
        let entries = list(dir.path()).unwrap();
        entries.iter().find(|entry| entry.file == name).unwrap().made
    };
    assert_eq!(made("current.pem"), Some(NOW));
    assert_eq!(made("next.pem"), Some(NOW));
}

#[test]
fn an_operators_own_key_counts_by_its_files_time() {
    let dir = fresh();
    let path = dir.path().join("current.pem");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, &text[text.find("-----BEGIN").unwrap()..]).unwrap();
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(NOW - 5);
    File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    assert_eq!(list(dir.path()).unwrap()[0].made, Some(NOW - 5));
}

#[test]
fn a_rotation_cut_at_any_step_loads_and_is_finished_by_the_next() {
    let before = fresh();
    let old = kids(before.path());
    let after = copy(before.path());
    rotate(after.path(), NOW + MIN_AGE, random, false).unwrap();
    let previous = format!("previous-{}.pem", &old[0][..16]);

    let session_only = copy(before.path());
    fs::copy(after.path().join("session.key"), session_only.path().join("session.key")).unwrap();
    let second_name = copy(session_only.path());
    fs::copy(after.path().join(&previous), second_name.path().join(&previous)).unwrap();
    let half_written = copy(second_name.path());
    fs::write(half_written.path().join(".new-next.pem"), "-----BEGIN PRI").unwrap();
    let no_next = copy(after.path());
    fs::remove_file(no_next.path().join("next.pem")).unwrap();

    let sealed = load(before.path()).unwrap().1.seal(&session(), [7; 24]).unwrap();
    for (at, dir) in [session_only, second_name, half_written, no_next].iter().enumerate() {
        let kids_now = kids(dir.path());
        assert!(old.iter().all(|kid| kids_now.contains(kid)), "step {at}");
        assert!(load(dir.path()).unwrap().1.open(&sealed, "panel").is_some(), "step {at}");

        let again = rotate(dir.path(), NOW + MIN_AGE + 1, random, false).unwrap();
        let finished = kids(dir.path());
        assert_eq!(finished.len(), 3, "step {at}");
        assert_eq!((&finished[0], &finished[2]), (&old[1], &old[0]), "step {at}");
        // The session key had its turn before the cut.
        assert!(!again.session, "step {at}");
        assert_eq!(again.signing.is_none(), at == 3, "step {at}");
        assert!(load(dir.path()).unwrap().1.open(&sealed, "panel").is_some(), "step {at}");
    }
}

#[test]
fn two_rotations_never_meet() {
    let dir = fresh();
    let lock = File::options().write(true).open(dir.path().join(".lock")).unwrap();
    lock.lock().unwrap();
    for result in [
        rotate(dir.path(), NOW + 500, random, true).map(|_| ()),
        retire(dir.path(), NOW + 500, LIFETIMES, true).map(|_| ()),
        make(dir.path(), NOW, random).map(|_| ()),
    ] {
        assert!(matches!(result, Err(KeyError::Busy { .. })));
    }
    lock.unlock().unwrap();

    let first = kids(dir.path());
    let done: usize = std::thread::scope(|scope| {
        let rotations: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| rotate(dir.path(), NOW + 500, random, true).is_ok()))
            .collect();
        rotations.into_iter().map(|t| usize::from(t.join().unwrap())).sum()
    });
    assert!(done >= 1);
    let kids = kids(dir.path());
    assert_eq!(kids.len(), 2 + done);
    assert!(first.iter().all(|kid| kids.contains(kid)));
}

#[test]
fn whoever_loads_during_a_rotation_misses_no_key() {
    let dir = fresh();
    let mut known = kids(dir.path());
    std::thread::scope(|scope| {
        let rotating = scope.spawn(|| {
            for _ in 0..30 {
                rotate(dir.path(), NOW + 500, random, true).unwrap();
            }
        });
        while !rotating.is_finished() {
            match load(dir.path()) {
                // Nothing is retired here: what was seen once stays.
                Ok((keyring, _)) => {
                    assert!(known.iter().all(|kid| keyring.find(kid).is_some()));
                    known = keyring.kids().map(str::to_owned).collect();
                }
                Err(KeyError::Changing { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    });
    assert_eq!(kids(dir.path()).len(), 32);
}

#[test]
fn a_previous_key_is_retired_when_its_last_link_is_over() {
    let dir = fresh();
    let at = NOW + MIN_AGE;
    rotate(dir.path(), at, random, false).unwrap();
    let over = at + LIFETIMES.link + 60;

    let early = retire(dir.path(), over - 1, LIFETIMES, false).unwrap();
    assert!(early.removed.is_empty());
    let untils: Vec<_> = early.kept.iter().map(|(_, until)| *until).collect();
    assert_eq!(untils, [over, at + LIFETIMES.session + 60]);
    assert_eq!(kids(dir.path()).len(), 3);

    let retired = retire(dir.path(), over, LIFETIMES, false).unwrap();
    assert_eq!(retired.removed.len(), 1);
    assert!(retired.removed[0].kid.is_some());
    assert_eq!(kids(dir.path()).len(), 2);

    let last = retire(dir.path(), at + LIFETIMES.session + 60, LIFETIMES, false).unwrap();
    assert_eq!((last.removed.len(), last.kept.len()), (1, 0));
    assert!(last.removed[0].kid.is_none());
}

#[test]
fn force_retires_every_previous_key() {
    let dir = fresh();
    let sealed = load(dir.path()).unwrap().1.seal(&session(), [7; 24]).unwrap();
    for _ in 0..3 {
        rotate(dir.path(), NOW + 1, random, true).unwrap();
    }
    assert_eq!(kids(dir.path()).len(), 5);
    let retired = retire(dir.path(), NOW + 1, LIFETIMES, true).unwrap();
    assert_eq!((retired.removed.len(), retired.kept.len()), (6, 0));
    assert_eq!(kids(dir.path()).len(), 2);
    assert_eq!(load(dir.path()).unwrap().1.open(&sealed, "panel"), None);
}

#[test]
fn later_files_are_for_the_same_readers_as_the_current_key() {
    let dir = fresh();
    chmod(&dir.path().join("current.pem"), 0o640);
    rotate(dir.path(), NOW + 500, random, false).unwrap();
    let previous = list(dir.path()).unwrap().into_iter().find(|e| e.role == Role::Previous);
    assert_eq!(mode(&dir.path().join(previous.unwrap().file)), 0o640);
    assert_eq!(mode(&dir.path().join("session.key")), 0o640);
}

#[test]
fn a_running_gate_sees_a_rotation_and_survives_a_bad_one() {
    let dir = fresh();
    let (mut watch, first, _) = Watch::start(dir.path()).unwrap();
    assert!(watch.changed().is_none());
    rotate(dir.path(), NOW + 500, random, false).unwrap();
    let (second, _) = watch.changed().unwrap().unwrap();
    assert_ne!(first.current_kid(), second.current_kid());
    assert!(watch.changed().is_none());

    let path = dir.path().join("next.pem");
    chmod(&path, 0o644);
    assert!(watch.changed().unwrap().is_err());
    // Said once.
    assert!(watch.changed().is_none());
    chmod(&path, 0o600);
    assert!(watch.changed().unwrap().is_ok());
    assert!(watch.changed().is_none());
}

#[test]
fn openssl_reads_the_key_files() {
    if Command::new("openssl").arg("version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "openssl is missing");
        println!("skipped: openssl is missing");
        return;
    }
    let dir = fresh();
    rotate(dir.path(), NOW + 500, random, false).unwrap();
    let signing = |entry: &Entry| entry.kid.is_some();
    let entries: Vec<_> = list(dir.path()).unwrap().into_iter().filter(signing).collect();
    assert_eq!(entries.len(), 3);
    for entry in entries {
        let path = dir.path().join(entry.file);
        let read = Command::new("openssl")
            .args(["pkey", "-noout", "-text", "-in"])
            .arg(&path)
            .output()
            .unwrap();
        assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
        assert!(String::from_utf8_lossy(&read.stdout).contains("ED25519 Private-Key"));
    }
    // And what OpenSSL makes is read here.
    let own = dir.path().join("current.pem");
    let made = Command::new("openssl")
        .args(["genpkey", "-algorithm", "ed25519", "-out"])
        .arg(&own)
        .output()
        .unwrap();
    assert!(made.status.success());
    chmod(&own, 0o600);
    assert_eq!(kids(dir.path()).len(), 3);
}

#[test]
fn version_2_of_pkcs8_is_read_too() {
    use ed25519_dalek::pkcs8::EncodePrivateKey as _;
    let dir = fresh();
    let seed = random();
    let key = ed25519_dalek::SigningKey::from_bytes(&seed);
    let pem = key.to_pkcs8_pem(ed25519_dalek::pkcs8::spki::der::pem::LineEnding::CRLF).unwrap();
    // SEQUENCE of 81 bytes, INTEGER 1: the version that has the public key in it (RFC 5958).
    assert!(pem.contains("\r\nMFECAQEw"));
    fs::write(dir.path().join("current.pem"), pem.as_bytes()).unwrap();
    let (keyring, _) = load(dir.path()).unwrap();
    assert_eq!(keyring.current_kid(), SigningKey::from_secret(&seed).unwrap().kid());
}

#[test]
fn the_command_shows_what_it_did_and_no_secret() {
    let parent = TempDir::new().unwrap();
    let dir = parent.path().join("keys");
    let say = |action, now| {
        let mut out = Vec::new();
        run(action, &dir, LIFETIMES, now, random, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    let mut said = say(KeysAction::New { if_missing: false }, NOW);
    assert!(said.contains("current.pem") && said.contains("session.key"));
    said += &say(KeysAction::Rotate { force: false }, NOW + 500);
    let listed = say(KeysAction::List, NOW + 500);
    assert!(listed.contains("previous") && listed.contains("2025-11-24T16:00:00Z"), "{listed}");
    said += &listed;
    said += &say(KeysAction::Retire { force: false }, NOW + 500);
    assert!(said.contains("kept until 2025-11-24T16:24:20Z"), "{said}");
    said += &say(KeysAction::Jwks, NOW + 500);
    for kid in kids(&dir) {
        assert!(said.contains(&kid));
    }

    let mut looked = 0;
    for entry in fs::read_dir(&dir).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let secrets = text.lines().filter(|line| !line.starts_with(['#', '-']));
        for secret in secrets.flat_map(str::split_whitespace).filter(|word| word.len() > 40) {
            assert!(!said.contains(secret));
            looked += 1;
        }
    }
    assert!(looked >= 6, "{looked} secrets");
    assert!(
        run(KeysAction::New { if_missing: false }, &dir, LIFETIMES, NOW, random, &mut Vec::new())
            .is_err()
    );
}

#[test]
fn a_step_that_runs_at_every_start_makes_keys_the_first_time_and_judges_them_later() {
    let parent = TempDir::new().unwrap();
    let dir = parent.path().join("keys");
    let step = || {
        let mut out = Vec::new();
        let action = KeysAction::New { if_missing: true };
        run(action, &dir, LIFETIMES, NOW, random, &mut out)?;
        Ok::<_, oncegate::cli::keys::KeysFailed>(String::from_utf8(out).unwrap())
    };
    assert!(step().unwrap().contains("current.pem"));
    let made = fs::read(dir.join("current.pem")).unwrap();
    assert_eq!(step().unwrap(), "");
    assert_eq!(fs::read(dir.join("current.pem")).unwrap(), made);
    fs::set_permissions(dir.join("current.pem"), Permissions::from_mode(0o644)).unwrap();
    assert!(step().unwrap_err().to_string().contains("can be read by others"));
}

#[test]
fn a_fingerprint_is_of_key_files_alone() {
    let dir = fresh();
    let before = keys::fingerprint(dir.path());
    fs::write(dir.path().join("notes.txt"), "x").unwrap();
    fs::write(dir.path().join(".new-next.pem"), "x").unwrap();
    assert_eq!(keys::fingerprint(dir.path()), before);
    fs::remove_file(dir.path().join("next.pem")).unwrap();
    assert_ne!(keys::fingerprint(dir.path()), before);
}
