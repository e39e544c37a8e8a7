use proptest::prelude::*;

use super::*;

const MS: fn(u64) -> Duration = Duration::from_millis;

fn roll(fraction: f64) -> u64 {
    (fraction * u64::MAX as f64) as u64
}

#[test]
fn the_defaults_are_half_a_second_doubling_to_eight_with_full_jitter() {
    let backoff = Backoff::default();
    let most: Vec<_> = (1..=7)
        .map(|n| backoff.wait(n, None, u64::MAX).as_millis())
        .collect();
    assert_eq!(most, [500, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000]);
    assert_eq!(backoff.wait(7, None, 0), Duration::ZERO);
    assert_eq!(backoff.wait(7, None, roll(0.5)), MS(4_000));
}

#[test]
fn schedules_are_exact() {
    let exact = |backoff: Backoff| {
        let backoff = backoff.jitter(Jitter::None);
        move |n| backoff.wait(n, None, 7)
    };
    let constant = exact(Backoff::constant(MS(1_000)));
    assert_eq!([constant(1), constant(u32::MAX)], [MS(1_000); 2]);
    let linear = exact(Backoff::linear(MS(9), MS(30)).max(MS(99)));
    assert_eq!(
        [linear(1), linear(2), linear(4), linear(5)],
        [MS(9), MS(39), MS(99), MS(99)]
    );
    let half = exact(Backoff::exponential(MS(5_000), Duration::MAX).factor(1.5));
    assert_eq!(
        [half(1), half(2), half(3)],
        [MS(5_000), MS(7_500), MS(11_250)]
    );
    let floor = exact(Backoff::exponential(MS(2_000), Duration::MAX).min(MS(20_000)));
    assert_eq!(
        [floor(1), floor(4), floor(5), floor(20)],
        [MS(20_000), MS(20_000), MS(32_000), MS(1_048_576_000)]
    );
    let own = exact(Backoff::custom(|n| MS(u64::from(n) * 7)));
    assert_eq!([own(0), own(1), own(3)], [MS(7), MS(7), MS(21)]);
}

#[test]
fn what_overflows_lands_on_the_maximum() {
    let day = Duration::from_secs(86_400);
    let capped = Backoff::exponential(day, 2 * day).jitter(Jitter::None);
    assert_eq!(capped.wait(1, None, 0), day);
    for retry in [2, 1_001, 1_000_000, u32::MAX] {
        assert_eq!(capped.wait(retry, None, 0), 2 * day);
    }
    let open = Backoff::exponential(day, Duration::MAX).jitter(Jitter::None);
    assert_eq!(open.wait(u32::MAX, None, 0), Duration::from_nanos(u64::MAX));
    let slow = Backoff::exponential(Duration::from_nanos(1), Duration::MAX)
        .factor(1.001)
        .jitter(Jitter::None);
    assert_eq!(slow.wait(u32::MAX, None, 0), Duration::from_nanos(u64::MAX));
}

#[test]
fn proportional_jitter_is_exact_for_the_number_drawn() {
    let backoff = Backoff::constant(MS(1_000)).jitter(Jitter::Proportional(25));
    for (fraction, expected) in [(0.0, 750), (0.4, 950), (0.6, 1_050), (1.0, 1_250)] {
        assert_eq!(backoff.wait(1, None, roll(fraction)), MS(expected));
    }
    let above = Backoff::constant(MS(500)).jitter(Jitter::Above(50));
    assert_eq!(above.wait(1, None, roll(0.088)), MS(522));
}

#[test]
fn jitter_stays_alive_at_the_maximum() {
    for jitter in [
        Jitter::Full,
        Jitter::Equal,
        Jitter::Decorrelated,
        Jitter::Proportional(20),
        Jitter::Above(50),
        Jitter::Additive(MS(1_000)),
    ] {
        let backoff = Backoff::exponential(MS(1_000), MS(60_000)).jitter(jitter);
        let least = backoff.wait(50, Some(MS(60_000)), 0);
        let most = backoff.wait(50, Some(MS(60_000)), u64::MAX);
        assert_eq!(most, MS(60_000), "{jitter:?}");
        assert!(most - least >= MS(1_000), "{jitter:?}: {least:?}..{most:?}");
    }
}

#[test]
fn a_thousand_circuits_of_five_seconds_give_or_take_a_fifth_spread_evenly() {
    let open = Backoff::exponential(MS(5_000), MS(60_000)).jitter(Jitter::Proportional(20));
    let mut waits: Vec<_> = (0..1_000u64)
        .map(|n| open.wait(1, None, n.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
        .collect();
    waits.sort();
    for from in 0..1_000 {
        let crowd = waits[from..]
            .iter()
            .take_while(|wait| **wait < waits[from] + MS(100));
        assert!(crowd.count() <= 80);
    }
}

proptest! {
    #[test]
    fn waits_never_leave_their_bounds(
        first in 0..u64::MAX, step in 0..u64::MAX, min in 0..u64::MAX, max in 0..u64::MAX,
        retry in any::<u32>(), before in proptest::option::of(0..u64::MAX), roll in any::<u64>(),
        factor in 1.0..1e6, percent in any::<u32>(), kind in 0..7, schedule in 0..3,
    ) {
        let span = Duration::from_nanos;
        let backoff = match schedule {
            0 => Backoff::constant(span(first)),
            1 => Backoff::linear(span(first), span(step)),
            _ => Backoff::exponential(span(first), Duration::MAX).factor(factor),
        };
        let jitter = match kind {
            0 => Jitter::None,
            1 => Jitter::Full,
            2 => Jitter::Equal,
            3 => Jitter::Decorrelated,
            4 => Jitter::Proportional(percent % 101),
            5 => Jitter::Above(percent),
            _ => Jitter::Additive(span(step)),
        };
        let backoff = backoff.jitter(jitter).min(span(min)).max(span(max));
        let wait = backoff.wait(retry, before.map(span), roll);
        prop_assert!(wait <= span(max));
        prop_assert!(wait >= span(min.min(max)));
    }
}

#[test]
fn what_lies_between_two_nanoseconds_is_rounded_to_the_nearer_one() {
    let nano = Backoff::exponential(Duration::from_nanos(1), Duration::MAX).jitter(Jitter::None);
    let wait = |factor, retry| nano.clone().factor(factor).wait(retry, None, 0).as_nanos();
    assert_eq!([wait(1.4, 2), wait(1.5, 2), wait(1.6, 2)], [1, 2, 2]);
    assert_eq!([wait(1.5, 3), wait(1.5, 4)], [2, 3], "2.25 and 3.375");
}

#[test]
fn a_schedule_that_does_not_grow_is_told_at_once_for_any_retry() {
    for first in [Duration::ZERO, MS(7)] {
        let backoff = Backoff::exponential(first, Duration::MAX).jitter(Jitter::None);
        assert_eq!(backoff.factor(1.0).wait(u32::MAX, None, 0), first);
    }
    let nothing = Backoff::exponential(Duration::ZERO, Duration::MAX).jitter(Jitter::None);
    assert_eq!(nothing.wait(u32::MAX, None, 0), Duration::ZERO);
}

#[test]
fn equal_jitter_is_from_half_of_it_to_all_of_it() {
    let backoff = Backoff::constant(MS(1_000)).jitter(Jitter::Equal);
    assert_eq!(backoff.wait(1, None, 0), MS(500));
    assert_eq!(backoff.wait(1, None, u64::MAX), MS(1_000));
}

#[test]
fn above_what_somebody_says_it_waits_no_less_and_little_more() {
    let backoff = Backoff::default();
    let above = |floor, roll| backoff.above(floor, 10, roll);
    assert_eq!(above(MS(2_000), 0), MS(2_000));
    assert_eq!(above(MS(2_000), u64::MAX), MS(2_200));
    assert_eq!(
        above(MS(200_000), u64::MAX),
        MS(208_000),
        "the maximum more"
    );
    assert_eq!(
        above(Duration::MAX, u64::MAX),
        Duration::from_nanos(u64::MAX)
    );
}

#[test]
fn bounds_with_something_between_them_are_taken() {
    Backoff::default().min(MS(8_000)).check("backoff");
}

#[test]
#[should_panic(expected = "backoff: a min of 8.001s is more than the max of 8s")]
fn bounds_with_nothing_between_them_are_refused() {
    Backoff::default().min(MS(8_001)).check("backoff");
}
