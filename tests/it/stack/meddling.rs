//! Closures and wakers that panic, or call back into what calls them.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::Full;
use tokio::time::Instant;
use tower::{Layer, ServiceExt};
use tower_quota::{
    Backoff, BackoffRetryLayer, BoxError, CircuitBreakerLayer, CircuitHandle, Cost, Limit, Quota,
    RateLimitLayer, RetryBudget, TokenBudgetLayer, Verdict,
};

use super::{books, hostile::answer, patient_with};
use crate::support::probe::{Probe, request};

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
            // Where the circuit decides: it may look at anything else.
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
