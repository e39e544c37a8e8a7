//! Counters, histograms and gauges, for whoever has installed a recorder of the `metrics` crate.

#[cfg(feature = "metrics")]
mod keys;
#[cfg(feature = "metrics")]
mod recorded;
#[cfg(not(feature = "metrics"))]
mod silent;

#[cfg(feature = "metrics")]
pub use self::keys::describe_metrics;
#[cfg(feature = "metrics")]
pub(crate) use self::recorded::Metrics;
#[cfg(not(feature = "metrics"))]
pub(crate) use self::silent::Metrics;

use crate::core::limit::LimitId;

/// Whether anybody can be listening.
pub(crate) const IS_ON: bool = cfg!(feature = "metrics");

/// So many limits of a quota have gauges.
pub(crate) const GAUGED: usize = 8;

/// What gauges show.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Levels {
    /// What is left of each limit.
    pub(crate) left: [Option<(LimitId, u64)>; GAUGED],
    pub(crate) in_flight: usize,
    pub(crate) waiting: usize,
}
