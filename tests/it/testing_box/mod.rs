//! The provider in a box is the referee of other tests, so it is tried first: against models that
//! are as naive as can be.

mod answers;
mod counting;
mod dialects;
mod faults;
mod pools;
mod reports;
mod server;
mod streams;

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tower::ServiceExt;
use tower_quota::{
    BoxError,
    testing::{Call, Provider, ProviderBody},
};

const MODEL: &str = "gpt-4.1-mini";

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A call of so many tokens.
fn tokens(tokens: u64) -> Call {
    Call::embeddings(MODEL, tokens)
}

/// A chat of 10 tokens of prompt and 90 of answer.
fn chat_body() -> String {
    let prompt = "x".repeat(40);
    format!(
        r#"{{"model": "{MODEL}", "max_tokens": 90, "messages": [{{"role": "user", "content": "{prompt}"}}]}}"#
    )
}

fn chat() -> Request<Full<Bytes>> {
    post("/v1/chat/completions", chat_body())
}

fn post(path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post(path).body(Full::new(body.into())).unwrap()
}

/// Sends a request through the service in this process.
async fn send(
    provider: &Provider,
    request: Request<Full<Bytes>>,
) -> Result<Response<ProviderBody>, BoxError> {
    provider.service().oneshot(request).await
}

/// The same, with the status and the body alone.
async fn ask(provider: &Provider, request: Request<Full<Bytes>>) -> (u16, Value) {
    let answer = send(provider, request).await.unwrap();
    let status = answer.status().as_u16();
    (status, read(answer).await)
}

async fn read(answer: Response<ProviderBody>) -> Value {
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap()
}

/// A plain generator for histories; apart from the one that the box uses.
struct Lcg(u64);

impl Lcg {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}
