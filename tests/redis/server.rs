//! Real Redis servers, each in a directory of its own, killed when dropped.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use redis::{Connection, FromRedisValue, IntoConnectionInfo as _, RedisResult, cmd};
use tempfile::TempDir;

use super::support::process::PATIENCE;

/// A server. Its data outlives its process.
pub struct RedisServer {
    pub port: u16,
    pub dir: TempDir,
    options: Vec<String>,
    child: Option<Child>,
    /// What is run in front of it.
    wrapper: Vec<String>,
    password: Option<String>,
}

impl RedisServer {
    /// A server that keeps nothing on disk.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// A server with these options, as on its command line, that has begun to answer.
    pub fn with(options: &[&str]) -> Self {
        Self::wrapped(&[], options)
    }

    /// A server whose every write is on disk before its answer.
    pub fn durable() -> Self {
        Self::with(&["--appendonly", "yes", "--appendfsync", "always"])
    }

    /// A server run by another program.
    pub fn wrapped(wrapper: &[&str], options: &[&str]) -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let (options, wrapper) = (own(options), own(wrapper));
        let port = free_port();
        let mut server = Self { port, dir, options, child: None, wrapper, password: None };
        server.run();
        server
    }

    /// A server that wants a password.
    pub fn with_password(password: &str, options: &[&str]) -> Self {
        let mut options = options.to_vec();
        options.extend(["--requirepass", password]);
        let mut server = Self::spawned(&options);
        server.password = Some(password.to_owned());
        server.wait();
        server
    }

    fn spawned(options: &[&str]) -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let options = options.iter().map(|word| (*word).to_owned()).collect();
        let port = free_port();
        let mut server =
            Self { port, dir, options, child: None, wrapper: Vec::new(), password: None };
        server.spawn();
        server
    }

    /// Starts it on the data that is there, and waits until it answers.
    pub fn run(&mut self) {
        self.spawn();
        self.wait();
    }

    /// Starts it on the data that is there.
    pub fn spawn(&mut self) {
        assert!(self.child.is_none(), "it runs");
        let log = self.dir.path().join("log");
        let log = fs::File::options().create(true).append(true).open(log).unwrap();
        let mut words = self.wrapper.iter().map(String::as_str).chain(["redis-server"]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"]);
        command.args(["--save", "", "--enable-debug-command", "yes", "--dir"]);
        command.arg(self.dir.path()).args(&self.options);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn();
        self.child =
            Some(child.unwrap_or_else(|error| panic!("redis-server cannot be run: {error}")));
    }

    /// Waits until it answers.
    pub fn wait(&mut self) {
        let began = std::time::Instant::now();
        while self.try_ask::<String>(&["PING"]).is_err() {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().unwrap());
            let log = || fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            assert!(ended.is_none() && began.elapsed() < PATIENCE, "{ended:?}\n{}", log());
            pause();
        }
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGKILL, and a new process on what it left.
    pub fn restart(&mut self) {
        self.kill();
        self.run();
    }

    /// What it has on disk, aside.
    pub fn snapshot(&self) -> TempDir {
        let aside = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        copy(self.dir.path(), aside.path());
        aside
    }

    /// Puts back what it had on disk; it must not run.
    pub fn put_back(&self, snapshot: &Path) {
        self.wipe();
        copy(snapshot, self.dir.path());
    }

    /// Removes all its data; it must not run.
    pub fn wipe(&self) {
        assert!(self.child.is_none(), "it runs");
        for entry in fs::read_dir(self.dir.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                fs::remove_dir_all(path).unwrap();
            } else {
                fs::remove_file(path).unwrap();
            }
        }
    }

    /// Where it listens, as `once.redis.url` says it.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The line of `[once]` with which a gate uses it.
    pub fn once(&self) -> String {
        format!(
            "[once]\nstore = \"redis\"\nredis = {{ url = \"{}\", timeout = \"1s\" }}",
            self.url()
        )
    }

    /// A connection to it.
    pub fn connect(&self) -> RedisResult<Connection> {
        let info = self.url().into_connection_info()?;
        let mut redis = info.redis_settings().clone();
        if let Some(password) = &self.password {
            redis = redis.set_password(password);
        }
        let client = redis::Client::open(info.set_redis_settings(redis))?;
        client.get_connection_with_timeout(Duration::from_secs(5))
    }

    /// Asks it something, on a connection of its own.
    pub fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_ask(words).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// The same, where an error may be the answer.
    pub fn try_ask<T: FromRedisValue>(&self, words: &[&str]) -> RedisResult<T> {
        let mut connection = self.connect()?;
        let (first, rest) = words.split_first().unwrap();
        cmd(first).arg(rest).query(&mut connection)
    }

    /// Tells it to do something.
    pub fn tell(&self, words: &[&str]) {
        self.ask::<redis::Value>(words);
    }

    /// The line of `INFO` of this name.
    pub fn info(&self, name: &str) -> String {
        let all: String = self.ask(&["INFO", "everything"]);
        let line = all.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_default().to_owned()
    }

    /// Makes it a replica of another, and waits until it has all of it.
    pub fn follow(&self, primary: &Self) {
        self.tell(&["REPLICAOF", "127.0.0.1", &primary.port.to_string()]);
        self.wait_until(|server| server.info("master_link_status") == "up");
    }

    /// Waits for something.
    pub fn wait_until(&self, there: impl Fn(&Self) -> bool) {
        let began = std::time::Instant::now();
        while !there(self) {
            assert!(began.elapsed() < PATIENCE, "{}", self.ask::<String>(&["INFO"]));
            pause();
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that nobody has just now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn pause() {
    // Another process gets there; this thread waits for nothing else.
    std::thread::park_timeout(Duration::from_millis(10));
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
