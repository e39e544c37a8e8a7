//! Many texts to embed, packed into few requests that fit.
//!
//! ```sh
//! cargo run --all-features --example embedding_batches
//! ```
//!
//! Without a key it asks a provider in a box that takes 20 requests and 40,000 tokens in a "minute" of two seconds. With
//! `OPENAI_API_KEY` it asks OpenAI, with `OPENAI_BASE_URL` somebody else who speaks like it.
//!
//! What to look at: texts are counted by the layer's own calibration, which learns from each answer what tokens a text really has; the
//! same figure is charged before a request leaves. One text a request would need 100 minutes of this limit.
#![allow(clippy::print_stdout, reason = "it is a program for the terminal")]

use std::{
    iter,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tower::{ServiceBuilder, ServiceExt};
use tower_quota::{
    BackoffRetryLayer, BoxError, BufferBodyLayer, Limit, Quota, TokenBudgetLayer,
    edge::{ReqwestLayer, ReqwestService},
    testing::{ProviderBox, Upstream},
    tokens::Calibration,
};

const MODEL: &str = "text-embedding-3-small";
const MINUTE: Duration = Duration::from_secs(2);

// OpenAI takes at most 2,048 inputs in a request, and 300,000 tokens; a fifth of the minute's keeps others from waiting.
const MOST_TEXTS: usize = 2_048;
const MOST_TOKENS: u64 = 8_000;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let provider = ProviderBox::openai()
        .requests_per_minute(20)
        .tokens_per_minute(40_000)
        .minute(MINUTE)
        // Common words are one token each.
        .estimate(|text| text.split(' ').count() as u64);
    let upstream = Upstream::openai(provider).await?;
    let calibration = Calibration::new();
    let quota = Quota::builder()
        .limit(Limit::requests(20, MINUTE))
        .limit(Limit::tokens(40_000, MINUTE))
        .build()?;
    let stack = ServiceBuilder::new()
        .layer(ReqwestLayer::new())
        .layer(BufferBodyLayer::new())
        .layer(BackoffRetryLayer::new())
        .layer(TokenBudgetLayer::new(quota).calibrate(calibration.clone()))
        .service(ReqwestService::new(upstream.client()?));

    let texts: Vec<String> = (0..2_000).map(text).collect();
    let began = Instant::now();
    let (mut first, mut requests, mut estimated) = (0, 0, 0);
    let batches = iter::from_fn(|| {
        let (batch, tokens) = pack(&calibration, &texts[first..])?;
        let body = json!({"model": MODEL, "input": &texts[first..first + batch]});
        let request = upstream.request("/embeddings", body.to_string());
        let (at, answer) = (first, stack.clone().oneshot(request));
        first += batch;
        requests += 1;
        estimated += tokens;
        Some(async move {
            let answer: Value = answer.await?.error_for_status()?.json().await?;
            Ok::<_, BoxError>((at, answer))
        })
    });
    // A few are on their way at any time; what comes back teaches how to pack the next.
    let mut answers = stream::iter(batches).buffer_unordered(4);
    let (mut vectors, mut counted) = (vec![None; texts.len()], 0);
    while let Some(answer) = answers.next().await {
        counted += keep(&mut vectors, answer?);
    }
    drop(answers);

    let (there, took) = (vectors.iter().flatten().count(), began.elapsed());
    println!("{there} of 2000 texts embedded by {requests} requests in {took:.1?}");
    println!("tokens: {estimated} estimated, {counted} counted by the provider");
    if let Some(report) = upstream.report() {
        println!("the provider has refused {}", report.rate_limited);
    }
    Ok(())
}

/// Puts vectors where their texts are; returns what they cost.
fn keep(vectors: &mut [Option<Value>], (first, mut answer): (usize, Value)) -> u64 {
    for item in answer["data"].as_array_mut().into_iter().flatten() {
        let index = item["index"].as_u64().unwrap_or_default() as usize;
        vectors[first + index] = Some(item["embedding"].take());
    }
    answer["usage"]["total_tokens"].as_u64().unwrap_or_default()
}

/// How many of these texts go into one request, at least one of them, and what they come to.
fn pack(calibration: &Calibration, texts: &[String]) -> Option<(usize, u64)> {
    let mut packed = None;
    for (i, text) in texts.iter().take(MOST_TEXTS).enumerate() {
        let sum = packed.map_or(0, |(_, sum)| sum) + calibration.count_text(MODEL, text);
        if i > 0 && sum > MOST_TOKENS {
            break;
        }
        packed = Some((i + 1, sum));
    }
    packed
}

/// Texts of all lengths.
fn text(i: usize) -> String {
    let words = ["limit", "quota", "window", "token", "bucket", "retry"];
    let words = (0..5 + i * 7 % 90).map(|k| words[(i + k * k) % words.len()]);
    words.collect::<Vec<_>>().join(" ")
}
