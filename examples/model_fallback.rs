//! Another model where the first can't serve: while it is down, and while its own limit is spent.
//!
//! ```sh
//! cargo run --all-features --example model_fallback
//! ```
//!
//! Without a key it asks a provider in a box whose first model fails for a while. With `OPENAI_API_KEY` it asks OpenAI, with
//! `OPENAI_BASE_URL` somebody else who speaks like it; there, nothing fails on purpose.
//!
//! What to look at: each model has a circuit and a quota of its own. When the first is down its circuit opens, and the provider is
//! hardly asked for it any more; when it is back, a probe finds out. A model whose quota is spent isn't waited for longer than half
//! a second here (`max_wait`), but passed over.
#![allow(clippy::print_stdout, reason = "it is a program for the terminal")]

use std::{collections::BTreeMap, time::Duration};

use http::StatusCode;
use serde_json::json;
use tokio::{task::JoinSet, time::sleep};
use tower::{ServiceBuilder, ServiceExt};
use tower_quota::{
    BackoffRetryLayer, BoxError, BufferBodyLayer, CircuitBreakerLayer, ConfigError, FallbackLayer,
    Limit, Quota, TokenBudgetLayer,
    edge::{ReqwestLayer, ReqwestService},
    fallback::{Causes, ServedBy, swap_model},
    testing::{Limits, ProviderBox, Upstream},
    token_budget::Pools,
    tokens::model_of,
};

const FIRST: &str = "gpt-4.1";
const SECOND: &str = "gpt-4.1-mini";

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let provider = ProviderBox::openai()
        .pool([FIRST], Limits::none().requests_per_minute(60))
        .pool([SECOND], Limits::none().requests_per_minute(500));
    let upstream = Upstream::openai(provider).await?;

    let quota = |requests| -> Result<Quota, ConfigError> {
        let limit = Limit::requests_per_minute(requests);
        let quota = Quota::builder().limit(limit);
        quota.max_wait(Duration::from_millis(500)).build()
    };
    let pools = Pools::new()
        .pool(FIRST, quota(60)?)
        .pool(SECOND, quota(500)?);
    let breaker = CircuitBreakerLayer::new()
        .open_for(Duration::from_millis(300), Duration::from_secs(60))
        .keyed(model_of);
    let stack = ServiceBuilder::new()
        .layer(ReqwestLayer::new())
        .layer(BufferBodyLayer::new())
        .layer(FallbackLayer::rewrite(swap_model(SECOND)).name(SECOND))
        .layer(BackoffRetryLayer::new().attempts(2))
        .layer(breaker.gate())
        .layer(TokenBudgetLayer::unlimited().pools(pools))
        .layer(breaker)
        .service(ReqwestService::new(upstream.client()?));

    let asked = || {
        let provider = upstream.in_a_box().map(ProviderBox::provider);
        provider.map_or(0, |provider| provider.report_of(FIRST).requests)
    };
    for (phase, calls) in [
        ("both are up", 15),
        ("the first is down", 15),
        ("the first is back", 15),
        ("its minute is spent", 60),
    ] {
        if let Some(provider) = upstream.in_a_box() {
            provider.faults(|faults| match phase {
                "the first is down" => faults.dead_model_as(FIRST, StatusCode::BAD_GATEWAY),
                _ => faults.live_model(FIRST),
            });
        }
        let before = asked();
        let mut answers = JoinSet::new();
        for _ in 0..calls {
            let body = json!({"model": FIRST, "max_tokens": 20,
                "messages": [{"role": "user", "content": "What is a quota good for?"}]});
            let request = upstream.request("/chat/completions", body.to_string());
            answers.spawn(stack.clone().oneshot(request));
            sleep(Duration::from_millis(20)).await;
        }
        let (mut served, mut causes) = (BTreeMap::new(), BTreeMap::new());
        while let Some(answer) = answers.join_next().await {
            let answer = answer??;
            let by = ServedBy::of(&answer).map_or(FIRST, |link| link.name());
            let served = served.entry((by.to_owned(), answer.status().as_u16()));
            *served.or_insert(0) += 1;
            for cause in Causes::of(&answer).into_iter().flatten() {
                let passed_over = if cause.was_skipped() {
                    " (passed over)"
                } else {
                    ""
                };
                let cause = format!("{:?}{passed_over}", cause.verdict());
                *causes.entry(cause).or_insert(0) += 1;
            }
        }
        println!("{phase}: served by {served:?}");
        for (cause, times) in causes {
            println!("    {FIRST} didn't serve {times} times: {cause}");
        }
        let asked = asked() - before;
        println!("    the provider was asked for it {asked} times");
        sleep(Duration::from_millis(700)).await;
    }
    Ok(())
}
