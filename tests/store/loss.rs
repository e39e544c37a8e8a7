//! A store that loses its state while some of those who use it do nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tower_quota::{
    Cost, Limit, Quota,
    quota::shared::{Call, LossFuture, MemoryStore, PoolId, PoolLimit, QuotaStore, StoreFuture},
};

const WINDOW: Duration = Duration::from_secs(6);

/// Counts the calls.
struct Counted(Arc<MemoryStore>, Arc<AtomicU64>);

impl QuotaStore for Counted {
    fn call<'a>(
        &'a self,
        pool: &'a PoolId,
        limits: &'a [PoolLimit],
        call: &'a Call,
    ) -> StoreFuture<'a> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.call(pool, limits, call)
    }

    fn lost(&self) -> LossFuture<'_> {
        self.0.lost()
    }
}

fn process(store: &Arc<MemoryStore>, limit: Limit) -> (Quota, Arc<AtomicU64>) {
    let calls = Arc::new(AtomicU64::new(0));
    let store = Counted(Arc::clone(store), Arc::clone(&calls));
    let builder = Quota::builder().limit(limit).max_wait(WINDOW * 50);
    let builder = builder.shared(store).pool("loss");
    let (quota, driver) = builder.build().unwrap();
    tokio::spawn(driver);
    (quota, calls)
}

/// Sends as many as it gets in a span.
async fn sends(quota: &Quota, most: usize, span: Duration) -> usize {
    let until = Instant::now() + span;
    let mut sent = 0;
    while sent < most {
        match tokio::time::timeout_at(until, quota.acquire(Cost::request())).await {
            Ok(permit) => drop(permit.unwrap()),
            Err(_) => break,
        }
        sent += 1;
    }
    sent
}

#[tokio::test(start_paused = true)]
async fn what_a_process_that_sleeps_has_sent_counts_where_another_finds_the_pool_empty() {
    let store = Arc::new(MemoryStore::new());
    let limit = Limit::requests(200, WINDOW);
    let (one, _) = process(&store, limit.clone());
    let (other, _) = process(&store, limit);
    // Whoever finds it out doesn't know of what the other sends after it has asked itself.
    assert_eq!(sends(&one, 1, WINDOW).await, 1);
    assert_eq!(sends(&other, 150, WINDOW / 8).await, 150);
    store.forget();
    let lost = Instant::now();
    assert_eq!(sends(&one, 1, WINDOW).await, 1);
    println!("granted {:?} after the pool was lost", lost.elapsed());
    assert!(lost.elapsed() < Duration::from_millis(300));
    assert_eq!(sends(&one, 200, WINDOW / 2).await, 48);
}

#[tokio::test(start_paused = true)]
async fn what_a_process_has_sent_counts_though_it_waits_for_much_later() {
    let store = Arc::new(MemoryStore::new());
    let minute = Duration::from_secs(60);
    let (one, _) = process(&store, Limit::requests(200, minute));
    let (other, _) = process(&store, Limit::requests(200, minute));
    assert_eq!(sends(&one, 1, WINDOW).await, 1);
    assert_eq!(sends(&other, 199, WINDOW).await, 199);
    let waits = tokio::spawn(async move { sends(&other, 1, minute * 2).await });
    sleep(WINDOW).await;
    store.forget();
    assert_eq!(sends(&one, 200, minute / 2).await, 0);
    waits.abort();
}

#[tokio::test(start_paused = true)]
async fn whoever_has_sent_something_looks_as_long_as_it_counts_and_no_longer() {
    let store = Arc::new(MemoryStore::new());
    let (quota, calls) = process(&store, Limit::requests(200, WINDOW));
    assert_eq!(sends(&quota, 5, WINDOW).await, 5);
    let asked = calls.load(Ordering::Relaxed);
    sleep(WINDOW / 2).await;
    let looked = calls.load(Ordering::Relaxed) - asked;
    assert!((1..=4).contains(&looked), "{looked}");
    sleep(WINDOW).await;
    let looked = calls.load(Ordering::Relaxed);
    sleep(WINDOW * 10).await;
    assert_eq!(calls.load(Ordering::Relaxed), looked);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_lost_again_and_again_goes_on_and_is_divided_among_as_many() {
    let store = Arc::new(MemoryStore::new());
    let limit = Limit::requests(200, WINDOW);
    let processes = [0; 4].map(|_| process(&store, limit.clone()).0);
    let sent = Arc::new(AtomicU64::new(0));
    for quota in processes.iter().flat_map(|quota| [quota; 8]) {
        let (quota, sent) = (quota.clone(), Arc::clone(&sent));
        tokio::spawn(async move {
            loop {
                drop(quota.acquire(Cost::request()).await.unwrap());
                sent.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    for _ in 0..3 {
        sleep(WINDOW / 3).await;
        store.forget();
    }
    sleep(WINDOW).await;
    let before = sent.load(Ordering::Relaxed);
    sleep(WINDOW * 3).await;
    let later = sent.load(Ordering::Relaxed) - before;
    assert!((400..=800).contains(&later), "{later}");
}
