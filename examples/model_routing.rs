//! The right model for each task, by tower's `Steer`.
//!
//! ```sh
//! cargo run --all-features --example model_routing
//! ```
//!
//! Without a key it asks a provider in a box. With `OPENAI_API_KEY` it asks OpenAI, with `OPENAI_BASE_URL` somebody else who speaks
//! like it.
//!
//! What to look at: the task is a fact of the request, the model is the route's business. Each route has a quota of its own, since
//! providers limit models apart; the large model's line doesn't hold up the small one's. What doesn't fit the small model's context
//! goes to the large one, by the estimate.
#![allow(clippy::print_stdout, reason = "it is a program for the terminal")]

use std::sync::Arc;

use serde_json::{Value, json};
use tower::{ServiceBuilder, ServiceExt, steer::Steer, util::BoxCloneSyncService};
use tower_quota::{
    BackoffRetryLayer, BoxError, BufferBodyLayer, Limit, Quota, TokenBudgetLayer,
    edge::{ReqwestLayer, ReqwestService},
    testing::{Limits, ProviderBox, Upstream},
    tokens,
};

/// The first route that is good enough.
#[derive(Clone, Copy, Debug)]
enum Task {
    Classify = 0,
    Summarise = 1,
    Reason = 2,
}

#[derive(Clone, Debug)]
struct Ask {
    task: Task,
    text: String,
}

/// The routes: model, requests a minute, the longest prompt, the longest answer.
const ROUTES: [(&str, u64, u64, u64); 3] = [
    ("gpt-4.1-nano", 500, 500, 5),
    ("gpt-4.1-mini", 500, 4_000, 100),
    ("gpt-4.1", 100, u64::MAX, 400),
];

type Route = BoxCloneSyncService<Ask, reqwest::Response, BoxError>;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let mut provider = ProviderBox::openai();
    for (model, requests, ..) in ROUTES {
        provider = provider.pool([model], Limits::none().requests_per_minute(requests));
    }
    let upstream = Arc::new(Upstream::openai(provider).await?);
    let routes: Result<Vec<Route>, BoxError> = (0..ROUTES.len())
        .map(|route| build(route, &upstream))
        .collect();
    let steer = Steer::new(routes?, |ask: &Ask, _: &[Route]| pick(ask));

    for (task, text, times) in [
        (Task::Classify, "Is this spam? 'You have won!'", 1),
        (Task::Summarise, "A quota is a limit that is shared.", 1),
        (Task::Reason, "Why may a bucket admit twice?", 1),
        (Task::Classify, "A long letter, word for word. ", 100),
        (Task::Summarise, "A whole book, page for page. ", 1_000),
    ] {
        let text = text.repeat(times);
        let (length, ask) = (text.len(), Ask { task, text });
        let answer = steer.clone().oneshot(ask).await?.error_for_status()?;
        let answer: Value = answer.json().await?;
        let (model, used) = (&answer["model"], &answer["usage"]["total_tokens"]);
        println!("{task:?}, {length} bytes: {model}, {used} tokens");
    }
    Ok(())
}

/// Which route a request takes.
fn pick(ask: &Ask) -> usize {
    let tokens = tokens::count_text(&ask.text);
    let fits = |route: &usize| tokens <= ROUTES[*route].2;
    let mut routes = ask.task as usize..ROUTES.len();
    routes.find(fits).unwrap_or(ROUTES.len() - 1)
}

fn build(route: usize, upstream: &Arc<Upstream>) -> Result<Route, BoxError> {
    let (model, requests, _, max_tokens) = ROUTES[route];
    let quota = Quota::builder()
        .named(model)
        .limit(Limit::requests_per_minute(requests))
        .build()?;
    let client = ReqwestService::new(upstream.client()?);
    let upstream = upstream.clone();
    let stack = ServiceBuilder::new()
        .map_request(move |ask: Ask| {
            let body = json!({"model": model, "max_tokens": max_tokens,
                "messages": [{"role": "user", "content": ask.text}]});
            upstream.request("/chat/completions", body.to_string())
        })
        .layer(ReqwestLayer::new())
        .layer(BufferBodyLayer::new())
        .layer(BackoffRetryLayer::new())
        .layer(TokenBudgetLayer::new(quota))
        .service(client);
    Ok(Route::new(stack))
}
