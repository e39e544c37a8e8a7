//! A cache of answers outside of the stack: what was asked before costs no token and no wait.
//!
//! ```sh
//! cargo run --all-features --example response_cache
//! ```
//!
//! Without a key it asks a provider in a box that takes 20 requests a minute. With `OPENAI_API_KEY` it asks OpenAI, with
//! `OPENAI_BASE_URL` somebody else who speaks like it.
//!
//! What to look at: a hundred requests, ten different ones. The cache stands outside of the layers, so that a hit takes nothing from the
//! quota; who asks the same at the same time waits for the one that is on its way. Only answers that were served are kept. The key is
//! the whole body: sound for `"temperature": 0` and embeddings, and for nothing that must differ each time.
#![allow(clippy::print_stdout, reason = "it is a program for the terminal")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use moka::future::Cache;
use serde_json::json;
use tokio::task::JoinSet;
use tower::{ServiceBuilder, ServiceExt, util::BoxCloneSyncService};
use tower_quota::{
    BackoffRetryLayer, BoxError, BufferBodyLayer, Limit, Quota, TokenBudgetLayer,
    edge::{ReqwestLayer, ReqwestService},
    testing::{ProviderBox, Upstream},
};

struct Cached {
    upstream: Upstream,
    stack: BoxCloneSyncService<reqwest::Request, reqwest::Response, BoxError>,
    answers: Cache<String, Bytes>,
    missed: AtomicU32,
}

impl Cached {
    async fn chat(&self, body: String) -> Result<Bytes, Arc<BoxError>> {
        let key = body.clone();
        self.answers.try_get_with(key, self.ask(body)).await
    }

    async fn ask(&self, body: String) -> Result<Bytes, BoxError> {
        self.missed.fetch_add(1, Relaxed);
        let request = self.upstream.request("/chat/completions", body);
        let answer = self.stack.clone().oneshot(request).await?;
        Ok(answer.error_for_status()?.bytes().await?)
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let provider = ProviderBox::openai()
        .requests_per_minute(20)
        .latency(Duration::from_millis(100)..Duration::from_millis(300));
    let upstream = Upstream::openai(provider).await?;
    let quota = Quota::new(Limit::requests_per_minute(20))?;
    let stack = ServiceBuilder::new()
        .layer(ReqwestLayer::new())
        .layer(BufferBodyLayer::new())
        .layer(BackoffRetryLayer::new())
        .layer(TokenBudgetLayer::new(quota.clone()))
        .service(ReqwestService::new(upstream.client()?));
    let cached = Arc::new(Cached {
        upstream,
        stack: BoxCloneSyncService::new(stack),
        // By bytes, and for as long as an answer may be old.
        answers: Cache::builder()
            .weigher(|body: &String, answer: &Bytes| (body.len() + answer.len()) as u32)
            .max_capacity(64 << 20)
            .time_to_live(Duration::from_secs(3_600))
            .build(),
        missed: AtomicU32::new(0),
    });

    let began = Instant::now();
    let mut asked = JoinSet::new();
    for i in 0..100 {
        let prompt = format!("What is {0} + {0}?", i % 10);
        let body = json!({"model": "gpt-4.1-mini", "max_tokens": 20, "temperature": 0,
            "messages": [{"role": "user", "content": prompt}]});
        let cached = cached.clone();
        asked.spawn(async move { cached.chat(body.to_string()).await });
    }
    let mut served = 0;
    while let Some(answer) = asked.join_next().await {
        match answer? {
            Ok(_) => served += 1,
            Err(error) => println!("! {error}"),
        }
    }
    let missed = cached.missed.load(Relaxed);
    println!(
        "{served} of 100 served in {:.1?}; {missed} were asked for",
        began.elapsed()
    );
    for limit in quota.snapshot().limits {
        println!("{}: {} used, {} left", limit.limit, limit.used, limit.left);
    }
    Ok(())
}
