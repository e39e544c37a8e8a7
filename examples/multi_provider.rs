//! Two providers with APIs of different shapes, 60/40, each standing in for the other.
//!
//! ```sh
//! cargo run --all-features --example multi_provider
//! ```
//!
//! Without keys both are in boxes, and the first goes down for a while. `OPENAI_API_KEY` and `ANTHROPIC_API_KEY` make them real, one or
//! both (`OPENAI_BASE_URL`, `ANTHROPIC_BASE_URL` for other addresses); the `x-by` below tells who has answered.
//!
//! What to look at: requests are OpenAI's until the innermost end, where one of the two rewrites them. Each endpoint has a retry, a
//! circuit and a quota of its own; `Split` shares out by weight, and around each endpoint the other is the fallback.
#![allow(clippy::print_stdout, reason = "it is a program for the terminal")]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::{Layer, ServiceBuilder, ServiceExt, util::BoxCloneSyncService};
use tower_quota::{
    BackoffRetryLayer, BoxError, BufferedBody, CircuitBreakerLayer, FallbackLayer, Limit, Quota,
    Split, TokenBudgetLayer,
    edge::ReqwestService,
    testing::{ProviderBox, Upstream},
};

/// OpenAI's chat in; out comes the text.
type Endpoint = BoxCloneSyncService<Request<BufferedBody>, Response<reqwest::Body>, BoxError>;

/// An endpoint with all that is its own.
fn endpoint(
    name: &'static str,
    upstream: &Arc<Upstream>,
    shape: fn(&Upstream, &Value) -> Request<BufferedBody>,
) -> Result<Endpoint, BoxError> {
    let quota = Quota::builder()
        .named(name)
        .limit(Limit::requests_per_minute(500))
        .limit(Limit::tokens_per_minute(200_000))
        .build()?;
    let client = ReqwestService::new(upstream.client()?);
    let (breaker, upstream) = (CircuitBreakerLayer::new(), upstream.clone());
    let breaker = breaker.open_for(Duration::from_millis(300), Duration::from_secs(30));
    let stack = ServiceBuilder::new()
        .map_response(move |mut answer: Response<_>| {
            let by = HeaderValue::from_static(name);
            answer.headers_mut().insert("x-by", by);
            answer.map(reqwest::Body::wrap)
        })
        .layer(BackoffRetryLayer::new().attempts(2))
        .layer(breaker.gate())
        .layer(TokenBudgetLayer::new(quota))
        .layer(breaker)
        .map_request(move |request: Request<BufferedBody>| {
            let asked = serde_json::from_slice(&request.into_body().into_bytes());
            shape(&upstream, &asked.expect("JSON of our own"))
        })
        .service(client);
    Ok(Endpoint::new(stack))
}

fn openai(upstream: &Upstream, asked: &Value) -> Request<BufferedBody> {
    let mut body = asked.clone();
    body["model"] = "gpt-4.1-mini".into();
    upstream.post("/chat/completions", body.to_string())
}

fn anthropic(upstream: &Upstream, asked: &Value) -> Request<BufferedBody> {
    let mut body = asked.clone();
    body["model"] = "claude-haiku-4-5".into();
    upstream.post("/messages", body.to_string())
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let first = Arc::new(Upstream::openai(ProviderBox::openai().requests_per_minute(500)).await?);
    let second = Upstream::anthropic(ProviderBox::anthropic().requests_per_minute(500)).await?;
    let (a, b) = (
        endpoint("openai", &first, openai)?,
        endpoint("anthropic", &Arc::new(second), anthropic)?,
    );
    let with = |service: &Endpoint, other: &Endpoint| {
        let layer = FallbackLayer::to(other.clone()).memory(Duration::from_millis(300));
        layer.layer(service.clone())
    };
    let split = Split::new([(60, with(&a, &b)), (40, with(&b, &a))]);

    for phase in ["both are up", "the first is down", "the first is back"] {
        if let Some(provider) = first.in_a_box() {
            provider.faults(|faults| faults.outage(phase == "the first is down"));
        }
        let mut by = BTreeMap::new();
        let mut said = String::new();
        for i in 0..50 {
            let body = json!({"max_tokens": 50, "messages": [{"role": "user", "content": format!("{i} + {i}?")}]});
            let request = Request::post("/").body(body.to_string().into())?;
            let answer = split.clone().oneshot(request).await?;
            let (parts, body) = answer.into_parts();
            let who = parts.headers["x-by"].to_str()?.to_owned();
            *by.entry((who, parts.status.as_u16())).or_insert(0) += 1;
            let body: Value = serde_json::from_slice(&body.collect().await?.to_bytes())?;
            let text = body.pointer("/choices/0/message/content");
            said = text.unwrap_or(&body["content"][0]["text"]).to_string();
        }
        println!("{phase}: {by:?}; the last said {said}");
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    Ok(())
}
