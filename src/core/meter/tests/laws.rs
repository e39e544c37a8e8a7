//! What holds of every meter, whatever happens to it.

use std::time::Duration;

use proptest::prelude::*;

use super::{Kind, Random, at, cases, limit, meter, meter_of};
use crate::core::{
    limit::Limit,
    meter::{Account, Meter},
    time::Time,
};

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Rolling),
        Just(Kind::Bucket),
        any::<u64>().prop_map(|phase| Kind::Aligned(phase % 1_000_000)),
        Just(Kind::FirstUse),
    ]
}

/// A meter with a random past and nothing held.
fn lived(
    kind: Kind,
    amount: u64,
    window: u64,
    transit: u64,
    burst: Option<u64>,
    seed: u64,
) -> (Meter, u64) {
    let mut random = Random(seed);
    let mut limit = limit(kind, amount, window, transit);
    if let Some(burst) = burst {
        limit = limit.burst(burst);
    }
    let mut meter = meter_of(&limit, kind);
    let mut now = random.upto(3 * window);
    let mut dated = Vec::new();
    for _ in 0..random.upto(40) {
        meter.advance(at(now));
        match random.upto(9) {
            0 => meter.resize(amount, 1 + random.upto(amount - 1), at(0)),
            1 => meter.charge(random.upto(amount), at(now)),
            2 => {
                if let Some((n, date)) = dated.pop() {
                    meter.refund(n, at(date), at(now));
                }
            }
            3 => {
                if let Some((n, date)) = dated.pop() {
                    meter.give_back(random.upto(n), at(date));
                }
            }
            4 => {
                let date = at(now.saturating_sub(random.upto(window)));
                meter.observe(random.upto(amount), date, at(now));
            }
            5 if random.chance(20) => meter.pause(at(now + random.upto(2 * window))),
            _ => {
                let n = random.upto(amount);
                if n <= meter.largest() && meter.fits(n, at(now)) {
                    meter.hold(n);
                    meter.date(n, at(now));
                    dated.push((n, now));
                }
            }
        }
        now += match random.upto(3) {
            0 => 0,
            1 => random.upto(window / 50),
            2 => random.upto(window / 3),
            _ => random.upto(transit + 1),
        };
    }
    meter.advance(at(now));
    (meter, now)
}

proptest! {
    #[test]
    fn a_hint_is_exact_to_the_nanosecond(
        kind in kinds(), amount in 1u64..10_000, window in 1_000u64..10_000_000, share in 0u64..=16,
        burst in prop::option::weighted(0.3, 1u64..10_000), seed: u64, asked: u64,
    ) {
        let (meter, now) = lived(kind, amount, window, window * share / 64, burst.map(|b| b.min(amount)), seed);
        let n = 1 + asked % meter.largest();
        // As the ledger does: some accounts close again.
        let mut hint = at(now);
        loop {
            let before = hint;
            hint = meter.earliest(n, hint, at(now));
            if hint == before { break; }
        }
        prop_assert_eq!(hint == at(now), meter.fits(n, at(now)));
        let asks = |t: Time| { let mut meter = meter.clone(); meter.advance(t); meter.fits(n, t) };
        prop_assert!(asks(hint), "not at {:?}", hint);
        if hint > at(now) {
            prop_assert!(!asks(at(hint.nanos() - 1)), "a nanosecond earlier than {:?}", hint);
        }
    }

    #[test]
    fn nothing_overflows(
        kind in kinds(), amount in prop_oneof![Just(1), Just(u64::MAX), Just(1 << 53), any::<u64>()],
        window in prop_oneof![Just(1), Just(u64::MAX), any::<u64>()], transit in prop_oneof![Just(0), Just(u64::MAX)],
        burst in prop::option::of(prop_oneof![Just(0), Just(u64::MAX)]), seed: u64,
    ) {
        let mut random = Random(seed);
        let mut limit = limit(kind, amount.max(1), window.max(1), transit);
        if let Some(burst) = burst { limit = limit.burst(burst); }
        let mut meter = meter_of(&limit, kind);
        let mut large = || [0, 1, 1 << 53, u64::MAX - 1, u64::MAX][random.upto(4) as usize];
        for step in 0..60 {
            let (n, now, date) = (large(), at(large()), at(large()));
            meter.advance(now);
            match step % 10 {
                0 => meter.charge(n, now),
                1 => meter.hold(n),
                2 => meter.date(n, now),
                3 => meter.refund(n, date, now),
                4 => meter.give_back(n, date),
                5 => { meter.observe(n, date, now); }
                6 => meter.resize(n.max(1), n.max(1), at(0)),
                7 => { meter.earliest(n.min(meter.largest()), now, now); }
                8 => { meter.project(n, large(), now); }
                _ => { meter.fits(n, now); meter.left(); meter.used(); meter.boundary(); }
            }
        }
    }
}

#[test]
fn the_longest_window_there_is_does_no_harm() {
    for kind in [Kind::Rolling, Kind::Bucket, Kind::FirstUse] {
        let mut limit = limit(kind, 5, 1, 0);
        (limit.window, limit.transit) = (Duration::MAX, Some(Duration::MAX));
        let mut meter = meter_of(&limit, kind);
        meter.charge(u64::MAX, Time::MAX);
        assert!(!meter.fits(5, at(1)), "{kind:?}");
        assert!(meter.fits(0, at(1)) || meter.used() > 5, "{kind:?}");
    }
}

/// Never more than the amount of what was admitted, less what was given back, in any window by the instants at
/// which it is counted there.
#[test]
fn a_rolling_window_never_holds_more_than_the_amount() {
    for seed in 0..cases(1_000) {
        let mut random = Random(seed);
        let window = 1_000 + random.upto(1_000_000);
        let amount = 1 + random.upto(1_000);
        let transit = random.upto(window / 8);
        let mut meter = meter(Kind::Rolling, amount, window, transit);
        // Charges by their date, and those still held.
        let (mut sent, mut held): (Vec<(u64, u64)>, Vec<u64>) = (Vec::new(), Vec::new());
        let mut now = 0;
        for _ in 0..200 {
            meter.advance(at(now));
            let n = random.upto(amount / 3 + 1).min(amount);
            match random.upto(9) {
                0 if !held.is_empty() => {
                    let at = random.upto(held.len() as u64 - 1) as usize;
                    meter.release(held.swap_remove(at));
                }
                1..=3 if !held.is_empty() => {
                    let which = random.upto(held.len() as u64 - 1) as usize;
                    let n = held.swap_remove(which);
                    meter.date(n, at(now));
                    sent.push((now, n));
                }
                4 if !sent.is_empty() => {
                    let which = random.upto(sent.len() as u64 - 1) as usize;
                    let back = random.upto(sent[which].1);
                    meter.give_back(back, at(sent[which].0));
                    sent[which].1 -= back;
                }
                5 => meter.pause(at(now + random.upto(window / 4))),
                6 => meter.resize(amount, amount - random.upto(amount / 2), at(0)),
                _ if meter.fits(n, at(now)) => {
                    meter.hold(n);
                    held.push(n);
                }
                _ => {}
            }
            if random.chance(60) {
                now += random.upto(window / 20);
            }
        }
        // Each is counted anywhere between its date and the transit allowance later: two that left less than
        // a window and the allowance apart may share a window over there.
        for (from, _) in &sent {
            let inside = sent
                .iter()
                .filter(|(t, _)| t >= from && *t < from + window + transit);
            let sum: u64 = inside.map(|(_, n)| n).sum();
            assert!(sum <= amount, "seed {seed}: {sum} of {amount} from {from}");
        }
    }
}

#[test]
fn a_refund_into_an_expired_slot_is_ignored() {
    for kind in [
        Kind::Rolling,
        Kind::Bucket,
        Kind::Aligned(0),
        Kind::FirstUse,
    ] {
        let mut meter = meter(kind, 10, 1_000_000, 1_000);
        meter.charge(10, at(0));
        meter.advance(at(2_100_000));
        meter.charge(6, at(2_100_000));
        let used = meter.used();
        meter.refund(10, at(0), at(2_100_000));
        assert_eq!(meter.used(), used, "{kind:?}");
    }
}

#[test]
fn debt_is_remembered_where_windows_overlap() {
    for kind in [Kind::Rolling, Kind::Bucket] {
        let mut meter = meter(kind, 10, 1_000_000, 0);
        meter.charge(10, at(0));
        meter.charge(10, at(0));
        assert_eq!((meter.used(), meter.left()), (20, 0), "{kind:?}");
        // The window forgets whole charges, the bucket refills the debt first.
        let free = if kind == Kind::Bucket {
            1_100_000
        } else {
            1_000_000
        };
        let hint = meter.earliest(1, at(0), at(0));
        assert!(
            hint >= at(free) && hint <= at(free + 1_000),
            "{kind:?} {hint:?}"
        );
    }
}

#[test]
fn what_is_held_counts_without_a_date() {
    for kind in [
        Kind::Rolling,
        Kind::Bucket,
        Kind::Aligned(3),
        Kind::FirstUse,
    ] {
        let mut meter = meter(kind, 10, 1_000_000, 1_000);
        meter.hold(7);
        for now in [0, 999_000, 5_000_000] {
            meter.advance(at(now));
            assert!(
                meter.fits(3, at(now)) && !meter.fits(4, at(now)),
                "{kind:?} {now}"
            );
        }
        meter.release(7);
        assert!(meter.fits(10, at(5_000_000)), "{kind:?}");
    }
}

#[test]
fn a_cost_blocked_by_what_is_held_alone_is_not_asked_again_at_once() {
    let mut meter = meter(Kind::Bucket, 1_000_000, 60_000_000_000, 937_500_000);
    meter.hold(1_000_000);
    let hint = meter.earliest(1, at(0), at(0));
    assert!(hint >= at(900_000_000), "{hint:?}");
}

#[test]
fn the_memory_of_a_window_is_bounded() {
    let window = 60_000_000_000;
    let limit = Limit::tokens(1_000_000, Duration::from_nanos(window))
        .transit(Duration::from_nanos(window));
    let mut meter = meter_of(&limit, Kind::Rolling);
    let entries = |meter: &Meter| match &meter.account {
        Account::Rolling(account) => account.entries(),
        _ => unreachable!(),
    };
    let (_, made) = entries(&meter);
    let mut random = Random(1);
    let mut now = 0;
    for _ in 0..20_000 {
        meter.advance(at(now));
        meter.charge(1 + random.upto(3), at(now));
        now += random.upto(window / 2_000);
        let (held, capacity) = entries(&meter);
        assert!(
            held <= 2_056 && capacity == made,
            "{held} entries, room for {capacity}"
        );
    }
}

#[test]
fn charges_that_are_given_back_leave_nothing_behind() {
    let mut meter = meter(Kind::Rolling, 5, 60_000_000_000, 0);
    for now in 0..1_000 {
        let now = now * 50_000_000;
        meter.advance(at(now));
        meter.charge(5, at(now));
        meter.refund(5, at(now), at(now));
    }
    let Account::Rolling(account) = &meter.account else {
        unreachable!()
    };
    assert!(account.entries().1 <= 8, "{:?}", account.entries());
}

#[test]
fn a_projection_is_no_later_than_the_turn_that_comes() {
    for seed in 0..cases(2_000) {
        let mut random = Random(seed);
        let kind = [
            Kind::Rolling,
            Kind::Bucket,
            Kind::FirstUse,
            Kind::Aligned(77),
        ][random.upto(3) as usize];
        let (mut meter, mut now) = lived(kind, 1_000, 1_000_000, 20_000, None, seed);
        meter.resume();
        let costs: Vec<u64> = (0..=random.upto(30))
            .map(|_| 1 + random.upto(meter.largest() - 1))
            .collect();
        let (last, ahead) = costs.split_last().expect("at least one");
        let projected = meter.project(ahead.iter().sum(), *last, at(now));
        for n in &costs {
            while !meter.fits(*n, at(now)) {
                now = meter.earliest(*n, at(now), at(now)).nanos();
                meter.advance(at(now));
            }
            meter.charge(*n, at(now));
        }
        assert!(
            projected <= at(now),
            "seed {seed}: {kind:?} projected {projected:?}, came at {now}"
        );
    }
}

#[test]
fn a_full_bucket_lets_all_of_it_go_at_once_in_any_pieces() {
    let mut meter = meter(Kind::Bucket, 3, 60_000_000_000, 937_500_000);
    for now in 0..3 {
        meter.advance(at(now));
        assert!(meter.fits(1, at(now)), "{now}");
        meter.charge(1, at(now));
        assert_eq!(meter.used(), now + 1);
    }
    // The first may get there as late as it may, and refills from then on only.
    let hint = meter.earliest(1, at(2), at(2)).nanos();
    assert_eq!(hint, 20_000_000_000 + 937_500_000);
}
