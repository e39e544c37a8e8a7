//! One account of each shape, law by law.

use std::{sync::Arc, time::Duration};

use super::{Every, Kind, at, limit, meter, meter_of};
use crate::core::{
    limit::Limit,
    meter::{Boundaries, Meter, bucket::Bucket, fixed::Fixed, rolling::Rolling},
    time::Time,
};

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;

const KINDS: [Kind; 4] = [
    Kind::Rolling,
    Kind::Bucket,
    Kind::Aligned(0),
    Kind::FirstUse,
];

/// A calendar that goes no further.
struct Stuck;

impl Boundaries for Stuck {
    fn after(&self, t: Time) -> Time {
        t
    }
}

#[test]
fn a_boundary_that_does_not_come_after_is_a_window_later() {
    let boundaries: Arc<dyn Boundaries> = Arc::new(Stuck);
    assert_eq!(
        boundaries.look_ahead(at(7)),
        Time::MAX,
        "nothing to find out"
    );
    let fixed = Fixed::new(10, MINUTE, 0, Some(boundaries), at(7));
    assert_eq!(fixed.end(), Some(at(MINUTE + 7)));
}

#[test]
fn a_fixed_window_says_where_it_ends_and_who_knows() {
    let aligned = meter(Kind::Aligned(5), 10, MINUTE, 0);
    assert_eq!(aligned.boundary(), Some(at(5)));
    assert!(aligned.boundaries().is_some());
    let mut first_use = meter(Kind::FirstUse, 10, MINUTE, SECOND);
    assert_eq!(first_use.boundary(), None);
    assert!(first_use.boundaries().is_none());
    first_use.charge(1, at(7));
    assert_eq!(first_use.boundary(), Some(at(7 + MINUTE + SECOND)));
    for kind in [Kind::Rolling, Kind::Bucket] {
        let meter = meter(kind, 10, MINUTE, 0);
        assert!(meter.boundary().is_none() && meter.boundaries().is_none());
    }
}

#[test]
fn a_window_whose_end_is_too_uncertain_is_waited_out() {
    // What left a second before its end may have opened the next window, or else what came after: up to four times the
    // allowance are waited for.
    for (opener, fits) in [(63 * SECOND, true), (63 * SECOND + 1, false)] {
        let mut fixed = Fixed::new(10, MINUTE, SECOND, None, at(0));
        for now in [0, 59 * SECOND, opener] {
            fixed.advance(at(now));
            fixed.charge(1, at(now));
        }
        let end = opener + SECOND + MINUTE;
        let before = 119 * SECOND - 1;
        fixed.advance(at(before));
        assert!(fixed.fits(1, 0, at(before)), "it surely is in this window");
        assert_eq!(fixed.fits(1, 0, at(before + 1)), fits, "{opener}");
        assert_eq!(fixed.end(), Some(at(end)));
        fixed.advance(at(end));
        assert!(fixed.fits(1, 0, at(end)));
    }
}

#[test]
fn what_waits_before_a_fixed_window_fills_one_after_the_other() {
    let mut meter = meter(Kind::Aligned(0), 10, MINUTE, 0);
    meter.advance(at(1));
    meter.charge(4, at(1));
    let project = |ahead, n| meter.project(ahead, n, at(1)).nanos();
    assert_eq!([project(0, 6), project(5, 1)], [1, 1]);
    assert_eq!([project(0, 7), project(15, 1)], [MINUTE, MINUTE]);
    assert_eq!([project(16, 1), project(25, 1)], [2 * MINUTE; 2]);
    assert_eq!(project(26, 1), 3 * MINUTE);
}

#[test]
fn what_waits_before_a_rolling_window_fills_one_after_the_other() {
    let mut meter = meter(Kind::Rolling, 10, MINUTE, 0);
    meter.charge(4, at(0));
    let project = |ahead, n| meter.project(ahead, n, at(0)).nanos();
    assert_eq!(project(5, 1), 0);
    assert_eq!(project(6, 1), MINUTE);
    assert_eq!(project(10, 1), MINUTE, "a window for ten of them");
    assert_eq!(project(20, 1), 2 * MINUTE);
    meter.pause(at(5 * MINUTE));
    assert_eq!(meter.project(5, 1, at(0)).nanos(), 5 * MINUTE);
}

#[test]
fn what_waits_before_a_bucket_comes_at_its_rate_and_a_pause_is_waited_for() {
    let mut meter = meter(Kind::Bucket, 60, MINUTE, 0);
    meter.charge(60, at(0));
    assert_eq!(meter.project(4, 1, at(0)), at(5 * SECOND));
    let mut paced = meter_of(&limit(Kind::Rolling, 60, MINUTE, 0).burst(2), Kind::Rolling);
    assert_eq!(paced.project(1, 1, at(0)), at(0));
    assert_eq!(paced.project(9, 1, at(0)), at(8 * SECOND));
    paced.pause(at(MINUTE));
    assert_eq!(paced.project(9, 1, at(0)), at(MINUTE));
}

#[test]
fn what_the_provider_refused_it_has_not_counted() {
    for kind in [Kind::Rolling, Kind::Aligned(0), Kind::FirstUse] {
        for (refused, left) in [(0, 80), (10, 79)] {
            let mut meter = meter(kind, 100, MINUTE, 0);
            for now in [SECOND, 2 * SECOND] {
                meter.advance(at(now));
                meter.charge(10, at(now));
            }
            // Of the first it has counted nothing: ten of those that it tells of are somebody else's, and one more by now.
            meter.refused(refused, at(SECOND));
            meter.observe(100 - 20, at(2 * SECOND), at(2 * SECOND));
            let expected = if refused == 0 { left } else { 69 };
            let others = meter.left();
            match kind {
                // It keeps what was refused, beside them.
                Kind::Rolling => assert_eq!(others, expected, "{kind:?}"),
                _ => assert_eq!(others, left, "{kind:?}"),
            }
        }
    }
}

#[test]
fn a_refusal_of_what_left_in_another_window_says_nothing_of_this() {
    for kind in [Kind::Rolling, Kind::Aligned(0), Kind::FirstUse] {
        let mut meter = meter(kind, 100, MINUTE, 0);
        meter.charge(10, at(0));
        meter.advance(at(2 * MINUTE));
        meter.charge(10, at(2 * MINUTE));
        let before = format!("{:?}", meter.account);
        meter.refused(10, at(0));
        meter.refused(10, at(MINUTE));
        assert_eq!(before, format!("{:?}", meter.account), "{kind:?}");
    }
}

#[test]
fn a_coarse_window_is_cut_into_sixty_four_and_keeps_no_memory_once_it_is_empty() {
    let window = 64 * SECOND;
    let mut rolling = Rolling::coarse(100, window, 0);
    rolling.charge(1, at(SECOND / 2));
    assert_eq!(rolling.earliest(100, 0, at(0), at(0)), at(65 * SECOND));
    rolling.charge(1, at(SECOND));
    assert_eq!(rolling.entries().0, 1, "of one step");
    assert!(rolling.entries().1 > 0);
    rolling.advance(at(64 * SECOND));
    assert!(rolling.entries().1 > 0);
    rolling.advance(at(65 * SECOND));
    assert_eq!(rolling.entries(), (0, 0));
    assert!(rolling.fits(100, 0));
    // One that isn't coarse keeps what was made for it.
    let mut fine = Rolling::new(100, window, 0);
    fine.charge(1, at(0));
    fine.advance(at(99 * SECOND));
    assert!(fine.entries().1 > 0);
}

#[test]
fn what_is_learnt_keeps_what_is_held_and_paused() {
    let mut meter = Meter::unknown(crate::core::cost::Resource::Tokens);
    meter.hold(7);
    meter.pause(at(9));
    meter.learn(&Limit::tokens_per_minute(100), 90, at(3));
    assert_eq!((meter.held(), meter.paused(), meter.left()), (7, at(9), 83));
    assert_eq!(meter.transit(), 937_500_000, "a sixty-fourth of a minute");
    // What left at that very instant was charged to it.
    meter.charge(5, at(3));
    meter.refund(5, at(3), at(3));
    assert_eq!(meter.used(), 0);
    meter.charge(5, at(3));
    meter.refund(5, at(2), at(3));
    assert_eq!(meter.used(), 5);
}

#[test]
fn what_is_charged_or_dated_of_nothing_leaves_no_trace() {
    for kind in KINDS {
        let mut meter = meter(kind, 100, MINUTE, SECOND);
        let before = format!("{meter:?}");
        meter.hold(0);
        meter.date(0, at(0));
        meter.charge(0, at(0));
        meter.refund(0, at(0), at(0));
        assert_eq!(before, format!("{meter:?}"), "{kind:?}");
    }
}

#[test]
fn a_bucket_that_others_take_from_is_kept_rolling_once_a_sixteenth_was_seen() {
    let bucket = || meter(Kind::Bucket, 160, MINUTE, 0);
    let others = |meter: &mut Meter, missing: u64, now: u64| {
        meter.advance(at(now));
        meter.observe(160 - missing, at(now), at(now));
        (meter.shared.is_rolling(), meter.shared.is_alone())
    };
    let mut few = bucket();
    assert!(few.shared.is_alone());
    assert_eq!(others(&mut few, 0, 0), (false, true));
    assert_eq!(others(&mut few, 10, 0), (false, false));
    assert_eq!(
        others(&mut few.clone(), 0, 2 * MINUTE),
        (false, false),
        "until more is"
    );
    assert_eq!(others(&mut few, 11, 0), (true, false), "one more");
    // What was seen longer ago than a window isn't added to; what was seen in it is.
    let begin = 10 * MINUTE;
    for (later, rolling) in [(MINUTE, true), (MINUTE + 1, false)] {
        let mut meter = bucket();
        assert_eq!(others(&mut meter, 8, begin), (false, false));
        assert_eq!(others(&mut meter, 8, begin + later).0, rolling, "{later}");
    }
}

#[test]
fn it_is_a_bucket_again_after_more_than_three_windows_in_which_nobody_else_was_seen() {
    let mut meter = meter(Kind::Bucket, 160, MINUTE, 0);
    meter.observe(0, at(0), at(0));
    assert!(meter.shared.is_rolling());
    let mut seen = meter.clone();
    for (now, again) in [(3 * MINUTE, false), (4 * MINUTE, true)] {
        meter.advance(at(now));
        assert_eq!(meter.observe(160, at(now), at(now)), again, "{now}");
        assert_eq!(meter.shared.is_rolling(), !again);
    }
    seen.advance(at(4 * MINUTE));
    assert!(!seen.observe(60, at(4 * MINUTE), at(4 * MINUTE)));
    assert!(seen.shared.is_rolling(), "others are there");
}

#[test]
fn how_long_a_limit_takes_to_be_counted_is_told() {
    assert_eq!(meter(Kind::Rolling, 10, MINUTE, 7).transit(), 7);
    let month = Limit::tokens(1, Duration::from_secs(30 * 86_400));
    assert_eq!(meter_of(&month, Kind::Rolling).transit(), SECOND);
    let every: &dyn Boundaries = &Every(10, 3);
    assert_eq!(every.look_ahead(at(0)), Time::MAX);
}

#[test]
fn what_was_charged_four_allowances_ago_is_not_new_any_more() {
    let bucket = || {
        let mut bucket = Bucket::new(100, MINUTE, 100, SECOND, at(0));
        bucket.charge(10);
        bucket
    };
    for (now, used) in [(4 * SECOND - 1, 6), (4 * SECOND, 0)] {
        let mut bucket = bucket();
        bucket.advance(at(now));
        bucket.give_back(5, at(0));
        assert_eq!(bucket.used(), used, "{now}");
    }
}

#[test]
fn a_charge_that_comes_as_the_last_has_got_there_is_one_more() {
    let mut bucket = Bucket::new(60, MINUTE, 60, 2 * SECOND, at(0));
    bucket.charge(1);
    bucket.advance(at(SECOND));
    bucket.charge(1);
    assert_eq!(bucket.used(), 2);
}

#[test]
fn only_after_another_rate_nobody_can_tell_what_a_refund_is_worth() {
    for (rate, used) in [(60, 0), (120, 10)] {
        let mut bucket = Bucket::new(60, MINUTE, 60, 0, at(0));
        bucket.charge(10);
        bucket.resize(rate, 60);
        bucket.refund(10, at(0));
        assert_eq!(bucket.used(), used, "{rate}");
    }
}

#[test]
fn another_amount_counts_at_once_for_every_shape() {
    for kind in KINDS {
        let mut meter = meter(kind, 10, MINUTE, 0);
        meter.charge(4, at(0));
        meter.resize(20, 18, at(0));
        assert!(meter.fits(14, at(0)) && !meter.fits(15, at(0)), "{kind:?}");
        assert_eq!((meter.stated(), meter.given()), (20, 20));
    }
}

/// A window that began with fifty missing, as an answer to what left a second after zero had told.
fn began() -> Rolling {
    let mut rolling = Rolling::new(100, 64 * SECOND, 0);
    rolling.begin(50, at(SECOND), at(5 * SECOND));
    rolling
}

#[test]
fn what_left_since_a_window_began_may_know_of_what_was_missing_then() {
    for (dated, others) in [(0, 0), (SECOND, 45), (2 * SECOND, 45)] {
        let mut rolling = began();
        rolling.observe(90, at(dated), at(6 * SECOND));
        assert_eq!(rolling.used(), 50 + others, "{dated}");
    }
    // As long as it is there, and nothing else is compared with.
    let begun = |also: u64| {
        let mut rolling = began();
        rolling.charge(10, at(6 * SECOND));
        rolling.give_back(50, at(also));
        rolling.observe(90, at(2 * SECOND), at(7 * SECOND));
        rolling.used()
    };
    assert_eq!(begun(6 * SECOND), 95);
    assert_eq!(begun(5 * SECOND), 10);
}

#[test]
fn what_was_given_back_is_not_ours_over_there() {
    let mut rolling = Rolling::new(100, MINUTE, 0);
    rolling.charge(10, at(0));
    rolling.give_back(4, at(0));
    rolling.observe(20, at(0), at(0));
    assert_eq!(rolling.used(), 6 + 14 + 2, "and two more by now");
}

#[test]
fn a_limit_that_a_store_counts_is_handed_to_it_in_microseconds() {
    let limit = Limit::tokens(100, Duration::from_secs(60)).burst(7);
    let meter = Meter::stocked(&limit, 90, 1_500, 60, at(0));
    let given = meter.stock().unwrap().limit();
    let spans = (given.window, given.step, given.transit);
    assert_eq!(spans, (60_000_000, 1_000_000, 2));
    assert_eq!((given.amount, given.burst, given.ends), (90, 7, [0; 2]));
    assert_eq!((meter.id().amount, meter.stated()), (90, 100));
}

#[test]
fn what_refills_before_anything_held_leaves_is_waited_for_and_no_longer() {
    let mut bucket = Bucket::new(100, MINUTE, 100, SECOND, at(0));
    bucket.charge(1);
    bucket.advance(at(SECOND));
    // One is missing, however late what is held gets there.
    let hint = bucket.earliest(90, 10, at(SECOND)).nanos();
    assert_eq!(hint, SECOND + MINUTE / 100);
}
