//! Layers that share one quota: a request is charged once, and never waits for itself.

use std::time::Duration;

use http_body_util::BodyExt;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};
use tower::{ServiceBuilder, ServiceExt};
use tower_quota::{
    BackoffRetryLayer, Cost, Limit, RateLimitLayer, Settle, TokenBudgetLayer,
    testing::{Provider, Shape},
};

use super::{MINUTE, books, chat, cost, patient, patient_with};
use crate::support::probe::{Probe, request};

#[tokio::test(start_paused = true)]
async fn three_layers_on_one_quota_charge_a_request_once() {
    let quota = patient_with(
        [
            Limit::requests_per_minute(100),
            Limit::tokens_per_minute(1_000),
        ],
        1,
    );
    let limit = || RateLimitLayer::new(quota.clone());
    let budget = || TokenBudgetLayer::new(quota.clone()).cost(|_: &_| Cost::tokens(70));
    let probe = Probe::new();
    let service = ServiceBuilder::new()
        .layer(limit())
        .layer(limit())
        .layer(budget())
        .layer(limit())
        .service(probe.clone());
    drop(service.oneshot(request()).await.unwrap());
    assert_eq!(books(&quota), (vec![(1, 0), (70, 0)], 0, 0));
    let service = ServiceBuilder::new()
        .layer(budget())
        .layer(limit())
        .layer(budget())
        .service(probe);
    drop(service.oneshot(request()).await.unwrap());
    assert_eq!(books(&quota), (vec![(2, 0), (140, 0)], 0, 0));
}

#[tokio::test(start_paused = true)]
async fn two_budgets_on_one_quota_settle_a_request_once() {
    for (outside, inside) in [(70, 70), (70, 100), (100, 70)] {
        let quota = patient([Limit::tokens_per_minute(1_000)]);
        let budget = |tokens| {
            TokenBudgetLayer::new(quota.clone())
                .cost(move |_: &_| Cost::tokens(tokens))
                .settle(Settle::TrueUp)
        };
        let provider = Provider::openai().build().unwrap();
        let service = ServiceBuilder::new()
            .layer(budget(outside))
            .layer(budget(inside))
            .service(provider.service());
        let answer = service.oneshot(chat(50)).await.unwrap();
        answer.into_body().collect().await.unwrap();
        assert_eq!(books(&quota), (vec![(50, 0)], 0, 0), "{outside} {inside}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_between_two_layers_on_one_quota_needs_no_second_place_in_flight() {
    let quota = patient_with([Limit::requests_per_minute(100)], 2);
    let provider = Provider::openai().build().unwrap();
    let down = http::StatusCode::INTERNAL_SERVER_ERROR;
    provider.faults(|f| f.errors(0.7, down));
    let service = ServiceBuilder::new()
        .map_response(|_| ())
        .layer(RateLimitLayer::new(quota.clone()))
        .layer(BackoffRetryLayer::new().no_budget())
        .layer(RateLimitLayer::new(quota.clone()))
        .service(provider.service());
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..30 {
        tasks.spawn(service.clone().oneshot(chat(5)));
    }
    while let Some(answer) = tasks.join_next().await {
        answer.unwrap().unwrap();
    }
    assert!(start.elapsed() < MINUTE * 3, "{:?}", start.elapsed());
    // Each try was charged once, and nothing else.
    assert_eq!(books(&quota).1, 0);
    let report = provider.report();
    assert!(report.requests > 45 && report.most_requests_in_a_minute <= 100);
}

/// A crowd in which everybody has to pass two layers on one quota.
async fn crowd(in_flight: usize) {
    let quota = patient_with(
        [
            Limit::requests_per_minute(10),
            Limit::tokens_per_minute(1_000),
        ],
        in_flight,
    );
    let provider = Provider::openai()
        .requests_per_minute(10)
        .tokens_per_minute(1_000)
        .shape(Shape::Rolling)
        .latency(Duration::from_secs(1))
        .build()
        .unwrap();
    let service = ServiceBuilder::new()
        .map_response(|_| ())
        .layer(RateLimitLayer::new(quota.clone()))
        .layer(TokenBudgetLayer::new(quota.clone()).cost(cost))
        .service(provider.service());
    let mut tasks = JoinSet::new();
    for _ in 0..100 {
        tasks.spawn(service.clone().oneshot(chat(200)));
    }
    let all = async {
        while let Some(answer) = tasks.join_next().await {
            answer.unwrap().unwrap();
        }
    };
    // Five a minute.
    timeout(MINUTE * 22, all)
        .await
        .expect("nobody waits for ever");
    let report = provider.report();
    assert_eq!((report.admitted, report.rate_limited), (100, 0));
    assert_eq!((books(&quota).1, books(&quota).2), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn who_has_passed_one_layer_goes_before_those_who_wait_for_it() {
    crowd(usize::MAX).await;
}

#[tokio::test(start_paused = true)]
async fn who_has_a_place_in_flight_goes_before_those_who_wait_for_one() {
    for in_flight in [1, 2, 5, 50] {
        crowd(in_flight).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusing_layer_does_not_refuse_who_has_passed_another_because_others_wait() {
    let quota = patient_with(
        [
            Limit::requests_per_minute(50),
            Limit::tokens_per_minute(1_000),
        ],
        1,
    );
    let service = ServiceBuilder::new()
        .map_response(|_| ())
        .layer(RateLimitLayer::new(quota.clone()))
        .layer(
            TokenBudgetLayer::new(quota.clone())
                .cost(|_: &_| Cost::tokens(10))
                .reject(),
        )
        .service(Probe::slow(Duration::from_secs(1)));
    let mut tasks = JoinSet::new();
    for _ in 0..20 {
        tasks.spawn(service.clone().oneshot(request()));
    }
    while let Some(answer) = tasks.join_next().await {
        answer.unwrap().unwrap();
    }
    assert_eq!(books(&quota), (vec![(20, 0), (200, 0)], 0, 0));
}
