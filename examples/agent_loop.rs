//! An agent whose tools act once, whatever happens to the requests around them.
//!
//! ```sh
//! cargo run --all-features --example agent_loop
//! ```
//!
//! Without a key it asks a provider in a box that plays a model with two tool calls, and refuses in between: a 429 with a wait, then a
//! 503. With `OPENAI_API_KEY` it asks OpenAI, with `OPENAI_BASE_URL` somebody else who speaks like it.
//!
//! What to look at: a tool's side effect (here: an order is placed) stands between two requests. The retry is below the loop, in the
//! stack: it repeats the request that brings the tool's result, never the loop's step, so the tool isn't called again. What a call's
//! id has done is kept all the same, so that a model that repeats itself, or a loop that is started anew, orders nothing twice.
#![allow(clippy::print_stdout, reason = "it is a program for the terminal")]

use std::{collections::HashMap, time::Duration};

use http::Response;
use serde_json::{Value, json};
use tower::{ServiceBuilder, ServiceExt};
use tower_quota::{
    BackoffRetryLayer, BoxError, BufferBodyLayer, CircuitBreakerLayer, Limit, Quota,
    TokenBudgetLayer,
    edge::{ReqwestLayer, ReqwestService},
    testing::{ProviderBox, Upstream},
};

/// The tool, and what it has done.
#[derive(Default)]
struct Shop {
    orders: Vec<String>,
    results: HashMap<String, String>,
}

impl Shop {
    fn call(&mut self, call: &Value) -> String {
        let id = call["id"].as_str().unwrap_or_default().to_owned();
        let arguments = call["function"]["arguments"].as_str().unwrap_or_default();
        let orders = &mut self.orders;
        let result = self.results.entry(id).or_insert_with(|| {
            let arguments: Value = serde_json::from_str(arguments).unwrap_or_default();
            orders.push(arguments["item"].to_string());
            format!("ordered {}, number {}", arguments["item"], orders.len())
        });
        println!("  tool: {result}");
        result.clone()
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let upstream = Upstream::openai(ProviderBox::openai().requests_per_minute(60)).await?;
    if let Some(provider) = upstream.in_a_box() {
        for (item, status) in [("tea", 429), ("cups", 503)] {
            provider.then_answer(Response::new(order(item)));
            let refusal = Response::builder().status(status);
            provider.then_answer(refusal.header("retry-after-ms", 400).body("{}")?);
        }
        // From here on it says what it heard last.
    }
    let quota = Quota::builder()
        .limit(Limit::requests_per_minute(60))
        .limit(Limit::tokens_per_minute(30_000))
        .build()?;
    let breaker = CircuitBreakerLayer::new();
    let stack = ServiceBuilder::new()
        .layer(ReqwestLayer::new())
        .layer(BufferBodyLayer::new())
        .layer(BackoffRetryLayer::new().deadline(Duration::from_secs(60)))
        .layer(breaker.gate())
        .layer(TokenBudgetLayer::new(quota))
        .layer(breaker)
        .service(ReqwestService::new(upstream.client()?));

    let mut shop = Shop::default();
    let tools = json!([{"type": "function", "function": {
        "name": "order",
        "description": "Orders an item.",
        "parameters": {"type": "object", "properties": {"item": {"type": "string"}}, "required": ["item"]},
    }}]);
    let task = "Order tea, then cups. Then tell me the numbers.";
    let mut messages = vec![json!({"role": "user", "content": task})];
    for step in 1..=6 {
        let body = json!({"model": "gpt-4.1-mini", "max_tokens": 200, "messages": messages, "tools": tools});
        let request = upstream.request("/chat/completions", body.to_string());
        let answer = stack.clone().oneshot(request).await?;
        let mut answer: Value = answer.error_for_status()?.json().await?;
        let message = answer["choices"][0]["message"].take();
        println!("step {step}: {message}");
        let calls = message["tool_calls"].as_array().cloned();
        messages.push(message);
        let Some(calls) = calls else { break };
        for call in &calls {
            let result = shop.call(call);
            messages.push(json!({"role": "tool", "tool_call_id": call["id"], "content": result}));
        }
    }
    println!("ordered once each: {}", shop.orders.join(", "));
    if let Some(report) = upstream.report() {
        println!("the provider was asked {} times", report.requests);
    }
    Ok(())
}

/// A model that orders something.
fn order(item: &str) -> String {
    let function = json!({"name": "order", "arguments": json!({"item": item}).to_string()});
    let call = json!({"id": format!("call_{item}"), "type": "function", "function": function});
    let message = json!({"role": "assistant", "content": null, "tool_calls": [call]});
    let choice = json!({"index": 0, "message": message, "finish_reason": "tool_calls"});
    json!({"choices": [choice]}).to_string()
}
