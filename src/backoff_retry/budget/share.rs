//! A share of the requests: its settings, and its account behind a lock.

use std::{sync::Mutex, time::Duration};

use crate::{
    backoff_retry::cause::{Cause, Costs},
    clock::Clock,
    core::{retry_budget::RetryBudget as Account, time::Time},
    lock::lock,
};

pub(super) struct Share {
    book: Mutex<(Settings, Account)>,
    clock: Clock,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    gain: u32,
    price: u32,
    pub(super) reserve: u32,
    pub(super) per_second: u32,
    pub(super) max: u32,
    pub(super) window: Duration,
    // In hundredths of a retry.
    pub(super) costs: Costs,
    pub(super) refund: bool,
}

impl Settings {
    /// A retry in parts: every ratio and every hundredth of it is whole.
    fn retry(&self) -> u64 {
        u64::from(self.price) * 100
    }

    fn account(&self) -> Account {
        let retries = |n: u32| self.retry().saturating_mul(u64::from(n));
        let gain = u64::from(self.gain) * 100;
        Account::new(gain, retries(self.reserve), retries(self.max), self.window)
            .drip(retries(self.per_second))
    }
}

impl Share {
    pub(super) fn new(gain: u32, price: u32) -> Self {
        let settings = Settings {
            gain,
            price,
            reserve: 10,
            per_second: 0,
            max: 1_000,
            window: Duration::from_secs(10),
            costs: Costs::new(100),
            refund: false,
        };
        Self {
            book: Mutex::new((settings, settings.account())),
            clock: Clock::default(),
        }
    }

    pub(super) fn set(&self, change: impl FnOnce(&mut Settings)) {
        let mut book = lock(&self.book);
        change(&mut book.0);
        book.1 = book.0.account();
    }

    pub(super) fn settings(&self) -> Settings {
        lock(&self.book).0
    }

    pub(super) fn deposit(&self) {
        self.with(|_, account, now| account.deposit(now));
    }

    /// Takes what a retry costs: how much that was, or `None` where there isn't enough.
    pub(super) fn withdraw(&self, cause: Cause) -> Option<u64> {
        self.with(|settings, account, now| {
            let cost = u64::from(settings.price) * u64::from(settings.costs.of(cause));
            account.withdraw(cost, now).then_some(cost)
        })
    }

    pub(super) fn pay_back(&self, cost: u64) {
        self.with(|_, account, now| account.refund(cost, now));
    }

    pub(super) fn succeeded(&self, cost: u64) {
        self.with(|settings, account, now| {
            if settings.refund {
                account.refund(cost, now);
            }
        });
    }

    pub(super) fn balance_thousandths(&self) -> u64 {
        let parts = |settings: &Settings, account: &mut Account, now| {
            u128::from(account.balance(now)) * 1_000 / u128::from(settings.retry())
        };
        u64::try_from(self.with(parts)).unwrap_or(u64::MAX)
    }

    fn with<T>(&self, act: impl FnOnce(&Settings, &mut Account, Time) -> T) -> T {
        let now = self.clock.now();
        let (settings, account) = &mut *lock(&self.book);
        act(settings, account, now)
    }
}
