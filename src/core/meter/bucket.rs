//! Refills continuously and holds its capacity.

mod packed;

pub(crate) use self::packed::{Mould, Packed};

use super::saved::{Missing, Nonsense, SavedBucket, amount, until};
use crate::core::{limit::OWED, time::Time};

/// A bucket, kept as what is missing from it. Amounts are in tokens × nanoseconds of the window,
/// so that every refill is a whole number.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    rate: u64,
    window: u64,
    capacity: u64,
    transit: u64,
    // As if every charge got there as late as it may, and nothing had refilled until then.
    missing: u128,
    at: Time,
    // Until they must have got there, charges since `lifted` are no more than their sum: what `missing`
    // was lifted to for their sake, and what it was before.
    lifted: Time,
    lifted_to: u128,
    before: u128,
    // What was charged since `turned`, and in the span before it: what may not be there yet.
    fresh: u64,
    turned: Time,
    less_fresh: u64,
    turned_before: Time,
    // When something was last given back, or the rate was another until then.
    gave_back: Option<Time>,
}

impl Bucket {
    /// A full bucket that refills `rate` in a `window`.
    #[inline]
    pub(crate) fn new(rate: u64, window: u64, capacity: u64, transit: u64, now: Time) -> Self {
        Self {
            rate: rate.max(1),
            window,
            capacity,
            transit,
            missing: 0,
            at: now,
            lifted: now,
            lifted_to: 0,
            before: 0,
            fresh: 0,
            turned: now,
            less_fresh: 0,
            turned_before: now,
            gave_back: None,
        }
    }

    #[inline]
    const fn scaled(&self, n: u64) -> u128 {
        n as u128 * self.window as u128
    }

    #[inline]
    const fn refill(&self, nanos: u64) -> u128 {
        nanos as u128 * self.rate as u128
    }

    /// What refills in the transit allowance. With a small capacity all of it would be
    /// worth more than the bucket holds, and no two charges could ever follow each other at the rate.
    #[inline]
    fn in_transit(&self) -> u128 {
        self.refill(self.transit)
            .min(self.scaled(self.capacity) / 2)
    }

    pub(crate) fn advance(&mut self, now: Time) {
        let refill = self.refill(now.nanos().saturating_sub(self.at.nanos()));
        self.missing = self.missing.saturating_sub(refill);
        self.at = self.at.max(now);
        // A charge is fresh for twice the allowance: one for its way there, one for the answer to another.
        let span = self.transit.saturating_mul(2).max(1);
        let since = self.at.nanos() - self.turned.nanos();
        if since >= span {
            let still_fresh = since < span.saturating_mul(2);
            self.less_fresh = if still_fresh { self.fresh } else { 0 };
            self.turned_before = self.turned;
            self.fresh = 0;
            self.turned = self.at;
        }
    }

    /// What has refilled since `missing` was last lifted.
    #[inline]
    fn since_lifted(&self) -> u128 {
        self.refill(self.at.nanos().saturating_sub(self.lifted.nanos()))
    }

    /// What of `missing` isn't missing yet, if only it gets there later.
    #[inline]
    fn ahead(&self) -> u128 {
        let gone = self.since_lifted().max(self.before);
        self.lifted_to.saturating_sub(gone)
    }

    /// Whole units that are missing, rounded up.
    pub(crate) fn used(&self) -> u64 {
        let missing = self.missing.saturating_sub(self.ahead());
        let used = missing.div_ceil(u128::from(self.window.max(1)));
        u64::try_from(used).unwrap_or(u64::MAX)
    }

    #[inline]
    fn over(&self, missing: u128, n: u64, held: u64) -> u128 {
        let asked = self.scaled(n).saturating_add(self.scaled(held));
        missing
            .saturating_add(asked)
            .saturating_sub(self.scaled(self.capacity))
    }

    #[inline]
    pub(crate) fn fits(&self, n: u64, held: u64) -> bool {
        self.over(self.missing.saturating_sub(self.ahead()), n, held) == 0
    }

    /// The first instant from `from` on at which `n` fits: by refilling alone, or else as if what is held left now.
    pub(crate) fn earliest(&self, n: u64, held: u64, from: Time) -> Time {
        if self.fits(n, held) {
            return from;
        }
        // Until the last charges must have got there, only what was missing before them refills.
        let them = self.lifted_to.saturating_sub(self.since_lifted());
        let over = if self.over(self.missing.saturating_sub(them), n, held) == 0 {
            let ahead = self.lifted_to.saturating_sub(self.before);
            self.over(self.missing.saturating_sub(ahead), n, held)
        } else {
            match self.over(self.missing, n, held) {
                over if over <= self.missing || held == 0 => over,
                _ => self.over(self.missing.max(self.in_transit()), n, held),
            }
        };
        let wait = over.div_ceil(u128::from(self.rate));
        let wait = u64::try_from(wait).unwrap_or(u64::MAX);
        from.max(Time::from_nanos(self.at.nanos().saturating_add(wait)))
    }

    /// Charges `n` that leaves now: the provider may take it out up to the transit allowance
    /// later, so that nothing refills until then.
    #[inline]
    pub(crate) fn charge(&mut self, n: u64) {
        let in_transit = self.in_transit();
        if self.missing < in_transit {
            (self.lifted, self.before) = (self.at, self.missing);
            (self.lifted_to, self.missing) = (in_transit, in_transit);
        }
        self.missing = self.missing.saturating_add(self.scaled(n));
        // Where nothing is ever in transit, it is there at once.
        if self.transit > 0 {
            self.fresh = self.fresh.saturating_add(n);
        }
    }

    /// Charges `n` that was used beyond what had fitted. What the bucket doesn't hold is owed: so much at the most, since a figure
    /// without end would stop everybody for good. What was owed before stays.
    pub(crate) fn owe(&mut self, n: u64, most: u64) {
        let before = self.missing;
        self.charge(n);
        let most = self.scaled(self.capacity.saturating_add(most));
        self.missing = self.missing.min(most.max(before));
    }

    /// What refills in so many windows.
    pub(crate) const fn windows(&self, n: u64) -> u64 {
        self.rate.saturating_mul(n)
    }

    /// Takes back what the provider has given back of a charge of this date. Over there it can't have
    /// filled the bucket above its rim, so that what came after it is still missing.
    pub(crate) fn give_back(&mut self, n: u64, dated: Time) {
        self.forget(n, dated);
        let fresh = match self.fresh.saturating_add(self.less_fresh) {
            0 => 0,
            fresh => self.scaled(fresh).saturating_add(self.in_transit()),
        };
        let rest = self.missing.saturating_sub(self.scaled(n));
        self.missing = rest.max(fresh.min(self.missing));
        self.gave_back = Some(self.at);
    }

    /// Takes back a charge that never reached the provider. What has refilled since is gone: it
    /// may have been spent. After something else was given back, or the rate was another, nobody can tell how much that is.
    pub(crate) fn refund(&mut self, n: u64, dated: Time) {
        self.forget(n, dated);
        if self.gave_back >= Some(dated) {
            return;
        }
        let refilled = self.refill(self.at.nanos().saturating_sub(dated.nanos()));
        let back = self.scaled(n).saturating_sub(refilled);
        self.missing = self.missing.saturating_sub(back);
    }

    fn forget(&mut self, n: u64, dated: Time) {
        if dated >= self.turned {
            self.fresh = self.fresh.saturating_sub(n);
        } else if dated >= self.turned_before {
            self.less_fresh = self.less_fresh.saturating_sub(n);
        }
    }

    /// `used` is what was missing over there when the request that left at `dated` got there: it
    /// has refilled since, and what left later isn't in it. So that much is missing at least. How much more that is than
    /// was known.
    pub(crate) fn observe(&mut self, used: u64, dated: Time) -> u64 {
        let refilled = self.refill(self.at.nanos().saturating_sub(dated.nanos()));
        let missing = self.scaled(used).saturating_sub(refilled);
        let before = self.missing;
        self.missing = self.missing.max(missing.saturating_add(self.ahead()));
        let more = (self.missing - before) / u128::from(self.window.max(1));
        u64::try_from(more).unwrap_or(u64::MAX)
    }

    pub(super) fn save(&self) -> SavedBucket {
        let window = u128::from(self.window.max(1));
        let missing = |n: u128| {
            let whole = u64::try_from(n / window).unwrap_or(u64::MAX);
            (whole, (n % window) as u64)
        };
        SavedBucket {
            missing: missing(self.missing),
            at: self.at.nanos(),
            lifted: self.lifted.nanos(),
            lifted_to: missing(self.lifted_to),
            before: missing(self.before),
            fresh: self.fresh,
            turned: self.turned.nanos(),
            less_fresh: self.less_fresh,
            turned_before: self.turned_before.nanos(),
        }
    }

    /// Into a full bucket, of what was missing `then`. More than twice what is ever owed, with what was granted before that and
    /// left after, is nothing that a bucket came to.
    pub(super) fn restore(&mut self, saved: &SavedBucket, then: Time) -> Result<(), Nonsense> {
        let missing = |(whole, rest): Missing| {
            let whole = self.scaled(amount(whole)?);
            Ok::<_, Nonsense>(whole + u128::from(rest.min(self.window)))
        };
        let most = self.capacity.saturating_add(self.windows(2 * OWED));
        let at = until(saved.at, then)?;
        let (turned, lifted) = (until(saved.turned, at)?, until(saved.lifted, at)?);
        *self = Self {
            missing: missing(saved.missing)?.min(self.scaled(most)),
            at,
            lifted,
            lifted_to: missing(saved.lifted_to)?,
            before: missing(saved.before)?,
            fresh: amount(saved.fresh)?,
            turned,
            less_fresh: amount(saved.less_fresh)?,
            turned_before: until(saved.turned_before, turned)?,
            ..self.clone()
        };
        Ok(())
    }

    pub(crate) fn resize(&mut self, rate: u64, capacity: u64) {
        let rate = rate.max(1);
        if rate != self.rate {
            self.gave_back = Some(self.at);
        }
        (self.rate, self.capacity) = (rate, capacity);
    }

    pub(crate) const fn capacity(&self) -> u64 {
        self.capacity
    }
}
