//! Whenever the line rests, nobody who could go stands still.
//!
//! Driven as a quota drives it: it turns only where it is told to, and when its timer fires.

use super::{Kind, Random, at, cases, ledger_of, limit, tokens};
use crate::core::{
    cost::Cost,
    ledger::{Fit, Ledger, Spare},
    queue::{CLASSES, Key, Look, Next, Place, Queue},
};

const SECOND: u64 = 1_000_000_000;
const WINDOW: u64 = 10 * SECOND;

struct Waiter {
    id: u64,
    key: Key,
    deadline: u64,
}

struct World {
    ledger: Ledger,
    queue: Queue<u64>,
    now: u64,
    // When the timer fires.
    timer: u64,
    waiting: Vec<Waiter>,
    told: Vec<Waiter>,
    flying: Vec<Cost>,
    slots: bool,
    max_wait: u64,
    seed: u64,
}

impl World {
    fn new(random: &mut Random) -> Self {
        let seed = random.0;
        let kinds = [
            Kind::Rolling,
            Kind::Bucket,
            Kind::Aligned(5),
            Kind::FirstUse,
        ];
        let mut limits = Vec::new();
        for _ in 0..=random.upto(1) {
            let kind = kinds[random.upto(3) as usize];
            let window = WINDOW << random.upto(3);
            limits.push((limit(kind, 100, window, WINDOW / 640), kind));
        }
        let slots = random.chance(50);
        let steps: [u64; CLASSES] = std::array::from_fn(|_| match random.chance(40) {
            true => random.upto(150_000),
            false => 0,
        });
        let keeps = random.chance(70);
        let spares = std::array::from_fn(|class| match keeps {
            true => Spare::millionths(steps[..class].iter().sum::<u64>().min(900_000) as u32),
            false => Spare::NOTHING,
        });
        let room = if slots {
            1 + random.upto(5) as usize
        } else {
            usize::MAX
        };
        Self {
            ledger: ledger_of(&limits, room).keeping(spares[CLASSES - 1]),
            queue: Queue::new(limits.len()).keeping(spares),
            now: 0,
            timer: u64::MAX,
            waiting: vec![],
            told: vec![],
            flying: vec![],
            slots,
            max_wait: [3, 20, 60, 300][random.upto(3) as usize] * SECOND,
            seed,
        }
    }

    fn turn(&mut self) {
        for _ in 0..100_000 {
            if self.queue.waiting() == 0 {
                return;
            }
            let mut woken = Vec::with_capacity(3);
            let next = self.queue.turn(&mut self.ledger, at(self.now), &mut woken);
            for id in woken {
                let which = self.waiting.iter().position(|w| w.id == id);
                let waiter = self.waiting.swap_remove(which.expect("woken in line"));
                self.told.push(waiter);
            }
            match next {
                Next::Again => {}
                Next::Idle => return,
                Next::At(t) => {
                    assert!(t > at(self.now), "seed {}: a busy loop", self.seed);
                    self.timer = self.timer.min(t.nanos());
                    return;
                }
            }
        }
        panic!("seed {}: no rest", self.seed);
    }

    /// As a waiter that is polled for the first time.
    fn planned(&mut self) {
        let planned = match self.queue.planned() {
            Some(Next::At(t)) => t > at(self.now) && self.timer <= t.nanos(),
            Some(Next::Idle) => true,
            Some(Next::Again) | None => false,
        };
        if !planned {
            self.turn();
        }
    }

    fn ask(&mut self, id: u64, random: &mut Random) {
        let n = [random.upto(5), random.upto(60), random.upto(100), 100][random.upto(3) as usize];
        let cost = tokens(n);
        let begun = random.chance(5);
        let class = [0, 2, 6, random.upto(7)][random.upto(3) as usize] as u8;
        let place = (!begun).then(|| Place::new(class, random.upto(3)));
        let slot = self.slots && !begun;
        let now = at(self.now);
        self.queue.take_back(&mut self.ledger, now);
        let spare = place.map_or(Spare::NOTHING, |place| self.queue.spare(place));
        let fits = self.ledger.fit_beside(&cost, slot, spare) == Fit::Now;
        if fits && (self.queue.waiting() == 0 || begun) {
            self.ledger.hold(&cost, slot);
            self.leaves(cost, slot);
            return;
        }
        if fits
            && self
                .queue
                .pass(&mut self.ledger, &cost, slot, place.unwrap_or_default())
        {
            self.leaves(cost, slot);
            return;
        }
        let deadline = self.now + self.max_wait;
        let key = self
            .queue
            .push(&self.ledger, cost, slot, place, now, at(deadline));
        *self.queue.waker(key) = Some(id);
        self.waiting.push(Waiter { id, key, deadline });
        self.planned();
    }

    fn leaves(&mut self, cost: Cost, slot: bool) {
        self.ledger.date(&cost);
        if slot {
            self.flying.push(cost);
        }
    }

    fn look(&mut self, which: usize) {
        let waiter = self.told.swap_remove(which);
        match self.queue.look(&self.ledger, waiter.key) {
            Look::Granted(cost, slot, _) => self.leaves(cost, slot),
            Look::Expired(..) => {}
            Look::Back => {
                *self.queue.waker(waiter.key) = Some(waiter.id);
                self.waiting.push(waiter);
                self.planned();
            }
            Look::NotYet => panic!("seed {}: woken for nothing", self.seed),
        }
    }

    fn leave(&mut self, key: Key) {
        let (turn, _) = self.queue.leave(&mut self.ledger, key);
        if turn {
            self.turn();
        }
    }

    fn land(&mut self) {
        if self.flying.pop().is_some() && self.ledger.land() && self.queue.waiting() > 0 {
            self.turn();
        }
    }

    /// Some time passes; the timer fires where it was set.
    fn pass(&mut self, span: u64) {
        let until = self.now + span;
        while self.timer <= until {
            self.now = self.now.max(self.timer);
            self.timer = u64::MAX;
            self.ledger.advance(at(self.now));
            self.turn();
            self.rests("a timer");
        }
        self.now = until;
        self.ledger.advance(at(self.now));
    }

    fn rests(&self, after: &str) {
        let (seed, now) = (self.seed, self.now);
        if let Some(due) = self.queue.due(&self.ledger) {
            assert!(
                due > at(now) && self.timer <= due.nanos(),
                "seed {seed}: whoever is next isn't woken in time after {after} at {now}: {due:?}, {}",
                self.timer
            );
        }
        for waiter in &self.waiting {
            assert!(
                waiter.deadline > now || (waiter.deadline == now && self.timer <= now),
                "seed {seed}: {} isn't told that its time is up after {after} at {now}, but {}",
                waiter.id,
                waiter.deadline
            );
        }
    }

    fn drain(&mut self) {
        for _ in 0..100_000 {
            if self.waiting.is_empty() && self.told.is_empty() && self.flying.is_empty() {
                break;
            }
            while !self.told.is_empty() {
                self.look(0);
            }
            while !self.flying.is_empty() {
                self.land();
            }
            if !self.waiting.is_empty() && self.told.is_empty() {
                assert!(self.timer < u64::MAX, "seed {}: forgotten", self.seed);
                self.pass(self.timer.saturating_sub(self.now));
            }
        }
        let seed = self.seed;
        assert_eq!(
            (self.queue.waiting(), self.queue.taken()),
            (0, 0),
            "seed {seed}"
        );
        for (index, meter) in self.ledger.meters().iter().enumerate() {
            let sums = (meter.held(), self.queue.asked_by_all(index));
            assert_eq!(sums, (0, 0), "seed {seed}");
        }
        assert_eq!(self.ledger.in_flight(), 0, "seed {seed}");
    }
}

#[test]
fn nobody_who_could_go_stands_still_and_everybody_is_told_in_time() {
    for seed in 0..cases(2_000) {
        let mut random = Random(seed);
        let mut w = World::new(&mut random);
        w.seed = seed;
        for id in 0..300 {
            let after = match random.upto(11) {
                0..=4 => {
                    w.ask(id, &mut random);
                    "an ask"
                }
                5 if !w.waiting.is_empty() => {
                    let which = random.upto(w.waiting.len() as u64 - 1) as usize;
                    let key = w.waiting.swap_remove(which).key;
                    w.leave(key);
                    "a leave"
                }
                6 if !w.told.is_empty() => {
                    let which = random.upto(w.told.len() as u64 - 1) as usize;
                    let key = w.told.swap_remove(which).key;
                    w.leave(key);
                    "an offer that was left"
                }
                7 | 8 if !w.told.is_empty() => {
                    w.look(random.upto(w.told.len() as u64 - 1) as usize);
                    "a look"
                }
                9 => {
                    w.land();
                    "a landing"
                }
                10 if random.chance(20) => {
                    w.ledger.pause(None, at(w.now + random.upto(2 * WINDOW)));
                    w.turn();
                    "a pause"
                }
                _ => {
                    w.pass([SECOND / 100, SECOND, WINDOW][random.upto(2) as usize]);
                    "some time"
                }
            };
            w.rests(after);
        }
        w.drain();
    }
}
