//! A client that obeys its meter against exact providers: a request takes anything up to the transit
//! allowance to get there, and they overtake each other.

use std::collections::BTreeSet;

use super::{Kind, Random, at, cases, exact::Provider, meter};
use crate::core::meter::Meter;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Arrive { id: u64, n: u64 },
    GiveBack { id: u64, n: u64 },
    Settle { dated: u64, n: u64 },
    Depart { id: u64, n: u64, unused: u64 },
    Cancel { dated: u64, n: u64 },
}

type Later = BTreeSet<(u64, u64, What)>;

#[derive(Clone, Copy, Debug)]
pub(crate) struct World {
    pub(crate) amount: u64,
    pub(crate) window: u64,
    pub(crate) transit: u64,
    /// Percent of requests that turn out to have been charged too much.
    pub(crate) settled: u64,
    /// Percent that are held for a while before they leave.
    pub(crate) held: u64,
    /// Percent that never leave though they were dated.
    pub(crate) cancelled: u64,
    /// Never idle.
    pub(crate) saturated: bool,
    pub(crate) steps: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) sent: u64,
    pub(crate) refused: u64,
    pub(crate) tokens: u64,
    pub(crate) last: u64,
}

/// A history in which the client sends whenever its meter lets it.
pub(crate) fn run(
    meter: &mut Meter,
    provider: &mut Provider,
    world: World,
    random: &mut Random,
) -> Outcome {
    let mut outcome = Outcome::default();
    // What happens later, by when and in which order it was planned.
    let mut later = Later::new();
    let mut count = 0u64;
    let mut plan = |later: &mut Later, when, what| {
        count += 1;
        later.insert((when, count, what));
    };
    let mut now = world.window + random.upto(world.window);
    let mut id = 0;
    for _ in 0..world.steps {
        let n = match random.upto(9) {
            0 => world.amount,
            1 | 2 => 1 + random.upto(world.amount / 2),
            _ => 1 + random.upto(world.amount / 20),
        }
        .clamp(1, world.amount);
        let n = if world.saturated {
            n.min((world.amount / 20).max(1))
        } else {
            n
        };
        // Asks until it fits, and lets happen what happens in the meantime.
        let pause = match random.upto(30) {
            _ if world.saturated => 0,
            0 => random.upto(3 * world.window),
            1..=5 => random.upto(world.window / 8),
            6..=9 => random.upto(world.transit + 2),
            _ => 0,
        };
        let mut until = now + pause;
        loop {
            while let Some(first) = later.first().copied().filter(|first| first.0 <= until) {
                later.remove(&first);
                let (when, _, what) = first;
                now = now.max(when);
                meter.advance(at(now));
                match what {
                    What::Arrive { id, n } => {
                        if provider.admits(id, n, when) {
                            outcome.tokens += n;
                        } else {
                            outcome.refused += 1;
                        }
                    }
                    What::GiveBack { id, n } => provider.trues_up(id, n, when),
                    What::Settle { dated, n } => meter.give_back(n, at(dated)),
                    What::Cancel { dated, n } => meter.refund(n, at(dated), at(now)),
                    What::Depart { id, n, unused } => {
                        meter.date(n, at(now));
                        depart(&mut plan, &mut later, world, random, now, id, n, unused);
                    }
                }
            }
            now = now.max(until);
            meter.advance(at(now));
            if meter.fits(n, at(now)) {
                break;
            }
            let fits = meter.earliest(n, at(now), at(now)).nanos();
            assert!(fits > now, "a hint of now for what doesn't fit");
            until = later
                .first()
                .map_or(fits, |first| first.0.min(fits))
                .max(now);
        }
        id += 1;
        outcome.sent += 1;
        meter.hold(n);
        let unused = if random.chance(world.settled) {
            random.upto(n)
        } else {
            0
        };
        if random.chance(world.cancelled) {
            meter.date(n, at(now));
            let when = now + random.upto(world.window / 2);
            plan(&mut later, when, What::Cancel { dated: now, n });
        } else if random.chance(world.held) {
            let when = now + random.upto(world.window / 4);
            plan(&mut later, when, What::Depart { id, n, unused });
        } else {
            meter.date(n, at(now));
            depart(&mut plan, &mut later, world, random, now, id, n, unused);
        }
    }
    outcome.last = now;
    outcome
}

#[allow(clippy::too_many_arguments)]
fn depart(
    plan: &mut impl FnMut(&mut Later, u64, What),
    later: &mut Later,
    world: World,
    random: &mut Random,
    now: u64,
    id: u64,
    n: u64,
    unused: u64,
) {
    let delay = match random.upto(3) {
        0 => 0,
        1 => world.transit,
        _ => random.upto(world.transit),
    };
    plan(later, now + delay, What::Arrive { id, n });
    if unused > 0 {
        let answered = now + delay + random.upto(world.window / 2);
        let back = answered + random.upto(world.transit);
        plan(later, answered, What::GiveBack { id, n: unused });
        plan(
            later,
            back,
            What::Settle {
                dated: now,
                n: unused,
            },
        );
    }
}

fn worlds(random: &mut Random) -> World {
    let window = 1_000 + random.upto(1_000_000);
    let amount = [1, 2, 7, 60, 1_000, 1 << 40][random.upto(5) as usize];
    World {
        amount,
        window,
        transit: random.upto(window / 16),
        settled: 0,
        held: [0, 30][random.upto(1) as usize],
        cancelled: [0, 10][random.upto(1) as usize],
        saturated: false,
        steps: 120,
    }
}

fn never_refused(
    ordinary: u64,
    settled: u64,
    client: impl Fn(&World, &mut Random) -> (Kind, u64),
    provider: impl Fn(&World, u64) -> Provider,
) {
    for seed in 0..cases(ordinary) {
        let mut random = Random(seed);
        let mut world = worlds(&mut random);
        world.settled = settled;
        let (kind, phase) = client(&world, &mut random);
        let mut meter = meter(kind, world.amount, world.window, world.transit);
        let outcome = run(&mut meter, &mut provider(&world, phase), world, &mut random);
        assert_eq!(
            outcome.refused, 0,
            "seed {seed}: {kind:?} {world:?}: {outcome:?}"
        );
    }
}

#[test]
fn a_rolling_client_is_inside_a_rolling_log() {
    never_refused(
        1_000,
        0,
        |_, _| (Kind::Rolling, 0),
        |w, _| Provider::log(w.amount, w.window),
    );
}

#[test]
fn a_rolling_client_is_inside_a_bucket() {
    never_refused(
        1_000,
        0,
        |_, _| (Kind::Rolling, 0),
        |w, _| Provider::bucket(w.amount, w.window),
    );
}

#[test]
fn a_rolling_client_is_inside_fixed_windows_of_any_phase() {
    never_refused(
        1_000,
        0,
        |w, random| (Kind::Rolling, random.upto(w.window)),
        |w, phase| Provider::fixed(w.amount, w.window, phase),
    );
}

#[test]
fn a_rolling_client_is_inside_windows_of_a_first_use() {
    never_refused(
        1_000,
        0,
        |_, _| (Kind::Rolling, 0),
        |w, _| Provider::first_use(w.amount, w.window),
    );
}

#[test]
fn a_rolling_client_that_settles_is_inside_a_provider_that_gives_back() {
    never_refused(
        1_000,
        60,
        |_, _| (Kind::Rolling, 0),
        |w, _| Provider::log(w.amount, w.window),
    );
    never_refused(
        1_000,
        60,
        |_, _| (Kind::Rolling, 0),
        |w, _| Provider::bucket(w.amount, w.window),
    );
}

#[test]
fn a_bucket_client_is_inside_a_bucket() {
    // Below this the allowance is worth more than half the bucket, see `in_transit`: it is a 16th at most here.
    never_refused(
        2_000,
        0,
        |_, _| (Kind::Bucket, 0),
        |w, _| Provider::bucket(w.amount, w.window),
    );
}

#[test]
fn a_bucket_client_that_settles_is_inside_a_bucket_that_gives_back() {
    never_refused(
        2_000,
        60,
        |_, _| (Kind::Bucket, 0),
        |w, _| Provider::bucket(w.amount, w.window),
    );
}

#[test]
fn an_aligned_client_is_inside_the_same_windows() {
    never_refused(
        1_000,
        0,
        |w, random| {
            let phase = random.upto(w.window);
            (Kind::Aligned(phase), phase)
        },
        |w, phase| Provider::fixed(w.amount, w.window, phase),
    );
}

#[test]
fn a_first_use_client_is_inside_windows_of_a_first_use() {
    never_refused(
        3_000,
        0,
        |_, _| (Kind::FirstUse, 0),
        |w, _| Provider::first_use(w.amount, w.window),
    );
}

/// Admitted tokens in a hundred windows after the first arrival, in percent of what the limit allows.
fn use_of(kind: Kind, provider: impl Fn(u64, u64) -> Provider, delays: u64) -> f64 {
    let (amount, window) = (30_000, 60_000_000_000);
    let transit = window / 64;
    let mut random = Random(7);
    let mut meter = meter(kind, amount, window, transit);
    let mut provider = provider(amount, window);
    let world = World {
        amount,
        window,
        transit: transit / delays,
        settled: 0,
        held: 0,
        cancelled: 0,
        saturated: true,
        steps: 4_200,
    };
    let outcome = run(&mut meter, &mut provider, world, &mut random);
    assert_eq!(outcome.refused, 0, "{kind:?}");
    outcome.tokens as f64 * 100.0 / (outcome.last as f64 / window as f64 * amount as f64)
}

#[test]
fn nothing_of_a_bucket_stays_unused() {
    let used = use_of(Kind::Bucket, Provider::bucket, 1);
    assert!(used > 99.0, "{used:.2} %");
}

#[test]
fn one_after_the_other_uses_most_of_any_window() {
    type Make = fn(u64, u64) -> Provider;
    let pairs: [(Kind, Make); 4] = [
        (Kind::Rolling, Provider::log),
        (Kind::Rolling, Provider::bucket),
        (Kind::FirstUse, Provider::first_use),
        (Kind::Aligned(0), |amount, window| {
            Provider::fixed(amount, window, 0)
        }),
    ];
    for (kind, provider) in pairs {
        let used = use_of(kind, provider, 2);
        assert!(used > 93.0, "{kind:?}: {used:.2} %");
    }
}
