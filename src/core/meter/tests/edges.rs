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
fn beside_others_no_burst_is_clean() {
    for kind in [Kind::Rolling, Kind::Aligned(0), Kind::FirstUse] {
        let mut meter = meter(kind, 512, MINUTE, 0);
        meter.charge(10, at(0));
        meter.brake(at(0), at(0));
        assert_eq!(meter.braked(), Some(256));
        let mut alone = meter.clone();
        assert!(alone.ease(at(MINUTE), at(MINUTE)), "{kind:?}");
        meter.observe(300, at(0), at(0));
        assert!(!meter.ease(at(MINUTE), at(MINUTE)), "{kind:?}");
    }
}

#[test]
fn a_brake_halves_once_for_what_left_together_and_eases_until_it_is_off() {
    let mut meter = meter(Kind::Rolling, 1_024, MINUTE, 0);
    meter.brake(at(5), at(10));
    assert_eq!(meter.braked(), Some(512));
    meter.brake(at(9), at(11));
    meter.brake(at(10), at(11));
    assert_eq!(meter.braked(), Some(512), "it left before that");
    meter.brake(at(11), at(12));
    assert_eq!(meter.braked(), Some(256));
    (0..20).for_each(|n| meter.brake(at(20 + n), at(20 + n)));
    assert_eq!(meter.braked(), Some(4), "a part of it at least");
    let mut bursts = Vec::new();
    let mut now = 100;
    while let Some(burst) = meter.braked() {
        bursts.push(burst);
        now += MINUTE;
        assert!(!meter.ease(at(now - MINUTE), at(now)), "too early");
        assert!(meter.ease(at(now + MINUTE), at(now + MINUTE)));
        now += MINUTE;
    }
    assert_eq!(bursts[..8], [4, 5, 6, 7, 8, 10, 12, 15]);
    assert!(bursts.last().is_some_and(|last| last * 5 / 4 >= 1_024));
    assert!(!meter.ease(at(now), at(now)));
}

#[test]
fn a_brake_paces_at_the_rate_of_a_limit_that_was_resized() {
    let mut meter = meter(Kind::Rolling, 600, MINUTE, 0);
    meter.brake(at(0), at(0));
    meter.resize(60, 60, at(0));
    meter.charge(300, at(0));
    // Of three hundred at once none is left, and one comes every second.
    let Some(brake) = &meter.brake else { panic!() };
    assert_eq!(brake.pace.earliest(1, 0, at(0)), at(SECOND));
}

#[test]
fn a_burst_smaller_than_the_amount_is_the_most_of_a_bucket_that_is_kept_rolling() {
    let bucket = |burst| {
        meter_of(
            &limit(Kind::Bucket, 100, MINUTE, 0).burst(burst),
            Kind::Bucket,
        )
    };
    let mut small = bucket(10);
    assert_eq!(small.largest(), 10);
    small.brake(at(0), at(0));
    assert!(small.shared.is_rolling());
    assert_eq!(small.largest(), 10);
    let mut whole = bucket(100);
    whole.brake(at(0), at(0));
    assert_eq!(whole.largest(), 100);
    let mut large = bucket(300);
    large.brake(at(0), at(0));
    assert!(
        !large.shared.is_rolling(),
        "it may grant what no window would"
    );
    assert_eq!(large.largest(), 300);
    // Of a rolling limit a burst is a pace: whoever wants more waits for it.
    let paced = meter_of(
        &limit(Kind::Rolling, 100, MINUTE, 0).burst(10),
        Kind::Rolling,
    );
    assert_eq!(paced.largest(), 100);
}

#[test]
fn a_last_quarter_that_is_spread_goes_little_by_little() {
    let mut meter = meter(Kind::Rolling, 6_400, MINUTE, 0);
    assert!(!meter.is_paced());
    meter.spread(false, at(0));
    assert!(meter.spread.is_none());
    meter.spread(true, at(0));
    assert!(meter.is_paced());
    // Three quarters at once, and a sixteenth of the last one.
    meter.charge(4_800, at(0));
    assert!(meter.fits(100, at(0)));
    meter.charge(100, at(0));
    assert!(!meter.fits(1, at(0)), "the next comes as a quarter refills");
    assert_eq!(meter.earliest(1, at(0), at(0)), at(MINUTE / 1_600));
    // Once it is on it stays as it is.
    meter.spread(true, at(0));
    assert!(!meter.fits(1, at(0)));
    let mut smaller = meter.clone();
    smaller.resize(16, 16, at(0));
    assert_eq!(smaller.spread.as_ref().map(Bucket::capacity), Some(1));
    smaller.resize(12_800, 12_800, at(0));
    assert_eq!(smaller.spread.as_ref().map(Bucket::capacity), Some(200));
    meter.spread(false, at(0));
    assert!(meter.fits(1_500, at(0)) && !meter.is_paced());
    let store = Meter::stocked(&Limit::tokens_per_minute(100), 100, 0, 60, at(0));
    let mut stocked = store;
    stocked.spread(true, at(0));
    assert!(!stocked.is_paced(), "the store's order decides");
}

#[test]
fn only_what_is_beyond_three_quarters_is_charged_to_the_last() {
    let mut meter = meter(Kind::Rolling, 6_400, MINUTE, 0);
    meter.spread(true, at(0));
    meter.charge(4_800, at(0));
    let missing = |meter: &Meter| meter.spread.as_ref().map(Bucket::used);
    assert_eq!(missing(&meter), Some(0));
    meter.charge(30, at(0));
    assert_eq!(missing(&meter), Some(30));
    let mut other = super::meter(Kind::Rolling, 6_400, MINUTE, 0);
    other.spread(true, at(0));
    other.charge(4_850, at(0));
    assert_eq!(missing(&other), Some(50));
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
