//! A streamed answer, printed as it comes, and what it does to the quota.
//!
//! ```sh
//! cargo run --all-features --example streaming
//! ```
//!
//! Without a key it asks a provider in a box that streams 30 pieces, one every 40 ms, and gives back what wasn't used. With
//! `OPENAI_API_KEY` it asks OpenAI, with `OPENAI_BASE_URL` somebody else who speaks like it.
//!
//! What to look at: the charge stands at what was reserved (the prompt and `max_tokens`) while the text comes; at the stream's end,
//! the usage in its last event settles it, and the place in flight is free again. A stream that is dropped half-way keeps its charge.
#![allow(clippy::print_stdout, reason = "it is a program for the terminal")]

use std::{
    io::{Write, stdout},
    time::Duration,
};

use serde_json::{Value, json};
use tower::{ServiceBuilder, ServiceExt};
use tower_quota::{
    BackoffRetryLayer, BoxError, BufferBodyLayer, Limit, Quota, Settle, TokenBudgetLayer,
    edge::{ReqwestLayer, ReqwestService},
    testing::{ProviderBox, Settlement, Stream, Upstream},
};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let stream = Stream::at_once()
        .pieces(30)
        .first(Duration::from_millis(300));
    let provider = ProviderBox::openai()
        .tokens_per_minute(10_000)
        .completion(0.1..=0.1)
        .settlement(Settlement::TrueUp)
        .stream(stream.pace(Duration::from_millis(40)));
    let upstream = Upstream::openai(provider).await?;
    let quota = Quota::new(Limit::tokens_per_minute(10_000))?;
    let stack = ServiceBuilder::new()
        .layer(ReqwestLayer::new())
        .layer(BufferBodyLayer::new())
        .layer(BackoffRetryLayer::new()) // until the first content; after that nothing is sent again
        .layer(TokenBudgetLayer::new(quota.clone()).settle(Settle::TrueUp))
        .service(ReqwestService::new(upstream.client()?));

    for (prompt, whole) in [
        (
            "Say slowly: a quota that is shared is a quota that nobody has to guess.",
            true,
        ),
        (
            "Say slowly: and this one is dropped before it comes to its end.",
            false,
        ),
    ] {
        let body = json!({
            "model": "gpt-4.1-mini",
            "max_tokens": 400,
            "stream": true,
            "stream_options": {"include_usage": true},
            "messages": [{"role": "user", "content": prompt}],
        });
        let request = upstream.request("/chat/completions", body.to_string());
        let mut answer = stack.clone().oneshot(request).await?;
        tell(&quota, "begun");
        let mut events = Events::default();
        let mut pieces = 0;
        while let Some(bytes) = answer.chunk().await? {
            for event in events.take(&bytes) {
                let piece = event["choices"][0]["delta"]["content"].as_str();
                print!("{}", piece.unwrap_or_default());
                stdout().flush()?;
                pieces += 1;
            }
            if !whole && pieces > 10 {
                print!(" …");
                break;
            }
        }
        drop(answer);
        println!();
        tell(&quota, if whole { "settled" } else { "dropped" });
    }
    Ok(())
}

fn tell(quota: &Quota, when: &str) {
    let (seen, in_flight) = (quota.snapshot(), quota.snapshot().in_flight);
    let used = seen.limits.iter().map(|limit| limit.used).sum::<u64>();
    println!("[{when}: {used} tokens charged, {in_flight} in flight]");
}

/// Server-sent events with JSON in them, from bytes that are cut anywhere.
#[derive(Default)]
struct Events(Vec<u8>);

impl Events {
    fn take(&mut self, bytes: &[u8]) -> Vec<Value> {
        self.0.extend_from_slice(bytes);
        let mut events = Vec::new();
        while let Some(end) = self.0.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.0.drain(..=end).collect();
            let data = line.strip_prefix(b"data:");
            // The last one, `[DONE]`, is no JSON.
            events.extend(data.and_then(|data| serde_json::from_slice::<Value>(data).ok()));
        }
        events
    }
}
