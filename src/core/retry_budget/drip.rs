//! What flows in as time passes.

use crate::core::time::Time;

const SECOND: u128 = 1_000_000_000;

/// So many parts a second, exact over any number of looks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drip {
    per_second: u64,
    // What is due of the next part, in billionths.
    due: u64,
    seen: Time,
}

impl Drip {
    pub(crate) const fn new(per_second: u64) -> Self {
        Self {
            per_second,
            due: 0,
            seen: Time::from_nanos(0),
        }
    }

    /// What has come since the last look.
    pub(crate) fn take(&mut self, now: Time) -> u64 {
        let passed = now.nanos().saturating_sub(self.seen.nanos());
        if self.per_second == 0 || passed == 0 {
            return 0;
        }
        let due = u128::from(passed) * u128::from(self.per_second) + u128::from(self.due);
        self.due = (due % SECOND) as u64;
        self.seen = now;
        u64::try_from(due / SECOND).unwrap_or(u64::MAX)
    }
}
