//! Accounts are packed as long as that is enough, and again as soon as it is.

use std::time::Duration;

use super::*;
use crate::{
    core::limit::{Anchor, Limit},
    quota::{Rank, Reserved},
    verdict::Usage,
};

const MINUTE: Duration = Duration::from_secs(60);

fn tier(limit: Limit) -> Tier {
    Tier::new(Quota::builder().limit(limit).max_wait(60 * MINUTE)).expect("valid")
}

fn of(tier: &Tier) -> KeyedQuotas<u32> {
    let tier = tier.clone();
    // So few that one lock is for all.
    KeyedQuotas::new(move |_: &u32| tier.clone()).max_keys(100)
}

/// How many keys are whole.
fn whole(quotas: &KeyedQuotas<u32>) -> usize {
    quotas.inner.keys.whole()
}

fn used(quota: &Quota) -> u64 {
    quota.snapshot().limits[0].used
}

#[tokio::test(start_paused = true)]
async fn a_key_is_whole_while_somebody_waits_and_packed_again_when_nobody_does() {
    let quotas = of(&tier(Limit::requests_per_minute(60)));
    for _ in 0..60 {
        quotas.spend(&1, &Cost::request()).expect("fits");
    }
    let quota = quotas.get(&1);
    assert_eq!((whole(&quotas), used(&quota)), (0, 60));
    quotas.spend(&1, &Cost::request()).expect_err("spent");
    assert_eq!(whole(&quotas), 0, "a refusal takes no more");
    let waits = quotas.get(&1).acquire(Cost::request());
    let waited = tokio::spawn(waits);
    tokio::task::yield_now().await;
    assert_eq!((whole(&quotas), quota.snapshot().waiting), (1, 1));
    drop(waited.await.expect("no panic").expect("its turn"));
    // With requests of others it is looked at.
    for n in 0..20 {
        quotas
            .spend(&(n % 3 + 2), &Cost::request())
            .expect("others");
    }
    assert_eq!(whole(&quotas), 0);
    assert_eq!(used(&quota), 60, "what is spent stays spent");
    tokio::time::advance(MINUTE).await;
    assert_eq!(used(&quota), 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_held_before_a_key_was_whole_is_given_back_after_it() {
    let quotas = of(&tier(Limit::requests_per_minute(2)));
    let quota = quotas.get(&1);
    let first = quota
        .reserve_now(&Cost::request(), false, Rank::DEFAULT)
        .expect("fits");
    let mut second = quota
        .reserve_now(&Cost::request(), false, Rank::DEFAULT)
        .expect("fits");
    let Reserved::Queued(waiting) = quota.reserve(&Cost::request(), false, Rank::DEFAULT) else {
        panic!("it waits");
    };
    assert_eq!((whole(&quotas), quota.snapshot().limits[0].held), (1, 2));
    drop(waiting);
    drop(first);
    assert_eq!(quota.snapshot().limits[0].held, 1);
    for n in 0..20 {
        quotas.spend(&(n + 2), &Cost::request()).expect("others");
    }
    assert_eq!((whole(&quotas), quota.snapshot().limits[0].held), (0, 1));
    second.depart();
    assert_eq!(used(&quota), 1);
    second.refund();
    assert_eq!(used(&quota), 0);
}

#[tokio::test(start_paused = true)]
async fn limits_that_arent_packed_take_a_whole_quota_only_while_something_counts() {
    let quotas = of(&tier(Limit::requests_per_minute(2).rolling()));
    drop(quotas.get(&1).try_acquire(Cost::request()).expect("fits"));
    assert_eq!((whole(&quotas), used(&quotas.get(&1))), (1, 1));
    for n in 0..20 {
        quotas.spend(&(n + 2), &Cost::request()).expect("others");
    }
    assert_eq!(whole(&quotas), 21, "something of each still counts");
    tokio::time::advance(2 * MINUTE).await;
    for _ in 0..200 {
        let _ = quotas.spend(&99, &Cost::request());
    }
    assert_eq!(whole(&quotas), 1);
}

#[tokio::test(start_paused = true)]
async fn a_paused_key_is_whole_until_then() {
    let quotas = of(&tier(Limit::requests_per_minute(60)));
    quotas
        .get(&1)
        .pause_until(tokio::time::Instant::now() + MINUTE);
    for n in 0..20 {
        quotas.spend(&(n + 2), &Cost::request()).expect("others");
    }
    assert_eq!(whole(&quotas), 1);
    quotas.spend(&1, &Cost::request()).expect_err("paused");
    tokio::time::advance(MINUTE).await;
    quotas.spend(&1, &Cost::request()).expect("over");
    for n in 0..20 {
        quotas.spend(&(n + 2), &Cost::request()).expect("others");
    }
    assert_eq!(whole(&quotas), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_settled_is_given_back_where_it_is_packed() {
    let tokens = Limit::tokens_per_minute(1_000);
    let quotas = of(&tier(tokens));
    let permit = quotas.get(&1).try_acquire(Cost::tokens(900)).expect("fits");
    permit.settle(Usage::new(100, 50));
    let quota = quotas.get(&1);
    assert_eq!((whole(&quotas), used(&quota)), (0, 150));
    let other = quotas.get(&2);
    other.try_acquire(Cost::tokens(850)).expect("fits").cancel();
    assert_eq!((whole(&quotas), used(&other)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_too_much_for_two_words_is_kept_all_the_same() {
    let quotas = of(&tier(Limit::tokens_per_minute(1_000_000)));
    let quota = quotas.get(&1);
    let held = |quota: &Quota| quota.snapshot().limits[0].held;
    let hold = |n| {
        quota
            .reserve_now(&Cost::tokens(n), false, Rank::DEFAULT)
            .expect("fits")
    };
    let (little, much) = (hold(4_000), hold(500_000));
    assert_eq!((held(&quota), whole(&quotas)), (504_000, 0));
    drop(little);
    assert_eq!(held(&quota), 500_000);
    let mut much = much;
    much.depart();
    assert_eq!(
        (held(&quota), used(&quota), whole(&quotas)),
        (0, 500_000, 0)
    );
    tokio::time::advance(MINUTE / 4).await;
    assert_eq!(used(&quota), 250_000);
    // A key of which nothing is spent any more is forgotten, however it was kept.
    tokio::time::advance(MINUTE).await;
    let forgotten = (2..60).any(|key| {
        quotas.spend(&key, &Cost::tokens(1)).expect("fits");
        quotas.inner.keys.len() < key as usize
    });
    assert!(forgotten);
}

#[tokio::test(start_paused = true)]
async fn a_shared_tier_takes_no_place() {
    let one = Quota::new(Limit::requests_per_minute(2)).expect("valid");
    let strangers = Tier::shared(one.clone());
    let quotas = KeyedQuotas::new(move |_: &u32| strangers.clone());
    quotas.spend(&1, &Cost::request()).expect("fits");
    quotas.spend(&2, &Cost::request()).expect("fits");
    quotas
        .spend(&3, &Cost::request())
        .expect_err("they share it");
    assert_eq!((quotas.len(), used(&one)), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_tier_without_limits_takes_whatever_comes_and_no_place() {
    let free = tier(Limit::requests_per_minute(1));
    let quotas = KeyedQuotas::new(move |key: &u32| match key {
        0 => Tier::unlimited(),
        _ => free.clone(),
    });
    for _ in 0..10_000 {
        quotas.spend(&0, &Cost::tokens(u64::MAX)).expect("no limit");
    }
    assert!(quotas.get(&0).snapshot().limits.is_empty());
    assert_eq!(quotas.len(), 0);
    quotas.spend(&1, &Cost::request()).expect("its first");
    quotas.spend(&1, &Cost::request()).expect_err("its second");
}

#[tokio::test(start_paused = true)]
async fn no_more_keys_are_kept_than_the_bound_whatever_it_is() {
    for most in [1, 3, 1_025, 1_100, 3_000] {
        let tier = tier(Limit::requests_per_minute(1));
        let quotas = KeyedQuotas::new(move |_: &usize| tier.clone()).max_keys(most);
        for key in 0..2 * most + 20 {
            let _ = quotas.spend(&key, &Cost::request());
        }
        let kept = quotas.len();
        assert!(kept <= most && kept * 10 >= most * 9, "{kept} of {most}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_shared_a_quota_for_a_while_has_spent_what_it_had_spent() {
    let quotas = of(&tier(Limit::requests_per_minute(2)));
    let spend = || quotas.spend(&1, &Cost::request()).is_ok();
    assert_eq!([spend(), spend(), spend()], [true, true, false]);
    let shared = Quota::new(Limit::requests_per_minute(1)).expect("valid");
    quotas.set(&1, Tier::shared(shared));
    assert_eq!([spend(), spend()], [true, false]);
    quotas.unset(&1);
    assert!(!spend());
    tokio::time::advance(MINUTE / 2).await;
    assert_eq!([spend(), spend()], [true, false]);
}

/// Calls back when it goes.
struct Last(KeyedQuotas<u32>, Arc<std::sync::atomic::AtomicBool>);

impl Drop for Last {
    fn drop(&mut self) {
        let Self(quotas, gone) = self;
        // Of all keys in one part: a lock that is held would never be had.
        let _ = (quotas.len(), quotas.spend(&1, &Cost::request()));
        gone.store(true, std::sync::atomic::Ordering::SeqCst);
    }
}

#[test]
fn a_tier_that_is_taken_back_may_call_back_when_it_goes() {
    for known in [false, true] {
        let (done, ended) = std::sync::mpsc::channel();
        let taken_back = std::thread::spawn(move || {
            let quotas = of(&tier(Limit::requests_per_minute(2)));
            let gone = Arc::default();
            let last = Last(quotas.clone(), Arc::clone(&gone));
            let calendar = Anchor::calendar(move |t| {
                let _ = &last;
                t + MINUTE
            });
            let of_its_own = tier(Limit::requests_per_minute(2).fixed(calendar));
            if known {
                quotas.spend(&1, &Cost::request()).expect("fits");
            }
            quotas.set(&1, of_its_own);
            quotas.unset(&1);
            let _ = quotas.spend(&1, &Cost::request());
            done.send(gone.load(std::sync::atomic::Ordering::SeqCst))
        });
        let gone = ended.recv_timeout(MINUTE).expect("it doesn't hang");
        assert!(gone, "{known}");
        let _ = taken_back.join();
    }
}
