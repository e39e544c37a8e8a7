//! One limit's account.
//!
//! A charge is *held* from the grant on, counting without a date, and *dated* when the request
//! really leaves; only then does its time run. A date set earlier would let a window through in
//! which a busy inner service sends what was granted long ago.

mod bucket;
mod fixed;
mod rolling;
#[cfg(test)]
pub(in crate::core) mod tests;

use std::sync::Arc;

use self::{bucket::Bucket, fixed::Fixed, rolling::Rolling};
use super::{
    limit::{AnchorKind, Limit, LimitId, Shape},
    time::{Time, nanos},
};

pub(crate) use fixed::Boundaries;

/// No single charge is larger, so that sums of charges stay exact.
const MOST: u64 = 1 << 53;

#[derive(Clone, Debug)]
enum Account {
    Rolling(Rolling),
    Bucket(Bucket),
    Fixed(Fixed),
}

impl Account {
    fn fits(&self, n: u64, held: u64, now: Time) -> bool {
        match self {
            Self::Rolling(account) => account.fits(n, held),
            Self::Bucket(account) => account.fits(n, held),
            Self::Fixed(account) => account.fits(n, held, now),
        }
    }

    fn earliest(&self, n: u64, held: u64, from: Time, now: Time) -> Time {
        match self {
            Self::Rolling(account) => account.earliest(n, held, from, now),
            Self::Bucket(account) => account.earliest(n, held, from),
            Self::Fixed(account) => account.earliest(n, held, from, now),
        }
    }
}

/// One limit's account.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    id: LimitId,
    // What the provider's own figure for this limit is; the difference is headroom.
    stated: u64,
    transit: u64,
    held: u64,
    paused: Time,
    account: Account,
    // Set where the limit has a burst that its shape doesn't know.
    pace: Option<Bucket>,
    // Set while the last quarter is spread out: paces what goes beyond the other three.
    spread: Option<Bucket>,
    burst: Option<u64>,
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
            transit,
            held: 0,
            paused: Time::ZERO,
            account,
            pace,
            spread: None,
            burst,
        }
    }

    pub(crate) const fn id(&self) -> LimitId {
        self.id
    }

    /// The limit's own amount, before headroom.
    pub(crate) const fn stated(&self) -> u64 {
        self.stated
    }

    /// How much later than it left a charge may be counted.
    pub(crate) const fn transit(&self) -> u64 {
        self.transit
    }

    /// Forgets what has expired by `now`. Everything below counts from there.
    pub(crate) fn advance(&mut self, now: Time) {
        match &mut self.account {
            Account::Rolling(account) => account.advance(now),
            Account::Bucket(account) => account.advance(now),
            Account::Fixed(account) => account.advance(now),
        }
        for pace in self.pace.iter_mut().chain(&mut self.spread) {
            pace.advance(now);
        }
    }

    /// The largest cost that this ever grants.
    pub(crate) const fn largest(&self) -> u64 {
        match &self.account {
            Account::Bucket(account) => account.capacity(),
            Account::Rolling(_) | Account::Fixed(_) => self.id.amount,
        }
    }

    /// What is dated and counts now.
    pub(crate) fn used(&self) -> u64 {
        match &self.account {
            Account::Rolling(account) => account.used(),
            Account::Bucket(account) => account.used(),
            Account::Fixed(account) => account.used(),
        }
    }

    pub(crate) const fn held(&self) -> u64 {
        self.held
    }

    /// What may still be spent now.
    pub(crate) fn left(&self) -> u64 {
        self.largest()
            .saturating_sub(self.used().saturating_add(self.held))
    }

    pub(crate) const fn paused(&self) -> Time {
        self.paused
    }

    /// Whether `n` fits now, `now` being what [`advance`](Self::advance) was last given.
    pub(crate) fn fits(&self, n: u64, now: Time) -> bool {
        let held = self.held;
        self.paused <= now
            && self.account.fits(n, held, now)
            && self
                .pace
                .iter()
                .all(|pace| pace.fits(n.min(pace.capacity()), held))
            && self.spread.iter().all(|spread| {
                let with_rest = n.saturating_add(self.last_quarter());
                self.account.fits(with_rest, held, now)
                    || spread.fits(n.min(spread.capacity()), held)
            })
    }

    /// What is spread out of the most that it ever holds.
    const fn last_quarter(&self) -> u64 {
        self.largest() / 4
    }

    /// From now on the last quarter of the amount is spread over the window: so that requests leave, and answers come, while
    /// others have been answered already.
    pub(crate) fn spread(&mut self, on: bool, now: Time) {
        if on != self.spread.is_some() {
            let (quarter, window) = (self.last_quarter(), nanos(self.id.window));
            let at_once = (quarter / 16).max(1);
            self.spread = on.then(|| Bucket::new(quarter, window, at_once, 0, now));
        }
    }

    /// Whether what fits now may not fit later, though nothing else is charged: shortly before its end a fixed window
    /// looks at the next.
    pub(crate) const fn closes_again(&self) -> bool {
        matches!(self.account, Account::Fixed(_))
    }

    /// The first instant from `from` on at which `n` fits if nothing else is charged; held
    /// charges count as if they left `now`. `n` must be at most [`largest`](Self::largest).
    pub(crate) fn earliest(&self, n: u64, from: Time, now: Time) -> Time {
        let (from, held) = (from.max(self.paused), self.held);
        let paced = |pace: &Option<Bucket>, from| match pace {
            Some(pace) => pace.earliest(n.min(pace.capacity()), held, from),
            None => from,
        };
        let at = self.account.earliest(n, held, from, now);
        let at = paced(&self.pace, at);
        if self.spread.is_none() {
            return at;
        }
        let slowly = paced(&self.spread, at);
        let with_rest = n.saturating_add(self.last_quarter());
        if with_rest > self.largest() {
            return slowly;
        }
        slowly.min(self.account.earliest(with_rest, held, at, now))
    }

    pub(crate) fn hold(&mut self, n: u64) {
        self.held = self.held.saturating_add(n);
    }

    /// Gives back a charge that is still held.
    pub(crate) fn release(&mut self, n: u64) {
        self.held = self.held.saturating_sub(n);
    }

    /// Dates a held charge: it left now.
    pub(crate) fn date(&mut self, n: u64, now: Time) {
        self.release(n);
        self.charge(n, now);
    }

    /// Charges `n` that left now, fitting or not: what doesn't fit is owed.
    pub(crate) fn charge(&mut self, n: u64, now: Time) {
        let n = n.min(MOST);
        if n == 0 {
            return;
        }
        match &mut self.account {
            Account::Rolling(account) => account.charge(n, now),
            Account::Bucket(account) => account.charge(n),
            Account::Fixed(account) => account.charge(n, now),
        }
        if let Some(pace) = &mut self.pace {
            pace.charge(n);
        }
        let at_once = self.largest().saturating_sub(self.last_quarter());
        let beyond = self.used().saturating_sub(at_once);
        if let Some(spread) = self.spread.as_mut().filter(|_| beyond > 0) {
            spread.charge(n.min(beyond));
        }
    }

    /// Takes back part of a dated charge that the provider counts no longer.
    pub(crate) fn give_back(&mut self, n: u64, dated: Time) {
        match &mut self.account {
            Account::Rolling(account) => account.give_back(n, dated),
            Account::Bucket(account) => account.give_back(n, dated),
            Account::Fixed(account) => account.give_back(n, dated),
        }
    }

    /// Takes back a dated charge that never reached the provider.
    pub(crate) fn refund(&mut self, n: u64, dated: Time, now: Time) {
        if n == 0 {
            return;
        }
        match &mut self.account {
            Account::Rolling(account) => account.give_back(n, dated),
            Account::Bucket(account) => account.refund(n, dated),
            Account::Fixed(account) => account.refund(n, dated, now),
        }
        if let Some(pace) = &mut self.pace {
            pace.refund(n, dated);
        }
    }

    /// The provider had `remaining` left when the request that left at `dated` got there. Where we have spent less than
    /// that, somebody else spends too: so much less is left here. Never raises what is left.
    pub(crate) fn observe(&mut self, remaining: u64, dated: Time, now: Time) {
        let headroom = self.stated.saturating_sub(self.id.amount);
        let whole = self.largest().saturating_add(headroom);
        let used = whole.saturating_sub(remaining);
        match &mut self.account {
            Account::Rolling(account) => account.observe(used, dated, now),
            Account::Bucket(account) => account.observe(used, dated),
            Account::Fixed(account) => account.observe(used, dated),
        }
    }

    /// Nothing more until then. A later pause stands, an earlier one is forgotten.
    pub(crate) fn pause(&mut self, until: Time) {
        self.paused = self.paused.max(until);
    }

    pub(crate) const fn resume(&mut self) {
        self.paused = Time::ZERO;
    }

    /// Another amount from now on; what is spent stays spent.
    pub(crate) fn resize(&mut self, stated: u64, amount: u64) {
        self.stated = stated;
        self.id.amount = amount;
        match &mut self.account {
            Account::Rolling(account) => account.resize(amount),
            Account::Bucket(account) => account.resize(amount, self.burst.unwrap_or(amount)),
            Account::Fixed(account) => account.resize(amount),
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

    /// When `n` may leave behind `ahead` that waits already, at the earliest: a projection.
    pub(crate) fn project(&self, ahead: u64, n: u64, now: Time) -> Time {
        let held = self.held;
        let total = ahead.saturating_add(n);
        let at = match &self.account {
            Account::Rolling(account) => account.project(total, held, now),
            Account::Bucket(account) => account.earliest(total, held, now),
            Account::Fixed(account) => account.project(total, held, now),
        };
        let paced = self.pace.iter().map(|pace| {
            let total = ahead.saturating_add(n.min(pace.capacity()));
            pace.earliest(total, held, now)
        });
        at.max(paced.max().unwrap_or_default()).max(self.paused)
    }

    /// The end of a fixed window.
    pub(crate) fn boundary(&self) -> Option<Time> {
        match &self.account {
            Account::Fixed(account) => account.end(),
            Account::Rolling(_) | Account::Bucket(_) => None,
        }
    }
}
