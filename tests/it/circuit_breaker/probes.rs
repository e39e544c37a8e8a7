//! Half-open.

use tokio::time::{Instant, advance};
use tower::{Layer, Service, ServiceExt};
use tower_quota::{Backoff, CircuitState};

use super::{MS, SECOND, run, touchy};
use crate::support::mock::*;

#[tokio::test(start_paused = true)]
async fn of_ten_thousand_callers_exactly_the_permitted_number_probes() {
    for permits in [1, 3, 10] {
        let layer = touchy().probes(permits);
        let mock = Mock::new([DOWN, Step::Slow(MS(100))]);
        let service = layer.layer(mock.clone());
        run(&service).await.unwrap();
        advance(SECOND + MS(1)).await;
        let calls: Vec<_> = (0..10_000)
            .map(|_| tokio::spawn(service.clone().oneshot(request())))
            .collect();
        let mut passed = 0;
        for call in calls {
            passed += u32::from(call.await.unwrap().is_ok());
        }
        assert_eq!((passed, mock.calls()), (permits, 1 + permits as usize));
        assert_eq!(layer.handle().state(), CircuitState::Closed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_probe_frees_its_slot() {
    let layer = touchy();
    let mock = Mock::new([DOWN, Step::Hang]);
    let service = layer.layer(mock.clone());
    run(&service).await.unwrap();
    advance(SECOND + MS(1)).await;
    for polls in 0..3 {
        let mut probe = service.clone();
        let mut call = Box::pin(probe.ready().await.unwrap().call(request()));
        for _ in 0..polls {
            assert!(poll(call.as_mut()).is_pending());
        }
        assert!(run(&service).await.is_err(), "the only slot is taken");
        drop(call);
        assert_eq!(layer.handle().state(), CircuitState::HalfOpen);
    }
    mock.does(OK);
    assert_eq!(run(&service).await, Ok(200));
}

#[tokio::test(start_paused = true)]
async fn a_hung_probe_wedges_nothing() {
    let layer = touchy();
    let mock = Mock::new([DOWN, Step::Hang, OK]);
    let service = layer.layer(mock.clone());
    run(&service).await.unwrap();
    advance(SECOND + MS(1)).await;
    let mut hung = Box::pin(service.clone().oneshot(request()));
    assert!(poll(hung.as_mut()).is_pending());
    let start = Instant::now();
    while run(&service).await != Ok(200) {
        advance(MS(100)).await;
    }
    // 30 s half-open, 2 s open.
    assert!(
        start.elapsed() <= SECOND * 32 + MS(200),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn outcomes_from_before_it_opened_never_count() {
    let layer = touchy();
    let mock = Mock::new([Step::Slow(MS(1_500)), DOWN, Step::Slow(SECOND)]);
    let service = layer.layer(mock.clone());
    let straggler = tokio::spawn(service.clone().oneshot(request()));
    tokio::task::yield_now().await;
    run(&service).await.unwrap();
    advance(SECOND + MS(1)).await;
    let probe = tokio::spawn(service.clone().oneshot(request()));
    straggler.await.unwrap().unwrap();
    assert_eq!(layer.handle().state(), CircuitState::HalfOpen);
    assert!(run(&service).await.is_err(), "the probe is still out");
    probe.await.unwrap().unwrap();
    assert_eq!(layer.handle().state(), CircuitState::Closed);
}

/// Real threads, no runtime: whoever comes first, never one too many.
#[test]
fn threads_that_race_for_a_probe_get_exactly_the_permitted_number() {
    for permits in [1, 3, 10] {
        let layer = touchy()
            .open_backoff(Backoff::constant(std::time::Duration::ZERO))
            .probes(permits);
        let mock = Mock::new([DOWN, Step::Hang]);
        let service = layer.layer(mock.clone());
        assert!(poll(Box::pin(service.clone().oneshot(request())).as_mut()).is_ready());
        std::thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| {
                    let mut calls: Vec<_> = (0..2_500)
                        .map(|_| Box::pin(service.clone().oneshot(request())))
                        .collect();
                    let pending = calls
                        .iter_mut()
                        .filter_map(|call| poll(call.as_mut()).is_pending().then_some(()));
                    let passed = pending.count();
                    assert!(passed <= permits as usize);
                    // Dropped only when all threads have asked.
                    std::mem::forget(calls);
                });
            }
        });
        assert_eq!(mock.calls(), 1 + permits as usize);
    }
}

#[tokio::test(start_paused = true)]
async fn late_releases_of_an_older_time_free_no_permits() {
    let layer = touchy().probes(3);
    let mock = Mock::new([Step::Hang]);
    let service = layer.layer(mock.clone());
    let mut late: Vec<_> = (0..1_000)
        .map(|_| Box::pin(service.clone().oneshot(request())))
        .collect();
    assert!(late.iter_mut().all(|call| poll(call.as_mut()).is_pending()));
    mock.does(DOWN);
    run(&service).await.unwrap();
    mock.does(Step::Hang);
    advance(SECOND + MS(1)).await;
    let mut probe = Box::pin(service.clone().oneshot(request()));
    assert!(poll(probe.as_mut()).is_pending());
    drop(late);
    let mut further: Vec<_> = (0..1_000)
        .map(|_| Box::pin(service.clone().oneshot(request())))
        .collect();
    let passed = further
        .iter_mut()
        .filter_map(|call| poll(call.as_mut()).is_pending().then_some(()));
    assert_eq!(passed.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_panics_opens_again_and_frees_its_slot() {
    let layer = touchy();
    let mock = Mock::new([DOWN, Step::PanicInPoll, OK]);
    let service = layer.layer(mock);
    run(&service).await.unwrap();
    advance(SECOND + MS(1)).await;
    let panicking = tokio::spawn(service.clone().oneshot(request()));
    assert!(panicking.await.unwrap_err().is_panic());
    assert_eq!(layer.handle().state(), CircuitState::Open);
    advance(SECOND * 2 + MS(1)).await;
    assert_eq!(run(&service).await, Ok(200));
}
