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

pub(super) const SECOND: u64 = 1_000_000_000;
pub(super) const MINUTE: u64 = 60 * SECOND;

pub(super) fn left(nanos: u64) -> Departure {
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

pub(super) fn unknown() -> Ledger {
    Ledger::new(vec![Meter::unknown(Resource::Tokens)], usize::MAX, u64::MAX).discover()
}

pub(super) fn states(limit: u64, window: Option<Duration>) -> Stated {
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

pub(super) fn leave(ledger: &mut Ledger, n: u64) -> u64 {
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
