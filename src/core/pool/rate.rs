//! What a limit of a pool makes of amounts and instants.

use super::{PoolLimit, PoolShape};
use crate::core::limit::OWED;

/// What `n` of a limit are worth at its rate, in microseconds. As a double, as every store computes it.
fn span(n: u64, limit: &PoolLimit) -> f64 {
    n as f64 * (limit.window as f64 / limit.amount as f64)
}

pub(super) fn up(n: u64, limit: &PoolLimit) -> u64 {
    span(n, limit).ceil() as u64
}

pub(super) fn down(n: u64, limit: &PoolLimit) -> u64 {
    span(n, limit).floor() as u64
}

impl PoolLimit {
    /// The largest cost that ever fits.
    pub(crate) const fn holds(&self) -> u64 {
        if matches!(self.shape, PoolShape::Bucket) && self.burst > 0 {
            self.burst
        } else {
            self.amount
        }
    }

    /// The most that is told at once: what is more would stop everybody for good, and isn't exact in a double.
    pub(crate) fn most(&self) -> u64 {
        let owed = self.amount.saturating_mul(OWED);
        owed.saturating_add(self.holds()).min(1 << 53)
    }

    /// When what holds `most` and was full again at `full` is so once `n` more are missing. What it doesn't hold is owed for so many
    /// windows at the most; what was owed before stays.
    pub(super) fn full(&self, full: u64, n: u64, from: u64, most: u64, windows: u64) -> u64 {
        let owed = from.saturating_add(up(most, self)) + windows * self.window;
        let missing = full.max(from).saturating_add(up(n, self));
        missing.min(full.max(owed))
    }

    /// The same of its pace: the account forgets the rest within a window.
    pub(super) fn pace(&self, full: u64, n: u64, from: u64) -> u64 {
        self.full(full, n, from, self.burst, 1)
    }

    /// The slot in which what leaves at `at` counts: rounded up.
    pub(super) const fn slot(&self, at: u64) -> u64 {
        (at + self.transit).div_ceil(self.step)
    }

    /// Slots up to this one don't count any more at `at`.
    pub(super) const fn expired(&self, at: u64) -> u64 {
        at.saturating_sub(self.window) / self.step
    }

    /// The first boundary after `at`; 0 where a window opens with its first use.
    pub(super) const fn end(&self, at: u64) -> u64 {
        let [first, second] = self.ends;
        if second == 0 {
            0
        } else if at < first {
            first
        } else if at < second {
            second
        } else {
            second + ((at - second) / self.window + 1) * self.window
        }
    }

    pub(super) const fn opens_with_use(&self) -> bool {
        self.ends[1] == 0
    }

    /// Whether it sends no more than so much at once.
    pub(super) const fn is_paced(&self) -> bool {
        self.burst > 0 && !matches!(self.shape, PoolShape::Bucket)
    }

    /// What is missing in a bucket that is full again then.
    pub(super) fn level(&self, full: u64, at: u64) -> u64 {
        let missing = full.saturating_sub(at) as f64;
        let used = (missing * (self.amount as f64 / self.window as f64)).ceil();
        (used as u64).min(self.holds())
    }

    /// What comes in such a span.
    pub(super) fn refills(&self, span: u64) -> u64 {
        (span as f64 * (self.amount as f64 / self.window as f64)).floor() as u64
    }

    pub(super) fn kept(&self, beside: u32) -> u64 {
        (self.holds() as f64 * f64::from(beside) / 1e6).ceil() as u64
    }
}
