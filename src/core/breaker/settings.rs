//! The settings of a circuit.

use std::time::Duration;

use super::{
    super::ring::{Steps, Window},
    CircuitState,
};

/// A share in millionths.
pub(crate) type Ppm = u32;

/// How a half-open circuit decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judge {
    /// The first failure opens, as many successes as there are permits close.
    AllSuccess,
    /// Once all permits were used: by the rates of the closed state.
    Rate,
}

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) window: Window,
    pub(crate) min_calls: u32,
    pub(crate) failure_rate: Option<Ppm>,
    pub(crate) failures: Option<u32>,
    pub(crate) consecutive: Option<u32>,
    pub(crate) slow_rate: Option<(Ppm, Duration)>,
    pub(crate) permits: u32,
    pub(crate) judge: Judge,
    pub(crate) max_half_open: Duration,
    /// While half-open and all permits are out: one more every so often.
    pub(crate) extra: Option<Duration>,
    /// Closed, disabled or metrics-only.
    pub(crate) start: CircuitState,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            window: Window::Time(Duration::from_secs(30), 30, Steps::Even),
            min_calls: 20,
            failure_rate: Some(500_000),
            failures: None,
            consecutive: None,
            slow_rate: None,
            permits: 1,
            judge: Judge::AllSuccess,
            max_half_open: Duration::from_secs(30),
            extra: None,
            start: CircuitState::Closed,
        }
    }
}

impl Settings {
    /// How many calls the window must have seen before its rates say anything.
    pub(crate) fn least(&self) -> u64 {
        let least = match self.window {
            Window::Calls(calls) => self.min_calls.min(calls),
            Window::Time(..) | Window::Fixed(_) => self.min_calls,
        };
        u64::from(least)
    }
}
