//! How many retries there may be: a share of the requests and a reserve here, other models beside.

pub(crate) mod active;
pub(crate) mod drip;
pub(crate) mod quota;
pub(crate) mod throttle;

use std::time::Duration;

use self::drip::Drip;
use super::time::{Time, nanos};

const SLOTS: usize = 10;

/// A budget counted in parts of a retry, so that any ratio is exact.
///
/// Every request deposits `gain` parts, and a retry takes what it costs. Deposits are taken oldest
/// first. One that nobody took for a whole window flows into the reserve; what the reserve can't
/// hold is lost. So retries never exceed the reserve and the ratio's share of all requests, over
/// any time, and a drained reserve comes back with ordinary traffic.
#[derive(Clone, Debug)]
pub(crate) struct RetryBudget {
    gain: u64,
    // Parts that don't age.
    reserve: u64,
    reserve_max: u64,
    // Flows into the reserve, whatever the traffic.
    drip: Drip,
    // Parts by age: the slot of `turn` is the youngest.
    slots: [u64; SLOTS],
    sum: u64,
    sum_max: u64,
    turn: u64,
    slot: u64,
}

impl RetryBudget {
    /// `gain` parts for every request, `reserve` parts to begin with, at most `max` saved up in a
    /// `window`.
    pub(crate) fn new(gain: u64, reserve: u64, max: u64, window: Duration) -> Self {
        Self {
            gain,
            reserve,
            reserve_max: reserve,
            drip: Drip::default(),
            slots: [0; SLOTS],
            sum: 0,
            sum_max: max,
            turn: 0,
            slot: (nanos(window) / SLOTS as u64).max(1),
        }
    }

    /// So many parts flow into the reserve each second.
    pub(crate) const fn drip(mut self, parts: u64) -> Self {
        self.drip = Drip::new(parts);
        self
    }

    /// One request more.
    pub(crate) fn deposit(&mut self, now: Time) {
        self.roll(now);
        self.deposited(1);
    }

    /// So many requests more, which came [before](Self::ends) the slot that was in use at the last look ended.
    pub(crate) fn deposited(&mut self, requests: u64) {
        self.put(self.gain.saturating_mul(requests));
    }

    /// When the slot that was in use at the last look ends: until then, deposits are all as of one time.
    pub(crate) const fn ends(&self) -> Time {
        Time::from_nanos((self.turn.saturating_add(1)).saturating_mul(self.slot))
    }

    /// Pays `cost` parts; `false`, and nothing changes, where there isn't enough.
    pub(crate) fn withdraw(&mut self, cost: u64, now: Time) -> bool {
        if self.balance(now) < cost {
            return false;
        }
        let mut due = cost;
        // The oldest slot is the one after the youngest.
        for age in 1..=SLOTS as u64 {
            let slot = &mut self.slots[((self.turn + age) % SLOTS as u64) as usize];
            let taken = due.min(*slot);
            *slot -= taken;
            self.sum -= taken;
            due -= taken;
        }
        self.reserve -= due;
        true
    }

    /// Pays `cost` parts back: into the reserve, and what it can't hold as a deposit of now.
    pub(crate) fn refund(&mut self, cost: u64, now: Time) {
        self.roll(now);
        let kept = cost.min(self.reserve_max - self.reserve);
        self.reserve += kept;
        self.put(cost - kept);
    }

    /// What is there to pay with.
    pub(crate) fn balance(&mut self, now: Time) -> u64 {
        self.roll(now);
        self.sum.saturating_add(self.reserve)
    }

    fn put(&mut self, parts: u64) {
        let parts = parts.min(self.sum_max - self.sum);
        self.slots[(self.turn % SLOTS as u64) as usize] += parts;
        self.sum += parts;
    }

    /// Slots that are a whole window old flow into the reserve.
    fn roll(&mut self, now: Time) {
        let flown = self.drip.take(now);
        self.reserve = self.reserve.saturating_add(flown).min(self.reserve_max);
        let turn = now.nanos() / self.slot;
        if turn <= self.turn {
            return; // a clock that stands still, or goes back
        }
        for step in 1..=(turn - self.turn).min(SLOTS as u64) {
            let slot = &mut self.slots[((self.turn + step) % SLOTS as u64) as usize];
            let old = std::mem::take(slot);
            self.sum -= old;
            self.reserve = self.reserve.saturating_add(old).min(self.reserve_max);
        }
        self.turn = turn;
    }
}

#[cfg(test)]
mod tests;
