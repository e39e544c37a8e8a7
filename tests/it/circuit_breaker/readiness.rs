//! What the breaker asks of the inner service, and when.

use std::task::{Context, Poll};

use tokio::time::advance;
use tower::{Layer, Service, ServiceExt};
use tower_quota::{CircuitState, Reason, Rejected};

use super::{MS, SECOND, run, touchy};
use crate::support::mock::*;

#[tokio::test(start_paused = true)]
async fn an_open_circuit_waits_for_no_stuck_inner_service() {
    let layer = touchy();
    let mock = Mock::new([DOWN]);
    let service = layer.layer(mock.clone());
    run(&service).await.unwrap();
    mock.becomes(Readiness::Stuck);
    let polls = mock.ready_polls();
    assert_eq!(run(&service).await.unwrap_err().reason, Reason::CircuitOpen);
    assert_eq!(mock.ready_polls(), polls, "it isn't even asked");
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_stuck_inner_service_is_woken_when_it_opens() {
    for force in [true, false] {
        let layer = touchy();
        let mock = Mock::new([Step::Slow(SECOND * 3), DOWN]);
        let service = layer.layer(mock.clone());
        let mut failing = service.clone();
        failing.ready().await.unwrap();
        mock.becomes(Readiness::Stuck);

        let (mut waiting, mut gave_up) = (service.clone(), service.clone());
        let (counter, waker) = Counter::new();
        let mut cx = Context::from_waker(&waker);
        assert!(waiting.poll_ready(&mut cx).is_pending());
        assert!(gave_up.poll_ready(&mut cx).is_pending());
        drop(gave_up);
        if force {
            layer.handle().force_open();
        } else {
            mock.does(DOWN);
            failing.call(request()).await.unwrap();
        }
        assert_eq!(counter.count(), 1);
        assert!(matches!(waiting.poll_ready(&mut cx), Poll::Ready(Ok(()))));
        let error = waiting.call(request()).await.unwrap_err();
        assert_eq!(
            Rejected::find(error.as_ref()).unwrap().reason,
            Reason::CircuitOpen
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_inner_service_that_was_not_readied_is_never_called() {
    let layer = touchy();
    let mock = Mock::new([DOWN, OK]);
    let service = layer.layer(mock.clone());
    run(&service).await.unwrap();
    let mut early = service.clone();
    early.ready().await.unwrap();
    advance(SECOND + MS(1)).await;
    // The mock would panic.
    let error = early.call(request()).await.unwrap_err();
    let refused = Rejected::find(error.as_ref()).unwrap();
    assert_eq!(refused.retry_after, Some(MS(1)), "come back at once");
    assert_eq!(
        early
            .ready()
            .await
            .unwrap()
            .call(request())
            .await
            .unwrap()
            .status(),
        200
    );
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_leaves_the_inner_service_ready() {
    let layer = touchy();
    let mock = Mock::new([OK]);
    let mut service = layer.layer(mock.clone());
    service.ready().await.unwrap();
    layer.handle().force_open();
    service.call(request()).await.unwrap_err();
    layer.handle().reset();
    assert_eq!(service.call(request()).await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_gate_refuses_while_open_and_takes_no_ticket() {
    let layer = touchy();
    let mock = Mock::new([DOWN, OK]);
    let service = layer.layer(mock.clone());
    let gated = layer.gate().layer(service.clone());
    run(&service).await.unwrap();
    let polls = mock.ready_polls();
    let error = gated.clone().oneshot(request()).await.unwrap_err();
    assert_eq!(
        Rejected::find(error.as_ref()).unwrap().reason,
        Reason::CircuitOpen
    );
    assert_eq!((mock.calls(), mock.ready_polls()), (1, polls));
    advance(SECOND + MS(1)).await;
    // Were the gate to take the only ticket, the breaker behind it would refuse.
    assert_eq!(gated.oneshot(request()).await.unwrap().status(), 200);
    assert_eq!(layer.handle().state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_readiness_is_passed_on_and_no_sample() {
    let layer = touchy();
    let mock = Mock::new([OK]);
    mock.becomes(Readiness::Broken);
    let error = layer.layer(mock).oneshot(request()).await.unwrap_err();
    assert_eq!(error.to_string(), "broken");
    assert_eq!(layer.handle().counts().calls, 0);
}
