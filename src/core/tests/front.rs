//! What the line says of its front, and what it keeps.

use super::{Kind, at, ledger_of, limit, rolling, tokens};
use crate::core::{
    cost::Cost,
    ledger::{Ledger, Spare},
    queue::{CLASSES, Key, Next, PENALTY, Place, Queue},
};

const SECOND: u64 = 1_000_000_000;

struct Line {
    ledger: Ledger,
    queue: Queue<u32>,
    next: u32,
}

impl Line {
    /// Of a hundred in ten seconds nothing is left.
    fn new() -> Self {
        let mut ledger = rolling(100, 10 * SECOND);
        ledger.hold(&tokens(100), false);
        ledger.date(&tokens(100));
        Self {
            ledger,
            queue: Queue::new(1),
            next: 0,
        }
    }

    fn join(&mut self, cost: Cost, place: Place) -> Key {
        let never = at(u64::MAX);
        let key = (self.queue).push(&self.ledger, cost, false, Some(place), at(0), never);
        *self.queue.waker(key) = Some(self.next);
        self.next += 1;
        key
    }

    fn turn(&mut self) -> (Vec<u32>, Next) {
        let mut woken = Vec::with_capacity(4_096);
        let next = self.queue.turn(&mut self.ledger, at(0), &mut woken);
        (woken, next)
    }
}

fn class(class: u8) -> Place {
    Place::new(class, 0)
}

#[test]
fn who_joins_far_behind_changes_no_plan_and_who_joins_in_front_does() {
    let mut line = Line::new();
    for _ in 0..33 {
        line.join(tokens(10), class(3));
        assert_eq!(line.queue.planned(), None);
        let (_, next) = line.turn();
        assert_eq!(line.queue.planned(), Some(next));
    }
    // Behind as many as are looked at.
    line.join(tokens(10), class(3));
    let plan = line.queue.planned();
    assert!(plan.is_some());
    line.join(tokens(10), Place::new(3, 7));
    assert_eq!(
        line.queue.planned(),
        plan,
        "another flow, whose turn comes later"
    );
    line.join(tokens(10), class(2));
    assert_eq!(line.queue.planned(), None, "the first of its class");
}

#[test]
fn who_takes_nothing_of_what_is_used_up_waits_for_nobody() {
    for (before, beside) in [(0, 1), (1, 1), (1, 2), (2, 2), (2, 4)] {
        let mut line = Line::new();
        // Those who have been here leave no trace.
        for _ in 0..before {
            let key = line.join(tokens(1), class(3));
            let _ = line.queue.leave(&mut line.ledger, key);
        }
        line.join(tokens(50), class(3));
        let first = line.next;
        for _ in 0..beside {
            line.join(Cost::request(), class(3));
        }
        let (woken, next) = line.turn();
        assert_eq!(woken, (first..first + beside).collect::<Vec<_>>());
        assert_eq!(next, Next::At(at(SECOND)), "an offer lapses");
    }
}

#[test]
fn a_line_keeps_a_thousand_places_and_no_more() {
    for (most, kept) in [(1_024, 1_024), (1_025, 0)] {
        let mut line = Line::new();
        let keys: Vec<_> = (0..most).map(|_| line.join(tokens(1), class(0))).collect();
        for key in keys {
            let _ = line.queue.leave(&mut line.ledger, key);
        }
        assert_eq!((line.queue.places(), line.queue.taken()), (kept, 0));
    }
}

#[test]
fn all_who_wait_are_roused_in_as_many_goes_as_it_takes() {
    let mut line = Line::new();
    let keys: Vec<_> = (0..5).map(|_| line.join(tokens(1), class(0))).collect();
    let _ = line.queue.leave(&mut line.ledger, keys[1]);
    let mut woken = Vec::with_capacity(2);
    let capacity = woken.capacity();
    assert_eq!(capacity, 2);
    assert_eq!(line.queue.rouse(0, &mut woken), Some(3));
    assert_eq!(woken, [0, 2]);
    woken.clear();
    assert_eq!(line.queue.rouse(3, &mut woken), None);
    assert_eq!(woken, [3, 4]);
    // Each once.
    woken.clear();
    assert_eq!(line.queue.rouse(0, &mut woken), None);
    assert!(woken.is_empty());
}

#[test]
fn those_who_leave_give_the_line_a_turn_only_where_somebody_else_is_next() {
    let mut line = Line::new();
    let first = line.join(tokens(10), class(3));
    let second = line.join(tokens(10), class(3));
    let third = line.join(tokens(10), class(3));
    let urgent = line.join(tokens(10), class(0));
    let mut leave = |key| line.queue.leave(&mut line.ledger, key).0;
    assert!(leave(urgent), "the head");
    assert!(!leave(third));
    assert!(leave(first));
    assert!(!leave(second), "nobody is left");
}

#[test]
fn those_who_wait_are_shown_next_first_and_as_long_as_somebody_looks() {
    let mut line = Line::new();
    let keys = [3, 0, 3].map(|of| line.join(tokens(10 + u64::from(of)), class(of)));
    let shown = |most: usize| {
        let mut seen = Vec::new();
        line.queue.in_order(at(0), |who, cost, slot, _| {
            assert!(!slot);
            seen.push((who.key(), cost.of(crate::core::cost::Resource::Tokens)));
            seen.len() < most
        });
        seen
    };
    let all = [(keys[1], 10), (keys[0], 13), (keys[2], 13)];
    assert_eq!(shown(9), all);
    assert_eq!(shown(2), all[..2]);
    assert_eq!(shown(1), all[..1]);
}

#[test]
fn one_whose_turn_it_is_is_shown_first_though_others_came_before() {
    let mut line = Line::new();
    let limits = [(limit(Kind::Rolling, 10, 10 * SECOND, 0), Kind::Rolling)];
    line.ledger = ledger_of(&limits, usize::MAX);
    let keys = [7, 7, 8].map(|flow| line.join(tokens(10), Place::new(1, flow)));
    assert_eq!(line.turn().0, [0], "the first of the first flow");
    let mut seen = Vec::new();
    line.queue.in_order(at(0), |who, _, _, _| {
        seen.push(who.key());
        true
    });
    assert_eq!(seen, [keys[2], keys[1]]);
}

#[test]
fn a_newcomer_passes_nobody_who_leaves_no_more_free_and_could_go_now() {
    let kept = |share| Spare::millionths(share);
    let mut spares = [kept(200_000); CLASSES];
    spares[0] = Spare::NOTHING;
    let queue = Queue::<u32>::new(1).keeping(spares);
    let mut line = Line {
        ledger: rolling(100, 10 * SECOND),
        queue,
        next: 0,
    };
    line.join(tokens(10), class(2));
    let mut passes = |of| {
        let pass = line
            .queue
            .pass(&mut line.ledger, &tokens(5), false, class(of));
        if pass {
            line.ledger.release(&tokens(5), false);
        }
        pass
    };
    assert_eq!([passes(0), passes(1), passes(2)], [true, false, false]);
}

#[test]
fn whoever_passes_leaves_the_head_a_place_in_flight_if_it_takes_one() {
    for (places, slot, passes) in [(1, true, false), (1, false, true), (2, true, true)] {
        let limits = [(limit(Kind::Rolling, 100, 10 * SECOND, 0), Kind::Rolling)];
        let mut line = Line::new();
        line.ledger = ledger_of(&limits, places);
        line.ledger.hold(&tokens(95), false);
        line.ledger.date(&tokens(95));
        let never = at(u64::MAX);
        let all = tokens(100);
        (line.queue).push(&line.ledger, all, slot, Some(class(3)), at(0), never);
        // It expires with what the head waits for, and so delays nobody.
        let pass = (line.queue).pass(&mut line.ledger, &tokens(5), true, class(3));
        assert_eq!(pass, passes, "{places} places, {slot}");
        assert_eq!(line.ledger.in_flight(), usize::from(passes));
    }
}

#[test]
fn where_only_a_landing_helps_there_is_no_instant_to_come_back_at() {
    let limits = [(limit(Kind::Rolling, 100, 10 * SECOND, 0), Kind::Rolling)];
    let mut line = Line::new();
    line.ledger = ledger_of(&limits, 1);
    line.ledger.hold(&Cost::none(), true);
    let never = at(u64::MAX);
    (line.queue).push(&line.ledger, tokens(1), true, Some(class(3)), at(0), never);
    assert_eq!(line.turn(), (vec![], Next::Idle));
}

#[test]
fn of_two_who_are_next_together_the_more_urgent_one_passes() {
    let mut line = Line::new();
    let join = |line: &mut Line, n, of, now| {
        let key = line.queue.push(
            &line.ledger,
            tokens(n),
            false,
            Some(class(of)),
            at(now),
            at(u64::MAX),
        );
        *line.queue.waker(key) = Some(line.next);
        line.next += 1;
    };
    let later = PENALTY.as_nanos() as u64;
    line.ledger = rolling(100, 100 * SECOND);
    join(&mut line, 100, 0, 1);
    join(&mut line, 10, 1, 2);
    line.ledger.advance(at(later + 2));
    line.ledger.hold(&tokens(90), false);
    line.ledger.date(&tokens(90));
    join(&mut line, 10, 0, later + 2);
    let mut woken = Vec::with_capacity(9);
    let _ = line.queue.turn(&mut line.ledger, at(later + 2), &mut woken);
    assert_eq!(woken, [2]);
}

#[test]
fn what_goes_before_a_newcomer_is_by_flows_as_they_are_now() {
    let mut line = Line::new();
    let keys: Vec<_> = (1..=3)
        .map(|flow| line.join(tokens(10), Place::new(2, flow)))
        .collect();
    let ahead = |line: &Line, flow| line.queue.asked(0, Place::new(2, flow));
    assert_eq!([ahead(&line, 9), ahead(&line, 1)], [30, 30]);
    line.join(tokens(10), Place::new(2, 1));
    line.join(tokens(10), Place::new(2, 1));
    assert_eq!([ahead(&line, 9), ahead(&line, 2)], [30, 50]);
    // One flow less.
    let _ = line.queue.leave(&mut line.ledger, keys[2]);
    assert_eq!([ahead(&line, 9), ahead(&line, 2)], [20, 30]);
}

#[test]
fn many_keys_once_do_not_keep_their_memory() {
    for (most, keeps) in [
        (500, [true, true]),
        (1_024, [true, false]),
        (2_000, [false, false]),
    ] {
        let mut line = Line::new();
        let keys: Vec<_> = (1..=most)
            .map(|flow| line.join(tokens(1), Place::new(0, flow)))
            .collect();
        let last = keys[0];
        for key in keys.into_iter().skip(1) {
            let _ = line.queue.leave(&mut line.ledger, key);
        }
        let [flows, keyed] = line.queue.room();
        assert!(
            flows >= most as usize && keyed >= most as usize,
            "one still waits"
        );
        let _ = line.queue.leave(&mut line.ledger, last);
        let kept = line.queue.room().map(|room| room > 0);
        assert_eq!(kept, keeps, "{most}");
    }
}

#[test]
fn behind_those_who_are_told_that_their_time_is_up_others_are_next() {
    let limits = [(limit(Kind::Rolling, 100, 10 * SECOND, 0), Kind::Rolling)];
    let mut line = Line::new();
    line.ledger = ledger_of(&limits, usize::MAX);
    line.ledger.hold(&tokens(95), false);
    line.ledger.date(&tokens(95));
    line.join(tokens(100), class(0));
    for _ in 0..33 {
        let place = Some(class(3));
        let key = (line.queue).push(&line.ledger, tokens(50), false, place, at(0), at(0));
        *line.queue.waker(key) = Some(99);
    }
    let small = line.next;
    line.join(tokens(5), class(3));
    let (woken, _) = line.turn();
    assert_eq!((woken.len(), woken.last()), (34, Some(&small)));
}
