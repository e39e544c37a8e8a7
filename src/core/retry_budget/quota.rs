//! A fixed stock that retries are paid from: the AWS SDKs' retry quota.

use super::drip::Drip;
use crate::core::time::Time;

/// A unit, in the parts that are counted: what a success earns may be less than one.
pub(crate) const UNIT: u64 = 1_000;

/// So many parts; what succeeds brings some back, and time may.
#[derive(Clone, Debug)]
pub(crate) struct Quota {
    capacity: u64,
    available: u64,
    drip: Drip,
}

impl Quota {
    /// `capacity` parts, all there to begin with; so many flow in each second.
    pub(crate) const fn new(capacity: u64, per_second: u64) -> Self {
        Self {
            capacity,
            available: capacity,
            drip: Drip::new(per_second),
        }
    }

    /// Takes `cost` parts; `false`, and nothing changes, where there aren't so many.
    pub(crate) fn take(&mut self, cost: u64, now: Time) -> bool {
        match self.available(now).checked_sub(cost) {
            Some(rest) => {
                self.available = rest;
                true
            }
            None => false,
        }
    }

    /// Brings `parts` back; what the capacity can't hold is lost.
    pub(crate) fn give(&mut self, parts: u64, now: Time) {
        self.available = (self.available(now).saturating_add(parts)).min(self.capacity);
    }

    pub(crate) fn available(&mut self, now: Time) -> u64 {
        let flown = self.drip.take(now);
        self.available = self.available.saturating_add(flown).min(self.capacity);
        self.available
    }
}
