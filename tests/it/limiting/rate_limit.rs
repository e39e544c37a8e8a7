//! Waiting, refusing, sharing.

use std::time::Duration;

use http::Request;
use tokio::{
    task::JoinSet,
    time::{Instant, advance},
};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_quota::{BoxError, Limit, Priority, Quota, RateLimitLayer, Reason, Rejected};

use crate::support::probe::{Probe, request};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn never_more_than_the_limit_in_any_minute_though_hundreds_ask_at_once() {
    let probe = Probe::new();
    let quota = Quota::builder()
        .limit(Limit::requests_per_minute(500))
        .max_wait(Duration::from_secs(600))
        .build()
        .unwrap();
    let service = RateLimitLayer::new(quota).layer(probe.clone());
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..2_000 {
        tasks.spawn(service.clone().oneshot(request()));
    }
    while let Some(result) = tasks.join_next().await {
        result.unwrap().unwrap();
    }
    assert_eq!(probe.count(), 2_000);
    assert_eq!(probe.most_in(MINUTE), 500);
    assert!(
        start.elapsed() < Duration::from_secs(185),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn every_service_of_one_layer_and_every_clone_shares_the_limit() {
    let probe = Probe::new();
    let layer = RateLimitLayer::per_minute(3).reject();
    let (one, two) = (
        layer.layer(probe.clone()),
        layer.clone().layer(probe.clone()),
    );
    let mut admitted = 0;
    for service in [one.clone(), one, two.clone(), two.clone(), two] {
        admitted += usize::from(service.oneshot(request()).await.is_ok());
    }
    assert_eq!((admitted, probe.count()), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_which_limit_and_exactly_when_to_come_back() {
    let service = RateLimitLayer::per_minute(1).reject().layer(Probe::new());
    service.clone().oneshot(request()).await.unwrap();
    let error = service.clone().oneshot(request()).await.unwrap_err();
    let rejected = Rejected::find(error.as_ref()).unwrap();
    assert_eq!(rejected.reason, Reason::LimitReached);
    let wait = rejected.retry_after.unwrap();
    assert!(
        wait >= MINUTE && wait < MINUTE + Duration::from_secs(2),
        "{wait:?}"
    );
    advance(wait - Duration::from_nanos(1)).await;
    service.clone().oneshot(request()).await.unwrap_err();
    advance(Duration::from_nanos(1)).await;
    service.oneshot(request()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_wait_known_to_be_too_long_is_refused_at_once() {
    let quota = Quota::builder()
        .limit(Limit::requests_per_minute(1))
        .max_wait(Duration::from_secs(5))
        .build()
        .unwrap();
    let service = RateLimitLayer::new(quota).layer(Probe::new());
    service.clone().oneshot(request()).await.unwrap();
    let before = Instant::now();
    let error = service.oneshot(request()).await.unwrap_err();
    assert_eq!(
        Rejected::find(error.as_ref()).unwrap().reason,
        Reason::WaitTooLong
    );
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn requests_of_any_type_are_limited() {
    let service = ServiceBuilder::new()
        .layer(RateLimitLayer::per_second(1).opaque())
        .service(service_fn(|n: u32| async move {
            Ok::<_, std::convert::Infallible>(n)
        }));
    let start = Instant::now();
    for n in 0..3 {
        assert_eq!(service.clone().oneshot(n).await.unwrap(), n);
    }
    assert!(start.elapsed() >= Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn each_key_has_a_limit_of_its_own() {
    let layer = RateLimitLayer::per_minute(1)
        .keyed(|request: &Request<_>| request.uri().path().to_owned())
        .reject();
    let service = layer.layer(Probe::new());
    let ask = |path: &str| {
        let mut request = request();
        *request.uri_mut() = path.parse().unwrap();
        service.clone().oneshot(request)
    };
    ask("/a").await.unwrap();
    ask("/a").await.unwrap_err();
    ask("/b").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_more_urgent_goes_first() {
    let service = RateLimitLayer::per_second(1)
        .priority(|n: &u32| match n {
            0 => Priority::Background,
            1 => Priority::Standard,
            _ => Priority::Interactive,
        })
        .opaque()
        .layer(service_fn(|n: u32| async move { Ok::<_, BoxError>(n) }));
    service.clone().oneshot(9).await.unwrap();
    let mut tasks = JoinSet::new();
    for n in 0..3 {
        tasks.spawn(service.clone().oneshot(n));
    }
    let mut order = Vec::new();
    while let Some(result) = tasks.join_next().await {
        order.push(result.unwrap().unwrap());
    }
    assert_eq!(order, [2, 1, 0]);
}

#[test]
fn a_layer_needs_no_runtime_until_somebody_waits() {
    let mut service = RateLimitLayer::per_second(2).layer(Probe::new());
    let waker = std::task::Waker::noop();
    let mut cx = std::task::Context::from_waker(waker);
    for _ in 0..3 {
        assert!(service.poll_ready(&mut cx).is_ready());
        drop(service.call(request()));
    }
}

#[test]
#[should_panic(expected = "0 requests per second would admit nothing")]
fn a_limit_of_nothing_is_refused_where_it_is_made() {
    let _ = RateLimitLayer::per_second(0);
}

#[tokio::test(start_paused = true)]
async fn by_default_those_above_a_minutes_worth_wait_for_the_next_minute() {
    let probe = Probe::new();
    let service = RateLimitLayer::per_minute(500).layer(probe.clone());
    let mut tasks = JoinSet::new();
    for _ in 0..600 {
        tasks.spawn(service.clone().oneshot(request()));
    }
    while let Some(result) = tasks.join_next().await {
        result.unwrap().unwrap();
    }
    assert_eq!((probe.count(), probe.most_in(MINUTE)), (600, 500));
}
