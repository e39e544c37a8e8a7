//! What is saved and gone on from decides as if nothing had happened.

use proptest::prelude::*;

use super::{Kind, Random, at, cases, ledger_of, limit, tokens};
use crate::core::{
    cost::{Cost, Resource},
    ledger::{Fit, Ledger, SavedLedger, Stated},
    limit::Limit,
    settlement::{Departure, Settle},
    time::Time,
};

const KINDS: [Kind; 4] = [
    Kind::Rolling,
    Kind::Bucket,
    Kind::Aligned(333),
    Kind::FirstUse,
];

fn limits(random: &mut Random) -> Vec<(Limit, Kind)> {
    let some = |random: &mut Random| {
        let kind = KINDS[random.upto(3) as usize];
        // As long as windows may be.
        let window = 1_000_000 + random.upto(1_000_000_000);
        let transit = random.upto(window / 16);
        let mut limit = limit(kind, 20 + random.upto(500), window, transit);
        if random.chance(20) {
            limit.burst = Some(10 + random.upto(limit.amount - 10));
        }
        (limit, kind)
    };
    // Each window tells its limit from the others.
    let mut limits: Vec<_> = (0..=random.upto(2)).map(|_| some(random)).collect();
    limits.dedup_by_key(|(limit, _)| limit.window);
    limits
}

/// Charges, gives back, pauses and hears of others; some of it is held in the end. Returns the time and what is held.
fn live(ledger: &mut Ledger, random: &mut Random) -> (Time, Vec<Cost>) {
    let (mut now, mut dated, mut held) = (0, Vec::new(), Vec::new());
    for _ in 0..random.upto(80) {
        now += random.upto(60_000_000);
        ledger.advance(at(now));
        let cost = tokens(random.upto(60));
        match random.upto(9) {
            0 => ledger.pause(Some(Resource::Tokens), at(now + random.upto(90_000_000))),
            1 if !dated.is_empty() => {
                let (cost, then): (Cost, Departure) =
                    dated.swap_remove(random.upto(dated.len() as u64 - 1) as usize);
                let used = tokens(random.upto(90));
                let _ = ledger.settle(&cost, &used, then.at, Settle::TrueUp);
            }
            2 if ledger
                .meters()
                .iter()
                .all(|meter| meter.largest() == meter.id().amount) =>
            {
                let stated = Stated {
                    remaining: Some(random.upto(500)),
                    ..Stated::default()
                };
                let here = Departure {
                    at: at(now),
                    mark: None,
                };
                let _ = ledger.observe(Resource::Tokens, stated, here);
            }
            3 if random.chance(30) => {
                ledger.hold(&cost, false);
                held.push(cost);
            }
            _ => {
                ledger.hold(&cost, false);
                dated.push((cost.clone(), ledger.date(&cost)));
            }
        }
    }
    (at(now), held)
}

/// As it is after it was written and read.
fn written(saved: SavedLedger) -> SavedLedger {
    #[cfg(feature = "serde")]
    let saved = {
        let json = serde_json::to_string(&saved).unwrap();
        let read = serde_json::from_str(&json).unwrap();
        assert_eq!(saved, read, "{json}");
        read
    };
    saved
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(400) as u32))]

    #[test]
    fn who_goes_on_decides_as_whoever_never_stopped(seed in any::<u64>()) {
        let mut random = Random(seed);
        let limits = limits(&mut random);
        let mut never_stopped = ledger_of(&limits, usize::MAX);
        let (then, held) = live(&mut never_stopped, &mut random);
        let saved = written(never_stopped.save());
        // What is held counts as sent.
        for cost in &held {
            never_stopped.date(cost);
        }
        let down = [0, 1, 10_000_000, 3_000_000_000][random.upto(3) as usize];
        let mut now = then.nanos() + random.upto(down);
        let mut goes_on = ledger_of(&limits, usize::MAX);
        goes_on.restore(&saved, at(now), false, |n| n).unwrap();
        for _ in 0..60 {
            never_stopped.advance(at(now));
            goes_on.advance(at(now));
            let cost = tokens(random.upto(80));
            let fit = never_stopped.fit(&cost, false);
            prop_assert_eq!(goes_on.fit(&cost, false), fit, "{:?} of {:?}", cost, limits);
            let used = |ledger: &Ledger| ledger.meters().iter().map(|m| m.used()).collect::<Vec<_>>();
            prop_assert_eq!(used(&goes_on), used(&never_stopped), "{:?}", limits);
            for ledger in [&mut never_stopped, &mut goes_on] {
                ledger.hold(&cost, false);
                ledger.date(&cost);
            }
            now += random.upto(50_000_000);
        }
    }

    /// Whatever was done to what was written.
    #[test]
    fn nonsense_is_refused_or_harmless(seed in any::<u64>()) {
        let mut random = Random(seed);
        let limits = limits(&mut random);
        let mut ledger = ledger_of(&limits, usize::MAX);
        let _ = live(&mut ledger, &mut random);
        let saved = ledger.save();
        #[cfg(feature = "serde")]
        let saved = {
            let mut json = serde_json::to_value(&saved).unwrap();
            meddle(&mut json, &mut random);
            let Ok(saved) = serde_json::from_value::<SavedLedger>(json) else {
                return Ok(());
            };
            saved
        };
        let mut goes_on = ledger_of(&limits, usize::MAX);
        let now = saved.then().after(std::time::Duration::from_nanos(random.next() >> 20));
        if goes_on.restore(&saved, now, random.chance(50), |n| n).is_ok() {
            goes_on.advance(now);
            for n in [1, 20, 1 << 60] {
                let _ = goes_on.fit(&tokens(n), true);
                let _ = goes_on.project(&tokens(n), |_| n);
                goes_on.hold(&tokens(n), true);
                goes_on.date(&tokens(n));
            }
            goes_on.advance(now.after(std::time::Duration::from_secs(1_000)));
        }
    }
}

/// Puts another number in the place of some.
#[cfg(feature = "serde")]
fn meddle(json: &mut serde_json::Value, random: &mut Random) {
    use serde_json::Value;

    match json {
        Value::Number(number) if random.chance(10) => {
            let by = [0, 1, u64::MAX, u64::MAX / 2, 1 << 53, random.next()];
            *number = by[random.upto(5) as usize].into();
        }
        Value::Array(values) => values.iter_mut().for_each(|value| meddle(value, random)),
        Value::Object(fields) => fields.values_mut().for_each(|value| meddle(value, random)),
        _ => {}
    }
}

/// Whose clock was another when it was saved loses nothing by it: there was nothing to lose.
#[test]
fn an_empty_window_that_was_saved_ends_when_the_calendar_says() {
    let fixed = |phase| {
        let kind = Kind::Aligned(phase);
        ledger_of(&[(limit(kind, 10, 1_000_000, 0), kind)], usize::MAX)
    };
    let saved = written(fixed(900_000).save());
    let mut ledger = fixed(100_000);
    ledger
        .restore(&saved, at(0), false, |stated| stated)
        .unwrap();
    ledger.hold(&tokens(10), false);
    let _ = ledger.date(&tokens(10));
    ledger.advance(at(99_999));
    assert_ne!(ledger.fit(&tokens(10), false), Fit::Now);
    ledger.advance(at(100_000));
    assert_eq!(ledger.fit(&tokens(10), false), Fit::Now);
}
