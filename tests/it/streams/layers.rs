//! What the layers do about an error in a stream.

use std::time::Duration;

use tokio::time::Instant;
use tower::{Layer, ServiceBuilder, ServiceExt};
use tower_quota::{
    BackoffRetryLayer, CircuitBreakerLayer, CircuitState, Cost, FallbackLayer, Limit, Quota,
    RateLimitLayer, Settle, TokenBudgetLayer,
};

use super::{Step::*, *};
use crate::support::probe::request;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn an_error_before_the_content_is_retried_and_the_caller_never_sees_it() {
    let provider = Provider::new(&[
        &[Data(CREATED), Data(LIMITED)],
        &[Data(ROLE), Break],
        &[Data(CREATED), Data(HELLO), Data(DONE)],
    ]);
    let start = Instant::now();
    let service = BackoffRetryLayer::new()
        .random(|| 0)
        .layer(provider.service());
    let answer = service.oneshot(request()).await.unwrap();
    assert_eq!(
        text(answer.into_body()).await.unwrap(),
        [CREATED, HELLO, DONE].concat()
    );
    assert_eq!(provider.calls(), 3);
    assert!(
        start.elapsed() >= 2 * SECOND,
        "the hint in the stream is kept"
    );
}

#[tokio::test(start_paused = true)]
async fn an_error_after_the_content_is_never_retried() {
    let provider = Provider::new(&[&[Data(HELLO), Data(OVERLOADED)], &[Data(DONE)]]);
    let service = BackoffRetryLayer::new().layer(provider.service());
    let answer = service.oneshot(request()).await.unwrap();
    assert_eq!(
        text(answer.into_body()).await.unwrap(),
        [HELLO, OVERLOADED].concat()
    );
    assert_eq!(provider.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_last_error_is_handed_on_whole() {
    let provider = Provider::new(&[&[Data(ROLE), Data(OVERLOADED)]]);
    let service = BackoffRetryLayer::new()
        .attempts(2)
        .layer(provider.service());
    let answer = service.oneshot(request()).await.unwrap();
    assert_eq!(
        text(answer.into_body()).await.unwrap(),
        [ROLE, OVERLOADED].concat()
    );
    assert_eq!(provider.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_error_before_the_content_falls_back() {
    let first = Provider::new(&[&[Data(ROLE), Data(OVERLOADED)]]);
    let second = Provider::new(&[&[Data(HELLO)]]);
    let service = FallbackLayer::to(second.service()).layer(first.service());
    let answer = service.oneshot(request()).await.unwrap();
    assert_eq!(text(answer.into_body()).await.unwrap(), HELLO);
    // After it, never.
    let first = Provider::new(&[&[Data(HELLO), Data(OVERLOADED)]]);
    let service = FallbackLayer::to(second.service()).layer(first.service());
    let answer = service.oneshot(request()).await.unwrap();
    assert_eq!(
        text(answer.into_body()).await.unwrap(),
        [HELLO, OVERLOADED].concat()
    );
    assert_eq!(second.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn errors_in_streams_open_the_circuit() {
    let provider = Provider::new(&[&[Data(ROLE), Data(OVERLOADED)]]);
    let layer = CircuitBreakerLayer::new().consecutive_failures(3);
    let (service, handle) = (layer.layer(provider.service()), layer.handle());
    for _ in 0..3 {
        assert_eq!(handle.state(), CircuitState::Closed);
        service.clone().oneshot(request()).await.unwrap();
    }
    assert_eq!(handle.state(), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_read_once_and_every_layer_knows() {
    let provider = Provider::new(&[&[Data(ROLE), Data(LIMITED)], &[Data(ROLE), Data(HELLO)]]);
    let quota = Quota::new(Limit::tokens_per_minute(1_000)).unwrap();
    let budget = TokenBudgetLayer::new(quota.clone()).cost(|_: &_| Cost::tokens(100));
    let service = ServiceBuilder::new()
        .layer(BackoffRetryLayer::new().random(|| 0))
        .layer(RateLimitLayer::per_minute(100))
        .layer(budget.settle(Settle::TrueUp))
        .layer(CircuitBreakerLayer::new())
        .service(provider.service());
    let start = Instant::now();
    let answer = service.oneshot(request()).await.unwrap();
    assert!(start.elapsed() >= 2 * SECOND, "paused, and waited");
    assert_eq!(
        text(answer.into_body()).await.unwrap(),
        [ROLE, HELLO].concat()
    );
    // What was refused took no tokens.
    assert_eq!(quota.snapshot().limits[0].used, 100);
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_alone_holds_no_head_back() {
    let provider = Provider::new(&[&[KeepAlives]]);
    let service = RateLimitLayer::per_minute(100).layer(provider.service());
    let start = Instant::now();
    service.oneshot(request()).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
}
