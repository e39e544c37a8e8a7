//! A pool beside a list of what was granted.

use proptest::prelude::*;

use super::*;

mod accounts;
mod corners;
mod dims;
mod owed;

const SECOND: u64 = 1_000_000;
const EPOCH: u64 = 1_000_000 * SECOND;

pub(super) fn limit(shape: PoolShape, amount: u64, window: u64) -> PoolLimit {
    PoolLimit {
        shape,
        amount,
        window,
        transit: window / 64,
        step: window / 60,
        burst: 0,
        ends: [0; 2],
    }
}

fn ask(seq: u64, cost: u64, horizon: u64) -> Call {
    Call {
        process: 1,
        seq,
        fresh: 7,
        asks: vec![Ask {
            cost: vec![cost],
            horizon,
            beside: 0,
        }],
        ..Call::default()
    }
}

fn granted(reply: &Reply) -> Option<u64> {
    match reply.decisions[0] {
        Decision::Granted { send_in, at } => {
            assert_eq!(at.0, reply.now.0 + send_in);
            Some(at.0)
        }
        _ => None,
    }
}

/// What may arrive in any window, each charge as early or as late as it can.
fn most_in_a_window(charges: &[(u64, u64)], limit: &PoolLimit) -> u64 {
    let mut most = 0;
    for (begin, _) in charges {
        // The first arrives as late as it may, the last at once.
        let begin = begin + limit.transit;
        let inside = charges
            .iter()
            .filter(|(at, _)| at + limit.transit >= begin && *at < begin + limit.window);
        most = most.max(inside.map(|(_, n)| n).sum());
    }
    most
}

proptest! {
    #[test]
    fn a_rolling_pool_lets_no_more_through_than_its_limit_and_its_hints_are_exact(
        steps in prop::collection::vec((0..3 * SECOND, 1..30u64, 0..3 * SECOND), 1..80),
    ) {
        let limit = limit(PoolShape::Rolling, 40, 6 * SECOND);
        let (mut pool, mut now, mut charges, mut seq) = (None, EPOCH, Vec::new(), 0);
        for (later, cost, horizon) in steps {
            now += later;
            seq += 1;
            let reply = Pool::call(&mut pool, now, &[limit], &ask(seq, cost, horizon));
            if let Some(at) = granted(&reply) {
                prop_assert!(charges.last().is_none_or(|(last, _)| at >= *last), "first come, first served");
                charges.push((at, cost));
            } else if let Decision::Wait { at_least, .. } = reply.decisions[0] {
                let (mut early, mut then) = (pool.clone(), pool.clone());
                let early = Pool::call(&mut early, now + at_least - 1, &[limit], &ask(seq + 1, cost, 0));
                prop_assert_eq!(granted(&early), None, "a microsecond early");
                let then = Pool::call(&mut then, now + at_least, &[limit], &ask(seq + 1, cost, 0));
                prop_assert_eq!(granted(&then), Some(now + at_least));
            }
        }
        prop_assert!(most_in_a_window(&charges, &limit) <= limit.amount);
    }

    #[test]
    fn what_is_given_back_can_be_granted_again_and_no_more(
        steps in prop::collection::vec((0..2 * SECOND, 1..30u64, any::<bool>()), 1..80),
    ) {
        for shape in [PoolShape::Rolling, PoolShape::Bucket, PoolShape::Fixed] {
            let limit = limit(shape, 40, 6 * SECOND);
            let (mut pool, mut now, mut seq) = (None, EPOCH, 0);
            for (later, cost, unsent) in &steps {
                now += later;
                seq += 1;
                let before = Pool::call(&mut pool, now, &[limit], &ask(seq, 0, 0)).used[0];
                seq += 1;
                let reply = Pool::call(&mut pool, now, &[limit], &ask(seq, *cost, 0));
                let Some(at) = granted(&reply) else { continue };
                seq += 1;
                let change = if *unsent { Change::Unsent(Stamp(at)) } else { Change::Back(Stamp(at)) };
                let back = Call { adjusts: vec![Adjust { change, cost: vec![*cost] }], ..ask(seq, 0, 0) };
                let after = Pool::call(&mut pool, now, &[limit], &back).used[0];
                let slack = if shape == PoolShape::Bucket { 2 } else { 0 };
                prop_assert!(after >= before && after <= before + slack, "{shape:?}: {before} {after}");
            }
        }
    }
}

#[test]
fn a_bucket_holds_its_burst_and_refills_evenly() {
    let limit = PoolLimit {
        burst: 4,
        transit: 0,
        ..limit(PoolShape::Bucket, 60, 60 * SECOND)
    };
    let mut pool = None;
    for seq in 1..=8 {
        let reply = Pool::call(&mut pool, EPOCH, &[limit], &ask(seq, 1, 10 * SECOND));
        assert_eq!(
            granted(&reply),
            Some(EPOCH + seq.saturating_sub(4) * SECOND)
        );
    }
    let reply = Pool::call(&mut pool, EPOCH, &[limit], &ask(9, 5, 0));
    assert_eq!(reply.decisions, [Decision::Never { limit: 0 }]);
}

#[test]
fn a_fixed_window_starts_anew_at_its_boundary_and_looks_at_the_next_one_shortly_before() {
    let (first, second) = (EPOCH + 30 * SECOND, EPOCH + 90 * SECOND);
    let limit = PoolLimit {
        ends: [first, second],
        ..limit(PoolShape::Fixed, 10, 60 * SECOND)
    };
    let mut pool = None;
    let mut at = |seq, now, cost| {
        granted(&Pool::call(
            &mut pool,
            now,
            &[limit],
            &ask(seq, cost, 90 * SECOND),
        ))
    };
    assert_eq!(at(1, EPOCH, 10), Some(EPOCH));
    assert_eq!(at(2, EPOCH + 1, 4), Some(first));
    assert_eq!(at(3, first, 6), Some(first));
    // What leaves shortly before the end may be counted in the next window.
    assert_eq!(at(4, second, 8), Some(second));
    assert_eq!(
        at(5, second + 60 * SECOND - limit.transit, 2),
        Some(second + 60 * SECOND - limit.transit)
    );
    assert_eq!(
        at(6, second + 60 * SECOND - limit.transit, 9),
        Some(second + 120 * SECOND)
    );
}

#[test]
fn a_window_that_opens_with_its_first_use_ends_once_it_surely_has() {
    let limit = limit(PoolShape::Fixed, 10, 60 * SECOND);
    let mut pool = None;
    let mut at = |seq, now, cost| {
        granted(&Pool::call(
            &mut pool,
            now,
            &[limit],
            &ask(seq, cost, 90 * SECOND),
        ))
    };
    assert_eq!(at(1, EPOCH, 9), Some(EPOCH));
    let end = EPOCH + limit.window + limit.transit;
    assert_eq!(at(2, EPOCH + 5, 2), Some(end));
}

#[test]
fn a_call_that_comes_twice_is_answered_twice_and_done_once() {
    let limit = limit(PoolShape::Rolling, 10, 60 * SECOND);
    let mut pool = None;
    let once = Pool::call(&mut pool, EPOCH, &[limit], &ask(1, 6, 0));
    assert_eq!(
        Pool::call(&mut pool, EPOCH + SECOND, &[limit], &ask(1, 6, 0)),
        once
    );
    assert_eq!(
        Pool::call(&mut pool, EPOCH, &[limit], &ask(2, 4, 0)).used,
        [10]
    );
}

#[test]
fn a_pool_that_lost_its_state_grants_nothing_until_it_has_learnt_what_was_sent() {
    let limit = limit(PoolShape::Rolling, 10, 60 * SECOND);
    let mut pool = None;
    let epoch = Pool::call(&mut pool, EPOCH, &[limit], &ask(1, 6, 0)).epoch;
    pool = None;
    let now = EPOCH + SECOND;
    let told = Pool::call(
        &mut pool,
        now,
        &[limit],
        &Call {
            epoch,
            fresh: 8,
            ..ask(2, 1, 0)
        },
    );
    assert!(told.lost && told.created && told.decisions.is_empty());
    let adjust = |change, n| Adjust {
        change,
        cost: vec![n],
    };
    let adjusts = vec![
        adjust(Change::Replay(SECOND), 4),
        adjust(Change::Foreign(SECOND), 6),
    ];
    let replay = Pool::call(
        &mut pool,
        now,
        &[limit],
        &Call {
            epoch: 8,
            adjusts,
            ..ask(3, 5, 0)
        },
    );
    assert_eq!(replay.used, [6]);
    assert_eq!(
        replay.decisions,
        [Decision::Wait {
            at_least: LEARNING,
            limit: 1
        }]
    );
    // The other replays what the first knew of already.
    let adjusts = vec![adjust(Change::Replay(SECOND), 2)];
    let other = Call {
        process: 2,
        epoch: 8,
        adjusts,
        ..ask(1, 4, 0)
    };
    let reply = Pool::call(&mut pool, now, &[limit], &other);
    assert_eq!(reply.used, [6]);
    assert_eq!(
        reply.decisions,
        [Decision::Wait {
            at_least: LEARNING,
            limit: 1
        }]
    );
}

#[test]
fn a_clock_that_is_set_moves_nothing() {
    let limit = limit(PoolShape::Rolling, 10, 60 * SECOND);
    for step in [45 * SECOND as i64, -30 * SECOND as i64] {
        let mut pool = None;
        Pool::call(&mut pool, EPOCH, &[limit], &ask(1, 10, 0));
        let raw = (EPOCH + 20 * SECOND).saturating_add_signed(step);
        let call = Call {
            clock: EPOCH + 20 * SECOND,
            ..ask(2, 1, 0)
        };
        let reply = Pool::call(&mut pool, raw, &[limit], &call);
        assert_eq!(reply.now, Stamp(EPOCH + 20 * SECOND));
        assert!(
            matches!(reply.decisions[0], Decision::Wait { at_least, .. } if at_least > 40 * SECOND && at_least < 43 * SECOND)
        );
    }
}

#[test]
fn a_pool_that_has_gone_back_in_time_begins_anew() {
    let limit = limit(PoolShape::Rolling, 40, 6 * SECOND);
    let (mut pool, mut replica) = (None, None);
    for seq in 1..=4 {
        if seq == 3 {
            // What comes later doesn't reach it.
            replica.clone_from(&pool);
        }
        let call = Call {
            epoch: if seq == 1 { 0 } else { 7 },
            heard: seq - 1,
            ..ask(seq, 5, 0)
        };
        let reply = Pool::call(&mut pool, EPOCH + seq, &[limit], &call);
        assert!(!reply.lost && granted(&reply).is_some());
    }
    let next = Call {
        epoch: 7,
        heard: 4,
        fresh: 8,
        ..ask(5, 5, 0)
    };
    let told = Pool::call(&mut replica.clone(), EPOCH + 5, &[limit], &next);
    assert!(told.lost && told.created && told.epoch == 8);
    // Whoever was answered by all that it knows notices nothing, nor does the call that was never answered.
    for heard in [0, 2] {
        let call = Call {
            heard,
            ..next.clone()
        };
        let reply = Pool::call(&mut replica.clone(), EPOCH + 5, &[limit], &call);
        assert!(!reply.lost && reply.used == [15]);
    }
    // Of another life nothing follows.
    let other = Call { epoch: 6, ..next };
    let reply = Pool::call(&mut replica, EPOCH + 5, &[limit], &other);
    assert!(reply.lost && reply.epoch == 7);
}
