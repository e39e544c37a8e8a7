//! A share of the requests: its settings, and its account behind a lock, which deposits rarely take.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::{
    backoff_retry::cause::{Cause, Costs},
    clock::{Clock, Moment},
    core::{retry_budget::RetryBudget as Account, time::Time},
    lock::lock,
};

pub(super) struct Share {
    book: Mutex<(Settings, Account)>,
    // Requests that the account hasn't been told of, and until when they need not be. Whoever takes the lock brings them first:
    // so the account is always what it would be, had each taken the lock.
    fresh: AtomicU64,
    ends: AtomicU64,
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
            fresh: AtomicU64::new(0),
            ends: AtomicU64::new(0),
            clock: Clock::default(),
        }
    }

    pub(super) fn set(&self, change: impl FnOnce(&mut Settings)) {
        let mut book = lock(&self.book);
        change(&mut book.0);
        book.1 = book.0.account();
        self.fresh.store(0, Relaxed);
        self.ends.store(0, Relaxed);
    }

    pub(super) fn settings(&self) -> Settings {
        lock(&self.book).0
    }

    /// A request began, or came to its first outcome, at this moment.
    #[inline]
    pub(super) fn deposit(&self, moment: Moment) {
        let now = self.clock.at(moment);
        if now.nanos() < self.ends.load(Relaxed) {
            self.fresh.fetch_add(1, Relaxed);
        } else {
            self.deposit_anew(now);
        }
    }

    #[cold]
    #[inline(never)]
    fn deposit_anew(&self, now: Time) {
        self.at(now, |_, account, now| account.deposit(now));
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
        self.at(self.clock.now(), act)
    }

    fn at<T>(&self, now: Time, act: impl FnOnce(&Settings, &mut Account, Time) -> T) -> T {
        let (settings, account) = &mut *lock(&self.book);
        account.deposited(self.fresh.swap(0, Relaxed));
        let done = act(settings, account, now);
        self.ends.store(account.ends().nanos(), Relaxed);
        done
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::time::Instant;

    use super::*;

    proptest! {
        /// What is counted beside the account comes to what the account would have counted, whatever is done in between.
        #[test]
        fn deposits_that_dont_take_the_lock_are_as_good_as_those_that_do(
            steps in proptest::collection::vec((0u64..1_500, 0u8..8), 1..300),
        ) {
            let share = Share::new(3, 7);
            share.set(|s| (s.max, s.per_second, s.window) = (4, 1, Duration::from_secs(5)));
            let mut account = share.settings().account();
            let mut instant = Instant::now();
            share.clock.at(Moment::of(instant));
            for (later, what) in steps {
                if what % 2 == 0 {
                    instant += Duration::from_millis(later);
                }
                let moment = Moment::of(instant);
                let now = share.clock.at(moment);
                match what {
                    0 => {
                        let paid = share.at(now, |_, account, now| account.withdraw(700, now));
                        prop_assert_eq!(paid, account.withdraw(700, now));
                    }
                    1 => {
                        share.at(now, |_, account, now| account.refund(300, now));
                        account.refund(300, now);
                    }
                    2 => {
                        let balance = share.at(now, |_, account, now| account.balance(now));
                        prop_assert_eq!(balance, account.balance(now));
                    }
                    _ => {
                        share.deposit(moment);
                        account.deposit(now);
                    }
                }
            }
        }
    }
}
