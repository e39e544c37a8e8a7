//! What a snapshot shows.

use std::time::Duration;

use tower_quota::{Cost, Limit, Quota, Usage};

use super::{SECOND, USAGE, answer, send};

fn quota() -> Quota {
    Quota::builder()
        .limit(
            Limit::requests(4, 10 * SECOND)
                .transit(Duration::ZERO)
                .bucket(),
        )
        .limit(Limit::tokens_per_minute(100_000))
        .build()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn tokens_per_request_are_known_once_an_answer_told() {
    let quota = Quota::new(Limit::tokens_per_minute(1 << 40)).unwrap();
    drop(quota.try_acquire(Cost::tokens(100)).unwrap());
    assert_eq!(quota.snapshot().tokens_per_request, None, "nobody knows");
    for tokens in 1..=100 {
        let permit = quota.try_acquire(Cost::tokens(5)).unwrap();
        permit.settle(Usage::new(tokens * 100, 0));
    }
    let tokens = quota.snapshot().tokens_per_request.unwrap();
    assert_eq!(tokens.requests, 100);
    for (read, exact) in [
        (tokens.p50, 5_000),
        (tokens.p95, 9_500),
        (tokens.p99, 9_900),
    ] {
        assert!(
            (exact..=exact + exact / 16).contains(&read),
            "{read} of {exact}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn answers_through_a_layer_count_as_well_and_refused_ones_do_not() {
    let quota = quota();
    send(&quota, 700, answer(200, &[], USAGE)).await;
    send(&quota, 700, answer(400, &[], "")).await;
    let tokens = quota.snapshot().tokens_per_request.unwrap();
    assert_eq!((tokens.requests, tokens.p50), (1, 51));
}

#[tokio::test(start_paused = true)]
async fn the_wait_is_that_of_a_typical_request_that_came_now() {
    let quota = quota();
    assert_eq!(quota.snapshot().wait, Some(Duration::ZERO));
    for _ in 0..4 {
        drop(quota.try_acquire(Cost::request()).unwrap());
    }
    assert_eq!(quota.snapshot().wait, Some(SECOND * 5 / 2));
    let mut first = Box::pin(quota.acquire(Cost::request()));
    assert!(futures_util::poll!(&mut first).is_pending());
    assert_eq!(
        quota.snapshot().wait,
        Some(SECOND * 5),
        "behind one that waits"
    );
    let full = Quota::builder().max_in_flight(1).build().unwrap();
    let place = full.try_acquire(Cost::request()).unwrap();
    assert_eq!(full.snapshot().wait, None, "nobody knows when one ends");
    drop(place);
    assert_eq!(full.snapshot().peak_in_flight, 1);
}

#[cfg(feature = "serde")]
#[tokio::test(start_paused = true)]
async fn a_snapshot_is_written_with_its_units() {
    let quota = quota();
    quota
        .try_acquire(Cost::tokens(10))
        .unwrap()
        .settle(Usage::new(7, 2));
    quota.pause_until(tokio::time::Instant::now() + Duration::from_millis(1_500));
    let json = serde_json::to_value(quota.snapshot()).unwrap();
    let expected = serde_json::json!({
        "limits": [
            {
                "limit": { "resource": "requests", "amount": 4, "window_seconds": 10.0 },
                "used": 1, "held": 0, "left": 3,
                "paused_seconds": 0.0, "resets_in_seconds": null,
            },
            {
                "limit": { "resource": "tokens", "amount": 100_000, "window_seconds": 60.0 },
                "used": 9, "held": 0, "left": 99_991,
                "paused_seconds": 0.0, "resets_in_seconds": null,
            },
        ],
        "in_flight": 0, "peak_in_flight": 1, "waiting": 0,
        "wait_seconds": 1.5, "paused_seconds": 1.5,
        "tokens_per_request": { "p50": 9, "p95": 9, "p99": 9, "requests": 1 },
    });
    assert_eq!(json, expected, "{json:#}");
}
