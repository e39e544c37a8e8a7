//! Retry, breaker and fallback in one stack.

use std::time::Duration;

use tokio::time::Instant;
use tower::{Layer, ServiceExt};
use tower_quota::{
    BackoffRetryLayer, CircuitBreakerLayer, CircuitState, FallbackLayer, Reason, Rejected,
};

use crate::support::mock::*;

fn breaker() -> CircuitBreakerLayer {
    CircuitBreakerLayer::new().consecutive_failures(3)
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_is_not_retried_by_its_own_retry() {
    let (mock, breaker) = (Mock::new([Step::Error("down")]), breaker());
    let retry = BackoffRetryLayer::new().attempts(7).no_budget();
    let service = retry.layer(breaker.layer(mock.clone()));
    // The last real outcome is the caller's; who comes next is refused.
    let error = service.clone().oneshot(request()).await.unwrap_err();
    assert_eq!(error.to_string(), "down");
    // Refusals count neither as calls nor as failures.
    assert_eq!((mock.calls(), breaker.handle().counts().failures), (3, 3));
    assert_eq!(breaker.handle().counts().refused, 1);
    let error = service.oneshot(request()).await.unwrap_err();
    assert_eq!(
        Rejected::find(error.as_ref()).unwrap().reason,
        Reason::CircuitOpen
    );
}

#[tokio::test(start_paused = true)]
async fn failures_inside_of_one_call_count_once() {
    let (mock, breaker) = (Mock::new([Step::Error("down")]), breaker());
    let service = breaker.layer(BackoffRetryLayer::new().layer(mock.clone()));
    service.oneshot(request()).await.unwrap_err();
    assert_eq!((mock.calls(), breaker.handle().counts().failures), (3, 1));
    assert_eq!(breaker.handle().state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_falls_back_at_once() {
    let (first, second) = (Mock::new([OK]), Mock::new([Step::Status(201)]));
    let breaker = breaker();
    breaker.handle().force_open();
    let service = FallbackLayer::to(second.clone())
        .layer(BackoffRetryLayer::new().layer(breaker.gate().layer(breaker.layer(first.clone()))));
    let start = Instant::now();
    assert_eq!(service.oneshot(request()).await.unwrap().status(), 201);
    assert_eq!(
        (first.calls(), second.calls(), start.elapsed()),
        (0, 1, Duration::ZERO)
    );
}

#[tokio::test(start_paused = true)]
async fn layers_without_a_budget_multiply_and_those_with_one_do_not() {
    let mock = Mock::new([DOWN]);
    let all = || BackoffRetryLayer::new().no_budget();
    let service = all().layer(all().layer(all().layer(mock.clone())));
    service.oneshot(request()).await.unwrap();
    assert_eq!(mock.calls(), 27);
    let mock = Mock::new([DOWN]);
    let one = || BackoffRetryLayer::new();
    let service = one().layer(one().layer(one().layer(mock.clone())));
    for _ in 0..1_000 {
        service.clone().oneshot(request()).await.unwrap();
    }
    assert!(mock.calls() < 1_500, "{}", mock.calls());
}
