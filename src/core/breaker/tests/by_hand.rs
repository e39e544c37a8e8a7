//! States set by hand or in the settings, and what counts tell.

use super::*;

#[test]
fn one_tripped_by_hand_opens_for_the_schedules_time_or_a_given_one() {
    let mut breaker = consecutive(1, 1);
    breaker.trip(MS(0), None);
    assert_eq!(admit(&mut breaker, MS(0)).unwrap_err(), Some(SPAN(1_000)));
    breaker.trip(MS(0), Some(SPAN(7_000)));
    assert_eq!(admit(&mut breaker, MS(0)).unwrap_err(), Some(SPAN(7_000)));
    call(&mut breaker, Sample::Success, MS(7_000));
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[test]
fn one_that_is_disabled_lets_everything_pass_and_counts_nothing() {
    let start = CircuitState::Disabled;
    let mut breaker = Drawn::new(Settings {
        start,
        consecutive: Some(1),
        ..Settings::default()
    });
    for _ in 0..100 {
        call(&mut breaker, Sample::Failure, MS(0));
    }
    assert_eq!(breaker.state(), CircuitState::Disabled);
    assert_eq!(breaker.counts(MS(0)), CircuitCounts::default());
    breaker.reset();
    call(&mut breaker, Sample::Failure, MS(0));
    assert_eq!(breaker.state(), CircuitState::Open);
}

#[test]
fn one_that_only_measures_says_once_that_it_would_have_opened() {
    let start = CircuitState::MetricsOnly;
    let mut breaker = Drawn::new(Settings {
        start,
        consecutive: Some(2),
        ..Settings::default()
    });
    let mut told = Vec::new();
    for sample in "fffsfsff".chars() {
        let sample = if sample == 'f' {
            Sample::Failure
        } else {
            Sample::Success
        };
        let ticket = admit(&mut breaker, MS(0)).expect("never refused");
        let moves = breaker.record(ticket, sample, Duration::ZERO, MS(0));
        told.push(moves.iter().filter(Move::would_open).count());
    }
    assert_eq!(told, [0, 1, 0, 0, 0, 0, 0, 1]);
    let counts = breaker.counts(MS(0));
    assert_eq!(
        (counts.calls, counts.failures, counts.would_have_opened),
        (8, 6, 2)
    );
    assert_eq!((counts.opened, counts.openings), (0, 0));
}

#[test]
fn rates_are_unknown_below_the_minimum_and_stay_while_open() {
    let mut breaker = Drawn::new(Settings {
        min_calls: 3,
        ..Settings::default()
    });
    call(&mut breaker, Sample::Failure, MS(0));
    call(&mut breaker, Sample::Success, MS(0));
    assert_eq!(breaker.counts(MS(0)).failure_rate(), None);
    call(&mut breaker, Sample::Failure, MS(0));
    let counts = breaker.counts(MS(0));
    assert_eq!(breaker.state(), CircuitState::Open);
    assert_eq!((counts.successes(), counts.slow_rate()), (1, Some(0.0)));
    assert!(
        counts
            .failure_rate()
            .is_some_and(|rate| (rate - 2.0 / 3.0).abs() < 1e-9)
    );
    breaker.half_open(MS(0));
    assert_eq!(breaker.counts(MS(0)).failure_rate(), None);
    call(&mut breaker, Sample::Failure, MS(0));
    assert_eq!(breaker.counts(MS(0)).failure_rate(), Some(1.0));
}

#[test]
fn one_more_probe_goes_every_so_often_where_that_is_asked_for() {
    let mut breaker = Drawn::new(Settings {
        consecutive: Some(1),
        extra: Some(SPAN(2_000)),
        ..Settings::default()
    });
    breaker.half_open(MS(0));
    let hung = admit(&mut breaker, MS(0)).expect("the probe");
    assert!(admit(&mut breaker, MS(1_999)).is_err());
    let second = admit(&mut breaker, MS(2_000)).expect("one more");
    assert!(admit(&mut breaker, MS(3_999)).is_err());
    end(&mut breaker, second, Sample::Success, MS(3_999));
    assert_eq!(breaker.state(), CircuitState::Closed);
    end(&mut breaker, hung, Sample::Failure, MS(3_999));
    assert_eq!(breaker.state(), CircuitState::Closed);
}
