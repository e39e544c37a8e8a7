//! What answers teach, late and odd ones included.

use std::time::Duration;

use super::{Kind, at, ledger_of, limit, rolling, tokens};
use crate::core::{
    cost::Resource,
    ledger::{Fit, Ledger, Stated},
    limit::{Limit, LimitId},
    meter::Meter,
    settlement::{Departure, Settle},
};

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;

fn left(nanos: u64) -> Departure {
    Departure {
        at: at(nanos),
        mark: None,
    }
}

fn bucket(amount: u64, burst: Option<u64>) -> Ledger {
    let mut limit = limit(Kind::Bucket, amount, MINUTE, 0);
    limit.burst = burst;
    ledger_of(&[(limit, Kind::Bucket)], usize::MAX)
}

fn unknown() -> Ledger {
    Ledger::new(vec![Meter::unknown(Resource::Tokens)], usize::MAX, u64::MAX).discover()
}

fn states(limit: u64, window: Option<Duration>) -> Stated {
    Stated {
        limit: Some(limit),
        remaining: None,
        window,
    }
}

/// Takes `n` one by one, each if it fits.
fn taken(ledger: &mut Ledger, n: u64) -> u64 {
    let mut taken = 0;
    while taken < n && ledger.fit(&tokens(1), false) == Fit::Now {
        ledger.hold(&tokens(1), false);
        ledger.date(&tokens(1));
        taken += 1;
    }
    taken
}

fn leave(ledger: &mut Ledger, n: u64) -> u64 {
    ledger.hold(&tokens(n), false);
    ledger.date(&tokens(n)).at.nanos()
}

#[test]
fn a_refusal_that_took_longer_than_a_window_leaves_a_bucket_as_empty_as_it_was() {
    let mut ledger = bucket(60, None);
    let slow = leave(&mut ledger, 1);
    ledger.advance(at(65 * SECOND));
    leave(&mut ledger, 60);
    ledger.advance(at(66 * SECOND));
    ledger.refused(
        Some(Resource::Tokens),
        &tokens(1),
        at(slow),
        Some(Duration::ZERO),
    );
    ledger.advance(at(67 * SECOND));
    assert!(taken(&mut ledger, 60) <= 2);
}

#[test]
fn a_refusal_gives_no_further_burst() {
    let mut ledger = bucket(600, Some(10));
    ledger.advance(at(MINUTE));
    assert_eq!(taken(&mut ledger, 600), 10);
    ledger.refused(
        Some(Resource::Tokens),
        &tokens(1),
        at(MINUTE),
        Some(Duration::ZERO),
    );
    ledger.advance(at(MINUTE + SECOND / 10));
    assert!(taken(&mut ledger, 600) <= 1);
}

#[test]
fn after_a_refusal_a_full_bucket_of_a_small_burst_is_not_taken_for_an_empty_one() {
    let mut ledger = bucket(600, Some(10));
    ledger.advance(at(MINUTE));
    let sent = leave(&mut ledger, 1);
    ledger.refused(
        Some(Resource::Tokens),
        &tokens(1),
        at(sent),
        Some(Duration::ZERO),
    );
    let now = 2 * MINUTE;
    ledger.advance(at(now));
    let stated = Stated {
        remaining: Some(10),
        ..Stated::default()
    };
    ledger.observe(Resource::Tokens, stated, left(now));
    assert!(ledger.meters()[0].used() <= 1);
}

#[test]
fn refusals_narrow_the_bursts_of_the_shortest_window_alone() {
    let minute = limit(Kind::Rolling, 500, MINUTE, 0);
    let day = limit(Kind::Rolling, 10_000, 1_440 * MINUTE, 0);
    let mut ledger = ledger_of(&[(day, Kind::Rolling), (minute, Kind::Rolling)], usize::MAX);
    for hour in 1..=8 {
        let now = hour * 60 * MINUTE;
        ledger.advance(at(now));
        leave(&mut ledger, 1);
        ledger.refused(None, &tokens(1), at(now), Some(Duration::ZERO));
    }
    // Clean for an hour: a minute's worth leaves in a minute again.
    for minute in 9 * 60..10 * 60 {
        ledger.advance(at(minute * MINUTE));
        ledger.admitted(at(minute * MINUTE));
    }
    ledger.advance(at(10 * 60 * MINUTE));
    assert!(taken(&mut ledger, 500) > 250);
}

#[test]
fn an_answer_that_states_what_was_known_ends_the_search_too() {
    let mut ledger = rolling(500, MINUTE).discover();
    assert_eq!(ledger.room_in_flight(), 1);
    let turn = ledger.adopt(
        Resource::Tokens,
        states(500, None),
        |n| n,
        &tokens(1),
        left(0),
    );
    assert!(turn);
    assert_eq!(ledger.room_in_flight(), usize::MAX);
}

#[test]
fn a_limit_that_is_set_before_it_was_learnt_holds() {
    let mut ledger = unknown();
    let id = LimitId {
        amount: 5,
        ..Limit::tokens_per_minute(5).id()
    };
    assert!(ledger.resize(id, 5));
    assert_eq!(taken(&mut ledger, 100), 5);
    assert_eq!(ledger.room_in_flight(), usize::MAX);
}

#[test]
fn absurd_limits_are_not_learnt() {
    for (amount, window) in [
        (10, Duration::MAX),
        (10, Duration::from_secs(1_000 * 86_400)),
        (10, Duration::ZERO),
        (10, Duration::from_nanos(1)),
    ] {
        let mut ledger = unknown();
        let stated = states(amount, Some(window));
        ledger.adopt(Resource::Tokens, stated, |n| n, &tokens(1), left(0));
        assert!(!ledger.meters()[0].is_known(), "{window:?}");
    }
    let mut ledger = unknown();
    ledger.adopt(
        Resource::Tokens,
        states(u64::MAX, None),
        |n| n,
        &tokens(1),
        left(0),
    );
    assert!(ledger.meters()[0].is_known());
    let now = 3 * MINUTE;
    ledger.advance(at(now));
    for remaining in [0, 1, u64::MAX] {
        let stated = Stated {
            limit: Some(u64::MAX),
            remaining: Some(remaining),
            window: None,
        };
        ledger.adopt(Resource::Tokens, stated, |n| n, &tokens(1), left(now));
        ledger.observe(Resource::Tokens, stated, left(now));
        ledger.advance(at(now + 1));
        let _ = ledger.fit(&tokens(1 << 40), false);
        ledger.refused(None, &tokens(1), at(now), Some(Duration::MAX));
        ledger.resume();
    }
}

#[test]
fn what_left_before_the_limit_was_known_takes_nothing_of_what_was_charged_to_it() {
    let mut ledger = unknown();
    let (first, second) = (leave(&mut ledger, 100), leave(&mut ledger, 100));
    ledger.advance(at(SECOND));
    ledger.adopt(
        Resource::Tokens,
        states(1_000, None),
        |n| n,
        &tokens(100),
        left(first),
    );
    ledger.settle(&tokens(100), &tokens(10), at(second), Settle::TrueUp);
    ledger.refund(&tokens(100), at(second));
    assert_eq!(ledger.meters()[0].used(), 100);
}

#[test]
fn a_bucket_that_is_one_again_may_make_a_turn_come() {
    let mut ledger = bucket(60, None);
    leave(&mut ledger, 1);
    ledger.refused(
        Some(Resource::Tokens),
        &tokens(1),
        at(0),
        Some(Duration::ZERO),
    );
    let now = 10 * MINUTE;
    ledger.advance(at(now));
    leave(&mut ledger, 60);
    let stated = Stated {
        remaining: Some(0),
        ..Stated::default()
    };
    assert_eq!(
        ledger.fit(&tokens(1), false),
        ledger.fit(&tokens(60), false)
    );
    assert!(ledger.observe(Resource::Tokens, stated, left(now)));
    assert_ne!(
        ledger.fit(&tokens(1), false),
        ledger.fit(&tokens(60), false)
    );
}

/// What is told of a limit, and so is planned with: half of it.
fn adopts(ledger: &mut Ledger, stated: Stated, sent: u64) -> bool {
    ledger.adopt(Resource::Tokens, stated, |n| n / 2, &tokens(1), left(sent))
}

#[test]
fn a_known_limit_becomes_what_is_stated_where_that_is_another() {
    let mut ledger = rolling(500, MINUTE);
    ledger.advance(at(SECOND));
    assert!(!adopts(&mut ledger, states(500, None), 0), "as it was");
    assert_eq!(ledger.meters()[0].id().amount, 500);
    assert!(adopts(&mut ledger, states(400, None), 0));
    let meter = &ledger.meters()[0];
    assert_eq!((meter.stated(), meter.id().amount), (400, 200));
    // An answer to what left before that says nothing of it.
    assert!(!adopts(&mut ledger, states(300, None), 0));
    assert!(adopts(&mut ledger, states(300, None), SECOND));
    // One that the request itself exceeded, and one of nothing, can't be meant.
    for limit in [0, 9] {
        let cost = tokens(10);
        let sent = left(SECOND);
        assert!(!ledger.adopt(Resource::Tokens, states(limit, None), |n| n, &cost, sent));
    }
    assert_eq!(ledger.meters()[0].stated(), 300);
}

#[test]
fn a_window_of_a_month_is_learnt_and_one_of_two_years_is_not() {
    let day = Duration::from_secs(86_400);
    for (days, learnt) in [(30, true), (366, true), (367, false), (730, false)] {
        let mut ledger = unknown();
        assert_eq!(adopts(&mut ledger, states(10, Some(days * day)), 0), learnt);
        assert_eq!(ledger.meters()[0].is_known(), learnt, "{days}");
    }
}

#[test]
fn what_a_request_was_charged_before_its_limit_was_known_counts_once_it_is() {
    let mut ledger = unknown();
    leave(&mut ledger, 100);
    let stated = states(1_000, None);
    assert!(ledger.adopt(Resource::Tokens, stated, |n| n, &tokens(100), left(0)));
    assert_eq!(ledger.meters()[0].used(), 100);
}

#[test]
fn a_limit_is_found_by_its_window_or_by_being_the_only_one() {
    let minute = limit(Kind::Rolling, 100, MINUTE, 0);
    let hour = limit(Kind::Rolling, 5_000, 60 * MINUTE, 0);
    let day = limit(Kind::Rolling, 9_000, 1_440 * MINUTE, 0);
    let ledger = || {
        let of = |limit: &Limit| (limit.clone(), Kind::Rolling);
        ledger_of(&[of(&hour), of(&minute), of(&day)], usize::MAX)
    };
    let stated =
        |ledger: &Ledger| -> Vec<u64> { ledger.meters().iter().map(Meter::stated).collect() };
    // Without a window it is about a minute.
    for (window, then) in [
        (None, [5_000, 70, 9_000]),
        (Some(minute.window), [5_000, 70, 9_000]),
        (Some(day.window), [5_000, 100, 70]),
        (Some(Duration::from_secs(7)), [5_000, 100, 9_000]),
    ] {
        let mut ledger = ledger();
        adopts(&mut ledger, states(70, window), 0);
        assert_eq!(stated(&ledger), then, "adopted by {window:?}");
        let mut ledger = self::ledger_of(
            &[
                (hour.clone(), Kind::Rolling),
                (minute.clone(), Kind::Rolling),
                (day.clone(), Kind::Rolling),
            ],
            usize::MAX,
        );
        let bound = ledger.bound(
            Resource::Tokens,
            states(70, window),
            |n| n,
            &tokens(1),
            left(0),
        );
        assert_eq!(stated(&ledger), then, "bound by {window:?}");
        assert_eq!(bound.is_some(), then != [5_000, 100, 9_000]);
    }
    // The only one there is.
    let mut ledger = ledger_of(&[(hour.clone(), Kind::Rolling)], usize::MAX);
    assert!(adopts(&mut ledger, states(70, None), 0));
    assert!(!adopts(&mut ledger, states(60, Some(minute.window)), 0));
    // None of that resource.
    let of = |resource| {
        let mut ledger = rolling(500, MINUTE);
        ledger.adopt(resource, states(70, None), |n| n, &tokens(1), left(0))
    };
    assert!(of(Resource::Tokens) && !of(Resource::Requests));
}

#[test]
fn a_stated_limit_bounds_what_is_planned_with_and_no_more_than_was_given() {
    let mut ledger = rolling(500, MINUTE);
    let id = ledger.meters()[0].id();
    ledger.advance(at(SECOND));
    let mut states = |limit, sent| {
        let stated = states(limit, None);
        ledger.bound(Resource::Tokens, stated, |n| n / 2, &tokens(1), left(sent))
    };
    assert_eq!(states(500, 0), None, "what it was given as");
    assert_eq!(states(900, 0), None, "more than that");
    let bound = |amount| LimitId { amount, ..id };
    assert_eq!(states(400, 0), Some((bound(200), true)));
    assert_eq!(states(300, 0), None, "left before");
    assert_eq!(states(300, SECOND), Some((bound(150), false)));
    assert_eq!(states(900, SECOND), Some((bound(250), false)));
    let meter = &ledger.meters()[0];
    assert_eq!((meter.stated(), meter.given()), (500, 500));
}

#[test]
fn what_was_given_tells_which_limit_a_figure_bounds() {
    let limits = [
        (
            limit(Kind::Rolling, 9_000, 1_440 * MINUTE, 0),
            Kind::Rolling,
        ),
        (limit(Kind::Rolling, 100, MINUTE, 0), Kind::Rolling),
    ];
    let mut ledger = ledger_of(&limits, usize::MAX);
    let stated = states(9_000, None);
    assert_eq!(
        ledger.bound(Resource::Tokens, stated, |n| n, &tokens(1), left(0)),
        None
    );
    let stated = states(90, None);
    assert!(
        ledger
            .bound(Resource::Tokens, stated, |n| n, &tokens(1), left(0))
            .is_some()
    );
    let stated: Vec<_> = ledger.meters().iter().map(Meter::stated).collect();
    assert_eq!(stated, [9_000, 90]);
}

#[test]
fn a_refusal_brakes_only_what_it_took_and_an_answer_a_window_later_eases_it() {
    let mut ledger = rolling(512, MINUTE);
    let zero = Some(Duration::ZERO);
    ledger.refused(None, &crate::core::cost::Cost::request(), at(0), zero);
    ledger.refused(Some(Resource::Requests), &tokens(1), at(0), zero);
    assert_eq!(ledger.meters()[0].braked(), None);
    ledger.refused(Some(Resource::Tokens), &tokens(1), at(0), zero);
    assert_eq!(ledger.meters()[0].braked(), Some(256));
    ledger.resume();
    ledger.advance(at(2 * MINUTE));
    assert!(!ledger.admitted(at(MINUTE - 1)));
    assert!(ledger.admitted(at(MINUTE)), "more may go at once");
    assert_eq!(ledger.meters()[0].braked(), Some(320));
}

#[test]
fn a_refusal_without_a_hint_pauses_what_it_names_for_a_cool_down() {
    let mut ledger = rolling(512, MINUTE).cool_down(Duration::from_secs(8));
    ledger.advance(at(SECOND));
    ledger.refused(Some(Resource::Tokens), &tokens(1), at(SECOND), None);
    assert_eq!(ledger.meters()[0].paused(), at(9 * SECOND));
    // What left before that pause was over says nothing new.
    ledger.advance(at(2 * SECOND));
    ledger.refused(Some(Resource::Tokens), &tokens(1), at(2 * SECOND), None);
    assert_eq!(ledger.meters()[0].paused(), at(9 * SECOND));
    let hint = Some(Duration::from_secs(30));
    ledger.refused(Some(Resource::Tokens), &tokens(1), at(2 * SECOND), hint);
    assert_eq!(ledger.meters()[0].paused(), at(32 * SECOND));
}

#[test]
fn a_limit_is_told_by_amount_then_by_window_then_as_the_only_one() {
    let minute = Duration::from_secs(60);
    let limits = [
        (limit(Kind::Rolling, 100, MINUTE, 0), Kind::Rolling),
        (
            limit(Kind::Rolling, 9_000, 1_440 * MINUTE, 0),
            Kind::Rolling,
        ),
    ];
    let amount = |limits: &[(Limit, Kind)], limit, window| {
        let stated = Stated {
            limit,
            remaining: None,
            window,
        };
        let id = ledger_of(limits, usize::MAX).limit_of(Resource::Tokens, stated);
        id.map(|id| id.amount)
    };
    assert_eq!(amount(&limits, Some(9_000), Some(minute)), Some(9_000));
    assert_eq!(amount(&limits, Some(7), Some(minute)), Some(100));
    assert_eq!(amount(&limits, Some(7), None), None);
    assert_eq!(amount(&limits[..1], Some(7), None), Some(100));
    assert_eq!(amount(&limits[..1], None, None), Some(100));
    assert_eq!(amount(&limits[..1], Some(7), Some(2 * minute)), None);
    let other = Stated::default();
    assert_eq!(rolling(5, MINUTE).limit_of(Resource::Requests, other), None);
}
