//! The line by random operations, one offer at a time, against a list in order of rank.

use super::{Kind, Random, at, at_of, cases, ledger_of, limit, tokens};
use crate::core::{
    cost::Cost,
    ledger::{Fit, Ledger},
    queue::{CLASSES, Key, Look, Next, PENALTY, Place, Queue},
    time::Time,
};

#[derive(Clone, Debug)]
struct Waiter {
    id: u64,
    key: Key,
    cost: Cost,
    rank: u64,
    came: u64,
    deadline: u64,
    class: u8,
    flow: u64,
}

impl Waiter {
    fn turn(&self) -> (u8, u64) {
        (self.class, self.flow)
    }
}

struct World {
    ledger: Ledger,
    queue: Queue<u64>,
    now: u64,
    // Waiting in line, in order of rank; then those whose turn it is or who expired; those who let one lapse.
    line: Vec<Waiter>,
    told: Vec<(Waiter, u64)>,
    flying: Vec<Cost>,
    slots: bool,
    // The flows of those in line, in the order of their turns.
    turns: Vec<(u8, u64)>,
    // How many came back.
    back: u64,
    seed: u64,
}

impl World {
    /// Of the class of whoever has the least rank, the first of the flow whose turn it is.
    fn head(&self) -> Option<&Waiter> {
        let oldest = self.line.iter().min_by_key(|w| (w.rank, w.came))?;
        let turn = self.turns.iter().find(|turn| turn.0 == oldest.class);
        self.first_of(*turn.expect("somebody of this class waits"))
    }

    fn first_of(&self, turn: (u8, u64)) -> Option<&Waiter> {
        let of_flow = self.line.iter().filter(|w| w.turn() == turn);
        of_flow.min_by_key(|w| (w.rank, w.came))
    }

    fn join(&mut self, waiter: Waiter) {
        if !self.turns.contains(&waiter.turn()) {
            self.turns.push(waiter.turn());
        }
        self.line.push(waiter);
    }

    /// Whoever goes as the first of its flow has had its turn; a flow without waiters has none.
    fn go(&mut self, which: usize, offered: bool) -> Waiter {
        let first = self.first_of(self.line[which].turn()).map(|w| w.id);
        let waiter = self.line.remove(which);
        let stays = self.line.iter().any(|w| w.turn() == waiter.turn());
        let had_its_turn = offered && first == Some(waiter.id);
        if had_its_turn || !stays {
            self.turns.retain(|turn| *turn != waiter.turn());
        }
        if had_its_turn && stays {
            self.turns.push(waiter.turn());
        }
        waiter
    }

    /// Turns until the line says when to come back, and judges each offer.
    fn turn(&mut self) -> Next {
        for _ in 0..10_000 {
            // Lapses first, so that what the head sees is what the turn sees.
            self.queue.take_back(&mut self.ledger, at(self.now));
            let head = self.head().cloned();
            let before = head
                .as_ref()
                .map(|head| self.ledger.fit(&head.cost, self.slots));
            let mut woken = Vec::with_capacity(1);
            let next = self.queue.turn(&mut self.ledger, at(self.now), &mut woken);
            for id in woken {
                let which = self
                    .line
                    .iter()
                    .position(|w| w.id == id)
                    .expect("woken in line");
                let offered = self.queue.is_offered(self.line[which].key);
                let waiter = self.go(which, offered);
                let head = head.as_ref().expect("somebody waits");
                let (seed, before) = (self.seed, before.expect("a head"));
                let expired = waiter.deadline <= self.now
                    || matches!(self.ledger.fit(&waiter.cost, self.slots), Fit::At { at, .. } if at.nanos() > waiter.deadline);
                if waiter.id != head.id && !expired {
                    let ahead = self
                        .line
                        .iter()
                        .filter(|w| (w.rank, w.came) < (waiter.rank, waiter.came))
                        .count();
                    assert!(ahead <= 32, "seed {seed}: {ahead} were passed over");
                    let after = self.ledger.fit(&head.cost, self.slots);
                    assert_eq!(
                        at_of(before),
                        at_of(after),
                        "seed {seed}: the head was delayed"
                    );
                    assert!(at_of(before).is_some(), "seed {seed}");
                } else if waiter.id == head.id && before != Fit::Now {
                    assert!(
                        expired || matches!(before, Fit::Never { .. }),
                        "seed {seed}: {before:?}"
                    );
                }
                self.told.push((waiter, self.now));
            }
            if next != Next::Again {
                if let Next::At(t) = next {
                    assert!(t > at(self.now), "seed {}: a busy loop", self.seed);
                }
                return next;
            }
        }
        panic!("seed {}: the line doesn't come to rest", self.seed)
    }

    fn look(&mut self, which: usize) {
        let (mut waiter, told) = self.told.swap_remove(which);
        match self.queue.look(&self.ledger, waiter.key) {
            Look::Granted(cost, slot, _) => {
                assert_eq!((cost.clone(), slot), (waiter.cost, self.slots));
                self.flying.push(cost);
            }
            Look::Expired(..) => {}
            Look::Back => {
                assert!(self.now >= told + 1_000_000_000, "lapsed too early");
                *self.queue.waker(waiter.key) = Some(waiter.id);
                // Behind those of the very same rank.
                self.back += 1;
                waiter.came = (waiter.came >> 32 << 32) + (1 << 31) + self.back;
                self.join(waiter);
            }
            Look::NotYet => panic!("woken for nothing"),
        }
    }

    fn leave(&mut self, key: Key) {
        let (turn, _) = self.queue.leave(&mut self.ledger, key);
        if turn {
            self.turn();
        }
    }

    fn fly(&mut self, which: usize, random: &mut Random) {
        let cost = self.flying.swap_remove(which);
        if random.chance(80) {
            self.ledger.date(&cost);
            if self.slots {
                let _ = self.ledger.land();
            }
        } else {
            self.ledger.release(&cost, self.slots);
        }
        self.turn();
    }
}

const WINDOW: u64 = 10_000_000_000;

fn world(seed: u64) -> (World, Random) {
    let mut random = Random(seed);
    let kinds = [
        Kind::Rolling,
        Kind::Bucket,
        Kind::Aligned(5),
        Kind::FirstUse,
    ];
    let mut limits = Vec::new();
    for _ in 0..=random.upto(1) {
        let kind = kinds[random.upto(3) as usize];
        limits.push((
            limit(kind, 100, WINDOW >> random.upto(2), WINDOW / 640),
            kind,
        ));
    }
    let slots = random.chance(30);
    let ledger = ledger_of(&limits, if slots { 3 } else { usize::MAX });
    let queue = Queue::new(limits.len());
    let world = World {
        ledger,
        queue,
        now: 0,
        line: vec![],
        told: vec![],
        turns: vec![],
        flying: vec![],
        slots,
        back: 0,
        seed,
    };
    (world, random)
}

#[test]
fn nobody_delays_the_head_and_everybody_gets_away() {
    for seed in 0..cases(1_000) {
        let (mut w, mut random) = world(seed);
        let flows = random.chance(50);
        for id in 0..300u64 {
            match random.upto(9) {
                0..=4 => {
                    let cost =
                        tokens([random.upto(5), random.upto(100), 100][random.upto(2) as usize]);
                    let class = if random.chance(70) {
                        2
                    } else {
                        random.upto(CLASSES as u64 - 1) as u8
                    };
                    let flow = if flows { random.upto(3) } else { 0 };
                    let deadline = w.now + random.upto(6) * WINDOW;
                    let key = w.queue.push(
                        &w.ledger,
                        cost.clone(),
                        w.slots,
                        Some(Place::new(class, flow)),
                        at(w.now),
                        at(deadline),
                    );
                    *w.queue.waker(key) = Some(id);
                    let rank = w.now + PENALTY.as_nanos() as u64 * u64::from(class);
                    w.join(Waiter {
                        id,
                        key,
                        cost,
                        rank,
                        came: (u64::from(class) << 32) + id,
                        deadline,
                        class,
                        flow,
                    });
                    w.turn();
                }
                5 if !w.told.is_empty() => {
                    let which = random.upto(w.told.len() as u64 - 1) as usize;
                    let key = w.told.swap_remove(which).0.key;
                    w.leave(key);
                }
                6 if !w.line.is_empty() => {
                    let which = random.upto(w.line.len() as u64 - 1) as usize;
                    let key = w.go(which, false).key;
                    w.leave(key);
                }
                7 if !w.told.is_empty() => w.look(random.upto(w.told.len() as u64 - 1) as usize),
                8 if !w.flying.is_empty() => {
                    let which = random.upto(w.flying.len() as u64 - 1) as usize;
                    w.fly(which, &mut random);
                }
                _ => {
                    w.now += random.upto(WINDOW / 8);
                    w.ledger.advance(at(w.now));
                    w.turn();
                }
            }
        }
        drain(&mut w, &mut random);
    }
}

fn drain(w: &mut World, random: &mut Random) {
    let mut rounds = 0;
    while !(w.line.is_empty() && w.told.is_empty() && w.flying.is_empty()) {
        rounds += 1;
        assert!(
            rounds < 20_000,
            "seed {}: {} still wait",
            w.seed,
            w.line.len()
        );
        while !w.told.is_empty() {
            w.look(0);
        }
        while !w.flying.is_empty() {
            w.fly(0, random);
        }
        match w.turn() {
            Next::At(t) => w.now = t.nanos(),
            Next::Idle => assert!(
                w.line.is_empty() || !w.told.is_empty(),
                "seed {}: forgotten",
                w.seed
            ),
            Next::Again => unreachable!(),
        }
        w.ledger.advance(at(w.now));
    }
    assert_eq!(
        (w.queue.waiting(), w.queue.taken()),
        (0, 0),
        "seed {}",
        w.seed
    );
    for (index, meter) in w.ledger.meters().iter().enumerate() {
        assert_eq!(
            (meter.held(), w.queue.asked_by_all(index)),
            (0, 0),
            "seed {}",
            w.seed
        );
    }
    assert_eq!(w.ledger.in_flight(), 0, "seed {}", w.seed);
}

#[test]
fn a_line_that_was_long_gives_its_memory_back() {
    let (mut w, _) = world(1);
    let push = |w: &mut World| {
        w.queue.push(
            &w.ledger,
            tokens(1),
            false,
            Some(Place::default()),
            Time::ZERO,
            Time::MAX,
        )
    };
    let keys: Vec<_> = (0..5_000).map(|_| push(&mut w)).collect();
    assert_eq!(w.queue.taken(), 5_000);
    for key in keys {
        let _ = w.queue.leave(&mut w.ledger, key);
    }
    assert_eq!((w.queue.taken(), w.queue.places()), (0, 0));
}
