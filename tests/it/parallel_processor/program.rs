//! Running the example as its users do.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use serde_json::Value;
use tokio::process::{Child, Command};

/// A folder for one test, gone at its end.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "tower-quota-it-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// The records of the output.
    pub(crate) fn records(&self) -> Vec<Value> {
        let output = self.read("out.jsonl");
        let lines = output.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Those of them that succeeded.
    pub(crate) fn successes(&self) -> Vec<Value> {
        let mut records = self.records();
        records.retain(|record| record[1].is_object());
        records
    }

    pub(crate) fn summary(&self) -> Value {
        serde_json::from_str(&self.read("summary.json")).unwrap()
    }

    /// The program over `in.jsonl` and `out.jsonl`.
    pub(crate) fn job(&self, url: &str) -> Command {
        let mut command = program();
        command.arg("--requests").arg(self.path("in.jsonl"));
        command.arg("--output").arg(self.path("out.jsonl"));
        command.arg("--summary").arg(self.path("summary.json"));
        command.args(["--base-url", url]);
        command
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The program, without the caller's key.
pub(crate) fn program() -> Command {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let mut command = Command::new(PATH.get_or_init(find));
    command.env_remove("OPENAI_API_KEY").kill_on_drop(true);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs it to its end.
pub(crate) async fn end(mut command: Command) -> (i32, String, String) {
    told(command.output().await.unwrap())
}

pub(crate) async fn end_of(child: Child) -> (i32, String, String) {
    let ended = tokio::time::timeout(Duration::from_secs(60), child.wait_with_output());
    told(ended.await.expect("it ends").unwrap())
}

/// Waits until something has happened.
pub(crate) async fn until(there: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !there() {
        assert!(tokio::time::Instant::now() < deadline, "it takes too long");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn told(output: Output) -> (i32, String, String) {
    (
        output.status.code().unwrap_or(-1),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

pub(crate) fn signal(child: &Child, name: &str) {
    let id = child.id().unwrap().to_string();
    let sent = std::process::Command::new("kill")
        .args([name, &id])
        .status();
    assert!(sent.unwrap().success());
}

// Cargo builds examples beside the tests, but not for `--test it` alone.
fn find() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let built = tests.ancestors().nth(2).unwrap();
    let path = built.join("examples").join("parallel_processor");
    let sources = [
        "src",
        "examples/parallel_processor",
        "examples/data",
        "Cargo.toml",
        "Cargo.lock",
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let newest = sources
        .iter()
        .filter_map(|folder| newest(&root.join(folder)))
        .max();
    let is_fresh = fs::metadata(&path).is_ok_and(|facts| facts.modified().ok() >= newest);
    if !is_fresh {
        let profile = if built.ends_with("debug") {
            "test"
        } else {
            "release"
        };
        let status = std::process::Command::new(env!("CARGO"))
            .args([
                "build",
                "--quiet",
                "--all-features",
                "--example",
                "parallel_processor",
            ])
            .args(["--profile", profile, "--target-dir"])
            .arg(built.parent().unwrap())
            .current_dir(root)
            .status();
        assert!(status.unwrap().success(), "the example must build");
    }
    path
}

fn newest(path: &Path) -> Option<SystemTime> {
    let facts = fs::metadata(path).ok()?;
    if facts.is_file() {
        return facts.modified().ok();
    }
    let entries = fs::read_dir(path).ok()?;
    entries
        .filter_map(|entry| newest(&entry.ok()?.path()))
        .max()
}
