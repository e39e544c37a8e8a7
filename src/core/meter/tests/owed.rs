//! What is used beyond a limit is owed, but not for ever.

use super::{Kind, at, limit, meter, meter_of, stock::stock};
use crate::core::{
    meter::Stock,
    pool::{Change, PoolLimit, PoolShape},
};

const MINUTE: u64 = 60_000_000_000;
const SECOND: u64 = MINUTE / 60;

#[test]
fn a_bucket_owes_no_more_than_64_windows_and_all_of_less() {
    for (used, wait) in [
        (60, 1),
        (61, 2),
        (60 * 65, 60 * 64 + 1),
        (60 * 65 + 1, 60 * 64 + 1),
        (u64::MAX, 60 * 64 + 1),
    ] {
        let mut meter = meter(Kind::Bucket, 60, MINUTE, 0);
        meter.charge(used, at(0));
        assert_eq!(meter.earliest(1, at(0), at(0)), at(wait * SECOND), "{used}");
        // More that is used adds nothing where that is reached, and takes nothing away.
        meter.charge(1, at(0));
        let more = (wait + 1).min(60 * 64 + 1);
        assert_eq!(meter.earliest(1, at(0), at(0)), at(more * SECOND), "{used}");
    }
    // What is owed since the amount was larger stays.
    let mut meter = meter(Kind::Bucket, 6_000, MINUTE, 0);
    meter.charge(6_000, at(0));
    meter.resize(60, 60, at(0));
    meter.charge(1, at(0));
    assert_eq!(meter.earliest(1, at(0), at(0)), at(5_941 * SECOND));
}

#[test]
fn a_pace_owes_no_more_than_a_window_and_all_of_less() {
    let burst = limit(Kind::Rolling, 600, MINUTE, 0).burst(60);
    for (used, wait) in [
        (90, 31),
        (600, 541),
        (660, 601),
        (10_000, 601),
        (u64::MAX, 601),
    ] {
        let mut meter = meter_of(&burst, Kind::Rolling);
        meter.charge(used / 10, at(0));
        meter.charge(used - used / 10, at(0));
        let Some(pace) = &meter.pace else { panic!() };
        let wait = wait * SECOND / 10;
        assert_eq!(pace.earliest(1, 0, at(0)), at(wait), "{used}");
        let again = MINUTE + MINUTE / 512;
        assert!(
            meter.earliest(1, at(0), at(0)) <= at(wait.max(again)),
            "{used}"
        );
    }
}

#[test]
fn a_brake_and_a_last_quarter_owe_no_more_than_a_window() {
    let mut meter = meter(Kind::Rolling, 600, MINUTE, 0);
    meter.brake(at(0), at(0));
    meter.spread(true, at(0));
    meter.charge(u64::MAX, at(0));
    let Some(brake) = &meter.brake else { panic!() };
    assert_eq!(brake.pace.earliest(1, 0, at(0)), at(601 * SECOND / 10));
    let Some(spread) = &meter.spread else {
        panic!()
    };
    assert_eq!(spread.earliest(1, 0, at(0)), at(604 * SECOND / 10));
}

#[test]
fn what_is_owed_goes_on_after_a_restart_with_what_left_since() {
    let mut before = meter(Kind::Bucket, 60, MINUTE, 0);
    before.hold(30);
    before.charge(u64::MAX, at(0));
    before.date(30, at(0));
    assert_eq!(before.used(), 60 * 65 + 30);
    let saved = before.save(at(0)).expect("it is known");
    let mut after = meter(Kind::Bucket, 60, MINUTE, 0);
    after.restore(&saved, at(0), at(0)).expect("it makes sense");
    assert_eq!(after.used(), before.used());
    // Of a larger amount that was changed meanwhile no more is believed than twice that.
    let mut less = meter(Kind::Bucket, 6, MINUTE, 0);
    less.restore(&saved, at(0), at(0)).expect("it makes sense");
    assert_eq!(less.used(), 6 * 129);
}

#[test]
fn a_store_is_told_of_no_more_than_is_ever_owed() {
    let told = |shape, burst, n| {
        let mut stock = Stock::new(PoolLimit {
            shape,
            burst,
            ..*stock().limit()
        });
        stock.charge(n);
        stock.take_changes()[..].to_vec()
    };
    let late = |n| vec![(Change::Late, n)];
    for (shape, burst, most) in [
        (PoolShape::Bucket, 0, 6_500),
        (PoolShape::Bucket, 30, 6_430),
        (PoolShape::Rolling, 0, 6_500),
        (PoolShape::Rolling, 30, 6_500),
    ] {
        for n in [1, most] {
            assert_eq!(told(shape, burst, n), late(n));
        }
        for n in [most + 1, 1 << 53] {
            assert_eq!(told(shape, burst, n), late(most));
        }
    }
}
