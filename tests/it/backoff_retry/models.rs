//! The models of a `RetryBudget`, as others' suites have them, through the public type.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use proptest::prelude::*;
use tokio::time::{advance, sleep};
use tower::{Layer, ServiceExt, retry::budget::Budget, service_fn};
use tower_quota::{
    RetryBudget,
    backoff_retry::{Cause, Withdrawal},
};

use super::longest;
use crate::support::mock::*;

/// Pays for a retry and sends it.
fn retry(budget: &RetryBudget, cause: Cause) -> Option<Withdrawal> {
    let mut paid = budget.withdraw(cause)?;
    paid.sent();
    Some(paid)
}

#[test]
fn of_a_quota_a_success_brings_the_last_cost_back() {
    let budget = RetryBudget::quota(500);
    let first = retry(&budget, Cause::Transient).unwrap();
    assert_eq!(budget.balance(), Some(486));
    drop(first);
    let second = retry(&budget, Cause::TimedOut).unwrap();
    assert_eq!(budget.balance(), Some(472));
    second.succeeded();
    assert_eq!(budget.balance(), Some(486), "not what the first one took");
    let throttled = retry(&budget, Cause::RateLimited).unwrap();
    assert_eq!(budget.balance(), Some(481));
    throttled.succeeded();
    assert_eq!(budget.balance(), Some(486));
}

#[test]
fn a_quota_never_holds_more_than_its_capacity() {
    let budget = RetryBudget::quota(30);
    budget.succeeded();
    assert_eq!(budget.balance(), Some(30));
    retry(&budget, Cause::Transient).unwrap().succeeded();
    assert_eq!(budget.balance(), Some(30));
}

#[test]
fn costs_of_a_quota_can_be_set_and_a_first_success_earns_one() {
    let budget = RetryBudget::quota(500)
        .cost(Cause::Transient, 5)
        .cost(Cause::TimedOut, 10);
    drop(retry(&budget, Cause::Transient));
    let late = retry(&budget, Cause::TimedOut).unwrap();
    assert_eq!(budget.balance(), Some(485));
    late.succeeded();
    budget.succeeded();
    assert_eq!(budget.balance(), Some(496));
}

#[test]
fn a_drained_quota_recovers_from_ordinary_successes() {
    let budget = RetryBudget::quota(50);
    for left in [36, 22, 8] {
        drop(retry(&budget, Cause::Transient).unwrap());
        assert_eq!(budget.balance(), Some(left));
    }
    assert!(retry(&budget, Cause::Transient).is_none());
    assert_eq!(budget.balance(), Some(8), "what is refused takes nothing");
    budget.failed();
    for _ in 0..6 {
        budget.succeeded();
    }
    drop(retry(&budget, Cause::Transient).unwrap());
    assert_eq!(budget.balance(), Some(0));
}

#[tokio::test(start_paused = true)]
async fn what_a_first_success_brings_back_may_be_part_of_a_unit_and_time_may_help() {
    let budget = RetryBudget::quota(50).reward(0.3).per_second(2);
    for _ in 0..3 {
        drop(retry(&budget, Cause::Transient));
    }
    budget.succeeded();
    budget.succeeded();
    assert_eq!(budget.balance_thousandths(), Some(8_600));
    advance(Duration::from_millis(750)).await;
    assert_eq!(budget.balance_thousandths(), Some(10_100));
    advance(Duration::from_secs(3_600)).await;
    assert_eq!(budget.balance(), Some(50));
}

#[test]
fn what_is_withdrawn_and_not_sent_is_paid_back() {
    for budget in [
        RetryBudget::quota(20),
        RetryBudget::percent(0).reserve(20),
        RetryBudget::of_active(0, 20),
    ] {
        let paid = budget.withdraw(Cause::Connection).unwrap();
        assert!(budget.balance() < Some(20));
        drop(paid);
        assert_eq!(budget.balance(), Some(20), "{budget:?}");
    }
}

/// gRPC's own sequence of twelve calls: what each attempt says, how many there are, what is left.
const CALLS: [(&str, usize, u64); 12] = [
    ("k", 1, 10_000),
    ("rrk", 3, 8_500),
    ("rrk", 3, 7_000),
    ("rrrr", 2, 5_000),
    ("rr", 1, 4_000),
    ("k", 1, 4_500),
    ("k", 1, 5_000),
    ("k", 1, 5_500),
    ("k", 1, 6_000),
    ("k", 1, 6_500),
    ("rk", 2, 6_000),
    ("rr", 1, 5_000),
];

#[tokio::test(start_paused = true)]
async fn a_throttle_allows_retries_while_more_than_half_of_its_tokens_are_there() {
    let budget = RetryBudget::throttle(10, 0.5);
    let layer = longest().attempts(4).budget(budget.clone());
    for (call, (attempts, expected, tokens)) in CALLS.into_iter().enumerate() {
        let steps = attempts.chars().map(|c| if c == 'k' { OK } else { DOWN });
        let mock = Mock::new(steps);
        layer.layer(mock.clone()).oneshot(request()).await.unwrap();
        assert_eq!(mock.calls(), expected, "call {call}");
        assert_eq!(budget.balance_thousandths(), Some(tokens), "call {call}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_throttle_counts_failures_that_no_retry_follows() {
    let budget = RetryBudget::throttle(10, 0.1);
    let layer = longest().budget(budget.clone());
    layer
        .layer(Mock::new([DOWN]))
        .oneshot(request())
        .await
        .unwrap();
    assert_eq!(budget.balance(), Some(7), "the third try failed, too");
    let once = http::Request::new(Once("{}".into()));
    let taking = Mock::new([DOWN]).taking();
    layer.layer(taking).oneshot(once).await.unwrap();
    assert_eq!(budget.balance(), Some(6));
    layer
        .layer(Mock::new([Step::Refuse]))
        .oneshot(request())
        .await
        .unwrap_err();
    assert_eq!(
        budget.balance(),
        Some(6),
        "our own refusals aren't failures"
    );
    layer
        .layer(Mock::new([OK]))
        .oneshot(request())
        .await
        .unwrap();
    assert_eq!(budget.balance_thousandths(), Some(6_100));
}

#[tokio::test(start_paused = true)]
async fn a_share_of_what_is_active_has_a_floor_and_counts_those_that_sleep() {
    let budget = RetryBudget::of_active(20, 3);
    let mut sleeping: Vec<_> = (0..3)
        .map(|_| budget.withdraw(Cause::Transient).unwrap())
        .collect();
    assert!(budget.withdraw(Cause::Transient).is_none());
    let requests: Vec<_> = (0..20).map(|_| budget.begin()).collect();
    assert_eq!(budget.balance(), Some(1), "a fifth of 20");
    sleeping.push(budget.withdraw(Cause::Transient).unwrap());
    assert!(budget.withdraw(Cause::Transient).is_none());
    let budget = budget.percent_of_active(100);
    assert_eq!(budget.balance(), Some(16));
    drop((sleeping, requests));
    assert_eq!(budget.balance(), Some(3), "all is over but the floor");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_that_fail_together_are_not_all_tried_again() {
    let budget = RetryBudget::of_active(20, 3);
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let service = service_fn(move |_: u32| {
        count.fetch_add(1, SeqCst);
        async {
            sleep(Duration::from_secs(1)).await;
            Err::<(), _>(std::io::Error::other("down"))
        }
    });
    let service = longest().opaque().budget(budget.clone()).layer(service);
    let calls: Vec<_> = (0..1_000)
        .map(|n| tokio::spawn(service.clone().oneshot(n)))
        .collect();
    for call in calls {
        call.await.unwrap().unwrap_err();
    }
    // A fifth of a thousand; of those alone, whose retries are all that is under way, the floor.
    assert_eq!(sent.load(SeqCst), 1_000 + 200 + 3);
    assert_eq!(budget.balance(), Some(3), "nothing is under way any more");
}

#[tokio::test(start_paused = true)]
async fn one_retry_after_another_holds_one_place() {
    let budget = RetryBudget::of_active(0, 1);
    let mock = Mock::new([DOWN]);
    let layer = longest().attempts(5).budget(budget.clone());
    layer.layer(mock.clone()).oneshot(request()).await.unwrap();
    assert_eq!((mock.calls(), budget.balance()), (5, Some(1)));
}

#[tokio::test(start_paused = true)]
async fn a_quarter_of_ten_thousand_requests_is_two_thousand_and_five_hundred() {
    let budget = RetryBudget::percent(25)
        .reserve(0)
        .window(Duration::from_secs(60));
    let mut granted = 0;
    for _ in 0..10_000 {
        budget.deposit();
        granted += usize::from(retry(&budget, Cause::Transient).is_some());
    }
    assert_eq!((granted, budget.balance()), (2_500, Some(0)));
}

#[tokio::test(start_paused = true)]
async fn a_reserve_can_be_filled_by_time_alone() {
    let budget = RetryBudget::percent(0).reserve(600).per_second(10);
    let drained = || {
        (0..)
            .take_while(|_| retry(&budget, Cause::Transient).is_some())
            .count()
    };
    assert_eq!(drained(), 600);
    advance(Duration::from_millis(2_550)).await;
    assert_eq!(drained(), 25);
    advance(Duration::from_secs(3_600)).await;
    assert_eq!(drained(), 600);
}

#[tokio::test(start_paused = true)]
async fn causes_may_cost_differently_in_a_share_as_well() {
    let budget = RetryBudget::percent(0)
        .reserve(2)
        .cost(Cause::TimedOut, 150)
        .cost(Cause::RateLimited, 0);
    drop(retry(&budget, Cause::TimedOut).unwrap());
    assert_eq!(budget.balance_thousandths(), Some(500));
    assert!(retry(&budget, Cause::Transient).is_none());
    assert!(retry(&budget, Cause::RateLimited).is_some());
}

#[tokio::test(start_paused = true)]
async fn ours_is_a_budget_for_towers_own_retries() {
    let budget = RetryBudget::percent(50).reserve(0);
    let towers: &dyn Budget = &budget;
    assert!(!towers.withdraw());
    towers.deposit();
    towers.deposit();
    assert!(towers.withdraw() && !towers.withdraw());
}

#[test]
fn a_setting_that_a_model_lacks_is_refused_where_it_is_given() {
    let refused = |act: fn() -> RetryBudget| {
        let panic = std::panic::catch_unwind(act).unwrap_err();
        panic.downcast_ref::<String>().unwrap().clone()
    };
    for (act, name) in [
        (
            (|| RetryBudget::quota(1).reserve(1)) as fn() -> RetryBudget,
            "reserve",
        ),
        (
            || RetryBudget::throttle(1, 0.5).cost(Cause::TimedOut, 1),
            "cost",
        ),
        (
            || RetryBudget::of_active(1, 1).refund_success(),
            "refund_success",
        ),
        (
            || RetryBudget::percent(1).percent_of_active(1),
            "percent_of_active",
        ),
        (|| RetryBudget::throttle(10, 0.0), "throttle"),
        (|| RetryBudget::throttle(10, f64::NAN), "throttle"),
    ] {
        let message = refused(act);
        assert!(message.starts_with(&format!("{name}: ")), "{message}");
    }
}

proptest! {
    /// Any ratio is exact, after any number of requests.
    #[test]
    fn a_share_is_exact_for_any_ratio(gain in 0u32..50, price in 1u32..50, requests in 1u32..3_000) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let granted = runtime.block_on(async {
            let budget = RetryBudget::ratio(gain, price).reserve(0).max(u32::MAX);
            for _ in 0..requests {
                budget.deposit();
            }
            (0..).take_while(|_| retry(&budget, Cause::Transient).is_some()).count()
        });
        let exact = u64::from(requests) * u64::from(gain) / u64::from(price);
        prop_assert_eq!(granted as u64, exact);
    }

    /// A quota and a throttle never leave their bounds, whatever happens.
    #[test]
    fn models_never_leave_their_bounds(
        capacity in 1u32..100, steps in proptest::collection::vec(0u8..5, 1..200),
    ) {
        for budget in [
            RetryBudget::quota(capacity),
            RetryBudget::throttle(capacity, 0.3),
            RetryBudget::of_active(30, capacity),
        ] {
            let mut held = Vec::new();
            let mut requests = Vec::new();
            for step in &steps {
                match step {
                    0 => budget.succeeded(),
                    1 => requests.push(budget.begin()),
                    2 => held.extend(retry(&budget, Cause::RateLimited)),
                    3 => drop(held.pop().map(Withdrawal::succeeded)),
                    _ => { held.pop(); requests.pop(); }
                }
                prop_assert!(budget.balance() <= Some(u64::from(capacity) + requests.len() as u64));
            }
        }
    }
}
