//! Every order of the layers is safe.

use std::time::Duration;

use http::StatusCode;
use tokio::{task::JoinSet, time::sleep};
use tower::ServiceExt;
use tower_quota::{
    BackoffRetryLayer, CircuitBreakerLayer, FallbackLayer, Limit, RateLimitLayer, TokenBudgetLayer,
    testing::{Provider, Shape, When},
};

use super::{Stack, books, chat, cost, inside, patient_with, stack};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Fallback,
    Retry,
    Gate,
    Requests,
    Tokens,
    Breaker,
}

use Part::{Breaker, Fallback, Gate, Requests, Retry, Tokens};

fn every_order_of(parts: &[Part]) -> Vec<Vec<Part>> {
    let mut orders = vec![Vec::new()];
    for _ in parts {
        orders = orders
            .iter()
            .flat_map(|order| {
                let rest = parts.iter().filter(|part| !order.contains(*part));
                rest.map(|part| order.iter().copied().chain([*part]).collect())
            })
            .collect();
    }
    orders
}

/// What goes wrong at the provider.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wrong {
    Nothing,
    /// One try in ten fails.
    Tries,
    /// It is down for a while, and the circuit opens.
    Outage,
}

/// So many requests through this order, outermost first; what the provider saw.
async fn run(order: &[Part], requests: u64, wrong: Wrong) -> tower_quota::testing::Report {
    let provider = Provider::openai()
        .requests_per_minute(50)
        .tokens_per_minute(3_000)
        .shape(Shape::Rolling)
        .transit(Duration::ZERO..Duration::from_millis(468))
        .latency(Duration::from_millis(300)..Duration::from_secs(3))
        .build()
        .unwrap();
    let down = StatusCode::INTERNAL_SERVER_ERROR;
    match wrong {
        Wrong::Nothing => {}
        Wrong::Tries => provider.faults(|f| f.errors(0.05, down).drops(0.05, When::BeforeCounting)),
        Wrong::Outage => provider.faults(|f| f.errors(1.0, down)),
    }
    let backup = Provider::openai().build().unwrap();
    let count = requests;
    let requests = patient_with([Limit::requests_per_minute(50)], 40);
    let tokens = patient_with([Limit::tokens_per_minute(3_000)], 40);
    let breaker = CircuitBreakerLayer::new();
    let mut service: Stack = stack(tower::layer::util::Identity::new(), provider.service());
    for part in order.iter().rev() {
        service = match part {
            Requests => stack(RateLimitLayer::new(requests.clone()), service),
            Tokens => stack(TokenBudgetLayer::new(tokens.clone()).cost(cost), service),
            Retry => stack(BackoffRetryLayer::new(), service),
            Breaker => stack(breaker.clone(), service),
            Gate => stack(breaker.gate(), service),
            Fallback => stack(FallbackLayer::to(backup.service()), service),
        };
    }
    let mut tasks = JoinSet::new();
    for n in 0..count {
        let size = if (n / 25) % 2 == 0 { 5 } else { 110 };
        tasks.spawn(service.clone().oneshot(inside(chat(size))));
    }
    if wrong == Wrong::Outage {
        sleep(Duration::from_secs(90)).await;
        provider.faults(|f| f.errors(0.0, down));
    }
    while let Some(outcome) = tasks.join_next().await {
        let outcome = outcome.unwrap();
        assert!(wrong != Wrong::Nothing || outcome.unwrap().status() == StatusCode::OK);
    }
    for quota in [requests, tokens] {
        let (limits, in_flight, waiting) = books(&quota);
        assert_eq!((limits[0].1, in_flight, waiting), (0, 0, 0), "{order:?}");
    }
    let report = provider.report();
    println!("{order:?}: {report}");
    report
}

#[tokio::test(start_paused = true)]
async fn in_every_order_nothing_exceeds_a_limit_and_nothing_leaks() {
    for order in every_order_of(&[Requests, Tokens, Retry, Breaker]) {
        let report = run(&order, 400, Wrong::Nothing).await;
        assert_eq!(
            (report.admitted, report.rate_limited),
            (400, 0),
            "{order:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn where_tries_fail_every_limit_holds_all_the_same() {
    for order in every_order_of(&[Requests, Tokens, Retry, Breaker]) {
        let report = run(&order, 400, Wrong::Tries).await;
        assert!(report.requests > 400, "{order:?}: {report}");
        assert_eq!(report.rate_limited, 0, "{order:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn all_720_orders_with_a_gate_and_a_fallback_outlive_an_outage_and_exceed_nothing() {
    let orders = every_order_of(&[Fallback, Retry, Gate, Requests, Tokens, Breaker]);
    assert_eq!(orders.len(), 720);
    for order in orders {
        let report = run(&order, 100, Wrong::Outage).await;
        assert!(report.requests > 0, "{order:?}: {report}");
        assert_eq!(report.rate_limited, 0, "{order:?}");
    }
}
