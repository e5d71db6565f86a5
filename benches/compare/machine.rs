//! The machine: its cores, its clock of each process, what it is and what runs on it.

use std::{
    fs,
    io::Read as _,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The core of whoever serves, and the core of the load and of all that is behind the server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cores {
    pub server: usize,
    pub load: usize,
    pub count: usize,
}

impl Cores {
    /// The first two that this process may use; on a machine with one core both are that one.
    pub(crate) fn found() -> Self {
        let allowed = sched_getaffinity(None).unwrap();
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        let server = cores.next().unwrap_or_default();
        Self { server, load: cores.next().unwrap_or(server), count: allowed.count() as usize }
    }
}

/// Keeps this thread, and what it starts from here on, on one core.
pub(crate) fn pin(core: usize) {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).unwrap();
}

/// Lets time pass.
#[allow(clippy::disallowed_methods, reason = "no executor runs on this thread")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// A process that ends with its owner.
#[derive(Debug)]
pub(crate) struct Process {
    pub name: String,
    pub child: Child,
}

impl Process {
    /// Starts a program that sees one core alone.
    pub(crate) fn on_core(core: usize, name: &str, mut command: Command) -> Self {
        command.stdin(Stdio::piped());
        let started = std::thread::spawn(move || {
            // What a thread starts inherits its core.
            pin(core);
            command.spawn()
        });
        let child = started.join().unwrap().unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { name: name.to_owned(), child }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until something listens there, and the process still runs.
    pub(crate) fn listens(&mut self, at: SocketAddr) {
        for _ in 0..600 {
            if std::net::TcpStream::connect(at).is_ok() {
                return;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                let mut said = String::new();
                if let Some(mut stderr) = self.child.stderr.take() {
                    let _ = stderr.read_to_string(&mut said);
                }
                panic!("{}: {status} {said}", self.name);
            }
            pause(Duration::from_millis(100));
        }
        panic!("{} does not listen on {at}", self.name);
    }

    /// The time that it has had of processors, in all its threads.
    pub(crate) fn cpu(&self) -> Duration {
        let mut nanoseconds = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.id())).unwrap().flatten() {
            // A thread may end between the two.
            let Ok(text) = fs::read_to_string(task.path().join("schedstat")) else { continue };
            nanoseconds += text.split(' ').next().map_or(0, |ns| ns.parse().unwrap_or(0));
        }
        Duration::from_nanos(nanoseconds)
    }

    /// Bytes of memory that it has resident.
    pub(crate) fn resident(&self) -> u64 {
        resident(&self.id().to_string())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Bytes of memory that the process of this number, or `self`, has resident.
pub(crate) fn resident(process: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// The processor time of this thread.
pub(crate) fn own_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// An address on this machine that nobody listens on just now.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// What a program says of its version, as one line; `None` where it is not there.
pub(crate) fn version(program: impl AsRef<Path>, argument: &str) -> Option<String> {
    let output = Command::new(program.as_ref()).arg(argument).output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    text.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
}

/// The version of a crate that this was built with.
pub(crate) fn crate_version(name: &str) -> String {
    let lock = include_str!("../../Cargo.lock");
    let after = lock.split(&format!("name = \"{name}\"\nversion = \"")).nth(1).unwrap_or("?");
    after.split('"').next().unwrap_or("?").to_owned()
}

/// The processor's name, and the kernel.
pub(crate) fn described() -> (String, String) {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let of = |key: &str| {
        let line = info.lines().find(|line| line.starts_with(key))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let processor = of("model name").unwrap_or_default();
    let model = of("model\t").map(|model| format!(", model {model}")).unwrap_or_default();
    let kernel = rustix::system::uname();
    (format!("{processor}{model}"), kernel.release().to_string_lossy().into_owned())
}

/// The file system that a folder is on: its kind and its device.
pub(crate) fn file_system(folder: &Path) -> String {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let folder = folder.canonicalize().unwrap();
    let fields = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let found = mounts
        .lines()
        .map(fields)
        .filter(|mount| mount.len() > 2 && folder.starts_with(&mount[1]))
        .max_by_key(|mount| mount[1].len());
    found.map_or_else(String::new, |mount| format!("{} on {}", mount[2], mount[0]))
}
