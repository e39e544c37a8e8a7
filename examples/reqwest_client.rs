//! All five layers over reqwest, in a client of one's own.
//!
//! ```sh
//! cargo run --all-features --example reqwest_client
//! ```
//!
//! Without a key it asks a provider in a box that takes 30 requests in a "minute" of two seconds and fails once in ten times. With
//! `OPENAI_API_KEY` it asks OpenAI, with `OPENAI_BASE_URL` somebody else who speaks like it.
//!
//! What to look at: `Chats` names its stack in a field by boxing it, `BoxCloneSyncService`; its clones share the quota, the circuits
//! and the retry budget. Turn off your client's own retries: reqwest has none. Failures are tried again, and no more than a tenth
//! of the requests more goes to the provider.
#![allow(clippy::print_stdout, reason = "it is a program for the terminal")]

use std::{sync::Arc, time::Duration};

use reqwest::{Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tower::{ServiceBuilder, ServiceExt, util::BoxCloneSyncService};
use tower_quota::{
    BackoffRetryLayer, BoxError, BufferBodyLayer, CircuitBreakerLayer, FallbackLayer, Limit, Quota,
    RateLimitLayer, TokenBudgetLayer,
    edge::{ReqwestLayer, ReqwestService},
    fallback::{ServedBy, swap_model},
    testing::{ProviderBox, Upstream},
    tokens::model_of,
};

const MINUTE: Duration = Duration::from_secs(2);

/// What the rest of a program holds.
#[derive(Clone)]
struct Chats {
    upstream: Arc<Upstream>,
    stack: BoxCloneSyncService<Request, Response, BoxError>,
}

impl Chats {
    fn new(upstream: Upstream) -> Result<Self, BoxError> {
        let quota = Quota::builder()
            .limit(Limit::requests(30, MINUTE))
            .limit(Limit::tokens(30_000, MINUTE))
            .build()?;
        let breaker = CircuitBreakerLayer::new().keyed(model_of);
        let stack = ServiceBuilder::new()
            .layer(ReqwestLayer::new()) // reqwest's types outside, http's inside
            .layer(BufferBodyLayer::new())
            .layer(FallbackLayer::rewrite(swap_model("gpt-4.1-nano")))
            .layer(BackoffRetryLayer::new())
            .layer(breaker.gate())
            .layer(RateLimitLayer::per_second(50)) // a pace of our own, beside the provider's limits
            .layer(TokenBudgetLayer::new(quota))
            .layer(breaker)
            .timeout(Duration::from_secs(60))
            .service(ReqwestService::new(upstream.client()?));
        Ok(Self {
            upstream: Arc::new(upstream),
            stack: BoxCloneSyncService::new(stack),
        })
    }

    /// What the model says, and whether it was the second choice.
    async fn say(&self, prompt: &str) -> Result<(String, bool), BoxError> {
        let body = json!({"model": "gpt-4.1-mini", "max_tokens": 20,
            "messages": [{"role": "user", "content": prompt}]});
        let body = body.to_string();
        let request = self.upstream.request("/chat/completions", body);
        let answer = self.stack.clone().oneshot(request).await?;
        let second = ServedBy::of(&answer).is_some();
        let answer: Value = answer.error_for_status()?.json().await?;
        let said = answer["choices"][0]["message"]["content"].as_str();
        Ok((said.unwrap_or_default().to_owned(), second))
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let provider = ProviderBox::openai()
        .requests_per_minute(30)
        .minute(MINUTE)
        .faults(|faults| faults.errors(0.1, StatusCode::INTERNAL_SERVER_ERROR));
    let chats = Chats::new(Upstream::openai(provider).await?)?;
    let (mut served, mut by_second) = (0, 0);
    let mut asked = JoinSet::new();
    for i in 0..60 {
        let chats = chats.clone();
        asked.spawn(async move { chats.say(&format!("What is {i} + {i}?")).await });
    }
    while let Some(answer) = asked.join_next().await {
        match answer? {
            Ok((said, second)) => {
                served += 1;
                by_second += i32::from(second);
                if served <= 3 {
                    println!("> {said}");
                }
            }
            Err(error) => println!("! {error}"),
        }
    }
    println!("{served} of 60 served, {by_second} of them by the second model");
    if let Some(report) = chats.upstream.report() {
        let (sent, refused) = (report.admitted, report.rate_limited);
        println!("the provider has seen {sent} and refused {refused}");
    }
    Ok(())
}
