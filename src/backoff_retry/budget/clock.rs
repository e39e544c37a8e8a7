//! Time as budgets count it.

use std::sync::OnceLock;

use tokio::time::Instant;

use crate::core::time::{Time, nanos};

/// Counts from the first instant that was asked for, since constructors touch no runtime.
#[derive(Debug, Default)]
pub(super) struct Clock(OnceLock<Instant>);

impl Clock {
    pub(super) fn now(&self) -> Time {
        let instant = Instant::now();
        let origin = *self.0.get_or_init(|| instant);
        Time::from_nanos(nanos(instant.saturating_duration_since(origin)))
    }
}
