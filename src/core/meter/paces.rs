//! What bounds how much goes at once, whatever the account holds.

use super::{Meter, bucket::Bucket};
use crate::core::time::{Time, nanos};

impl Meter {
    pub(super) fn fits_paces(&self, n: u64, now: Time) -> bool {
        let held = self.held;
        self.paces()
            .all(|pace| pace.fits(n.min(pace.capacity()), held))
            && self.spread.iter().all(|spread| {
                let with_rest = n.saturating_add(self.last_quarter());
                self.account.fits(with_rest, held, now)
                    || spread.fits(n.min(spread.capacity()), held)
            })
    }

    /// The first instant at which `n` fits, where that is `at` for the account.
    pub(super) fn earliest_paced(&self, n: u64, at: Time, now: Time) -> Time {
        let held = self.held;
        let paced = |at, pace: &Bucket| pace.earliest(n.min(pace.capacity()), held, at);
        let at = self.paces().fold(at, paced);
        let Some(spread) = &self.spread else {
            return at;
        };
        let slowly = paced(at, spread);
        let with_rest = n.saturating_add(self.last_quarter());
        if with_rest > self.whole() {
            return slowly;
        }
        slowly.min(self.account.earliest(with_rest, held, at, now))
    }

    /// Whether anything but the account bounds how much goes at once.
    #[inline]
    pub(super) const fn is_paced(&self) -> bool {
        self.pace.is_some() || self.brake.is_some() || self.spread.is_some()
    }

    /// What bounds how much goes at once, whatever the account holds.
    pub(super) fn paces(&self) -> impl Iterator<Item = &Bucket> {
        let brake = self.brake.as_deref().map(|brake| &brake.pace);
        self.pace.iter().chain(brake)
    }

    pub(super) fn paces_mut(&mut self) -> impl Iterator<Item = &mut Bucket> {
        let brake = self.brake.as_deref_mut().map(|brake| &mut brake.pace);
        self.pace.iter_mut().chain(brake).chain(&mut self.spread)
    }

    /// What is spread out of the most that it ever holds.
    pub(super) const fn last_quarter(&self) -> u64 {
        self.whole() / 4
    }

    /// Whether the last quarter of the amount is spread over the window.
    #[inline]
    pub(crate) const fn is_spread(&self) -> bool {
        self.spread.is_some()
    }

    /// From now on the last quarter of the amount is spread over the window: so that requests leave, and answers come, while
    /// others have been answered already.
    pub(crate) fn spread(&mut self, on: bool, now: Time) {
        // The store's order decides who goes when.
        let on = on && self.stock().is_none();
        if on != self.spread.is_some() {
            let (quarter, window) = (self.last_quarter(), nanos(self.id.window));
            let at_once = (quarter / 16).max(1);
            self.spread = on.then(|| Bucket::new(quarter, window, at_once, 0, now));
        }
    }

    /// None of them owes more than a window's worth: the account forgets the rest by then.
    #[inline(never)]
    pub(super) fn charge_paces(&mut self, n: u64) {
        let brake = self.brake.as_deref_mut().map(|brake| &mut brake.pace);
        for pace in self.pace.iter_mut().chain(brake) {
            pace.owe(n, pace.windows(1));
        }
        let at_once = self.whole().saturating_sub(self.last_quarter());
        let beyond = self.used().saturating_sub(at_once);
        if let Some(spread) = &mut self.spread {
            spread.owe(n.min(beyond), spread.windows(1));
        }
    }
}
