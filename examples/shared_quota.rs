//! Many processes on one quota, in Redis or Valkey.
//!
//! ```sh
//! cargo run --example shared_quota --all-features
//! cargo run --example shared_quota --all-features -- --processes 6 --seconds 15 --redis redis://localhost:6379
//! ```
//!
//! Starts a provider in a box, whose minute is five seconds, a `redis-server` where no address is given, and processes of itself,
//! each with eight callers that always have more to send. A table shows what each has sent; it ends with what the provider saw.
//! Look at `work`: a process does nothing but name the store, and spawn the driver.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it is a program for the terminal"
)]

use std::{
    collections::VecDeque,
    env, fs, io,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    time::Duration,
};

use clap::Parser;
use http::Request;
use reqwest::Client;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep, timeout_at},
};
use tower::{ServiceBuilder, ServiceExt};
use tower_quota::{
    BoxError, BufferedBody, Limit, Quota, TokenBudgetLayer,
    edge::ReqwestService,
    quota::shared::{Call, PoolId, QuotaStore, RedisStore},
    testing::ProviderBox,
};

const MINUTE: Duration = Duration::from_secs(5);
const REQUESTS: u64 = 400;
const CALLERS: usize = 8;

/// Many processes on one quota, in Redis or Valkey, against a provider in a box.
#[derive(Clone, Parser)]
struct Settings {
    /// How many processes, from 1 to 64.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    processes: u8,
    /// For how many seconds they send.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// A server's address: redis://user:password@host:6379/0, rediss:// by TLS, redis+unix:///path. Without one, `redis-server` or
    /// `valkey-server` is started.
    #[arg(long, env = "REDIS_URL", hide_env_values = true)]
    redis: Option<String>,
    /// Set in the processes: where the provider is.
    #[arg(long, hide = true)]
    provider: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let settings = Settings::parse();
    let done = match (&settings.provider, &settings.redis) {
        (Some(provider), Some(redis)) => work(provider, redis, settings.seconds).await,
        _ => watch(&settings).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One of the processes: sends as much as it may, and writes a line for each answer.
async fn work(provider: &str, redis: &str, seconds: u64) -> Result<(), BoxError> {
    let (quota, driver) = Quota::builder()
        .limit(Limit::requests(REQUESTS, MINUTE).burst(REQUESTS / 8))
        .shared(RedisStore::connect(redis)?)
        .pool("shared-quota-example")
        .build()?;
    tokio::spawn(driver);
    let service = ServiceBuilder::new()
        .layer(TokenBudgetLayer::new(quota))
        .service(ReqwestService::new(Client::builder().no_proxy().build()?));

    let until = Instant::now() + Duration::from_secs(seconds);
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (service, url) = (service.clone(), format!("{provider}/chat/completions"));
        callers.spawn(async move {
            loop {
                let body = r#"{"model":"gpt-4o-mini","max_tokens":8,"messages":[{"role":"user","content":"Hi"}]}"#;
                let request = Request::post(&url).header("content-type", "application/json");
                let request = request.body(BufferedBody::from(body))?;
                let Ok(answer) = timeout_at(until, service.clone().oneshot(request)).await else {
                    return Ok::<_, BoxError>(());
                };
                println!("{}", answer?.status().as_u16());
            }
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller??;
    }
    Ok(())
}

/// Starts everything, and shows it.
async fn watch(settings: &Settings) -> Result<(), BoxError> {
    let (server, redis) = match &settings.redis {
        Some(redis) => (None, redis.clone()),
        None => {
            let server = Server::start()?;
            let url = server.url();
            (Some(server), url)
        }
    };
    let patience = Duration::from_secs(if server.is_some() { 5 } else { 0 });
    reach(&redis, patience).await?;
    let provider = ProviderBox::openai()
        .requests_per_minute(REQUESTS)
        .minute(MINUTE)
        .start()
        .await?;

    let processes = usize::from(settings.processes);
    println!(
        "{processes} processes, {CALLERS} callers each, on one quota of {REQUESTS} requests in {} s",
        MINUTE.as_secs()
    );
    let (tell, told) = mpsc::unbounded_channel();
    let mut children = JoinSet::new();
    for number in 0..processes {
        let mut child = tokio::process::Command::new(env::current_exe()?)
            .args(["--provider", &provider.base_url()])
            .args(["--seconds", &settings.seconds.to_string()])
            // Not among the arguments, which everybody may read: it may hold a password.
            .env("REDIS_URL", &redis)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let lines = child.stdout.take().ok_or("a process without an output")?;
        let tell = tell.clone();
        children.spawn(async move {
            let mut lines = BufReader::new(lines).lines();
            while let Some(status) = lines.next_line().await? {
                let _ = tell.send((number, status));
            }
            Ok::<_, io::Error>(child.wait().await?.success())
        });
    }
    drop(tell);
    let interrupted = tokio::select! {
        () = table(processes, told) => false,
        _ = tokio::signal::ctrl_c() => true,
    };
    let mut failed = 0;
    while let Some(child) = children.join_next().await {
        failed += usize::from(!child??);
    }
    drop(server);

    let report = provider.report();
    println!(
        "\nThe provider saw {} requests, at most {} of {REQUESTS} in any {} s.\n{} of {} requests were refused by the provider",
        report.requests,
        report.most_requests_in_a_minute,
        MINUTE.as_secs(),
        report.rate_limited,
        report.requests
    );
    if report.rate_limited > 0 {
        return Err("the processes together sent more than the limit".into());
    }
    if failed > 0 && !interrupted {
        return Err(format!("{failed} of {processes} processes failed").into());
    }
    Ok(())
}

/// A row a second, until nobody sends any more.
async fn table(processes: usize, mut told: mpsc::UnboundedReceiver<(usize, String)>) {
    let heads: Vec<_> = (1..=processes)
        .map(|number| format!("{:>6}", format!("#{number}")))
        .collect();
    println!(
        "{:>4}{}{:>8}{:>6}   the last {} s",
        "s",
        heads.concat(),
        "all",
        "429",
        MINUTE.as_secs()
    );
    let (mut sent, mut refused) = (vec![0u64; processes], 0u64);
    let mut lately = VecDeque::new();
    let begun = Instant::now();
    for second in 1.. {
        let next = begun + Duration::from_secs(second);
        loop {
            match timeout_at(next, told.recv()).await {
                Ok(Some((number, status))) => {
                    sent[number] += 1;
                    refused += u64::from(status == "429");
                    lately.push_back(Instant::now());
                }
                Ok(None) => return,
                Err(_) => break,
            }
        }
        while lately.front().is_some_and(|at| *at + MINUTE < next) {
            lately.pop_front();
        }
        let row: Vec<_> = sent.iter().map(|n| format!("{n:>6}")).collect();
        let bar = "#".repeat(lately.len() * 20 / REQUESTS as usize);
        println!(
            "{second:>4}{}{:>8}{refused:>6}   [{bar:<20}] {} of {REQUESTS}",
            row.concat(),
            sent.iter().sum::<u64>(),
            lately.len()
        );
    }
}

/// Whether there is a store, which may take so long to come up.
async fn reach(redis: &str, patience: Duration) -> Result<(), BoxError> {
    let store = RedisStore::connect(redis).map_err(|error| format!("--redis: {error}"))?;
    let pool = PoolId::new("shared-quota-example/reach");
    let call = Call {
        process: 1,
        seq: 1,
        fresh: 1,
        ..Call::default()
    };
    let begun = Instant::now();
    while let Err(error) = store.call(&pool, &[], &call).await {
        if begun.elapsed() >= patience {
            return Err(format!("--redis: {error}").into());
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// A server on a socket of its own, which ends with the program.
struct Server {
    child: Child,
    folder: PathBuf,
}

impl Server {
    fn start() -> Result<Self, BoxError> {
        let folder = env::temp_dir().join(format!("shared-quota-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        for program in ["redis-server", "valkey-server"] {
            if let Ok(child) = Self::run(program, &folder) {
                return Ok(Self { child, folder });
            }
        }
        let _ = fs::remove_dir_all(&folder);
        Err("neither redis-server nor valkey-server was found: give an address by --redis".into())
    }

    fn run(program: &str, folder: &Path) -> io::Result<Child> {
        let memory_only = ["--port", "0", "--save", "", "--appendonly", "no"];
        Command::new(program)
            .args(memory_only)
            .arg("--unixsocket")
            .arg(folder.join("s"))
            .arg("--dir")
            .arg(folder)
            .stdout(Stdio::null())
            .spawn()
    }

    fn url(&self) -> String {
        format!("redis+unix://{}/s", self.folder.display())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
