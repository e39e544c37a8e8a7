//! What is gone on from, and what makes no sense.

use std::sync::Arc;

use super::{Kind, at, ledger_of, limit, rolling, tokens};
use crate::core::{
    cost::Resource,
    ledger::{Ledger, SavedLedger},
    meter::{Meter, tests::Every},
    time::Time,
};

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const YEAR: u64 = 366 * 86_400 * SECOND;

/// As saved, with one of its figures changed.
fn with(saved: &SavedLedger, path: &[&str], figure: u64) -> SavedLedger {
    let mut json = serde_json::to_value(saved).unwrap();
    let mut at = &mut json;
    for step in path {
        at = match step.parse::<usize>() {
            Ok(index) => &mut at[index],
            Err(_) => &mut at[step],
        };
    }
    *at = figure.into();
    serde_json::from_value(json).unwrap()
}

fn spent(window: u64) -> Ledger {
    let mut ledger = rolling(100, window);
    ledger.hold(&tokens(30), false);
    ledger.date(&tokens(30));
    ledger
}

fn goes_on(new: &mut Ledger, saved: &SavedLedger, adopts: bool) -> bool {
    new.restore(saved, Time::ZERO, adopts, |n| n / 2).is_ok()
}

#[test]
fn an_instant_is_believed_up_to_a_century_from_now() {
    let saved = spent(MINUTE).save();
    assert_eq!(with(&saved, &["now"], 7).then(), at(7));
    for (now, believed) in [(1 << 61, true), ((1 << 61) + 1, false)] {
        let saved = with(&saved, &["now"], now);
        assert_eq!(goes_on(&mut rolling(100, MINUTE), &saved, false), believed);
    }
}

#[test]
fn a_limit_is_believed_whose_window_and_amount_can_be_one() {
    for (window, believed) in [
        (999_999, false),
        (1_000_000, true),
        (YEAR, true),
        (YEAR + 1, false),
    ] {
        let saved = rolling(100, MINUTE).save();
        let saved = with(&saved, &["limits", "0", "window"], window);
        let mut new = rolling(100, window);
        assert_eq!(goes_on(&mut new, &saved, false), believed, "{window}");
    }
    for (stated, believed) in [
        (0, false),
        (1, true),
        (1 << 53, true),
        ((1 << 53) + 1, false),
    ] {
        let saved = with(&spent(MINUTE).save(), &["limits", "0", "stated"], stated);
        let mut new = rolling(100, MINUTE);
        assert_eq!(goes_on(&mut new, &saved, false), believed, "{stated}");
    }
    // And charges that can be counted.
    for (n, believed) in [(1 << 54, true), ((1 << 54) + 1, false)] {
        let path = ["limits", "0", "account", "rolling", "spent", "0", "1"];
        let saved = with(&spent(MINUTE).save(), &path, n);
        assert_eq!(goes_on(&mut rolling(100, MINUTE), &saved, false), believed);
    }
}

#[test]
fn what_was_learnt_of_a_limit_counts_only_for_whoever_adopts() {
    let saved = with(&spent(MINUTE).save(), &["limits", "0", "stated"], 80);
    for (adopts, stated, amount) in [(false, 100, 100), (true, 80, 40)] {
        let mut new = rolling(100, MINUTE);
        assert!(goes_on(&mut new, &saved, adopts));
        let meter = &new.meters()[0];
        assert_eq!((meter.stated(), meter.id().amount), (stated, amount));
        assert_eq!(meter.used(), 30);
    }
    // What it is anyway isn't planned with anew.
    let mut new = rolling(100, MINUTE);
    assert!(goes_on(&mut new, &spent(MINUTE).save(), true));
    assert_eq!(new.meters()[0].id().amount, 100);
}

#[test]
fn a_limit_that_nobody_knew_is_learnt_from_what_was_saved_by_whoever_adopts() {
    let unknown = |resource| Ledger::new(vec![Meter::unknown(resource)], usize::MAX, u64::MAX);
    let saved = spent(MINUTE).save();
    for (resource, adopts, known) in [
        (Resource::Tokens, true, true),
        (Resource::Tokens, false, false),
        (Resource::Requests, true, false),
    ] {
        let mut new = unknown(resource);
        assert_eq!(goes_on(&mut new, &saved, adopts), known);
        assert_eq!(new.meters()[0].is_known(), known);
        if known {
            let meter = &new.meters()[0];
            assert_eq!(
                (meter.stated(), meter.id().amount, meter.used()),
                (100, 50, 30)
            );
        }
    }
    // A known one of another window isn't it.
    assert!(!goes_on(&mut rolling(100, 2 * MINUTE), &saved, true));
}

#[test]
fn a_fixed_window_ends_when_the_saved_one_did_or_somewhat_later() {
    let aligned = |phase| {
        let kind = Kind::Aligned(phase);
        ledger_of(&[(limit(kind, 100, MINUTE, 0), kind)], usize::MAX)
    };
    let mut old = aligned(20 * SECOND);
    old.hold(&tokens(30), false);
    old.date(&tokens(30));
    let saved = old.save();
    let ends = |phase, now| {
        let limit = limit(Kind::Aligned(phase), 100, MINUTE, 0);
        let every = Arc::new(Every(MINUTE, phase));
        let meter = Meter::new(&limit, 100, Some(every), now);
        let mut new = Ledger::new(vec![meter], usize::MAX, u64::MAX);
        assert!(new.restore(&saved, now, false, |n| n).is_ok());
        let meter = &new.meters()[0];
        (meter.boundary().unwrap().nanos() / SECOND, meter.used())
    };
    assert_eq!(ends(20 * SECOND, Time::ZERO), (20, 30));
    assert_eq!(
        ends(21 * SECOND, Time::ZERO),
        (21, 30),
        "of another calendar"
    );
    assert_eq!(
        ends(50 * SECOND, Time::ZERO),
        (50, 30),
        "half a window later"
    );
    assert_eq!(ends(51 * SECOND, Time::ZERO), (20, 30), "clocks have moved");
    assert_eq!(ends(19 * SECOND, Time::ZERO), (20, 30), "earlier");
    assert_eq!(ends(21 * SECOND, at(20 * SECOND)), (21, 0), "over");
}

#[test]
fn a_bucket_goes_on_with_what_is_new_in_it() {
    let kind = Kind::Bucket;
    let limits = [(limit(kind, 100, MINUTE, SECOND), kind)];
    let mut old = ledger_of(&limits, usize::MAX);
    for second in [5, 6, 8] {
        old.advance(at(second * SECOND));
        old.hold(&tokens(10), false);
        old.date(&tokens(10));
    }
    let now = at(8 * SECOND + SECOND / 4);
    old.advance(now);
    let mut new = ledger_of(&limits, usize::MAX);
    assert!(new.restore(&old.save(), now, false, |n| n).is_ok());
    // What is in transit can't be given back, nor more than what was new.
    for (n, dated) in [(4, 8), (8, 6), (9, 5)] {
        for ledger in [&mut old, &mut new] {
            for meter in ledger.meters_mut() {
                meter.give_back(n, at(dated * SECOND));
            }
        }
        assert_eq!(old.meters()[0].left(), new.meters()[0].left(), "{n}");
    }
    for second in [9, 10, 11, 12] {
        let fits = [&mut old, &mut new].map(|ledger| {
            ledger.advance(at(second * SECOND));
            ledger.fit(&tokens(100), false)
        });
        assert_eq!(fits[0], fits[1]);
    }
}

/// A bucket of a hundred a minute and a second's transit, in which that was spent, and one that goes on from it then.
fn buckets(spent: &[(u64, u64)], now: u64) -> [Meter; 2] {
    let kind = Kind::Bucket;
    let limits = [(limit(kind, 100, MINUTE, SECOND), kind)];
    let [mut old, mut new] = [(); 2].map(|()| ledger_of(&limits, usize::MAX));
    for (millis, n) in spent {
        old.advance(at(millis * 1_000_000));
        old.hold(&tokens(*n), false);
        old.date(&tokens(*n));
    }
    old.advance(at(now * 1_000_000));
    let saved = old.save();
    assert!(new.restore(&saved, saved.then(), false, |n| n).is_ok());
    [old, new].map(|ledger| ledger.meters()[0].clone())
}

#[test]
fn what_was_missing_before_the_last_charges_is_gone_on_from() {
    let [old, new] = buckets(&[(5_000, 1), (6_000, 10)], 6_000);
    assert_eq!((old.left(), new.left()), (89, 89));
}

#[test]
fn how_old_what_is_new_was_is_gone_on_from() {
    let spent = [(1_000, 5), (2_000, 1), (3_000, 20), (4_500, 1)];
    let [mut old, mut new] = buckets(&spent, 4_500);
    for meter in [&mut old, &mut new] {
        meter.give_back(5, at(SECOND));
        meter.give_back(9, at(3 * SECOND));
    }
    assert_eq!(old.left(), new.left());
    assert_eq!(format!("{old:?}"), format!("{new:?}"));
}

#[test]
fn a_bucket_that_was_kept_rolling_stays_so() {
    let kind = Kind::Bucket;
    let limits = [(limit(kind, 100, MINUTE, 0), kind)];
    let [mut old, mut new] = [(); 2].map(|()| ledger_of(&limits, usize::MAX));
    for meter in old.meters_mut() {
        meter.charge(30, at(0));
        meter.brake(at(0), at(0));
    }
    let saved = old.save();
    assert!(new.restore(&saved, saved.then(), false, |n| n).is_ok());
    // A bucket would have refilled half of it.
    new.advance(at(MINUTE / 4));
    assert_eq!(new.meters()[0].left(), 70);
}
