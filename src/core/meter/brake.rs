//! How much may go at once after the provider has refused something that fitted here.

use super::{Meter, bucket::Bucket};
use crate::core::time::{Time, nanos};

/// A burst is at least this share of the limit.
const LEAST: u64 = 256;

/// A burst that was halved: what goes beyond it goes at the limit's own rate. Providers that enforce a minute by the second
/// refuse bursts, and so do those whose limit others share.
#[derive(Clone, Debug)]
pub(super) struct Brake {
    pub(super) pace: Bucket,
    // When it last changed: only what left after that speaks for or against it.
    changed: Time,
}

impl Brake {
    /// Refused for the first time: half of everything may go at once.
    pub(super) fn new(amount: u64, window: u64, burst: u64, now: Time) -> Self {
        Self {
            pace: Bucket::new(amount, window, half(amount, burst), 0, now),
            changed: now,
        }
    }

    /// What left at `dated` was refused. Those that left together are refused together, for one reason.
    pub(super) fn halve(&mut self, amount: u64, dated: Time, now: Time) {
        if dated > self.changed {
            let burst = half(amount, self.pace.capacity());
            self.pace.resize(amount, burst);
            self.changed = now;
        }
    }

    /// What left at `dated` was admitted: after a window without a refusal a quarter more may go at once. True then.
    pub(super) fn ease(&mut self, amount: u64, window: u64, dated: Time, now: Time) -> bool {
        let clean = dated.nanos().saturating_sub(self.changed.nanos()) >= window;
        if clean {
            let burst = self.pace.capacity();
            self.pace
                .resize(amount, burst.saturating_add((burst / 4).max(1)));
            self.changed = now;
        }
        clean
    }

    /// Whether it holds nothing back any more.
    pub(super) const fn is_off(&self, amount: u64) -> bool {
        self.pace.capacity() >= amount
    }

    pub(super) fn resize(&mut self, amount: u64) {
        let burst = self.pace.capacity();
        self.pace.resize(amount, burst);
    }
}

fn half(amount: u64, burst: u64) -> u64 {
    (burst / 2).max(amount / LEAST).max(1)
}

impl Meter {
    /// The provider has refused what left at `dated` and fitted here: half as much as before may go at once.
    pub(crate) fn brake(&mut self, dated: Time, now: Time) {
        let (amount, window) = (self.id.amount, nanos(self.id.window));
        if !self.is_known() {
            return;
        }
        self.roll(dated, now);
        match &mut self.brake {
            Some(brake) => brake.halve(amount, dated, now),
            None => {
                let burst = self.burst.unwrap_or(amount).min(amount);
                self.brake = Some(Box::new(Brake::new(amount, window, burst, now)));
            }
        }
    }

    /// What left at `dated` was admitted. True where more may go at once now.
    pub(crate) fn ease(&mut self, dated: Time, now: Time) -> bool {
        let (amount, window) = (self.id.amount, nanos(self.id.window));
        let Some(brake) = &mut self.brake else {
            return false;
        };
        // Beside others no burst is clean for long.
        if !self.account.is_alone() {
            return false;
        }
        let eased = brake.ease(amount, window, dated, now);
        if eased && brake.is_off(amount) {
            self.brake = None;
        }
        eased
    }
}
