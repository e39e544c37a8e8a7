//! What is kept for the more urgent.

use super::{at, at_of, rolling, tokens};
use crate::core::{
    ledger::{Fit, Ledger, Spare},
    queue::{CLASSES, Key, Look, Next, Place, Queue},
};

const SECOND: u64 = 1_000_000_000;
// An eighth of the window: its stamps are exact there.
const EIGHTH: u64 = 10 * SECOND / 8;
const NEVER: u64 = u64::MAX;

struct Line {
    ledger: Ledger,
    queue: Queue<u32>,
    now: u64,
    keys: Vec<(u32, Key, u64)>,
}

impl Line {
    /// A rolling limit of 100 in ten seconds, of which 20 are kept for class 0, and 10 more for those up to class 2.
    fn new() -> Self {
        let share = |class| match class {
            0 => 0,
            1 | 2 => 200_000,
            _ => 300_000,
        };
        let spares: [Spare; CLASSES] = std::array::from_fn(|class| Spare::millionths(share(class)));
        Self {
            ledger: rolling(100, 10 * SECOND).keeping(spares[CLASSES - 1]),
            queue: Queue::new(1).keeping(spares),
            now: 0,
            keys: Vec::new(),
        }
    }

    fn at(&mut self, now: u64) {
        self.now = now;
        self.ledger.advance(at(now));
    }

    fn spend(&mut self, n: u64) {
        self.ledger.hold(&tokens(n), false);
        self.ledger.date(&tokens(n));
    }

    fn passes(&mut self, n: u64, class: u8) -> bool {
        let place = Place::new(class, 0);
        let passes = self.queue.pass(&mut self.ledger, &tokens(n), false, place);
        if passes {
            self.ledger.date(&tokens(n));
        }
        passes
    }

    fn join(&mut self, id: u32, n: u64, class: u8) {
        self.join_flow(id, n, class, 0);
    }

    fn join_flow(&mut self, id: u32, n: u64, class: u8, flow: u64) {
        let place = Some(Place::new(class, flow));
        let (now, never) = (at(self.now), at(NEVER));
        let key = (self.queue).push(&self.ledger, tokens(n), false, place, now, never);
        *self.queue.waker(key) = Some(id);
        self.keys.push((id, key, n));
    }

    /// Who goes at that instant: what they take leaves at once.
    fn turn(&mut self, now: u64) -> (Vec<u32>, Next) {
        self.at(now);
        let mut woken = Vec::with_capacity(1_000);
        let next = self.queue.turn(&mut self.ledger, at(now), &mut woken);
        for id in &woken {
            let which = self.keys.iter().position(|(other, ..)| other == id);
            let (_, key, n) = self.keys.remove(which.expect("it waits"));
            let look = self.queue.look(&self.ledger, key);
            assert!(matches!(look, Look::Granted(..)));
            self.ledger.date(&tokens(n));
        }
        (woken, next)
    }
}

#[test]
fn the_less_urgent_leave_a_part_that_the_more_urgent_use() {
    let mut line = Line::new();
    assert!(line.passes(70, 6));
    assert!(!line.passes(1, 6));
    assert!(line.passes(10, 2));
    assert!(!line.passes(1, 2));
    assert!(line.passes(20, 0));
    assert!(!line.passes(1, 0));
}

#[test]
fn what_is_larger_than_its_part_goes_alone_and_is_not_shut_out() {
    let mut line = Line::new();
    assert!(line.passes(90, 6));
    let mut line = Line::new();
    line.spend(1);
    line.join(1, 90, 6);
    let (woken, next) = line.turn(0);
    assert_eq!((woken, next), (vec![], Next::At(at(10 * SECOND))));
    assert_eq!(line.turn(10 * SECOND).0, [1]);
}

#[test]
fn who_waits_for_what_is_kept_holds_nobody_up_for_whom_it_is_kept() {
    let mut line = Line::new();
    line.at(EIGHTH);
    line.spend(75);
    line.join(6, 10, 6);
    assert_eq!(line.turn(EIGHTH), (vec![], Next::At(at(9 * EIGHTH))));
    // Newcomers who may have it don't even wait.
    assert!(line.passes(5, 2));
    assert!(line.passes(5, 0));
    // Nor do they where they are in line behind it.
    line.join(2, 1, 2);
    line.join(0, 10, 0);
    assert_eq!(line.turn(2 * EIGHTH).0, [0]);
    // 95 of 100: nothing is left of what class 2 may have.
    assert!(line.turn(3 * EIGHTH).0.is_empty());
    assert_eq!(line.turn(9 * EIGHTH).0, [2, 6]);
}

#[test]
fn what_is_not_kept_is_for_whoever_is_first() {
    let mut line = Line::new();
    line.at(EIGHTH);
    line.spend(100);
    line.join(6, 10, 6);
    line.at(50 * EIGHTH);
    line.spend(100);
    line.join(2, 10, 2);
    // Both fit in 58 eighths, and the background counts as having come first; something is kept from it until 73.
    assert_eq!(line.turn(50 * EIGHTH), (vec![], Next::At(at(58 * EIGHTH))));
    assert_eq!(line.turn(58 * EIGHTH).0, [6, 2]);
}

#[test]
fn nothing_is_kept_from_who_has_waited_long_enough() {
    let mut line = Line::new();
    line.at(EIGHTH);
    line.spend(75);
    line.join(6, 10, 6);
    // The more urgent take all that may be had, again and again.
    let mut gone = Vec::new();
    for eighth in 1..100u64 {
        line.join(eighth as u32 + 100, 12 + eighth % 2, 0);
        let (woken, _) = line.turn(eighth * EIGHTH);
        gone.extend(woken.contains(&6).then_some(eighth));
    }
    // It came at 1, and 90 s are 72 eighths: then it is next, whoever has come since, and goes when there is room again.
    assert!(gone.len() == 1 && (73..=81).contains(&gone[0]), "{gone:?}");
}

#[test]
fn places_in_flight_are_kept_too() {
    let spares =
        std::array::from_fn(|class| Spare::millionths(if class < 3 { 0 } else { 250_000 }));
    let mut ledger = super::ledger_of(&[], 4).keeping(spares[CLASSES - 1]);
    let mut queue = Queue::<u32>::new(0).keeping(spares);
    let background = Place::new(6, 0);
    for _ in 0..3 {
        assert!(queue.pass(&mut ledger, &tokens(0), true, background));
    }
    assert!(!queue.pass(&mut ledger, &tokens(0), true, background));
    let key = queue.push(
        &ledger,
        tokens(0),
        true,
        Some(background),
        at(SECOND),
        at(NEVER),
    );
    *queue.waker(key) = Some(1);
    let mut woken = Vec::with_capacity(8);
    let next = queue.turn(&mut ledger, at(SECOND), &mut woken);
    assert_eq!((woken.len(), next), (0, Next::At(at(91 * SECOND))));
    assert!(queue.pass(&mut ledger, &tokens(0), true, Place::new(0, 0)));
    assert_eq!(ledger.fit(&tokens(0), true), Fit::InFlight);
    // Whenever anybody lands somebody's turn may have come.
    assert!(ledger.land());
    assert!(ledger.land());
    queue.turn(&mut ledger, at(2 * SECOND), &mut woken);
    assert_eq!(woken, [1]);
}

#[test]
fn the_more_urgent_come_when_what_they_leave_free_does_though_others_are_before_them() {
    let mut line = Line::new();
    line.join(0, 5, 3);
    line.at(7 * EIGHTH);
    line.spend(10);
    line.at(9 * EIGHTH);
    line.spend(70);
    // By its rank it comes after the other, which has 30 kept from it, and may have ten of those.
    line.at(13 * EIGHTH);
    line.join(1, 4, 2);
    assert_eq!(line.turn(13 * EIGHTH), (vec![], Next::At(at(15 * EIGHTH))));
    assert_eq!(line.turn(15 * EIGHTH).0, [1]);
    assert_eq!(line.turn(17 * EIGHTH).0, [0]);
}

#[test]
fn whose_rank_comes_before_that_of_whose_turn_it_is_comes_then() {
    let mut line = Line::new();
    line.spend(62);
    for (id, flow) in [(0, 1), (1, 2), (2, 1)] {
        line.join_flow(id, 5, 3, flow);
    }
    assert_eq!(line.turn(0).0, [0], "the other flow is next");
    line.at(14 * EIGHTH);
    line.join(3, 4, 2);
    // Of that flow one is left that came after the more urgent one.
    line.at(16 * EIGHTH);
    line.join_flow(4, 5, 3, 2);
    let (_, first, _) = line.keys[0];
    let _ = line.queue.leave(&mut line.ledger, first);
    line.at(31 * EIGHTH);
    line.spend(90);
    // After thirty seconds nothing is kept from it, though 30 still are from the other.
    let rank = (14 + 24) * EIGHTH;
    assert_eq!(line.turn(31 * EIGHTH), (vec![], Next::At(at(rank))));
    line.keys.remove(0);
    assert_eq!(line.turn(rank).0[0], 3);
}

#[test]
fn a_newcomer_is_told_when_nothing_is_kept_from_it_any_more() {
    let mut line = Line::new();
    line.ledger = rolling(100, 100 * SECOND);
    line.spend(80);
    let fit = |n, class| {
        let place = Some(Place::new(class, 0));
        let fit = line.queue.fit(&line.ledger, &tokens(n), false, place);
        at_of(fit).map(|at| at / SECOND)
    };
    assert_eq!(fit(5, 0), None, "it fits");
    assert_eq!(fit(5, 3), Some(45), "the rank of its class");
    assert_eq!(fit(21, 3), Some(100), "what expires");
}
