//! The stream of what happens to a circuit.

use std::{
    future::Future,
    sync::atomic::{AtomicU64, Ordering},
    task::Context,
};

use futures_util::StreamExt;
use tokio::time::advance;
use tower::Layer;
use tower_quota::{
    Backoff, CircuitBreakerLayer, CircuitEvent, CircuitState, circuit_breaker::CircuitEvents,
};

use super::{MS, SECOND, run, touchy};
use crate::support::{events::Events, mock::*};

/// What is there already.
fn taken(events: &mut CircuitEvents) -> Vec<CircuitEvent> {
    let mut taken = Vec::new();
    while let std::task::Poll::Ready(Some(event)) = poll(std::pin::pin!(events.next())) {
        taken.push(event);
    }
    taken
}

fn states(events: &[CircuitEvent]) -> Vec<(CircuitState, CircuitState)> {
    let changes = events.iter().map(|event| match event {
        CircuitEvent::Changed { from, to, .. } => (*from, *to),
        other => panic!("{other:?}"),
    });
    changes.collect()
}

#[tokio::test(start_paused = true)]
async fn a_listener_hears_every_change_in_order_and_how_long_it_is_open() {
    use CircuitState::*;
    let layer = touchy();
    let service = layer.layer(Mock::new([DOWN, DOWN, OK]));
    let (mut one, mut two) = (layer.handle().subscribe(), layer.handle().subscribe());
    run(&service).await.unwrap();
    advance(SECOND + MS(1)).await;
    run(&service).await.unwrap();
    advance(SECOND * 2 + MS(1)).await;
    run(&service).await.unwrap();
    layer.handle().reset();
    let heard = taken(&mut one);
    assert_eq!(
        states(&heard),
        [
            (Closed, Open),
            (Open, HalfOpen),
            (HalfOpen, Open),
            (Open, HalfOpen),
            (HalfOpen, Closed),
        ]
    );
    assert!(
        matches!(&heard[0], CircuitEvent::Changed { wait: Some(wait), .. } if wait.abs_diff(SECOND) < MS(1))
    );
    assert_eq!(taken(&mut two), heard, "everybody hears everything");
    let mut late = layer.handle().subscribe();
    assert_eq!(taken(&mut late), [], "only from now on");
}

/// Whoever shows until when it is open would be wrong otherwise.
#[tokio::test(start_paused = true)]
async fn a_listener_hears_that_an_open_circuit_is_opened_anew() {
    use CircuitState::*;
    let told = Events::new();
    let layer = touchy();
    let mut events = layer.handle().subscribe();
    layer.handle().open_for(SECOND * 3);
    layer.handle().open_for(SECOND * 9);
    layer.handle().trip();
    layer.handle().force_open();
    layer.handle().force_open();
    let heard = taken(&mut events);
    let expected = [
        (Closed, Open),
        (Open, Open),
        (Open, Open),
        (Open, ForcedOpen),
    ];
    assert_eq!(states(&heard), expected);
    let wait = |event: &CircuitEvent| match event {
        CircuitEvent::Changed { wait, .. } => *wait,
        _ => None,
    };
    assert_eq!(wait(&heard[0]), Some(SECOND * 3));
    assert_eq!(wait(&heard[1]), Some(SECOND * 9));
    assert!(wait(&heard[2]).unwrap().abs_diff(SECOND * 4) < MS(1));
    let opened = layer.handle().counts().opened;
    assert_eq!(opened, 2, "anew is not again, forced is");
    // And so do those who read the log, where waits look as everywhere.
    let told = told.called("circuit changed");
    let waits: Vec<_> = told.iter().map(|event| event.of("wait")).collect();
    assert_eq!(waits[..2], ["3s", "9s"]);
    assert_eq!(waits.len(), 4);
    assert_eq!((told[1].of("from"), told[1].of("to")), ("open", "open"));
}

#[tokio::test(start_paused = true)]
async fn one_that_only_measures_tells_that_it_would_have_opened() {
    let layer = touchy().metrics_only();
    let mut events = layer.handle().subscribe();
    let service = layer.layer(Mock::new([DOWN]));
    run(&service).await.unwrap();
    run(&service).await.unwrap();
    let heard = taken(&mut events);
    assert!(
        matches!(heard[..], [CircuitEvent::WouldOpen { .. }]),
        "{heard:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_waits_is_woken_and_one_that_gave_up_has_taken_nothing() {
    let layer = touchy();
    let mut events = layer.handle().subscribe();
    let (counter, waker) = Counter::new();
    let mut cx = Context::from_waker(&waker);
    assert!(events.poll_next_unpin(&mut cx).is_pending());
    {
        let mut given_up = std::pin::pin!(events.next());
        assert!(given_up.as_mut().poll(&mut cx).is_pending());
    }
    layer.handle().force_open();
    assert_eq!(counter.count(), 1);
    assert_eq!(taken(&mut events).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_lags_learns_how_many_it_missed() {
    let layer = touchy();
    let mut events = layer.handle().subscribe();
    for _ in 0..500 {
        layer.handle().trip();
        layer.handle().reset();
    }
    let heard = taken(&mut events);
    assert!(
        matches!(heard[0], CircuitEvent::Missed { events: 744, .. }),
        "{:?}",
        heard[0]
    );
    assert_eq!(heard.len(), 1 + 256);
}

#[tokio::test(start_paused = true)]
async fn the_stream_ends_once_the_circuit_is_gone() {
    let layer = touchy();
    let mut events = layer.handle().subscribe();
    layer.handle().force_open();
    let service = layer.layer(Mock::new([OK]));
    drop(layer);
    assert!(events.next().await.is_some());
    assert!(poll(std::pin::pin!(events.next())).is_pending());
    drop(service);
    assert_eq!(events.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_is_dropped_is_forgotten() {
    let layer = touchy();
    let (counter, waker) = Counter::new();
    let mut events = layer.handle().subscribe();
    assert!(
        events
            .poll_next_unpin(&mut Context::from_waker(&waker))
            .is_pending()
    );
    drop(events);
    layer.handle().force_open();
    assert_eq!(counter.count(), 0);
    assert_eq!(
        std::sync::Arc::strong_count(&counter),
        2,
        "the waker and the test's own"
    );
}

/// Threads that open and close at the same time: each change begins where the one before ended.
#[test]
fn events_come_in_the_order_in_which_they_happened() {
    let layer = touchy();
    let mut events = layer.handle().subscribe();
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for _ in 0..30 {
                    layer.handle().trip();
                    layer.handle().reset();
                }
            });
        }
    });
    let heard = states(&taken(&mut events));
    assert!(
        heard.windows(2).all(|pair| pair[0].1 == pair[1].0),
        "{heard:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_schedule_or_source_that_throws_wedges_nothing() {
    let layers: [fn() -> CircuitBreakerLayer; 2] = [
        || touchy().open_backoff(Backoff::custom(|_| panic!("schedule"))),
        || touchy().random(|| panic!("source")),
    ];
    for layer in layers {
        let layer = layer();
        let service = layer.layer(Mock::new([DOWN, OK]));
        run(&service).await.unwrap();
        let refused = run(&service).await.unwrap_err();
        assert_eq!(refused.retry_after, Some(SECOND * 5));
        advance(SECOND * 5).await;
        assert_eq!(run(&service).await, Ok(200));
    }
}

/// The schedule and the source of numbers may look at the circuit: they run under no lock.
#[tokio::test(start_paused = true)]
async fn a_schedule_may_ask_and_move_the_circuit_that_it_opens() {
    static ASKED: AtomicU64 = AtomicU64::new(0);
    let slot = std::sync::Arc::new(std::sync::OnceLock::<tower_quota::CircuitHandle>::new());
    let asked = std::sync::Arc::clone(&slot);
    let layer = touchy().open_backoff(Backoff::custom(move |_| {
        if let Some(handle) = asked.get() {
            let _ = (handle.state(), handle.counts(), format!("{handle:?}"));
            handle.trip();
            ASKED.fetch_add(1, Ordering::Relaxed);
        }
        SECOND
    }));
    assert!(slot.set(layer.handle()).is_ok());
    let service = layer.layer(Mock::new([DOWN]));
    run(&service).await.unwrap();
    assert!(run(&service).await.is_err());
    layer.handle().reset();
    run(&service).await.unwrap();
    assert!(run(&service).await.is_err());
    assert!(ASKED.load(Ordering::Relaxed) > 0);
}
