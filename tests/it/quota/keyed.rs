//! A quota for every key.

use std::{
    hash::{Hash, Hasher},
    sync::{Arc, Mutex, OnceLock, mpsc},
    time::Duration,
};

use tower_quota::{
    Cost, Limit, Priority, Quota, Reason,
    key::Key,
    quota::{KeyedQuotas, QuotaBuilder, Tier},
};

use super::support::{Random, SECOND};

const MINUTE: Duration = Duration::from_secs(60);

fn per_minute(requests: u64) -> QuotaBuilder {
    Quota::builder().limit(Limit::requests_per_minute(requests))
}

fn tier(requests: u64) -> Tier {
    Tier::new(per_minute(requests)).expect("valid")
}

fn all(tier: &Tier) -> KeyedQuotas<u64> {
    let tier = tier.clone();
    KeyedQuotas::new(move |_: &u64| tier.clone())
}

/// How many requests are admitted at once.
fn admitted(quotas: &KeyedQuotas<u64>, key: u64) -> usize {
    (0..1_000)
        .take_while(|_| quotas.spend(&key, &Cost::request()).is_ok())
        .count()
}

#[tokio::test(start_paused = true)]
async fn each_key_has_what_its_tier_says() {
    let (free, pro) = (tier(5), tier(60));
    let quotas = KeyedQuotas::new(
        move |key: &u64| {
            if *key < 10 { free.clone() } else { pro.clone() }
        },
    );
    assert_eq!((admitted(&quotas, 1), admitted(&quotas, 2)), (5, 5));
    assert_eq!(admitted(&quotas, 10), 60);
    let refused = quotas.spend(&1, &Cost::request()).expect_err("spent");
    assert_eq!(refused.reason, Reason::LimitReached);
    assert_eq!(refused.limit.map(|limit| limit.amount), Some(5));
    assert_eq!(refused.retry_after, Some(12 * SECOND));
    tokio::time::advance(12 * SECOND - Duration::from_nanos(1)).await;
    quotas.spend(&1, &Cost::request()).expect_err("not yet");
    tokio::time::advance(Duration::from_nanos(1)).await;
    assert_eq!((admitted(&quotas, 1), admitted(&quotas, 10)), (1, 12));
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_takes_nothing_of_any_limit() {
    let two = Quota::builder()
        .limit(Limit::requests_per_minute(5))
        .limit(Limit::tokens_per_minute(5_000));
    let quotas = all(&Tier::new(two).expect("valid"));
    let (large, small) = (Cost::tokens(4_000), Cost::tokens(1_000));
    quotas.spend(&1, &large).expect("fits");
    for _ in 0..10 {
        quotas.spend(&1, &large).expect_err("too many tokens");
    }
    let never = quotas.spend(&1, &Cost::tokens(5_001)).expect_err("never");
    assert_eq!(never.reason, Reason::TooLarge);
    let limits = quotas.get(&1).snapshot().limits;
    assert_eq!((limits[0].used, limits[1].used), (1, 4_000));
    quotas.spend(&1, &small).expect("fits");
}

/// What keys of another tier have, too.
#[tokio::test(start_paused = true)]
async fn a_tier_is_changed_for_all_of_its_keys_and_what_is_spent_stays_spent() {
    let free = tier(5);
    let quotas = all(&free);
    assert_eq!((admitted(&quotas, 1), admitted(&quotas, 2)), (5, 5));
    free.resize(Limit::requests_per_minute(8))
        .expect("a limit of its own");
    assert_eq!((admitted(&quotas, 1), admitted(&quotas, 3)), (3, 8));
    free.resize(Limit::requests_per_minute(2))
        .expect("a limit of its own");
    let refused = quotas.spend(&2, &Cost::request()).expect_err("overdrawn");
    // Five are spent, of which four have to be there again.
    assert_eq!(refused.retry_after, Some(2 * MINUTE));
    // More limits, and another window.
    let other = per_minute(10).limit(Limit::requests(100, 3_600 * SECOND));
    free.change(other).expect("valid");
    let limits = quotas.get(&1).snapshot().limits;
    assert_eq!((limits.len(), limits[0].used, limits[1].used), (2, 8, 0));
    assert_eq!((admitted(&quotas, 1), admitted(&quotas, 2)), (2, 5));
    let missing = free.resize(Limit::tokens_per_minute(9)).unwrap_err();
    assert!(
        missing.to_string().contains("no limit on tokens"),
        "{missing}"
    );
    let none = free.change(Quota::builder()).unwrap_err();
    assert_eq!(none.setting(), "limit");
}

#[tokio::test(start_paused = true)]
async fn one_key_is_given_another_tier_by_hand() {
    let quotas = all(&tier(5));
    assert_eq!(admitted(&quotas, 1), 5);
    quotas.set(&1, tier(7));
    quotas.set(&2, tier(9));
    assert_eq!((admitted(&quotas, 1), admitted(&quotas, 2)), (2, 9));
    assert_eq!(admitted(&quotas, 3), 5);
    quotas.reload();
    assert_eq!(quotas.get(&2).snapshot().limits[0].limit.amount, 9);
    quotas.unset(&2);
    assert_eq!(quotas.get(&2).snapshot().limits[0].limit.amount, 5);
    let refused = quotas
        .spend(&2, &Cost::request())
        .expect_err("nine are spent");
    assert_eq!(refused.retry_after, Some(MINUTE));
    let one = Quota::new(Limit::requests_per_minute(1)).expect("valid");
    quotas.set(&3, Tier::shared(one.clone()));
    assert_eq!(admitted(&quotas, 3), 1);
    assert_eq!(one.snapshot().limits[0].used, 1);
}

#[tokio::test(start_paused = true)]
async fn all_are_told_their_tier_anew() {
    let plans = Arc::new(Mutex::new(5));
    let (of, asked) = (Arc::clone(&plans), Arc::new(Mutex::new(0)));
    let (counted, tiers) = (Arc::clone(&asked), [5, 8].map(|n| (n, tier(n))));
    let quotas = KeyedQuotas::new(move |_: &u64| {
        *counted.lock().unwrap() += 1;
        let plan = *of.lock().unwrap();
        let (_, tier) = tiers.iter().find(|(n, _)| *n == plan).unwrap();
        tier.clone()
    });
    assert_eq!((admitted(&quotas, 1), admitted(&quotas, 1)), (5, 0));
    *plans.lock().unwrap() = 8;
    assert_eq!(admitted(&quotas, 1), 0);
    quotas.reload();
    assert_eq!((admitted(&quotas, 1), admitted(&quotas, 1)), (3, 0));
    assert_eq!(*asked.lock().unwrap(), 2, "asked once for each");
}

/// Who waits goes by the new amount.
#[tokio::test(start_paused = true)]
async fn whoever_waits_goes_on_by_the_new_amount_with_the_keys_next_request() {
    let free = Tier::new(per_minute(1).max_wait(60 * MINUTE)).expect("valid");
    let quotas = all(&free);
    assert_eq!(admitted(&quotas, 1), 1);
    let waits = tokio::spawn(quotas.get(&1).acquire(Cost::request().requests(1)));
    tokio::task::yield_now().await;
    free.resize(Limit::requests_per_minute(60))
        .expect("its own");
    quotas
        .spend(&1, &Cost::request().requests(60))
        .expect_err("somebody waits");
    tokio::task::yield_now().await;
    let start = tokio::time::Instant::now();
    drop(waits.await.expect("no panic").expect("its turn"));
    assert!(start.elapsed() <= SECOND, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_idle_key_is_forgotten_and_a_spent_one_never() {
    let quotas = all(&tier(60)).max_keys(100);
    assert_eq!(admitted(&quotas, 0), 60);
    for key in 1..=50 {
        quotas.spend(&key, &Cost::request()).expect("fits");
    }
    assert_eq!(quotas.len(), 51);
    tokio::time::advance(10 * SECOND).await;
    for key in 100..400 {
        quotas.spend(&key, &Cost::request()).expect("fits");
        tokio::time::advance(Duration::from_millis(100)).await;
    }
    // Of 351. A few are looked at with each request, in an order that their hashes make: 40 to 55 are left.
    assert!(quotas.len() < 80, "{}", quotas.len());
    // 40 of its 60 have refilled, and no more.
    assert_eq!(admitted(&quotas, 0), 40);
}

#[tokio::test(start_paused = true)]
async fn keys_above_the_bound_share_one_quota_of_their_tier() {
    let (free, pro) = (tier(5), tier(60));
    let quotas = KeyedQuotas::new(move |key: &u64| {
        if *key < 1_000 {
            free.clone()
        } else {
            pro.clone()
        }
    });
    let quotas = quotas.max_keys(3);
    for key in 0..3 {
        assert_eq!(admitted(&quotas, key), 5);
    }
    assert_eq!((admitted(&quotas, 3), admitted(&quotas, 4)), (5, 0));
    assert_eq!(
        (admitted(&quotas, 1_000), admitted(&quotas, 1_001)),
        (60, 0)
    );
    assert_eq!((quotas.len(), admitted(&quotas, 0)), (3, 0));
    tokio::time::advance(MINUTE).await;
    assert_eq!((admitted(&quotas, 4), quotas.len()), (5, 3));
}

/// A million of them, of which each spends something; while a thousand others go on.
#[tokio::test(start_paused = true)]
async fn a_million_random_keys_neither_exhaust_memory_nor_evict_active_ones() {
    const ACTIVE: u64 = 1_000;
    let quotas = all(&tier(5)).max_keys(20_000);
    let mut random = Random(7);
    for key in 0..ACTIVE {
        assert_eq!(admitted(&quotas, key), 5);
    }
    for n in 0..1_000_000u64 {
        // Few of them find room: what they share is spent soon.
        let _ = quotas.spend(&(ACTIVE + random.next() / 2), &Cost::request());
        if n % 1_000 == 0 {
            let key = n / 1_000;
            let refused = quotas.spend(&key, &Cost::request()).expect_err("spent");
            assert!(refused.left == 0 && refused.limit.is_some(), "{refused}");
        }
    }
    assert!(quotas.len() <= 20_000, "{}", quotas.len());
    // All of them have their own still, and spend it: one each has refilled.
    tokio::time::advance(12 * SECOND).await;
    for key in 0..ACTIVE {
        assert_eq!(admitted(&quotas, key), 1, "key {key}");
    }
}

/// Calls back from wherever it can: into the quotas that it is a key of.
#[derive(Clone)]
struct Meddler(u64, Arc<OnceLock<KeyedQuotas<Meddler>>>);

impl Meddler {
    fn meddle(&self) {
        if let Some(quotas) = self.1.get()
            && self.0 < 50
        {
            // One that doesn't meddle.
            let other = Self(self.0 + 100, Arc::clone(&self.1));
            let _ = (quotas.len(), quotas.spend(&other, &Cost::request()));
            let _ = (quotas.tier(&other), quotas.get(&other).snapshot());
            quotas.set(&other, tier(9));
            quotas.unset(&other);
            quotas.reload();
        }
    }
}

impl Hash for Meddler {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.meddle();
        self.0.hash(state);
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        self.meddle();
    }
}

#[test]
fn keys_and_functions_that_call_back_never_deadlock() {
    let (done, finished) = mpsc::channel();
    std::thread::spawn(move || {
        let cell = Arc::new(OnceLock::new());
        let tier = tier(3);
        let quotas = KeyedQuotas::new(move |key: &Meddler| {
            key.meddle();
            tier.clone()
        });
        let quotas = quotas.max_keys(4);
        assert!(cell.set(quotas.clone()).is_ok());
        for round in 0..20 {
            let key = Meddler(round % 7, Arc::clone(&cell));
            let _ = quotas.spend(&key, &Cost::request());
            let quota = quotas.get(&key);
            if let Ok(permit) = quota.try_acquire(Cost::request()) {
                permit.cancel();
            }
            quotas.set(&key, Tier::new(per_minute(round + 1)).expect("valid"));
            quotas.unset(&key);
        }
        let _ = done.send(());
    });
    let finished = finished.recv_timeout(Duration::from_secs(20));
    finished.expect("it deadlocks, or panicked");
}

#[tokio::test(start_paused = true)]
async fn a_quota_made_for_a_key_is_its_own_and_made_once() {
    let made = Arc::new(Mutex::new(0));
    let count = Arc::clone(&made);
    let quotas = KeyedQuotas::new(move |_: &u64| {
        *count.lock().unwrap() += 1;
        per_minute(5).build().expect("valid")
    });
    assert_eq!((admitted(&quotas, 1), admitted(&quotas, 2)), (5, 5));
    assert_eq!((admitted(&quotas, 1), *made.lock().unwrap()), (0, 2));
    let few = quotas.max_keys(2);
    let all: usize = (0..100).map(|key| admitted(&few, key)).sum();
    assert_eq!(all, 15, "two have their own, and the rest share one");
}

#[test]
fn a_key_and_what_it_is_a_key_of_show_nothing() {
    let quotas = KeyedQuotas::new(|_: &Option<Key>| tier(5));
    let key = Some(Key::of("sk-secret"));
    quotas.spend(&key, &Cost::request()).expect("fits");
    let shown = format!(
        "{quotas:?} {key:?} {:?} {:?}",
        quotas.get(&key),
        quotas.tier(&key)
    );
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn a_tier_that_makes_no_sense_is_refused() {
    assert_eq!(Tier::new(Quota::builder()).unwrap_err().setting(), "limit");
    assert_eq!(Tier::new(per_minute(0)).unwrap_err().setting(), "limit");
    let saved = per_minute(5).build().expect("valid").save();
    let restored = Tier::new(per_minute(5).restore(saved)).unwrap_err();
    assert_eq!(restored.setting(), "restore");
    let shared = Tier::shared(per_minute(5).build().expect("valid"));
    assert_eq!(
        shared.change(per_minute(6)).unwrap_err().setting(),
        "change"
    );
    let own = tier(5).change(per_minute(6).adopt()).unwrap_err();
    assert_eq!(own.setting(), "change");
}

#[test]
#[should_panic(expected = "max_keys: 0 would leave no key a quota of its own")]
fn no_keys_at_all_are_refused() {
    let _ = all(&tier(5)).max_keys(0);
}

#[test]
fn a_tiers_priority_is_that_of_its_keys() {
    let free = tier(5);
    let quotas = all(&free);
    assert_eq!(quotas.priority(&1), Priority::Level(2));
    let _ = free.priority(Priority::Background);
    assert_eq!(quotas.priority(&1), Priority::Level(6));
}
