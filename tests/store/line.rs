//! A line over a store in memory: everything that a process decides by itself.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tower_quota::{
    Cost, Limit, Priority, Quota, Reason, Usage,
    quota::shared::{Driver, MemoryStore},
};

const WINDOW: Duration = Duration::from_secs(6);

fn shared(store: &Arc<MemoryStore>, limits: &[Limit]) -> (Quota, Driver) {
    let builder = limits.iter().fold(Quota::builder(), |builder, limit| {
        builder.limit(limit.clone())
    });
    builder
        .shared(Arc::clone(store))
        .pool("test")
        .build()
        .unwrap()
}

fn spawned(store: &Arc<MemoryStore>, limits: &[Limit]) -> Quota {
    let (quota, driver) = shared(store, limits);
    tokio::spawn(driver);
    quota
}

#[tokio::test(start_paused = true)]
async fn two_quotas_over_one_store_share_its_limit() {
    let store = Arc::new(MemoryStore::new());
    let limit = Limit::requests(10, WINDOW);
    let (one, other) = (
        spawned(&store, std::slice::from_ref(&limit)),
        spawned(&store, &[limit]),
    );
    let began = Instant::now();
    for at in 0..20 {
        let quota = if at % 2 == 0 { &one } else { &other };
        let permit = quota.acquire(Cost::request()).await.unwrap();
        drop(permit);
        let waited = began.elapsed();
        if at < 10 {
            assert!(waited < Duration::from_millis(50), "{at}: {waited:?}");
        } else {
            assert!(
                waited >= WINDOW && waited < WINDOW * 11 / 10,
                "{at}: {waited:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn try_acquire_answers_from_what_is_granted_and_asks_for_more() {
    let store = Arc::new(MemoryStore::new());
    let quota = spawned(&store, &[Limit::requests(2, WINDOW)]);
    let refused = quota.try_acquire(Cost::request()).unwrap_err();
    assert_eq!(refused.reason, Reason::LimitReached);
    tokio::time::sleep(Duration::from_millis(5)).await;
    drop(quota.try_acquire(Cost::request()).unwrap());
    // What nobody takes goes back.
    quota.try_acquire(Cost::request()).unwrap_err();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let other = spawned(&store, &[Limit::requests(2, WINDOW)]);
    drop(other.acquire(Cost::request()).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn the_urgent_go_first() {
    let store = Arc::new(MemoryStore::new());
    let quota = spawned(&store, &[Limit::requests(1, WINDOW)]);
    drop(quota.acquire(Cost::request()).await.unwrap());
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for (name, priority) in [
        ("slow", Priority::Background),
        ("fast", Priority::Interactive),
    ] {
        let (quota, order) = (quota.clone(), Arc::clone(&order));
        tasks.push(tokio::spawn(async move {
            drop(quota.acquire_as(Cost::request(), priority).await.unwrap());
            order.lock().unwrap().push(name);
        }));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), ["fast", "slow"]);
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_in_the_place_of_one_who_left_is_not_held_up_by_what_was_said_to_that_one() {
    let store = Arc::new(MemoryStore::new());
    let limit = Limit::requests(10, Duration::from_secs(60)).rolling();
    let builder = Quota::builder().limit(limit);
    let builder = builder.keep_for(Priority::Interactive, 0.5);
    let (quota, driver) = builder.shared(store).pool("test").build().unwrap();
    tokio::spawn(driver);
    let asks = async |priority| {
        let asked = quota.acquire_as(Cost::request(), priority);
        let asked = tokio::time::timeout(Duration::from_millis(500), asked).await;
        asked.is_ok_and(|granted| granted.map(drop).is_ok())
    };
    for _ in 0..5 {
        assert!(asks(Priority::Standard).await);
    }
    // What is left is kept from one, and not from the next.
    assert!(!asks(Priority::Standard).await);
    assert!(asks(Priority::Interactive).await);
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_for_little_is_not_refused_for_what_the_store_said_of_much() {
    let store = Arc::new(MemoryStore::new());
    let limit = Limit::tokens(100, Duration::from_secs(60)).rolling();
    let builder = Quota::builder().limit(limit).max_wait(WINDOW);
    let (quota, driver) = builder.shared(store).pool("test").build().unwrap();
    tokio::spawn(driver);
    drop(quota.acquire(Cost::tokens(60)).await.unwrap());
    let refused = quota.acquire(Cost::tokens(90)).await.unwrap_err();
    assert_eq!(refused.reason, Reason::WaitTooLong);
    drop(quota.acquire(Cost::tokens(40)).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn what_is_cancelled_or_settled_is_there_for_others() {
    let store = Arc::new(MemoryStore::new());
    let limits = [Limit::tokens(100, WINDOW)];
    let (one, other) = (spawned(&store, &limits), spawned(&store, &limits));
    let permit = one.acquire(Cost::tokens(100)).await.unwrap();
    permit.cancel();
    let began = Instant::now();
    let permit = other.acquire(Cost::tokens(100)).await.unwrap();
    permit.settle(Usage::new(20, 10));
    drop(one.acquire(Cost::tokens(70)).await.unwrap());
    assert!(began.elapsed() < WINDOW / 2, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_driver_ends_with_the_last_handle_and_nothing_is_granted_without_it() {
    let store = Arc::new(MemoryStore::new());
    let (quota, driver) = shared(&store, &[Limit::requests(5, WINDOW)]);
    let driver = tokio::spawn(driver);
    drop(quota.acquire(Cost::request()).await.unwrap());
    drop(quota);
    tokio::time::timeout(Duration::from_secs(5), driver)
        .await
        .unwrap()
        .unwrap();

    let (quota, driver) = shared(&store, &[Limit::requests(5, WINDOW)]);
    drop(driver);
    let refused = quota.acquire(Cost::request()).await.unwrap_err();
    assert_eq!(refused.reason, Reason::Unavailable);
}

/// When each of a row of requests is granted.
async fn instants(quota: &Quota) -> Vec<Duration> {
    let began = Instant::now();
    let (mut dice, mut granted) = (7u64, Vec::new());
    let mut below = |n: u64| {
        dice = dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) % n
    };
    for _ in 0..200 {
        let permit = quota.acquire(Cost::tokens(1 + below(30))).await.unwrap();
        granted.push(began.elapsed());
        match below(6) {
            0 => permit.cancel(),
            1 => permit.settle(Usage::new(1, 0)),
            _ => drop(permit),
        }
        tokio::time::sleep(Duration::from_millis(below(900))).await;
    }
    granted
}

#[tokio::test(start_paused = true)]
async fn a_shared_quota_decides_as_one_of_a_single_process_does_where_it_is_as_fine() {
    // A whole number of steps of both, so that dates are rounded alike.
    let window = Duration::from_millis(6_144);
    let limit = Limit::tokens(100, window);
    let alone = instants(&Quota::new(limit.clone()).unwrap()).await;
    let wall = std::time::SystemTime::UNIX_EPOCH + window * 1_000_000;
    let builder = Quota::builder()
        .limit(limit)
        .shared(MemoryStore::starting_at(wall));
    let (quota, driver) = builder.pool("trace").slots(1_024).build().unwrap();
    tokio::spawn(driver);
    let shared = instants(&quota).await;
    for (at, (alone, shared)) in alone.iter().zip(&shared).enumerate() {
        let apart = alone.abs_diff(*shared);
        assert!(
            apart <= Duration::from_millis(2),
            "request {at}: {alone:?} alone, {shared:?} shared"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_owed_when_the_driver_is_gone_is_not_told_and_requests_are_refused() {
    let store = Arc::new(MemoryStore::new());
    let (quota, driver) = shared(&store, &[Limit::requests(10, WINDOW)]);
    let driver = tokio::spawn(driver);
    let mut permits = Vec::new();
    for _ in 0..4 {
        permits.push(quota.acquire(Cost::request()).await.unwrap());
    }
    driver.abort();
    assert!(driver.await.unwrap_err().is_cancelled());
    permits
        .into_iter()
        .for_each(tower_quota::quota::Permit::cancel);
    let refused = quota.acquire(Cost::request()).await.unwrap_err();
    assert_eq!(refused.reason, Reason::Unavailable);
}
