//! A disk that is full: redemption is refused, nobody is admitted, and the gate recovers by
//! itself. The real binary, on a small file system of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::json;
use support::{
    gate::Link,
    http::{Answer, Client},
    process::{At, Home, PATIENCE},
};

/// Sites of the caller that fills the journal: so many records has one of its revocations.
const SITES: usize = 761;
/// So many such revocations all but fill the two segments that a journal begins with.
const REVOCATIONS: usize = 86;
/// So many uses fill the rest, of which issuing takes a few as well.
const LINKS: usize = 2 * SEGMENT - SITES * REVOCATIONS;
/// The records of a segment of 1 MiB, of 32 bytes each behind a header of 64.
const SEGMENT: usize = ((1 << 20) - 64) / 32;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_redemption_is_refused_and_comes_back_by_itself() {
    let Some((home, disk)) = small_disk(8).await else { return };
    let (process, at) = home.start().await;
    let untried = at.link().await;
    let links = links(at).await;
    disk.fill();
    // The journal has its room already: a full disk alone costs nothing.
    let (used, lost, refused) = fill_journal(at, links).await;
    assert_eq!(refused.status, 503);
    // It may be spent: asking again is not promised to help.
    assert_eq!(refused.header("retry-after"), None);
    // Whatever space the gate gives back is taken, too.
    let full = Arc::new(AtomicBool::new(true));
    let taker = {
        let (full, filler) = (full.clone(), disk.filler());
        std::thread::spawn(move || {
            while full.load(Ordering::SeqCst) {
                fill(&filler);
                std::thread::yield_now();
            }
        })
    };
    for _ in 0..50 {
        for link in [&used, &lost, &untried] {
            let answer = at.redeem(link).await;
            let code = answer.code();
            assert!(code == "store_unavailable" || code == "fenced", "{}", answer.text());
        }
    }
    full.store(false, Ordering::SeqCst);
    taker.join().unwrap();
    std::fs::remove_file(disk.filler()).unwrap();
    let new = recovered(at).await;
    assert_eq!(at.redeem(&new).await.code(), "already_used");
    for link in [&used, &lost, &untried] {
        assert_eq!(at.redeem(link).await.code(), "fenced");
    }
    process.kill();
    // The journal after it is whole.
    let (process, at) = home.start().await;
    assert_eq!(at.redeem(&new).await.code(), "already_used");
    process.kill();
}

#[tokio::test]
async fn a_memory_that_ended_for_want_of_space_gives_back_its_own() {
    // Room for a journal and its manifest, not for two journals.
    let Some((home, disk)) = small_disk(4).await else { return };
    let (process, at) = home.start().await;
    let links = links(at).await;
    disk.fill();
    let (_, link, _) = fill_journal(at, links).await;
    recovered(at).await;
    assert_eq!(at.redeem(&link).await.code(), "fenced");
    process.kill();
}

#[tokio::test]
async fn a_gate_that_finds_its_disk_full_does_not_start_and_says_so() {
    let Some((home, disk)) = small_disk(8).await else { return };
    disk.fill();
    let (code, said) = home.spawn().ended().await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("check that once.dir is writable and its disk has room"), "{said}");
    std::fs::remove_file(disk.filler()).unwrap();
    let (process, at) = home.start().await;
    recovered(at).await;
    process.kill();
}

/// Enough links to fill a journal that [`REVOCATIONS`] have all but filled.
async fn links(at: At) -> Vec<Link> {
    let mut links = Vec::new();
    for _ in 0..LINKS {
        links.push(at.link().await);
    }
    assert!((50..200).contains(&links.len()));
    links
}

/// Fills the segments that a journal begins with, to the last record: gives the last link that
/// could be used, the first that could not, and how that was refused.
async fn fill_journal(at: At, links: Vec<Link>) -> (Link, Link, Answer) {
    // Twice the same users, as of a later second: half of it need not be kept.
    for _ in 0..2 {
        // All at once: each is answered only when its second is over.
        let mut asked = tokio::task::JoinSet::new();
        for n in 0..REVOCATIONS / 2 {
            asked.spawn(revoke_everywhere(at, format!("nobody-{n}")));
        }
        while let Some(revoked) = asked.join_next().await {
            revoked.unwrap();
        }
    }
    let mut used = None;
    for link in links {
        let answer = at.redeem(&link).await;
        if answer.status != 200 {
            assert_eq!(answer.code(), "store_unavailable", "{}", answer.text());
            return (used.expect("a link that could be used"), link, answer);
        }
        used = Some(link);
    }
    panic!("the journal is not full");
}

/// Records as many revocations as there are sites.
async fn revoke_everywhere(at: At, user: String) {
    let filler = Client::new(at.api).bearer(FILLER);
    let answer = filler.post_json("/v1/revocations", &json!({ "user": user })).await;
    assert_eq!(answer.status, 204, "{}", answer.text());
}

/// Waits until a new link works, and gives it, used.
async fn recovered(at: At) -> Link {
    let recovering = async {
        loop {
            let answer = at.client().post_json("/v1/links", &json!({ "user": "joe" })).await;
            if answer.status == 201 {
                let link = Link::of(&answer.json());
                if at.redeem(&link).await.status == 200 {
                    return link;
                }
            }
        }
    };
    tokio::time::timeout(PATIENCE, recovering).await.expect("a link that works again")
}

/// A home whose state is on a file system of `mib` MiB; `None`, with a line on standard error, where
/// none may be mounted. With `CI` set that is a panic: nothing is skipped unnoticed.
async fn small_disk(mib: usize) -> Option<(Home, Disk)> {
    use std::fmt::Write as _;
    let home = Home::new(|mut text| {
        let names: Vec<String> = (1..SITES).map(|site| format!("s{site}")).collect();
        for name in &names {
            let origin = format!("https://{name}.example.com");
            writeln!(text, "[[sites]]\nname = \"{name}\"\norigin = \"{origin}\"").unwrap();
        }
        text.push_str("[[callers]]\nname = \"filler\"\nsites = [\"panel\"");
        for name in &names {
            write!(text, ", \"{name}\"").unwrap();
        }
        let hash = support::gate::key_hash(FILLER);
        writeln!(text, "]\nkey_sha256 = [\"{hash}\"]\nmay = [\"revoke\"]\nrate = \"100000/s\"")
            .unwrap();
        text.replace("dir = \"state\"", "dir = \"disk/state\"")
    })
    .await;
    let disk = Disk(home.dir.path().join("disk"));
    std::fs::create_dir(&disk.0).unwrap();
    let size = format!("size={mib}m,mode=0777");
    let mounted = as_root("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(&disk.0).output();
    match mounted {
        Ok(mounted) if mounted.status.success() => Some((home, disk)),
        why => {
            assert!(std::env::var_os("CI").is_none(), "cannot mount a small disk: {why:?}");
            eprintln!("skipped: no small disk can be mounted here, which needs root");
            None
        }
    }
}

/// A command of root's: as it is for root, by sudo for all others, without asking.
fn as_root(program: &str) -> Command {
    if rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}

/// The key of the caller that fills the journal.
const FILLER: &str = "og_filler-key-of-the-tests";

/// A small file system. Dropping it unmounts it.
struct Disk(PathBuf);

impl Disk {
    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    fn fill(&self) {
        fill(&self.filler());
    }
}

/// Leaves no room where this file is.
fn fill(filler: &Path) {
    let mut file = File::options().create(true).append(true).open(filler).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: its process may still be on its way out.
        let _ = as_root("umount").arg("-l").arg(&self.0).status();
    }
}
