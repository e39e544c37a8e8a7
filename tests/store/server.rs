//! Real servers, each on a socket or a port of its own.

use std::{
    env, fs,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use tower_quota::quota::shared::RedisStore;

/// Options that add a user `pool`, whose password is `secret`, with what the page says is enough.
pub fn user() -> Vec<&'static str> {
    let page = include_str!("../../src/quota/shared/mod.rs");
    let line = page.lines().find_map(|line| line.strip_prefix("//! user "));
    let permissions = line.expect("the page names permissions").split(' ');
    std::iter::once("--user").chain(permissions).collect()
}

/// The program, or `None` where there is none and that is allowed: loudly.
pub fn program() -> Option<PathBuf> {
    let named = env::var_os("REDIS_SERVER_BIN").map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let found = named
        .into_iter()
        .chain(["redis-server", "valkey-server"].iter().flat_map(|name| {
            env::split_paths(&path)
                .map(|dir| dir.join(name))
                .collect::<Vec<_>>()
        }));
    let program = found.into_iter().find(|path| path.is_file());
    if program.is_none() {
        assert!(
            env::var_os("CI").is_none_or(|ci| ci.is_empty()),
            "no redis-server: CI has to have one (REDIS_SERVER_BIN, or on the PATH)"
        );
        eprintln!(
            "LEFT OUT, WITHOUT A SERVER: install redis-server or valkey-server, or set REDIS_SERVER_BIN"
        );
    }
    program
}

/// A server, killed when it's dropped.
pub struct Server {
    program: PathBuf,
    child: Option<Child>,
    dir: PathBuf,
    port: u16,
    options: Vec<String>,
}

impl Server {
    /// On a socket in a folder of its own. `None` where there is no server to be had.
    pub fn start(options: &[&str]) -> Option<Self> {
        Self::begin(0, options)
    }

    /// On a free port as well.
    pub fn on_a_port(options: &[&str]) -> Option<Self> {
        Self::begin(free_port(), options)
    }

    fn begin(port: u16, options: &[&str]) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = env::temp_dir().join(format!("tower-quota-{}-{number}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let options = options
            .iter()
            .map(|option| option.replace("{dir}", dir.to_str().unwrap()))
            .collect();
        let mut server = Self {
            program: program()?,
            child: None,
            dir,
            port,
            options,
        };
        server.run();
        Some(server)
    }

    /// Starts it, empty.
    pub fn run(&mut self) {
        let _ = fs::remove_file(self.socket());
        let child = Command::new(&self.program)
            .args([
                "--port",
                &self.port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
            ])
            .arg("--unixsocket")
            .arg(self.socket())
            .arg("--dir")
            .arg(&self.dir)
            .args(&self.options)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let began = Instant::now();
        while !self.socket().exists() || self.raw(&["PING"]).is_err_and(|error| error.is_io_error())
        {
            assert!(
                began.elapsed() < Duration::from_secs(10),
                "the server doesn't start"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn socket(&self) -> PathBuf {
        self.dir.join("s")
    }

    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its address by that port.
    pub fn tcp(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    pub fn store(&self) -> RedisStore {
        RedisStore::connect(&self.url()).unwrap()
    }

    fn raw(&self, command: &[&str]) -> Result<::redis::Value, ::redis::RedisError> {
        ask(&self.url(), command)
    }

    pub fn try_command(&self, command: &[&str]) -> Result<::redis::Value, ::redis::RedisError> {
        self.raw(command)
    }

    /// A command by the side door.
    pub fn command(&self, command: &[&str]) -> ::redis::Value {
        self.raw(command).unwrap()
    }

    fn stats(&self) -> Vec<String> {
        let text = match self.command(&["INFO", "commandstats"]) {
            ::redis::Value::BulkString(bytes) => String::from_utf8(bytes).unwrap(),
            ::redis::Value::VerbatimString { text, .. } => text,
            other => panic!("{other:?}"),
        };
        text.lines().map(str::to_owned).collect()
    }

    /// How many scripts it has run.
    pub fn calls(&self) -> u64 {
        let stats = self.stats();
        let scripts = stats.iter().filter(|line| line.starts_with("cmdstat_eval"));
        scripts.map(|line| field(line, "calls=") as u64).sum()
    }

    /// What the costliest of its commands takes it, in microseconds.
    pub fn micros(&self) -> f64 {
        let stats = self.stats();
        let asked = ["cmdstat_evalsha:", "cmdstat_incr:"];
        let asked = stats
            .iter()
            .filter(|line| asked.iter().any(|name| line.starts_with(name)));
        asked
            .map(|line| field(line, "usec_per_call="))
            .fold(0.0, f64::max)
    }

    fn signal(&self, name: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(
            Command::new("kill")
                .args([name, &id])
                .status()
                .unwrap()
                .success()
        );
    }

    pub fn stop(&self) {
        self.signal("-STOP");
    }

    pub fn go_on(&self) {
        self.signal("-CONT");
    }

    /// Kills it as nothing else does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A command, over a connection of its own.
pub fn ask(url: &str, command: &[&str]) -> Result<::redis::Value, ::redis::RedisError> {
    let client = ::redis::Client::open(url)?;
    let mut connection = client.get_connection_with_timeout(Duration::from_secs(2))?;
    connection.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut cmd = ::redis::cmd(command[0]);
    command[1..].iter().for_each(|part| {
        cmd.arg(*part);
    });
    cmd.query(&mut connection)
}

fn field(line: &str, name: &str) -> f64 {
    let value = line
        .split(name)
        .nth(1)
        .and_then(|rest| rest.split(',').next());
    value.and_then(|value| value.parse().ok()).unwrap_or(0.0)
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A port that nobody listens at, and none of those that the system gives to clients: there one may be taken before the server
/// that it is for has started.
pub fn free_port() -> u16 {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id() * 61;
    let free = (0..12_000).find_map(|_| {
        let number = first + NUMBER.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + (number % 12_000) as u16;
        TcpListener::bind(("127.0.0.1", port))
            .is_ok()
            .then_some(port)
    });
    free.expect("a port that is free")
}
