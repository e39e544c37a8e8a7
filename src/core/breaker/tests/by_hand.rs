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

#[test]
fn one_with_other_settings_begins_anew_and_old_tickets_say_nothing_about_it() {
    let mut breaker = consecutive(1, 1);
    let ticket = admit(&mut breaker, MS(0)).unwrap();
    let settings = Settings {
        permits: 7,
        ..breaker.settings().clone()
    };
    breaker.breaker = breaker.anew(settings);
    assert_eq!(breaker.settings().permits, 7);
    end(&mut breaker, ticket, Sample::Failure, MS(0));
    assert_eq!(breaker.counts(MS(0)), CircuitCounts::default());
    // Nor do those of the second about the third.
    let ticket = admit(&mut breaker, MS(0)).unwrap();
    breaker.breaker = breaker.anew(Settings::default());
    end(&mut breaker, ticket, Sample::Failure, MS(0));
    assert_eq!(breaker.counts(MS(0)), CircuitCounts::default());
}

#[test]
fn where_nothing_hangs_on_the_time_it_admits_without_it() {
    let mut breaker = consecutive(1, 1);
    assert_eq!(breaker.era_without_clock(), Some(breaker.era));
    breaker.trip(MS(0), None);
    assert!(breaker.era_without_clock().is_none(), "open");
    breaker.half_open(MS(0));
    assert!(breaker.era_without_clock().is_none(), "half-open");
    breaker.force_open(MS(0));
    assert!(breaker.era_without_clock().is_none(), "forced open");
    for state in [
        Breaker::force_closed,
        Breaker::disable,
        Breaker::metrics_only,
    ] {
        state(&mut breaker);
        assert!(
            breaker.era_without_clock().is_some(),
            "{:?}",
            breaker.state()
        );
    }
    let fixed = Breaker::new(Settings {
        window: Window::Fixed(SPAN(1_000)),
        ..Settings::default()
    });
    assert!(
        fixed.era_without_clock().is_none(),
        "which window is it in?"
    );
}

#[test]
fn refusals_are_counted_until_it_is_another_circuit() {
    let mut breaker = consecutive(1, 1);
    breaker.trip(MS(0), None);
    for n in 1..=3 {
        admit(&mut breaker, MS(0)).unwrap_err();
        assert_eq!(breaker.counts(MS(0)).refused, n);
    }
    breaker.reset();
    assert_eq!(breaker.counts(MS(0)).refused, 0);
}

#[test]
fn nothing_of_nothing_is_no_rate() {
    let mut breaker = Drawn::new(Settings {
        min_calls: 0,
        ..Settings::default()
    });
    let rates = |breaker: &mut Drawn| {
        let counts = breaker.counts(MS(0));
        [counts.failure_rate(), counts.slow_rate()]
    };
    assert_eq!(rates(&mut breaker), [None, None]);
    call(&mut breaker, Sample::Success, MS(0));
    assert_eq!(rates(&mut breaker), [Some(0.0), Some(0.0)]);
}

#[test]
fn a_time_that_was_drawn_for_the_first_opening_outlives_a_reset() {
    let mut breaker = Breaker::new(Settings::default());
    breaker.draw(SPAN(7_000));
    breaker.reset();
    assert_eq!(breaker.wants(), None);
    breaker.trip(MS(0), None);
    assert_eq!(breaker.look(MS(0)), Err(Some(SPAN(7_000))));
    breaker.draw(SPAN(9_000));
    // One that was drawn for a further opening doesn't: it may be long.
    breaker.reset();
    assert_eq!(breaker.wants(), Some(1));
}

#[test]
fn what_would_be_lost_with_it_is_nothing_little_or_much() {
    let new = || consecutive(3, 1);
    assert_eq!(new().worth(MS(0)), Worth::Nothing);
    let mut counted = new();
    call(&mut counted, Sample::Failure, MS(0));
    assert_eq!(counted.worth(MS(0)), Worth::Little, "a failure");
    assert_eq!(
        counted.worth(MS(40_000)),
        Worth::Little,
        "the last still is one"
    );
    call(&mut counted, Sample::Success, MS(40_000));
    assert_eq!(counted.worth(MS(40_000)), Worth::Little, "a call");
    assert_eq!(counted.worth(MS(80_000)), Worth::Nothing, "long ago");

    let mut open = new();
    open.trip(MS(0), None);
    assert_eq!(open.worth(MS(999)), Worth::Much);
    assert_eq!(open.worth(MS(1_000)), Worth::Little, "over");
    open.trip(MS(0), Some(Duration::MAX));
    assert_eq!(open.worth(MS(1_000)), Worth::Much, "never over");
    assert_eq!(open.worth(Time::MAX), Worth::Much, "not even then");

    let mut probing = new();
    probing.half_open(MS(0));
    // Its probes have half a minute, and a second of being open comes after that.
    assert_eq!(probing.worth(MS(30_999)), Worth::Much);
    assert_eq!(probing.worth(MS(31_000)), Worth::Little);
    let mut for_ever = Drawn::new(Settings {
        max_half_open: Duration::MAX,
        ..Settings::default()
    });
    for_ever.half_open(MS(0));
    assert_eq!(for_ever.worth(Time::MAX), Worth::Much);

    let mut by_hand = new();
    by_hand.force_closed();
    assert_eq!(by_hand.worth(MS(0)), Worth::Much);
}

#[test]
fn states_have_names_and_say_whether_calls_pass() {
    let told = CircuitState::ALL.map(|state| (state.name(), state.lets_pass()));
    let expected = [
        ("closed", true),
        ("open", false),
        ("half-open", false),
        ("forced open", false),
        ("forced closed", true),
        ("disabled", true),
        ("metrics only", true),
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_is_told_is_a_change_an_opening_anew_or_one_that_would_be() {
    use CircuitState::{Closed, MetricsOnly, Open};
    let told = |from, to, wait| {
        let change = Move { from, to, wait };
        let moves = Moves::from(change);
        assert!(!moves.is_empty());
        (change.would_open(), moves.iter().count())
    };
    let second = Some(SPAN(1_000));
    assert_eq!(told(Closed, Open, second), (false, 1));
    assert_eq!(told(Open, Open, second), (false, 1));
    assert_eq!(told(MetricsOnly, MetricsOnly, second), (true, 1));
    assert_eq!(told(MetricsOnly, MetricsOnly, None), (false, 0));
    assert_eq!(told(Closed, Closed, None), (false, 0));
    assert!(Moves::default().is_empty());
}

#[test]
fn successes_and_slow_calls_have_their_shares() {
    let mut breaker = Drawn::new(Settings {
        min_calls: 4,
        slow_rate: Some((900_000, SPAN(10))),
        failure_rate: None,
        ..Settings::default()
    });
    for n in 0..4 {
        let ticket = admit(&mut breaker, MS(0)).unwrap();
        let sample = if n == 0 {
            Sample::Failure
        } else {
            Sample::Success
        };
        let took = SPAN(if n < 3 { 11 } else { 10 });
        assert!(breaker.record(ticket, sample, took, MS(0)).is_empty());
    }
    let counts = breaker.counts(MS(0));
    assert_eq!((counts.successes(), counts.slow_calls), (3, 3));
    assert_eq!(counts.slow_rate(), Some(0.75));
    assert_eq!(counts.failure_rate(), Some(0.25));
    assert_eq!(
        (counts.consecutive_failures, counts.consecutive_successes),
        (0, 3)
    );
}

#[test]
fn failures_in_a_row_are_counted_one_by_one() {
    let mut breaker = consecutive(9, 1);
    for n in 1..=4 {
        call(&mut breaker, Sample::Failure, MS(0));
        assert_eq!(breaker.counts(MS(0)).consecutive_failures, n);
        let ticket = admit(&mut breaker, MS(0)).unwrap();
        end(&mut breaker, ticket, Sample::Neutral, MS(0));
        assert_eq!(breaker.counts(MS(0)).calls, n, "a neutral one says nothing");
    }
}

#[test]
fn a_slow_probe_counts_only_where_slow_calls_are_judged() {
    for (slow_rate, state) in [
        (None, CircuitState::Closed),
        (Some((500_000, SPAN(10))), CircuitState::Open),
    ] {
        let mut breaker = Drawn::new(Settings {
            slow_rate,
            ..Settings::default()
        });
        breaker.half_open(MS(0));
        let ticket = admit(&mut breaker, MS(0)).unwrap();
        let _ = breaker.record(ticket, Sample::Success, SPAN(11), MS(11));
        assert_eq!(breaker.state(), state);
    }
    // One that isn't slow closes.
    let mut breaker = Drawn::new(Settings {
        slow_rate: Some((500_000, SPAN(10))),
        ..Settings::default()
    });
    breaker.half_open(MS(0));
    let ticket = admit(&mut breaker, MS(0)).unwrap();
    let _ = breaker.record(ticket, Sample::Success, SPAN(10), MS(10));
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[test]
fn a_probe_that_says_how_long_to_open_opens_though_the_rate_would_close() {
    let mut breaker = Drawn::new(Settings {
        permits: 3,
        judge: Judge::Rate,
        ..Settings::default()
    });
    breaker.half_open(MS(0));
    let tickets = [(); 3].map(|()| admit(&mut breaker, MS(0)).unwrap());
    let [one, two, three] = tickets;
    end(&mut breaker, one, Sample::Success, MS(0));
    end(&mut breaker, two, Sample::Success, MS(0));
    let moves = end(&mut breaker, three, Sample::OpenFor(SPAN(7_000)), MS(0));
    assert_eq!(moves, [CircuitState::Open]);
    assert_eq!(breaker.look(MS(0)), Err(Some(SPAN(7_000))));
}
