//! async-openai through all five layers: a chat, a streamed chat and embeddings.
//!
//! ```sh
//! cargo run --all-features --example async_openai
//! ```
//!
//! Without a key it asks a provider in a box whose first answers are a 429 and a 503. With `OPENAI_API_KEY` it asks OpenAI, with
//! `OPENAI_BASE_URL` somebody else who speaks like it.
//!
//! What to look at: the `service_fn` is all that connects the two. `with_http_service` takes the place of async-openai's own retries,
//! so that only ours are left; the calls themselves are as they were.
#![allow(clippy::print_stdout, reason = "it is a program for the terminal")]

use std::time::Duration;

use async_openai::{
    Client,
    config::OpenAIConfig,
    error::OpenAIError,
    middleware::HttpRequestFactory,
    types::{
        chat::{
            ChatCompletionRequestUserMessage, ChatCompletionStreamOptions,
            CreateChatCompletionRequest, CreateChatCompletionRequestArgs,
        },
        embeddings::CreateEmbeddingRequestArgs,
    },
};
use futures_util::StreamExt;
use http::Response;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_quota::{
    BackoffRetryLayer, BoxError, BufferBodyLayer, CircuitBreakerLayer, FallbackLayer, Limit, Quota,
    RateLimitLayer, TokenBudgetLayer,
    edge::{ReqwestLayer, ReqwestService},
    fallback::swap_model,
    testing::{ProviderBox, Stream, Upstream},
    tokens::model_of,
};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let provider = ProviderBox::openai().requests_per_minute(60);
    let provider = provider.stream(Stream::at_once().pieces(5));
    let upstream = Upstream::openai(provider).await?;
    if let Some(provider) = upstream.in_a_box() {
        for status in [429, 503] {
            let refusal = Response::builder().status(status);
            provider.then_answer(refusal.header("retry-after-ms", 300).body("{}")?);
        }
    }
    let quota = Quota::builder()
        .limit(Limit::requests_per_minute(60))
        .limit(Limit::tokens_per_minute(30_000))
        .build()?;
    let breaker = CircuitBreakerLayer::new().keyed(model_of);
    let stack = ServiceBuilder::new()
        .layer(ReqwestLayer::new())
        .layer(BufferBodyLayer::new())
        .layer(FallbackLayer::rewrite(swap_model("gpt-4.1-nano")))
        .layer(BackoffRetryLayer::new())
        .layer(breaker.gate())
        .layer(RateLimitLayer::per_second(10)) // a pace of our own, beside the provider's limits
        .layer(TokenBudgetLayer::new(quota.clone()))
        .layer(breaker)
        .timeout(Duration::from_secs(60))
        .service(ReqwestService::new(upstream.client()?));
    let config = OpenAIConfig::new()
        .with_api_base(upstream.base_url())
        .with_api_key(upstream.key());
    let client = Client::with_config(config).with_http_service(service_fn(
        move |factory: HttpRequestFactory| {
            let stack = stack.clone();
            async move {
                let request = factory.build().await?;
                stack.oneshot(request).await.map_err(OpenAIError::Boxed)
            }
        },
    ));

    let request = chat("What is a quota good for?")?;
    let answer = client.chat().create(request).await?;
    let said = &answer.choices[0].message.content;
    println!("chat:       {}", said.as_deref().unwrap_or_default());

    // The usage at the end of a stream settles its charge; OpenAI states it only where it is asked for.
    let mut request = chat("Count from one to five, please.")?;
    request.stream_options = Some(ChatCompletionStreamOptions {
        include_usage: Some(true),
        include_obfuscation: None,
    });
    let mut stream = client.chat().create_stream(request).await?;
    let mut said = Vec::new();
    while let Some(piece) = stream.next().await {
        let choices = piece?.choices.into_iter();
        said.extend(choices.filter_map(|choice| choice.delta.content));
    }
    println!("stream:     {}", said.join("·"));

    let request = CreateEmbeddingRequestArgs::default()
        .model("text-embedding-3-small")
        .input(["one text", "and another"])
        .build()?;
    let answer = client.embeddings().create(request).await?;
    let (vectors, tokens) = (answer.data.len(), answer.usage.total_tokens);
    println!("embeddings: {vectors} vectors, {tokens} tokens");

    let requests = quota.snapshot().limits[0];
    println!("{} used of {}", requests.used, requests.limit);
    Ok(())
}

fn chat(prompt: &str) -> Result<CreateChatCompletionRequest, OpenAIError> {
    CreateChatCompletionRequestArgs::default()
        .model("gpt-4.1-mini")
        .max_completion_tokens(60_u32)
        .messages([ChatCompletionRequestUserMessage::from(prompt).into()])
        .build()
}
