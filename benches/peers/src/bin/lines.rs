//! How many lines a user writes for the same job, ours and with the peers that do most of it: `cargo run --bin lines`.
//!
//! The job: 500 requests and 30,000 tokens a minute, a retry with jitter that honours `Retry-After`, a breaker, another model where the
//! first is down. Both compile, and are shown to work on one request. Counted are lines with code on them between the marks, as rustfmt
//! leaves them, without imports.

use std::{
    mem,
    num::NonZeroU32,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{
    FutureExt,
    future::{BoxFuture, join},
};
use governor::{DefaultDirectRateLimiter, RateLimiter};
use http::{Request, Response, header::RETRY_AFTER};
use http_body_util::Empty;
use serde_json::Value;
use tokio::time::sleep;
use tower::{
    BoxError, Service, ServiceBuilder, ServiceExt,
    layer::layer_fn,
    retry::{
        Policy, RetryLayer,
        backoff::{Backoff, ExponentialBackoff, ExponentialBackoffMaker, MakeBackoff},
    },
    service_fn,
    util::{BoxCloneService, rng::HasherRng},
};
use tower_quota::{
    BackoffRetryLayer, BufferBodyLayer, BufferedBody, CircuitBreakerLayer, FallbackLayer, Limit,
    Quota, TokenBudgetLayer, fallback::swap_model, tokens::model_of,
};
use tower_resilience::{
    circuitbreaker::CircuitBreakerLayer as TheirBreaker, fallback::FallbackLayer as TheirFallback,
};

type Answer = Response<Empty<Bytes>>;
type Client = BoxCloneService<Request<Bytes>, Answer, BoxError>;

macro_rules! ours {
    ($client:expr) => {{
        // Ours.
        let quota = Quota::builder()
            .limit(Limit::requests_per_minute(500))
            .limit(Limit::tokens_per_minute(30_000))
            .build()?;
        let breaker = CircuitBreakerLayer::new().keyed(model_of);
        let stack = ServiceBuilder::new()
            .layer(BufferBodyLayer::new())
            .layer(FallbackLayer::rewrite(swap_model("gpt-4.1-mini")))
            .layer(BackoffRetryLayer::new())
            .layer(breaker.gate())
            .layer(TokenBudgetLayer::new(quota))
            .layer(breaker)
            .service($client);
        // End.
        stack
    }};
}

// Peers.
/// Requests and tokens a minute, one after the other.
#[derive(Clone)]
struct Limited<S> {
    requests: Arc<DefaultDirectRateLimiter>,
    tokens: Arc<DefaultDirectRateLimiter>,
    inner: S,
}

impl<S> Service<Request<Bytes>> for Limited<S>
where
    S: Service<Request<Bytes>, Response = Answer, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Answer;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Answer, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let next = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, next);
        let (requests, tokens) = (self.requests.clone(), self.tokens.clone());
        Box::pin(async move {
            requests.until_ready().await;
            tokens.until_n_ready(cost(request.body())).await?;
            inner.call(request).await
        })
    }
}

/// A token for every four bytes, and the most that the answer may have.
fn cost(body: &[u8]) -> NonZeroU32 {
    let chat: Value = serde_json::from_slice(body).unwrap_or_default();
    let answer = chat["max_tokens"].as_u64().unwrap_or(1_024);
    let cost = u32::try_from(body.len() as u64 / 4 + answer).unwrap_or(u32::MAX);
    NonZeroU32::new(cost).unwrap_or(NonZeroU32::MIN)
}

#[derive(Clone)]
struct Retry {
    left: u32,
    backoff: ExponentialBackoff,
}

impl Policy<Request<Bytes>, Answer, BoxError> for Retry {
    type Future = BoxFuture<'static, ()>;

    fn retry(
        &mut self,
        _: &mut Request<Bytes>,
        outcome: &mut Result<Answer, BoxError>,
    ) -> Option<Self::Future> {
        let hint = match outcome {
            Ok(answer) if failed(answer) || answer.status() == 429 => {
                let hint = answer.headers().get(RETRY_AFTER);
                hint.and_then(|hint| hint.to_str().ok()?.parse().ok())
            }
            Ok(_) => return None,
            Err(_) => None,
        };
        self.left = self.left.checked_sub(1)?;
        let hint = sleep(Duration::from_secs(hint.unwrap_or(0)));
        Some(Box::pin(join(hint, self.backoff.next_backoff()).map(drop)))
    }

    fn clone_request(&mut self, request: &Request<Bytes>) -> Option<Request<Bytes>> {
        Some(request.clone())
    }
}

fn failed(answer: &Answer) -> bool {
    answer.status().is_server_error()
}

fn other_model(request: Request<Bytes>) -> Request<Bytes> {
    request.map(|body| {
        let mut chat: Value = serde_json::from_slice(&body).unwrap_or_default();
        chat["model"] = "gpt-4.1-mini".into();
        chat.to_string().into()
    })
}

fn peers(client: Client) -> Result<Client, BoxError> {
    let a_minute = |n| governor::Quota::per_minute(NonZeroU32::new(n).expect("not zero"));
    let requests = Arc::new(RateLimiter::direct(a_minute(500)));
    let tokens = Arc::new(RateLimiter::direct(a_minute(30_000)));
    let (first, max) = (Duration::from_millis(500), Duration::from_secs(8));
    let backoff = ExponentialBackoffMaker::new(first, max, 1.0, HasherRng::new())?.make_backoff();
    let retry = Retry { left: 2, backoff };
    let stack = |client: Client| -> Result<Client, BoxError> {
        let breaker = TheirBreaker::builder()
            .failure_rate_threshold(0.5)
            .minimum_number_of_calls(20)
            .wait_duration_in_open(Duration::from_secs(5))
            .failure_classifier(|outcome: &Result<Answer, BoxError>| {
                outcome.as_ref().map_or(true, failed)
            })
            .build()?;
        let (requests, tokens) = (requests.clone(), tokens.clone());
        let limited = layer_fn(move |inner| Limited {
            requests: requests.clone(),
            tokens: tokens.clone(),
            inner,
        });
        let stack = ServiceBuilder::new()
            .layer(RetryLayer::new(retry.clone()))
            .layer(limited)
            .map_err(BoxError::from)
            .layer(breaker)
            .service(client);
        Ok(BoxCloneService::new(stack))
    };
    let other = stack(client.clone())?.map_request(other_model);
    let fallback = TheirFallback::<Request<Bytes>, Answer, BoxError>::tower_service(other);
    let stack = ServiceBuilder::new()
        .map_err(BoxError::from)
        .layer(fallback.handle_response(failed))
        .service(stack(client)?);
    Ok(BoxCloneService::new(stack))
}
// End.

/// Lines of code between a mark and the next end.
fn lines(mark: &str) -> usize {
    let (_, part) = include_str!("lines.rs").split_once(mark).expect("a mark");
    let (part, _) = part.split_once("// End.").expect("an end");
    let code = part.lines().map(str::trim);
    code.filter(|line| !line.is_empty() && !line.starts_with("//"))
        .count()
}

fn main() -> Result<(), BoxError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    runtime.block_on(async {
        // The first model is down.
        let answer = |body: &[u8]| {
            let down = !body.windows(4).any(|part| part == b"mini");
            let answer = Response::builder().status(if down { 502 } else { 200 });
            Ok::<Answer, BoxError>(answer.body(Empty::new()).expect("an answer"))
        };
        let body = || Bytes::from(r#"{"model": "gpt-4.1", "max_tokens": 9}"#);
        let client = service_fn(move |request: Request<BufferedBody>| async move {
            let body = http_body_util::BodyExt::collect(request.into_body()).await;
            answer(&body.expect("a body that is here").to_bytes())
        });
        let ours = ours!(client);
        let request = Request::new(http_body_util::Full::new(body()));
        assert_eq!(ours.oneshot(request).await?.status(), 200);

        let client =
            service_fn(move |request: Request<Bytes>| async move { answer(request.body()) });
        let peers = peers(BoxCloneService::new(client))?;
        assert_eq!(peers.oneshot(Request::new(body())).await?.status(), 200);
        Ok::<(), BoxError>(())
    })?;
    println!("lines for the same job: {} here,", lines("// Ours."));
    println!(
        "{} with governor, tower's retry, and tower-resilience's breaker and fallback",
        lines("// Peers.")
    );
    Ok(())
}
