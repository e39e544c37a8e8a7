//! States that somebody sets by hand or in the settings.

use tokio::time::advance;
use tower::Layer;
use tower_quota::CircuitState;

use super::{MS, SECOND, run, touchy};
use crate::support::mock::*;

#[tokio::test(start_paused = true)]
async fn tripped_by_hand_it_opens_for_the_schedules_time_and_is_not_sticky() {
    let layer = touchy();
    let service = layer.layer(Mock::new([OK]));
    let handle = layer.handle();
    for expected in [1, 2, 4] {
        handle.trip();
        let wait = run(&service).await.unwrap_err().retry_after.unwrap();
        assert!(wait.abs_diff(SECOND * expected) < MS(1), "{wait:?}");
    }
    advance(SECOND * 4 + MS(1)).await;
    assert_eq!(run(&service).await, Ok(200));
    assert_eq!(handle.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn opened_for_a_time_it_opens_for_just_that() {
    let layer = touchy();
    let service = layer.layer(Mock::new([OK]));
    layer.handle().open_for(SECOND * 7_200);
    advance(SECOND * 7_200 - MS(1)).await;
    let refused = run(&service).await.unwrap_err();
    assert_eq!(refused.retry_after, Some(MS(1)));
    advance(MS(1)).await;
    assert_eq!(run(&service).await, Ok(200));
    assert_eq!(layer.handle().state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn half_open_by_hand_the_next_caller_is_a_probe() {
    let layer = touchy();
    let mock = Mock::new([OK]);
    let service = layer.layer(mock.clone());
    layer.handle().open_for(SECOND * 7_200);
    layer.handle().half_open();
    assert_eq!(layer.handle().state(), CircuitState::HalfOpen);
    assert_eq!(run(&service).await, Ok(200));
    assert_eq!(layer.handle().state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn disabled_it_lets_everything_pass_and_records_nothing() {
    for by_setting in [true, false] {
        let layer = if by_setting {
            touchy().disabled()
        } else {
            touchy()
        };
        if !by_setting {
            layer.handle().disable();
        }
        let service = layer.layer(Mock::new([DOWN]));
        for _ in 0..50 {
            run(&service).await.unwrap();
        }
        let (state, counts) = (layer.handle().state(), layer.handle().counts());
        assert_eq!(state, CircuitState::Disabled);
        assert_eq!((counts.calls, counts.consecutive_failures), (0, 0));
        layer.handle().reset();
        run(&service).await.unwrap();
        assert_eq!(layer.handle().state(), CircuitState::Open);
    }
}

#[tokio::test(start_paused = true)]
async fn metrics_only_it_refuses_nobody_and_says_when_it_would_have_opened() {
    for by_setting in [true, false] {
        let layer = if by_setting {
            touchy().metrics_only()
        } else {
            touchy()
        };
        if !by_setting {
            layer.handle().metrics_only();
        }
        let mock = Mock::new([DOWN, DOWN, OK, DOWN]);
        let service = layer.layer(mock.clone());
        for _ in 0..10 {
            run(&service).await.unwrap();
        }
        let (state, counts) = (layer.handle().state(), layer.handle().counts());
        assert_eq!(state, CircuitState::MetricsOnly);
        assert_eq!((mock.calls(), counts.calls, counts.failures), (10, 10, 9));
        assert_eq!((counts.would_have_opened, counts.opened), (2, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn counts_tell_rates_and_how_often_it_moved() {
    let layer = touchy().no_failure_rate().slow_calls(1.0, SECOND);
    let service = layer.layer(Mock::new([DOWN, OK]));
    run(&service).await.unwrap();
    advance(SECOND + MS(1)).await;
    run(&service).await.unwrap();
    let counts = layer.handle().counts();
    assert_eq!(counts.failure_rate(), None, "fewer than twenty calls");
    for _ in 0..20 {
        run(&service).await.unwrap();
    }
    let counts = layer.handle().counts();
    assert_eq!((counts.successes(), counts.calls), (20, 20));
    assert_eq!(counts.failure_rate(), Some(0.0));
    assert_eq!(counts.slow_rate(), Some(0.0));
    assert_eq!(
        (counts.opened, counts.half_opened, counts.closed),
        (1, 1, 1)
    );
}
