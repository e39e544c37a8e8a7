//! Instants as whole nanoseconds.

use std::time::Duration;

/// An instant: whole nanoseconds since an origin that the caller chose.
///
/// Arithmetic saturates, so that no clock and no hint can make it panic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Time(u64);

impl Time {
    pub(crate) const ZERO: Self = Self(0);
    /// Stands for "never".
    pub(crate) const MAX: Self = Self(u64::MAX);

    pub(crate) const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    pub(crate) const fn nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero where it isn't.
    pub(crate) const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This instant and `span` more.
    pub(crate) const fn after(self, span: Duration) -> Self {
        self.plus(nanos(span))
    }

    /// This instant and so many nanoseconds more.
    pub(crate) const fn plus(self, nanos: u64) -> Self {
        Self(self.0.saturating_add(nanos))
    }
}

/// A span in whole nanoseconds, at most 584 years.
pub(crate) const fn nanos(span: Duration) -> u64 {
    match span.as_secs().checked_mul(1_000_000_000) {
        Some(nanos) => nanos.saturating_add(span.subsec_nanos() as u64),
        None => u64::MAX,
    }
}
