//! Which limit a stated figure is about, and what becomes of it.

use std::time::Duration;

use super::{Kind, at, ledger_of, limit, rolling, tokens};
use crate::core::{
    cost::Resource,
    ledger::{Ledger, Stated},
    limit::{Limit, LimitId},
    meter::Meter,
};

use super::learn::{MINUTE, SECOND, leave, left, states, unknown};

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
    let request = crate::core::cost::Cost::request();
    let nothing = states(0, None);
    assert!(!ledger.adopt(Resource::Tokens, nothing, |n| n, &request, left(SECOND)));
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
        let mut ledger = ledger_of(
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
