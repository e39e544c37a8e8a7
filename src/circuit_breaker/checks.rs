//! Settings that make no sense are refused where they are made.

use std::time::Duration;

use crate::core::{
    breaker::{Ppm, Settings},
    ring::Window,
};

#[track_caller]
pub(super) fn check_steps(setting: &str, window: Duration, steps: u32) {
    assert!(
        (1..=10_000).contains(&steps),
        "{setting}: {steps} steps aren't from 1 to 10,000"
    );
    assert!(
        window.as_nanos() >= u128::from(steps),
        "{setting}: {window:?} is too short for {steps} steps"
    );
}

#[track_caller]
pub(super) fn check_span(setting: &str, span: Duration) {
    assert!(!span.is_zero(), "{setting}: {span:?} is no time");
}

#[track_caller]
pub(super) fn check_number(setting: &str, number: u32) {
    assert!(number > 0, "{setting}: {number} isn't at least 1");
}

#[track_caller]
pub(super) fn ppm(setting: &str, rate: f64) -> Ppm {
    assert!(
        rate > 0.0 && rate <= 1.0,
        "{setting}: {rate} isn't above 0 and at most 1"
    );
    ((rate * 1e6).round() as Ppm).max(1)
}

/// So many failures must fit among the calls that are counted.
#[track_caller]
pub(super) fn check_failures(setting: &str, settings: &Settings) {
    if let (Window::Calls(calls), Some(failures)) = (settings.window, settings.failures) {
        assert!(
            failures <= calls,
            "{setting}: {failures} failures never come together among the last {calls} calls"
        );
    }
}
