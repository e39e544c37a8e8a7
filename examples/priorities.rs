//! Background work and people who wait for their answers, on one quota.
//!
//! ```sh
//! cargo run --example priorities --all-features          # with minutes of six seconds
//! cargo run --example priorities --all-features -- 60    # with real ones
//! ```
//!
//! A provider in a box takes 120 requests a minute. Sixteen workers in the background always have more to send; somebody at a chat
//! window asks thirty times a minute. Three times side by side, each with a provider of its own: without priorities, with them, and
//! with a quarter of the limit kept for the chats.
#![allow(clippy::print_stdout, reason = "it is a program for the terminal")]

use std::{
    fmt, io,
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

const REQUESTS: u64 = 120;
const CHATS: u32 = 30;
const MINUTES: u32 = 3;

/// Answers with the status.
type Service = BoxCloneSyncService<Request<BufferedBody>, u16, BoxError>;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let minute = match std::env::args().nth(1) {
        Some(seconds) => Duration::try_from_secs_f64(seconds.parse()?)?,
        None => Duration::from_secs(6),
    };
    let limit = || Quota::builder().limit(Limit::requests(REQUESTS, minute));
    let kept = limit().keep_for(Priority::Interactive, 0.25);
    let (first_come, by_priority, with_a_quarter) = tokio::try_join!(
        run(minute, limit(), |_| Priority::Standard),
        run(minute, limit(), priority),
        run(minute, kept, priority),
    )?;
    println!(
        "{:>24}  {:>10}  {:>10}  {:>11}  {:>4}",
        "", "chat p50", "chat p99", "background", "429"
    );
    println!("{:>24}  {first_come}", "first come, first served");
    println!("{:>24}  {by_priority}", "priorities");
    println!("{:>24}  {with_a_quarter}", "a quarter kept");
    if with_a_quarter.p99 * 2 > first_come.p99 {
        return Err("what is kept for the chats spares them no wait".into());
    }
    Ok(())
}

/// What came of a run.
struct Figures {
    p50: Duration,
    p99: Duration,
    // Requests a minute.
    background: f64,
    refused: u64,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>8.2} s  {:>8.2} s  {:>9.0}/m  {:>4}",
            self.p50.as_secs_f64(),
            self.p99.as_secs_f64(),
            self.background,
            self.refused
        )
    }
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
    minute: Duration,
    quota: QuotaBuilder,
    priority: impl Fn(&Request<BufferedBody>) -> Priority + Send + Sync + 'static,
) -> Result<Figures, BoxError> {
    let provider = provider(minute).await?;
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
    let mut waits = Vec::new();
    let begin = Instant::now();
    while begin.elapsed() < minute * MINUTES {
        let (service, request, refused) =
            (service.clone(), chat(&url, "interactive"), refused.clone());
        chats.spawn(async move {
            let asked = Instant::now();
            count(service.oneshot(request).await, &refused);
            asked.elapsed()
        });
        sleep(minute / CHATS).await;
    }
    while let Ok(Some(waited)) = timeout(2 * minute, chats.join_next()).await {
        waits.push(waited?);
    }
    let minutes = begin.elapsed().as_secs_f64() / minute.as_secs_f64();
    workers.shutdown().await;
    waits.sort();
    let at = |percent: usize| waits[(waits.len() - 1) * percent / 100];
    Ok(Figures {
        p50: at(50),
        p99: at(99),
        background: sent.load(Relaxed) as f64 / minutes,
        refused: refused.load(Relaxed),
    })
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

async fn provider(minute: Duration) -> io::Result<ProviderBox> {
    ProviderBox::openai()
        .requests_per_minute(REQUESTS)
        .minute(minute)
        .latency(Duration::from_millis(20)..Duration::from_millis(60))
        .start()
        .await
}
