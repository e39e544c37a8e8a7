//! What an account says of dates, one by one.

use super::{super::roll::ahead, *};

fn paced(shape: PoolShape) -> PoolLimit {
    PoolLimit {
        transit: 0,
        burst: 10,
        ..limit(shape, 60, 60 * SECOND)
    }
}

#[test]
fn two_seconds_are_reserved_ahead_or_a_quarter_of_the_shortest_window() {
    let of = |window| limit(PoolShape::Rolling, 10, window);
    assert_eq!(ahead(&[]), 0);
    assert_eq!(ahead(&[of(60 * SECOND), of(8 * SECOND)]), 2 * SECOND);
    assert_eq!(ahead(&[of(60 * SECOND), of(4 * SECOND)]), SECOND);
}

#[test]
fn what_left_is_over_once_it_surely_counts_no_more() {
    let bucket = limit(PoolShape::Bucket, 60, 60 * SECOND);
    let dim = Dim::default();
    let end = EPOCH + bucket.window + bucket.transit;
    assert!(!dim.is_over(&bucket, EPOCH, end - 1) && dim.is_over(&bucket, EPOCH, end));
    let rolling = paced(PoolShape::Rolling);
    let mut dim = Dim::default();
    dim.advance(&rolling, EPOCH + 60 * SECOND);
    assert!(dim.is_over(&rolling, EPOCH, EPOCH) && !dim.is_over(&rolling, EPOCH + 1, EPOCH));
    // Rounded up to a step, it counts until a window later.
    let counts = |later| dim.counts(&rolling, EPOCH, later);
    assert!(counts(EPOCH + 60 * SECOND - 1) && !counts(EPOCH + 60 * SECOND));
}

#[test]
fn all_that_is_free_of_a_bucket_is_what_it_holds_and_what_comes_until_then() {
    let bucket = paced(PoolShape::Bucket);
    let mut dim = Dim::default();
    dim.charge(&bucket, 4, EPOCH);
    assert_eq!(
        dim.takes_all(&bucket, EPOCH, EPOCH + 5 * SECOND + SECOND / 2),
        11
    );
    assert_eq!(dim.earliest(&bucket, 1, 0, EPOCH), EPOCH + 6 * SECOND);
    assert_eq!(dim.takes_all(&bucket, EPOCH, EPOCH), 0);
}

#[test]
fn what_is_replayed_is_paced_in_order_or_each_by_itself() {
    let limit = paced(PoolShape::Rolling);
    // All that may go at once goes once what was replayed has been made up for.
    let full = |replays: &[(u64, u64)], in_order| {
        let mut dim = Dim::default();
        for (n, ago) in replays {
            dim.replay(&limit, *n, EPOCH - ago, EPOCH, in_order);
        }
        dim.earliest(&limit, 10, 0, EPOCH) - EPOCH
    };
    assert_eq!(full(&[(3, 0)], true), 3 * SECOND);
    assert_eq!(full(&[(3, 0)], false), 3 * SECOND);
    assert_eq!(full(&[(3, SECOND), (2, 0)], true), 4 * SECOND);
    assert_eq!(full(&[(3, SECOND), (1, 0)], false), 2 * SECOND);
}

#[test]
fn what_was_reserved_past_the_end_of_a_window_counts_in_this_one_and_in_the_next() {
    let limit = PoolLimit {
        transit: 0,
        ends: [EPOCH + 10 * SECOND, EPOCH + 70 * SECOND],
        ..limit(PoolShape::Fixed, 100, 60 * SECOND)
    };
    let (mut dim, next) = (Dim::default(), EPOCH + 12 * SECOND);
    dim.charge(&limit, 50, EPOCH);
    dim.recall(&limit, 30, next, EPOCH);
    assert_eq!(dim.used(&limit, EPOCH), 80);
    assert_eq!(dim.used(&limit, next), 30);
}

#[test]
fn what_was_reserved_past_the_end_of_a_window_that_opens_with_its_use_opens_the_next() {
    let limit = PoolLimit {
        transit: 0,
        ..limit(PoolShape::Fixed, 100, 60 * SECOND)
    };
    let (mut dim, next) = (Dim::default(), EPOCH + 61 * SECOND);
    dim.charge(&limit, 50, EPOCH);
    dim.recall(&limit, 30, next, EPOCH);
    assert_eq!(dim.used(&limit, next), 30);
    assert_eq!(dim.earliest(&limit, 71, 0, next), next + 60 * SECOND);
}
