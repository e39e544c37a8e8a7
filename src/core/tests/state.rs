//! What a ledger says of itself, and whom it tells what.

use std::time::Duration;

use super::{Kind, at, ledger_of, limit, rolling, tokens};
use crate::core::{
    cost::{Cost, Resource},
    ledger::{Blame, Fit, Ledger, Spare},
    limit::Limit,
    meter::Meter,
    pool::{Change, Stamp},
    settlement::Settle,
    time::Time,
};

const SECOND: u64 = 1_000_000_000;

/// A limit on requests and one on tokens, which a store counts.
fn stocked() -> Ledger {
    let minute = Duration::from_secs(60);
    let limits = [Limit::requests(100, minute), Limit::tokens(100, minute)];
    let meter = |limit: &Limit| Meter::stocked(limit, limit.amount, 0, 60, Time::ZERO);
    Ledger::new(limits.iter().map(meter).collect(), usize::MAX, u64::MAX)
}

/// What the store has yet to be told, limit by limit.
fn to_tell(ledger: &mut Ledger) -> Vec<Vec<Change>> {
    let changes = |meter: &mut Meter| {
        let changes = meter.stock_mut().unwrap().take_changes();
        changes.into_iter().map(|(change, _)| change).collect()
    };
    ledger.meters_mut().iter_mut().map(changes).collect()
}

#[test]
fn it_is_idle_where_nothing_is_spent_held_in_flight_paused_or_braked() {
    let idle = || rolling(100, SECOND);
    assert!(idle().is_idle());

    let mut ledger = idle();
    ledger.hold(&tokens(1), false);
    assert!(!ledger.is_idle(), "held");
    ledger.date(&tokens(1));
    assert!(!ledger.is_idle(), "spent");
    ledger.advance(at(2 * SECOND));
    assert!(ledger.is_idle());

    ledger.hold(&Cost::none(), true);
    assert!(!ledger.is_idle(), "in flight");
    let _ = ledger.land();
    assert!(ledger.is_idle());

    for resource in [None, Some(Resource::Tokens)] {
        let mut ledger = idle();
        ledger.pause(resource, at(5));
        assert!(!ledger.is_idle(), "paused");
        ledger.advance(at(4));
        assert!(!ledger.is_idle(), "still paused");
        ledger.advance(at(5));
        assert!(ledger.is_idle(), "{resource:?}");
    }

    let mut ledger = idle();
    ledger.refused(None, &tokens(1), at(0), Some(Duration::ZERO));
    assert!(!ledger.is_idle(), "braked");
}

#[test]
fn places_in_flight_are_counted_and_the_most_of_them_kept() {
    let mut ledger = rolling(100, SECOND);
    (0..3).for_each(|_| ledger.hold(&tokens(1), true));
    assert_eq!((ledger.in_flight(), ledger.peak_in_flight()), (3, 3));
    ledger.release(&tokens(1), true);
    let _ = ledger.land();
    assert_eq!((ledger.in_flight(), ledger.peak_in_flight()), (1, 3));
    // A look at what would be leaves no trace.
    let peak = ledger.peak_in_flight();
    (0..4).for_each(|_| ledger.hold(&Cost::none(), true));
    (0..4).for_each(|_| ledger.never_held(&Cost::none(), true, peak));
    assert_eq!((ledger.in_flight(), ledger.peak_in_flight()), (1, 3));
}

#[test]
fn a_place_that_is_free_again_may_be_somebody_s_turn_only_if_none_was_free() {
    let mut ledger = ledger_of(&[(limit(Kind::Rolling, 100, SECOND, 0), Kind::Rolling)], 2);
    ledger.hold(&Cost::none(), true);
    assert!(!ledger.land());
    (0..2).for_each(|_| ledger.hold(&Cost::none(), true));
    assert!(ledger.land());
    // Of four a half is kept from some: they wait where two are taken.
    let limits = [(limit(Kind::Rolling, 100, SECOND, 0), Kind::Rolling)];
    let mut ledger = ledger_of(&limits, 4).keeping(Spare::millionths(500_000));
    ledger.hold(&Cost::none(), true);
    assert!(!ledger.land());
    (0..2).for_each(|_| ledger.hold(&Cost::none(), true));
    assert!(ledger.land());
}

#[test]
fn one_request_takes_no_more_than_it_may() {
    let meters = rolling(10_000, SECOND).meters().to_vec();
    let ledger = Ledger::new(meters, usize::MAX, 500);
    assert_eq!(ledger.max_per_request(), 500);
    assert_eq!(ledger.fit(&tokens(500), false), Fit::Now);
    assert!(ledger.fits(&tokens(500), false, Spare::NOTHING));
    let never = Fit::Never {
        blame: Blame::PerRequest,
    };
    assert_eq!(ledger.fit(&tokens(501), false), never);
    assert!(!ledger.fits(&tokens(501), false, Spare::NOTHING));
}

#[test]
fn it_is_paused_until_the_last_pause_is_over() {
    let mut ledger = rolling(100, SECOND);
    assert!(!ledger.is_paused());
    ledger.pause(None, at(5));
    ledger.pause(Some(Resource::Tokens), at(9));
    assert_eq!(ledger.paused(), at(5));
    for (now, paused) in [(4, true), (8, true), (9, false)] {
        ledger.advance(at(now));
        assert_eq!(ledger.is_paused(), paused, "{now}");
    }
    ledger.pause(None, at(20));
    ledger.advance(at(19));
    assert!(ledger.is_paused());
    ledger.advance(at(20));
    assert!(!ledger.is_paused());
    ledger.pause(None, at(30));
    ledger.pause(Some(Resource::Tokens), at(30));
    ledger.resume();
    assert!(!ledger.is_paused());
}

#[test]
fn an_answer_that_used_nothing_lets_no_more_go_and_one_that_used_something_does() {
    let unknown = Meter::unknown(Resource::Tokens);
    let mut ledger = Ledger::new(vec![unknown], usize::MAX, u64::MAX).discover();
    let mut answer = |used| ledger.settle(&tokens(10), &tokens(used), at(0), Settle::Keep);
    assert!(!answer(0));
    assert!(answer(1));
    assert_eq!(ledger.room_in_flight(), 2);
}

#[test]
fn who_shares_a_limit_is_told_of_its_pauses_and_of_their_end() {
    let mut ledger = stocked();
    ledger.advance(at(1_000));
    let pause = vec![Change::Pause(3_000)];
    ledger.pause(Some(Resource::Tokens), at(3_001_000));
    assert_eq!(to_tell(&mut ledger), [vec![], pause.clone()]);
    // Of one that nobody counts here, all are.
    ledger.pause(Some(Resource::OutputTokens), at(3_001_000));
    assert_eq!(to_tell(&mut ledger), [pause.clone(), pause.clone()]);
    ledger.pause(None, at(3_001_000));
    assert_eq!(to_tell(&mut ledger), [pause.clone(), pause]);
    ledger.resume();
    let over = vec![Change::Resume];
    assert_eq!(to_tell(&mut ledger), [over.clone(), over]);
}

#[test]
fn what_has_to_stay_free_of_a_limit_that_a_store_counts_stays_free_over_there() {
    let mut ledger = stocked();
    for meter in ledger.meters_mut() {
        let stock = meter.stock_mut().unwrap();
        stock.put_in(10, Time::ZERO, Stamp(1), Time::ZERO);
    }
    let half = Spare::millionths(500_000);
    assert_eq!(ledger.fit_beside(&tokens(10), false, half), Fit::Now);
    // Of one that is counted here, it stays free here.
    let mut spent = rolling(100, SECOND);
    assert_eq!(spent.fit_beside(&tokens(50), false, half), Fit::Now);
    assert!(spent.fits(&tokens(50), false, half));
    spent.hold(&tokens(1), false);
    assert_ne!(spent.fit_beside(&tokens(50), false, half), Fit::Now);
    assert!(!spent.fits(&tokens(50), false, half));
    assert_eq!(spent.fit_beside(&Cost::none(), false, half), Fit::Now);
    assert_eq!(
        spent.fit_beside(&tokens(99), false, Spare::NOTHING),
        Fit::Now
    );
}

#[test]
fn no_share_is_more_than_the_whole() {
    assert_eq!(Spare::NOTHING.in_millionths(), 0);
    assert_eq!(Spare::millionths(250_000).in_millionths(), 250_000);
    assert_eq!(Spare::millionths(2_000_000).in_millionths(), 1_000_000);
}

#[test]
fn a_share_is_kept_beside_what_is_asked_for_of_a_limit_that_is_known() {
    let tenth = Spare::millionths(100_000);
    let limit = Limit::tokens(100, Duration::from_secs(60));
    let known = Meter::stocked(&limit, limit.amount, 0, 60, Time::ZERO);
    let whole = |n| tenth.whole(n, &known);
    assert_eq!((whole(5), whole(95), whole(0)), (15, 100, 0));
    assert_eq!(tenth.whole(5, &Meter::unknown(Resource::Tokens)), 5);
}

#[test]
fn what_fits_into_a_fixed_window_may_not_fit_later_and_into_others_it_does() {
    for (kind, stays) in [
        (Kind::Rolling, true),
        (Kind::Bucket, true),
        (Kind::FirstUse, false),
        (Kind::Aligned(0), false),
    ] {
        let mut ledger = ledger_of(&[(limit(kind, 100, SECOND, 0), kind)], usize::MAX);
        let stays_so = |ledger: &Ledger| {
            let mut ledger = ledger.clone();
            ledger.take_for_good(&tokens(10), false, Spare::NOTHING)
        };
        assert_eq!(stays_so(&ledger), stays, "{kind:?}");
        assert!(ledger.fits(&tokens(10), false, Spare::NOTHING));
        // Which takes nothing of it may go whenever it likes.
        assert!(ledger.take_for_good(&Cost::request(), false, Spare::NOTHING));
        ledger.hold(&tokens(91), false);
        assert!(!stays_so(&ledger), "{kind:?}");
        assert!(!ledger.fits(&tokens(10), false, Spare::NOTHING));
    }
}

#[test]
fn where_nothing_bounds_what_is_in_flight_nothing_of_it_is_kept() {
    let mut ledger = rolling(100, SECOND).keeping(Spare::millionths(1_000_000));
    (0..5).for_each(|_| ledger.hold(&Cost::none(), true));
    let whole = Spare::millionths(1_000_000);
    assert_eq!(ledger.fit_beside(&Cost::none(), true, whole), Fit::Now);
}

#[test]
fn a_turn_comes_no_earlier_than_that_of_the_slowest_limit_that_is_taken_from() {
    let requests = Limit::requests(1, Duration::from_secs(60));
    let limits = [
        (requests.rolling(), Kind::Rolling),
        (limit(Kind::Rolling, 100, SECOND, 0), Kind::Rolling),
    ];
    let mut ledger = ledger_of(&limits, usize::MAX);
    assert_eq!(ledger.advance(at(5)), ledger.now());
    assert_eq!(ledger.now(), at(5));
    ledger.hold(&tokens(100), false);
    ledger.date(&tokens(100));
    let project = |cost: &Cost| ledger.project(cost, |_| 0).nanos();
    assert!(project(&tokens(1)) >= 60 * SECOND);
    // Of the limit on requests it takes nothing, nor waits for it.
    let second = project(&tokens(1).requests(0));
    assert!((SECOND..2 * SECOND).contains(&second));
    assert_eq!(project(&Cost::none()), 5);
    let behind = |ahead| ledger.project(&tokens(1).requests(0), |_| ahead).nanos();
    assert!((2 * SECOND..60 * SECOND).contains(&behind(250)));
}

#[test]
fn a_limit_on_tokens_is_watched_once_it_is_learnt_and_one_on_requests_is_not() {
    for resource in [Resource::Tokens, Resource::Requests] {
        let mut ledger = Ledger::new(vec![Meter::unknown(resource)], usize::MAX, u64::MAX);
        assert_eq!(ledger.date(&tokens(1)).mark, None);
        let id = Limit::new(resource, 100, Duration::from_secs(60)).id();
        assert!(ledger.resize(id, 100));
        let watched = ledger.date(&tokens(1)).mark.is_some();
        assert_eq!(watched, resource == Resource::Tokens);
    }
}

#[test]
fn what_is_taken_at_once_leaves_free_what_has_to_stay_so_and_to_others_what_they_have() {
    let half = Spare::millionths(500_000);
    let mut ledger = rolling(100, SECOND);
    // Looked at closely the first time, and not from then on.
    assert!(ledger.take_for_good(&tokens(45), false, Spare::NOTHING));
    assert!(ledger.take_for_good(&tokens(5), false, Spare::NOTHING));
    assert!(!ledger.take_for_good(&tokens(1), false, half));
    assert!(ledger.take_for_good(&tokens(1), false, Spare::NOTHING));
    assert!(!ledger.take_for_good(&tokens(50), false, Spare::NOTHING));
    assert_eq!(ledger.meters()[0].held(), 51);

    let mut beside = rolling(100, SECOND);
    beside.meters_mut()[0].observe(60, at(0), at(0));
    assert!(beside.take_for_good(&tokens(1), false, Spare::NOTHING));
    assert!(!beside.take_for_good(&tokens(60), false, Spare::NOTHING));
}

#[test]
fn what_is_paused_is_not_taken_at_once_either() {
    let mut ledger = rolling(100, SECOND);
    ledger.pause(Some(Resource::Tokens), at(5));
    ledger.advance(at(4));
    let takes = |ledger: &mut Ledger| ledger.take_for_good(&tokens(1), false, Spare::NOTHING);
    assert!(!takes(&mut ledger));
    ledger.advance(at(5));
    assert!(takes(&mut ledger));
}

#[test]
fn places_in_flight_are_somebody_s_concern_where_they_are_bounded_or_searched() {
    let meters = || rolling(100, SECOND).meters().to_vec();
    let ledger = |most| Ledger::new(meters(), most, u64::MAX);
    assert!(!ledger(usize::MAX).has_places());
    assert!(ledger(usize::MAX - 1).has_places());
    assert!(ledger(usize::MAX).discover().has_places());
}

#[test]
fn those_who_landed_elsewhere_are_counted_once() {
    let mut ledger = rolling(100, SECOND);
    (0..9).for_each(|_| ledger.hold(&Cost::none(), true));
    let in_flight = [2, 2, 5, 99].map(|in_all| {
        ledger.landed(in_all);
        ledger.in_flight()
    });
    assert_eq!(in_flight, [7, 7, 4, 0]);
}
