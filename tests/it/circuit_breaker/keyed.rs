//! A circuit for every key.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Request;
use tokio::time::advance;
use tower::{Layer, Service, ServiceExt};
use tower_quota::{
    BoxError, CircuitBreakerLayer, CircuitEvent, CircuitState, Reason, Rejected,
    circuit_breaker::{ByKey, KeyedCircuitBreakerLayer},
};

use super::{MS, SECOND, touchy};
use crate::support::mock::*;

type ByHost = ByKey<String, fn(&Request<Bytes>) -> String>;

fn host(request: &Request<Bytes>) -> String {
    request.uri().host().unwrap().to_owned()
}

fn keyed(layer: CircuitBreakerLayer) -> KeyedCircuitBreakerLayer<ByHost> {
    layer.keyed(host as fn(&Request<Bytes>) -> String)
}

fn to(host: &str) -> Request<Bytes> {
    let uri = format!("http://{host}/v1/chat");
    Request::post(uri).body(Bytes::new()).unwrap()
}

fn refused<A>(answer: Result<A, BoxError>) -> bool {
    answer.is_err_and(|error| {
        Rejected::find(error.as_ref()).is_some_and(|refused| refused.reason == Reason::CircuitOpen)
    })
}

#[tokio::test(start_paused = true)]
async fn one_keys_outage_refuses_no_other_key() {
    let layer = keyed(touchy());
    let mock = Mock::new([DOWN, OK]);
    let service = layer.layer(mock.clone());
    service.clone().oneshot(to("a")).await.unwrap();
    for _ in 0..3 {
        assert!(refused(service.clone().oneshot(to("a")).await));
        assert!(!refused(service.clone().oneshot(to("b")).await));
    }
    assert_eq!(mock.calls(), 4);
    let handle = layer.handle();
    assert_eq!(handle.key(&"a".into()).state(), CircuitState::Open);
    assert_eq!(handle.key(&"b".into()).counts().calls, 3);
    advance(SECOND + MS(1)).await;
    assert!(!refused(service.oneshot(to("a")).await));
    assert_eq!(handle.key(&"a".into()).state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_probe_of_one_key_takes_no_slot_of_another() {
    let layer = keyed(touchy());
    let service = layer.layer(Mock::new([Step::Hang]));
    let mut probes = Vec::new();
    for key in ["a", "b", "c"] {
        layer.handle().key(&key.into()).half_open();
        let mut probe = Box::pin(service.clone().oneshot(to(key)));
        assert!(poll(probe.as_mut()).is_pending());
        assert!(refused(service.clone().oneshot(to(key)).await));
        probes.push(probe);
    }
}

#[tokio::test(start_paused = true)]
async fn keys_are_bounded_and_idle_ones_go_first() {
    let layer = keyed(touchy().no_failure_rate().consecutive_failures(2)).max_keys(100);
    let mock = Mock::new([DOWN]);
    let service = layer.layer(mock.clone());
    service.clone().oneshot(to("failing")).await.unwrap();
    mock.does(OK);
    advance(SECOND * 60).await;
    for n in 0..10_000 {
        service.clone().oneshot(to(&format!("k{n}"))).await.unwrap();
        advance(SECOND).await;
        assert!(layer.handle().keys() <= 100);
    }
    // Thirty are in the window; those that left it are found within as many calls again.
    assert!(layer.handle().keys() <= 60, "{}", layer.handle().keys());
    let failing = layer.handle().key(&"failing".into());
    assert_eq!(failing.counts().consecutive_failures, 1, "it wasn't idle");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_keys_evicts_no_open_circuit() {
    let layer = keyed(touchy().open_for(SECOND * 3_600, SECOND * 3_600)).max_keys(50);
    let mock = Mock::new([DOWN]);
    let service = layer.layer(mock.clone());
    for n in 0..20 {
        service
            .clone()
            .oneshot(to(&format!("down{n}")))
            .await
            .unwrap();
    }
    mock.does(OK);
    for n in 0..10_000 {
        service.clone().oneshot(to(&format!("k{n}"))).await.unwrap();
        assert!(layer.handle().keys() <= 50);
    }
    for n in 0..20 {
        assert!(refused(
            service.clone().oneshot(to(&format!("down{n}"))).await
        ));
    }
}

#[tokio::test(start_paused = true)]
async fn where_all_are_open_a_new_key_is_served_and_not_kept() {
    let layer = keyed(touchy().open_for(SECOND * 3_600, SECOND * 3_600)).max_keys(3);
    let service = layer.layer(Mock::new([DOWN]));
    for n in 0..10 {
        service
            .clone()
            .oneshot(to(&format!("down{n}")))
            .await
            .unwrap();
    }
    assert_eq!(layer.handle().keys(), 3);
    assert!(refused(service.clone().oneshot(to("down0")).await));
    assert!(!refused(service.clone().oneshot(to("down9")).await));
}

#[tokio::test(start_paused = true)]
async fn a_circuit_whose_probe_was_given_up_is_not_kept_for_ever() {
    let layer = keyed(touchy()).max_keys(3);
    let mock = Mock::new([DOWN]);
    let service = layer.layer(mock.clone());
    for n in 0..3 {
        let down = to(&format!("down{n}"));
        service.clone().oneshot(down).await.unwrap();
    }
    advance(SECOND * 2).await;
    mock.does(Step::Hang);
    for n in 0..3 {
        let mut probe = Box::pin(service.clone().oneshot(to(&format!("down{n}"))));
        assert!(poll(probe.as_mut()).is_pending());
    }
    mock.does(DOWN);
    // Nobody calls them any more: half-open time and opening go by.
    advance(SECOND * 3_600).await;
    for n in 0..3 {
        let new = format!("new{n}");
        service.clone().oneshot(to(&new)).await.unwrap();
        assert!(refused(service.clone().oneshot(to(&new)).await), "{n}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_circuit_whose_handle_is_kept_is_not_forgotten() {
    let layer = keyed(touchy()).max_keys(2);
    let service = layer.layer(Mock::new([OK]));
    let handle = layer.handle().key(&"mine".into());
    for n in 0..100 {
        service.clone().oneshot(to(&format!("k{n}"))).await.unwrap();
    }
    handle.force_open();
    assert!(refused(service.clone().oneshot(to("mine")).await));
}

#[tokio::test(start_paused = true)]
async fn events_carry_their_key_and_a_keys_own_handle_hears_of_no_other() {
    let layer = keyed(touchy());
    let handle = layer.handle();
    let mut all = handle.subscribe();
    let mut one = handle.key(&"b".into()).subscribe();
    let service = layer.layer(Mock::new([DOWN]));
    service.clone().oneshot(to("a")).await.unwrap();
    service.clone().oneshot(to("b")).await.unwrap();
    for expected in ["a", "b"] {
        match all.next().await {
            Some(CircuitEvent::Changed { key, to, .. }) => {
                assert_eq!((key.as_str(), to), (expected, CircuitState::Open));
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(
        one.next().await,
        Some(CircuitEvent::Changed { .. })
    ));
    assert!(poll(std::pin::pin!(one.next())).is_pending());
    drop((layer, handle, service));
    assert_eq!(one.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_gate_looks_by_the_same_key_and_takes_no_ticket() {
    let layer = keyed(touchy());
    let mock = Mock::new([DOWN, OK]);
    let service = layer.layer(mock.clone());
    let gated = layer.gate().layer(service.clone());
    service.clone().oneshot(to("a")).await.unwrap();
    assert!(refused(gated.clone().oneshot(to("a")).await));
    assert_eq!(gated.clone().oneshot(to("b")).await.unwrap().status(), 200);
    advance(SECOND + MS(1)).await;
    assert_eq!(gated.oneshot(to("a")).await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_stuck_inner_service_is_woken_when_their_circuit_opens() {
    let layer = keyed(touchy());
    let mock = Mock::new([OK]);
    mock.becomes(Readiness::Stuck);
    let mut service = layer.layer(mock.clone());
    let (counter, waker) = Counter::new();
    let mut cx = Context::from_waker(&waker);
    assert!(service.poll_ready(&mut cx).is_pending(), "all are closed");
    let a = layer.handle().key(&"a".into());
    a.force_open();
    assert_eq!(counter.count(), 1);
    assert!(matches!(service.poll_ready(&mut cx), Poll::Ready(Ok(()))));
    assert!(refused(service.call(to("a")).await));

    // Another key's call passes, and waits for itself.
    assert!(matches!(service.poll_ready(&mut cx), Poll::Ready(Ok(()))));
    let mut late = Box::pin(service.call(to("b")));
    assert!(
        std::future::Future::poll(late.as_mut(), &mut cx).is_pending(),
        "stuck"
    );
    let woken = counter.count();
    layer.handle().key(&"c".into()).force_open();
    assert_eq!(counter.count(), woken);
    layer.handle().key(&"b".into()).force_open();
    assert_eq!(counter.count(), woken + 1);
    assert!(refused(late.await));
    assert_eq!(mock.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_late_call_is_sent_once_the_inner_service_is_ready_and_is_judged() {
    let layer = keyed(touchy());
    for gate in [false, true] {
        let mock = Mock::new([DOWN]);
        let service = layer.layer(mock.clone());
        layer.handle().key(&"a".into()).force_open();
        mock.becomes(Readiness::Stuck);
        let key = if gate { "gated" } else { "b" };
        let call = async {
            if gate {
                layer.gate().layer(service.clone()).oneshot(to(key)).await
            } else {
                service.clone().oneshot(to(key)).await
            }
        };
        let mut call = Box::pin(call);
        assert!(poll(call.as_mut()).is_pending());
        mock.becomes(Readiness::Ready);
        assert_eq!(call.await.unwrap().status(), 500);
        let state = layer.handle().key(&key.into()).state();
        assert_eq!(state, CircuitState::Open);
        mock.becomes(Readiness::Broken);
        assert!(service.clone().oneshot(to("other")).await.is_err());
        layer.handle().key(&"a".into()).reset();
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_throws_wedges_nothing() {
    let layer = touchy().keyed(|request: &Request<Bytes>| {
        assert!(request.uri().host() != Some("bad"), "key");
        0
    });
    let service = layer.layer(Mock::new([OK]));
    let mut bad = Box::pin(service.clone().oneshot(to("bad")));
    assert!(catch_unwind(AssertUnwindSafe(|| poll(bad.as_mut()))).is_err());
    assert_eq!(service.oneshot(to("good")).await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn keys_appear_in_no_debug_but_that_of_events() {
    let layer = keyed(touchy());
    let service = layer.layer(Mock::new([OK]));
    let gate = layer.gate().layer(service.clone());
    let call = service.clone().oneshot(to("secret"));
    call.await.unwrap();
    let handle = layer.handle();
    let (events, one) = (handle.subscribe(), handle.key(&"secret".into()));
    let shown = format!("{layer:?} {service:?} {gate:?} {handle:?} {events:?} {one:?}");
    assert!(!shown.contains("secret"), "{shown}");
}

/// Real threads that come with the same keys at once: one circuit for each.
#[test]
fn threads_that_race_for_a_new_key_share_its_circuit() {
    let layer = keyed(touchy().probes(3));
    let service = layer.layer(Mock::new([OK]));
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for n in 0..500 {
                    let mut call = Box::pin(service.clone().oneshot(to(&format!("k{n}"))));
                    assert!(poll(call.as_mut()).is_ready());
                }
            });
        }
    });
    for n in 0..500 {
        assert_eq!(layer.handle().key(&format!("k{n}")).counts().calls, 4);
    }
}

#[test]
fn what_is_send_stays_send() {
    let layer = keyed(touchy());
    let mut service = layer.layer(Mock::new([OK]));
    assert_send(&layer);
    assert_sync(&layer);
    assert_send(&layer.handle());
    assert_sync(&layer.handle());
    assert_send(&layer.handle().subscribe());
    assert_send(&layer.gate());
    assert_sync(&service);
    assert_clone(&service);
    let mut cx = Context::from_waker(std::task::Waker::noop());
    assert!(Service::<Request<Bytes>>::poll_ready(&mut service, &mut cx).is_ready());
    assert_send(&service.call(to("a")));
}
