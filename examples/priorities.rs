//! Background work and people who wait for their answers, on one quota.
//!
//! ```sh
//! cargo run --example priorities --all-features
//! ```
//!
//! A provider in a box takes 120 requests in a minute of six seconds. Sixteen workers in the background always have more to send;
//! somebody at a chat window asks every 200 ms. Three times over: without priorities, with them, and with a quarter of the limit
//! kept for the chats.
#![allow(clippy::print_stdout, reason = "it is a program for the terminal")]

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::Request;
use reqwest::Client;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tower::{ServiceBuilder, ServiceExt, util::BoxCloneSyncService};
use tower_quota::{
    BoxError, BufferedBody, Limit, Priority, Quota, TokenBudgetLayer, edge::ReqwestService,
    quota::QuotaBuilder, testing::ProviderBox,
};

const MINUTE: Duration = Duration::from_secs(6);
const REQUESTS: u64 = 120;
const RUN: Duration = Duration::from_secs(18);

/// Answers with the status.
type Service = BoxCloneSyncService<Request<BufferedBody>, u16, BoxError>;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    println!(
        "{:>24}  {:>10}  {:>10}  {:>11}  {:>4}",
        "", "chat p50", "chat p99", "background", "429"
    );
    let limit = || Quota::builder().limit(Limit::requests(REQUESTS, MINUTE));
    run("first come, first served", limit(), |_| Priority::Standard).await?;
    run("priorities", limit(), priority).await?;
    let kept = limit().keep_for(Priority::Interactive, 0.25);
    run("a quarter kept", kept, priority).await
}

/// What a request says of itself; the header goes no further than your own process needs it to.
fn priority(request: &Request<BufferedBody>) -> Priority {
    match request
        .headers()
        .get("x-priority")
        .map(|value| value.as_bytes())
    {
        Some(b"interactive") => Priority::Interactive,
        Some(b"background") => Priority::Background,
        _ => Priority::Standard,
    }
}

async fn run(
    name: &str,
    quota: QuotaBuilder,
    priority: impl Fn(&Request<BufferedBody>) -> Priority + Send + Sync + 'static,
) -> Result<(), BoxError> {
    let provider = provider().await?;
    let url: Arc<str> = format!("{}/chat/completions", provider.base_url()).into();
    let client = Client::builder().no_proxy().build()?;
    let service = ServiceBuilder::new()
        .map_response(|response: http::Response<_>| response.status().as_u16())
        .layer(TokenBudgetLayer::new(quota.build()?).priority(priority))
        .service(ReqwestService::new(client));
    let service = Service::new(service);

    let refused = Arc::new(AtomicU64::new(0));
    let sent = Arc::new(AtomicU64::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..16 {
        let (service, url, sent, refused) =
            (service.clone(), url.clone(), sent.clone(), refused.clone());
        workers.spawn(async move {
            loop {
                count(
                    service.clone().oneshot(chat(&url, "background")).await,
                    &refused,
                );
                sent.fetch_add(1, Relaxed);
            }
        });
    }
    let mut chats = JoinSet::new();
    let mut tasks = Vec::new();
    let begin = Instant::now();
    while begin.elapsed() < RUN {
        let (service, request, refused) =
            (service.clone(), chat(&url, "interactive"), refused.clone());
        chats.spawn(async move {
            let asked = Instant::now();
            count(service.oneshot(request).await, &refused);
            asked.elapsed()
        });
        sleep(Duration::from_millis(200)).await;
    }
    while let Ok(Some(waited)) = timeout(2 * MINUTE, chats.join_next()).await {
        tasks.push(waited?);
    }
    workers.shutdown().await;
    tasks.sort();
    let at = |percent: usize| tasks[(tasks.len() - 1) * percent / 100];
    println!(
        "{name:>24}  {:>8.2} s  {:>8.2} s  {:>9}/m  {:>4}",
        at(50).as_secs_f64(),
        at(99).as_secs_f64(),
        // Of the provider's minutes.
        sent.load(Relaxed) * MINUTE.as_secs() / begin.elapsed().as_secs().max(1),
        refused.load(Relaxed),
    );
    Ok(())
}

fn count(answer: Result<u16, BoxError>, refused: &AtomicU64) {
    if answer.is_ok_and(|status| status == 429) {
        refused.fetch_add(1, Relaxed);
    }
}

fn chat(url: &str, priority: &str) -> Request<BufferedBody> {
    const BODY: &str = r#"{"model": "gpt-4.1", "max_tokens": 10, "messages": [{"role": "user", "content": "Hello!"}]}"#;
    let request = Request::post(url)
        .header("content-type", "application/json")
        .header("x-priority", priority);
    request.body(BODY.into()).expect("all of it is sound")
}

async fn provider() -> io::Result<ProviderBox> {
    ProviderBox::openai()
        .requests_per_minute(REQUESTS)
        .minute(MINUTE)
        .latency(Duration::from_millis(20)..Duration::from_millis(60))
        .start()
        .await
}
