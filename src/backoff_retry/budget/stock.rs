//! A quota: its settings, and the stock behind a lock.

use std::sync::Mutex;

use crate::{
    backoff_retry::cause::{Cause, Costs},
    clock::Clock,
    core::retry_budget::quota::{Quota, UNIT},
    lock::lock,
};

pub(super) struct Stock {
    book: Mutex<(Settings, Quota)>,
    clock: Clock,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    capacity: u32,
    pub(super) per_second: u32,
    // In units.
    pub(super) costs: Costs,
    // In thousandths of a unit.
    pub(super) reward: u64,
}

impl Settings {
    fn stock(&self) -> Quota {
        let parts = |units: u32| u64::from(units) * UNIT;
        Quota::new(parts(self.capacity), parts(self.per_second))
    }
}

impl Stock {
    pub(super) fn new(capacity: u32) -> Self {
        let settings = Settings {
            capacity,
            per_second: 0,
            costs: Costs::new(14).with(Cause::RateLimited, 5),
            reward: UNIT,
        };
        Self {
            book: Mutex::new((settings, settings.stock())),
            clock: Clock::default(),
        }
    }

    pub(super) fn set(&self, change: impl FnOnce(&mut Settings)) {
        let mut book = lock(&self.book);
        change(&mut book.0);
        book.1 = book.0.stock();
    }

    pub(super) fn settings(&self) -> Settings {
        lock(&self.book).0
    }

    /// Takes what a retry costs: how much that was, or `None` where there isn't enough.
    pub(super) fn withdraw(&self, cause: Cause) -> Option<u64> {
        let now = self.clock.now();
        let (settings, quota) = &mut *lock(&self.book);
        let cost = u64::from(settings.costs.of(cause)) * UNIT;
        quota.take(cost, now).then_some(cost)
    }

    pub(super) fn pay_back(&self, cost: u64) {
        let now = self.clock.now();
        lock(&self.book).1.give(cost, now);
    }

    /// A request succeeded at its first try.
    pub(super) fn reward(&self) {
        let now = self.clock.now();
        let (settings, quota) = &mut *lock(&self.book);
        quota.give(settings.reward, now);
    }

    pub(super) fn balance_thousandths(&self) -> u64 {
        let now = self.clock.now();
        lock(&self.book).1.available(now)
    }
}
