//! What a quota looks like at one moment.

use std::time::Duration;

use crate::core::{ledger::Ledger, limit::LimitId, time::Time};

/// What a quota looks like at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Each limit, in the order in which they were given; those that the provider has yet to state aren't there.
    pub limits: Vec<LimitSnapshot>,
    /// How many requests are in flight.
    pub in_flight: usize,
    /// The most that ever were.
    pub peak_in_flight: usize,
    /// How many wait in line.
    pub waiting: usize,
    /// How long everything is paused from now on; zero where nothing is.
    pub paused: Duration,
}

/// One limit at one moment, in units of its resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitSnapshot {
    /// Which limit.
    pub limit: LimitId,
    /// What has left and counts.
    pub used: u64,
    /// What was granted and hasn't left yet.
    pub held: u64,
    /// What is left.
    pub left: u64,
    /// How long this limit is paused from now on; zero where it isn't.
    pub paused: Duration,
    /// When the current window ends, for a fixed window.
    pub resets_in: Option<Duration>,
}

impl Snapshot {
    pub(super) fn of(ledger: &Ledger, waiting: usize, now: Time) -> Self {
        let known = ledger.meters().iter().filter(|meter| meter.is_known());
        let limits = known.map(|meter| LimitSnapshot {
            limit: meter.id(),
            used: meter.used(),
            held: meter.held(),
            left: meter.left(),
            paused: meter.paused().since(now),
            resets_in: meter.boundary().map(|at| at.since(now)),
        });
        Self {
            limits: limits.collect(),
            in_flight: ledger.in_flight(),
            peak_in_flight: ledger.peak_in_flight(),
            waiting,
            paused: ledger.paused().since(now),
        }
    }
}
