//! What is refused, or counted, without the lock is what it would be with it.

use super::*;
use crate::core::ring::{Steps, Window};

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
