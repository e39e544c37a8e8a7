//! Never more than the amount in any window.

use std::collections::VecDeque;

use crate::core::time::Time;

/// Into how many steps a window is cut: dates are rounded up to a step, so that memory is bounded
/// and charges of one step share an entry.
const STEPS: u64 = 1024;

#[derive(Clone, Copy, Debug)]
struct Spent {
    expires: Time,
    amount: u64,
}

/// The dated charges of one window.
#[derive(Clone, Debug)]
pub(crate) struct Rolling {
    amount: u64,
    window: u64,
    transit: u64,
    step: u64,
    // In the order in which they expire, no two alike.
    spent: VecDeque<Spent>,
    sum: u64,
}

impl Rolling {
    /// An empty window. Room for every entry it can come to hold is made at once, so that
    /// charging never allocates.
    pub(crate) fn new(amount: u64, window: u64, transit: u64) -> Self {
        let step = (window / STEPS).max(1);
        let entries = (window.saturating_add(transit) / step).saturating_add(2);
        Self {
            amount,
            window,
            transit,
            step,
            spent: VecDeque::with_capacity(entries.min(amount).min(2 * STEPS) as usize),
            sum: 0,
        }
    }

    /// When a charge of this date stops to count.
    fn expiry(&self, dated: Time) -> Time {
        let counted = dated.nanos().saturating_add(self.transit);
        let rounded = counted
            .checked_next_multiple_of(self.step)
            .unwrap_or(u64::MAX);
        Time::from_nanos(rounded.saturating_add(self.window))
    }

    pub(crate) fn advance(&mut self, now: Time) {
        while let Some(first) = self.spent.front() {
            if first.expires > now {
                return;
            }
            self.sum = self.sum.saturating_sub(first.amount);
            self.spent.pop_front();
        }
        // Heals a sum that once saturated.
        self.sum = 0;
    }

    pub(crate) const fn used(&self) -> u64 {
        self.sum
    }

    pub(crate) const fn fits(&self, n: u64, held: u64) -> bool {
        self.sum.saturating_add(held).saturating_add(n) <= self.amount
    }

    /// The first instant from `from` on at which `n` fits; held charges count as if they left `now`.
    pub(crate) fn earliest(&self, n: u64, held: u64, from: Time, now: Time) -> Time {
        let asked = self.sum.saturating_add(held).saturating_add(n);
        let mut over = asked.saturating_sub(self.amount);
        for spent in &self.spent {
            if over == 0 {
                return from;
            }
            over = over.saturating_sub(spent.amount);
            if over == 0 {
                return from.max(spent.expires);
            }
        }
        if over == 0 {
            from
        } else {
            from.max(self.expiry(now))
        }
    }

    pub(crate) fn charge(&mut self, n: u64, dated: Time) {
        let expires = self.expiry(dated);
        self.sum = self.sum.saturating_add(n);
        match self.spent.back_mut() {
            // A date from before the last one can't be told apart from it; later is on the safe side.
            Some(last) if last.expires >= expires => last.amount = last.amount.saturating_add(n),
            _ => self.spent.push_back(Spent { expires, amount: n }),
        }
    }

    /// Takes back a charge of this date; one that has expired already isn't there any more.
    pub(crate) fn give_back(&mut self, n: u64, dated: Time) {
        let expires = self.expiry(dated);
        let Ok(at) = self
            .spent
            .binary_search_by_key(&expires, |spent| spent.expires)
        else {
            return;
        };
        let back = self.spent[at].amount.min(n);
        self.spent[at].amount -= back;
        self.sum = self.sum.saturating_sub(back);
    }

    /// How much is dated later than `dated`.
    pub(crate) fn since(&self, dated: Time) -> u64 {
        let expires = self.expiry(dated);
        let later = self.spent.iter().rev();
        later
            .take_while(|spent| spent.expires > expires)
            .fold(0, |sum, spent| sum.saturating_add(spent.amount))
    }

    /// How much is dated in the step of `dated` and in the transit allowance after it.
    pub(crate) fn in_transit_after(&self, dated: Time) -> u64 {
        let earlier = Time::from_nanos(dated.nanos().saturating_sub(self.step));
        let later = Time::from_nanos(dated.nanos().saturating_add(self.transit));
        self.since(earlier).saturating_sub(self.since(later))
    }

    pub(crate) const fn resize(&mut self, amount: u64) {
        self.amount = amount;
    }

    /// How long a charge that leaves now counts, at the most.
    pub(crate) const fn period(&self) -> u64 {
        self.window
            .saturating_add(self.transit)
            .saturating_add(self.step)
    }
}
