use std::time::Duration;

use proptest::prelude::*;

use super::{Kind, Random, at, at_of, cases, ledger_of, limit, rolling, tokens};
use crate::core::{
    cost::{Cost, Resource},
    ledger::{Blame, Fit, Ledger, Spare, Stated},
    limit::{Limit, LimitId},
    settlement::{Departure, Settle},
    time::Time,
};

fn left(at: Time) -> Departure {
    Departure { at, mark: None }
}

const KINDS: [Kind; 4] = [
    Kind::Rolling,
    Kind::Bucket,
    Kind::Aligned(333),
    Kind::FirstUse,
];

/// Several limits of any shape on two resources, with a random past and nothing held.
fn lived(random: &mut Random) -> (Ledger, u64) {
    let mut limits = Vec::new();
    for _ in 0..=random.upto(3) {
        let kind = KINDS[random.upto(3) as usize];
        let window = 1_000 + random.upto(1_000_000);
        let mut limit = limit(
            kind,
            20 + random.upto(500),
            window,
            random.upto(window / 16),
        );
        if random.chance(40) {
            limit.resource = Resource::Requests;
        }
        if random.chance(20) {
            limit.burst = Some(10 + random.upto(limit.amount - 10));
        }
        limits.push((limit, kind));
    }
    let mut ledger = ledger_of(&limits, usize::MAX);
    let mut now = 0;
    let mut dated = Vec::new();
    for _ in 0..random.upto(60) {
        // Readings of the clock may overtake each other on their way here.
        now += random.upto(60_000);
        ledger.advance(at(now.saturating_sub(random.upto(5_000))));
        let cost = tokens(random.upto(60));
        match random.upto(12) {
            0 => ledger.pause(
                [None, Some(Resource::Tokens)][random.upto(1) as usize],
                at(now + random.upto(90_000)),
            ),
            1 => ledger.resume(),
            2 if !dated.is_empty() => {
                let (cost, date) = dated.swap_remove(random.upto(dated.len() as u64 - 1) as usize);
                ledger.refund(&cost, date);
            }
            3 | 4 if !dated.is_empty() => {
                let (cost, date) = dated.swap_remove(random.upto(dated.len() as u64 - 1) as usize);
                let policies = [Settle::Keep, Settle::TrueUp, Settle::Auto];
                let policy = policies[random.upto(2) as usize];
                ledger.settle(&cost, &tokens(random.upto(80)), date, policy);
            }
            5 => {
                let stated = stated(None, random.upto(500));
                ledger.observe(Resource::Tokens, stated, left(at(now)));
            }
            6 if random.chance(30) => {
                let sent = at(now.saturating_sub(random.upto(2_000_000)));
                let resource = [None, Some(Resource::Tokens)][random.upto(1) as usize];
                ledger.refused(resource, &cost, sent, Some(Duration::ZERO));
            }
            7 => {
                ledger.admitted(at(now));
            }
            _ if ledger.fit(&cost, false) == Fit::Now => {
                ledger.hold(&cost, false);
                match random.chance(10) {
                    true => ledger.release(&cost, false),
                    false => dated.push((cost.clone(), ledger.date(&cost).at)),
                }
            }
            _ => {}
        }
    }
    let now = ledger.advance(at(now));
    (ledger, now.nanos())
}

#[test]
fn a_hint_of_several_limits_is_exact_to_the_nanosecond() {
    let mut waits = 0;
    for seed in 0..cases(20_000) {
        let mut random = Random(seed);
        let (ledger, now) = lived(&mut random);
        let cost = tokens(random.upto(90)).requests(random.upto(20));
        let asks = |t| {
            let mut ledger = ledger.clone();
            ledger.advance(at(t));
            ledger.fit(&cost, false)
        };
        if let Some(hint) = at_of(ledger.fit(&cost, false)) {
            waits += 1;
            assert!(hint > now, "seed {seed}");
            assert_eq!(asks(hint), Fit::Now, "seed {seed}: not at {hint}");
            assert_ne!(
                asks(hint - 1),
                Fit::Now,
                "seed {seed}: a nanosecond before {hint}"
            );
        }
    }
    assert!(waits * 10 > cases(20_000), "{waits} waits");
}

#[test]
fn what_is_taken_without_a_closer_look_is_what_a_closer_look_would_take() {
    let mut taken = [0; 2];
    for seed in 0..cases(3_000) {
        let mut random = Random(seed);
        let (mut quick, mut now) = lived(&mut random);
        if random.chance(70) {
            // Where most are: limits that nothing else bounds.
            let (amount, window) = (40 + random.upto(400), 1_000 + random.upto(90_000));
            (quick, now) = (rolling(amount, window), 0);
        }
        let mut close = quick.clone();
        let mut held = Vec::new();
        for step in 0..80 {
            // Whoever may change them has to look again.
            close.meters_mut();
            let cost = tokens(random.upto(20)).requests(random.upto(3));
            match random.upto(9) {
                0..=3 => {
                    let slot = random.chance(50);
                    let fits = quick.take_for_good(&cost, slot, Spare::NOTHING);
                    let looked = close.take_for_good(&cost, slot, Spare::NOTHING);
                    assert_eq!(fits, looked, "seed {seed}, step {step}");
                    taken[usize::from(fits)] += 1;
                    if fits {
                        held.push((cost, slot));
                    }
                }
                4..=6 if !held.is_empty() => {
                    let (cost, _) = held.swap_remove(random.upto(held.len() as u64 - 1) as usize);
                    assert_eq!(quick.date(&cost).at, close.date(&cost).at);
                }
                7 if !held.is_empty() => {
                    let (cost, slot) = held.pop().unwrap();
                    quick.release(&cost, slot);
                    close.release(&cost, slot);
                }
                8 if random.chance(20) => {
                    quick.pause(None, at(now + 5_000));
                    close.pause(None, at(now + 5_000));
                }
                _ => {
                    now += random.upto(20_000);
                    quick.advance(at(now));
                    close.advance(at(now));
                }
            }
            let state = |ledger: &Ledger| format!("{:?}", ledger.meters());
            assert_eq!(state(&quick), state(&close), "seed {seed}, step {step}");
        }
    }
    assert!(taken.iter().all(|n| *n > 1_000), "{taken:?}");
}

#[test]
fn a_question_changes_nothing() {
    for seed in 0..cases(500) {
        let mut random = Random(seed);
        let (ledger, _) = lived(&mut random);
        let before = format!("{ledger:?}");
        let _ = ledger.fit(&tokens(random.next()), true);
        let _ = ledger.project(&tokens(random.upto(90)), |_| random.0);
        assert_eq!(before, format!("{ledger:?}"), "seed {seed}");
    }
}

#[test]
fn what_is_held_and_released_leaves_no_trace() {
    for seed in 0..cases(500) {
        let mut random = Random(seed);
        let (mut ledger, _) = lived(&mut random);
        let before = format!("{:?}", ledger.meters());
        let cost = tokens(random.upto(90));
        if ledger.fit(&cost, true) == Fit::Now {
            ledger.hold(&cost, true);
            ledger.release(&cost, true);
        }
        assert_eq!(before, format!("{:?}", ledger.meters()), "seed {seed}");
        assert_eq!(ledger.in_flight(), 0);
    }
}

#[test]
fn what_can_never_fit_is_known_at_once() {
    let mut ledger = rolling(100, 1_000_000);
    let never = Fit::Never {
        blame: Blame::Limit(0),
    };
    assert_eq!(ledger.fit(&tokens(101), true), never);
    assert_eq!(ledger.fit(&tokens(u64::MAX), true), never);
    ledger.pause(None, at(5));
    assert_eq!(ledger.fit(&tokens(101), true), never);
    assert!(ledger.resize(
        LimitId {
            amount: 200,
            ..ledger.meters()[0].id()
        },
        200
    ));
    assert_eq!(at_of(ledger.fit(&tokens(101), true)), Some(5));
}

#[test]
fn nothing_is_asked_for_nothing() {
    let mut ledger = rolling(10, 1_000_000);
    ledger.hold(&tokens(10), false);
    assert_eq!(ledger.fit(&Cost::none(), false), Fit::Now);
    assert_eq!(
        ledger.fit(&Cost::request(), false),
        Fit::Now,
        "no limit on requests"
    );
    ledger.date(&tokens(10));
    assert_eq!(ledger.fit(&Cost::none(), true), Fit::Now);
}

#[test]
fn a_smaller_amount_keeps_what_is_spent() {
    let mut ledger = rolling(100, 1_000_000);
    ledger.hold(&tokens(80), false);
    ledger.date(&tokens(80));
    let id = ledger.meters()[0].id();
    assert!(ledger.resize(LimitId { amount: 50, ..id }, 50));
    assert_eq!(at_of(ledger.fit(&tokens(1), false)), Some(1_000_000));
    assert!(ledger.resize(LimitId { amount: 90, ..id }, 90));
    assert_eq!(ledger.fit(&tokens(10), false), Fit::Now);
    assert!(!ledger.resize(
        LimitId {
            window: Duration::from_secs(9),
            ..id
        },
        90
    ));
}

#[test]
fn a_pause_of_one_resource_leaves_the_others_alone() {
    let requests = Limit::requests(5, Duration::from_secs(1));
    let mut ledger = ledger_of(
        &[
            (requests, Kind::Rolling),
            (limit(Kind::Rolling, 100, 1_000_000, 0), Kind::Rolling),
        ],
        usize::MAX,
    );
    ledger.pause(Some(Resource::Tokens), at(77));
    assert_eq!(ledger.fit(&Cost::request(), false), Fit::Now);
    let paused = Fit::At {
        at: at(77),
        blame: Blame::Pause(1),
    };
    assert_eq!(ledger.fit(&tokens(1), false), paused);
    // The provider has a limit that we don't know of.
    ledger.pause(Some(Resource::OutputTokens), at(50));
    let all = Fit::At {
        at: at(50),
        blame: Blame::PauseOfAll,
    };
    assert_eq!(ledger.fit(&Cost::request(), false), all);
    ledger.resume();
    assert_eq!(ledger.fit(&tokens(1), false), Fit::Now);
}

#[test]
fn the_provider_s_own_figure_tells_a_minute_from_a_day() {
    let mut day = limit(Kind::Rolling, 10_000, 86_400_000_000_000, 0);
    day.resource = Resource::Tokens;
    let minute = limit(Kind::Rolling, 100, 60_000_000_000, 0);
    let mut ledger = ledger_of(&[(minute, Kind::Rolling), (day, Kind::Rolling)], usize::MAX);
    ledger.observe(Resource::Tokens, stated(Some(10_000), 9_000), left(at(0)));
    ledger.observe(Resource::Tokens, stated(None, 1), left(at(0)));
    let left: Vec<_> = ledger.meters().iter().map(|meter| meter.left()).collect();
    assert_eq!(left, [100, 8_834]);
}

proptest! {
    #[test]
    fn all_limits_are_taken_or_none(amounts in prop::collection::vec(1u64..50, 1..4), costs in prop::collection::vec(0u64..30, 1..20)) {
        let limits: Vec<_> = amounts
            .iter()
            .map(|amount| (limit(Kind::Rolling, *amount, 1_000_000_000, 0), Kind::Rolling))
            .collect();
        let mut ledger = ledger_of(&limits, usize::MAX);
        let least = *amounts.iter().min().expect("at least one");
        let mut sum = 0;
        for cost in costs {
            let fits = ledger.fit(&tokens(cost), false) == Fit::Now;
            prop_assert_eq!(fits, sum + cost <= least);
            if fits {
                ledger.hold(&tokens(cost), false);
                sum += cost;
            }
            for meter in ledger.meters() { prop_assert_eq!(meter.held(), sum); }
        }
    }
}

fn stated(limit: Option<u64>, remaining: u64) -> Stated {
    Stated {
        limit,
        remaining: Some(remaining),
        window: None,
    }
}
