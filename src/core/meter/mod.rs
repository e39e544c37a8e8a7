//! One limit's account.
//!
//! A charge is *held* from the grant on, counting without a date, and *dated* when the request
//! really leaves; only then does its time run. A date set earlier would let a window through in
//! which a busy inner service sends what was granted long ago.

mod bucket;
mod fixed;
mod rolling;

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

/// One limit's account.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    id: LimitId,
    // What the provider's own figure for this limit is; the difference is headroom.
    stated: u64,
    held: u64,
    // What others were seen to spend, since the beginning.
    foreign: u64,
    paused: Time,
    account: Account,
    // Set where the limit has a burst that its shape doesn't know.
    pace: Option<Bucket>,
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
            held: 0,
            foreign: 0,
            paused: Time::ZERO,
            account,
            pace,
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

    /// Forgets what has expired by `now`. Everything below counts from there.
    pub(crate) fn advance(&mut self, now: Time) {
        match &mut self.account {
            Account::Rolling(account) => account.advance(now),
            Account::Bucket(account) => account.advance(now),
            Account::Fixed(account) => account.advance(now),
        }
        if let Some(pace) = &mut self.pace {
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
            && match &self.account {
                Account::Rolling(account) => account.fits(n, held),
                Account::Bucket(account) => account.fits(n, held),
                Account::Fixed(account) => account.fits(n, held, now),
            }
            && self
                .pace
                .as_ref()
                .is_none_or(|pace| pace.fits(n.min(pace.capacity()), held))
    }

    /// The first instant from `from` on at which `n` fits if nothing else is charged; held
    /// charges count as if they left `now`. `n` must be at most [`largest`](Self::largest).
    pub(crate) fn earliest(&self, n: u64, from: Time, now: Time) -> Time {
        let (from, held) = (from.max(self.paused), self.held);
        let at = match &self.account {
            Account::Rolling(account) => account.earliest(n, held, from, now),
            Account::Bucket(account) => account.earliest(n, held, from),
            Account::Fixed(account) => account.earliest(n, held, from, now),
        };
        match &self.pace {
            Some(pace) => pace.earliest(n.min(pace.capacity()), held, at),
            None => at,
        }
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
    }

    /// Takes back part of a dated charge that the provider counts no longer.
    pub(crate) fn give_back(&mut self, n: u64, dated: Time) {
        match &mut self.account {
            Account::Rolling(account) => account.give_back(n, dated),
            Account::Bucket(account) => account.give_back(n),
            Account::Fixed(account) => account.give_back(n, dated),
        }
    }

    /// Takes back a dated charge that never reached the provider.
    pub(crate) fn refund(&mut self, n: u64, dated: Time) {
        match &mut self.account {
            Account::Rolling(account) => account.give_back(n, dated),
            Account::Bucket(account) => account.refund(n, dated),
            Account::Fixed(account) => account.give_back(n, dated),
        }
        if let Some(pace) = &mut self.pace {
            pace.refund(n, dated);
        }
    }

    /// What is left, or would be if nobody else had been seen to spend. What is held hasn't reached the provider.
    pub(crate) fn left_to_all(&self) -> u64 {
        let left = self.largest().saturating_sub(self.used());
        left.saturating_add(self.foreign)
    }

    /// The provider has `remaining` left after a request that left at `dated`, when
    /// [`left_to_all`](Self::left_to_all) was `left` here. Where it has less than that, somebody else
    /// spends too: the difference is charged, once.
    pub(crate) fn observe(&mut self, remaining: u64, left: u64, dated: Time, now: Time) {
        // Requests that left just after it may have overtaken it.
        let overtaken = match &self.account {
            Account::Rolling(account) => account.in_transit_after(dated),
            // Their past isn't kept.
            Account::Bucket(_) | Account::Fixed(_) => 0,
        };
        let headroom = self.stated.saturating_sub(self.id.amount);
        let foreign = left
            .saturating_sub(remaining.saturating_sub(headroom))
            .saturating_sub(overtaken)
            .saturating_sub(self.foreign);
        if foreign == 0 {
            return;
        }
        self.foreign = self.foreign.saturating_add(foreign);
        match &mut self.account {
            Account::Rolling(account) => account.charge(foreign, now),
            Account::Bucket(account) => account.charge(foreign),
            Account::Fixed(account) => account.charge(foreign, now),
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
    }

    /// How long it takes until a whole amount that leaves now is free again, at the most.
    pub(crate) fn period(&self) -> u64 {
        match &self.account {
            Account::Rolling(account) => account.period(),
            Account::Bucket(account) => account.period(),
            Account::Fixed(account) => account.period(),
        }
    }

    /// The end of a fixed window.
    pub(crate) const fn boundary(&self) -> Option<Time> {
        match &self.account {
            Account::Fixed(account) => account.end(),
            Account::Rolling(_) | Account::Bucket(_) => None,
        }
    }
}
