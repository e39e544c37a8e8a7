//! What a circuit tells of itself.

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
    /// Refuses until somebody resets or moves it.
    ForcedOpen,
    /// Lets everything pass and counts nothing until somebody resets or moves it.
    ForcedClosed,
    /// Switched off: lets everything pass and counts nothing until somebody resets or moves it.
    Disabled,
    /// Lets everything pass, counts, and says when it would have opened, until somebody resets or
    /// moves it.
    MetricsOnly,
}

impl CircuitState {
    /// In the order in which they are declared.
    pub(crate) const ALL: [Self; 7] = [
        Self::Closed,
        Self::Open,
        Self::HalfOpen,
        Self::ForcedOpen,
        Self::ForcedClosed,
        Self::Disabled,
        Self::MetricsOnly,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
            Self::ForcedOpen => "forced open",
            Self::ForcedClosed => "forced closed",
            Self::Disabled => "disabled",
            Self::MetricsOnly => "metrics only",
        }
    }

    /// Whether all calls pass.
    pub(crate) const fn lets_pass(self) -> bool {
        !matches!(self, Self::Open | Self::HalfOpen | Self::ForcedOpen)
    }
}

/// What a circuit has counted: in its window while closed or metrics-only, of the probes while
/// half-open, and while open what made it open.
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
    /// How often it became open, by hand included, since it was made.
    pub opened: u64,
    /// How often it became half-open, since it was made.
    pub half_opened: u64,
    /// How often it became closed, by hand included, since it was made.
    pub closed: u64,
    /// How often it would have opened, had it not been metrics-only, since it was made.
    pub would_have_opened: u64,
    /// Whether there were enough calls for a rate, and any.
    pub(super) enough: bool,
}

impl CircuitCounts {
    /// Calls that were judged and didn't fail.
    #[must_use]
    pub const fn successes(&self) -> u64 {
        self.calls - self.failures
    }

    /// The share of the calls that failed, from 0 to 1; `None` while there were fewer than the
    /// minimum, or, half-open, than there are probes.
    #[must_use]
    pub fn failure_rate(&self) -> Option<f64> {
        self.share(self.failures)
    }

    /// The share of the calls that were slow, from 0 to 1; `None` as for
    /// [`failure_rate`](Self::failure_rate).
    #[must_use]
    pub fn slow_rate(&self) -> Option<f64> {
        self.share(self.slow_calls)
    }

    fn share(&self, part: u64) -> Option<f64> {
        self.enough.then(|| part as f64 / self.calls as f64)
    }
}
