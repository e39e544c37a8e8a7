//! A circuit's tickets.
#![cfg(any(tower_quota_loom, tower_quota_shuttle))]

use std::{
    future::{Ready, poll_fn, ready},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use tower::{Layer, Service};
use tower_quota::{
    BoxError, CircuitBreakerLayer, CircuitState, Verdict, circuit_breaker::CircuitBreaker,
};
use tower_quota_interleavings::{FEW, TASKS, block_on, spawn, try_all};

const HOUR: Duration = Duration::from_secs(3_600);

/// Fails where it is told to, and counts who is inside.
#[derive(Clone)]
struct Inner {
    fails: bool,
    calls: Arc<AtomicUsize>,
}

impl Service<()> for Inner {
    type Response = bool;
    type Error = BoxError;
    type Future = Ready<Result<bool, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        self.calls.fetch_add(1, SeqCst);
        ready(Ok(!self.fails))
    }
}

fn judge(outcome: Result<&bool, &BoxError>) -> Verdict {
    match outcome {
        Ok(true) => Verdict::Success,
        _ => Verdict::Transient { sent: true },
    }
}

fn layer() -> CircuitBreakerLayer {
    CircuitBreakerLayer::new()
        .consecutive_failures(1)
        .open_for(HOUR, HOUR)
        .max_half_open(HOUR)
}

/// A call that is readied, made and polled to its end; `None` where it is dropped before that.
fn call<S>(mut service: S, dropped: bool) -> Option<bool>
where
    S: Service<(), Response = bool, Error = BoxError>,
{
    block_on(poll_fn(|cx| service.poll_ready(cx))).expect("never fails");
    let future = service.call(());
    if dropped {
        drop(future);
        return None;
    }
    block_on(future).ok()
}

fn many(
    tasks: usize,
    layer: &CircuitBreakerLayer,
    inner: &Inner,
    fates: impl Fn(usize) -> (bool, bool),
) -> Vec<Option<bool>> {
    let tasks: Vec<_> = (0..tasks)
        .map(|index| {
            let (fails, dropped) = fates(index);
            let inner = Inner {
                fails,
                ..inner.clone()
            };
            let service = layer.clone().opaque().classify(judge).layer(inner);
            spawn(move || call(service, dropped))
        })
        .collect();
    tasks
        .into_iter()
        .map(|task| task.join().expect("no panic"))
        .collect()
}

fn inner() -> Inner {
    Inner {
        fails: false,
        calls: Arc::default(),
    }
}

#[test]
fn while_half_open_one_probe_goes_whoever_asks() {
    try_all("probes", 3, || {
        let (layer, inner) = (layer(), inner());
        layer.handle().half_open();
        let outcomes = many(TASKS, &layer, &inner, |_| (true, false));
        // It failed, and so nobody else went: neither beside it nor after it.
        assert_eq!(inner.calls.load(SeqCst), 1);
        assert_eq!(outcomes.iter().filter(|o| **o == Some(false)).count(), 1);
        assert_eq!(layer.handle().state(), CircuitState::Open);
    });
}

#[test]
fn a_probe_that_is_dropped_gives_its_ticket_back() {
    try_all("dropped probes", 3, || {
        let (layer, inner) = (layer(), inner());
        layer.handle().half_open();
        many(TASKS, &layer, &inner, |_| (false, true));
        assert_eq!(layer.handle().state(), CircuitState::HalfOpen);
        let service = layer.clone().opaque().classify(judge).layer(inner);
        assert_eq!(call(service, false), Some(true));
        assert_eq!(layer.handle().state(), CircuitState::Closed);
    });
}

#[test]
fn the_first_failure_opens_and_what_comes_late_moves_nothing() {
    try_all("late outcomes", 3, || {
        let (layer, inner) = (layer(), inner());
        let outcomes = many(TASKS, &layer, &inner, |index| (index == 0, false));
        let handle = layer.handle();
        assert_eq!(handle.state(), CircuitState::Open);
        assert_eq!(handle.counts().opened, 1);
        let went = outcomes.iter().filter(|outcome| outcome.is_some()).count();
        assert_eq!(inner.calls.load(SeqCst), went, "refused calls don't go");
    });
}

#[test]
fn by_hand_while_calls_come_and_go_it_ends_where_it_was_moved_last() {
    try_all("by hand", 2, || {
        let (layer, inner) = (layer(), inner());
        let handle = layer.handle();
        let hand = spawn(move || {
            handle.trip();
            handle.reset();
        });
        many(FEW, &layer, &inner, |index| (false, index == 0));
        hand.join().expect("no panic");
        assert_eq!(layer.handle().state(), CircuitState::Closed);
        let service = layer.clone().opaque().classify(judge).layer(inner);
        assert_eq!(call(service, false), Some(true));
    });
}

#[test]
fn a_failure_is_judged_beside_every_success_that_came_before_it() {
    try_all("successes", 2, || {
        let layer = CircuitBreakerLayer::new().min_calls(1).failure_rate(0.5);
        let inner = inner();
        let service = layer.clone().opaque().classify(judge).layer(inner.clone());
        for _ in 0..2 {
            assert_eq!(call(service.clone(), false), Some(true));
        }
        // Without them the failure would be one of one, where it is first.
        many(TASKS, &layer, &inner, |index| (index == 0, false));
        let counts = layer.handle().counts();
        assert_eq!((counts.calls, counts.failures), (2 + TASKS as u64, 1));
        assert_eq!(layer.handle().state(), CircuitState::Closed);
    });
}

#[test]
fn a_success_of_before_a_reset_never_counts_after_it() {
    try_all("stragglers", 2, || {
        let (layer, inner) = (layer(), inner());
        let service = layer.clone().opaque().classify(judge).layer(inner);
        let calls: Vec<_> = (1..TASKS)
            .map(|_| {
                let mut service = service.clone();
                block_on(poll_fn(|cx| service.poll_ready(cx))).expect("never fails");
                service.call(())
            })
            .map(|call| spawn(move || block_on(call).ok()))
            .collect();
        let handle = layer.handle();
        handle.reset();
        assert_eq!(handle.counts().calls, 0);
        for call in calls {
            assert_eq!(call.join().expect("no panic"), Some(true));
        }
        assert_eq!(layer.handle().counts().calls, 0);
    });
}

/// Never ready.
#[derive(Clone)]
struct Stuck(Arc<AtomicBool>);

impl Service<()> for Stuck {
    type Response = bool;
    type Error = BoxError;
    type Future = Ready<Result<bool, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Pending
    }

    fn call(&mut self, (): ()) -> Self::Future {
        self.0.store(true, SeqCst);
        ready(Ok(true))
    }
}

#[test]
fn whoever_waits_for_a_stuck_service_is_told_when_the_circuit_opens() {
    try_all("lobby", 3, || {
        let layer = layer();
        let called = Arc::new(AtomicBool::new(false));
        let tasks: Vec<_> = (1..TASKS)
            .map(|_| {
                let stuck = Stuck(Arc::clone(&called));
                let service: CircuitBreaker<_, _> =
                    layer.clone().opaque().classify(judge).layer(stuck);
                spawn(move || assert_eq!(call(service, false), None))
            })
            .collect();
        layer.handle().force_open();
        tasks
            .into_iter()
            .for_each(|task| task.join().expect("no panic"));
        assert!(!called.load(SeqCst));
    });
}
