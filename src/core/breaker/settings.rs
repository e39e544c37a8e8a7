//! The settings of a circuit, and what it tells of itself.

use std::time::Duration;

use super::super::{
    backoff::{Backoff, Jitter},
    ring::Window,
};

/// Where a circuit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CircuitState {
    /// Calls pass and are counted.
    Closed,
    /// Calls are refused until the open time is over; then the next caller is a probe.
    Open,
    /// A few probes decide.
    HalfOpen,
    /// Refuses until somebody resets or closes it.
    ForcedOpen,
    /// Lets everything pass and counts nothing until somebody resets or opens it.
    ForcedClosed,
}

impl CircuitState {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
            Self::ForcedOpen => "forced open",
            Self::ForcedClosed => "forced closed",
        }
    }
}

/// What a circuit has counted: in its window while closed and after it opened, of the probes while
/// half-open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CircuitCounts {
    /// Calls that were judged.
    pub calls: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// Those of them that were slow; always 0 where no slow-call rate is set.
    pub slow_calls: u64,
    /// Failures since the last success.
    pub consecutive_failures: u64,
    /// Successes since the last failure.
    pub consecutive_successes: u64,
    /// Calls refused since the circuit last opened.
    pub refused: u64,
    /// Openings since the circuit was last closed: what its open time grows with.
    pub openings: u32,
}

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
    pub(crate) open: Backoff,
    pub(crate) permits: u32,
    pub(crate) judge: Judge,
    pub(crate) max_half_open: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            window: Window::Time(Duration::from_secs(30), 30),
            min_calls: 20,
            failure_rate: Some(500_000),
            failures: None,
            consecutive: None,
            slow_rate: None,
            open: Backoff::exponential(Duration::from_secs(5), Duration::from_secs(60))
                .jitter(Jitter::Proportional(20)),
            permits: 1,
            judge: Judge::AllSuccess,
            max_half_open: Duration::from_secs(30),
        }
    }
}
