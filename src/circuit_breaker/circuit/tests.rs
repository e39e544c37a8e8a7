//! What is refused, or counted, without the lock is what it would be with it.

use proptest::prelude::*;

use super::*;
use crate::core::{
    backoff::{Backoff, Jitter},
    ring::{Steps, Window},
};

const SECOND: Duration = Duration::from_secs(1);

fn circuit() -> Arc<Circuit> {
    Circuit::new(Settings::default(), Arc::new(()), House::new())
}

fn opened(wait: Duration) -> Arc<Circuit> {
    let circuit = circuit();
    circuit.force(|breaker, now| breaker.trip(now, Some(wait)));
    circuit
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_refuses_without_its_lock() {
    for forced in [false, true] {
        let circuit = opened(3 * SECOND);
        if forced {
            circuit.force(|breaker, now| breaker.force_open(now));
        }
        tokio::time::advance(SECOND).await;
        let wait = (!forced).then_some(2 * SECOND);
        let held = circuit.hold();
        assert_eq!(circuit.look(), Err(wait));
        assert_eq!(circuit.pass(), Err(wait));
        assert_eq!(circuit.admit().err(), Some(wait));
        drop(held);
        // A look is no refusal.
        assert_eq!(circuit.counts().refused, 2);
        assert_eq!(circuit.counts().refused, 2, "each once");
    }
}

#[tokio::test(start_paused = true)]
async fn it_refuses_until_its_time_is_over_and_not_for_a_nanosecond_longer() {
    let circuit = opened(3 * SECOND);
    let instant = Duration::from_nanos(1);
    tokio::time::advance(3 * SECOND - instant).await;
    assert_eq!(circuit.look(), Err(Some(instant)));
    tokio::time::advance(instant).await;
    assert_eq!(circuit.look(), Ok(()));
    assert!(circuit.admit().is_ok(), "a probe");
    assert_eq!(circuit.pass(), Err(Some(SECOND)), "half-open: soon");
    assert_eq!(circuit.counts().refused, 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_closes_it_is_heard_at_once() {
    let circuit = opened(3 * SECOND);
    circuit.pass().expect_err("it is open");
    circuit.force(|breaker, _| breaker.reset());
    assert_eq!(circuit.pass(), Ok(()));
    circuit.force(|breaker, now| breaker.half_open(now));
    assert!(circuit.admit().is_ok(), "a probe");
    circuit.force(|breaker, now| breaker.trip(now, Some(SECOND)));
    assert_eq!(circuit.pass(), Err(Some(SECOND)));
    // What was refused before it opened is told no more.
    assert_eq!(circuit.counts().refused, 1);
    circuit.configure(|_| ());
    assert_eq!(circuit.pass(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn an_end_that_is_never_reached_is_told() {
    let circuit = opened(Duration::MAX);
    let wait = circuit.pass().expect_err("it is open");
    assert!(wait.is_some_and(|wait| wait > Duration::from_secs(1 << 32)));
}

/// What so many successes that came at once leave behind, and whether anybody has looked at the clock.
fn after_successes(times: u64, window: Window) -> (CircuitCounts, bool) {
    let settings = Settings {
        window,
        ..Settings::default()
    };
    let circuit = Circuit::new(settings, Arc::new(()), House::new());
    for _ in 0..times {
        let ticket = circuit.admit().expect("closed");
        circuit.succeeded(ticket, None);
    }
    let looked = !format!("{:?}", circuit.clock).contains("uninit");
    (circuit.counts(), looked)
}

#[test]
fn where_neither_time_nor_slowness_counts_a_success_looks_at_no_clock() {
    let (counts, looked) = after_successes(10_000, Window::Calls(7));
    assert_eq!((counts.calls, counts.consecutive_successes), (7, 10_000));
    assert!(!looked);
    let span = Duration::from_secs(30);
    let (counts, looked) = after_successes(10, Window::Time(span, 30, Steps::Even));
    assert_eq!((counts.calls, counts.consecutive_successes), (10, 10));
    assert!(looked);
}

#[test]
fn what_many_threads_count_without_the_lock_is_each_counted_once() {
    const EACH: u64 = 100_000;
    let count = |circuit: &Circuit, act: fn(&Circuit)| {
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(move || (0..EACH).for_each(|_| act(circuit)));
            }
            // Who asks brings what was counted so far.
            for _ in 0..EACH {
                circuit.counts();
            }
        });
        circuit.counts()
    };
    let circuit = circuit();
    let counts = count(&circuit, |circuit| {
        let ticket = circuit.admit().expect("closed");
        circuit.succeeded(ticket, None);
    });
    assert_eq!(counts.consecutive_successes, 3 * EACH);
    circuit.force(|breaker, now| breaker.trip(now, Some(3_600 * SECOND)));
    let counts = count(&circuit, |circuit| {
        circuit.pass().expect_err("open");
    });
    assert_eq!(counts.refused, 3 * EACH);
}

/// The largest gauge of those that were set since it was asked last.
#[cfg(feature = "metrics")]
fn largest(snapshotter: &metrics_util::debugging::Snapshotter) -> Option<f64> {
    use metrics_util::debugging::DebugValue;

    let shown = snapshotter.snapshot().into_vec().into_iter();
    let gauges = shown.filter_map(|(_, _, _, value)| match value {
        DebugValue::Gauge(gauge) => Some(gauge.into_inner()),
        _ => None,
    });
    gauges.reduce(f64::max)
}

/// Two moves of one circuit that two threads have made are told by each of them.
#[cfg(feature = "metrics")]
#[test]
fn a_move_that_is_told_before_the_one_that_led_there_shows_no_crowd() {
    let recorder = metrics_util::debugging::DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let house = House::new();
    house.told.begins(CircuitState::Closed);
    let told = |from, to| {
        let moves = Move {
            from,
            to,
            wait: None,
        }
        .into();
        metrics::with_local_recorder(&recorder, || house.told.moved(&moves));
        largest(&snapshotter)
    };
    let moves = [
        told(CircuitState::Open, CircuitState::HalfOpen),
        told(CircuitState::Closed, CircuitState::Open),
    ];
    assert_eq!(moves, [Some(1.0), Some(0.0)], "each by itself");
}

/// A circuit as its callers have it, and the same that nothing spares its lock.
struct Sides {
    circuit: Arc<Circuit>,
    breaker: Breaker,
}

type Began = (Ticket, Ticket, Option<Moment>);

impl Sides {
    fn new(settings: &Settings) -> Self {
        let house = House::new();
        house.open_by(Backoff::constant(SECOND).jitter(Jitter::None));
        let circuit = Circuit::new(settings.clone(), Arc::new(()), house);
        // Both count from here.
        circuit.clock.now();
        Self {
            circuit,
            breaker: Breaker::new(settings.clone()),
        }
    }

    fn by_lock(&mut self) -> (&mut Breaker, Time) {
        if self.breaker.wants().is_some() {
            self.breaker.draw(SECOND);
        }
        (&mut self.breaker, self.circuit.clock.now())
    }

    fn admit(&mut self) -> Option<(Ticket, Ticket)> {
        let (breaker, now) = self.by_lock();
        let (by_lock, _) = breaker.admit(now);
        let admitted = self.circuit.admit();
        assert_eq!(admitted.as_ref().err(), by_lock.as_ref().err());
        admitted.ok().zip(by_lock.ok())
    }

    fn look(&mut self, count: bool) -> Looked {
        let (breaker, now) = self.by_lock();
        if breaker.state().lets_pass() {
            return Ok(());
        }
        let _ = breaker.advance(now);
        let looked = breaker.look(now);
        if count && looked.is_err() {
            breaker.refused(1);
        }
        looked
    }

    fn end(&mut self, (ticket, by_lock, since): Began, sample: Sample) {
        let took = since.map_or(Duration::ZERO, |since| Moment::now().since(since));
        let (breaker, now) = self.by_lock();
        let _ = breaker.record(by_lock, sample, took, now);
        match sample {
            Sample::Success => self.circuit.succeeded(ticket, since),
            _ => self.circuit.record(ticket, sample, since),
        }
    }

    fn by_hand(&mut self, what: u64) {
        let step: fn(&mut Breaker, Time) -> Move = match what % 7 {
            0 => |breaker, now| breaker.trip(now, None),
            1 => |breaker, now| breaker.trip(now, Some(SECOND / 3)),
            2 => |breaker, now| breaker.half_open(now),
            3 => |breaker, now| breaker.force_open(now),
            4 => |breaker, _| breaker.force_closed(),
            5 => |breaker, _| breaker.metrics_only(),
            _ => |breaker, _| breaker.reset(),
        };
        let (breaker, now) = self.by_lock();
        step(breaker, now);
        self.circuit.force(step);
    }

    fn configure(&mut self, least: u32) {
        self.circuit
            .configure(|settings| settings.min_calls = least);
        let settings = Settings {
            min_calls: least,
            ..self.breaker.settings().clone()
        };
        self.breaker = self.breaker.anew(settings);
    }

    fn counts(&mut self) -> (CircuitState, CircuitCounts) {
        let (breaker, now) = self.by_lock();
        let _ = breaker.advance(now);
        (breaker.state(), breaker.counts(now))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn a_circuit_that_spares_its_lock_is_the_circuit_that_takes_it(
        kind in 0..4_u8, least in 1..6_u32, slow in prop::option::of(1..1_000_000_u32),
        failures in prop::option::of(1..4_u32), consecutive in prop::option::of(1..4_u32),
        permits in 1..3_u32, start in 0..3_usize,
        steps in prop::collection::vec((0..16_u8, 0..1_000_u64), 1..150),
    ) {
        let span = 3 * SECOND;
        let settings = Settings {
            window: match kind {
                0 => Window::Calls(7),
                1 => Window::Time(span, 3, Steps::Even),
                2 => Window::Time(span, 3, Steps::ByCalls),
                _ => Window::Fixed(span),
            },
            min_calls: least,
            slow_rate: slow.map(|rate| (rate, SECOND / 4)),
            failures,
            consecutive,
            permits,
            max_half_open: SECOND,
            start: [CircuitState::Closed, CircuitState::MetricsOnly, CircuitState::Disabled][start],
            ..Settings::default()
        };
        clock::paused().block_on(async {
            let (mut sides, mut out) = (Sides::new(&settings), Vec::<Began>::new());
            for (what, how) in steps {
                let ends = match what {
                    5..10 => Some(Sample::Success),
                    10 => Some(Sample::Failure),
                    11 if how % 2 == 0 => Some(Sample::Neutral),
                    11 => Some(Sample::OpenFor(SECOND / 2)),
                    _ => None,
                };
                if let (Some(sample), false) = (ends, out.is_empty()) {
                    sides.end(out.swap_remove(how as usize % out.len()), sample);
                }
                match what {
                    0..4 => {
                        let since = (how % 2 == 0).then(Moment::now);
                        out.extend(sides.admit().map(|(ticket, other)| (ticket, other, since)));
                    }
                    4 => prop_assert_eq!(sides.look(true), sides.circuit.pass()),
                    12 => tokio::time::advance(Duration::from_millis(how)).await,
                    13 => prop_assert_eq!(sides.look(false), sides.circuit.look()),
                    14 if how < 300 => sides.by_hand(how),
                    14 if how < 350 => sides.configure(how as u32 % 6 + 1),
                    15 => {
                        let seen = (sides.circuit.state(), sides.circuit.counts());
                        prop_assert_eq!(sides.counts(), seen);
                    }
                    _ => {}
                }
            }
            let seen = (sides.circuit.state(), sides.circuit.counts());
            prop_assert_eq!(sides.counts(), seen);
            Ok(())
        })?;
    }
}
