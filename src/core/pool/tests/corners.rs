//! Clocks, lives, processes and several limits, at their edges.

use super::*;

/// A call of that process that says what its clock shows, and asks for nothing.
fn look(process: u64, seq: u64, clock: u64) -> Call {
    Call {
        process,
        clock,
        asks: vec![],
        ..ask(seq, 0, 0)
    }
}

fn wants(cost: &[u64], horizon: u64) -> Vec<Ask> {
    vec![Ask {
        cost: cost.to_vec(),
        horizon,
        beside: 0,
    }]
}

/// A pool that has just been begun by process 1.
fn begun(limits: &[PoolLimit], now: u64) -> Option<Pool> {
    let mut pool = None;
    Pool::call(&mut pool, now, limits, &look(1, 1, 0));
    pool
}

#[test]
fn a_clock_that_was_set_goes_on_from_what_it_should_show() {
    let limit = [limit(PoolShape::Rolling, 10, 60 * SECOND)];
    for step in [3_600 * SECOND as i64, -3_600 * SECOND as i64] {
        let mut pool = begun(&limit, EPOCH);
        let expected = EPOCH + 20 * SECOND;
        let raw = expected.saturating_add_signed(step);
        let told = Pool::call(&mut pool, raw, &limit, &look(1, 2, expected));
        assert_eq!(told.now, Stamp(expected));
        // Whoever expects nothing is told the same time line, and so is whoever is lost.
        let told = Pool::call(&mut pool, raw + 9 * SECOND, &limit, &look(2, 1, 0));
        assert_eq!(told.now, Stamp(expected + 9 * SECOND));
        let of_another_life = Call {
            epoch: 99,
            ..look(1, 3, 0)
        };
        let told = Pool::call(&mut pool, raw + 9 * SECOND, &limit, &of_another_life);
        assert!(told.lost);
        assert_eq!(
            (told.now, told.processes),
            (Stamp(expected + 9 * SECOND), 1)
        );
    }
}

#[test]
fn a_clock_is_taken_to_have_been_set_where_it_is_more_than_five_seconds_off() {
    let limit = [limit(PoolShape::Rolling, 10, 60 * SECOND)];
    for (off, set) in [(STEPPED, false), (STEPPED + 1, true)] {
        let mut pool = begun(&limit, EPOCH);
        let raw = EPOCH + 20 * SECOND;
        let told = Pool::call(&mut pool, raw, &limit, &look(1, 2, raw + off));
        assert_eq!(told.now.0, if set { raw + off } else { raw });
    }
}

#[test]
fn who_called_a_moment_ago_knows_the_clock_better_than_who_expects_another() {
    let limit = [limit(PoolShape::Rolling, 10, 60 * SECOND)];
    for (later, believed) in [(RECENT - 1, false), (RECENT, true)] {
        let mut pool = begun(&limit, EPOCH);
        let raw = EPOCH + later;
        let told = Pool::call(&mut pool, raw, &limit, &look(2, 1, raw + 60 * SECOND));
        assert_eq!(told.now.0 != raw, believed, "{later}");
    }
}

#[test]
fn a_process_that_was_not_heard_for_a_minute_is_gone() {
    let limit = [limit(PoolShape::Rolling, 10, 60 * SECOND)];
    let beat = |process, seq| Call {
        beat: true,
        ..look(process, seq, 0)
    };
    let mut pool = begun(&limit, EPOCH);
    let told = Pool::call(&mut pool, EPOCH, &limit, &beat(2, 1));
    assert_eq!(told.processes, 2);
    let told = Pool::call(&mut pool, EPOCH + ALIVE, &limit, &beat(1, 2));
    assert_eq!(told.processes, 2);
    let told = Pool::call(&mut pool, EPOCH + ALIVE + 1, &limit, &beat(1, 3));
    assert_eq!(told.processes, 1);
}

#[test]
fn nobody_is_granted_anything_before_whoever_came_first_but_for_a_clock_that_was_set() {
    let limit = [limit(PoolShape::Rolling, 10, 60 * SECOND)];
    let mut pool = begun(&limit, EPOCH);
    let mut at = |seq, cost| {
        granted(&Pool::call(
            &mut pool,
            EPOCH,
            &limit,
            &ask(seq, cost, 90 * SECOND),
        ))
    };
    assert_eq!(at(2, 6), Some(EPOCH));
    let second = at(3, 6).expect("ahead");
    assert!(second > EPOCH + 60 * SECOND);
    assert_eq!(at(4, 1), Some(second), "though it would fit now");

    // What was granted further ahead than anything can be was granted by another clock.
    let furthest = 2 * (limit[0].window + limit[0].transit);
    for (back, at) in [(furthest, EPOCH), (furthest + 1, EPOCH - furthest - 1)] {
        let mut pool = begun(&limit, EPOCH - SECOND);
        let now = Pool::call(&mut pool, EPOCH, &limit, &ask(2, 1, 0));
        assert_eq!(granted(&now), Some(EPOCH));
        let set = Pool::call(&mut pool, EPOCH - back, &limit, &ask(3, 1, furthest));
        assert_eq!(granted(&set), Some(at), "{back}");
    }
}

#[test]
fn what_is_learnt_after_a_loss_takes_a_quarter_of_a_second_and_no_more() {
    let limit = [limit(PoolShape::Rolling, 10, 60 * SECOND)];
    let mut pool = None;
    let lost = Call {
        epoch: 5,
        ..ask(1, 1, 0)
    };
    assert!(Pool::call(&mut pool, EPOCH, &limit, &lost).lost);
    let mut at = |seq, now| granted(&Pool::call(&mut pool, now, &limit, &ask(seq, 1, 0)));
    assert_eq!(at(2, EPOCH + LEARNING - 1), None);
    assert_eq!(at(3, EPOCH + LEARNING), Some(EPOCH + LEARNING));
}

#[test]
fn a_limit_of_which_nothing_is_asked_stands_in_nobodys_way_and_does_not_open() {
    let limits = [
        limit(PoolShape::Rolling, 10, 60 * SECOND),
        limit(PoolShape::Fixed, 10, 60 * SECOND),
    ];
    let mut pool = begun(&limits, EPOCH);
    let pause = Adjust {
        change: Change::Pause(50 * SECOND),
        cost: vec![0, 1],
    };
    let mut call = |seq, now, cost: &[u64], adjusts| {
        let call = Call {
            adjusts,
            asks: wants(cost, 0),
            ..look(1, seq, 0)
        };
        Pool::call(&mut pool, now, &limits, &call).decisions[0]
    };
    let decision = call(2, EPOCH, &[1, 0], vec![pause]);
    assert!(matches!(decision, Decision::Granted { send_in: 0, .. }));
    let waits = |at_least, limit| Decision::Wait { at_least, limit };
    assert_eq!(call(3, EPOCH, &[0, 1], vec![]), waits(50 * SECOND, 1));
    // The second window opens with what takes something of it.
    let opens = EPOCH + 55 * SECOND;
    let decision = call(4, opens, &[0, 10], vec![]);
    assert!(matches!(decision, Decision::Granted { send_in: 0, .. }));
    let length = limits[1].window + limits[1].transit;
    assert_eq!(call(5, opens, &[0, 1], vec![]), waits(length, 1));
}

#[test]
fn the_limit_that_is_blamed_is_the_one_that_takes_longest() {
    let limits = [
        limit(PoolShape::Rolling, 10, 60 * SECOND),
        limit(PoolShape::Rolling, 100, 30 * SECOND),
        limit(PoolShape::Rolling, 10, 90 * SECOND),
    ];
    let mut pool = begun(&limits, EPOCH);
    let mut call = |seq, cost: &[u64]| {
        let call = Call {
            asks: wants(cost, 0),
            ..look(1, seq, 0)
        };
        Pool::call(&mut pool, EPOCH, &limits, &call).decisions[0]
    };
    assert!(matches!(call(2, &[10, 1, 5]), Decision::Granted { .. }));
    let blamed = |decision| match decision {
        Decision::Wait { limit, .. } => Some(limit),
        _ => None,
    };
    assert_eq!(blamed(call(3, &[1, 1, 1])), Some(0), "the others fit then");
    assert_eq!(blamed(call(4, &[1, 1, 6])), Some(2));
    assert_eq!(call(5, &[1, 101, 1]), Decision::Never { limit: 1 });
}

#[test]
fn a_pause_of_all_and_of_one_hold_until_the_last_is_over_or_somebody_ends_them() {
    let limits = [limit(PoolShape::Rolling, 10, 60 * SECOND); 2];
    let mut pool = begun(&limits, EPOCH);
    let adjust = |change, cost: [u64; 2]| Adjust {
        change,
        cost: cost.to_vec(),
    };
    let mut call = |seq, adjusts, cost: &[u64]| {
        let call = Call {
            adjusts,
            asks: wants(cost, 0),
            ..look(1, seq, 0)
        };
        Pool::call(&mut pool, EPOCH, &limits, &call).decisions[0]
    };
    let waits = |at_least, limit| Decision::Wait { at_least, limit };
    let pause = |span| Change::Pause(span);
    let all = vec![
        adjust(pause(SECOND), [0, 0]),
        adjust(pause(SECOND / 2), [0, 0]),
    ];
    assert_eq!(call(2, all, &[1, 1]), waits(SECOND, 2));
    let one = vec![
        adjust(pause(9 * SECOND), [0, 1]),
        adjust(pause(SECOND), [0, 1]),
    ];
    assert_eq!(call(3, one, &[1, 1]), waits(9 * SECOND, 1));
    assert_eq!(call(4, vec![], &[1, 0]), waits(SECOND, 2));
    let over = vec![adjust(Change::Resume, [0, 0])];
    assert!(matches!(call(5, over, &[1, 1]), Decision::Granted { .. }));
}

#[test]
fn who_has_to_wait_claims_until_it_can_come_back_and_who_asks_for_nothing_does_not() {
    let limit = [limit(PoolShape::Rolling, 10, 60 * SECOND)];
    let claims = |pool: &Option<Pool>, process: u64| {
        let told = format!("{:?}", pool.as_ref().unwrap().fair);
        let (_, until) = told.split_once(&format!("by: {process}, until: "))?;
        let end = until.find(' ')?;
        until[..end].parse::<u64>().ok()
    };
    let mut pool = begun(&limit, EPOCH);
    Pool::call(&mut pool, EPOCH, &limit, &ask(2, 0, 0));
    assert_eq!(claims(&pool, 1), None);
    assert!(granted(&Pool::call(&mut pool, EPOCH, &limit, &ask(3, 10, 0))).is_some());
    let other = Call {
        process: 2,
        beat: true,
        ..ask(1, 1, 5 * SECOND)
    };
    let reply = Pool::call(&mut pool, EPOCH, &limit, &other);
    let Decision::Wait { at_least, .. } = reply.decisions[0] else {
        panic!("nothing is left");
    };
    // Within its horizon of when it fits, and a tenth of a second.
    let back = EPOCH + at_least - 5 * SECOND + SECOND / 10;
    assert_eq!(claims(&pool, 2), Some(back));
}

#[test]
fn a_cost_fits_as_often_as_into_what_is_left_of_the_limit_that_it_fits_into_least() {
    let limits = [
        limit(PoolShape::Rolling, 10, 60 * SECOND),
        limit(PoolShape::Rolling, 100, 60 * SECOND),
    ];
    let mut pool = begun(&limits, EPOCH);
    let call = Call {
        asks: wants(&[4, 1], 0),
        ..look(1, 2, 0)
    };
    Pool::call(&mut pool, EPOCH, &limits, &call);
    let left = |cost: &[u64]| pool.as_ref().unwrap().left(&limits, cost, EPOCH);
    assert_eq!((left(&[3, 1]), left(&[1, 33])), (2.0, 3.0));
    assert_eq!((left(&[0, 11]), left(&[0, 0])), (9.0, f64::INFINITY));
}
