//! When a charge gets its date, whatever stands between two layers and however they are polled.

use std::{convert::Infallible, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    task::JoinSet,
    time::{interval, sleep, timeout},
};
use tower::{
    BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn, util::BoxCloneService,
};
use tower_quota::{
    BackoffRetryLayer, CircuitBreakerLayer, Limit, RateLimitLayer, TokenBudgetLayer,
    testing::{Provider, Shape},
};

use super::{MINUTE, books, chat, cost, patient};

fn provider(requests: u64) -> Provider {
    Provider::openai()
        .requests_per_minute(requests)
        .shape(Shape::Rolling)
        .build()
        .unwrap()
}

async fn ready<S: Service<http::Request<Full>>>(service: &mut S) -> &mut S {
    let ready = service.ready().await;
    ready.unwrap_or_else(|_| panic!("always ready"))
}

#[tokio::test(start_paused = true)]
async fn a_charge_gets_its_date_when_its_future_is_first_polled_not_when_it_is_made() {
    let provider = provider(10);
    let quota = patient([Limit::requests_per_minute(10)]);
    let mut service = RateLimitLayer::new(quota.clone()).layer(provider.service());
    let mut made = Vec::new();
    for _ in 0..10 {
        made.push(ready(&mut service).await.call(chat(5)));
    }
    assert_eq!(books(&quota).0, [(0, 10)]);
    sleep(Duration::from_secs(58)).await;
    for future in made {
        future.await.unwrap();
    }
    let mut tasks = JoinSet::new();
    for _ in 0..10 {
        tasks.spawn(service.clone().oneshot(chat(5)));
    }
    while let Some(answer) = tasks.join_next().await {
        assert_eq!(answer.unwrap().unwrap().status(), 200);
    }
    assert_eq!(provider.report().most_requests_in_a_minute, 10);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_before_its_first_poll_may_have_left_and_stays_charged() {
    let quota = patient([Limit::requests_per_minute(10)]);
    let mut service = RateLimitLayer::new(quota.clone()).layer(provider(10).service());
    drop(ready(&mut service).await.call(chat(5)));
    assert_eq!(books(&quota), (vec![(1, 0)], 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_time_out_between_two_layers_gives_the_outer_charge_back() {
    let outer = patient([Limit::tokens_per_minute(1_000)]);
    let inner = patient([Limit::requests_per_minute(1)]);
    let provider = provider(10);
    let service = ServiceBuilder::new()
        .layer(TokenBudgetLayer::new(outer.clone()).cost(cost))
        .timeout(Duration::from_secs(5))
        .layer(RateLimitLayer::new(inner.clone()))
        .service(provider.service());
    service.clone().oneshot(chat(10)).await.unwrap();
    service.clone().oneshot(chat(10)).await.unwrap_err();
    assert_eq!(books(&outer), (vec![(10, 0)], 0, 0));
    assert_eq!(books(&inner), (vec![(1, 0)], 0, 0));
    assert_eq!(provider.report().requests, 1);
}

/// Tries, by turns, everything that a user may put between two layers.
type Between = fn(Boxed) -> Boxed;
pub(super) type Boxed = BoxCloneService<http::Request<Full>, http::Response<Full>, BoxError>;
type Full = http_body_util::Full<bytes::Bytes>;

/// Wakes the caller often, and polls what is inside only when that was woken.
pub(super) fn ticking(inner: Boxed) -> Boxed {
    BoxCloneService::new(service_fn(move |request| {
        let inner = inner.clone();
        async move {
            let mut calls = FuturesUnordered::new();
            calls.push(inner.oneshot(request));
            let mut ticks = interval(Duration::from_secs(1));
            loop {
                tokio::select! {
                    biased;
                    _ = ticks.tick() => {}
                    Some(answer) = calls.next() => return answer,
                }
            }
        }
    }))
}

fn boxed_twice(inner: Boxed) -> Boxed {
    BoxCloneService::new(BoxCloneService::new(inner.map_response(|r| r)))
}

fn in_a_select(inner: Boxed) -> Boxed {
    BoxCloneService::new(service_fn(move |request| {
        let inner = inner.clone();
        async move {
            tokio::select! {
                answer = inner.oneshot(request) => answer,
                () = sleep(MINUTE * 1_000) => Err("never".into()),
            }
        }
    }))
}

fn timed(inner: Boxed) -> Boxed {
    BoxCloneService::new(ServiceBuilder::new().timeout(MINUTE * 1_000).service(inner))
}

fn either(inner: Boxed) -> Boxed {
    let layer = Some(tower::timeout::TimeoutLayer::new(MINUTE * 1_000));
    BoxCloneService::new(ServiceBuilder::new().option_layer(layer).service(inner))
}

fn retried(inner: Boxed) -> Boxed {
    let breaker = CircuitBreakerLayer::new();
    let service = ServiceBuilder::new()
        .map_response(|r: http::Response<_>| r.map(|_| Full::default()))
        .layer(BackoffRetryLayer::new())
        .layer(breaker.gate())
        .layer(breaker)
        .service(inner);
    BoxCloneService::new(service)
}

const BETWEEN: [(&str, Between); 6] = [
    ("boxed", boxed_twice),
    ("select", in_a_select),
    ("time-out", timed),
    ("either", either),
    ("retry and breaker", retried),
    ("polled only when woken", ticking),
];

#[tokio::test(start_paused = true)]
async fn two_quotas_overshoot_neither_whatever_stands_between_them() {
    for (name, between) in BETWEEN {
        for tokens_outside in [true, false] {
            let provider = Provider::openai()
                .requests_per_minute(50)
                .tokens_per_minute(3_000)
                .shape(Shape::Rolling)
                .transit(Duration::ZERO..Duration::from_millis(468))
                .latency(Duration::from_millis(300)..Duration::from_secs(3))
                .build()
                .unwrap();
            let requests = patient([Limit::requests_per_minute(50)]);
            let tokens = patient([Limit::tokens_per_minute(3_000)]);
            let limit = ServiceBuilder::new()
                .map_response(|r: http::Response<_>| r.map(|_| Full::default()))
                .layer(RateLimitLayer::new(requests.clone()));
            let budget = ServiceBuilder::new()
                .map_response(|r: http::Response<_>| r.map(|_| Full::default()))
                .layer(TokenBudgetLayer::new(tokens.clone()).cost(cost));
            let client = ServiceBuilder::new()
                .map_response(|r: http::Response<_>| r.map(|_| Full::default()))
                .service(provider.service());
            let stack = if tokens_outside {
                let inner = BoxCloneService::new(limit.service(client));
                BoxCloneService::new(budget.service(between(inner)))
            } else {
                let inner = BoxCloneService::new(budget.service(client));
                BoxCloneService::new(limit.service(between(inner)))
            };
            let mut tasks = JoinSet::new();
            for n in 0..600 {
                let size = if (n / 150) % 2 == 0 { 5 } else { 110 };
                tasks.spawn(stack.clone().oneshot(chat(size)));
            }
            while let Some(answer) = tasks.join_next().await {
                answer.unwrap().unwrap();
            }
            let report = provider.report();
            println!("{name}, tokens outside: {tokens_outside}: {report}");
            assert_eq!(report.rate_limited, 0, "{name} {tokens_outside}");
            assert_eq!(report.admitted, 600);
            assert!(report.most_requests_in_a_minute <= 50);
            assert!(report.most_tokens_in_a_minute <= 3_000);
            for quota in [&requests, &tokens] {
                let (limits, in_flight, waiting) = books(quota);
                assert_eq!((limits[0].1, in_flight, waiting), (0, 0, 0), "{name}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_outermost_of_three_hears_of_the_innermost_across_the_one_between() {
    let outermost = patient([Limit::requests_per_minute(100)]);
    let middle = patient([Limit::requests_per_minute(100)]);
    let innermost = patient([Limit::requests_per_minute(2)]);
    let provider = provider(10);
    let service = ServiceBuilder::new()
        .layer(RateLimitLayer::new(outermost.clone()))
        .layer(RateLimitLayer::new(middle.clone()))
        .layer(RateLimitLayer::new(innermost.clone()))
        .service(provider.service());
    let mut tasks = JoinSet::new();
    for _ in 0..5 {
        tasks.spawn(service.clone().oneshot(chat(5)));
    }
    sleep(Duration::from_secs(1)).await;
    assert_eq!(
        (books(&outermost).0, books(&middle).0),
        (vec![(2, 3)], vec![(2, 3)])
    );
    tasks.shutdown().await;
    assert_eq!(books(&outermost), (vec![(2, 0)], 0, 0));
    assert_eq!(books(&middle), (vec![(2, 0)], 0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_waits_further_in_and_is_dropped_there_leaves_nothing_charged_outside() {
    let outer = patient([Limit::tokens_per_minute(1_000)]);
    let inner = patient([Limit::requests_per_minute(1)]);
    let provider = provider(10);
    let limited = RateLimitLayer::new(inner.clone()).layer(provider.service());
    // Whichever of its parts is looked at first.
    let service = TokenBudgetLayer::new(outer.clone())
        .cost(cost)
        .layer(service_fn(move |request| {
            let limited = limited.clone();
            async move {
                tokio::select! {
                    biased;
                    () = sleep(Duration::from_secs(5)) => Err::<_, BoxError>("late".into()),
                    answer = limited.oneshot(request) => answer,
                }
            }
        }));
    service.clone().oneshot(chat(10)).await.unwrap();
    service.clone().oneshot(chat(10)).await.unwrap_err();
    assert_eq!(books(&outer), (vec![(10, 0)], 0, 0));
    // And where the whole is dropped while its retry waits for another try.
    let retried = TokenBudgetLayer::new(outer.clone()).cost(cost).layer(
        BackoffRetryLayer::new().random(|| u64::MAX / 2).layer(
            tower::timeout::TimeoutLayer::new(Duration::from_secs(5))
                .layer(RateLimitLayer::new(inner.clone()).layer(provider.service())),
        ),
    );
    let all = retried.oneshot(chat(10));
    timeout(Duration::from_millis(5_100), all)
        .await
        .unwrap_err();
    assert_eq!(books(&outer), (vec![(10, 0)], 0, 0));
    assert_eq!(provider.report().requests, 1);
}

#[tokio::test(start_paused = true)]
async fn behind_a_buffer_a_charge_is_dated_when_the_buffer_takes_the_request() {
    // A buffer's worker is another task: nobody can see from here whether it has sent.
    let inner = patient([Limit::requests_per_minute(1)]);
    let outer = patient([Limit::requests_per_minute(10)]);
    let provider = provider(10);
    let limited = RateLimitLayer::new(inner).layer(provider.service());
    let service =
        RateLimitLayer::new(outer.clone()).layer(tower::buffer::Buffer::new(limited, 100));
    let mut tasks = JoinSet::new();
    for _ in 0..3 {
        tasks.spawn(service.clone().oneshot(chat(5)));
    }
    sleep(Duration::from_secs(1)).await;
    assert_eq!(books(&outer).0, [(3, 0)]);
    assert_eq!(provider.report().requests, 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_further_in_leaves_no_trace_on_the_thread() {
    let (outer, inner) = (
        patient([Limit::requests_per_minute(100)]),
        patient([Limit::requests_per_minute(100)]),
    );
    let stack = |inner_service| {
        ServiceBuilder::new()
            .layer(RateLimitLayer::new(outer.clone()).opaque())
            .layer(RateLimitLayer::new(outer.clone()).opaque())
            .layer(RateLimitLayer::new(inner.clone()).opaque())
            .service::<BoxCloneService<bool, (), Infallible>>(inner_service)
    };
    let in_call = stack(BoxCloneService::new(service_fn(|fail: bool| {
        assert!(!fail, "in call");
        std::future::ready(Ok(()))
    })));
    let in_poll = stack(BoxCloneService::new(service_fn(|fail: bool| async move {
        assert!(!fail, "in poll");
        Ok(())
    })));
    for (n, service) in [in_call, in_poll].into_iter().enumerate() {
        let call = std::panic::AssertUnwindSafe(service.clone().oneshot(true));
        let caught = futures_util::FutureExt::catch_unwind(call).await;
        assert!(caught.is_err());
        // It may have left: charged, but nothing is held.
        let expected = (vec![(2 * n as u64 + 1, 0)], 0, 0);
        assert_eq!((books(&outer), books(&inner)), (expected.clone(), expected));
        service.oneshot(false).await.unwrap();
        let expected = (vec![(2 * n as u64 + 2, 0)], 0, 0);
        assert_eq!((books(&outer), books(&inner)), (expected.clone(), expected));
    }
}
