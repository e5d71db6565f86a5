//! Counts the instructions of a process with valgrind's callgrind, from its start to its end; and
//! by them those of each request.

use std::{
    fs,
    hint::black_box,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use ed25519_dalek::{Signer as _, SigningKey};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    gate::Home,
    load::{Load, run},
    machine::{Cores, Process},
    nginx::{self, Nginx},
    rows::{PROXIED, Row},
};

/// The argument that makes this program verify or sign, and do nothing else.
pub(crate) const SIGNATURES: &str = "--signatures";
/// What it then does.
pub(crate) const VERIFY: &str = "bare verify_strict";
pub(crate) const SIGN: &str = "bare sign";

/// How many requests come first: they fill caches, tables and buffers.
const WARM_UP: usize = 32;

/// Where the counted processes run.
pub(crate) struct Stand {
    cores: Cores,
    /// On a disk, and gone with the stand.
    dir: tempfile::TempDir,
    application: Option<Nginx>,
}

impl Stand {
    pub(crate) fn new(cores: Cores, with_application: bool) -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let application = (with_application && nginx::found().is_some())
            .then(|| Nginx::application(cores.load, &dir.path().join("application")));
        Self { cores, dir, application }
    }

    /// The instructions of one request, or of each link of a batch; `None` where what the row needs
    /// is not there.
    ///
    /// So many more requests cost the gate so many more instructions. Its start and its end, the
    /// links and the cookie that it handed out before, and the warm-up are the same in both runs,
    /// which are at once, each on a core of its own.
    pub(crate) fn request(&self, row: &Row, count: usize) -> Option<u64> {
        if row.name == PROXIED && self.application.is_none() {
            return None;
        }
        let requests = (count / row.of_each).max(1);
        let warm_up = (WARM_UP / row.of_each).max(1);
        let prepared = warm_up + 2 * requests;
        let total = |core, sent| self.gate(core, row, sent, prepared);
        let (few, many) = std::thread::scope(|scope| {
            let few = scope.spawn(|| total(self.cores.load, warm_up + requests));
            let many = total(self.cores.server, prepared);
            (few.join().unwrap(), many)
        });
        Some(many.saturating_sub(few) / (requests * row.of_each) as u64)
    }

    /// All instructions of a gate that is sent so many requests, of so many that are prepared.
    fn gate(&self, core: usize, row: &Row, sent: usize, prepared: usize) -> u64 {
        let dir = self.path(&format!("gate-{sent}"));
        let mut home = Home::new(&dir, "", self.application.as_ref().map(|nginx| nginx.at));
        let counts = dir.join("counts");
        home.under = counted(&counts);
        // A gate that sees one core has one thread for all requests.
        let (mut gate, _) = home.start(core);
        let requests = (row.requests)(&gate, prepared);
        let load = Load {
            to: (row.to)(&gate),
            connections: 1,
            renew: row.renew,
            rate: None,
            repeat: false,
            time: Duration::from_secs(600),
            good: row.good,
            refused: None,
        };
        let answered = run(&load, &requests[..sent]);
        assert_eq!(answered.good, sent, "{}", row.name);
        kill_process(Pid::from_child(&gate.process.child), Signal::TERM).unwrap();
        let total = total(&mut gate.process, &counts);
        fs::remove_dir_all(dir).unwrap();
        total
    }

    /// The instructions of one signature.
    pub(crate) fn signature(&self, what: &str, count: usize) -> u64 {
        let total = |count: usize| {
            let counts = self.path("counts");
            let mut words = counted(&counts).into_iter();
            let mut command = Command::new(words.next().unwrap());
            command.args(words).arg(std::env::current_exe().unwrap());
            command.args([SIGNATURES, what, &count.to_string()]);
            let mut process = Process::on_core(self.cores.server, what, command);
            total(&mut process, &counts)
        };
        total(2 * count).saturating_sub(total(count)) / count as u64
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// What this program does where it is counted: so many signatures of a text as long as a link's.
pub(crate) fn signatures(arguments: &[String]) {
    let [what, count] = arguments else { panic!("not a signer's arguments") };
    let text = [b'x'; 430];
    let key = SigningKey::from_bytes(&[7; 32]);
    let (signature, verifying) = (key.sign(&text), key.verifying_key());
    for _ in 0..count.parse().unwrap() {
        if what == SIGN {
            black_box(key.sign(black_box(&text)));
        } else {
            verifying.verify_strict(black_box(&text), &signature).unwrap();
        }
    }
}

/// The words of a command line before those of the program that is counted.
fn counted(into: &Path) -> Vec<String> {
    let into = format!("--callgrind-out-file={}", into.display());
    ["valgrind", "--quiet", "--tool=callgrind", &into].map(str::to_owned).into()
}

/// How many there were, once the program has ended in good order.
fn total(process: &mut Process, counts: &Path) -> u64 {
    let status = process.child.wait().unwrap();
    assert!(status.success(), "{}: {status}", process.name);
    let text = fs::read_to_string(counts).unwrap();
    let total = text.lines().rev().find_map(|line| line.strip_prefix("totals: "));
    total.expect("callgrind's totals").trim().parse().unwrap()
}
