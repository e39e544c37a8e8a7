//! Retries as a share of the requests under way: Envoy's retry budget.

/// So many retries at a time, those that wait for their turn among them.
#[derive(Clone, Debug)]
pub(crate) struct Active {
    pub(crate) percent: u32,
    pub(crate) floor: u32,
    requests: u64,
    retries: u64,
}

impl Active {
    pub(crate) const fn new(percent: u32, floor: u32) -> Self {
        Self {
            percent,
            floor,
            requests: 0,
            retries: 0,
        }
    }

    pub(crate) const fn request_begins(&mut self) {
        self.requests += 1;
    }

    pub(crate) const fn request_ends(&mut self) {
        self.requests = self.requests.saturating_sub(1);
    }

    /// `false`, and nothing changes, where as many are under way as may be.
    pub(crate) fn retry_begins(&mut self) -> bool {
        let may = self.retries < self.limit();
        self.retries += u64::from(may);
        may
    }

    pub(crate) const fn retry_ends(&mut self) {
        self.retries = self.retries.saturating_sub(1);
    }

    /// How many may be under way.
    pub(crate) fn limit(&self) -> u64 {
        let share = u128::from(self.requests) * u128::from(self.percent) / 100;
        u64::try_from(share)
            .unwrap_or(u64::MAX)
            .max(u64::from(self.floor))
    }

    /// How many more may begin.
    pub(crate) fn room(&self) -> u64 {
        self.limit().saturating_sub(self.retries)
    }
}
