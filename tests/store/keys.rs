//! Keys with pools of their own in a store.

use std::{sync::Arc, time::Duration};

use tower_quota::{
    Cost, Limit, Priority, Quota,
    quota::{KeyedQuotas, Tier, shared::MemoryStore},
};

const WINDOW: Duration = Duration::from_secs(60);

fn limit(amount: u64) -> Limit {
    Limit::requests(amount, WINDOW).rolling()
}

fn tier(store: &Arc<MemoryStore>, pool: &str, amount: u64) -> Tier {
    let builder = Quota::builder().limit(limit(amount));
    let builder = builder.shared(Arc::clone(store)).pool(pool);
    let (quota, driver) = builder.build().unwrap();
    tokio::spawn(driver);
    Tier::like(&quota)
}

fn keys(tier: &Tier) -> KeyedQuotas<u32> {
    let tier = tier.clone();
    KeyedQuotas::new(move |_: &u32| tier.clone())
}

/// How many go at once, of so many.
async fn sends(quotas: &KeyedQuotas<u32>, key: u32, most: usize) -> usize {
    let mut sent = 0;
    while sent < most {
        let quota = quotas.get(&key);
        let asked = quota.acquire(Cost::request());
        match tokio::time::timeout(Duration::from_millis(500), asked).await {
            Ok(Ok(permit)) => drop(permit),
            // It would have to wait.
            _ => break,
        }
        sent += 1;
    }
    sent
}

#[tokio::test(start_paused = true)]
async fn a_tier_that_is_resized_reaches_the_keys_that_are_there() {
    let store = Arc::new(MemoryStore::new());
    let tier = tier(&store, "tenants", 3);
    let quotas = keys(&tier);
    assert_eq!(sends(&quotas, 1, 5).await, 3);
    assert_eq!(sends(&quotas, 2, 2).await, 2);
    let held = quotas.get(&1);
    tier.resize(limit(5)).unwrap();
    assert_eq!(sends(&quotas, 1, 5).await, 2, "what is spent stays spent");
    assert_eq!(sends(&quotas, 2, 5).await, 3);
    assert_eq!(held.snapshot().limits[0].limit.amount, 5);
    tier.resize(limit(4)).unwrap();
    assert_eq!(quotas.get(&1).snapshot().limits[0].limit.amount, 4);
    assert_eq!(sends(&quotas, 3, 9).await, 4);
}

#[tokio::test(start_paused = true)]
async fn other_settings_of_a_tier_reach_the_keys_and_the_store_counts_on() {
    let store = Arc::new(MemoryStore::new());
    let tier = tier(&store, "tenants", 3);
    let quotas = keys(&tier);
    assert_eq!(sends(&quotas, 1, 2).await, 2);
    tier.change(Quota::builder().limit(limit(6)).max_queue(7))
        .unwrap();
    assert_eq!(sends(&quotas, 1, 9).await, 4, "the same pool");
    let tokens = Quota::builder().limit(Limit::tokens(100, WINDOW));
    tier.change(tokens).unwrap();
    let quota = quotas.get(&1);
    drop(quota.acquire(Cost::tokens(60)).await.unwrap());
    // Another process has that pool as well.
    let other = keys(&{
        let builder = Quota::builder().limit(Limit::tokens(100, WINDOW));
        let builder = builder.shared(Arc::clone(&store)).pool("tenants");
        let (quota, driver) = builder.build().unwrap();
        tokio::spawn(driver);
        Tier::like(&quota)
    });
    let asked = other.get(&1);
    let asked = asked.acquire(Cost::tokens(60));
    assert!(
        tokio::time::timeout(Duration::from_secs(1), asked)
            .await
            .is_err()
    );
    let refused = tier.change(Quota::builder().max_in_flight(3)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "shared: a shared quota needs at least one limit"
    );
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_given_another_tier_has_that_ones_limits_and_pool() {
    let store = Arc::new(MemoryStore::new());
    let free = tier(&store, "tenants", 2);
    let pro = tier(&store, "tenants", 5).priority(Priority::Level(0));
    let apart = tier(&store, "others", 4);
    let quotas = keys(&free);
    assert_eq!(sends(&quotas, 1, 9).await, 2);
    quotas.set(&1, pro.clone());
    assert_eq!(sends(&quotas, 1, 9).await, 3, "of the same pool");
    assert_eq!(quotas.priority(&1), Priority::Level(0));
    pro.resize(limit(6)).unwrap();
    assert_eq!(sends(&quotas, 1, 9).await, 1);
    quotas.set(&1, apart);
    assert_eq!(sends(&quotas, 1, 9).await, 4, "of another");
    quotas.unset(&1);
    assert_eq!(sends(&quotas, 1, 9).await, 0);
    assert_eq!(sends(&quotas, 2, 9).await, 2);
}

#[tokio::test(start_paused = true)]
async fn the_tier_of_a_key_is_the_one_that_was_made() {
    let store = Arc::new(MemoryStore::new());
    let free = tier(&store, "tenants", 2);
    let quotas = keys(&free);
    assert_eq!(sends(&quotas, 1, 9).await, 2);
    // By the key's handle all keys that have it are changed.
    quotas.tier(&1).resize(limit(3)).unwrap();
    assert_eq!(sends(&quotas, 2, 9).await, 3);
    assert_eq!(sends(&quotas, 1, 9).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_forgotten_is_asked_for_anew() {
    let store = Arc::new(MemoryStore::new());
    let quotas = keys(&tier(&store, "tenants", 1)).max_keys(1);
    assert_eq!(sends(&quotas, 1, 9).await, 1);
    tokio::time::sleep(WINDOW * 2).await;
    // There is no room for both.
    assert_eq!(sends(&quotas, 2, 9).await, 1);
    tokio::time::sleep(WINDOW * 2).await;
    assert_eq!(sends(&quotas, 1, 9).await, 1, "and counts again");
}

/// Whoever waits is told for how long by the store; what was told by a smaller limit holds nobody up by a larger one.
#[tokio::test(start_paused = true)]
async fn a_limit_that_is_raised_is_asked_anew_for_whoever_comes_after_one_who_left() {
    let store = Arc::new(MemoryStore::new());
    let window = Duration::from_secs(30);
    let limit = |amount| Limit::requests(amount, window).rolling();
    let builder = Quota::builder().limit(limit(3));
    let (quota, driver) = builder
        .shared(Arc::clone(&store))
        .pool("tenants")
        .build()
        .unwrap();
    tokio::spawn(driver);
    let tier = Tier::like(&quota);
    let quotas = keys(&tier);
    // The fourth waits for a while and leaves.
    assert_eq!(sends(&quotas, 1, 4).await, 3);
    tier.resize(limit(4)).unwrap();
    assert_eq!(sends(&quotas, 1, 4).await, 1);
}
