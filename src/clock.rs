//! Time as the rooms without a clock of their own count it.

use std::sync::OnceLock;

use tokio::time::Instant;

use crate::core::time::{Time, nanos};

/// Counts from the first instant that was asked for, since constructors touch no runtime.
#[derive(Debug, Default)]
pub(crate) struct Clock(OnceLock<Instant>);

impl Clock {
    pub(crate) fn now(&self) -> Time {
        self.at(Instant::now())
    }

    /// When that was; zero for what was before the first.
    pub(crate) fn at(&self, instant: Instant) -> Time {
        let origin = *self.0.get_or_init(|| instant);
        Time::from_nanos(nanos(instant.saturating_duration_since(origin)))
    }
}
