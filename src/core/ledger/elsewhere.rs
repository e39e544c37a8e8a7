//! What is counted without the ledger, as long as nothing but counting is to be done, and told to it later.

use super::{Ledger, Spare};
use crate::core::{cost::Cost, settlement::Mark, time::Time};

/// How much may be taken, of a cost in requests and tokens, without asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Issue {
    pub(crate) requests: u64,
    pub(crate) tokens: u64,
}

/// Instants that are one and the same to every limit, when something leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    /// The last of them.
    pub(crate) until: Time,
    /// How many nanoseconds they are.
    pub(crate) span: u64,
}

impl Ledger {
    /// How much may be taken from now on without asking, if nothing else is charged: where requests and tokens are all that is
    /// counted, and nothing has to stay free.
    pub(crate) fn issue(&mut self) -> Option<Issue> {
        let is_free =
            self.paused <= self.now && self.most_kept == Spare::NOTHING && !self.has_places();
        is_free.then(|| self.meters.issue(self.now)).flatten()
    }

    /// So much of what was issued has been taken.
    pub(crate) fn taken_elsewhere(&mut self, cost: &Cost, requests: u64) {
        self.meters.hold(cost);
        self.in_flight = self.in_flight.saturating_add(requests as usize);
    }

    /// So many were in flight at once, at least.
    pub(crate) fn peaked(&mut self, at_least: usize) {
        self.peak_in_flight = self.peak_in_flight.max(at_least).max(self.in_flight);
    }

    /// Which instants are dated as now, where that is known.
    pub(crate) fn step(&self) -> Option<Step> {
        self.meters.step(self.now)
    }

    /// Whether that is known.
    #[inline]
    pub(crate) fn has_steps(&self) -> bool {
        self.meters.has_steps()
    }

    /// So many have landed that were counted elsewhere.
    pub(crate) const fn landed_elsewhere(&self) -> u64 {
        self.landed
    }

    /// So much of what was held has left, in the step that ends then.
    pub(crate) fn left_elsewhere(&mut self, cost: &Cost, until: Time) {
        let _ = self.date_at(cost, until);
    }

    /// What a request would find that left now, where anybody compares.
    pub(crate) fn mark(&self) -> Option<Mark> {
        let (_, settlement) = self.settlement.as_ref()?;
        Some(settlement.mark())
    }
}
