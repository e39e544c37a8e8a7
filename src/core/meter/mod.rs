//! One limit's account.
//!
//! A charge is *held* from the grant on, counting without a date, and *dated* when the request
//! really leaves; only then does its time run. A date set earlier would let a window through in
//! which a busy inner service sends what was granted long ago.

mod account;
mod brake;
mod bucket;
mod fixed;
mod keyed;
mod others;
mod paces;
mod plain;
mod rolling;
mod saved;
mod shared;
mod stock;
mod stocked;
#[cfg(test)]
pub(in crate::core) mod tests;

use std::{sync::Arc, time::Duration};

use self::plain::Plain;
pub(crate) use self::plain::Rounding;
pub(crate) use self::stock::Stock;
use self::{
    account::Account, brake::Brake, bucket::Bucket, fixed::Fixed, rolling::Rolling, shared::Shared,
};
use super::{
    cost::Resource,
    limit::{AnchorKind, Limit, LimitId, Shape},
    time::{Time, nanos},
};

pub(crate) use bucket::{Mould, Packed};
pub(crate) use fixed::Boundaries;
pub(crate) use saved::{Nonsense, SavedMeter};

/// No single charge is larger, so that sums of charges stay exact.
const MOST: u64 = 1 << 53;

/// One limit's account.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    id: LimitId,
    // What the provider's own figure for this limit is; the difference is headroom.
    stated: u64,
    // What it was given as: the provider may state less.
    given: u64,
    // Whether the provider has ever stated less.
    bounded: bool,
    transit: u64,
    held: u64,
    paused: Time,
    account: Account,
    // Set where the limit has a burst that its shape doesn't know.
    pace: Option<Bucket>,
    // Set while the last quarter is spread out: paces what goes beyond the other three.
    spread: Option<Bucket>,
    // Set while the provider has refused of late what fitted here.
    brake: Option<Box<Brake>>,
    burst: Option<u64>,
    // What left earlier says nothing of the limit's amount.
    resized: Time,
    // What left earlier isn't charged here: nobody knew the limit.
    learnt: Time,
    shared: Shared,
}

impl Meter {
    /// An account in which nothing is spent. `amount` is what to plan with, at most the limit's
    /// own; `boundaries` are asked where the limit is fixed to a calendar.
    pub(crate) fn new(
        limit: &Limit,
        amount: u64,
        boundaries: Option<Arc<dyn Boundaries>>,
        now: Time,
    ) -> Self {
        let (window, transit) = (nanos(limit.window), nanos(limit.transit_or_default()));
        let burst = limit.burst;
        let mut pace = None;
        let mut paced = || {
            pace = burst.map(|burst| Bucket::new(amount, window, burst, 0, now));
        };
        let account = match &limit.shape {
            None | Some(Shape::Rolling) => {
                paced();
                Account::Rolling(Rolling::new(amount, window, transit))
            }
            Some(Shape::Bucket) => {
                let capacity = burst.unwrap_or(amount);
                Account::Bucket(Bucket::new(amount, window, capacity, transit, now))
            }
            Some(Shape::Fixed(anchor)) => {
                paced();
                let boundaries = match anchor.0 {
                    AnchorKind::FirstUse => None,
                    AnchorKind::Aligned(_) | AnchorKind::Calendar(_) => boundaries,
                };
                Account::Fixed(Fixed::new(amount, window, transit, boundaries, now))
            }
        };
        Self {
            id: LimitId {
                amount,
                ..limit.id()
            },
            stated: limit.amount,
            given: limit.amount,
            bounded: false,
            transit,
            held: 0,
            paused: Time::ZERO,
            account,
            pace,
            spread: None,
            brake: None,
            burst,
            resized: Time::ZERO,
            learnt: Time::ZERO,
            shared: Shared::default(),
        }
    }

    /// The account of a limit that nobody knows yet.
    pub(crate) fn unknown(resource: Resource) -> Self {
        let limit = Limit::new(resource, MOST, Duration::from_secs(60));
        Self {
            id: limit.id(),
            stated: MOST,
            given: MOST,
            bounded: false,
            transit: nanos(limit.transit_or_default()),
            held: 0,
            paused: Time::ZERO,
            account: Account::Unknown,
            pace: None,
            spread: None,
            brake: None,
            burst: None,
            resized: Time::ZERO,
            learnt: Time::ZERO,
            shared: Shared::default(),
        }
    }

    pub(crate) const fn is_known(&self) -> bool {
        !matches!(self.account, Account::Unknown)
    }

    /// It turned out what the limit is. What is held stays held.
    pub(crate) fn learn(&mut self, limit: &Limit, amount: u64, now: Time) {
        *self = Self {
            held: self.held,
            paused: self.paused,
            learnt: now,
            ..Self::new(limit, amount, None, now)
        };
    }

    /// Whether an answer to what left at `dated` may say something new of the limit's amount.
    pub(crate) fn hears(&self, dated: Time) -> bool {
        dated >= self.resized
    }

    pub(crate) const fn id(&self) -> LimitId {
        self.id
    }

    /// What it counts.
    #[inline]
    pub(crate) const fn resource(&self) -> Resource {
        self.id.resource
    }

    /// The limit's own amount, before headroom.
    pub(crate) const fn stated(&self) -> u64 {
        self.stated
    }

    /// The most that is planned with, before headroom, whatever the provider states.
    pub(crate) const fn given(&self) -> u64 {
        self.given
    }

    /// How much later than it left a charge may be counted.
    pub(crate) const fn transit(&self) -> u64 {
        self.transit
    }

    /// Forgets what has expired by `now`. Everything below counts from there.
    pub(crate) fn advance(&mut self, now: Time) {
        self.account.advance(now);
        if self.is_paced() {
            self.paces_mut().for_each(|pace| pace.advance(now));
        }
    }

    /// The largest cost that this ever grants.
    #[inline]
    pub(crate) const fn largest(&self) -> u64 {
        match self.burst {
            // Over there it is a bucket still.
            Some(burst) if self.shared.is_rolling() && burst < self.id.amount => burst,
            _ => self.whole(),
        }
    }

    /// What it holds where nothing is spent.
    #[inline]
    const fn whole(&self) -> u64 {
        match &self.account {
            Account::Bucket(account) => account.capacity(),
            Account::Stock(stock) => stock.capacity(),
            Account::Unknown | Account::Rolling(_) | Account::Fixed(_) => self.id.amount,
        }
    }

    /// What is dated and counts now.
    #[inline]
    pub(crate) fn used(&self) -> u64 {
        self.account.used()
    }

    pub(crate) const fn held(&self) -> u64 {
        self.held
    }

    /// What may still be spent now.
    #[inline]
    pub(crate) fn left(&self) -> u64 {
        self.whole()
            .saturating_sub(self.used().saturating_add(self.held))
    }

    pub(crate) const fn paused(&self) -> Time {
        self.paused
    }

    /// Whether `n` fits now, `now` being what [`advance`](Self::advance) was last given.
    #[inline]
    pub(crate) fn fits(&self, n: u64, now: Time) -> bool {
        self.paused <= now
            && self.account.fits(n, self.held, now)
            && (!self.is_paced() || self.fits_paces(n, now))
    }

    /// Whether what fits now may not fit later, though nothing else is charged: shortly before its end a fixed window
    /// looks at the next.
    pub(crate) const fn closes_again(&self) -> bool {
        matches!(self.account, Account::Fixed(_))
    }

    /// The first instant from `from` on at which `n` fits if nothing else is charged; held
    /// charges count as if they left `now`. `n` must be at most [`largest`](Self::largest).
    #[inline]
    pub(crate) fn earliest(&self, n: u64, from: Time, now: Time) -> Time {
        let from = from.max(self.paused);
        let at = self.account.earliest(n, self.held, from, now);
        if self.is_paced() {
            self.earliest_paced(n, at, now)
        } else {
            at
        }
    }

    #[inline]
    pub(crate) fn hold(&mut self, n: u64) {
        self.held = self.held.saturating_add(n);
    }

    /// Gives back a charge that is still held.
    #[inline]
    pub(crate) fn release(&mut self, n: u64) {
        self.held = self.held.saturating_sub(n);
    }

    /// Dates a held charge: it left now.
    #[inline]
    pub(crate) fn date(&mut self, n: u64, now: Time) {
        self.release(n);
        let n = n.min(MOST);
        if n > 0 {
            self.account.date(n, now);
            if self.is_paced() {
                self.charge_paces(n);
            }
        }
    }

    /// Charges `n` that left now, fitting or not: what doesn't fit is owed.
    pub(crate) fn charge(&mut self, n: u64, now: Time) {
        let n = n.min(MOST);
        if n == 0 {
            return;
        }
        self.account.charge(n, now);
        if self.is_paced() {
            self.charge_paces(n);
        }
    }

    /// Takes back part of a dated charge that the provider counts no longer.
    pub(crate) fn give_back(&mut self, n: u64, dated: Time) {
        if dated >= self.learnt {
            self.account.give_back(n, dated);
        }
    }

    /// Takes back a dated charge that never reached the provider.
    pub(crate) fn refund(&mut self, n: u64, dated: Time, now: Time) {
        if n == 0 || dated < self.learnt {
            return;
        }
        self.account.refund(n, dated, now);
        if let Some(pace) = &mut self.pace {
            pace.refund(n, dated);
        }
    }

    /// The provider has refused a charge of this date, which stays charged here: what it says is left doesn't know of it.
    pub(crate) fn refused(&mut self, n: u64, dated: Time) {
        self.account.refused(n, dated);
    }

    /// The provider had `remaining` left when the request that left at `dated` got there. Where we have spent less than
    /// that, somebody else spends too: so much less is left here. Never raises what is left; true where more may fit later on
    /// than would have.
    pub(crate) fn observe(&mut self, remaining: u64, dated: Time, now: Time) -> bool {
        let headroom = self.stated.saturating_sub(self.id.amount);
        // Over there it holds no more than its burst, as whatever it is kept here.
        let burst = self.burst.filter(|_| self.is_bucket());
        let holds = burst.unwrap_or(self.id.amount);
        let used = holds.saturating_add(headroom).saturating_sub(remaining);
        if self.is_bucket() {
            return self.observe_bucket(used, dated, now);
        }
        self.account.observe(used, dated, now);
        false
    }

    /// Nothing more until then. A later pause stands, an earlier one is forgotten.
    pub(crate) fn pause(&mut self, until: Time) {
        self.paused = self.paused.max(until);
    }

    pub(crate) const fn resume(&mut self) {
        self.paused = Time::ZERO;
    }

    /// Another amount from now on; what is spent stays spent.
    pub(crate) fn resize(&mut self, stated: u64, amount: u64, now: Time) {
        self.resized = now;
        (self.stated, self.given) = (stated, stated);
        self.id.amount = amount;
        self.account.resize(amount, self.burst);
        if let Some(brake) = &mut self.brake {
            brake.resize(amount);
        }
        if let Some(pace) = &mut self.pace {
            let capacity = pace.capacity();
            pace.resize(amount, capacity);
        }
        let quarter = self.last_quarter();
        if let Some(spread) = &mut self.spread {
            spread.resize(quarter, (quarter / 16).max(1));
        }
    }

    /// Its amount is less than it was given as only because the provider states less. True the first time.
    pub(crate) const fn bound(&mut self, given: u64) -> bool {
        self.given = given;
        !std::mem::replace(&mut self.bounded, true)
    }

    /// When `n` may leave behind `ahead` that waits already, at the earliest: a projection.
    pub(crate) fn project(&self, ahead: u64, n: u64, now: Time) -> Time {
        let held = self.held;
        let total = ahead.saturating_add(n);
        let at = self.account.project(total, held, now);
        let paced = self.paces().map(|pace| {
            let total = ahead.saturating_add(n.min(pace.capacity()));
            pace.earliest(total, held, now)
        });
        at.max(paced.max().unwrap_or_default()).max(self.paused)
    }
}
