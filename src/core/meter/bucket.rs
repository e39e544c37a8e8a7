//! Refills continuously and holds its capacity.

use crate::core::time::Time;

/// A bucket, kept as what is missing from it. Amounts are in tokens × nanoseconds of the window,
/// so that every refill is a whole number.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    rate: u64,
    window: u64,
    capacity: u64,
    transit: u64,
    missing: u128,
    at: Time,
}

impl Bucket {
    /// A full bucket that refills `rate` in a `window`.
    pub(crate) fn new(rate: u64, window: u64, capacity: u64, transit: u64, now: Time) -> Self {
        // With a small capacity the whole transit allowance would be worth more than the bucket
        // holds, and no two charges could ever follow each other at the rate.
        let fill = u128::from(capacity) * u128::from(window) / u128::from(rate.max(1));
        let transit = u128::from(transit).min(fill / 2) as u64;
        Self {
            rate,
            window,
            capacity,
            transit,
            missing: 0,
            at: now,
        }
    }

    const fn scaled(&self, n: u64) -> u128 {
        n as u128 * self.window as u128
    }

    pub(crate) fn advance(&mut self, now: Time) {
        let refill = self.refill(now.nanos().saturating_sub(self.at.nanos()));
        self.missing = self.missing.saturating_sub(refill);
        self.at = self.at.max(now);
    }

    const fn refill(&self, nanos: u64) -> u128 {
        nanos as u128 * self.rate as u128
    }

    /// Whole units that are missing, rounded up.
    pub(crate) fn used(&self) -> u64 {
        let used = self.missing.div_ceil(u128::from(self.window));
        u64::try_from(used).unwrap_or(u64::MAX)
    }

    fn over(&self, n: u64, held: u64) -> u128 {
        let asked = self.scaled(n) + self.scaled(held);
        (self.missing.saturating_add(asked)).saturating_sub(self.scaled(self.capacity))
    }

    pub(crate) fn fits(&self, n: u64, held: u64) -> bool {
        self.over(n, held) == 0
    }

    /// The first instant from `from` on at which `n` fits; held charges count as if they left now.
    pub(crate) fn earliest(&self, n: u64, held: u64, from: Time) -> Time {
        let wait = self.over(n, held).div_ceil(u128::from(self.rate));
        let wait = u64::try_from(wait).unwrap_or(u64::MAX);
        from.max(Time::from_nanos(self.at.nanos().saturating_add(wait)))
    }

    /// Charges `n` that leaves now: the provider may take it out up to the transit allowance
    /// later, so that nothing refills until then.
    pub(crate) fn charge(&mut self, n: u64) {
        let in_transit = self.refill(self.transit);
        self.missing = self.missing.max(in_transit).saturating_add(self.scaled(n));
    }

    /// Takes back what the provider has given back.
    pub(crate) const fn give_back(&mut self, n: u64) {
        self.missing = self.missing.saturating_sub(self.scaled(n));
    }

    /// Takes back a charge that never reached the provider. What has refilled since is gone: it
    /// may have been spent.
    pub(crate) const fn refund(&mut self, n: u64, dated: Time) {
        let refilled = self.refill(self.at.nanos().saturating_sub(dated.nanos()));
        let back = self.scaled(n).saturating_sub(refilled);
        self.missing = self.missing.saturating_sub(back);
    }

    pub(crate) const fn resize(&mut self, rate: u64, capacity: u64) {
        self.rate = rate;
        self.capacity = capacity;
    }

    pub(crate) const fn capacity(&self) -> u64 {
        self.capacity
    }

    /// How long it takes to refill from empty, in whole nanoseconds.
    pub(crate) fn period(&self) -> u64 {
        let fill = self.scaled(self.capacity).div_ceil(u128::from(self.rate));
        u64::try_from(fill).unwrap_or(u64::MAX)
    }
}
