//! A bucket that others take from as well.

use super::{Meter, account::Account, bucket::Bucket, rolling::Rolling};
use crate::core::time::{Time, nanos};

/// Others are seen where answers have raised what is missing by this share of the limit in a window.
const SEEN: u64 = 16;
/// It stays a rolling window for so many windows, and until nobody else was seen of late.
const STAYS: u64 = 3;

/// Whether others take from a bucket. What refills is then not ours alone: two clients who each plan with all of it are refused
/// every other time. A rolling window holds what they had against us, and fits into any bucket.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shared {
    since: Time,
    raised: u64,
    // The account is a rolling window for the time being.
    rolling: bool,
}

impl Shared {
    /// Whether nobody else was seen.
    pub(super) const fn is_alone(&self) -> bool {
        self.raised == 0 && !self.rolling
    }

    /// Whether it is kept as a rolling window.
    pub(super) const fn is_rolling(&self) -> bool {
        self.rolling
    }

    /// Since when it is kept as a rolling window.
    pub(super) fn kept_rolling(&self) -> Option<Time> {
        self.rolling.then_some(self.since)
    }
}

impl Meter {
    /// Of a new bucket: it has been kept as a rolling window since then, which is empty so far.
    pub(super) fn share_since(&mut self, since: Time, now: Time) {
        let (amount, window) = (self.id.amount, nanos(self.id.window));
        if matches!(&self.account, Account::Bucket(bucket) if bucket.capacity() <= amount) {
            self.account = Account::Rolling(Rolling::new(amount, window, self.transit));
            let pace = |burst| Bucket::new(amount, window, burst, 0, now);
            self.pace = self.burst.map(pace);
            (self.shared.rolling, self.shared.since) = (true, since);
        }
    }

    /// Of a bucket: hears what is missing over there. True where it has become a bucket again.
    pub(super) fn observe_bucket(&mut self, used: u64, dated: Time, now: Time) -> bool {
        let (amount, window) = (self.id.amount, nanos(self.id.window));
        match &mut self.account {
            Account::Bucket(bucket) => {
                let raised = bucket.observe(used, dated);
                let shared = &mut self.shared;
                if raised > 0 {
                    if now.nanos().saturating_sub(shared.since.nanos()) > window {
                        *shared = Shared {
                            since: now,
                            ..Shared::default()
                        };
                    }
                    shared.raised = shared.raised.saturating_add(raised);
                }
                if shared.raised > amount / SEEN {
                    self.roll(dated, now);
                }
            }
            Account::Rolling(rolling) => {
                rolling.observe(used, dated, now);
                // At first the others' part of what was missing is taken for ours.
                let long = now.nanos().saturating_sub(self.shared.since.nanos()) / STAYS > window;
                if long && rolling.is_alone() {
                    let (spent, transit) = (rolling.used(), self.transit);
                    let capacity = self.burst.unwrap_or(amount);
                    let mut bucket = Bucket::new(amount, window, capacity, transit, now);
                    // Of a bucket that holds less than a window's worth the pace knows what is owed.
                    let owed = self.pace.as_ref().map_or(spent, Bucket::used);
                    bucket.charge(spent.min(capacity).max(owed));
                    self.account = Account::Bucket(bucket);
                    (self.shared, self.pace) = (Shared::default(), None);
                    return true;
                }
            }
            Account::Unknown | Account::Fixed(_) | Account::Stock(_) => {}
        }
        false
    }

    /// What refills isn't all ours: keeps the account as a rolling window for the time being.
    pub(super) fn roll(&mut self, dated: Time, now: Time) {
        let (amount, window) = (self.id.amount, nanos(self.id.window));
        let Account::Bucket(bucket) = &self.account else {
            return;
        };
        // A bucket that holds more than a window's worth may grant what no window would.
        if bucket.capacity() > amount {
            return;
        }
        let missing = bucket.used();
        let mut rolling = Rolling::new(amount, window, self.transit);
        rolling.begin(missing, dated, now);
        self.account = Account::Rolling(rolling);
        self.pace = self.burst.map(|burst| {
            let mut pace = Bucket::new(amount, window, burst, 0, now);
            // Nothing has refilled by it.
            pace.charge(missing);
            pace
        });
        (self.shared.rolling, self.shared.since) = (true, now);
    }

    pub(super) const fn is_bucket(&self) -> bool {
        matches!(self.account, Account::Bucket(_)) || self.shared.is_rolling()
    }
}
