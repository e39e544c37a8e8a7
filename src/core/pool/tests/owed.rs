//! What is used beyond a limit is owed, but not for ever.

use super::*;

/// How many seconds later one more may leave, where so much was used beyond what had been asked for.
fn after(limit: PoolLimit, change: Change, used: &[u64]) -> f64 {
    let (mut pool, mut seq) = (None, 0);
    for n in used {
        seq += 1;
        let adjust = Adjust {
            change,
            cost: vec![*n],
        };
        let call = Call {
            adjusts: vec![adjust],
            asks: Vec::new(),
            ..ask(seq, 0, 0)
        };
        Pool::call(&mut pool, EPOCH, &[limit], &call);
    }
    let ask = ask(seq + 1, 1, 10_000 * SECOND);
    let at = granted(&Pool::call(&mut pool, EPOCH, &[limit], &ask));
    (at.expect("within hours") - EPOCH) as f64 / 1e6
}

fn minutely(shape: PoolShape, amount: u64, burst: u64) -> PoolLimit {
    PoolLimit {
        burst,
        transit: 0,
        ..limit(shape, amount, 60 * SECOND)
    }
}

#[test]
fn a_bucket_of_a_pool_owes_no_more_than_64_windows_and_all_of_less() {
    let bucket = minutely(PoolShape::Bucket, 60, 0);
    let most = 60.0 * 64.0 + 1.0;
    for (used, wait) in [
        (&[60][..], 1.0),
        (&[61], 2.0),
        (&[60 * 65], most),
        (&[60 * 65 + 1], most),
        (&[u64::MAX], most),
        (&[u64::MAX, u64::MAX, 1], most),
    ] {
        for change in [Change::Late, Change::Sent(0)] {
            assert_eq!(after(bucket, change, used), wait, "{used:?}");
        }
    }
    assert_eq!(after(bucket, Change::Outside, &[u64::MAX]), most);
    // One that holds more than a window's worth owes as long beyond that.
    let deep = minutely(PoolShape::Bucket, 60, 600);
    assert_eq!(after(deep, Change::Late, &[u64::MAX, u64::MAX]), most);
}

#[test]
fn a_pace_of_a_pool_owes_no_more_than_a_window_and_all_of_less() {
    let rolling = minutely(PoolShape::Rolling, 600, 60);
    for (used, wait) in [
        (&[90][..], 3.1),
        (&[330, 330], 60.1),
        (&[661], 60.1),
        (&[u64::MAX, u64::MAX], 60.1),
    ] {
        for change in [Change::Late, Change::Sent(0)] {
            assert_eq!(after(rolling, change, used), wait, "{used:?}");
        }
    }
}

#[test]
fn a_window_forgets_whatever_was_used_in_it() {
    for limit in [
        minutely(PoolShape::Rolling, 60, 0),
        minutely(PoolShape::Fixed, 60, 0),
        minutely(PoolShape::Rolling, 1 << 53, 0),
    ] {
        for change in [Change::Late, Change::Outside, Change::Sent(0)] {
            let waits = after(limit, change, &[u64::MAX; 9]);
            assert!((60.0..=61.0).contains(&waits), "{change:?}: {waits}");
        }
    }
}
