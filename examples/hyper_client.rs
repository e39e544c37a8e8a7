//! All five layers over hyper's own client.
//!
//! ```sh
//! cargo run --all-features --example hyper_client
//! ```
//!
//! Without a key it asks a provider in a box, which takes 20 requests and 4,000 tokens in a "minute" of two seconds. With
//! `OPENAI_API_KEY` it asks OpenAI, with `OPENAI_BASE_URL` somebody else who speaks like it.
//!
//! What to look at: hyper's types are http's, so nothing stands around the layers; `BufferBodyLayer` alone turns any body into one
//! that can be sent again and read ahead. Fifty requests set out at once; each waits for its turn, and none is refused.
#![allow(clippy::print_stdout, reason = "it is a program for the terminal")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::task::JoinSet;
use tower::{ServiceBuilder, ServiceExt};
use tower_quota::{
    BackoffRetryLayer, BoxError, BufferBodyLayer, BufferedBody, CircuitBreakerLayer, FallbackLayer,
    Limit, Quota, RateLimitLayer, TokenBudgetLayer,
    fallback::swap_model,
    testing::{ProviderBox, Upstream},
    tokens::model_of,
};

const MINUTE: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let provider = ProviderBox::openai()
        .requests_per_minute(20)
        .tokens_per_minute(4_000)
        .minute(MINUTE);
    let upstream = Upstream::openai(provider).await?;

    let https = HttpsConnectorBuilder::new()
        .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())?
        .https_or_http()
        .enable_http1()
        .build();
    let client = Client::builder(TokioExecutor::new()).build::<_, BufferedBody>(https);
    let quota = Quota::builder()
        .limit(Limit::requests(20, MINUTE))
        .limit(Limit::tokens(4_000, MINUTE))
        .build()?;
    let breaker = CircuitBreakerLayer::new().keyed(model_of);
    let stack = ServiceBuilder::new()
        .layer(BufferBodyLayer::new())
        .layer(FallbackLayer::rewrite(swap_model("gpt-4.1-nano")))
        .layer(BackoffRetryLayer::new())
        .layer(breaker.gate())
        .layer(RateLimitLayer::per_second(50)) // a pace of our own, beside the provider's limits
        .layer(TokenBudgetLayer::new(quota.clone()))
        .layer(breaker)
        .timeout(Duration::from_secs(60))
        .service(client);

    let began = Instant::now();
    let mut asked = JoinSet::new();
    for i in 0..50 {
        let body = format!(
            r#"{{"model": "gpt-4.1-mini", "max_tokens": 20, "messages": [{{"role": "user", "content": "What is {i} + {i}?"}}]}}"#
        );
        let request: Request<Full<Bytes>> = upstream.post("/chat/completions", body);
        let stack = stack.clone();
        asked.spawn(async move {
            let answer = stack.oneshot(request).await?;
            let status = answer.status();
            // Read to its end, the answer settles its charge.
            answer.into_body().collect().await?;
            Ok::<_, BoxError>(status)
        });
    }
    let mut served = 0;
    while let Some(answer) = asked.join_next().await {
        served += u32::from(answer??.is_success());
    }

    println!("{served} of 50 served in {:.1?}", began.elapsed());
    for limit in quota.snapshot().limits {
        println!(
            "  {}: {} used, {} left",
            limit.limit, limit.used, limit.left
        );
    }
    if let Some(report) = upstream.report() {
        let refused = report.rate_limited;
        println!("the provider has refused {refused}");
    }
    Ok(())
}
