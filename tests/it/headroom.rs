//! Laws of `Headroom`: tower's balancer picks the endpoint with the most room.

use std::time::Duration;

use tokio::time::{Instant, advance};
use tower::{Layer, Service, load::Load};
use tower_quota::{
    Cost, Limit, Quota,
    headroom::{Fullness, Headroom, HeadroomLayer},
};

use crate::support::mock::*;

fn full(quota: &Quota) -> u64 {
    Headroom::new((), quota.clone()).load().millionths()
}

#[tokio::test(start_paused = true)]
async fn it_is_the_share_of_the_fullest_limit() {
    let quota = Quota::builder()
        .limit(Limit::requests_per_minute(10))
        .limit(Limit::tokens_per_minute(1_000))
        .max_in_flight(4)
        .build()
        .unwrap();
    assert_eq!(full(&quota), 0);
    let requests = [0; 3].map(|_| quota.try_acquire(Cost::tokens(10)).unwrap());
    // Three of four in flight.
    assert_eq!(full(&quota), 750_000);
    drop(requests);
    assert_eq!(full(&quota), 300_000);
    drop(quota.try_acquire(Cost::tokens(470)).unwrap());
    assert_eq!(full(&quota), 500_000);
    advance(Duration::from_secs(62)).await;
    assert_eq!(full(&quota), 0);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_make_it_fuller_and_a_pause_fullest() {
    let quota = Quota::builder()
        .limit(Limit::tokens_per_minute(1_000))
        .max_wait(Duration::from_secs(600))
        .build()
        .unwrap();
    drop(quota.try_acquire(Cost::tokens(1_000)).unwrap());
    assert_eq!(full(&quota), 1_000_000);
    let mut waiting: Vec<_> = (0..3)
        .map(|_| Box::pin(quota.acquire(Cost::tokens(500))))
        .collect();
    for call in &mut waiting {
        assert!(poll(call.as_mut()).is_pending());
    }
    assert_eq!(full(&quota), 2_500_000);
    waiting.pop();
    assert_eq!(full(&quota), 2_000_000);
    drop(waiting);
    assert_eq!(full(&quota), 1_000_000);
    let other = Quota::new(Limit::tokens_per_minute(1_000)).unwrap();
    other.pause_until(Instant::now() + Duration::from_secs(1));
    let short = full(&other);
    assert!(short > 1_000_000_000);
    other.pause_until(Instant::now() + Duration::from_secs(2));
    assert!(full(&other) > short);
    advance(Duration::from_secs(2)).await;
    assert_eq!(full(&other), 0);
}

#[test]
fn it_is_ordered_and_passes_everything_through() {
    let quota = Quota::new(Limit::requests_per_minute(10)).unwrap();
    let endpoint = HeadroomLayer::new(quota.clone()).layer("client");
    let empty = endpoint.load();
    drop(quota.try_acquire(Cost::request()).unwrap());
    assert!(empty < endpoint.load());
    assert_eq!(empty, Fullness::default());
    assert_eq!(
        (*endpoint.get_ref(), endpoint.into_inner()),
        ("client", "client")
    );
    let mock = Mock::new([OK]);
    mock.becomes(Readiness::Stuck);
    let mut service = Headroom::new(mock.clone(), quota);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(service.poll_ready(&mut cx).is_pending());
    mock.becomes(Readiness::Ready);
    assert!(service.poll_ready(&mut cx).is_ready());
    assert!(poll(std::pin::pin!(service.call(request()))).is_ready());
}

#[cfg(feature = "testing")]
mod balanced {
    use tower::{ServiceBuilder, ServiceExt, balance::p2c::Balance, discover::ServiceList};
    use tower_quota::{RateLimitLayer, testing::Provider};

    use super::*;

    type Body = http_body_util::Full<bytes::Bytes>;

    fn chat() -> http::Request<Body> {
        let body = r#"{"model":"gpt-4.1-mini","max_tokens":5,"messages":[{"role":"user","content":"word"}]}"#;
        http::Request::post("/v1/chat/completions")
            .body(Body::from(body))
            .unwrap()
    }

    /// Three endpoints of one model, each with a quota of its own, under a tower balancer.
    #[tokio::test(start_paused = true)]
    async fn traffic_follows_the_room_and_no_endpoint_is_asked_for_more_than_it_has() {
        let limits = [600, 300, 100];
        let mut providers = Vec::new();
        let mut endpoints = Vec::new();
        for limit in limits {
            let provider = Provider::openai()
                .requests_per_minute(limit)
                .build()
                .unwrap();
            let quota = Quota::builder()
                .limit(Limit::requests_per_minute(limit))
                .max_wait(Duration::from_secs(600))
                .build()
                .unwrap();
            let stack = ServiceBuilder::new()
                .layer(HeadroomLayer::new(quota.clone()))
                .layer(RateLimitLayer::new(quota))
                .service(provider.service());
            providers.push(provider);
            endpoints.push(stack);
        }
        let list = ServiceList::new::<http::Request<Body>>(endpoints);
        let balance = Balance::new(list);
        // One balancer for all, as tower has it.
        let balance = tower::buffer::Buffer::new(balance, 64);
        let start = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        // 80 % of what all of them together allow in a minute; then twice that, at once.
        for _ in 0..800 {
            tasks.spawn(balance.clone().oneshot(chat()));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        while let Some(answer) = tasks.join_next().await {
            assert_eq!(answer.unwrap().unwrap().status(), 200);
        }
        let counts: Vec<u64> = providers.iter().map(|p| p.report().requests).collect();
        println!("of 800 requests, by room of 600, 300, 100: {counts:?}");
        for (count, limit) in counts.iter().zip(limits) {
            let share = limit * 8 / 10;
            assert!(count.abs_diff(share) <= share / 4 + 5, "{counts:?}");
        }
        // Nobody waited: there was room all the time.
        assert!(start.elapsed() < Duration::from_secs(9));
        for _ in 0..1_600 {
            tasks.spawn(balance.clone().oneshot(chat()));
        }
        while let Some(answer) = tasks.join_next().await {
            assert_eq!(answer.unwrap().unwrap().status(), 200);
        }
        for (provider, limit) in providers.iter().zip(limits) {
            let report = provider.report();
            assert_eq!(report.requests, report.admitted, "a 429");
            assert!(report.most_requests_in_a_minute <= limit);
        }
        let elapsed = start.elapsed().as_secs_f64();
        println!("2,400 requests at 1,000 a minute: {elapsed:.1} s");
    }
}
