//! Who goes first.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::Instant;
use tower_quota::{Cost, Limit, Priority, Quota, Reason};

use crate::quota::support::{SECOND, advance, patient};

type Order = Arc<Mutex<Vec<(u32, Duration)>>>;

fn queue(quota: &Quota, order: &Order, start: Instant, id: u32, cost: Cost, priority: Priority) {
    let (acquire, order) = (quota.acquire_as(cost, priority), Arc::clone(order));
    drop(tokio::spawn(async move {
        if acquire.await.is_ok() {
            order.lock().expect("fine").push((id, start.elapsed()));
        }
    }));
}

#[tokio::test(start_paused = true)]
async fn first_come_first_served() {
    let quota = patient(Limit::requests(3, SECOND)).build().expect("valid");
    let (order, start) = (Order::default(), Instant::now());
    for id in 0..100 {
        queue(
            &quota,
            &order,
            start,
            id,
            Cost::request(),
            Priority::Standard,
        );
    }
    advance(Duration::ZERO).await;
    tokio::time::sleep(40 * SECOND).await;
    let order = order.lock().expect("fine");
    assert!(order.iter().map(|(id, _)| *id).eq(0..100), "{order:?}");
}

#[tokio::test(start_paused = true)]
async fn a_large_request_among_a_thousand_small_leaves_at_its_own_earliest_instant() {
    let quota = patient(Limit::tokens_per_minute(30_000))
        .build()
        .expect("valid");
    // A minute's use, evenly.
    for _ in 0..60 {
        drop(quota.try_acquire(Cost::tokens(500)).expect("fits"));
        advance(SECOND).await;
    }
    let (order, start) = (Order::default(), Instant::now());
    let fits = quota
        .try_acquire(Cost::tokens(1_500))
        .map(|permit| permit.cancel());
    let own = fits
        .err()
        .and_then(|refused| refused.retry_after)
        .unwrap_or_default();
    queue(
        &quota,
        &order,
        start,
        5_000,
        Cost::tokens(1_500),
        Priority::Standard,
    );
    for id in 0..1_000 {
        queue(
            &quota,
            &order,
            start,
            id,
            Cost::tokens(30),
            Priority::Standard,
        );
        if id % 10 == 0 {
            advance(Duration::from_millis(5)).await;
        }
    }
    tokio::time::sleep(120 * SECOND).await;
    let order = order.lock().expect("fine");
    let (_, left) = order.iter().find(|(id, _)| *id == 5_000).expect("it left");
    let late = left.saturating_sub(own);
    // Timers have a millisecond.
    assert!(
        late <= Duration::from_millis(1),
        "{late:?} later than {own:?}"
    );
    assert_eq!(order.len(), 1_001);
}

#[tokio::test(start_paused = true)]
async fn the_interactive_go_first_and_are_not_refused_for_those_whom_they_pass() {
    let quota = patient(Limit::requests(1, SECOND))
        .max_wait(60 * SECOND)
        .build()
        .expect("valid");
    let (order, start) = (Order::default(), Instant::now());
    for id in 0..=60 {
        queue(
            &quota,
            &order,
            start,
            id,
            Cost::request(),
            Priority::Background,
        );
    }
    advance(Duration::from_millis(500)).await;
    let refused = quota
        .acquire_as(Cost::request(), Priority::Background)
        .await;
    assert_eq!(refused.expect_err("61 s").reason, Reason::WaitTooLong);
    let permit = quota
        .acquire_as(Cost::request(), Priority::Interactive)
        .await
        .expect("goes first");
    assert!(start.elapsed() < 2 * SECOND);
    drop(permit);
}

#[tokio::test(start_paused = true)]
async fn the_less_urgent_get_there_in_the_end() {
    let quota = patient(Limit::requests(1, SECOND)).build().expect("valid");
    let (order, start) = (Order::default(), Instant::now());
    drop(quota.try_acquire(Cost::request()).expect("fits"));
    queue(
        &quota,
        &order,
        start,
        1_000,
        Cost::request(),
        Priority::Background,
    );
    // More of the interactive than there is room for.
    for id in 0..400 {
        queue(
            &quota,
            &order,
            start,
            id,
            Cost::request(),
            Priority::Interactive,
        );
        advance(Duration::from_millis(500)).await;
    }
    let order = order.lock().expect("fine");
    let (_, left) = order.iter().find(|(id, _)| *id == 1_000).expect("it left");
    assert!(*left > 90 * SECOND && *left < 190 * SECOND, "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn whoever_doesn_t_wait_delays_nobody_who_does() {
    let quota = patient(Limit::tokens(100, 10 * SECOND))
        .build()
        .expect("valid");
    drop(quota.try_acquire(Cost::tokens(60)).expect("fits"));
    let waiting = tokio::spawn(quota.acquire(Cost::tokens(90)));
    advance(SECOND).await;
    // It fits, but the head would have to wait for it.
    let refused = quota
        .try_acquire(Cost::tokens(11))
        .expect_err("somebody waits");
    assert_eq!(refused.reason, Reason::LimitReached);
    assert!(
        refused.retry_after.is_some_and(|wait| wait > 9 * SECOND),
        "{refused}"
    );
    drop(
        quota
            .try_acquire(Cost::tokens(10))
            .expect("beside the head"),
    );
    let start = Instant::now();
    drop(waiting.await.expect("runs").expect("its turn"));
    assert!(
        start.elapsed() <= 9 * SECOND + Duration::from_millis(11),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn the_less_urgent_are_refused_where_they_are_passed_for_longer_than_they_may_wait() {
    let quota = patient(Limit::requests(1, SECOND))
        .max_wait(60 * SECOND)
        .build()
        .expect("valid");
    drop(quota.try_acquire(Cost::request()).expect("fits"));
    let less_urgent = tokio::spawn(quota.acquire_as(Cost::request(), Priority::Background));
    advance(Duration::ZERO).await;
    for _ in 0..140 {
        let urgent = quota.acquire_as(Cost::request(), Priority::Interactive);
        drop(tokio::spawn(urgent));
        advance(Duration::from_millis(500)).await;
    }
    let refused = less_urgent.await.expect("runs").expect_err("passed");
    assert_eq!(refused.reason, Reason::WaitTooLong);
    assert_eq!(quota.snapshot().limits[0].held, 0);
}
