//! Successes that somebody else counts meanwhile.

use super::*;
use crate::core::ring::Steps;

fn window(kind: u8) -> Window {
    match kind {
        0 => Window::Calls(7),
        1 => Window::Time(SPAN(3_000), 3, Steps::Even),
        2 => Window::Time(SPAN(3_000), 3, Steps::ByCalls),
        _ => Window::Fixed(SPAN(3_000)),
    }
}

/// A circuit whose successes are counted beside it as long as it is calm.
struct Beside {
    breaker: Drawn,
    counted: u64,
    until: Time,
}

impl Beside {
    /// The circuit, with all that was counted beside it; then it is asked anew whether it is calm.
    fn step<T>(&mut self, step: impl FnOnce(&mut Drawn) -> T) -> T {
        self.breaker.succeeded(std::mem::take(&mut self.counted));
        let done = step(&mut self.breaker);
        self.until = self.breaker.calm_until();
        done
    }
}

proptest! {
    /// Whatever comes in between: states, counts and changes are those of a circuit that is told of each success at once.
    #[test]
    fn successes_that_are_brought_later_are_as_if_they_had_been_brought_at_once(
        kind in 0u8..4, min_calls in 1u32..6, rate in prop::option::of(1u32..1_000_000),
        failures in prop::option::of(1u32..4), consecutive in prop::option::of(1u32..4),
        slow in prop::option::of(1u32..1_000_000), start in 0u8..3,
        steps in proptest::collection::vec((0u64..2_000, 0u8..16, 0u64..200), 1..200),
    ) {
        let settings = Settings {
            window: window(kind),
            min_calls,
            failure_rate: rate,
            failures,
            consecutive,
            slow_rate: slow.map(|rate| (rate, SPAN(100))),
            start: [CircuitState::Closed, CircuitState::MetricsOnly, CircuitState::Disabled][usize::from(start)],
            ..Settings::default()
        };
        let mut told = Drawn::new(settings.clone());
        let breaker = Drawn::new(settings);
        let until = breaker.calm_until();
        let mut beside = Beside { breaker, counted: 0, until };
        let (mut now, mut late) = (0, Vec::new());
        for (later, what, took) in steps {
            now += if what % 2 == 0 { later / 100 } else { later };
            let at = MS(now);
            let took = SPAN(took);
            let sample = match what {
                12 => Sample::Failure,
                13 => Sample::Neutral,
                14 => Sample::OpenFor(SPAN(500)),
                _ => Sample::Success,
            };
            if what == 15 {
                let changes: fn(&mut Drawn, Time) -> Move = match later % 5 {
                    0 => |breaker, now| breaker.trip(now, None),
                    1 => |breaker, _| breaker.force_closed(),
                    2 => |breaker, _| breaker.metrics_only(),
                    3 => |breaker, now| breaker.half_open(now),
                    _ => |breaker, _| breaker.reset(),
                };
                prop_assert_eq!(changes(&mut told, at), beside.step(|breaker| changes(breaker, at)));
                continue;
            }
            let (ticket, moves) = told.admit(at);
            let (other, others) = beside.step(|breaker| breaker.admit(at));
            prop_assert_eq!(ticket.is_ok(), other.is_ok());
            prop_assert_eq!(moves.iter().collect::<Vec<_>>(), others.iter().collect::<Vec<_>>());
            if let (Ok(ticket), Ok(other)) = (ticket, other) {
                late.push((ticket, other));
            }
            // Not always the last one that went.
            if late.is_empty() || what == 11 {
                continue;
            }
            let (ticket, other) = late.swap_remove(took.as_millis() as usize % late.len());
            let is_slow = slow.is_some() && took > SPAN(100);
            let moves = told.record(ticket, sample, took, at);
            let calm = at < beside.until && other.era() == beside.breaker.era;
            if sample == Sample::Success && !is_slow && calm {
                beside.counted += 1;
                prop_assert!(moves.is_empty());
            } else {
                let others = beside.step(|breaker| breaker.record(other, sample, took, at));
                prop_assert_eq!(moves.iter().collect::<Vec<_>>(), others.iter().collect::<Vec<_>>());
            }
            if what == 10 {
                prop_assert_eq!(told.counts(at), beside.step(|breaker| breaker.counts(at)));
            }
            prop_assert_eq!(told.state(), beside.breaker.state());
        }
        let at = MS(now);
        prop_assert_eq!(told.counts(at), beside.step(|breaker| breaker.counts(at)));
    }
}

#[test]
fn it_is_calm_until_the_step_ends_and_without_end_where_time_doesnt_count() {
    let mut breaker = Drawn::new(Settings::default());
    assert_eq!(breaker.calm_until(), MS(1_000));
    call(&mut breaker, Sample::Success, MS(2_500));
    assert_eq!(breaker.calm_until(), MS(3_000));
    let by_calls = Settings {
        window: Window::Calls(5),
        min_calls: 2,
        ..Settings::default()
    };
    let mut breaker = Drawn::new(by_calls);
    assert_eq!(breaker.calm_until(), Time::MAX);
    call(&mut breaker, Sample::Failure, MS(0));
    assert_eq!(
        breaker.calm_until(),
        Time::ZERO,
        "the next call makes them enough for a rate"
    );
    call(&mut breaker, Sample::Success, MS(0));
    assert_eq!(breaker.state(), CircuitState::Open);
    assert_eq!(breaker.calm_until(), Time::ZERO);
}

#[test]
fn it_is_calm_for_ever_where_nothing_counts_and_never_where_the_window_ends_an_era() {
    let mut breaker = Drawn::new(Settings::default());
    breaker.force_closed();
    assert_eq!(breaker.calm_until(), Time::MAX);
    breaker.disable();
    assert_eq!(breaker.calm_until(), Time::MAX);
    let fixed = Drawn::new(Settings {
        window: Window::Fixed(SPAN(3_000)),
        ..Settings::default()
    });
    assert_eq!(fixed.calm_until(), Time::ZERO);
}

#[test]
fn each_move_begins_an_era_and_a_ticket_is_of_its_own() {
    let mut breaker = Drawn::new(Settings::default());
    let mut eras = vec![breaker.era()];
    for _ in 0..3 {
        let (ticket, _) = breaker.admit(MS(0));
        assert_eq!(ticket.ok().map(|ticket| ticket.era()), eras.last().copied());
        breaker.force_closed();
        breaker.reset();
        assert!(!eras.contains(&breaker.era()));
        eras.push(breaker.era());
    }
}

#[test]
fn it_is_shut_until_its_end_and_for_ever_where_only_a_hand_moves_it() {
    let mut breaker = Drawn::new(Settings::default());
    assert_eq!(breaker.shut_until(), Time::ZERO);
    breaker.trip(MS(100), Some(SPAN(500)));
    assert_eq!(breaker.shut_until(), MS(600));
    assert!(breaker.look(MS(599)).is_err() && breaker.look(MS(600)).is_ok());
    breaker.force_open(MS(700));
    assert_eq!(breaker.shut_until(), Time::MAX);
    breaker.half_open(MS(800));
    assert_eq!(breaker.shut_until(), Time::ZERO);
    breaker.trip(MS(900), Some(Duration::MAX));
    assert_eq!(breaker.shut_until(), Time::ZERO, "its end is to be told of");
}
