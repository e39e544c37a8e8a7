//! One limit's account in a pool.

use std::collections::BTreeMap;

use super::{
    PoolLimit, PoolShape,
    rate::{down, up},
};
use crate::core::limit::OWED;

/// One account. Of what its limit's shape doesn't need, everything stays 0.
#[derive(Clone, Debug, Default)]
pub(super) struct Dim {
    // Rolling: by slot; all that count are later than `low`.
    slots: BTreeMap<u64, u64>,
    low: u64,
    sum: u64,
    // Bucket: when it is full again. Others: the same of their pace.
    full: u64,
    // Fixed.
    window: Window,
    pub(super) paused: u64,
    pub(super) outside: u64,
    pub(super) outside_at: u64,
    pub(super) foreign: u64,
    // What was free when it became doubtful who has had it.
    pub(super) doubt: u64,
    // What was replayed and may be in `foreign` as well.
    pub(super) unsure: u64,
}

/// A fixed window.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    used: u64,
    // What leaves shortly before the end counts in the next window as well.
    next: u64,
    // 0: it hasn't opened.
    end: u64,
    // What left earlier isn't in `used`.
    since: u64,
}

impl Window {
    fn at(self, limit: &PoolLimit, at: u64) -> Self {
        if self.end != 0 && at < self.end {
            return self;
        }
        let end = limit.end(at);
        if self.end == 0 || end == 0 || limit.end(self.end) != end {
            return Self {
                end,
                since: at,
                ..Self::default()
            };
        }
        Self {
            used: self.next,
            next: 0,
            end,
            since: self.end - limit.transit,
        }
    }

    const fn straddles(&self, limit: &PoolLimit, at: u64) -> bool {
        self.end != 0 && at + limit.transit >= self.end
    }

    /// Whether `n` fits at `at`.
    const fn fits(&self, limit: &PoolLimit, n: u64, at: u64) -> bool {
        if self.used + n > limit.amount {
            return false;
        }
        if limit.opens_with_use() {
            // It ended somewhere in between: nothing leaves before it surely has.
            return self.end == 0 || at + 2 * limit.transit < self.end;
        }
        !self.straddles(limit, at) || self.next + n <= limit.amount
    }

    fn charge(&mut self, limit: &PoolLimit, n: u64, at: u64) {
        if self.end == 0 {
            (self.end, self.since) = (at + limit.window + limit.transit, at);
        }
        self.used += n;
        if !limit.opens_with_use() && self.straddles(limit, at) {
            self.next += n;
        }
    }
}

impl Dim {
    /// Forgets what doesn't count any more at `now`.
    pub(super) fn advance(&mut self, limit: &PoolLimit, now: u64) {
        match limit.shape {
            PoolShape::Rolling => self.expire(limit.expired(now)),
            PoolShape::Fixed => self.window = self.window.at(limit, now),
            PoolShape::Bucket => {}
        }
        if self.outside > 0 && now >= self.outside_at + limit.window {
            self.outside = 0;
        }
    }

    fn expire(&mut self, slot: u64) {
        while let Some(first) = self
            .slots
            .first_entry()
            .filter(|first| *first.key() <= slot)
        {
            self.sum -= first.remove();
        }
        self.low = self.low.max(slot);
    }

    /// Whether what left then surely doesn't count any more.
    pub(super) const fn is_over(&self, limit: &PoolLimit, then: u64, now: u64) -> bool {
        match limit.shape {
            PoolShape::Rolling => limit.slot(then) <= self.low,
            PoolShape::Bucket => now >= then + limit.window + limit.transit,
            PoolShape::Fixed => self.window.since > then,
        }
    }

    /// Whether what left at `at` counted at a later instant.
    pub(super) const fn counts(&self, limit: &PoolLimit, at: u64, later: u64) -> bool {
        match limit.shape {
            PoolShape::Rolling => limit.slot(at) > limit.expired(later),
            PoolShape::Bucket => true,
            PoolShape::Fixed if limit.opens_with_use() => at + limit.window + limit.transit > later,
            PoolShape::Fixed => at + limit.window >= self.window.end,
        }
    }

    /// What of it counts now, but for what is in doubt.
    pub(super) fn known(&self, limit: &PoolLimit, now: u64) -> u64 {
        if limit.shape == PoolShape::Bucket {
            return limit.level(self.full.saturating_sub(up(self.doubt, limit)), now);
        }
        self.used(limit, now).saturating_sub(self.doubt)
    }

    /// The rest of what counts.
    pub(super) fn doubtful(&self, limit: &PoolLimit, now: u64) -> u64 {
        self.used(limit, now).saturating_sub(self.known(limit, now))
    }

    /// All that is free until `then` is taken for somebody's, and how much that is.
    pub(super) fn takes_all(&mut self, limit: &PoolLimit, now: u64, then: u64) -> u64 {
        let (mut holds, mut at) = (limit.holds(), now);
        match limit.shape {
            PoolShape::Rolling => at = then,
            PoolShape::Bucket => holds += limit.refills(then - now),
            PoolShape::Fixed => {}
        }
        let free = holds.saturating_sub(self.used(limit, at));
        if free > 0 {
            match limit.shape {
                PoolShape::Rolling => self.count(limit, free, then),
                PoolShape::Bucket => self.full = self.full.max(now) + up(free, limit),
                PoolShape::Fixed => self.window.charge(limit, free, then),
            }
        }
        free
    }

    /// What of it counts now, or later on.
    pub(super) fn used(&self, limit: &PoolLimit, at: u64) -> u64 {
        match limit.shape {
            PoolShape::Rolling => {
                let gone = self.slots.range(..=limit.expired(at));
                self.sum - gone.map(|(_, n)| n).sum::<u64>()
            }
            PoolShape::Fixed => self.window.at(limit, at).used,
            PoolShape::Bucket => limit.level(self.full, at),
        }
    }

    /// The first instant from `from` on at which `n` fits and leaves so much free.
    pub(super) fn earliest(&mut self, limit: &PoolLimit, n: u64, beside: u32, from: u64) -> u64 {
        let mut at = from.max(self.paused);
        let whole = (n + limit.kept(beside)).min(limit.holds()).max(n);
        match limit.shape {
            PoolShape::Rolling => {
                let mut expired = limit.expired(at);
                let mut sum = self.sum;
                for (slot, amount) in &self.slots {
                    if *slot > expired {
                        if sum + whole <= limit.amount {
                            break;
                        }
                        (expired, at) = (*slot, *slot * limit.step + limit.window);
                    }
                    sum -= amount;
                }
            }
            PoolShape::Bucket => {
                return self.paced(limit, whole, limit.holds(), at);
            }
            PoolShape::Fixed => {
                // This window, the next, and one that holds nothing at all.
                for _ in 0..3 {
                    let window = self.window.at(limit, at);
                    if window.fits(limit, whole, at) {
                        break;
                    }
                    at = window.end;
                }
            }
        }
        if limit.burst > 0 {
            return self.paced(limit, n.min(limit.burst), limit.burst, at);
        }
        at
    }

    /// The first instant from `at` on at which `n` fit into what holds `most` and refills.
    fn paced(&self, limit: &PoolLimit, n: u64, most: u64, at: u64) -> u64 {
        let until = (self.full + up(n, limit)).saturating_sub(up(most, limit));
        at.max(until)
    }

    /// Charges `n` that leaves at `at`.
    pub(super) fn charge(&mut self, limit: &PoolLimit, n: u64, at: u64) {
        self.count(limit, n, at);
        if limit.is_paced() {
            self.full = limit.pace(self.full, n, at);
        }
    }

    /// The same, whatever the pace is.
    pub(super) fn count(&mut self, limit: &PoolLimit, n: u64, at: u64) {
        match limit.shape {
            PoolShape::Rolling => {
                let slot = limit.slot(at);
                if slot > self.low {
                    *self.slots.entry(slot).or_default() += n;
                    self.sum += n;
                }
            }
            PoolShape::Bucket => {
                let (from, most) = (at + limit.transit, limit.holds());
                self.full = limit.full(self.full, n, from, most, OWED);
            }
            PoolShape::Fixed => {
                let window = self.window.at(limit, at);
                self.window = window;
                self.window.charge(limit, n, at);
            }
        }
    }

    /// Takes back a charge of that date; `unsent`: the provider never had it.
    pub(super) fn back(&mut self, limit: &PoolLimit, n: u64, dated: u64, unsent: bool, now: u64) {
        // What refilled since would have overflowed.
        let refilled = if unsent { now.saturating_sub(dated) } else { 0 };
        let worth = down(n, limit).saturating_sub(refilled);
        match limit.shape {
            PoolShape::Rolling => {
                let slot = limit.slot(dated);
                if let Some(amount) = self.slots.get_mut(&slot) {
                    let n = n.min(*amount);
                    *amount -= n;
                    self.sum -= n;
                    if *amount == 0 {
                        self.slots.remove(&slot);
                    }
                }
            }
            PoolShape::Bucket => {
                self.full -= worth.min(self.full.saturating_sub(now));
                return;
            }
            PoolShape::Fixed => {
                let window = &mut self.window;
                if dated >= window.since && window.end != 0 {
                    window.used = window.used.saturating_sub(n);
                    if window.straddles(limit, dated) {
                        window.next = window.next.saturating_sub(n);
                    }
                }
            }
        }
        if limit.burst > 0 && unsent {
            self.full -= worth.min(self.full.saturating_sub(now));
        }
    }

    /// Charges what left then; in a fixed window only what is of this one.
    pub(super) fn replay(&mut self, limit: &PoolLimit, n: u64, at: u64, now: u64, in_order: bool) {
        self.recall(limit, n, at, now);
        if limit.is_paced() {
            self.full = if in_order {
                limit.pace(self.full, n, at)
            } else {
                self.full.max(limit.pace(0, n, at))
            };
        }
    }

    /// The same, whatever the pace is.
    pub(super) fn recall(&mut self, limit: &PoolLimit, n: u64, at: u64, now: u64) {
        match limit.shape {
            PoolShape::Fixed if !self.counts(limit, at, now) => {}
            PoolShape::Fixed if !limit.opens_with_use() => self.window.charge(limit, n, at),
            _ => self.count(limit, n, at),
        }
    }

    /// A bucket held so much less than all then.
    pub(super) fn held(&mut self, limit: &PoolLimit, n: u64, at: u64) {
        self.full = self.full.max(at + up(n, limit));
    }
}
