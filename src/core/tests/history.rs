//! Whatever happens to a ledger, and whatever the clock says, a provider that counts exactly sees no more than it allows.

use super::{Kind, Random, at, at_of, cases, ledger_of, limit, tokens};
use crate::core::{
    cost::{Cost, Resource},
    ledger::{Fit, Ledger, Stated},
    limit::{Limit, LimitId},
    settlement::{Departure, Settle},
    time::Time,
};

const KINDS: [Kind; 2] = [Kind::Rolling, Kind::Bucket];
const STEPS: u64 = 60;

/// What a provider has seen, in the order of its clock.
#[derive(Clone, Copy, Debug)]
enum Seen {
    Arrived { id: u64, n: u64 },
    GaveBack { id: u64, n: u64 },
    // Turned out to be more than was charged.
    Late { n: u64 },
    Resized { amount: u64 },
}

/// A provider that keeps a list, and counts anew whenever it is asked.
#[derive(Debug)]
struct Naive {
    kind: Kind,
    window: u64,
    amount: u64,
    // Of a bucket.
    burst: Option<u64>,
    seen: Vec<(u64, Seen)>,
}

impl Naive {
    fn sees(&mut self, now: u64, what: Seen) {
        if let Seen::Resized { amount } = what {
            self.amount = amount;
        }
        self.seen.push((now, what));
    }

    /// That one never got there.
    fn never_saw(&mut self, lost: u64) {
        let is_it = |what: &Seen| matches!(what, Seen::Arrived { id, .. } | Seen::GaveBack { id, .. } if *id == lost);
        self.seen.retain(|(_, what)| !is_it(what));
    }

    /// Units of the limit times nanoseconds of the window, so that all is whole.
    fn used(&self, now: u64) -> u128 {
        let window = u128::from(self.window);
        let scaled = |n: u64| u128::from(n) * window;
        let is_bucket = self.kind == Kind::Bucket;
        let mut used = 0u128;
        let first = self.seen.first().map(|(_, what)| *what);
        let mut amount = match first {
            Some(Seen::Resized { amount }) => amount,
            _ => unreachable!("begins with an amount"),
        };
        let mut last = 0;
        for (when, what) in &self.seen {
            let refill = u128::from(when - last) * u128::from(amount);
            last = *when;
            if is_bucket {
                used = used.saturating_sub(refill);
            }
            let counts = is_bucket || now - when < self.window;
            match *what {
                Seen::Arrived { n, .. } | Seen::Late { n } if counts => used += scaled(n),
                // A window forgets it together with what it was part of.
                Seen::GaveBack { id, n } if is_bucket || self.counts(id, now) => {
                    used = used.saturating_sub(scaled(n));
                }
                Seen::Resized { amount: another } => amount = another,
                _ => {}
            }
        }
        if is_bucket {
            used = used.saturating_sub(u128::from(now - last) * u128::from(amount));
        }
        used
    }

    fn counts(&self, of: u64, now: u64) -> bool {
        let arrived = |(when, what): &(u64, Seen)| match what {
            Seen::Arrived { id, .. } if *id == of => Some(now - when < self.window),
            _ => None,
        };
        self.seen.iter().find_map(arrived).unwrap_or(false)
    }
}

struct World {
    seed: u64,
    ledger: Ledger,
    naive: Naive,
    // The clock as it is read, which may go back.
    clock: u64,
    held: Vec<u64>,
    sent: Vec<(u64, u64, Time)>,
    paused: u64,
    next: u64,
    granted: u64,
    // Whether more may be owed than the amount, by late charges or smaller amounts, and whether there are others. Of a bucket not both: as long as there are
    // others it is kept as a rolling window, which forgets in time what is owed beyond the amount.
    owes: bool,
    others: bool,
}

impl World {
    fn new(seed: u64, random: &mut Random) -> Self {
        let kind = KINDS[random.upto(1) as usize];
        let window = 1_000 + random.upto(1_000_000);
        let amount = [1, 7, 100, 1 << 30][random.upto(3) as usize];
        let mut limit = limit(kind, amount, window, random.upto(window / 16));
        if random.chance(20) {
            limit = limit.burst(1 + random.upto(amount - 1));
        }
        let mut naive = Naive {
            kind,
            window,
            amount,
            burst: limit.burst.filter(|_| kind == Kind::Bucket),
            seen: Vec::new(),
        };
        naive.sees(0, Seen::Resized { amount });
        let (owes, others) = match kind {
            Kind::Rolling => (true, true),
            _ => [(true, false), (false, true)][random.upto(1) as usize],
        };
        Self {
            seed,
            ledger: ledger_of(&[(limit, kind)], usize::MAX),
            naive,
            clock: 0,
            held: Vec::new(),
            sent: Vec::new(),
            paused: 0,
            next: 0,
            granted: 0,
            owes,
            others,
        }
    }

    /// Some time passes, or seems to.
    fn pass(&mut self, random: &mut Random) -> u64 {
        let window = self.naive.window;
        self.clock = match random.upto(19) {
            0 => self.clock.saturating_sub(random.upto(2 * window)),
            1 => self.clock + random.upto(3 * window),
            // A hundred years.
            2 if random.chance(5) => self.clock.saturating_add(3_155_760_000_000_000_000),
            3..=9 => self.clock,
            _ => self.clock + random.upto(window / 20),
        };
        self.ledger.advance(at(self.clock)).nanos()
    }

    fn ask(&mut self, n: u64, now: u64) {
        let seed = self.seed;
        let (before, cost) = (format!("{:?}", self.ledger), tokens(n));
        let fit = self.ledger.fit(&cost, false);
        assert_eq!(before, format!("{:?}", self.ledger), "seed {seed}");
        if fit == Fit::Now {
            let held: u64 = self.held.iter().sum();
            let naive = &self.naive;
            let all = naive.used(now) + u128::from(held + n) * u128::from(naive.window);
            // A bucket holds its burst, whatever it refills.
            let holds = naive.burst.unwrap_or(naive.amount);
            let may = u128::from(holds) * u128::from(naive.window);
            assert!(
                n == 0 || all <= may,
                "seed {seed}: {all} of {may} at {now}: {:?} {naive:?}",
                self.ledger.meters()
            );
            assert!(n == 0 || now >= self.paused, "seed {seed}: paused");
            self.ledger.hold(&cost, false);
            self.held.push(n);
            self.granted += u64::from(n > 0);
        } else if let Some(hint) = at_of(fit).filter(|_| self.held.is_empty()) {
            // When what is held will leave nobody knows. Else, a nanosecond less doesn't do, and exactly so long does.
            let asks = |t| {
                let mut ledger = self.ledger.clone();
                ledger.advance(at(t));
                ledger.fit(&cost, false)
            };
            assert!(hint > now, "seed {seed}");
            assert_eq!(asks(hint), Fit::Now, "seed {seed}: not at {hint}");
            assert_ne!(asks(hint - 1), Fit::Now, "seed {seed}: before {hint}");
        }
    }

    fn leave(&mut self, n: u64, now: u64) {
        let date = self.ledger.date(&tokens(n)).at;
        self.naive.sees(now, Seen::Arrived { id: self.next, n });
        self.sent.push((self.next, n, date));
        self.next += 1;
    }

    fn settle(&mut self, which: usize, used: u64, now: u64) {
        let (id, n, date) = self.sent.swap_remove(which);
        let costs = (tokens(n), tokens(used));
        self.ledger.settle(&costs.0, &costs.1, date, Settle::TrueUp);
        if used > n {
            self.naive.sees(now, Seen::Late { n: used - n });
        } else {
            self.naive.sees(now, Seen::GaveBack { id, n: n - used });
        }
    }

    fn step(&mut self, random: &mut Random) {
        let now = self.pass(random);
        let amount = self.naive.amount;
        let which = |len: usize, random: &mut Random| random.upto(len as u64 - 1) as usize;
        match random.upto(15) {
            0 if !self.held.is_empty() => {
                let n = self.held.swap_remove(which(self.held.len(), random));
                self.ledger.release(&tokens(n), false);
            }
            1..=4 if !self.held.is_empty() => {
                let n = self.held.swap_remove(which(self.held.len(), random));
                self.leave(n, now);
            }
            5 if !self.sent.is_empty() => {
                let (id, n, date) = self.sent.swap_remove(which(self.sent.len(), random));
                self.ledger.refund(&tokens(n), date);
                self.naive.never_saw(id);
            }
            6 if !self.sent.is_empty() => {
                let which = which(self.sent.len(), random);
                let most = if self.owes {
                    amount
                } else {
                    self.sent[which].1
                };
                self.settle(which, random.upto(most), now);
            }
            7 => {
                self.paused = now.saturating_add(random.upto(self.naive.window / 2));
                self.ledger.pause(None, at(self.paused));
            }
            8 => {
                (self.paused, _) = (0, self.ledger.resume());
            }
            9 if self.owes && self.held.is_empty() => {
                let amount = 1 + random.upto(amount.saturating_mul(2).min(1 << 40));
                let id = LimitId {
                    amount,
                    ..self.ledger.meters()[0].id()
                };
                assert!(self.ledger.resize(id, amount));
                self.naive.sees(now, Seen::Resized { amount });
            }
            10 if self.others => {
                let stated = Stated {
                    limit: None,
                    remaining: Some(random.upto(amount)),
                    window: None,
                };
                let left = Departure {
                    at: at(now.saturating_sub(random.upto(self.naive.window))),
                    mark: None,
                };
                self.ledger.observe(Resource::Tokens, stated, left);
            }
            _ => {
                let n = [0, 1, random.upto(amount / 4), random.upto(amount)];
                self.ask(n[random.upto(3) as usize], now);
            }
        }
    }
}

#[test]
fn whatever_happened_a_grant_is_inside_what_a_provider_counts_and_a_hint_is_exact() {
    let mut granted = 0;
    for seed in 0..cases(2_000) {
        let mut random = Random(seed);
        let mut world = World::new(seed, &mut random);
        for _ in 0..STEPS {
            world.step(&mut random);
        }
        granted += world.granted;
        // And nothing leaks.
        for n in std::mem::take(&mut world.held) {
            world.ledger.release(&tokens(n), false);
        }
        let held = world.ledger.meters()[0].held();
        assert_eq!((held, world.ledger.in_flight()), (0, 0), "seed {seed}");
    }
    assert!(granted > 5 * cases(2_000), "{granted} grants");
}

/// Several limits on several resources: nobody gets part of what was asked.
#[test]
fn what_is_refused_by_one_limit_takes_nothing_of_the_others() {
    for seed in 0..cases(2_000) {
        let mut random = Random(seed);
        let mut limits = Vec::new();
        for _ in 0..3 {
            let kind = KINDS[random.upto(1) as usize];
            let window = 1_000 + random.upto(10_000);
            let mut limit: Limit = limit(kind, 1 + random.upto(30), window, 0);
            limit.resource = [Resource::Requests, Resource::Tokens, Resource::InputTokens]
                [random.upto(2) as usize];
            limits.push((limit, kind));
        }
        let mut ledger = ledger_of(&limits, 1 + random.upto(3) as usize);
        let mut now = 0;
        for _ in 0..40 {
            now += random.upto(500);
            ledger.advance(at(now));
            let cost = Cost::input_output(random.upto(20), random.upto(20));
            let sums = |ledger: &Ledger| -> Vec<(u64, u64)> {
                let meters = ledger.meters().iter();
                meters.map(|meter| (meter.used(), meter.held())).collect()
            };
            let before = sums(&ledger);
            if ledger.fit(&cost, true) == Fit::Now {
                ledger.hold(&cost, true);
                for (meter, (_, held)) in ledger.meters().iter().zip(&before) {
                    assert_eq!(
                        meter.held(),
                        held + cost.of(meter.resource()),
                        "seed {seed}"
                    );
                }
                if random.chance(30) {
                    ledger.release(&cost, true);
                    assert_eq!(sums(&ledger), before, "seed {seed}");
                } else {
                    ledger.date(&cost);
                    if random.chance(80) {
                        let _ = ledger.land();
                    }
                }
            } else {
                assert_eq!(sums(&ledger), before, "seed {seed}");
            }
        }
    }
}
