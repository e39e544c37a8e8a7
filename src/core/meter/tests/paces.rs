//! What bounds how much goes at once: bursts, brakes and a last quarter that is spread.

use super::{Kind, at, limit, meter, meter_of};
use crate::core::{
    limit::Limit,
    meter::{Meter, bucket::Bucket},
};

const MINUTE: u64 = 60_000_000_000;
const SECOND: u64 = MINUTE / 60;

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
    assert!(!meter.is_spread());
    meter.spread(true, at(0));
    assert!(meter.is_paced() && meter.is_spread());
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
