//! Many processes on one quota, in Redis or Valkey.
//!
//! ```sh
//! cargo run --example shared_quota --all-features -- --processes 6 --seconds 15
//! cargo run --example shared_quota --all-features -- --redis redis://localhost:6379
//! ```
//!
//! Starts a provider in a box, whose minute is five seconds, a `redis-server` where no address is given, and processes of itself,
//! each with eight callers that always have more to send. A table shows what each has sent; it ends with what the provider saw.
#![allow(clippy::print_stdout, reason = "it is a program for the terminal")]

use std::{
    env,
    process::{Child, Command, Stdio},
    time::Duration,
};

use clap::Parser;
use http::Request;
use reqwest::Client;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tower::{ServiceBuilder, ServiceExt};
use tower_quota::{
    BoxError, BufferedBody, Limit, Quota, TokenBudgetLayer, edge::ReqwestService,
    quota::shared::RedisStore, testing::ProviderBox,
};

const MINUTE: Duration = Duration::from_secs(5);
const REQUESTS: u64 = 400;

#[derive(Clone, Parser)]
struct Settings {
    /// How many processes.
    #[arg(long, default_value_t = 4)]
    processes: usize,
    /// For how many seconds they send.
    #[arg(long, default_value_t = 12)]
    seconds: u64,
    /// A server's address; without one, `redis-server` or `valkey-server` is started on a socket of its own.
    #[arg(long)]
    redis: Option<String>,
    /// Set in the processes: where the provider is.
    #[arg(long, hide = true)]
    provider: Option<String>,
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let settings = Settings::parse();
    match (&settings.provider, &settings.redis) {
        (Some(provider), Some(redis)) => work(provider, redis, settings.seconds).await,
        _ => watch(settings).await,
    }
}

/// One of the processes: sends as much as it may, and writes a dot for each answer.
async fn work(provider: &str, redis: &str, seconds: u64) -> Result<(), BoxError> {
    let (quota, driver) = Quota::builder()
        .limit(Limit::requests(REQUESTS, MINUTE))
        .shared(RedisStore::connect(redis)?)
        .pool("shared-quota-example")
        .build()?;
    tokio::spawn(driver);
    let service = ServiceBuilder::new()
        .layer(TokenBudgetLayer::new(quota))
        .service(ReqwestService::new(Client::builder().no_proxy().build()?));
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut callers = JoinSet::new();
    for _ in 0..8 {
        let (service, url) = (service.clone(), format!("{provider}/chat/completions"));
        callers.spawn(async move {
            loop {
                let body = r#"{"model":"gpt-4o-mini","max_tokens":8,"messages":[{"role":"user","content":"Hi"}]}"#;
                let request = Request::post(&url).header("content-type", "application/json");
                let request = request.body(BufferedBody::from(body))?;
                let Ok(answer) = tokio::time::timeout_at(until, service.clone().oneshot(request)).await else {
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
async fn watch(settings: Settings) -> Result<(), BoxError> {
    let provider = ProviderBox::openai()
        .requests_per_minute(REQUESTS)
        .minute(MINUTE)
        .start()
        .await?;
    let folder = env::temp_dir().join(format!("shared-quota-{}", std::process::id()));
    let mut server = None;
    let redis = match settings.redis.clone() {
        Some(redis) => redis,
        None => {
            std::fs::create_dir_all(&folder)?;
            server = Some(Killed(start(&folder)?));
            sleep(Duration::from_millis(300)).await;
            format!("redis+unix://{}/s", folder.display())
        }
    };
    let (tell, mut told) = mpsc::unbounded_channel();
    for number in 0..settings.processes {
        let mut child = tokio::process::Command::new(env::current_exe()?)
            .args(["--provider", &provider.base_url(), "--redis", &redis])
            .args(["--seconds", &settings.seconds.to_string()])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let lines = child.stdout.take().ok_or("no output")?;
        let tell = tell.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(lines).lines();
            while let Ok(Some(status)) = lines.next_line().await {
                let _ = tell.send((number, status));
            }
            let _ = child.wait().await;
        });
    }
    drop(tell);
    let header: Vec<_> = (1..=settings.processes)
        .map(|number| format!("{:>8}", format!("#{number}")))
        .collect();
    println!("{:>6}{}{:>8}", "s", header.concat(), "429");
    let (mut sent, mut refused) = (vec![0u64; settings.processes], 0u64);
    let begun = Instant::now();
    let mut next = Duration::from_secs(1);
    loop {
        let left = next.saturating_sub(begun.elapsed());
        match timeout(left, told.recv()).await {
            Ok(Some((number, status))) => {
                sent[number] += 1;
                refused += u64::from(status == "429");
            }
            Ok(None) => break,
            Err(_) => {
                let row: Vec<_> = sent.iter().map(|n| format!("{n:>8}")).collect();
                println!("{:>6}{}{refused:>8}", next.as_secs(), row.concat());
                next += Duration::from_secs(1);
            }
        }
    }
    drop(server);
    let _ = std::fs::remove_dir_all(&folder);
    println!("\nThe provider saw:\n{}", provider.report());
    if refused > 0 {
        return Err(format!("{refused} requests were refused by the provider").into());
    }
    Ok(())
}

fn start(folder: &std::path::Path) -> Result<Child, BoxError> {
    for program in ["redis-server", "valkey-server"] {
        let child = Command::new(program)
            .args([
                "--port",
                "0",
                "--save",
                "",
                "--appendonly",
                "no",
                "--unixsocket",
            ])
            .arg(folder.join("s"))
            .arg("--dir")
            .arg(folder)
            .stdout(Stdio::null())
            .spawn();
        if let Ok(child) = child {
            return Ok(child);
        }
    }
    Err("neither redis-server nor valkey-server was found: give an address by --redis".into())
}

/// A server that ends with the program.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
