//! Which accounts are packed, and what becomes of those that are.

use std::time::Duration;

use super::keyed::{Limits, cost};
use crate::core::{
    cost::{Cost, Resource},
    keyed::{Account, Plan},
    ledger::{Fit, Ledger},
    limit::Limit,
    meter::Mould,
    settlement::Settle,
    time::Time,
};

const SECOND: Duration = Duration::from_secs(1);

/// Five requests and a hundred tokens a minute, at once or so much later.
fn plain(transit: Duration) -> Limits {
    let minute = 60 * SECOND;
    let limits = [Limit::requests(5, minute), Limit::tokens(100, minute)];
    Limits(limits.map(|limit| limit.bucket().transit(transit)).into())
}

#[test]
fn a_ledger_is_packed_whose_accounts_come_to_three_words_and_no_other() {
    let (limits, now) = (plain(Duration::ZERO), Time::from_nanos(5));
    let plan = limits.plan();
    assert_eq!(plan.max_per_request(), 40);
    let lived = || {
        let mut ledger = limits.ledger(now);
        ledger.hold(&cost(9), false);
        ledger.date(&cost(9));
        ledger.hold(&cost(2), false);
        ledger
    };
    let packed = plan.pack(&lived()).expect("three words are enough");
    let left = [0, 1].map(|index| plan.left(&packed[..2], index, now));
    assert_eq!(left, [3, 89]);

    let unpacked = |change: &dyn Fn(&mut Ledger)| {
        let mut ledger = lived();
        change(&mut ledger);
        plan.pack(&ledger).is_none()
    };
    assert!(
        unpacked(&|ledger| ledger.hold(&Cost::none(), true)),
        "in flight"
    );
    let later = now.after(SECOND);
    assert!(unpacked(&|ledger| ledger.pause(None, later)));
    assert!(unpacked(
        &|ledger| ledger.pause(Some(Resource::Tokens), later)
    ));
    assert!(unpacked(&|ledger| ledger.meters_mut()[1].spread(true, now)));
    assert!(unpacked(&|ledger| ledger.meters_mut()[1].brake(now, now)));
    let seen = |ledger: &mut Ledger| drop(ledger.meters_mut()[1].observe(88, now, now).to_string());
    assert!(unpacked(&seen), "others");
    let fewer = Limits(limits.0[..1].to_vec());
    assert!(fewer.plan().pack(&lived()).is_none());
}

#[test]
fn accounts_of_other_limits_are_not_packed() {
    let (limits, now) = (plain(Duration::ZERO), Time::ZERO);
    let plan = limits.plan();
    let packs = |change: &dyn Fn(Limit) -> Limit| {
        let mut other = limits.clone();
        other.0[1] = change(other.0[1].clone());
        plan.pack(&other.ledger(now)).is_some()
    };
    assert!(packs(&|limit| limit));
    assert!(
        !packs(&|limit| Limit {
            amount: 50,
            ..limit
        }
        .burst(100)),
        "rate"
    );
    assert!(!packs(&|limit| limit.burst(50)), "capacity");
    assert!(!packs(&|limit| limit.transit(SECOND)), "transit");
    let hour = Duration::from_secs(3_600);
    let slower = |limit| Limit {
        window: hour,
        ..limit
    };
    assert!(!packs(&slower), "window");
    assert!(!packs(&Limit::rolling));
}

#[test]
fn what_is_new_is_not_packed_until_it_is_old() {
    let limits = plain(SECOND);
    let (plan, mut ledger) = (limits.plan(), limits.ledger(Time::ZERO));
    let packs = |ledger: &mut Ledger, millis| {
        ledger.advance(Time::ZERO.after(Duration::from_millis(millis)));
        plan.pack(ledger).is_some()
    };
    assert!(packs(&mut ledger, 10_000), "nothing is missing");
    ledger.hold(&cost(30), false);
    ledger.date(&cost(30));
    let old = [10_000, 11_999, 12_000, 13_999, 14_001].map(|at| packs(&mut ledger, at));
    assert_eq!(old, [false, false, false, false, true]);
}

#[test]
fn what_is_charged_after_a_move_of_nothing_can_be_given_back() {
    let limits = plain(SECOND);
    let mut ledger = limits.ledger(Time::ZERO);
    limits.plan().unpack(&[Account::default(); 2], &mut ledger);
    ledger.hold(&cost(10), false);
    ledger.date(&cost(10));
    ledger.settle(&cost(10), &cost(1), Time::ZERO, Settle::TrueUp);
    assert_eq!(ledger.meters()[1].left(), 99);
}

#[test]
fn after_a_move_what_was_missing_before_it_is_not_given_back() {
    let limits = plain(SECOND);
    let (plan, mut ledger) = (limits.plan(), limits.ledger(Time::ZERO));
    let mut accounts = [Account::default(); 2];
    plan.charge(&mut accounts, &cost(30), Time::ZERO).unwrap();
    ledger.advance(Time::ZERO.after(6 * SECOND));
    plan.unpack(&accounts, &mut ledger);
    let left = ledger.meters()[1].left();
    ledger.settle(&cost(30), &cost(1), Time::ZERO, Settle::TrueUp);
    assert_eq!((left, ledger.meters()[1].left()), (78, 78));
}

#[test]
fn what_turns_out_to_be_more_is_charged_by_as_much() {
    let plan = plain(SECOND).plan();
    let mut accounts = [Account::default(); 2];
    let now = Time::ZERO;
    plan.charge(&mut accounts, &cost(10), now).unwrap();
    for policy in [Settle::Keep, Settle::TrueUp] {
        let left = plan.left(&accounts, 1, now);
        let costs = (&cost(10), &cost(15));
        plan.settle(&mut accounts, costs, policy, now, now).unwrap();
        assert_eq!(plan.left(&accounts, 1, now), left - 5);
    }
}

#[test]
fn all_that_there_is_can_be_spent_at_once_and_no_more() {
    let plan = plain(Duration::ZERO).plan();
    for (requests, spent) in [(5, true), (6, false)] {
        let mut accounts = [Account::default(); 2];
        let cost = cost(1).requests(requests);
        assert_eq!(plan.spend(&mut accounts, &cost, Time::ZERO), Ok(spent));
        let left = plan.left(&accounts, 0, Time::ZERO);
        assert_eq!(left, if spent { 0 } else { 5 });
    }
}

#[test]
fn what_is_kept_in_coarser_units_is_all_spent_once() {
    // So large, and for so long, that no word holds it to the last part.
    const ALL: u64 = 999_999_999_989;
    let limit = Limit::tokens(ALL, 86_400 * SECOND).bucket();
    let mould = Mould::new(&limit.transit(Duration::ZERO), ALL).unwrap();
    let plan = Plan::new(vec![mould], u64::MAX).unwrap();
    let mut accounts = [Account::default()];
    for (tokens, spent) in [
        (ALL / 2, true),
        (ALL / 2, true),
        (ALL / 2, false),
        (2, false),
    ] {
        let cost = Cost::tokens(tokens);
        assert_eq!(
            plan.spend(&mut accounts, &cost, Time::ZERO),
            Ok(spent),
            "{tokens}"
        );
    }
}

#[test]
fn a_look_at_the_clock_that_comes_late_is_taken_for_the_last_one() {
    let plan = plain(Duration::ZERO).plan();
    let at = |seconds| Time::ZERO.after(seconds * SECOND);
    let spent = |second| {
        let mut accounts = [Account::default(); 2];
        for now in [at(60), second] {
            assert_eq!(plan.spend(&mut accounts, &cost(30), now), Ok(true));
        }
        accounts
    };
    assert_eq!(spent(at(59)), spent(at(60)));
    assert_ne!(spent(at(61)), spent(at(60)), "a second refills some");
}

#[test]
fn accounts_are_idle_once_all_has_refilled() {
    let plan = plain(Duration::ZERO).plan();
    let mut accounts = [Account::default(); 2];
    let at = |seconds| Time::ZERO.after(seconds * SECOND);
    assert!(plan.is_idle(&accounts, at(0)));
    plan.charge(&mut accounts, &cost(10), at(0)).unwrap();
    assert!(!plan.is_idle(&accounts, at(11)));
    assert!(plan.is_idle(&accounts, at(12)), "one of five a minute");
    plan.hold(&mut accounts, &cost(1)).unwrap();
    assert!(!plan.is_idle(&accounts, at(12)));
}

#[test]
fn after_another_rate_nobody_can_tell_how_much_of_a_refund_has_refilled() {
    let of = |tokens| {
        let limit = Limit::tokens(tokens, 60 * SECOND).bucket();
        Limits(vec![limit.transit(Duration::ZERO)]).plan()
    };
    let at = |seconds| Time::ZERO.after(seconds * SECOND);
    let refunded = |tokens, spent, also| {
        let mut accounts = [Account::default()];
        of(600).charge(&mut accounts, &cost(spent), at(1)).unwrap();
        let moved = of(tokens).repack(&of(600), &accounts, at(1)).unwrap();
        let mut moved = [moved[0]];
        of(tokens).charge(&mut moved, &cost(also), at(1)).unwrap();
        let refund = cost(spent + also);
        of(tokens)
            .refund(&mut moved, &refund, at(1), at(1))
            .unwrap();
        of(tokens).left(&moved, 0, at(1))
    };
    assert_eq!(refunded(600, 30, 0), 600, "the same rate");
    assert_eq!(refunded(1_200, 30, 0), 1_170, "another");
    assert_eq!(
        refunded(1_200, 0, 30),
        1_200,
        "another, and nothing was missing"
    );
}

#[test]
fn a_million_million_a_minute_is_exact_to_the_nanosecond() {
    const ALL: u64 = 1_000_000_000_000;
    let limit = Limit::tokens(ALL, 60 * SECOND).bucket();
    let mould = Mould::new(&limit.transit(Duration::ZERO), ALL).unwrap();
    let plan = Plan::new(vec![mould], u64::MAX).unwrap();
    let mut accounts = [Account::default()];
    let fifty = Cost::tokens(50);
    plan.charge(&mut accounts, &fifty, Time::ZERO).unwrap();
    let Fit::At { at, .. } = plan.fit(&accounts, &Cost::tokens(ALL), Time::ZERO) else {
        panic!("it takes a while");
    };
    assert_eq!(at, Time::from_nanos(3));
}
