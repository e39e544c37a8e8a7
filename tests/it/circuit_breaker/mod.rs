//! Laws of `CircuitBreakerLayer`.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    task::{Context, Waker},
    time::Duration,
};

use http::Request;
use tokio::time::advance;
use tower::{Layer, Service, ServiceExt, service_fn, timeout::Timeout};
use tower_quota::{
    CircuitBreakerLayer, CircuitState, Reason, Rejected, Scope, Verdict,
    circuit_breaker::CircuitBreaker,
};

mod by_hand;
mod events;
mod herd;
mod keyed;
mod probes;
mod readiness;

use crate::support::mock::*;

const SECOND: Duration = Duration::from_secs(1);
const MS: fn(u64) -> Duration = Duration::from_millis;

/// Opens with the first failure for exactly a second.
fn touchy() -> CircuitBreakerLayer {
    CircuitBreakerLayer::new()
        .consecutive_failures(1)
        .open_for(SECOND, SECOND * 60)
        .random(|| u64::MAX / 2)
}

async fn run(service: &CircuitBreaker<Mock>) -> Result<u16, Rejected> {
    match service.clone().oneshot(request()).await {
        Ok(answer) => Ok(answer.status().as_u16()),
        Err(error) => match Rejected::find(error.as_ref()) {
            Some(refused) => Err(refused.clone()),
            None => Ok(0),
        },
    }
}

#[tokio::test(start_paused = true)]
async fn the_defaults_open_at_half_of_twenty_calls_for_about_five_seconds() {
    let layer = CircuitBreakerLayer::new();
    let (handle, mock) = (layer.handle(), Mock::new([OK]));
    let service = layer.layer(mock.clone());
    for n in 0..20 {
        assert_eq!(handle.state(), CircuitState::Closed, "after {n} calls");
        mock.does(if n < 10 { OK } else { DOWN });
        run(&service).await.unwrap();
    }
    let refused = run(&service).await.unwrap_err();
    assert_eq!(refused.reason, Reason::CircuitOpen);
    assert_eq!(refused.scope, Scope::Shared);
    let wait = refused.retry_after.unwrap();
    assert!(wait >= SECOND * 4 && wait <= SECOND * 6, "{wait:?}");
    assert_eq!((mock.calls(), handle.counts().refused), (20, 1));

    mock.does(OK);
    advance(wait).await;
    assert_eq!(run(&service).await, Ok(200));
    assert_eq!(handle.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_old_successes_hide_no_outage() {
    let layer = CircuitBreakerLayer::new();
    let mock = Mock::new([OK]);
    let service = layer.layer(mock.clone());
    for _ in 0..10_000 {
        run(&service).await.unwrap();
    }
    advance(SECOND * 31).await;
    mock.does(DOWN);
    for _ in 0..20 {
        run(&service).await.unwrap();
    }
    assert_eq!(layer.handle().state(), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn verdicts_count_as_the_table_says() {
    let ten_minutes = SECOND * 600;
    for (step, opens_for) in [
        (OK, None),
        (RATE_LIMITED, None),
        (rate_limited(Some(SECOND * 9)), None),
        (OVERLOADED, Some(SECOND)),
        (overloaded(Some(SECOND * 17)), Some(SECOND * 17)),
        (overloaded(Some(ten_minutes * 9)), Some(ten_minutes)),
        (DOWN, Some(SECOND)),
        (Step::Error("reset"), Some(SECOND)),
        (Step::Judged(Verdict::QuotaExhausted), Some(ten_minutes)),
        (Step::Judged(Verdict::TooLarge), None),
        (Step::Judged(Verdict::Permanent), None),
        (Step::Refuse, None),
    ] {
        let layer = touchy();
        let service = layer.layer(Mock::new([step]));
        let _ = run(&service).await;
        let refused = run(&service)
            .await
            .err()
            .filter(|r| r.reason == Reason::CircuitOpen);
        let wait = refused.map(|refused| refused.retry_after.unwrap());
        match (opens_for, wait) {
            (None, None) => {}
            (Some(expected), Some(wait)) => {
                assert!(wait.abs_diff(expected) < MS(1), "{step:?}: {wait:?}");
            }
            other => panic!("{step:?}: {other:?}"),
        }
        let neutral = matches!(
            step,
            Step::Refuse | Step::Judged(Verdict::RateLimited { .. })
        );
        assert_eq!(layer.handle().counts().calls == 0, neutral, "{step:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_fails_only_if_it_had_run_long() {
    for (ran, failures) in [(MS(9_999), 0), (SECOND * 10, 1)] {
        let layer = CircuitBreakerLayer::new();
        let mut call = Box::pin(layer.layer(Mock::new([Step::Hang])).oneshot(request()));
        assert!(poll(call.as_mut()).is_pending());
        advance(ran).await;
        drop(call);
        let counts = layer.handle().counts();
        assert_eq!((counts.calls, counts.failures), (failures, failures));
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_and_wedges_nothing() {
    for step in [Step::PanicInCall, Step::PanicInPoll] {
        let layer = touchy();
        let service = layer.layer(Mock::new([step]));
        let mut call = Box::pin(service.clone().oneshot(request()));
        assert!(catch_unwind(AssertUnwindSafe(|| poll(call.as_mut()))).is_err());
        drop(call);
        assert_eq!(layer.handle().counts().failures, 1, "{step:?}");
        assert_eq!(layer.handle().state(), CircuitState::Open);
    }
    // So is a panic of the user's judgement.
    let layer = touchy();
    let judging = layer.clone().opaque();
    let judging = judging
        .classify(|_: Result<&Answer, &tower_quota::BoxError>| -> Verdict { panic!("judge") });
    let mut call = Box::pin(judging.layer(Mock::new([OK])).oneshot(request()));
    assert!(catch_unwind(AssertUnwindSafe(|| poll(call.as_mut()))).is_err());
    drop(call);
    assert_eq!(layer.handle().counts().failures, 1);
}

#[tokio::test(start_paused = true)]
async fn forced_states_stay_until_they_are_taken_back() {
    let layer = touchy();
    let (handle, mock) = (layer.handle(), Mock::new([DOWN]));
    let service = layer.layer(mock.clone());
    handle.force_closed();
    for _ in 0..10 {
        run(&service).await.unwrap();
    }
    assert_eq!(
        (handle.state(), handle.counts().calls),
        (CircuitState::ForcedClosed, 0)
    );
    handle.force_open();
    advance(SECOND * 1_000_000).await;
    assert_eq!(run(&service).await.unwrap_err().retry_after, None);
    assert_eq!(handle.state(), CircuitState::ForcedOpen);
    handle.reset();
    assert_eq!(handle.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_reset_while_closed_forgets_the_counts() {
    let layer = CircuitBreakerLayer::new().consecutive_failures(2);
    let service = layer.layer(Mock::new([DOWN]));
    run(&service).await.unwrap();
    layer.handle().reset();
    let counts = layer.handle().counts();
    assert_eq!((counts.calls, counts.consecutive_failures), (0, 0));
    run(&service).await.unwrap();
    assert_eq!(layer.handle().state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn services_of_one_layer_their_clones_and_handles_are_one_circuit() {
    let handle_first = CircuitBreakerLayer::new();
    let handle = handle_first.handle();
    let layer = handle_first.consecutive_failures(1);
    let (one, two) = (
        layer.layer(Mock::new([DOWN])),
        layer.clone().layer(Mock::new([OK])),
    );
    run(&one).await.unwrap();
    assert!(run(&two).await.is_err());
    assert_eq!(handle.state(), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn slow_calls_are_timed_by_the_clock_of_the_runtime() {
    let layer = CircuitBreakerLayer::new()
        .min_calls(2)
        .slow_calls(1.0, SECOND * 4);
    let service = layer.layer(Mock::new([Step::Slow(SECOND * 5)]));
    run(&service).await.unwrap();
    run(&service).await.unwrap();
    assert_eq!(layer.handle().state(), CircuitState::Open);
    assert_eq!(layer.handle().counts().slow_calls, 2);
}

#[tokio::test(start_paused = true)]
async fn calls_that_a_time_out_ends_are_seen_wherever_it_stands() {
    for inside in [true, false] {
        let layer = CircuitBreakerLayer::new().consecutive_failures(1);
        let mock = Mock::new([Step::Hang]);
        let limit = Duration::from_secs(20);
        let ended = if inside {
            let service = layer.layer(Timeout::new(mock, limit));
            service.oneshot(request()).await.is_err()
        } else {
            let service = Timeout::new(layer.layer(mock), limit);
            service.oneshot(request()).await.is_err()
        };
        assert!(ended);
        let counts = layer.handle().counts();
        assert_eq!((counts.calls, counts.failures), (1, 1));
        assert_eq!(layer.handle().state(), CircuitState::Open);
    }
}

#[tokio::test(start_paused = true)]
async fn a_judgement_that_throws_on_a_probe_wedges_nothing() {
    let layer = touchy();
    let judging = layer.clone().opaque();
    let judging = judging
        .classify(|_: Result<&Answer, &tower_quota::BoxError>| -> Verdict { panic!("judge") });
    let service = judging.layer(Mock::new([OK]));
    for round in 0..5 {
        layer.handle().half_open();
        let mut probe = Box::pin(service.clone().oneshot(request()));
        assert!(catch_unwind(AssertUnwindSafe(|| poll(probe.as_mut()))).is_err());
        drop(probe);
        assert_eq!(layer.handle().state(), CircuitState::Open, "round {round}");
    }
    advance(SECOND * 61).await;
    assert_eq!(run(&layer.layer(Mock::new([OK]))).await, Ok(200));
    assert_eq!(layer.handle().state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn types_that_are_neither_http_nor_send_do() {
    let layer = touchy().opaque();
    let fails = Rc::new(Cell::new(true));
    let service = layer.layer(service_fn(|word: Rc<str>| {
        let fails = Rc::clone(&fails);
        async move {
            if fails.get() {
                Err(word.to_string())
            } else {
                Ok(word)
            }
        }
    }));
    service.clone().oneshot("a".into()).await.unwrap_err();
    fails.set(false);
    let error = service.clone().oneshot("a".into()).await.unwrap_err();
    assert!(Rejected::find(error.as_ref()).is_some());
    advance(SECOND + MS(1)).await;
    assert_eq!(&*service.oneshot("a".into()).await.unwrap(), "a");
}

#[test]
fn constructors_layers_and_calls_need_no_runtime() {
    let layer = touchy();
    let mut service = layer.layer(Mock::new([DOWN]));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(Service::<Request<bytes::Bytes>>::poll_ready(&mut service, &mut cx).is_ready());
    let mut call = Box::pin(service.call(request()));
    assert!(poll(call.as_mut()).is_ready());
    assert_eq!(layer.handle().state(), CircuitState::Open);
}

#[test]
fn what_is_send_stays_send() {
    let layer = CircuitBreakerLayer::new();
    let mut service = layer.layer(Mock::new([OK]));
    assert_send(&layer);
    assert_sync(&layer);
    assert_send(&layer.handle());
    assert_sync(&layer.handle());
    assert_send(&layer.gate());
    assert_send(&service);
    assert_sync(&service);
    assert_clone(&service);
    assert_send(&service.call(request()));
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    for nonsense in [
        || CircuitBreakerLayer::new().failure_rate(0.0),
        || CircuitBreakerLayer::new().failure_rate(1.1),
        || CircuitBreakerLayer::new().failure_rate(f64::NAN),
        || CircuitBreakerLayer::new().window(Duration::ZERO),
        || CircuitBreakerLayer::new().probes(0),
        || CircuitBreakerLayer::new().window_in_steps(SECOND, 0),
        || CircuitBreakerLayer::new().window_in_steps(SECOND, 10_001),
        || CircuitBreakerLayer::new().window_in_steps_by_calls(Duration::from_nanos(9), 10),
        || CircuitBreakerLayer::new().extra_probe_every(Duration::ZERO),
        || CircuitBreakerLayer::new().max_half_open(Duration::ZERO),
    ] {
        assert!(catch_unwind(nonsense).is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn where_a_hint_or_spent_money_opens_for_no_time_it_is_a_failure_like_others() {
    let layer = CircuitBreakerLayer::new()
        .consecutive_failures(2)
        .max_hint(Duration::ZERO)
        .exhausted_for(Duration::ZERO);
    let broke = Step::Judged(Verdict::QuotaExhausted);
    let service = layer.layer(Mock::new([overloaded(Some(SECOND * 60)), broke]));
    run(&service).await.unwrap();
    assert_eq!(layer.handle().state(), CircuitState::Closed);
    run(&service).await.unwrap();
    assert_eq!(layer.handle().state(), CircuitState::Open);
    let wait = run(&service).await.unwrap_err().retry_after.unwrap();
    assert!((SECOND * 4..=SECOND * 6).contains(&wait), "{wait:?}");
}
