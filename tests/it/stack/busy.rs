//! An inner service that is busy for long after the grant.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{advance, sleep},
};
use tower::{ServiceExt, layer::layer_fn, limit::ConcurrencyLimit};
use tower_quota::{
    Limit, RateLimitLayer, TokenBudgetLayer,
    testing::{Provider, Shape},
};

use super::{Dice, MINUTE, Stack, books, chat, cost, inside, patient, stack};

#[tokio::test(start_paused = true)]
async fn an_inner_service_that_is_busy_for_most_of_a_minute_lets_no_window_overflow() {
    for seed in 0..20 {
        for tokens_outside in [true, false] {
            busy(seed, tokens_outside).await;
        }
    }
}

async fn busy(seed: u64, tokens_outside: bool) {
    println!("seed {seed}, tokens outside: {tokens_outside}");
    let mut dice = Dice(seed);
    let provider = Provider::openai()
        .requests_per_minute(40)
        .tokens_per_minute(1_000)
        .shape(Shape::Rolling)
        .latency(Duration::ZERO..Duration::from_secs(5))
        .seed(seed)
        .build()
        .unwrap();
    let requests = patient([Limit::requests_per_minute(40)]);
    let tokens = patient([Limit::tokens_per_minute(1_000)]);
    // Its places are taken by somebody else, for most of each minute.
    let places = Arc::new(Semaphore::new(0));
    let limit = layer_fn({
        let places = Arc::clone(&places);
        move |inner| ConcurrencyLimit::with_semaphore(inner, Arc::clone(&places))
    });
    let client: Stack = stack(limit, provider.service());
    let (limiter, budget) = (
        RateLimitLayer::new(requests.clone()),
        TokenBudgetLayer::new(tokens.clone()).cost(cost),
    );
    let service: Stack = if tokens_outside {
        stack(budget, stack(limiter, client))
    } else {
        stack(limiter, stack(budget, client))
    };
    let mut tasks = JoinSet::new();
    let mut some = Vec::new();
    for _ in 0..200 {
        let size = 5 + dice.below(60);
        let task = tasks.spawn(service.clone().oneshot(inside(chat(size))));
        if dice.below(3) == 0 {
            some.push(task);
        }
    }
    for _ in 0..12 {
        sleep(Duration::from_secs(50 + dice.below(8))).await;
        places.add_permits(30);
        sleep(Duration::from_millis(1 + dice.below(2_000))).await;
        for _ in 0..6 {
            if !some.is_empty() {
                let one = dice.below(some.len() as u64) as usize;
                some.swap_remove(one).abort();
            }
        }
        let taken = places.available_permits().min(30);
        places.forget_permits(taken);
    }
    places.add_permits(100);
    while tasks.join_next().await.is_some() {}
    let report = provider.report();
    assert_eq!(report.rate_limited, 0, "{report}");
    assert!(report.admitted > 100, "{report}");
    for quota in [&requests, &tokens] {
        let (limits, in_flight, waiting) = books(quota);
        assert_eq!((limits[0].1, in_flight, waiting), (0, 0, 0));
    }
    advance(MINUTE * 2).await;
    for quota in [&requests, &tokens] {
        assert_eq!(books(quota).0, [(0, 0)]);
    }
}
