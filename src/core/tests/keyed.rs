//! Packed accounts decide what a ledger decides.

use std::time::Duration;

use proptest::prelude::*;

use crate::core::{
    cost::{Cost, Resource},
    keyed::{Account, LIMITS, Plan, TakesMore},
    ledger::{Fit, Ledger},
    limit::Limit,
    meter::{Meter, Mould},
    settlement::Settle,
    time::Time,
};

const SECOND: Duration = Duration::from_secs(1);

/// What happens, one after the other.
#[derive(Clone, Copy, Debug)]
enum Step {
    Pass(u64),
    /// Holds so much, if it fits.
    Ask(u64),
    /// Takes so much at once, if it fits.
    Spend(u64),
    /// Of what is held, the one of this index leaves.
    Leave(usize),
    Release(usize),
    /// Of what has left, the one of this index turns out to be so much.
    Settle(usize, u64),
    Refund(usize),
    /// Goes on with a ledger, and back where that is possible.
    Move,
}

fn step(gives_back: bool) -> impl Strategy<Value = Step> {
    let nanos = prop_oneof![0..3u64, 0..2_000_000_000u64, 0..90_000_000_000u64];
    let back = if gives_back { 2 } else { 0 };
    prop_oneof![
        6 => nanos.prop_map(Step::Pass),
        8 => (0..12u64).prop_map(Step::Ask),
        2 => prop_oneof![0..12u64, 39..42u64].prop_map(Step::Spend),
        5 => any::<usize>().prop_map(Step::Leave),
        1 => any::<usize>().prop_map(Step::Release),
        2 => (any::<usize>(), 12..30u64).prop_map(|(n, used)| Step::Settle(n, used)),
        back => (any::<usize>(), 0..12u64).prop_map(|(n, used)| Step::Settle(n, used)),
        back => any::<usize>().prop_map(Step::Refund),
        1 => Just(Step::Move),
    ]
}

#[derive(Clone, Debug)]
pub(super) struct Limits(pub(super) Vec<Limit>);

fn limits(transit: bool) -> impl Strategy<Value = Limits> {
    let transit = if transit {
        prop_oneof![
            Just(None),
            (1..2_000_000_000u64).prop_map(|n| Some(Duration::from_nanos(n))),
        ]
        .boxed()
    } else {
        Just(Some(Duration::ZERO)).boxed()
    };
    let window = prop_oneof![Just(60 * SECOND), Just(7 * SECOND), Just(86_400 * SECOND)];
    let amount = prop_oneof![1..60u64, Just(5), Just(7_919), Just(1_000_000)];
    let limit = (amount, window, transit, prop::option::of(1..60u64));
    prop::collection::vec(limit, 1..=LIMITS).prop_map(|limits| {
        let of = [
            Resource::Requests,
            Resource::Tokens,
            Resource::InputTokens,
            Resource::Unit("images"),
        ];
        let limits = of.into_iter().zip(limits).map(|(resource, limit)| {
            let (amount, window, transit, burst) = limit;
            let mut limit = Limit::new(resource, amount, window).bucket();
            (limit.transit, limit.burst) = (transit, burst);
            limit
        });
        Limits(limits.collect())
    })
}

impl Limits {
    pub(super) fn ledger(&self, now: Time) -> Ledger {
        let meter = |limit: &Limit| Meter::new(limit, limit.amount(), None, now);
        let meters = self.0.iter().map(meter).collect();
        let mut ledger = Ledger::new(meters, usize::MAX, 40).own();
        ledger.advance(now);
        ledger
    }

    pub(super) fn plan(&self) -> Plan {
        let mould = |limit| Mould::new(limit, Limit::amount(limit)).expect("a bucket is packed");
        Plan::new(self.0.iter().map(mould).collect(), 40).expect("few enough")
    }
}

pub(super) fn cost(n: u64) -> Cost {
    Cost::input_output(n, 0).unit("images", n / 3)
}

/// Walks both; what has left is kept for the rest of the walk.
fn walk(limits: &Limits, steps: &[Step]) -> Result<(), TestCaseError> {
    let (plan, mut now) = (limits.plan(), Time::from_nanos(123_456_789));
    let mut accounts = [Account::default(); LIMITS];
    let mut ledger = limits.ledger(now);
    let (mut held, mut left) = (Vec::<u64>::new(), Vec::<(u64, Time)>::new());
    let few = plan.len();
    for step in steps {
        let packed = &mut accounts[..few];
        match *step {
            Step::Pass(nanos) => now = now.after(Duration::from_nanos(nanos)),
            Step::Ask(n) => {
                let fit = ledger.fit(&cost(n), false);
                prop_assert_eq!(plan.fits(packed, &cost(n), now), fit == Fit::Now);
                prop_assert_eq!(plan.fit(packed, &cost(n), now), fit);
                if fit == Fit::Now {
                    prop_assert_eq!(plan.hold(packed, &cost(n)), Ok(()));
                    ledger.hold(&cost(n), false);
                    held.push(n);
                }
            }
            Step::Spend(n) => {
                let fit = ledger.fit(&cost(n), false);
                prop_assert_eq!(plan.fit(packed, &cost(n), now), fit);
                prop_assert_eq!(plan.spend(packed, &cost(n), now), Ok(fit == Fit::Now));
                if fit == Fit::Now {
                    ledger.hold(&cost(n), false);
                    ledger.date(&cost(n));
                    // What takes more turns out to be no less.
                    left.extend((n < 12).then_some((n, now)));
                }
            }
            Step::Leave(at) if !held.is_empty() => {
                let n = held.swap_remove(at % held.len());
                prop_assert_eq!(plan.date(packed, &cost(n), now), Ok(()));
                ledger.date(&cost(n));
                left.push((n, now));
            }
            Step::Release(at) if !held.is_empty() => {
                let n = held.swap_remove(at % held.len());
                plan.release(packed, &cost(n));
                ledger.release(&cost(n), false);
            }
            Step::Settle(at, used) if !left.is_empty() => {
                let (n, dated) = left.swap_remove(at % left.len());
                let costs = (&cost(n), &cost(used));
                let settled = plan.settle(packed, costs, Settle::TrueUp, dated, now);
                prop_assert_eq!(settled, Ok(()));
                ledger.settle(costs.0, costs.1, dated, Settle::TrueUp);
            }
            Step::Refund(at) if !left.is_empty() => {
                let (n, dated) = left.swap_remove(at % left.len());
                prop_assert_eq!(plan.refund(packed, &cost(n), dated, now), Ok(()));
                ledger.refund(&cost(n), dated);
            }
            Step::Move => {
                let mut moved = limits.ledger(now);
                plan.unpack(packed, &mut moved);
                for n in [1, 11, 40] {
                    prop_assert_eq!(moved.fit(&cost(n), false), ledger.fit(&cost(n), false));
                }
                let back = plan.pack(&moved);
                let all_give_back = (0..few).all(|at| plan.mould(at).gives_back());
                prop_assert!(back.is_some() || !all_give_back);
                accounts = back.unwrap_or(accounts);
            }
            Step::Leave(_) | Step::Release(_) | Step::Settle(..) | Step::Refund(_) => {}
        }
        // Where two words are enough, nothing is lost in them.
        for account in &mut accounts {
            *account = account.small().map_or(*account, |small| small.account());
        }
        ledger.advance(now);
        for (index, meter) in ledger.meters().iter().enumerate() {
            prop_assert_eq!(plan.left(&accounts[..few], index, now), meter.left());
        }
    }
    let idle = plan.is_idle(&accounts[..few], now);
    prop_assert_eq!(
        idle,
        ledger
            .meters()
            .iter()
            .all(|m| m.used() + m.held() == 0 && m.left() == m.largest())
    );
    Ok(())
}

proptest! {
    #[test]
    fn packed_accounts_decide_what_a_ledger_decides(
        limits in limits(false),
        steps in prop::collection::vec(step(true), 1..80),
    ) {
        walk(&limits, &steps)?;
    }

    #[test]
    fn so_they_do_where_something_is_in_transit_and_nothing_is_given_back(
        limits in limits(true),
        steps in prop::collection::vec(step(false), 1..80),
    ) {
        walk(&limits, &steps)?;
    }

    /// What of it was new isn't kept: who goes on with a ledger gives back at most as much.
    #[test]
    fn what_is_given_back_after_a_move_is_never_more(
        limits in limits(true),
        steps in prop::collection::vec(step(false), 1..40),
        (n, used) in (1..12u64, 0..12u64),
    ) {
        let (plan, mut now) = (limits.plan(), Time::from_nanos(5_000_000_000));
        let mut accounts = [Account::default(); LIMITS];
        let packed = &mut accounts[..plan.len()];
        let mut ledger = limits.ledger(now);
        let mut last = None;
        for step in steps {
            match step {
                Step::Pass(nanos) => now = now.after(Duration::from_nanos(nanos)),
                _ => {
                    ledger.hold(&cost(n), false);
                    ledger.date(&cost(n));
                    plan.charge(packed, &cost(n), now).expect("it is charged");
                    last = Some(now);
                }
            }
            ledger.advance(now);
        }
        let Some(dated) = last else { return Ok(()) };
        let costs = (&cost(n), &cost(used.min(n)));
        // The first limit is on requests, of which it stays one.
        if used < n && limits.0.len() > 1 {
            let settled = plan.settle(packed, costs, Settle::TrueUp, dated, now);
            prop_assert_eq!(settled, Err(TakesMore));
        }
        let mut moved = limits.ledger(now);
        plan.unpack(packed, &mut moved);
        moved.settle(costs.0, costs.1, dated, Settle::TrueUp);
        ledger.settle(costs.0, costs.1, dated, Settle::TrueUp);
        for (moved, kept) in moved.meters().iter().zip(ledger.meters()) {
            prop_assert!(moved.left() <= kept.left());
        }
    }

    #[test]
    fn what_is_spent_stays_spent_by_another_plan(
        before in limits(false),
        amount in 1..100_000u64,
        spent in prop::collection::vec(0..12u64, 1..8),
    ) {
        let (plan, now) = (before.plan(), Time::from_nanos(1_000_000_000));
        let mut accounts = [Account::default(); LIMITS];
        let packed = &mut accounts[..plan.len()];
        for n in spent {
            plan.charge(packed, &cost(n), now).expect("it is charged");
        }
        let mut after = before.clone();
        for limit in &mut after.0 {
            (limit.amount, limit.burst) = (amount, None);
        }
        let moved = after.plan().repack(&plan, packed, now).expect("it is packed");
        for (index, limit) in after.0.iter().enumerate() {
            let largest = before.0[index].burst.unwrap_or(before.0[index].amount);
            let used = largest - plan.left(packed, index, now);
            // Overdrawn is more than what was left of it.
            if used < largest {
                let left = limit.amount.saturating_sub(used);
                prop_assert_eq!(after.plan().left(&moved, index, now), left);
            }
        }
    }
}

#[test]
fn amounts_that_three_words_dont_hold_arent_packed() {
    let day = |amount| Limit::tokens(amount, 86_400 * SECOND).bucket();
    assert!(Mould::new(&day(1_000_003), 1_000_003).is_some());
    assert!(Mould::new(&day(1 << 53), 1 << 53).is_none());
    let at_once = day(1 << 53).transit(Duration::ZERO);
    assert!(Mould::new(&at_once, 1 << 53).is_some());
    assert!(
        Mould::new(&Limit::requests_per_minute(5), 5).is_none(),
        "a rolling window"
    );
    let plan = Limits(vec![at_once]).plan();
    let mut accounts = [Account::default()];
    let much = Cost::tokens(u64::from(u32::MAX) + 1);
    assert_eq!(plan.hold(&mut accounts, &much), Err(TakesMore));
    assert_eq!(accounts, [Account::default()]);
}
