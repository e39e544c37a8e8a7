//! Buckets as others have them, without transit: steps of x/time/rate, Envoy, throttled and resilience4j.

use super::{Kind, at, meter_of};
use crate::core::{limit::Limit, meter::Meter};

const MS: u64 = 1_000_000;

/// A bucket of this many a second that holds `burst`.
fn bucket(per_second: f64, burst: u64) -> Meter {
    // Whole numbers: so many in a thousand seconds.
    let window = std::time::Duration::from_secs(1_000);
    let limit = Limit::tokens((per_second * 1_000.0) as u64, window)
        .bucket()
        .burst(burst)
        .transit(std::time::Duration::ZERO);
    meter_of(&limit, Kind::Bucket)
}

/// `(at in ms, n, whether it is granted)`
fn replay(name: &str, mut meter: Meter, steps: &[(u64, u64, bool)]) {
    for (step, (ms, n, granted)) in steps.iter().enumerate() {
        let now = at(ms * MS);
        meter.advance(now);
        let fits = *n <= meter.largest() && (*n == 0 || meter.fits(*n, now));
        assert_eq!(fits, *granted, "{name}, step {step}: {n} at {ms} ms");
        if fits {
            meter.charge(*n, now);
        }
    }
}

#[test]
fn buckets_grant_and_refuse_as_those_of_others() {
    replay(
        "x/time/rate TestLimiterBurst1",
        bucket(10.0, 1),
        &[
            (0, 1, true),
            (0, 1, false),
            (0, 1, false),
            (100, 1, true),
            (100, 1, false),
            (200, 2, false),
            (200, 1, true),
            (200, 1, false),
        ],
    );
    replay(
        "x/time/rate TestLimiterBurst3",
        bucket(10.0, 3),
        &[
            (0, 2, true),
            (0, 2, false),
            (0, 1, true),
            (0, 1, false),
            (100, 4, false),
            (200, 1, true),
            (300, 1, true),
            (400, 1, true),
            (400, 1, true),
            (400, 1, false),
            (900, 3, true),
            (900, 0, true),
        ],
    );
    replay(
        "Envoy TokenBucketImplTest.Consume",
        bucket(1.0, 10),
        &[
            (0, 20, false),
            (0, 9, true),
            (0, 1, true),
            (999, 1, false),
            (5_999, 6, false),
            (6_000, 6, true),
            (6_000, 1, false),
        ],
    );
    replay(
        "Envoy TokenBucketImplTest.Refill",
        bucket(0.5, 1),
        &[
            (0, 1, true),
            (500, 1, false),
            (1_500, 1, false),
            (2_000, 1, true),
        ],
    );
}

#[test]
fn debt_is_repaid_at_the_rate_before_anybody_is_admitted() {
    let mut meter = bucket(1_000.0, 10_000);
    meter.charge(10_000, at(0));
    meter.charge(5_000, at(0));
    assert_eq!(meter.earliest(1, at(0), at(0)), at(5_001 * MS));
    meter.advance(at(4_999 * MS));
    assert!(!meter.fits(1, at(4_999 * MS)));
}

#[test]
fn a_provider_that_has_nothing_left_drains_the_bucket_and_it_refills_at_the_rate() {
    let mut meter = bucket(10.0, 100);
    meter.charge(5, at(0));
    assert_eq!(meter.left(), 95);
    // What we plan with is all there is.
    for _ in 0..2 {
        meter.observe(0, at(0), at(0));
    }
    assert_eq!(meter.left(), 0);
    meter.advance(at(1_000 * MS));
    assert_eq!(meter.left(), 10);
}

#[test]
fn a_charge_that_is_taken_back_before_it_left_is_free_at_once() {
    let mut meter = bucket(10.0, 2);
    meter.charge(2, at(0));
    assert_eq!(meter.earliest(2, at(0), at(0)), at(200 * MS));
    meter.refund(2, at(0), at(0));
    assert!(meter.fits(2, at(0)));
}
