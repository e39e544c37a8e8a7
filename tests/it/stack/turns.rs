//! Who is next, seen through the layers.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::AtomicUsize, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tower::{Layer, ServiceExt};
use tower_quota::{Limit, RateLimitLayer, TokenBudgetLayer, testing::Provider};

use super::{books, chat, cost, patient};
use crate::support::probe::{Probe, request};

/// Counts how often a future is polled.
struct Polled<F>(Pin<Box<F>>, Arc<AtomicUsize>);

impl<F: Future> Future for Polled<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.as_mut().poll(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn each_of_two_thousand_waiters_is_woken_once() {
    let probe = Probe::new();
    let quota = patient([Limit::requests_per_minute(100)]);
    let service = RateLimitLayer::new(quota).layer(probe.clone());
    let polls = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..2_000 {
        let call = Box::pin(service.clone().oneshot(request()));
        tasks.spawn(Polled(call, Arc::clone(&polls)));
    }
    while let Some(answer) = tasks.join_next().await {
        answer.unwrap().unwrap();
    }
    let polls = polls.load(Ordering::SeqCst);
    // Once to get in line, once when its turn has come; the first hundred went at once.
    assert_eq!((probe.count(), polls), (2_000, 2 * 2_000 - 100));
}

#[tokio::test(start_paused = true)]
async fn each_waiter_of_two_layers_is_woken_once_by_each() {
    let probe = Probe::new();
    let outer = patient([Limit::requests_per_minute(100)]);
    let inner = patient([Limit::requests_per_minute(100)]);
    let service = RateLimitLayer::new(outer).layer(RateLimitLayer::new(inner).layer(probe.clone()));
    let polls = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..1_000 {
        let call = Box::pin(service.clone().oneshot(request()));
        tasks.spawn(Polled(call, Arc::clone(&polls)));
    }
    while let Some(answer) = tasks.join_next().await {
        answer.unwrap().unwrap();
    }
    assert!(polls.load(Ordering::SeqCst) <= 3 * 1_000, "{polls:?}");
    assert_eq!(probe.count(), 1_000);
}

/// When a request of 1,500 tokens left that came after 500 small ones, and before `after` more.
async fn departure_of_the_large(after: usize) -> Duration {
    let provider = Provider::openai().build().unwrap();
    let quota = patient([Limit::tokens_per_minute(30_000)]);
    let service = TokenBudgetLayer::new(quota.clone())
        .cost(cost)
        .layer(provider.service());
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    let ask = |tasks: &mut JoinSet<_>, size| {
        let call = service.clone().oneshot(chat(size));
        tasks.spawn(async move {
            call.await
                .map(|answer| (size, answer.status(), start.elapsed()))
        });
    };
    for n in 0..500 {
        ask(&mut tasks, 80 + n % 40);
    }
    sleep(Duration::from_millis(1)).await;
    ask(&mut tasks, 1_500);
    for n in 0..after as u64 {
        // As they come: all at once, and then some every few milliseconds.
        if n > 500 {
            sleep(Duration::from_millis(50)).await;
        }
        ask(&mut tasks, 5 + n % 100);
    }
    let mut large = None;
    while let Some(done) = tasks.join_next().await {
        let (size, status, at) = done.unwrap().unwrap();
        assert_eq!(status, 200);
        if size == 1_500 {
            large = Some(at);
        }
    }
    assert_eq!(books(&quota).2, 0);
    large.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_large_request_leaves_at_its_own_earliest_instant_whoever_comes_after_it() {
    let alone = departure_of_the_large(0).await;
    assert!(alone > Duration::from_secs(60), "{alone:?}");
    for after in [1, 10, 1_000] {
        assert_eq!(departure_of_the_large(after).await, alone, "{after}");
    }
}
