//! One limit's account in a pool, shape by shape.

use super::*;

fn with_burst(shape: PoolShape, amount: u64, burst: u64) -> PoolLimit {
    PoolLimit {
        burst,
        transit: 0,
        ..limit(shape, amount, 60 * SECOND)
    }
}

/// A fixed window of ten a minute that ends half a minute after `EPOCH`.
fn fixed() -> PoolLimit {
    PoolLimit {
        ends: [EPOCH + 30 * SECOND, EPOCH + 90 * SECOND],
        ..limit(PoolShape::Fixed, 10, 60 * SECOND)
    }
}

/// One process that calls a pool of one limit.
struct One {
    pool: Option<Pool>,
    limit: PoolLimit,
    seq: u64,
}

impl One {
    fn new(limit: PoolLimit) -> Self {
        Self {
            pool: None,
            limit,
            seq: 0,
        }
    }

    fn call(&mut self, now: u64, adjusts: &[(Change, u64)], ask: Option<Ask>) -> Reply {
        self.seq += 1;
        let adjusts = adjusts.iter().map(|(change, n)| Adjust {
            change: *change,
            cost: vec![*n],
        });
        let call = Call {
            process: 1,
            seq: self.seq,
            fresh: 7,
            adjusts: adjusts.collect(),
            asks: ask.into_iter().collect(),
            ..Call::default()
        };
        Pool::call(&mut self.pool, now, &[self.limit], &call)
    }

    /// When so much leaves that is asked for with an hour's horizon; what is taken of it is `used` then.
    fn takes(&mut self, now: u64, cost: u64) -> Option<u64> {
        self.beside(now, cost, 0, 3_600 * SECOND)
    }

    fn beside(&mut self, now: u64, cost: u64, beside: u32, horizon: u64) -> Option<u64> {
        let ask = Ask {
            cost: vec![cost],
            horizon,
            beside,
        };
        granted(&self.call(now, &[], Some(ask)))
    }

    fn changes(&mut self, now: u64, change: Change, n: u64) -> u64 {
        self.call(now, &[(change, n)], None).used[0]
    }

    fn used(&mut self, now: u64) -> u64 {
        self.call(now, &[], None).used[0]
    }
}

#[test]
fn a_burst_is_what_a_bucket_holds_and_others_are_paced_by_it() {
    let bucket = with_burst(PoolShape::Bucket, 60, 4);
    let rolling = with_burst(PoolShape::Rolling, 60, 4);
    assert_eq!((bucket.holds(), rolling.holds()), (4, 60));
    assert_eq!(with_burst(PoolShape::Bucket, 60, 0).holds(), 60);
    for limit in [
        rolling,
        PoolLimit {
            shape: PoolShape::Fixed,
            ..rolling
        },
    ] {
        let mut one = One::new(limit);
        let at = [4, 1, 1, 9].map(|n| one.takes(EPOCH, n).map(|at| at - EPOCH));
        // Nine at once are more than it ever holds: they wait until it is full.
        assert_eq!(at, [0, SECOND, 2 * SECOND, 6 * SECOND].map(Some));
    }
    let mut whole = One::new(with_burst(PoolShape::Rolling, 60, 0));
    assert_eq!(whole.takes(EPOCH, 60), Some(EPOCH));
}

#[test]
fn a_bucket_s_charge_may_get_there_late_and_a_pace_s_does_not() {
    let late = |shape| PoolLimit {
        transit: SECOND,
        ..with_burst(shape, 60, 4)
    };
    let mut bucket = One::new(late(PoolShape::Bucket));
    assert_eq!(bucket.takes(EPOCH, 4), Some(EPOCH));
    assert_eq!(bucket.takes(EPOCH, 1), Some(EPOCH + 2 * SECOND));
    let mut paced = One::new(late(PoolShape::Rolling));
    assert_eq!(paced.takes(EPOCH, 4), Some(EPOCH));
    assert_eq!(paced.takes(EPOCH, 1), Some(EPOCH + SECOND));
}

#[test]
fn a_part_is_left_free_beside_a_cost() {
    for shape in [PoolShape::Rolling, PoolShape::Bucket, PoolShape::Fixed] {
        let limit = PoolLimit {
            transit: 0,
            ..limit(shape, 10, 60 * SECOND)
        };
        let mut one = One::new(limit);
        assert_eq!(one.takes(EPOCH, 4), Some(EPOCH));
        assert_eq!(
            one.beside(EPOCH, 4, 250_000, 0),
            None,
            "{shape:?}: a quarter, rounded up"
        );
        assert_eq!(one.beside(EPOCH, 3, 250_000, 0), Some(EPOCH), "{shape:?}");
        assert_eq!(one.beside(EPOCH, 3, 0, 0), Some(EPOCH), "{shape:?}");
        // What is larger than the rest goes where nothing else is.
        let mut one = One::new(limit);
        assert_eq!(one.beside(EPOCH, 9, 250_000, 0), Some(EPOCH), "{shape:?}");
    }
}

#[test]
fn boundaries_belong_to_the_window_that_they_begin() {
    let limit = fixed();
    let [first, second] = limit.ends;
    let transit = limit.transit;
    let mut one = One::new(limit);
    assert_eq!(
        one.takes(first - transit - 1, 10),
        Some(first - transit - 1)
    );
    assert_eq!(one.used(first - 1), 10);
    assert_eq!(one.used(first), 0, "it left before any of it may be late");
    let mut one = One::new(limit);
    assert_eq!(one.takes(first - transit, 7), Some(first - transit));
    assert_eq!(one.used(first), 7, "it may have been late");
    assert_eq!(one.takes(first, 3), Some(first));
    assert_eq!(one.takes(first, 8), Some(second));
    assert_eq!(one.takes(second + 1, 3), Some(second + 60 * SECOND));
    assert_eq!(one.used(second + 120 * SECOND), 0);
    // More than a window unseen.
    let mut one = One::new(limit);
    one.takes(first - 1, 9);
    assert_eq!(one.used(second), 0);
}

#[test]
fn shortly_before_a_boundary_it_has_to_fit_on_both_sides() {
    let limit = fixed();
    let first = limit.ends[0];
    let near = first - limit.transit;
    let mut one = One::new(limit);
    assert_eq!(one.takes(near, 4), Some(near));
    assert_eq!(one.takes(near, 6), Some(near));
    assert_eq!(one.takes(near, 1), Some(limit.ends[1]), "both are full");
    // What is in the next counts there alone.
    let mut one = One::new(limit);
    assert_eq!(one.takes(EPOCH, 6), Some(EPOCH));
    assert_eq!(one.takes(near, 4), Some(near));
    assert_eq!(one.takes(first, 6), Some(first));
    assert_eq!(one.takes(first, 1), Some(limit.ends[1]));
}

#[test]
fn what_is_given_back_to_a_fixed_window_is_of_this_one() {
    let limit = fixed();
    let first = limit.ends[0];
    let near = first - limit.transit;
    let mut one = One::new(limit);
    one.takes(EPOCH, 3);
    one.takes(near, 4);
    assert_eq!(one.changes(near, Change::Back(Stamp(near)), 2), 5);
    assert_eq!(one.changes(near, Change::Back(Stamp(EPOCH)), 1), 4);
    assert_eq!(one.used(first), 2, "what was near the end");
    assert_eq!(
        one.changes(first, Change::Back(Stamp(EPOCH)), 1),
        2,
        "long over"
    );
    assert_eq!(one.changes(first, Change::Back(Stamp(near)), 1), 1);
    assert_eq!(one.changes(first, Change::Back(Stamp(first)), 9), 0);
    // Nor of what left before anybody counted.
    let mut one = One::new(limit);
    one.takes(EPOCH, 3);
    assert_eq!(one.changes(EPOCH, Change::Back(Stamp(EPOCH - 1)), 1), 3);
}

#[test]
fn a_window_of_a_first_use_closes_to_newcomers_before_it_may_end() {
    let limit = limit(PoolShape::Fixed, 10, 60 * SECOND);
    let end = limit.window + limit.transit;
    let mut one = One::new(limit);
    assert_eq!(one.takes(EPOCH, 1), Some(EPOCH));
    let last = EPOCH + end - 2 * limit.transit - 1;
    assert_eq!(one.takes(last, 1), Some(last));
    assert_eq!(one.takes(last + 1, 1), Some(EPOCH + end));
    // Which opens the next.
    assert_eq!(one.used(EPOCH + end), 1);
    assert_eq!(one.used(EPOCH + 2 * end - 1), 1);
    assert_eq!(one.used(EPOCH + 2 * end), 0);
    // What left before it opened isn't in it.
    let mut one = One::new(limit);
    one.takes(EPOCH, 4);
    assert_eq!(one.changes(EPOCH, Change::Back(Stamp(EPOCH - 1)), 1), 4);
    assert_eq!(one.changes(EPOCH, Change::Back(Stamp(EPOCH)), 1), 3);
    // Nor of one that hasn't opened.
    let mut one = One::new(limit);
    assert_eq!(one.changes(EPOCH, Change::Back(Stamp(EPOCH)), 1), 0);
}

#[test]
fn what_was_never_sent_gives_back_what_has_not_refilled_since() {
    for shape in [PoolShape::Bucket, PoolShape::Rolling] {
        let mut one = One::new(with_burst(shape, 60, 10));
        assert_eq!(one.takes(EPOCH, 10), Some(EPOCH));
        let now = EPOCH + 4 * SECOND;
        // Four of ten have refilled: three more come back of seven.
        one.changes(now, Change::Unsent(Stamp(EPOCH)), 7);
        assert_eq!(one.takes(now, 7), Some(now), "{shape:?}");
        assert_eq!(one.takes(now, 1), Some(now + SECOND), "{shape:?}");
        // What the provider has given back was sent, and paced.
        let mut one = One::new(with_burst(shape, 60, 10));
        assert_eq!(one.takes(EPOCH, 10), Some(EPOCH));
        one.changes(EPOCH, Change::Back(Stamp(EPOCH)), 10);
        let then = if shape == PoolShape::Bucket {
            0
        } else {
            SECOND
        };
        assert_eq!(one.takes(EPOCH, 1), Some(EPOCH + then), "{shape:?}");
        // Never more than is missing.
        one.changes(EPOCH, Change::Unsent(Stamp(EPOCH)), 99);
        assert_eq!(one.takes(EPOCH + SECOND, 10), Some(EPOCH + SECOND));
        assert_ne!(one.takes(EPOCH + SECOND, 1), Some(EPOCH + SECOND));
    }
}

#[test]
fn what_is_given_back_to_a_rolling_window_is_no_more_than_was_in_its_step() {
    let limit = limit(PoolShape::Rolling, 40, 60 * SECOND);
    let mut one = One::new(limit);
    one.takes(EPOCH, 5);
    one.takes(EPOCH + 5 * SECOND, 7);
    let now = EPOCH + 6 * SECOND;
    assert_eq!(one.changes(now, Change::Back(Stamp(EPOCH)), 2), 10);
    assert_eq!(one.changes(now, Change::Back(Stamp(EPOCH)), 9), 7);
    assert_eq!(one.changes(now, Change::Back(Stamp(EPOCH)), 9), 7);
    let gone = EPOCH + 5 * SECOND + limit.window + limit.transit + limit.step;
    assert_eq!(one.used(gone), 0);
}

#[test]
fn what_expires_of_a_rolling_window_is_forgotten_a_step_at_a_time() {
    let limit = PoolLimit {
        transit: 0,
        ..limit(PoolShape::Rolling, 10, 60 * SECOND)
    };
    let mut one = One::new(limit);
    one.takes(EPOCH, 4);
    one.takes(EPOCH + 1, 5);
    // Rounded up to a step of a second.
    assert_eq!(one.used(EPOCH + 60 * SECOND - 1), 9);
    assert_eq!(one.used(EPOCH + 60 * SECOND), 5);
    assert_eq!(one.used(EPOCH + 61 * SECOND - 1), 5);
    assert_eq!(one.used(EPOCH + 61 * SECOND), 0);
    // Nor do they stand in the way of anybody who comes after them.
    let mut dim = Dim::default();
    dim.charge(&limit, 10, EPOCH);
    dim.charge(&limit, 0, EPOCH + 5 * SECOND);
    let later = EPOCH + 60 * SECOND + SECOND / 2;
    assert_eq!((dim.used(&limit, later), dim.used(&limit, EPOCH)), (0, 10));
    assert_eq!(dim.earliest(&limit, 1, 0, later), later);
    // Nothing is kept of what is gone, and nothing is charged to what is.
    let dim = &one.pool.as_ref().unwrap().dims[0];
    assert_eq!(format!("{dim:?}").matches("slots: {}").count(), 1);
    assert_eq!(
        one.changes(EPOCH + 61 * SECOND, Change::Replay(61 * SECOND), 3),
        0
    );
    assert_eq!(
        one.changes(EPOCH + 61 * SECOND, Change::Replay(60 * SECOND), 3),
        0
    );
    assert_eq!(
        one.changes(EPOCH + 61 * SECOND, Change::Replay(59 * SECOND), 3),
        3
    );
}

#[test]
fn what_is_replayed_counts_from_when_it_was_sent_if_that_is_in_this_window() {
    let first_use = limit(PoolShape::Fixed, 10, 60 * SECOND);
    let end = first_use.window + first_use.transit;
    for (ago, used) in [(end - 1, 3), (end, 0)] {
        let mut one = One::new(first_use);
        assert_eq!(one.changes(EPOCH, Change::Replay(ago), 3), used, "{ago}");
        let ends = if used > 0 { EPOCH + 1 } else { EPOCH };
        assert_eq!(one.used(ends), 0);
    }
    // Of one that is open it is, however shortly after its opener that left, and what left before it can count isn't.
    for (ago, used) in [(0, 7), (end - 1, 7), (end, 4)] {
        let mut one = One::new(first_use);
        one.takes(EPOCH, 4);
        assert_eq!(one.changes(EPOCH, Change::Replay(ago), 3), used, "{ago}");
    }
    // The window that ends in half a minute began half a minute ago.
    for (ago, used) in [(30 * SECOND, 3), (30 * SECOND + 1, 0)] {
        let mut one = One::new(fixed());
        assert_eq!(one.changes(EPOCH, Change::Replay(ago), 3), used, "{ago}");
    }
    let mut bucket = One::new(with_burst(PoolShape::Bucket, 60, 10));
    bucket.changes(EPOCH, Change::Replay(4 * SECOND), 10);
    assert_eq!(bucket.used(EPOCH), 6);
}

#[test]
fn what_somebody_outside_spends_is_charged_once_and_forgotten_after_a_window() {
    let limit = limit(PoolShape::Rolling, 40, 60 * SECOND);
    let mut one = One::new(limit);
    let outside = |one: &mut One, now, n| {
        let reply = one.call(now, &[(Change::Outside, n)], None);
        (reply.outside[0], reply.used[0])
    };
    assert_eq!(outside(&mut one, EPOCH, 10), (10, 10));
    assert_eq!(outside(&mut one, EPOCH, 10), (10, 10));
    assert_eq!(outside(&mut one, EPOCH, 14), (14, 14));
    assert_eq!(
        outside(&mut one, EPOCH + 9 * SECOND, 5),
        (14, 14),
        "no less"
    );
    let known = |one: &mut One, now| one.call(now, &[], None).outside[0];
    assert_eq!(known(&mut one, EPOCH + 69 * SECOND - 1), 14);
    assert_eq!(known(&mut one, EPOCH + 69 * SECOND), 0);
}

#[test]
fn what_others_replay_is_taken_from_what_the_pool_held_without_them() {
    let limit = limit(PoolShape::Rolling, 40, 60 * SECOND);
    let mut one = One::new(limit);
    let mut used = |change, n| one.changes(EPOCH, change, n);
    assert_eq!(used(Change::Replay(SECOND), 4), 4);
    assert_eq!(used(Change::Foreign(SECOND), 4), 4, "no more than it holds");
    assert_eq!(used(Change::Foreign(SECOND), 10), 10);
    assert_eq!(used(Change::Replay(2 * SECOND), 2), 10);
    assert_eq!(used(Change::Replay(2 * SECOND), 5), 11, "four were known");
    assert_eq!(used(Change::Replay(2 * SECOND), 1), 12);
}

#[test]
fn a_resume_ends_the_pauses_of_all_limits_alone() {
    let limit = limit(PoolShape::Rolling, 40, 60 * SECOND);
    let mut one = One::new(limit);
    one.call(EPOCH, &[(Change::Pause(5 * SECOND), 1)], None);
    one.call(EPOCH, &[(Change::Late, 1)], None);
    assert_eq!(one.beside(EPOCH, 1, 0, 0), None);
    assert_eq!(one.takes(EPOCH, 1), Some(EPOCH + 5 * SECOND));
    let mut one = One::new(limit);
    one.call(EPOCH, &[(Change::Pause(5 * SECOND), 0)], None);
    assert_eq!(one.beside(EPOCH, 1, 0, 0), None, "a pause of all");
    one.call(EPOCH, &[(Change::Resume, 0)], None);
    assert_eq!(one.beside(EPOCH, 1, 0, 0), Some(EPOCH));
}

#[test]
fn what_is_known_of_outside_opens_no_window() {
    let limit = limit(PoolShape::Fixed, 10, 60 * SECOND);
    let mut one = One::new(limit);
    for second in [0, 30, 65] {
        one.call(EPOCH + second * SECOND, &[(Change::Outside, 5)], None);
    }
    let opens = EPOCH + 80 * SECOND;
    assert_eq!(one.takes(opens, 10), Some(opens));
    let end = opens + limit.window + limit.transit;
    assert_eq!(one.takes(opens, 1), Some(end));
}
