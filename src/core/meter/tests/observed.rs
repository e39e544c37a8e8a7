//! What a provider says is left, against what it really has.

use super::{Kind, Random, at, cases, meter};

const WINDOW: u64 = 60_000_000_000;
const SECOND: u64 = 1_000_000_000;

#[test]
fn what_others_spend_is_charged_and_nothing_is_ever_raised() {
    for kind in [
        Kind::Rolling,
        Kind::Bucket,
        Kind::Aligned(0),
        Kind::FirstUse,
    ] {
        let mut meter = meter(kind, 100, WINDOW, 0);
        meter.advance(at(0));
        meter.charge(10, at(0));
        meter.observe(95, at(0), at(0));
        assert_eq!(meter.left(), 90, "{kind:?}");
        // A little more than was seen: they go on while the answer is on its way.
        meter.observe(70, at(0), at(0));
        let left = meter.left();
        assert!((66..=70).contains(&left), "{kind:?}: {left}");
        meter.observe(80, at(0), at(0));
        assert_eq!(meter.left(), left, "{kind:?}");
    }
}

#[test]
fn several_answers_that_know_of_the_same_others_charge_them_once() {
    for kind in [Kind::Rolling, Kind::Bucket, Kind::FirstUse] {
        let mut meter = meter(kind, 1_000, WINDOW, SECOND);
        // Ten requests leave half a second apart; others have spent 300; the answers come in any order.
        for k in 0..10 {
            meter.advance(at(k * SECOND / 2));
            meter.charge(10, at(k * SECOND / 2));
        }
        let now = 6 * SECOND;
        meter.advance(at(now));
        for k in [3, 1, 9, 0, 2, 8, 7, 4, 5, 6] {
            meter.observe(1_000 - 300 - 10 * (k + 1), at(k * SECOND / 2), at(now));
        }
        let left = meter.left();
        assert!((550..=720).contains(&left), "{kind:?}: {left}");
    }
}

#[test]
fn what_left_later_is_no_surprise_to_us() {
    for kind in [
        Kind::Rolling,
        Kind::Bucket,
        Kind::Aligned(0),
        Kind::FirstUse,
    ] {
        let mut meter = meter(kind, 1_000, WINDOW, 0);
        meter.charge(100, at(0));
        meter.advance(at(SECOND));
        meter.charge(100, at(SECOND));
        let before = meter.left();
        // The answer to the first knows nothing of the second.
        meter.observe(900, at(0), at(SECOND));
        assert_eq!(meter.left(), before, "{kind:?}");
    }
}

#[test]
fn what_was_said_before_a_window_expired_is_not_charged_to_the_next() {
    for kind in [Kind::Rolling, Kind::Aligned(0), Kind::FirstUse] {
        let mut meter = meter(kind, 100, WINDOW, 0);
        for k in 0..10 {
            meter.advance(at(k * SECOND));
            meter.charge(10, at(k * SECOND));
        }
        // The last answer, full as the provider was then, takes a minute.
        let now = 5 * SECOND + WINDOW;
        meter.advance(at(now));
        let left = meter.left();
        meter.observe(0, at(9 * SECOND), at(now));
        assert_eq!(meter.left(), left, "{kind:?}: nobody else was there");
    }
}

/// An exact log of our own, and nobody else: whatever its answers say, and however late, nothing is charged.
#[test]
fn alone_at_a_provider_nobody_else_is_ever_seen() {
    for seed in 0..cases(500) {
        let mut random = Random(seed);
        let (amount, window) = (1_000, 1_000_000);
        let transit = random.upto(30_000);
        let kind = [Kind::Rolling, Kind::Bucket][random.upto(1) as usize];
        let (mut heard, mut deaf) = (
            meter(kind, amount, window, transit),
            meter(kind, amount, window, transit),
        );
        let mut provider = match kind {
            Kind::Rolling => super::exact::Provider::log(amount, window),
            _ => super::exact::Provider::bucket(amount, window),
        };
        // (when, kind of event, id, date): arrivals and then answers.
        let mut later = std::collections::BTreeSet::new();
        let (mut now, mut said) = (window, std::collections::HashMap::new());
        for id in 0..200u64 {
            now += random.upto(20_000);
            let n = 1 + random.upto(100);
            while let Some((when, arrives, who, dated)) = later.pop_first() {
                if when > now {
                    later.insert((when, arrives, who, dated));
                    break;
                }
                let (who, n): (u64, u64) = who;
                if arrives {
                    assert!(provider.admits(who, n, when));
                    said.insert(who, provider.left(when));
                    later.insert((when + random.upto(window * 3 / 2), false, (who, n), dated));
                } else {
                    heard.advance(at(when));
                    heard.observe(said[&who], at(dated), at(when));
                }
            }
            for meter in [&mut heard, &mut deaf] {
                meter.advance(at(now));
            }
            if deaf.fits(n, at(now)) {
                assert!(
                    heard.fits(n, at(now)),
                    "seed {seed}: {kind:?} heard of somebody"
                );
                heard.charge(n, at(now));
                deaf.charge(n, at(now));
                later.insert((now + random.upto(transit), true, (id, n), now));
            }
        }
    }
}
