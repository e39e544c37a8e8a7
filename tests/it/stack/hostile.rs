//! Providers, closures and threads that mean no good.

use std::{
    io,
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::{
    runtime,
    time::{Instant, advance},
};
use tower::{Layer, ServiceExt, service_fn};
use tower_quota::{
    Backoff, BackoffRetryLayer, BoxError, CircuitBreakerLayer, CircuitHandle, Cost, Limit, Quota,
    RateLimitLayer, Reason, Rejected, RetryBudget, Settle, TokenBudgetLayer, Verdict,
};

use super::{MINUTE, books, patient, patient_with};
use crate::support::{
    poll_once,
    probe::{Probe, request},
};

fn both() -> Quota {
    patient([
        Limit::requests_per_minute(100),
        Limit::tokens_per_minute(1_000),
    ])
}

fn answer(status: u16, headers: &[(&str, &str)], body: &'static str) -> Response<Full<Bytes>> {
    let mut answer = Response::builder().status(status);
    for (name, value) in headers {
        answer = answer.header(*name, *value);
    }
    answer.body(Full::from(body)).unwrap()
}

/// One request of 10 tokens that is answered so.
async fn ask(quota: &Quota, settle: Settle, answer: Response<Full<Bytes>>) {
    let probe = Probe::new();
    probe.answer(Ok(answer));
    let layer = TokenBudgetLayer::new(quota.clone()).cost(|_: &_| Cost::tokens(10));
    let service = layer.settle(settle).layer(probe);
    let answer = service.oneshot(request()).await.unwrap();
    answer.into_body().collect().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nonsense_in_headers_changes_nothing() {
    for value in [
        "NaN",
        "-1e9",
        "inf",
        "",
        "1e400",
        "0x10",
        "99999999999999999999999",
        "🦀",
    ] {
        let quota = both();
        let headers = [
            ("retry-after", value),
            ("retry-after-ms", value),
            ("x-ratelimit-limit-tokens", value),
            ("x-ratelimit-remaining-tokens", value),
            ("x-ratelimit-reset-tokens", value),
        ];
        for status in [200, 429, 503] {
            ask(&quota, Settle::Keep, answer(status, &headers, "{}")).await;
        }
        assert_eq!(quota.snapshot().limits[1].paused, Duration::ZERO, "{value}");
        assert_eq!(quota.snapshot().paused, Duration::ZERO, "{value}");
        assert_eq!(books(&quota), (vec![(3, 0), (30, 0)], 0, 0), "{value}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_remainder_above_the_limit_raises_nothing_and_a_negative_one_reads_as_none() {
    let quota = both();
    let more = [("x-ratelimit-remaining-tokens", "18446744073709551615")];
    ask(&quota, Settle::Keep, answer(200, &more, "{}")).await;
    assert_eq!(quota.snapshot().limits[1].left, 990);
    let debt = [("x-ratelimit-remaining-tokens", "-27689")];
    ask(&quota, Settle::Keep, answer(200, &debt, "{}")).await;
    assert_eq!(quota.snapshot().limits[1].left, 0);
    advance(MINUTE * 2).await;
    assert_eq!(books(&quota).0, [(0, 0), (0, 0)]);
}

#[tokio::test(start_paused = true)]
async fn any_usage_is_survived_and_forgotten_after_a_window() {
    let most = r#"{"usage": {"prompt_tokens": 18446744073709551615, "completion_tokens": 18446744073709551615, "total_tokens": 18446744073709551615}}"#;
    let odd =
        r#"{"usage": {"prompt_tokens": -5, "completion_tokens": 1e300, "total_tokens": null}}"#;
    for body in [most, odd, r#"{"usage": {"total_tokens": 1e19}}"#] {
        for settle in [Settle::Keep, Settle::Auto, Settle::TrueUp] {
            let quota = both();
            for _ in 0..3 {
                quota.resume();
                let probe = Probe::new();
                probe.answer(Ok(answer(200, &[], body)));
                let layer = TokenBudgetLayer::new(quota.clone()).cost(|_: &_| Cost::tokens(0));
                let answer = layer.settle(settle).layer(probe).oneshot(request()).await;
                answer.unwrap().into_body().collect().await.unwrap();
            }
            let (limits, in_flight, _) = books(&quota);
            assert!(
                limits[1].0 >= 1_000 && limits[1].1 == 0 && in_flight == 0,
                "{limits:?}"
            );
            assert_eq!(quota.snapshot().limits[1].left, 0);
            advance(MINUTE * 2).await;
            assert_eq!(books(&quota).0, [(0, 0), (0, 0)], "{body} {settle:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn costs_of_nothing_pass_and_costs_of_everything_never_fit() {
    let quota = both();
    let ask = |cost: Cost| {
        let layer = TokenBudgetLayer::new(quota.clone()).cost(move |_: &_| cost.clone());
        layer.layer(Probe::new()).oneshot(request())
    };
    for cost in [
        Cost::none(),
        Cost::tokens(0),
        Cost::input_output(0, 0),
        Cost::request(),
    ] {
        ask(cost).await.unwrap();
    }
    assert_eq!(books(&quota).0, [(3, 0), (0, 0)]);
    let much = [
        Cost::tokens(u64::MAX),
        Cost::input_output(u64::MAX, u64::MAX),
        Cost::request().requests(u64::MAX),
    ];
    for cost in much {
        let error = ask(cost).await.unwrap_err();
        assert_eq!(
            Rejected::find(error.as_ref()).unwrap().reason,
            Reason::TooLarge
        );
    }
    assert_eq!(books(&quota), (vec![(3, 0), (0, 0)], 0, 0));
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_headers_are_read_like_ten() {
    for status in [200, 429, 500] {
        let mut full = answer(status, &[("retry-after", "3")], "{}");
        for n in 0..10_000 {
            let name = http::HeaderName::try_from(format!("x-ratelimit-{n}-remaining-tokens-{n}"));
            full.headers_mut()
                .insert(name.unwrap(), "1".parse().unwrap());
        }
        let quota = both();
        ask(&quota, Settle::Auto, full).await;
        assert_eq!(books(&quota).0[0], (1, 0));
    }
}

fn without_end<B>(outcome: Result<&Response<B>, &BoxError>) -> Verdict {
    let retry_after = Some(Duration::MAX);
    match outcome.map(|answer| answer.status().as_u16()) {
        Ok(429) => Verdict::RateLimited {
            resource: None,
            retry_after,
        },
        Ok(503) => Verdict::Overloaded { retry_after },
        Ok(_) => Verdict::Success,
        Err(_) => Verdict::Refused,
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_without_end_pauses_without_a_panic_and_ends_by_hand() {
    let quota = Quota::builder()
        .limit(Limit::requests_per_minute(100))
        .limit(Limit::tokens_per_minute(1_000))
        .build()
        .unwrap();
    let breaker = CircuitBreakerLayer::new().max_hint(Duration::MAX);
    let probe = Probe::new();
    let service = BackoffRetryLayer::new()
        .max_hint(Duration::MAX)
        .classify(without_end)
        .layer(
            TokenBudgetLayer::new(quota.clone())
                .cost(|_: &_| Cost::tokens(1))
                .classify(without_end)
                .layer(breaker.clone().classify(without_end).layer(probe.clone())),
        );
    probe.answer(Ok(answer(429, &[], "{}")));
    let mut first = Box::pin(service.clone().oneshot(request()));
    assert!(poll_once(&mut first).is_pending());
    assert!(quota.snapshot().paused > MINUTE * 60 * 24 * 366);
    let error = service.clone().oneshot(request()).await.unwrap_err();
    let rejected = Rejected::find(error.as_ref()).unwrap();
    assert_eq!(rejected.reason, Reason::WaitTooLong);
    quota.resume();
    drop(first);
    probe.answer(Ok(answer(503, &[], "{}")));
    let mut second = Box::pin(service.clone().oneshot(request()));
    assert!(poll_once(&mut second).is_pending());
    let error = service.clone().oneshot(request()).await.unwrap_err();
    let rejected = Rejected::find(error.as_ref()).unwrap();
    assert_eq!(rejected.reason, Reason::CircuitOpen);
    breaker.handle().reset();
    service.oneshot(request()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_body_that_fails_midway_keeps_the_charge_frees_its_place_and_fails_the_same_way() {
    for status in [200, 500] {
        let quota = patient_with([Limit::tokens_per_minute(1_000)], 1);
        let client = service_fn(move |_: Request<Bytes>| {
            let frames = [
                Ok(Frame::data(Bytes::from("{\"usage\": "))),
                Err(io::Error::from(io::ErrorKind::ConnectionReset)),
            ];
            let body = StreamBody::new(stream::iter(frames));
            let answer = Response::builder().status(status).body(body);
            std::future::ready(Ok::<_, BoxError>(answer.unwrap()))
        });
        let service = TokenBudgetLayer::new(quota.clone())
            .cost(|_: &_| Cost::tokens(100))
            .settle(Settle::TrueUp)
            .layer(CircuitBreakerLayer::new().layer(client));
        for _ in 0..2 {
            let answer = service.clone().oneshot(Request::new(Bytes::new())).await;
            let mut body = answer.unwrap().into_body();
            let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(first, "{\"usage\": ");
            let error = body.frame().await.unwrap().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            assert_eq!(quota.snapshot().in_flight, 0, "{status}");
        }
        assert_eq!(books(&quota), (vec![(200, 0)], 0, 0), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_dropped_on_another_thread_frees_its_place_for_who_waits_here() {
    let quota = patient_with([Limit::requests_per_minute(100)], 1);
    let service = RateLimitLayer::new(quota.clone()).layer(Probe::new());
    let answer = service.clone().oneshot(request()).await.unwrap();
    let waiting = tokio::spawn(service.oneshot(request()));
    tokio::task::yield_now().await;
    assert_eq!(quota.snapshot().waiting, 1);
    std::thread::spawn(move || drop(answer)).join().unwrap();
    let start = Instant::now();
    drop(waiting.await.unwrap().unwrap());
    assert_eq!((books(&quota).1, start.elapsed()), (0, Duration::ZERO));
}

#[test]
fn answers_outlive_their_runtime_and_waiters_on_another_are_served() {
    let runtime = || {
        let mut builder = runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().unwrap()
    };
    let quota = patient_with([Limit::requests_per_minute(3)], 1);
    let service = RateLimitLayer::new(quota.clone())
        .layer(CircuitBreakerLayer::new().layer(Probe::slow(Duration::from_millis(1))));
    let first = runtime();
    let answer = first.block_on(service.clone().oneshot(request())).unwrap();
    // Somebody waits there when it shuts down, and never hears of it.
    let mut stranded = Box::pin(service.clone().oneshot(request()));
    first.block_on(async { assert!(poll_once(&mut stranded).is_pending()) });
    let second = runtime();
    let waiting = second.spawn(service.clone().oneshot(request()));
    second.block_on(tokio::task::yield_now());
    drop(first);
    let body = answer.into_body().collect().now_or_never().unwrap();
    body.unwrap();
    drop(stranded);
    drop(second.block_on(waiting).unwrap().unwrap());
    assert_eq!((books(&quota).1, books(&quota).2), (0, 0));
    drop(second.block_on(service.oneshot(request())).unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_closure_that_panics_leaves_nothing_held() {
    let quota = patient_with([Limit::requests_per_minute(100)], 1);
    let charge = |_: &Request<Full<Bytes>>| -> Cost { panic!("cost") };
    let by_cost = TokenBudgetLayer::new(quota.clone())
        .cost(charge)
        .layer(Probe::new());
    let key = |_: &Request<Full<Bytes>>| -> String { panic!("key") };
    let by_key = RateLimitLayer::new(quota.clone())
        .keyed(key)
        .layer(Probe::new());
    let priority = |_: &Request<Full<Bytes>>| -> tower_quota::Priority { panic!("priority") };
    let by_priority = RateLimitLayer::new(quota.clone())
        .priority(priority)
        .layer(Probe::new());
    for _ in 0..3 {
        let caught = AssertUnwindSafe(by_cost.clone().oneshot(request())).catch_unwind();
        assert!(caught.await.is_err());
        let caught = AssertUnwindSafe(by_key.clone().oneshot(request())).catch_unwind();
        assert!(caught.await.is_err());
        let caught = AssertUnwindSafe(by_priority.clone().oneshot(request())).catch_unwind();
        assert!(caught.await.is_err());
    }
    assert_eq!(books(&quota), (vec![(0, 0)], 0, 0));
    // One that judges an answer: what has left stays charged, and the place is free.
    let judge = |_: Result<&Response<_>, &BoxError>| -> Verdict { panic!("judge") };
    let breaker = CircuitBreakerLayer::new();
    let handle = breaker.handle();
    let by_judge =
        RateLimitLayer::new(quota.clone()).layer(breaker.classify(judge).layer(Probe::new()));
    let caught = AssertUnwindSafe(by_judge.oneshot(request())).catch_unwind();
    assert!(caught.await.is_err());
    assert_eq!(books(&quota), (vec![(1, 0)], 0, 0));
    assert_eq!(handle.counts().failures, 1);
    let by_judge = RateLimitLayer::new(quota.clone())
        .classify(judge)
        .layer(Probe::new());
    let caught = AssertUnwindSafe(by_judge.oneshot(request())).catch_unwind();
    assert!(caught.await.is_err());
    assert_eq!(books(&quota), (vec![(2, 0)], 0, 0));
}

/// Everything that a closure could do to a quota, a breaker and a budget.
fn meddle(quota: &Quota, handle: &CircuitHandle, budget: &RetryBudget) {
    let _ = (
        quota.snapshot(),
        handle.state(),
        handle.counts(),
        budget.balance(),
    );
    if let Ok(permit) = quota.try_acquire(Cost::request()) {
        permit.cancel();
    }
    quota.pause_until(Instant::now());
    quota.resume();
    quota.resize(Limit::requests_per_minute(50)).unwrap();
}

fn meddling<B>(
    meddle: impl Fn() + Clone,
) -> impl Fn(Result<&Response<B>, &BoxError>) -> Verdict + Clone {
    move |outcome| {
        meddle();
        match outcome {
            Ok(answer) if answer.status() == 500 => Verdict::Transient { sent: true },
            Ok(_) => Verdict::Success,
            Err(_) => Verdict::Refused,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn closures_may_call_back_into_what_calls_them() {
    let quota = patient_with([Limit::requests_per_minute(50)], 2);
    let budget = RetryBudget::percent(100);
    let handle = Arc::new(OnceLock::<CircuitHandle>::new());
    let meddle = {
        let (quota, handle, budget) = (quota.clone(), Arc::clone(&handle), budget.clone());
        move || {
            if let Some(handle) = handle.get() {
                meddle(&quota, handle, &budget);
            }
        }
    };
    let [a, b, c, d, e, f] = std::array::from_fn(|_| meddle.clone());
    let breaker = CircuitBreakerLayer::new()
        .consecutive_failures(2)
        .open_backoff(Backoff::custom(move |_| {
            // Under the circuit's lock: it may look at anything else.
            Duration::from_secs(1)
        }))
        .random(move || {
            a();
            1
        });
    handle.set(breaker.handle()).unwrap();
    let probe = Probe::slow(Duration::from_secs(1));
    let service = BackoffRetryLayer::new()
        .budget(budget)
        .random(move || {
            c();
            u64::MAX
        })
        .only(move |_: &Request<Full<Bytes>>| {
            d();
            true
        })
        .classify(meddling(b.clone()))
        .layer(
            TokenBudgetLayer::new(quota.clone())
                .cost(move |_: &Request<Full<Bytes>>| {
                    e();
                    Cost::request()
                })
                .priority(move |_: &_| {
                    f();
                    tower_quota::Priority::Interactive
                })
                .classify(meddling(b.clone()))
                .layer(breaker.classify(meddling(b)).layer(probe.clone())),
        );
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..100 {
        if n % 7 == 0 {
            probe.answer(Ok(answer(500, &[], "{}")));
        }
        tasks.spawn(service.clone().oneshot(request()).map(drop));
    }
    while tasks.join_next().await.is_some() {}
    assert_eq!((books(&quota).1, books(&quota).2), (0, 0));
}

/// A waker that looks at the quota when it is woken, and when it is dropped.
struct Nosy(Quota);

impl std::task::Wake for Nosy {
    fn wake(self: Arc<Self>) {
        let _ = self.0.snapshot();
    }
}

impl Drop for Nosy {
    fn drop(&mut self) {
        let _ = self.0.try_acquire(Cost::tokens(u64::MAX));
    }
}

#[tokio::test(start_paused = true)]
async fn wakers_may_call_back_into_the_quota_also_when_they_are_dropped() {
    let quota = patient_with([Limit::requests_per_minute(100)], 1);
    let place = quota.try_acquire(Cost::request()).unwrap();
    let mut waiting: Vec<_> = (0..10)
        .map(|_| Box::pin(quota.acquire(Cost::request())))
        .collect();
    for call in &mut waiting {
        for _ in 0..2 {
            let waker = Arc::new(Nosy(quota.clone())).into();
            let mut cx = std::task::Context::from_waker(&waker);
            assert!(std::future::Future::poll(call.as_mut(), &mut cx).is_pending());
        }
    }
    waiting.truncate(5);
    drop(place);
    drop(waiting.remove(0));
    drop(waiting);
    assert_eq!((books(&quota).1, books(&quota).2), (0, 0));
}
