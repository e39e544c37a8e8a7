//! What a request holds, and when it lets go.

use std::{io, time::Duration};

use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio::{task::JoinSet, time::Instant};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_quota::{BoxError, Limit, Quota, RateLimitLayer};

use crate::support::{
    poll_once,
    probe::{Probe, request},
};

fn quota(requests: u64) -> Quota {
    Quota::builder()
        .limit(Limit::requests_per_minute(requests))
        .max_in_flight(100)
        .max_wait(Duration::from_secs(600))
        .build()
        .unwrap()
}

fn used(quota: &Quota) -> (u64, u64, usize) {
    let snapshot = quota.snapshot();
    let limit = snapshot.limits[0];
    (limit.used, limit.held, snapshot.in_flight)
}

#[tokio::test(start_paused = true)]
async fn a_place_in_flight_is_taken_until_the_answers_body_ends() {
    let quota = quota(10);
    let service = RateLimitLayer::new(quota.clone()).layer(Probe::new());
    let answer = service.clone().oneshot(request()).await.unwrap();
    assert_eq!(used(&quota), (1, 0, 1));
    answer.into_body().collect().await.unwrap();
    assert_eq!(used(&quota), (1, 0, 0));
    let answer = service.oneshot(request()).await.unwrap();
    drop(answer);
    assert_eq!(used(&quota), (2, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_error_answer_frees_its_place_at_its_head() {
    let quota = quota(10);
    let probe = Probe::new();
    let mut failure = Response::new(Full::from("{}"));
    *failure.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    probe.answer(Ok(failure));
    let service = RateLimitLayer::new(quota.clone()).layer(probe);
    let _answer = service.oneshot(request()).await.unwrap();
    assert_eq!(used(&quota), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_never_left_is_given_back() {
    let quota = quota(10);
    let probe = Probe::new();
    let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
    probe.answer(Err(refused.into()));
    let service = RateLimitLayer::new(quota.clone()).layer(probe.clone());
    service.clone().oneshot(request()).await.unwrap_err();
    assert_eq!(used(&quota), (0, 0, 0));
    // A reset connection may have carried the request.
    probe.answer(Err(io::Error::from(io::ErrorKind::ConnectionReset).into()));
    service.oneshot(request()).await.unwrap_err();
    assert_eq!(used(&quota), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_inner_layer_that_refuses_gives_back() {
    let quota = quota(10);
    let shed = ServiceBuilder::new()
        .layer(RateLimitLayer::new(quota.clone()))
        .load_shed()
        .concurrency_limit(1)
        .service(Probe::slow(Duration::from_secs(1)));
    let first = tokio::spawn(shed.clone().oneshot(request()));
    tokio::task::yield_now().await;
    shed.oneshot(request()).await.unwrap_err();
    assert_eq!(used(&quota), (1, 0, 1));
    first.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_future_dropped_while_it_waits_leaves_nothing_behind() {
    let quota = quota(1);
    let probe = Probe::new();
    let service = RateLimitLayer::new(quota.clone()).layer(probe.clone());
    drop(service.clone().oneshot(request()).await.unwrap());
    let mut waiting = Box::pin(service.clone().oneshot(request()));
    assert!(poll_once(&mut waiting).is_pending());
    assert_eq!(quota.snapshot().waiting, 1);
    drop(waiting);
    assert_eq!((quota.snapshot().waiting, used(&quota)), (0, (1, 0, 0)));
    assert_eq!(probe.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_future_dropped_after_the_request_left_keeps_its_charge_alone() {
    let quota = quota(5);
    let service = RateLimitLayer::new(quota.clone()).layer(Probe::slow(Duration::from_secs(9)));
    let mut sent = Box::pin(service.oneshot(request()));
    assert!(poll_once(&mut sent).is_pending());
    assert_eq!(used(&quota), (1, 0, 1));
    drop(sent);
    assert_eq!(used(&quota), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn over_a_concurrency_limit_of_one_nothing_deadlocks_and_who_waits_holds_no_slot() {
    let probe = Probe::slow(Duration::from_millis(100));
    let limit = tower::limit::ConcurrencyLimitLayer::new(1);
    let shared = limit.layer(probe.clone());
    // One long-lived handle, used by one caller after the other without waiting for answers.
    let mut handle = RateLimitLayer::per_second(2).layer(shared.clone());
    let mut tasks = JoinSet::new();
    for _ in 0..5 {
        tasks.spawn(handle.ready().await.unwrap().call(request()));
    }
    // Somebody beside the limiter is served while the rest wait for their turn.
    let start = Instant::now();
    shared.oneshot(request()).await.unwrap();
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    while let Some(result) = tasks.join_next().await {
        result.unwrap().unwrap();
    }
    assert_eq!(probe.count(), 6);
}

#[tokio::test(start_paused = true)]
async fn an_inner_service_that_fails_to_become_ready_costs_nothing() {
    let quota = quota(1);
    #[derive(Clone)]
    struct Broken;
    impl Service<()> for Broken {
        type Response = ();
        type Error = BoxError;
        type Future = std::future::Ready<Result<(), BoxError>>;
        fn poll_ready(
            &mut self,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), BoxError>> {
            std::task::Poll::Ready(Err("broken".into()))
        }
        fn call(&mut self, (): ()) -> Self::Future {
            unreachable!("never ready")
        }
    }
    let service = RateLimitLayer::new(quota.clone()).opaque().layer(Broken);
    assert_eq!(service.oneshot(()).await.unwrap_err().to_string(), "broken");
    assert_eq!(used(&quota), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_opaque_answer_frees_its_place_when_it_arrives() {
    let quota = quota(3);
    let service = RateLimitLayer::new(quota.clone())
        .opaque()
        .layer(service_fn(|n: u8| async move { Ok::<_, BoxError>(n) }));
    service.oneshot(1).await.unwrap();
    assert_eq!(used(&quota), (1, 0, 0));
}
