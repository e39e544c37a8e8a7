//! The account of a limit that refills continuously.

use std::{collections::VecDeque, time::Duration};

use super::meters::{Charge, nanos, position};

/// How much a bucket lacks of being full. In units of a token a nanosecond of the window, so
/// that the refill of one nanosecond is the limit itself and nothing is ever rounded.
#[derive(Clone, Copy, Debug, Default)]
struct Lack {
    at: u64,
    amount: u128,
}

impl Lack {
    fn refilled(self, rate: u64, now: u64) -> Self {
        let refill = u128::from(rate) * u128::from(now - self.at);
        Self {
            at: now,
            amount: self.amount.saturating_sub(refill),
        }
    }
}

/// A bucket that refills `rate` tokens a window.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: u64,
    window: u64,
    capacity: u128,
    /// A charge above the capacity is admitted once the bucket is full, and paid off afterwards.
    lends: bool,
    lack: Lack,
    /// The lack before the oldest charge of the log: what a settlement is replayed from. To just
    /// add what wasn't used would pay out refill twice that had overflowed meanwhile.
    before: Lack,
    /// The charges since the oldest one that is open: when each came, and the rate until then.
    log: VecDeque<((u64, u64), Charge)>,
}

impl Bucket {
    pub(super) fn new(limit: u64, window: u64) -> Self {
        Self {
            rate: limit,
            window,
            capacity: u128::from(limit) * u128::from(window),
            lends: false,
            lack: Lack::default(),
            before: Lack::default(),
            log: VecDeque::new(),
        }
    }

    /// A bucket that holds what `limit` a window is in `quantum`, but at least 1.
    pub(super) fn quantum(limit: u64, window: Duration, quantum: Duration) -> Self {
        let mut bucket = Self::new(limit, nanos(window));
        bucket.hold(quantum);
        bucket.lends = true;
        bucket
    }

    fn hold(&mut self, quantum: Duration) {
        let most = u128::from(self.rate) * u128::from(nanos(quantum));
        self.capacity = most.max(u128::from(self.window));
    }

    pub(super) fn resize(&mut self, now: u64, id: u64, limit: u64, quantum: Option<Duration>) {
        // A charge of nothing marks where the rate changes.
        let (amount, open) = (0, false);
        self.charge(now, Charge { id, amount, open });
        self.rate = limit;
        self.capacity = self.scaled(limit);
        if let Some(quantum) = quantum {
            self.hold(quantum);
        }
    }

    fn scaled(&self, amount: u64) -> u128 {
        u128::from(amount) * u128::from(self.window)
    }

    fn time_to_refill(&self, amount: u128) -> u64 {
        let time = amount.div_ceil(u128::from(self.rate.max(1)));
        u64::try_from(time).unwrap_or(u64::MAX)
    }

    fn lack(&mut self, now: u64) -> u128 {
        self.lack = self.lack.refilled(self.rate, now);
        self.lack.amount
    }

    pub(super) fn wait(&mut self, now: u64, amount: u64) -> Option<u64> {
        let mut needed = self.scaled(amount);
        if needed > self.capacity {
            if !self.lends || self.rate == 0 {
                return None;
            }
            needed = self.capacity;
        }
        let lack = self.lack(now);
        Some(self.time_to_refill((lack + needed).saturating_sub(self.capacity)))
    }

    pub(super) fn charge(&mut self, now: u64, charge: Charge) {
        self.lack(now);
        self.lack.amount += self.scaled(charge.amount);
        self.log.push_back(((now, self.rate), charge));
        self.forget_closed();
    }

    pub(super) fn settle(&mut self, now: u64, id: u64, amount: u64) {
        self.lack(now);
        let Some(i) = position(&self.log, id) else {
            return;
        };
        let charge = &mut self.log[i].1;
        charge.open = false;
        charge.amount = amount;
        let replayed = self.log.iter().fold(self.before, |lack, (at, charge)| {
            self.after(lack, *at, charge.amount)
        });
        self.lack = replayed.refilled(self.rate, now);
        self.forget_closed();
    }

    fn after(&self, lack: Lack, (at, rate): (u64, u64), amount: u64) -> Lack {
        let mut lack = lack.refilled(rate, at);
        lack.amount += self.scaled(amount);
        lack
    }

    fn forget_closed(&mut self) {
        while let Some((at, charge)) = self.log.front().copied() {
            if charge.open {
                break;
            }
            self.before = self.after(self.before, at, charge.amount);
            self.log.pop_front();
        }
    }

    pub(super) fn used(&mut self, now: u64) -> u64 {
        let used = self.lack(now).div_ceil(u128::from(self.window));
        u64::try_from(used).unwrap_or(u64::MAX)
    }

    pub(super) fn reset(&mut self, now: u64) -> u64 {
        let lack = self.lack(now);
        self.time_to_refill(lack)
    }
}
