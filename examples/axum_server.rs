//! A server that asks a provider for its callers: limits of each caller in front, the provider's behind.
//!
//! ```sh
//! cargo run --all-features --example axum_server
//! ```
//!
//! It starts, asks itself as two callers would, and ends. Without a key the provider is one in a box; with `OPENAI_API_KEY` it is
//! OpenAI, with `OPENAI_BASE_URL` somebody else who speaks like it.
//!
//! What to look at: the stack is built once and lives in the router's state, so that all handlers share one quota. What callers wrongly
//! do is a 429 of theirs, with headers that say what is left; what the provider refuses is a 503 that tells nothing of it. Dropping
//! a connection drops its handler, and with it its place in line.
#![allow(clippy::print_stdout, reason = "it is a program for the terminal")]

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
    routing::post,
};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower::{ServiceBuilder, ServiceExt, util::BoxCloneSyncService};
use tower_quota::{
    BackoffRetryLayer, BoxError, BufferBodyLayer, Limit, Quota, RateLimitLayer, Rejected,
    RespondLayer, TokenBudgetLayer,
    edge::{ReqwestLayer, ReqwestService},
    key,
    respond::{Fields, refusal},
    testing::{ProviderBox, Upstream},
};

type Stack = BoxCloneSyncService<reqwest::Request, reqwest::Response, BoxError>;

struct Provider {
    upstream: Upstream,
    stack: Stack,
}

/// The handler: a prompt in, an answer out.
async fn ask(State(provider): State<Arc<Provider>>, prompt: String) -> Response {
    match provider.ask(&prompt).await {
        Ok(said) => said.into_response(),
        Err(error) => match Rejected::find(error.as_ref()) {
            // Our own line is too long: 503, and when to come back.
            Some(refused) => refusal(refused, Fields::Both).map(Body::from),
            None => StatusCode::BAD_GATEWAY.into_response(),
        },
    }
}

impl Provider {
    async fn ask(&self, prompt: &str) -> Result<String, BoxError> {
        let body = json!({"model": "gpt-4.1-mini", "max_tokens": 50,
            "messages": [{"role": "user", "content": prompt}]});
        let request = self.upstream.request("/chat/completions", body.to_string());
        let answer = self.stack.clone().oneshot(request).await?;
        let answer: Value = answer.error_for_status()?.json().await?;
        let said = answer["choices"][0]["message"]["content"].as_str();
        Ok(said.unwrap_or_default().to_owned())
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let provider = ProviderBox::openai().requests_per_minute(500);
    let upstream = Upstream::openai(provider).await?;
    let quota = Quota::builder()
        .limit(Limit::requests_per_minute(500))
        .limit(Limit::tokens_per_minute(30_000))
        // Nobody at a browser waits for longer.
        .max_wait(Duration::from_secs(10))
        .build()?;
    let stack = ServiceBuilder::new()
        .layer(ReqwestLayer::new())
        .layer(BufferBodyLayer::new())
        .layer(BackoffRetryLayer::new())
        .layer(TokenBudgetLayer::new(quota))
        .timeout(Duration::from_secs(30))
        .service(ReqwestService::new(upstream.client()?));
    let stack = Stack::new(stack);

    // Three requests for each key in any second: counted as they come, refused beyond.
    let limit = RateLimitLayer::per_second(3).reject().on_arrival().tell();
    let limit = limit.keyed(key::api_key());
    let app = Router::new()
        .route("/ask", post(ask))
        .layer(
            ServiceBuilder::new()
                .layer(RespondLayer::new())
                .layer(limit),
        )
        .with_state(Arc::new(Provider { upstream, stack }));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}/ask", listener.local_addr()?);
    println!("listening on {address}");
    let server = tokio::spawn(async { axum::serve(listener, app).await });

    let client = reqwest::Client::builder().no_proxy().build()?;
    for (who, times) in [("alice", 2), ("bob", 5)] {
        for i in 0..times {
            let request = client.post(&address).bearer_auth(who);
            let answer = request.body(format!("{i} + {i}?")).send().await?;
            let (status, left) = (
                answer.status(),
                answer.headers()["x-ratelimit-remaining"].clone(),
            );
            println!("{who}: {status}, {left:?} left: {}", answer.text().await?);
        }
    }
    server.abort();
    Ok(())
}
