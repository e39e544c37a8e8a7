//! A fixed stock that retries are paid from: the AWS SDKs' retry quota.

/// So many units; what succeeds brings some back.
#[derive(Clone, Debug)]
pub(crate) struct Quota {
    capacity: u64,
    available: u64,
}

impl Quota {
    pub(crate) const fn new(capacity: u64) -> Self {
        Self {
            capacity,
            available: capacity,
        }
    }

    /// Takes `cost` units; `false`, and nothing changes, where there aren't so many.
    pub(crate) const fn take(&mut self, cost: u64) -> bool {
        match self.available.checked_sub(cost) {
            Some(rest) => {
                self.available = rest;
                true
            }
            None => false,
        }
    }

    /// Brings `units` back; what the capacity can't hold is lost.
    pub(crate) fn give(&mut self, units: u64) {
        self.available = self.available.saturating_add(units).min(self.capacity);
    }

    pub(crate) const fn refill(&mut self) {
        self.available = self.capacity;
    }

    pub(crate) const fn available(&self) -> u64 {
        self.available
    }
}
