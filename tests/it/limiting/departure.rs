//! A charge is held until the request really leaves.

use std::time::Duration;

use http::Request;
use http_body_util::Full;
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, sleep},
};
use tower::{Layer, ServiceBuilder, ServiceExt};
use tower_quota::{Cost, Limit, Quota, RateLimitLayer, TokenBudgetLayer};

use crate::support::probe::{Probe, request};

const MINUTE: Duration = Duration::from_secs(60);

fn patient(limit: Limit) -> Quota {
    Quota::builder()
        .limit(limit)
        .max_wait(Duration::from_secs(36_000))
        .max_queue(100_000)
        .build()
        .unwrap()
}

fn tokens(request: &Request<Full<bytes::Bytes>>) -> Cost {
    Cost::tokens(request.extensions().get::<u64>().copied().unwrap_or(0))
}

fn sized(tokens: u64) -> Request<Full<bytes::Bytes>> {
    let mut request = request();
    request.extensions_mut().insert(tokens);
    request
}

#[tokio::test(start_paused = true)]
async fn a_charge_gets_its_date_when_the_request_leaves_not_when_it_is_granted() {
    // Two permits are granted, then the inner service is busy for most of a minute.
    let probe = Probe::new();
    let gate = std::sync::Arc::new(Semaphore::new(0));
    let quota = patient(Limit::requests_per_minute(100));
    let stack = ServiceBuilder::new()
        .layer(RateLimitLayer::new(quota.clone()))
        .layer(Gate(gate.clone()))
        .service(probe.clone());
    let mut tasks = JoinSet::new();
    for _ in 0..200 {
        tasks.spawn(stack.clone().oneshot(request()));
    }
    sleep(Duration::from_secs(58)).await;
    assert_eq!(probe.count(), 0);
    gate.add_permits(1_000);
    while let Some(result) = tasks.join_next().await {
        result.unwrap().unwrap();
    }
    assert_eq!((probe.count(), probe.most_in(MINUTE)), (200, 100));
    sleep(MINUTE * 2).await;
    assert_eq!(quota.snapshot().limits[0].used, 0);
}

/// Lets nobody become ready until there is a permit.
#[derive(Clone)]
struct Gate(std::sync::Arc<Semaphore>);

impl<S> Layer<S> for Gate {
    type Service = tower::limit::ConcurrencyLimit<S>;
    fn layer(&self, inner: S) -> Self::Service {
        tower::limit::ConcurrencyLimit::with_semaphore(inner, self.0.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn two_quotas_stacked_either_way_round_overshoot_neither() {
    for tokens_outside in [true, false] {
        let probe = Probe::new();
        let requests = patient(Limit::requests_per_minute(500));
        let budget = patient(Limit::tokens_per_minute(30_000));
        let mut tasks = JoinSet::new();
        let start = Instant::now();
        for n in 0..6_000u64 {
            // 1,500 small and 1,500 large by turns.
            let request = sized(if (n / 1_500) % 2 == 0 { 1 } else { 20 });
            let limit = RateLimitLayer::new(requests.clone());
            let budget = TokenBudgetLayer::new(budget.clone()).cost(tokens);
            if tokens_outside {
                let stack = ServiceBuilder::new()
                    .map_response(|_| ())
                    .layer(budget)
                    .layer(limit);
                tasks.spawn(stack.service(probe.clone()).oneshot(request));
            } else {
                let stack = ServiceBuilder::new()
                    .map_response(|_| ())
                    .layer(limit)
                    .layer(budget);
                tasks.spawn(stack.service(probe.clone()).oneshot(request));
            }
        }
        while let Some(result) = tasks.join_next().await {
            result.unwrap().unwrap();
        }
        assert_eq!(probe.count(), 6_000);
        assert!(probe.most_in(MINUTE) <= 500, "{}", probe.most_in(MINUTE));
        assert!(start.elapsed() < MINUTE * 13, "{:?}", start.elapsed());
        let left = [requests.snapshot(), budget.snapshot()];
        for snapshot in left {
            assert_eq!((snapshot.limits[0].held, snapshot.in_flight), (0, 0));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn layers_on_one_quota_charge_a_request_once() {
    let quota = Quota::builder()
        .limit(Limit::requests_per_minute(100))
        .limit(Limit::tokens_per_minute(1_000))
        .max_in_flight(10)
        .build()
        .unwrap();
    let limit = || RateLimitLayer::new(quota.clone());
    let budget = || TokenBudgetLayer::new(quota.clone()).cost(tokens);
    let probe = Probe::new();
    let one = ServiceBuilder::new()
        .layer(limit())
        .layer(budget())
        .service(probe.clone());
    let answer = one.oneshot(sized(70)).await.unwrap();
    let spent = || {
        let snapshot = quota.snapshot();
        let limits = snapshot.limits;
        (
            limits[0].used,
            limits[1].used,
            limits[0].held + limits[1].held,
            snapshot.in_flight,
        )
    };
    assert_eq!(spent(), (1, 70, 0, 1));
    drop(answer);
    assert_eq!(spent(), (1, 70, 0, 0));
    let other = ServiceBuilder::new()
        .layer(budget())
        .layer(limit())
        .service(probe);
    drop(other.oneshot(sized(70)).await.unwrap());
    assert_eq!(spent(), (2, 140, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn requests_dropped_while_they_wait_further_in_leave_nothing_charged() {
    let probe = Probe::new();
    let outer = patient(Limit::tokens_per_minute(1_000));
    let inner = patient(Limit::requests_per_minute(5));
    let stack = ServiceBuilder::new()
        .layer(TokenBudgetLayer::new(outer.clone()).cost(tokens))
        .layer(RateLimitLayer::new(inner.clone()))
        .service(probe.clone());
    let mut tasks = JoinSet::new();
    for _ in 0..20 {
        tasks.spawn(stack.clone().oneshot(sized(10)));
    }
    sleep(Duration::from_secs(1)).await;
    // Five have left; fifteen wait for the inner quota, their tokens held by the outer one.
    assert_eq!(outer.snapshot().limits[0].used, 50);
    assert_eq!(outer.snapshot().limits[0].held, 150);
    tasks.shutdown().await;
    assert_eq!(outer.snapshot().limits[0].used, 50);
    assert_eq!(
        (outer.snapshot().limits[0].held, inner.snapshot().waiting),
        (0, 0)
    );
    assert_eq!(probe.count(), 5);
}

#[tokio::test(start_paused = true)]
async fn what_counts_on_arrival_counts_from_then_on_however_long_nobody_came() {
    let probe = Probe::new();
    let quota = patient(Limit::requests_per_minute(10));
    let service = RateLimitLayer::new(quota).on_arrival().layer(probe.clone());
    service.clone().oneshot(request()).await.unwrap();
    sleep(Duration::from_secs(50)).await;
    let mut tasks = JoinSet::new();
    for _ in 0..9 {
        service.clone().oneshot(request()).await.unwrap();
    }
    sleep(Duration::from_secs(12)).await;
    for _ in 0..20 {
        tasks.spawn(service.clone().oneshot(request()));
    }
    while let Some(result) = tasks.join_next().await {
        result.unwrap().unwrap();
    }
    assert_eq!((probe.count(), probe.most_in(MINUTE)), (30, 10));
}

#[tokio::test(start_paused = true)]
async fn one_quota_counts_on_arrival_and_again_further_in_without_waiting_for_itself() {
    let probe = Probe::new();
    let quota = Quota::builder()
        .limit(Limit::requests_per_minute(10))
        .max_in_flight(1)
        .build()
        .unwrap();
    let stack = ServiceBuilder::new()
        .layer(RateLimitLayer::new(quota.clone()).on_arrival())
        .layer(TokenBudgetLayer::new(quota.clone()).cost(tokens))
        .service(probe.clone());
    let begun = Instant::now();
    drop(stack.oneshot(sized(1)).await.unwrap());
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(quota.snapshot().limits[0].used, 1);
    assert_eq!(quota.snapshot().in_flight, 0);
}
