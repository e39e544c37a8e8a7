use proptest::prelude::*;

use super::{
    active::Active,
    quota::{Quota, UNIT},
    throttle::{TOKEN, Throttle},
    *,
};

const MS: fn(u64) -> Time = |ms| Time::from_nanos(ms * 1_000_000);
/// A budget of whole retries, `price` parts each.
struct Whole(RetryBudget, u64);

impl Whole {
    fn new(gain: u32, price: u32, reserve: u32, max: u32, window: Duration) -> Self {
        let parts = |n: u32| u64::from(n) * u64::from(price);
        let budget = RetryBudget::new(u64::from(gain), parts(reserve), parts(max), window);
        Self(budget, u64::from(price))
    }

    fn deposit(&mut self, now: Time) {
        self.0.deposit(now);
    }

    fn withdraw(&mut self, now: Time) -> bool {
        self.0.withdraw(self.1, now)
    }

    fn refund(&mut self, now: Time) {
        self.0.refund(self.1, now);
    }

    fn balance(&mut self, now: Time) -> u64 {
        self.0.balance(now) / self.1
    }
}

const TEN_SECONDS: Duration = Duration::from_secs(10);

#[test]
fn any_ratio_is_exact() {
    for (gain, price) in [(1, 4), (3, 5), (1, 3), (1, 10), (2, 7), (1, 1)] {
        let mut budget = Whole::new(gain, price, 0, u32::MAX, TEN_SECONDS);
        let mut granted = 0;
        for _ in 0..10_000 {
            budget.deposit(MS(0));
            granted += u64::from(budget.withdraw(MS(0)));
        }
        let expected = 10_000 * u64::from(gain) / u64::from(price);
        assert_eq!(granted, expected, "{gain}/{price}");
        assert_eq!(budget.balance(MS(0)), 0);
    }
}

#[test]
fn a_drained_budget_recovers_from_ordinary_traffic() {
    let mut budget = Whole::new(1, 10, 10, 100, TEN_SECONDS);
    while budget.withdraw(MS(0)) {}
    for second in 0..200 {
        budget.deposit(MS(second * 1_000));
    }
    // Ten more would be the window's; the reserve is full again.
    assert_eq!(budget.balance(MS(220_000)), 10);
}

#[test]
fn unused_deposits_never_pile_up() {
    let mut budget = Whole::new(1, 1, 2, 5, TEN_SECONDS);
    for _ in 0..100 {
        budget.deposit(MS(0));
    }
    assert_eq!(budget.balance(MS(0)), 7);
    assert_eq!(budget.balance(MS(20_000)), 2);
}

#[test]
fn a_refund_is_spendable_once() {
    let mut budget = Whole::new(1, 10, 1, 10, TEN_SECONDS);
    assert!(budget.withdraw(MS(0)));
    budget.refund(MS(5_000));
    assert!(budget.withdraw(MS(60_000)));
    assert!(!budget.withdraw(MS(60_000)));
}

#[test]
fn costs_may_differ_and_the_last_comes_back() {
    // A quota of 500 as in the AWS SDKs: 14 for a retry, 5 for a throttled one.
    let mut budget = RetryBudget::new(1, 500, 0, TEN_SECONDS);
    assert!(budget.withdraw(14, MS(0)) && budget.withdraw(14, MS(50)));
    assert_eq!(budget.balance(MS(50)), 472);
    budget.refund(14, MS(150));
    assert!(budget.withdraw(5, MS(150)));
    assert_eq!(budget.balance(MS(150)), 481);
}

#[test]
fn what_flows_in_by_the_second_is_exact_however_often_one_looks() {
    for step in [1, 7, 333, 1_000] {
        let mut budget = RetryBudget::new(0, 30, 0, TEN_SECONDS).drip(3);
        assert!(budget.withdraw(30, MS(0)));
        let mut now = 0;
        while now < 9_000 {
            now = (now + step).min(9_000);
            budget.balance(MS(now));
        }
        assert_eq!(budget.balance(MS(9_000)), 27, "every {step} ms");
        assert_eq!(budget.balance(MS(1_000_000)), 30);
    }
}

proptest! {
    /// Withdrawals never exceed the reserve and the ratio's share of all deposits; the balance
    /// never exceeds the reserve and what the window may hold, nor its share of the deposits.
    #[test]
    fn retries_stay_inside_reserve_and_share(
        gain in 0u32..5, price in 1u32..12, reserve in 0u32..5, max in 0u32..20,
        steps in proptest::collection::vec((0u64..3_000, 0u8..3), 1..300),
    ) {
        let mut budget = Whole::new(gain, price, reserve, max, TEN_SECONDS);
        let (mut now, mut deposits, mut spent) = (0, 0u64, 0u64);
        for (later, what) in steps {
            now += later;
            let before = budget.balance(MS(now));
            match what {
                0 => { budget.deposit(MS(now)); deposits += 1; }
                1 => {
                    let granted = budget.withdraw(MS(now));
                    prop_assert_eq!(granted, before > 0);
                    spent += u64::from(granted);
                }
                _ if spent > 0 => { budget.refund(MS(now)); spent -= 1; }
                _ => {}
            }
            let balance = budget.balance(MS(now));
            prop_assert!(balance <= u64::from(reserve) + u64::from(max));
            prop_assert!((spent + balance) * u64::from(price)
                <= u64::from(reserve) * u64::from(price) + deposits * u64::from(gain));
        }
    }
}

#[test]
fn what_comes_back_fills_no_more_than_the_reserve_and_the_window_hold() {
    let mut budget = RetryBudget::new(1, 10, 3, TEN_SECONDS);
    budget.refund(4, MS(0));
    assert_eq!(budget.balance(MS(0)), 13, "three as a deposit");
    assert!(budget.withdraw(7, MS(0)));
    budget.refund(5, MS(0));
    // The window's three were spent first.
    assert_eq!(budget.balance(MS(0)), 11);
    assert_eq!(budget.balance(MS(60_000)), 10);
}

#[test]
fn a_deposit_counts_for_a_window_from_the_tenth_of_it_that_it_was_made_in() {
    let mut budget = Whole::new(1, 1, 0, 100, TEN_SECONDS);
    for second in [3, 5, 6, 7] {
        budget.deposit(MS(second * 1_000));
    }
    let at = [7_000, 12_999, 13_000, 14_999, 15_000, 16_000, 17_000];
    assert_eq!(at.map(|ms| budget.balance(MS(ms))), [4, 4, 3, 3, 2, 1, 0]);
}

#[test]
fn retries_under_way_are_a_share_of_the_requests_and_a_few_at_least() {
    let mut active = Active::new(20, 3);
    assert_eq!((active.limit(), active.room()), (3, 3));
    (0..25).for_each(|_| active.request_begins());
    assert_eq!(active.limit(), 5);
    assert_eq!(
        [(); 7]
            .map(|()| active.retry_begins())
            .iter()
            .filter(|may| **may)
            .count(),
        5
    );
    assert_eq!(active.room(), 0);
    active.retry_ends();
    assert_eq!(active.room(), 1);
    (0..10).for_each(|_| active.request_ends());
    assert_eq!(
        (active.limit(), active.room()),
        (3, 0),
        "more than may be, for now"
    );
    (0..9).for_each(|_| active.retry_ends());
    assert_eq!(active.room(), 3);
    (0..99).for_each(|_| active.request_ends());
    assert_eq!(active.limit(), 3);
}

#[test]
fn a_quota_is_paid_from_until_nothing_is_left_and_holds_no_more_than_at_first() {
    let mut quota = Quota::new(10 * UNIT, UNIT);
    assert!(quota.take(7 * UNIT, MS(0)));
    assert!(!quota.take(4 * UNIT, MS(0)));
    assert_eq!(
        quota.available(MS(0)),
        3 * UNIT,
        "a refusal changes nothing"
    );
    assert_eq!(quota.available(MS(500)), 3 * UNIT + UNIT / 2);
    quota.give(2 * UNIT, MS(500));
    assert_eq!(quota.available(MS(500)), 5 * UNIT + UNIT / 2);
    quota.give(9 * UNIT, MS(500));
    assert_eq!(quota.available(MS(9_000)), 10 * UNIT);
}

#[test]
fn retries_are_allowed_while_more_than_half_of_the_tokens_are_there() {
    let mut throttle = Throttle::new(10, 500);
    let may: Vec<_> = (0..6).map(|_| throttle.fail()).collect();
    assert_eq!(may, [true, true, true, true, false, false]);
    assert_eq!(throttle.tokens(), 4 * TOKEN);
    (0..3).for_each(|_| throttle.succeed());
    assert_eq!(throttle.tokens(), 5 * TOKEN + TOKEN / 2);
    (0..99).for_each(|_| throttle.succeed());
    assert_eq!(throttle.tokens(), 10 * TOKEN);
    (0..99).for_each(|_| {
        throttle.fail();
    });
    assert_eq!(throttle.tokens(), 0);
}

#[test]
fn a_clock_that_goes_back_lets_nothing_flow_in_twice() {
    let mut drip = Drip::new(3);
    let seconds = [10, 5, 10, 11, 11];
    assert_eq!(seconds.map(|s| drip.take(MS(s * 1_000))), [30, 0, 0, 3, 0]);
}

proptest! {
    /// As long as the slot lasts, it doesn't matter when the budget is told of requests.
    #[test]
    fn deposits_that_are_told_later_count_in_their_slot(
        steps in proptest::collection::vec((0u64..1_500, 0u8..6), 1..200),
    ) {
        let budget = || RetryBudget::new(3, 14, 40, TEN_SECONDS).drip(2);
        let (mut told, mut later_told) = (budget(), budget());
        let (mut now, mut fresh) = (0, 0);
        for (later, what) in steps {
            now += later;
            let now = MS(now);
            match what {
                0 => {
                    later_told.deposited(std::mem::take(&mut fresh));
                    prop_assert_eq!(later_told.withdraw(7, now), told.withdraw(7, now));
                }
                1 => {
                    later_told.deposited(std::mem::take(&mut fresh));
                    prop_assert_eq!(later_told.balance(now), told.balance(now));
                }
                _ => {
                    told.deposit(now);
                    if now < later_told.ends() {
                        fresh += 1;
                    } else {
                        later_told.deposited(std::mem::take(&mut fresh));
                        later_told.deposit(now);
                    }
                }
            }
        }
    }
}

#[test]
fn a_slot_ends_with_its_tenth_of_the_window() {
    let mut budget = Whole::new(1, 1, 0, 100, TEN_SECONDS);
    assert_eq!(budget.0.ends(), MS(1_000));
    budget.deposit(MS(2_999));
    assert_eq!(budget.0.ends(), MS(3_000));
    budget.deposit(MS(3_000));
    assert_eq!(budget.0.ends(), MS(4_000));
}
