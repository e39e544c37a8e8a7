//! The line, law by law.

use std::time::Duration;

use super::{at, rolling, tokens};
use crate::core::{
    ledger::{Fit, Ledger},
    queue::{Key, LAPSE, Look, Next, Place, Queue},
    time::Time,
};

const SECOND: u64 = 1_000_000_000;

struct Line {
    ledger: Ledger,
    queue: Queue<u32>,
    now: u64,
}

impl Line {
    /// A rolling limit of 100 in ten seconds.
    fn new() -> Self {
        let ledger = rolling(100, 10 * SECOND);
        Self {
            ledger,
            queue: Queue::new(1),
            now: 0,
        }
    }

    fn spend(&mut self, n: u64) {
        self.ledger.hold(&tokens(n), false);
        self.ledger.date(&tokens(n));
    }

    fn join(&mut self, id: u32, n: u64, class: u8, deadline: u64) -> Key {
        self.join_at(id, n, Place::new(class, 0), deadline)
    }

    fn join_at(&mut self, id: u32, n: u64, place: Place, deadline: u64) -> Key {
        let now = at(self.now);
        let key = self.queue.push(
            &self.ledger,
            tokens(n),
            false,
            Some(place),
            now,
            at(deadline),
        );
        *self.queue.waker(key) = Some(id);
        key
    }

    fn begun(&mut self, id: u32, n: u64, deadline: u64) {
        let (now, deadline) = (at(self.now), at(deadline));
        let key = (self.queue).push(&self.ledger, tokens(n), false, None, now, deadline);
        *self.queue.waker(key) = Some(id);
    }

    fn turn(&mut self, now: u64) -> (Vec<u32>, Next) {
        self.now = now;
        self.ledger.advance(at(now));
        let mut woken = Vec::with_capacity(10_000);
        let next = self.queue.turn(&mut self.ledger, at(now), &mut woken);
        (woken, next)
    }
}

const NEVER: u64 = u64::MAX;

#[test]
fn first_come_first_served_inside_a_class() {
    let mut line = Line::new();
    line.spend(100);
    for id in 0..10 {
        line.join(id, 10, 3, NEVER);
    }
    assert_eq!(line.turn(0), (vec![], Next::At(at(10 * SECOND))));
    assert_eq!(line.turn(10 * SECOND).0, (0..10).collect::<Vec<_>>());
}

#[test]
fn a_thousand_of_one_flow_delay_another_by_one() {
    let mut line = Line::new();
    line.spend(100);
    for id in 0..1_000 {
        line.join_at(id, 10, Place::new(3, 7), NEVER);
    }
    line.turn(0);
    line.join_at(1_000, 10, Place::new(3, 8), NEVER);
    line.join_at(1_001, 10, Place::new(3, 0), NEVER);
    line.join_at(1_002, 10, Place::new(3, 8), NEVER);
    // What is ahead of whoever comes now, by what they know of it.
    let ahead = |flow| line.queue.asked(0, Place::new(3, flow));
    assert_eq!((ahead(9), ahead(0), ahead(7)), (30, 50, 10_030));
    let (woken, _) = line.turn(10 * SECOND);
    assert_eq!(woken, [0, 1_000, 1_001, 1, 1_002, 2, 3, 4, 5, 6]);
}

#[test]
fn who_comes_back_again_and_again_goes_no_more_often_than_others() {
    let mut line = Line::new();
    line.spend(100);
    for id in 0..50 {
        line.join_at(id, 50, Place::new(0, 1), NEVER);
    }
    let mut order = Vec::new();
    line.join_at(100, 50, Place::new(0, 2), NEVER);
    for round in 1..10u32 {
        let (woken, _) = line.turn(u64::from(round) * 10 * SECOND);
        for id in woken {
            order.push(id);
            line.ledger.release(&tokens(50), false);
            line.spend(50);
            if id >= 100 {
                line.join_at(id + 1, 50, Place::new(0, 2), NEVER);
            }
        }
    }
    let expected: Vec<u32> = (0..9).flat_map(|n| [n, n + 100]).collect();
    assert_eq!(order, expected);
}

#[test]
fn turns_end_where_urgency_begins() {
    let mut line = Line::new();
    line.now = SECOND;
    line.ledger.advance(at(line.now));
    line.spend(100);
    line.join_at(1, 100, Place::new(1, 1), NEVER);
    line.join_at(2, 100, Place::new(1, 1), NEVER);
    line.join_at(3, 100, Place::new(1, 2), NEVER);
    line.join_at(0, 100, Place::new(0, 1), NEVER);
    let mut order = Vec::new();
    for round in 1..6 {
        let (woken, _) = line.turn(11 * round * SECOND);
        for id in woken {
            order.push(id);
            line.ledger.release(&tokens(100), false);
            line.spend(100);
        }
    }
    assert_eq!(order, [0, 1, 3, 2]);
}

#[test]
fn a_better_class_goes_first_until_the_other_has_waited_its_penalty() {
    let mut line = Line::new();
    line.spend(100);
    line.join(6, 60, 1, NEVER);
    line.now = 14 * SECOND;
    line.join(0, 60, 0, NEVER);
    line.now = 16 * SECOND;
    line.join(1, 60, 0, NEVER);
    let mut order = Vec::new();
    for now in (16..80).step_by(10) {
        let (woken, _) = line.turn(now * SECOND);
        for id in woken {
            order.push(id);
            line.ledger.release(&tokens(60), false);
            line.spend(60);
        }
    }
    assert_eq!(order, [0, 6, 1]);
}

#[test]
fn a_small_one_passes_only_where_the_head_s_instant_stays() {
    let mut line = Line::new();
    line.spend(50);
    line.turn(SECOND);
    line.spend(30);
    // The head fits when the fifty have expired, with twenty to spare; not a token more may go before it.
    line.join(0, 50, 0, NEVER);
    line.join(1, 21, 0, NEVER);
    line.join(2, 20, 0, NEVER);
    line.join(3, 1, 0, NEVER);
    // Back in a second, should it not take its offer; and for the head.
    assert_eq!(line.turn(SECOND), (vec![2], Next::At(at(2 * SECOND))));
}

#[test]
fn at_most_thirty_two_are_looked_at() {
    let mut line = Line::new();
    line.spend(50);
    line.turn(SECOND);
    line.spend(10);
    line.join(0, 60, 0, NEVER);
    for id in 1..=31 {
        line.join(id, 100, 0, NEVER);
    }
    line.join(32, 1, 0, NEVER);
    line.join(33, 1, 0, NEVER);
    assert_eq!(line.turn(SECOND).0, [32]);
}

#[test]
fn an_offer_that_lapses_parks_its_waiter_once() {
    let mut line = Line::new();
    let parked = line.join(0, 100, 0, NEVER);
    line.join(1, 100, 0, NEVER);
    let (woken, next) = line.turn(0);
    assert_eq!((woken, next), (vec![0], Next::At(Time::ZERO.after(LAPSE))));
    // Taken back after a second; the next one's turn, and no further delay by the first.
    let (woken, _) = line.turn(SECOND);
    assert_eq!(woken, [1]);
    assert_eq!(line.turn(SECOND), (vec![], Next::Idle));
    // It looks again: in line at its old rank, before whoever came later.
    line.join(2, 100, 0, NEVER);
    assert_eq!(line.queue.look(&line.ledger, parked), Look::Back);
    *line.queue.waker(parked) = Some(0);
    assert_eq!(line.turn(2 * SECOND).0, [0]);
    let granted = Look::Granted(tokens(100), false, None);
    assert_eq!(line.queue.look(&line.ledger, parked), granted);
}

#[test]
fn who_leaves_leaves_no_trace() {
    let mut line = Line::new();
    line.spend(100);
    let keys: Vec<_> = (0..5)
        .map(|id| line.join(id, 10, id as u8, NEVER))
        .collect();
    assert_eq!(
        (
            line.queue.asked(0, Place::new(0, 0)),
            line.queue.asked_by_all(0)
        ),
        (10, 50)
    );
    line.turn(10 * SECOND);
    let held = line.ledger.meters()[0].held();
    assert_eq!(held, 50);
    for key in keys {
        let _ = line.queue.leave(&mut line.ledger, key);
    }
    assert_eq!(line.ledger.meters()[0].held(), 0);
    assert_eq!(
        (
            line.queue.asked_by_all(0),
            line.queue.taken(),
            line.queue.waiting()
        ),
        (0, 0, 0)
    );
}

#[test]
fn a_deadline_is_inclusive() {
    for (deadline, served) in [(10 * SECOND, true), (10 * SECOND - 1, false)] {
        let mut line = Line::new();
        line.spend(100);
        let key = line.join(0, 1, 0, deadline);
        let (woken, _) = line.turn(0);
        assert_eq!(woken.is_empty(), served, "known at once where it can't");
        line.turn(10 * SECOND);
        let look = line.queue.look(&line.ledger, key);
        assert_eq!(matches!(look, Look::Granted(..)), served);
    }
}

#[test]
fn a_timer_that_is_late_costs_nobody_their_turn() {
    let mut line = Line::new();
    line.spend(100);
    let keys: Vec<_> = (0..4)
        .map(|id| line.join(id, 10, id as u8, 10 * SECOND))
        .collect();
    line.turn(0);
    line.turn(10 * SECOND + 900_000);
    for key in keys {
        assert!(matches!(
            line.queue.look(&line.ledger, key),
            Look::Granted(..)
        ));
    }
}

#[test]
fn whose_time_is_up_behind_the_head_is_told() {
    let mut line = Line::new();
    line.spend(100);
    line.join(0, 100, 0, NEVER);
    let key = line.join(1, 100, 5, 3 * SECOND);
    assert_eq!(line.turn(0), (vec![], Next::At(at(3 * SECOND))));
    assert_eq!(line.turn(3 * SECOND), (vec![1], Next::At(at(10 * SECOND))));
    assert!(matches!(
        line.queue.look(&line.ledger, key),
        Look::Expired(_, Fit::At { .. }, _)
    ));
}

#[test]
fn whose_time_is_up_behind_one_who_has_begun_is_told() {
    let mut line = Line::new();
    line.spend(100);
    line.join(1, 1, 0, 3 * SECOND);
    line.begun(0, 100, NEVER);
    assert_eq!(line.turn(0), (vec![], Next::At(at(3 * SECOND))));
    assert_eq!(line.turn(3 * SECOND), (vec![1], Next::At(at(10 * SECOND))));
}

#[test]
fn who_has_begun_takes_nobody_s_turn() {
    let mut line = Line::new();
    line.spend(100);
    for id in 0..3 {
        line.join(id, 50, 0, NEVER);
        line.join_at(10 + id, 50, Place::new(0, 7), NEVER);
    }
    line.begun(20, 50, NEVER);
    // Neither of those who wait without a key, …
    assert_eq!(line.turn(10 * SECOND).0, [20, 0]);
    line.ledger.release(&tokens(100), false);
    line.spend(100);
    line.begun(21, 50, NEVER);
    // … nor of the others; all that it asks for is ahead of a newcomer.
    assert_eq!(line.queue.asked(0, Place::new(0, 8)), 150);
    assert_eq!(line.turn(20 * SECOND).0, [21, 10]);
}

#[test]
fn a_pause_tells_everybody_who_can_t_make_it_any_more() {
    let mut line = Line::new();
    line.spend(100);
    for id in 0..100 {
        line.join(id, 1, 0, 20 * SECOND + u64::from(id));
    }
    line.turn(0);
    line.ledger.pause(None, at(20 * SECOND + 50));
    let (woken, next) = line.turn(SECOND);
    assert_eq!(woken, (0..50).collect::<Vec<_>>());
    assert_eq!(next, Next::At(at(20 * SECOND + 50)));
}

#[test]
fn a_large_one_among_a_thousand_small_leaves_at_its_own_earliest_instant() {
    let mut line = Line::new();
    line.ledger = rolling(10_000, 60 * SECOND);
    for second in 0..60 {
        line.turn(second * SECOND);
        line.spend(10_000 / 60);
    }
    let now = 59 * SECOND;
    line.turn(now);
    for id in 0..500 {
        line.join(id, 10, 2, NEVER);
    }
    let key = line.join(9_999, 500, 0, NEVER);
    for id in 500..1_000 {
        line.join(id, 10, 2, NEVER);
    }
    let Fit::At { at: own, .. } = line.ledger.fit(&tokens(500), false) else {
        panic!("it waits")
    };
    let mut left = None;
    let mut next = now;
    while left.is_none() {
        let (woken, then) = line.turn(next);
        for id in woken.iter().filter(|id| **id < 9_999) {
            line.ledger.release(&tokens(10), false);
            line.spend(10);
            assert!(*id < 1_000);
        }
        left = woken.contains(&9_999).then_some(next);
        if let Next::At(t) = then {
            next = t.nanos();
        }
    }
    assert_eq!(left, Some(own.nanos()));
    assert!(matches!(
        line.queue.look(&line.ledger, key),
        Look::Granted(..)
    ));
    assert!(Duration::from_nanos(own.nanos()) < Duration::from_secs(64));
}
