//! Whole histories against naive providers, that keep or give back.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

use super::*;
use crate::core::{
    cost::{Cost, Resource},
    ledger::{Fit, Ledger, Stated},
    limit::LimitId,
    meter::tests::{Kind, Random, at, cases, limit, meter_of},
};

mod steps;

const WINDOW: u64 = 60_000_000_000;
const TRANSIT: u64 = WINDOW / 64;
const SECOND: u64 = 1_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    Rolling,
    Bucket,
    /// With a boundary there, or else at the first use after the last window.
    Fixed(Option<u64>),
}

/// Counts as told, exactly.
struct Provider {
    shape: Shape,
    limit: u64,
    keeps: bool,
    // When, which request (none of ours: 0), and how much.
    log: VecDeque<(u64, u64, u64)>,
    begun: u64,
    missing: f64,
    at: u64,
}

impl Provider {
    fn new(shape: Shape, limit: u64, keeps: bool) -> Self {
        Self {
            shape,
            limit,
            keeps,
            log: VecDeque::new(),
            begun: 0,
            missing: 0.0,
            at: 0,
        }
    }

    fn advance(&mut self, now: u64) {
        let refill = self.limit as f64 * (now - self.at) as f64 / WINDOW as f64;
        self.missing = (self.missing - refill).max(0.0);
        self.at = now;
        let first = match self.shape {
            Shape::Rolling | Shape::Bucket => (now + 1).saturating_sub(WINDOW),
            Shape::Fixed(Some(phase)) => {
                ((now + WINDOW - phase) / WINDOW * WINDOW + phase).saturating_sub(WINDOW)
            }
            Shape::Fixed(None) => {
                if now >= self.begun + WINDOW {
                    self.begun = now;
                }
                self.begun
            }
        };
        while self.log.front().is_some_and(|(at, _, _)| *at < first) {
            self.log.pop_front();
        }
    }

    /// Whether that was admitted.
    fn charge(&mut self, id: u64, tokens: u64, now: u64) -> bool {
        self.advance(now);
        if self.used() + tokens > self.limit {
            return false;
        }
        self.missing += tokens as f64;
        self.log.push_back((now, id, tokens));
        true
    }

    fn settle(&mut self, id: u64, used: u64, now: u64) {
        self.advance(now);
        if self.keeps {
            return;
        }
        if let Some(charge) = self.log.iter_mut().find(|(_, other, _)| *other == id) {
            self.missing = (self.missing - charge.2 as f64 + used as f64).max(0.0);
            charge.2 = used;
        }
    }

    fn used(&self) -> u64 {
        if self.shape == Shape::Bucket {
            return self.missing.ceil() as u64;
        }
        self.log.iter().map(|(_, _, tokens)| tokens).sum()
    }
}

/// How one client behaves, and what happens to its requests.
#[derive(Clone, Debug)]
struct History {
    limit: u64,
    counts_as: Kind,
    // In percent of what is reserved.
    used: (u64, u64),
    jitter: u64,
    latency: (u64, u64),
    // How long it asks as much as it may, and how long hardly anything, by turns.
    busy: (u64, u64),
    // In percent: never got there; got there, but the answer got lost; were refused and not counted.
    lost: u64,
    unheard: u64,
    invalid: u64,
    others: u64,
    // What the provider charges less than is reserved, in percent.
    less: u64,
    windows: u64,
}

impl History {
    /// A client that always asks as much as it may.
    fn saturated(used: (u64, u64)) -> Self {
        Self {
            limit: 30_000,
            counts_as: Kind::Rolling,
            used,
            jitter: TRANSIT / 2,
            latency: (SECOND / 3, 3 * SECOND),
            busy: (u64::MAX, 0),
            lost: 0,
            unheard: 0,
            invalid: 0,
            others: 0,
            less: 0,
            windows: 12,
        }
    }

    fn any(random: &mut Random) -> Self {
        let low = random.upto(95);
        let high = low + random.upto(100 - low);
        let fast = random.upto(SECOND * 2);
        let kinds = [
            Kind::Rolling,
            Kind::Rolling,
            Kind::Bucket,
            Kind::Aligned(7),
            Kind::FirstUse,
        ];
        let always = random.chance(50);
        let slowest = if random.chance(50) { 3 } else { 25 };
        Self {
            limit: 3_000 + random.upto(60_000),
            counts_as: kinds[random.upto(4) as usize],
            used: (low, high),
            jitter: random.upto(TRANSIT),
            latency: (fast, fast + random.upto(slowest) * SECOND),
            busy: match always {
                true => (u64::MAX, 0),
                false => (random.upto(2 * WINDOW), random.upto(WINDOW)),
            },
            lost: if random.chance(30) {
                random.upto(40)
            } else {
                0
            },
            unheard: if random.chance(30) {
                random.upto(20)
            } else {
                0
            },
            invalid: if random.chance(30) {
                random.upto(30)
            } else {
                0
            },
            others: if random.chance(50) {
                random.upto(60)
            } else {
                0
            },
            // One that charges less than is reserved by more than half of what isn't used is as good as one that gives back.
            less: if random.chance(30) {
                random.upto(5.min((100 - high) / 2))
            } else {
                0
            },
            windows: 12,
        }
    }

    /// After how many windows giving back was found out, if it was.
    fn play(&self, mut provider: Provider, random: &mut Random) -> Option<u64> {
        // It is watched as it is from then on, whatever it was before.
        let limit = limit(self.counts_as, 10, WINDOW, TRANSIT);
        let meter = meter_of(&limit, self.counts_as);
        let mut ledger = Ledger::new(vec![meter], usize::MAX, u64::MAX);
        let amount = self.limit;
        assert!(ledger.resize(
            LimitId {
                amount,
                ..limit.id()
            },
            amount
        ));
        // When, a number for the order, which request, and what happens to it.
        let mut events = BinaryHeap::new();
        let mut requests: Vec<(u64, u64, Departure, u64)> = Vec::new();
        let mut waiting = None;
        let end = self.windows * WINDOW;
        events.push(Reverse((0, 0, 0)));
        let mut asleep = false;
        while let Some(Reverse((now, what, id))) = events.pop().filter(|e| e.0.0 < end) {
            ledger.advance(at(now));
            match what {
                1 => {
                    let (tokens, _, _, _) = requests[id as usize];
                    let fate = random.upto(99);
                    let answered =
                        now + self.latency.0 + random.upto(self.latency.1 - self.latency.0);
                    provider.advance(now);
                    let gone = self.lost + self.unheard;
                    if (self.lost..gone).contains(&fate) {
                        provider.charge(id + 1, tokens, now);
                    }
                    if fate < gone {
                        continue;
                    }
                    let charged = tokens - tokens * self.less / 100;
                    if fate >= gone + self.invalid && provider.charge(id + 1, charged, now) {
                        let part = self.used.0 + random.upto(self.used.1 - self.used.0);
                        requests[id as usize].1 = (tokens * part / 100).max(1);
                    }
                    requests[id as usize].3 = provider.used();
                    events.push(Reverse((answered, 2, id)));
                }
                2 => {
                    let (tokens, used, departure, said) = requests[id as usize];
                    provider.settle(id + 1, used, now);
                    let left = self.limit.saturating_sub(said);
                    let stated = Stated {
                        limit: Some(self.limit),
                        remaining: Some(left),
                        window: None,
                    };
                    ledger.observe(Resource::Tokens, stated, departure);
                    ledger.settle(
                        &Cost::tokens(tokens),
                        &Cost::tokens(used),
                        departure.at,
                        Settle::Auto,
                    );
                }
                3 => {
                    provider.charge(0, id, now);
                }
                _ => asleep = false,
            }
            if ledger.gives_back() {
                return Some(now / WINDOW + 1);
            }
            if self.others > 0 && random.chance(self.others) && what == 1 {
                let when = now + random.upto(WINDOW / 4);
                events.push(Reverse((when, 3, random.upto(self.limit / 50))));
            }
            let (busy, idle) = self.busy;
            let round = busy.saturating_add(idle).max(1);
            let hardly = now % round >= busy;
            while !asleep {
                let size = || match random.upto(9) {
                    0 => 1 + self.limit / 30 + random.upto(self.limit / 60),
                    _ => 1 + random.upto(self.limit / 150),
                };
                let tokens = *waiting.get_or_insert_with(size);
                let cost = Cost::tokens(tokens);
                match ledger.fit(&cost, false) {
                    Fit::Now => {
                        ledger.hold(&cost, false);
                        let departure = ledger.date(&cost);
                        let id = requests.len() as u64;
                        requests.push((tokens, 0, departure, 0));
                        events.push(Reverse((now + random.upto(self.jitter), 1, id)));
                        waiting = None;
                        if hardly {
                            asleep = true;
                            events.push(Reverse((now + random.upto(4 * SECOND), 5, 0)));
                        }
                    }
                    Fit::At { at, .. } => {
                        asleep = true;
                        events.push(Reverse((at.nanos(), 5, 0)));
                    }
                    _ => unreachable!(),
                }
            }
        }
        None
    }
}

fn shapes(random: &mut Random) -> [Shape; 4] {
    let phase = random.upto(WINDOW - 1);
    [
        Shape::Rolling,
        Shape::Bucket,
        Shape::Fixed(Some(phase)),
        Shape::Fixed(None),
    ]
}

#[test]
fn a_provider_that_keeps_is_never_taken_for_one_that_gives_back() {
    for seed in 0..cases(400) {
        let random = &mut Random(seed);
        let history = History::any(random);
        for shape in shapes(random) {
            let provider = Provider::new(shape, history.limit, true);
            let found = history.play(provider, random);
            assert_eq!(found, None, "seed {seed}: {shape:?} {history:?}");
        }
    }
}

#[test]
fn one_that_gives_back_is_mostly_found_out_in_four_windows_and_hardly_ever_not_in_twelve() {
    for used in [(20, 60), (50, 100), (60, 80)] {
        for which in 0..4 {
            let mut all = Vec::new();
            // Fewer say nothing about nineteen of twenty.
            for seed in 0..cases(40).max(20) {
                let random = &mut Random(seed);
                let shape = shapes(random)[which];
                let history = History::saturated(used);
                let provider = Provider::new(shape, history.limit, false);
                let found = history.play(provider, random);
                all.push(found.unwrap_or(u64::MAX));
            }
            all.sort_unstable();
            let (middle, most) = (all.len() / 2, all.len() * 19 / 20);
            assert!(all[middle] <= 4, "{which} {used:?}: {all:?}");
            assert!(all[most] <= 12, "{which} {used:?}: {all:?}");
        }
    }
}

#[test]
fn words_that_cannot_be_true_say_nothing() {
    for said in [0, 30_000, u64::MAX] {
        let mut settlement = Settlement::new(30_000, WINDOW, TRANSIT);
        for n in 0..2_000 {
            let (left, now) = (at(n * SECOND / 4), at(n * SECOND / 4 + SECOND));
            let mark = settlement.departed(200);
            settlement.hear(mark, said, left);
            settlement.answered(200, 100, left, now);
        }
        assert!(!settlement.gives_back(), "{said}");
    }
}

#[test]
fn no_amount_and_no_instant_overflows() {
    let any = |random: &mut Random| random.next() >> random.upto(63);
    for seed in 0..cases(400) {
        let random = &mut Random(seed);
        let window = any(random).max(1);
        let mut settlement = Settlement::new(any(random), window, any(random));
        for _ in 0..100 {
            let (left, now) = (at(any(random)), at(any(random)));
            let mark = settlement.departed(any(random));
            settlement.hear(mark, any(random), left);
            settlement.answered(any(random), any(random), left, now);
            settlement.returned(any(random));
            settlement.on_trial(now);
        }
    }
}

#[test]
fn a_refusal_ends_the_belief_for_good() {
    let mut settlement = Settlement {
        belief: Belief::GivesBack,
        ..Settlement::new(30_000, WINDOW, TRANSIT)
    };
    settlement.refused();
    assert!(!settlement.gives_back());
    assert_eq!(settlement.belief, Belief::KeepsForGood);
}
